"""The `kfp-sagemaker` command."""
