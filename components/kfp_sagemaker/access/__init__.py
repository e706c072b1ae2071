"""Who may do what on AWS: the permissions of steps, of SageMaker's jobs and of worker nodes, described once."""
