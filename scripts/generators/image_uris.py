"""Image URIs of the built-in algorithms and framework containers, from the locked SageMaker SDK's own data.

The SDK is asked for every algorithm, version and region it knows, and its answers are folded into a small table:
accounts by region (shared by most algorithms), and a repository and tag for each version.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from scripts.generators.generated import ROOT, Generated

PATH = ROOT / "components/kfp_sagemaker/aws/data/image_uris.json"

# The SDK's names: the built-in algorithms, and the containers the components run scripts and analyses in.
ALGORITHMS = (
    "blazingtext",
    "clarify",
    "factorization-machines",
    "forecasting-deepar",
    "image-classification",
    "ipinsights",
    "kmeans",
    "knn",
    "lda",
    "linear-learner",
    "model-monitor",
    "ntm",
    "object-detection",
    "object2vec",
    "pca",
    "randomcutforest",
    "semantic-segmentation",
    "seq2seq",
    "sklearn",
    "spark",
    "sparkml-serving",
    "xgboost",
)
# An instance type for which the SDK answers with its image for Graviton processors.
_ARM64_INSTANCE = "ml.m6g.large"
_URI = re.compile(r"(?P<account>\d+)\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<domain>[^/]+)/(?P<image>.+)")


def generate() -> Iterable[Generated]:
    """Build the table."""
    accounts: list[dict[str, str]] = []
    domains: dict[str, str] = {}
    algorithms = {name: _algorithm(name, accounts, domains) for name in ALGORITHMS}
    table = {
        "source": f"sagemaker-core {importlib.metadata.version('sagemaker-core')}",
        "arm64_families": _arm64_families(),
        "domains": dict(sorted(domains.items())),
        "accounts": accounts,
        "algorithms": algorithms,
    }
    yield Generated(PATH, json.dumps(table, indent=1) + "\n")


def sdk_versions(name: str) -> dict[str, list[str]]:
    """The versions the SDK has of an algorithm, each with the regions that have an image of it."""
    config = _config(name)
    scoped = [config] if "versions" in config else [config[scope] for scope in config if scope != "inference_graviton"]
    versions: dict[str, list[str]] = {}
    for scope in scoped:
        for version, details in scope["versions"].items():
            versions.setdefault(version, list(details["registries"]))
    return versions


def sdk_uri(name: str, region: str, version: str, instance_type: str | None = None) -> str:
    """The SDK's answer; for Spark, which has several Pythons, that with the newest."""
    pythons: list[str] = _details(name, version).get("py_versions") or []
    return str(
        _sdk().retrieve(
            name,
            region,
            version=version or None,
            py_version=max(pythons, key=_numbers) if name == "spark" else None,
            instance_type=instance_type or "ml.m5.large",
            image_scope=_scope(name, version),
        )
    )


def _algorithm(name: str, accounts: list[dict[str, str]], domains: dict[str, str]) -> dict[str, Any]:
    versions: dict[str, Any] = {}
    for version, regions in sdk_versions(name).items():
        by_region = {}
        images = set()
        for region in regions:
            match = _URI.fullmatch(sdk_uri(name, region, version))
            if match is None or match["region"] != region:
                raise ValueError(f"{name} {version} {region}: the SDK's answer has an unknown form")
            by_region[region] = match["account"]
            images.add(match["image"])
            domains[region] = match["domain"]
        if len(images) != 1:
            raise ValueError(f"{name} {version}: the image differs between regions: {sorted(images)}")
        by_region = dict(sorted(by_region.items()))
        if by_region not in accounts:
            accounts.append(by_region)
        entry = {"image": images.pop(), "accounts": accounts.index(by_region)}
        arm64 = _arm64_image(name, version, regions[0])
        versions[version] = entry | ({"arm64_image": arm64} if arm64 else {})
    return {"default_version": max(versions, key=_numbers), "versions": versions}


def _arm64_image(name: str, version: str, region: str) -> str:
    if version not in _config(name).get("inference_graviton", {}).get("versions", {}):
        return ""
    match = _URI.fullmatch(sdk_uri(name, region, version, _ARM64_INSTANCE))
    return match["image"] if match else ""


def _arm64_families() -> list[str]:
    from sagemaker.core.fw_utils import GRAVITON_ALLOWED_TARGET_INSTANCE_FAMILY

    return sorted(GRAVITON_ALLOWED_TARGET_INSTANCE_FAMILY)


def _scope(name: str, version: str) -> str:
    """The first of the SDK's image scopes that has this version; algorithms have one image for all of them."""
    config = _config(name)
    if "versions" in config:
        return str(config["scope"][0])
    return next(
        scope
        for scope in ("training", "inference", "processing")
        if version in config.get(scope, {}).get("versions", {})
    )


@cache
def _config(name: str) -> dict[str, Any]:
    return dict(_sdk().config_for_framework(name))


@cache
def _sdk() -> Any:
    """The SDK's module, kept from reading botocore's endpoint table anew for each of some thousand answers."""
    from sagemaker.core import common_utils, image_uris

    common_utils._botocore_resolver = cache(common_utils._botocore_resolver)
    return image_uris


def _details(name: str, version: str) -> dict[str, Any]:
    config = _config(name)
    scope = config if "versions" in config else config[_scope(name, version)]
    return dict(scope["versions"][version])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
