"""Endpoints: deploy, invoke, measure, delete."""
