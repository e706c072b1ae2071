"""The embedded AWS: a SageMaker API on loopback that really runs jobs and endpoints as local processes."""
