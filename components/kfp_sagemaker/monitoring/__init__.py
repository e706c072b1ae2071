"""Monitoring: baselines, captured data, analyses, schedules and violations."""
