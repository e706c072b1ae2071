"""Errors user code raises and catches."""

from sagemaker_emulator.containers.formats import UnsupportedFormatError


class ClientError(Exception):
    """The user's error."""


__all__ = ["ClientError", "UnsupportedFormatError"]
