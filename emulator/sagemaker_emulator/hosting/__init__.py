"""Endpoints: container groups, routing, multi-model memory, metrics."""
