"""Runs of Glue jobs."""
