"""Data quality: baselines, analyses of captured data, and what to make of violations."""
