"""How to deploy an endpoint: the options, checked.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfp_sagemaker.aws.job_arguments import gather_tags
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems


@dataclass(frozen=True)
class Options:
    """How to deploy, checked.

    Attributes:
        endpoint_name: Empty derives one from the run and the configuration.
        update: Members of UpdateEndpoint next to the two names.
        timeout_seconds: How long the endpoint may take.
        keep_superseded_config: Keep what an update replaced.
        keep_failed: Keep what could not be created.
    """

    endpoint_name: str = ""
    update: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: int = 3600
    keep_superseded_config: bool = False
    keep_failed: bool = False


def build(
    session: Session,
    *,
    endpoint_name: str = "",
    deployment_config: Mapping[str, Any] | None = None,
    retain_all_variant_properties: bool = False,
    exclude_retained_variant_properties: Sequence[str] = (),
    timeout_seconds: int = 3600,
    keep_superseded_config: bool = False,
    keep_failed: bool = False,
    tags: Mapping[str, Any] | None = None,
) -> Options:
    """Check how to deploy; calls nothing. The arguments are the component's; the tags are only checked.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("deploy_endpoint")
    problems.name("endpoint_name", endpoint_name)
    problems.between("timeout_seconds", timeout_seconds, 1)
    gather_tags(problems, tags)
    if exclude_retained_variant_properties and not retain_all_variant_properties:
        problems.add(
            "exclude_retained_variant_properties",
            exclude_retained_variant_properties,
            "left out unless retain_all_variant_properties is true",
        )
    builder = RequestBuilder(session.client("sagemaker").meta.service_model, "UpdateEndpoint", problems)
    builder.set("DeploymentConfig", deployment_config, argument="deployment_config")
    if retain_all_variant_properties:
        builder.set("RetainAllVariantProperties", True, argument="retain_all_variant_properties")
    excluded = [{"variant_property_type": item} for item in exclude_retained_variant_properties]
    builder.set("ExcludeRetainedVariantProperties", excluded, argument="exclude_retained_variant_properties")
    update = builder.finish(supplied_later=["EndpointName", "EndpointConfigName"])
    return Options(endpoint_name, update, timeout_seconds, keep_superseded_config, keep_failed)
