"""Containers of a model: from the dicts people write to AWS's ContainerDefinition.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.aws.validation import Problems

MAX_CONTAINERS = 15
# For RequestBuilder: friendly key to AWS's place.
PLACES = {"multi_model_cache": "MultiModelConfig.ModelCacheSetting"}
# Ours, not AWS's: they become Image and Environment.
_OWN_KEYS = ("algorithm", "algorithm_version", "instance_type", "source_s3_uri", "entry_point")
# Where the serving toolkit looks for scripts that are inside the model archive itself.
_CODE_IN_MODEL = "/opt/ml/model/code"


def build(containers: object, region: str, problems: Problems) -> list[Any]:
    """The container definitions of a model, for ``RequestBuilder`` with ``PLACES`` to check against AWS's model.

    Args:
        containers: One to fifteen dicts, see the component ``create_model``.
        region: The region, for the images of algorithms and for script mode.
        problems: Takes what is wrong.

    Returns:
        One definition a container.
    """
    if not isinstance(containers, list) or not 1 <= len(containers) <= MAX_CONTAINERS:
        problems.add("containers", containers, f"a list of 1 to {MAX_CONTAINERS} dicts")
        return []
    return [_definition(item, region, problems, f"containers[{i}]") for i, item in enumerate(containers)]


def _definition(container: object, region: str, problems: Problems, argument: str) -> Any:
    if not isinstance(container, Mapping):
        return container  # RequestBuilder says what it must be
    own = {key: str(container.get(key) or "") for key in _OWN_KEYS}
    definition = {key: value for key, value in container.items() if key not in _OWN_KEYS}
    _set_image(definition, own, region, problems, argument)
    environment = _script_environment(own, region, problems, argument)
    if environment:
        key = "Environment" if "Environment" in definition else "environment"
        given = definition.get(key) or {}
        definition[key] = {**environment, **given} if isinstance(given, Mapping) else given
    _check_multi_model(definition, problems, argument)
    return definition


def _set_image(
    definition: dict[str, Any], own: Mapping[str, str], region: str, problems: Problems, argument: str
) -> None:
    sources = {
        "image": get(definition, "image", "Image"),
        "algorithm": own["algorithm"],
        "model_package_name": get(definition, "model_package_name", "ModelPackageName"),
    }
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        problems.add(argument, f"with {' and '.join(given) or 'no image'}", f"with exactly one of {', '.join(sources)}")
    elif own["algorithm"]:
        try:
            definition["image"] = image_uri(
                own["algorithm"], region, version=own["algorithm_version"], instance_type=own["instance_type"]
            )
        except InputError as error:
            problems.found += [f"{argument}.algorithm: {problem}" for problem in error.problems]


def _script_environment(own: Mapping[str, str], region: str, problems: Problems, argument: str) -> dict[str, str]:
    """What a script-mode container reads to find its serving script; the SageMaker SDK sets the same."""
    if not own["entry_point"]:
        if own["source_s3_uri"]:
            problems.add(f"{argument}.entry_point", "", "given with source_s3_uri: the script inside the archive")
        return {}
    problems.s3_uri(f"{argument}.source_s3_uri", own["source_s3_uri"])
    return {
        "SAGEMAKER_PROGRAM": own["entry_point"],
        "SAGEMAKER_SUBMIT_DIRECTORY": own["source_s3_uri"] or _CODE_IN_MODEL,
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": region,
    }


def _check_multi_model(definition: dict[str, Any], problems: Problems, argument: str) -> None:
    url = str(get(definition, "model_data_url", "ModelDataUrl") or "")
    if not url.startswith("https://") and not problems.s3_uri(f"{argument}.model_data_url", url):
        # Said better than AWS's pattern would say it again.
        definition.pop("model_data_url", None)
        definition.pop("ModelDataUrl", None)
    multi_model = get(definition, "mode", "Mode") == "MultiModel"
    source = get(definition, "model_data_source", "ModelDataSource")
    if multi_model and not url and not source:
        problems.add(
            f"{argument}.model_data_url", "", "the S3 prefix that holds the archives, because mode is MultiModel"
        )
    if multi_model and url.endswith(".tar.gz"):
        problems.add(f"{argument}.model_data_url", url, "a prefix and not an archive, because mode is MultiModel")
    cached = definition.get("multi_model_cache") or get(definition, "multi_model_config", "MultiModelConfig")
    if cached and not multi_model:
        problems.add(f"{argument}.mode", get(definition, "mode", "Mode"), "MultiModel where multi_model_cache is given")


def check_hostnames(containers: list[Any], problems: Problems) -> None:
    """With ``Direct`` each container is called by its own name."""
    hostnames = [
        get(item, "container_hostname", "ContainerHostname") for item in containers if isinstance(item, Mapping)
    ]
    for index, hostname in enumerate(hostnames):
        if not hostname or hostname in hostnames[:index]:
            problems.add(
                f"containers[{index}].container_hostname", hostname, "given and unique, because mode is Direct"
            )


def get(mapping: Mapping[str, Any], *keys: str) -> Any:
    """The value of the first of the keys that is there."""
    return next((mapping[key] for key in keys if key in mapping), None)
