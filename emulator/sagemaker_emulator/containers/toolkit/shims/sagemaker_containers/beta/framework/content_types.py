"""Content types by name."""

from sagemaker_emulator.containers.formats import ANY, CSV, JSON, NPY
from sagemaker_emulator.containers.toolkit.encoders import UTF8_TYPES

OCTET_STREAM = "application/octet-stream"

__all__ = ["ANY", "CSV", "JSON", "NPY", "OCTET_STREAM", "UTF8_TYPES"]
