"""Create a SageMaker model, or find the one an earlier attempt of the step made.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import names, run_context
from kfp_sagemaker.aws import tags as run_tags
from kfp_sagemaker.aws.call_errors import aws_errors, error_message
from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import NameTakenError
from kfp_sagemaker.aws.job_arguments import gather_tags
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.models import containers as model_containers

EXECUTION_MODES = ("Serial", "Direct")
# What leaving a member out means, where that matters when two models are compared.
_DEFAULTS: dict[str, Any] = {
    "Mode": "SingleModel",
    "Environment": {},
    "EnableNetworkIsolation": False,
    "VpcConfig": None,
}


class Model(NamedTuple):
    """A model that exists."""

    model_name: str
    model_arn: str


def build_request(
    session: Session,
    *,
    role_arn: str,
    containers: list[dict[str, Any]],
    inference_execution_mode: str = "Serial",
    subnet_ids: list[str] | None = None,
    security_group_ids: list[str] | None = None,
    enable_network_isolation: bool = False,
    model_name: str = "",
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The CreateModel request without name and tags; calls nothing.

    Args:
        session: For the region and AWS's model of the request.
        role_arn: See the component, as for the others.
        containers: One to fifteen.
        inference_execution_mode: ``Serial`` or ``Direct``.
        subnet_ids: Of the VPC.
        security_group_ids: Of the VPC.
        enable_network_isolation: No network at all.
        model_name: For ``create``; only checked here, with everything else.
        tags: For ``create``; only checked here.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("create_model")
    problems.name("model_name", model_name)
    gather_tags(problems, tags)
    problems.required("role_arn", role_arn)
    problems.one_of("inference_execution_mode", inference_execution_mode, EXECUTION_MODES)
    if bool(subnet_ids) != bool(security_group_ids):
        problems.add("security_group_ids", security_group_ids, "given together with subnet_ids")
    definitions = model_containers.build(containers, session.region, problems)
    builder = RequestBuilder(session.client("sagemaker").meta.service_model, "CreateModel", problems)
    builder.set("ExecutionRoleArn", role_arn, argument="role_arn")
    builder.set("VpcConfig.Subnets", subnet_ids, argument="subnet_ids")
    builder.set("VpcConfig.SecurityGroupIds", security_group_ids, argument="security_group_ids")
    builder.set("Containers", definitions, argument="containers", places=model_containers.PLACES)
    if len(definitions) > 1 and inference_execution_mode == "Direct":
        model_containers.check_hostnames(definitions, problems)
    request = builder.finish(supplied_later=["ModelName"])
    if len(definitions) == 1:
        request["PrimaryContainer"] = request.pop("Containers")[0]
    else:
        request["InferenceExecutionConfig"] = {"Mode": inference_execution_mode}
    if enable_network_isolation:
        request["EnableNetworkIsolation"] = True
    return request


def create(
    session: Session, request: Mapping[str, Any], *, model_name: str = "", tags: Mapping[str, str] | None = None
) -> Model:
    """Create the model, or return the one of that name when it is the same.

    Args:
        session: The step's session.
        request: From ``build_request``.
        model_name: Empty derives one from the run and the request.
        tags: The user's tags.

    Raises:
        NameTakenError: The name belongs to a model that differs.
        AwsCallError: AWS refused.
    """
    run = run_context.current()
    name = model_name or names.resource_name(run.pipeline_name or "model", request, run)
    all_tags = run_tags.run_tags(run, tags, request_hash=names.request_hash(request))
    client = session.client("sagemaker")
    with aws_errors(f"creating model {name}"):
        try:
            arn = client.create_model(ModelName=name, Tags=all_tags, **request)["ModelArn"]
        except ClientError as error:
            # SageMaker has no code of its own for this: SDK and Airflow match the sentence, too.
            if "already existing" not in error_message(error):
                raise
            return _adopt(client, name, request)
    print_line(f"Created model {name}: {_summary(request)}.")
    return Model(name, arn)


def differences(request: Any, description: Any, path: str = "") -> Iterator[str]:
    """Where a described model is not what the request asks for.

    AWS adds to what it describes (``ModelDataSource`` from a URL), so members only the description has are no
    difference, except where leaving them out means something.

    Args:
        request: A CreateModel request, or a part of it.
        description: The same part of DescribeModel's answer.
        path: Where the part is.

    Yields:
        Paths, such as ``PrimaryContainer.Image``.
    """
    if path.endswith("Environment"):
        if request != description:
            yield path
    elif isinstance(request, Mapping) and isinstance(description, Mapping):
        for key, value in request.items():
            yield from differences(value, description.get(key), f"{path}.{key}" if path else key)
        for key, default in _DEFAULTS.items():
            if key not in request and description.get(key, default) != default:
                yield f"{path}.{key}" if path else key
    elif isinstance(request, list) and isinstance(description, list) and len(request) == len(description):
        for index, value in enumerate(request):
            yield from differences(value, description[index], f"{path}[{index}]")
    elif request != description:
        yield path


def _adopt(client: Any, name: str, request: Mapping[str, Any]) -> Model:
    description = client.describe_model(ModelName=name)
    # A single container is described as PrimaryContainer and several as Containers, each without the other.
    found = [*differences(request, description)]
    if "PrimaryContainer" in request and description.get("Containers"):
        found.append("Containers")
    if found:
        raise NameTakenError(
            f"model {name} exists and differs in {', '.join(found)}: choose another model_name, or delete that model"
        )
    print_line(f"Model {name} exists already and is the same.")
    return Model(name, description["ModelArn"])


def _summary(request: Mapping[str, Any]) -> str:
    definitions = request.get("Containers") or [request["PrimaryContainer"]]
    names_ = [
        f"{item.get('Image') or item.get('ModelPackageName')} ({item.get('Mode', 'SingleModel')})"
        for item in definitions
    ]
    return " -> ".join(names_)
