"""Executions of Step Functions state machines."""
