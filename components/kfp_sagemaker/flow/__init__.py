"""Training flows declared in one file, ``flow.yaml``, and what runs them: kfp.local, Kubeflow Pipelines, Step Functions."""
