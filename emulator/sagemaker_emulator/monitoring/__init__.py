"""Model monitoring: schedules, when they are due, and what an execution does."""
