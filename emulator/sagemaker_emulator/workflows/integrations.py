"""What a Task state's resource stands for: an operation of a service, called as it is or waited for (``.sync``).

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html and
https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

from sagemaker_emulator.service_model import ServiceModel

_RESOURCE = re.compile(r"arn:aws[a-z-]*:states:(?P<region>[a-z0-9-]*):\d*:(?P<rest>.+)")
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:.+")
# The optimized integrations whose answer is waited for with .sync have a row in _SYNC too.
_OPTIMIZED = {
    "sagemaker": "createEndpoint createEndpointConfig createHyperParameterTuningJob createModel createProcessingJob "
    "createTrainingJob createTransformJob updateEndpoint",
    "glue": "startJobRun",
    "lambda": "invoke",
    "states": "startExecution",
    "sns": "publish",
    "sqs": "sendMessage",
    "events": "putEvents",
    "dynamodb": "getItem putItem updateItem deleteItem",
}
# Names the integrations have for services where they are not botocore's without hyphens.
_SDK_NAMES = {
    "states": "stepfunctions",
    "sfn": "stepfunctions",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "applicationautoscaling": "application-autoscaling",
}
_ERROR_PREFIXES = {
    "sagemaker": "SageMaker",
    "sagemaker-runtime": "SageMakerRuntime",
    "glue": "Glue",
    "lambda": "Lambda",
    "stepfunctions": "StepFunctions",
    "sns": "SNS",
    "sqs": "SQS",
    "events": "EventBridge",
    "dynamodb": "DynamoDb",
    "s3": "S3",
    "logs": "CloudWatchLogs",
    "iam": "Iam",
    "sts": "Sts",
}


@dataclass(frozen=True)
class Sync:
    """How the end of what an operation started is found.

    Attributes:
        describe: The operation that describes it.
        stop: The operation that ends it.
        status: The status in the description.
        running: Statuses that mean: ask again.
        succeeded: The status that means: done.
        describe_parameters: From the request and its answer.
        stop_parameters: From the request and its answer.
        member: Where the answer holds the description; empty when it is the description.
        rule: The managed EventBridge rule the execution role has to be allowed to make; empty when none.
    """

    describe: str
    stop: str
    status: str
    running: frozenset[str]
    succeeded: str
    describe_parameters: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
    stop_parameters: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
    member: str = ""
    rule: str = ""


def _sagemaker(noun: str, rule: str) -> Sync:
    def name(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        del answer
        return {f"{noun}Name": request[f"{noun}Name"]}

    return Sync(
        f"Describe{noun}",
        f"Stop{noun}",
        f"{noun}Status",
        frozenset({"InProgress", "Stopping"}),
        "Completed",
        name,
        name,
        rule=f"StepFunctionsGetEventsForSageMaker{rule}Rule",
    )


def _execution(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    del request
    return {"executionArn": answer["executionArn"]}


_SYNC = {
    ("sagemaker", "CreateTrainingJob"): _sagemaker("TrainingJob", "TrainingJobs"),
    ("sagemaker", "CreateTransformJob"): _sagemaker("TransformJob", "TransformJobs"),
    ("sagemaker", "CreateProcessingJob"): _sagemaker("ProcessingJob", "ProcessingJobs"),
    ("sagemaker", "CreateHyperParameterTuningJob"): _sagemaker("HyperParameterTuningJob", "TuningJobs"),
    ("glue", "StartJobRun"): Sync(
        "GetJobRun",
        "BatchStopJobRun",
        "JobRunState",
        frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"}),
        "SUCCEEDED",
        lambda request, answer: {"JobName": request["JobName"], "RunId": answer["JobRunId"]},
        lambda request, answer: {"JobName": request["JobName"], "JobRunIds": [answer["JobRunId"]]},
        member="JobRun",
    ),
    ("stepfunctions", "StartExecution"): Sync(
        "DescribeExecution",
        "StopExecution",
        "status",
        frozenset({"RUNNING", "PENDING_REDRIVE"}),
        "SUCCEEDED",
        _execution,
        _execution,
        rule="StepFunctionsGetEventsForStepFunctionsExecutionRule",
    ),
}


@dataclass(frozen=True)
class Integration:
    """What a resource stands for.

    Attributes:
        service: botocore's name of the service.
        operation: The operation as the API spells it.
        resource_type: What history events call the service, such as ``sagemaker`` or ``aws-sdk:s3``.
        resource: What they call the operation, such as ``createTrainingJob.sync``.
        region: Where it is called; empty for the state machine's region.
        sync: How its end is found; None when only its answer counts.
        function_arn: The Lambda function a resource names directly.
    """

    service: str
    operation: str
    resource_type: str
    resource: str
    region: str = ""
    sync: Sync | None = None
    function_arn: str = ""

    @property
    def is_sdk(self) -> bool:
        """Whether it is one of the generic integrations."""
        return self.resource_type.startswith("aws-sdk:")

    @property
    def parses_output(self) -> bool:
        """Whether the output of an execution that is waited for comes as JSON, not as text."""
        return self.resource.endswith(".sync:2")

    @property
    def error_prefix(self) -> str:
        """What the names of its errors begin with."""
        default = "".join(word.capitalize() for word in self.service.split("-"))
        return _ERROR_PREFIXES.get(self.service, default)


@functools.lru_cache(maxsize=256)
def find(resource: str) -> Integration:
    """Return what a resource stands for.

    Args:
        resource: The ARN in a Task state.

    Raises:
        ValueError: It is malformed, unknown, or nothing the emulator runs.
    """
    if _FUNCTION.fullmatch(resource):
        return Integration("lambda", "Invoke", "lambda", "invoke", function_arn=resource)
    match = _RESOURCE.fullmatch(resource)
    if not match:
        raise ValueError(f"{resource!r} is no resource of a task")
    rest = match["rest"]
    if rest.startswith("activity:") or ".waitForTaskToken" in rest:
        raise ValueError(f"sagemaker-emulator implements neither activities nor callbacks: {resource!r}")
    resource_type, _, name = rest.rpartition(":") if not rest.endswith(".sync:2") else _split_second(rest)
    call, _, pattern = name.partition(".")
    is_sdk = resource_type.startswith("aws-sdk:")
    service_name = resource_type.removeprefix("aws-sdk:")
    if not is_sdk and call not in _OPTIMIZED.get(service_name, "").split():
        raise ValueError(
            f"sagemaker-emulator has no optimized integration {rest!r}; an API call may be made with "
            f"arn:aws:states:::aws-sdk:SERVICE:ACTION"
        )
    service, operation = _service(service_name), call[:1].upper() + call[1:]
    if not service or operation not in model(service).operations:
        raise ValueError(f"{rest!r} names no operation of an AWS service")
    sync = None
    if pattern:
        sync = None if is_sdk else _SYNC.get((service, operation))
        if sync is None or pattern not in ("sync", *(("sync:2",) if service == "stepfunctions" else ())):
            raise ValueError(f"{rest!r}: there is no .{pattern} of this operation")
    return Integration(service, operation, resource_type, name, match["region"], sync)


def check(resource: str, parameters: Any) -> None:
    """Check a Task state's resource, and that its parameters are the operation's.

    Raises:
        ValueError: They are not.
    """
    integration = find(resource)
    if integration.function_arn or not isinstance(parameters, dict):
        return
    service = model(integration.service)
    input_shape = service.operations[integration.operation].input_shape
    members = service.shape(input_shape).members if input_shape else {}
    known = {capitalised(member) for member in members}
    given = {name.removesuffix(".$") for name in parameters}
    for name in sorted(given - known):
        raise ValueError(f"The field '{name}' is not supported by Step Functions for {integration.operation}")
    for name in sorted({capitalised(member) for member in service.shape(input_shape).required} - given):
        raise ValueError(f"The field '{name}' is required by {integration.operation} but was missing")


def resources(machine: Any) -> Iterator[str]:
    """Yield the resource of every Task state of a definition, those of branches and maps included."""
    if isinstance(machine, list):
        for item in machine:
            yield from resources(item)
    elif isinstance(machine, dict):
        if machine.get("Type") == "Task" and isinstance(machine.get("Resource"), str):
            yield machine["Resource"]
        for item in machine.values():
            yield from resources(item)


@functools.lru_cache(maxsize=32)
def model(service: str) -> ServiceModel:
    """Return botocore's model of a service; loading one takes a tenth of a second."""
    return ServiceModel(service)


def capitalised(name: str) -> str:
    """Return a member's name as state machines spell it: ``stateMachineArn`` is ``StateMachineArn`` there."""
    return name[:1].upper() + name[1:]


def _split_second(rest: str) -> tuple[str, str, str]:
    resource_type, _, call = rest.removesuffix(":2").rpartition(":")
    return resource_type, ":", f"{call}:2"


def _service(name: str) -> str:
    if name in _SDK_NAMES:
        return _SDK_NAMES[name]
    folders = Path(Loader.BUILTIN_DATA_PATH).iterdir()
    return next((folder.name for folder in folders if folder.is_dir() and folder.name.replace("-", "") == name), "")
