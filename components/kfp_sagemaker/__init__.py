"""Kubeflow Pipelines v2 components for Amazon SageMaker.

Compose pipelines from :mod:`kfp_sagemaker.components`. This module imports nothing: it is imported inside every
step pod, where ``kfp.dsl`` has no ``component`` and start-up time is paid by each step.
"""
