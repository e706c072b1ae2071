"""What models are worth: predictions against the truth."""
