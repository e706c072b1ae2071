"""The public catalogue: every component of the suite, one line each.

    from kfp_sagemaker import components

    @dsl.pipeline
    def pipeline(...):
        step = components.train(...)

For authors of pipelines only. A step never imports this module: in a step's pod `kfp.dsl` has no `component`.
"""

from kfp_sagemaker.data.component import split_dataset, upload_source
from kfp_sagemaker.processing.component import process
from kfp_sagemaker.training.component import train
from kfp_sagemaker.transform.component import batch_transform

__all__ = [
    "batch_transform",
    "process",
    "split_dataset",
    "train",
    "upload_source",
]
