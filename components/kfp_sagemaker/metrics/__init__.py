"""Metrics: predictions against the truth, and a training's learning curves.

``kfp_sagemaker.metrics.fetch`` reads exported curves into a notebook.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfp_sagemaker.metrics.fetching import fetch as fetch


def __getattr__(name: str) -> Any:
    # Found when it is asked for: steps import this package too, and pay for nothing.
    if name == "fetch":
        from kfp_sagemaker.metrics.fetching import fetch

        return fetch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
