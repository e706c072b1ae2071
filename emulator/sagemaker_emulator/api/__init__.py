"""The SageMaker operations, one module a resource; importing a module registers its operations."""
