"""The modules of sagemaker-containers that user scripts name; those they only name are empty."""
