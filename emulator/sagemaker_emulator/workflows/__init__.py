"""Step Functions: the Amazon States Language, run for real, and its service integrations."""
