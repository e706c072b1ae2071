"""What every component shares: session, job engine, logs, errors, S3, names, tags, validation."""
