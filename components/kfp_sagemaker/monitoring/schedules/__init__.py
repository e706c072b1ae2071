"""Monitoring schedules: SageMaker Model Monitor's own, for accounts that have it."""
