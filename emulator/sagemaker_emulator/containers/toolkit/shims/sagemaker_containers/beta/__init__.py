"""Holds `framework`, which user scripts import."""
