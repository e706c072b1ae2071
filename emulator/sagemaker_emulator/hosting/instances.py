"""How much memory an instance type has: the budget of a multi-model container, and what utilisation is a share of."""

from __future__ import annotations

GIB = 1024**3
MIB = 1024**2

DEFAULT_VOLUME_GIB = 30
"""Storage of an instance whose variant names no ``VolumeSizeInGB``."""

# https://aws.amazon.com/sagemaker/pricing/: memory follows the family's ratio to the vCPUs, with these exceptions.
_VCPUS = {"medium": 1, "large": 2, "xlarge": 4}
_GIB_PER_VCPU = {"c": 2.0, "m": 4.0, "r": 8.0, "g": 4.0, "g6e": 8.0, "c4": 1.875, "inf1": 2.0, "inf2": 4.0}
_EXCEPTIONS_GIB = {
    "ml.t2.medium": 4,
    "ml.t2.large": 8,
    "ml.t2.xlarge": 16,
    "ml.t2.2xlarge": 32,
    "ml.p2.xlarge": 61,
    "ml.p2.8xlarge": 488,
    "ml.p3.2xlarge": 61,
    "ml.p3.8xlarge": 244,
}
_GIB_PER_VCPU_OTHERWISE = 4.0


def memory_bytes(instance_type: str) -> int:
    """Return the memory of an instance type.

    Args:
        instance_type: Such as ``ml.m5.large``.

    Raises:
        ValueError: It is not of the form ``ml.<family>.<size>``.
    """
    if (gib := _EXCEPTIONS_GIB.get(instance_type)) is not None:
        return gib * GIB
    try:
        _, family, size = instance_type.split(".")
        # 2xlarge is twice an xlarge, and so on; metal sizes are not offered for hosting.
        vcpus = _VCPUS[size] if size in _VCPUS else 4 * int(size.removesuffix("xlarge"))
    except (ValueError, KeyError) as error:
        raise ValueError(f"Not an instance type: {instance_type!r}; expected the form ml.m5.large") from error
    ratio = _GIB_PER_VCPU.get(family) or _GIB_PER_VCPU.get(family[0]) or _GIB_PER_VCPU_OTHERWISE
    return int(vcpus * ratio * GIB)
