"""Image URIs of SageMaker's built-in algorithms and framework containers.

The table ``data/image_uris.json`` is generated from the SageMaker SDK's own data (``make generate``); no step imports
the SDK.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Any

from kfp_sagemaker.aws.errors import InputError

# What people call them, beside the SDK's names: the algorithm pages of the SageMaker Developer Guide.
ALIASES = {
    "deepar": "forecasting-deepar",
    "image_classification": "image-classification",
    "k-means": "kmeans",
    "random-cut-forest": "randomcutforest",
    "scikit-learn": "sklearn",
    "scikit_learn": "sklearn",
}


def algorithms() -> list[str]:
    """Names of the algorithms and framework containers the table holds."""
    return sorted(_table()["algorithms"])


def versions(algorithm: str) -> list[str]:
    """Versions the table holds of an algorithm, in the SDK's order."""
    return list(_table()["algorithms"][_canonical(algorithm)]["versions"])


def image_uri(algorithm: str, region: str, *, version: str = "", instance_type: str = "") -> str:
    """The ECR image of a built-in algorithm or framework container.

    Args:
        algorithm: The SDK's name, such as ``linear-learner``, ``xgboost``, ``spark`` or ``sklearn``; a few
            other spellings are taken too, such as ``scikit-learn``.
        region: The region it is to run in.
        version: The container's version, such as ``1.7-1``; empty takes the newest the table holds.
        instance_type: Where it is to run; matters only for Graviton processors, which have their own images.

    Returns:
        The URI of the image.

    Raises:
        InputError: If there is no such algorithm or version, or no image of it in that region or for that processor.
    """
    name = _canonical(algorithm)
    known = _table()["algorithms"]
    if name not in known:
        raise InputError([_unknown("algorithm", algorithm, known)])
    offered = known[name]["versions"]
    chosen = version or known[name]["default_version"]
    if chosen not in offered:
        raise InputError([_unknown(f"version of {name}", version, offered)])
    entry = offered[chosen]
    accounts = _table()["accounts"][entry["accounts"]]
    if region not in accounts:
        raise InputError([_unknown(f"region with an image of {name} {chosen}", region, accounts)])
    image = entry["image"]
    if _is_arm64(instance_type):
        # An algorithm without any image for Graviton is left to SageMaker to refuse, as the SDK does.
        if any("arm64_image" in other for other in offered.values()) and "arm64_image" not in entry:
            arm64 = [label for label, other in offered.items() if "arm64_image" in other]
            raise InputError([_unknown(f"version of {name} for {instance_type}", chosen, arm64)])
        image = entry.get("arm64_image", image)
    return f"{accounts[region]}.dkr.ecr.{region}.{_table()['domains'][region]}/{image}"


@cache
def _table() -> dict[str, Any]:
    text = resources.files("kfp_sagemaker.aws").joinpath("data/image_uris.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _canonical(algorithm: str) -> str:
    return ALIASES.get(algorithm.lower(), algorithm.lower())


def _is_arm64(instance_type: str) -> bool:
    parts = instance_type.split(".")
    return len(parts) == 3 and parts[1] in _table()["arm64_families"]


def _unknown(what: str, value: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(value, list(allowed), n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{value!r} is no {what}{hint} Known are {', '.join(allowed)}"
