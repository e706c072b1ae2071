"""Script mode: what SageMaker's training and inference toolkits do for a user's script in the framework containers."""
