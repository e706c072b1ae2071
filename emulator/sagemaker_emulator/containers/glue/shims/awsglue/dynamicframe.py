"""``DynamicFrame``, where scripts import it from."""

from sagemaker_emulator.containers.glue.dynamic_frame import DynamicFrame

__all__ = ["DynamicFrame"]
