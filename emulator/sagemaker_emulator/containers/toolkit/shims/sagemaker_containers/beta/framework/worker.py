"""The response object."""

from sagemaker_emulator.containers.toolkit.response import Response

__all__ = ["Response"]
