"""``python -m kfp_sagemaker.monitoring.analyzer``: the Model Monitor container's contract, see ``environment.py``."""
