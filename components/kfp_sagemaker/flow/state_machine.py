"""A flow as an Amazon States Language definition: what Step Functions runs in place of a cluster.

Each job is created under its own name. When AWS says that the name exists, an earlier execution of the same commit made
it: its result is taken, and nothing is paid twice.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.names import attempt_name, request_hash
from kfp_sagemaker.aws.run_context import RunContext
from kfp_sagemaker.aws.tags import run_tags
from kfp_sagemaker.flow.gates import absolute
from kfp_sagemaker.flow.plan import GATES, TRAIN, TUNE, Plan
from kfp_sagemaker.flow.requests import PLACEHOLDER, Request

State = dict[str, Any]
METRICS_FILE = "metrics.json"
FAILED, DONE = "Failed", "Done"
_WAIT_SECONDS = 30
_ENDPOINT_WAIT_SECONDS = 10
_JOBS = ("TrainingJob", "HyperParameterTuningJob", "ProcessingJob", "TransformJob")
# What passes by itself: no instances at the moment (quota or capacity), and Glue at its limit of concurrent runs.
_RETRY = {
    "sagemaker": {
        "ErrorEquals": ["SageMaker.ResourceLimitExceededException"],
        "IntervalSeconds": 60,
        "BackoffRate": 2,
        "MaxAttempts": 5,
    },
    "glue": {
        "ErrorEquals": ["Glue.ConcurrentRunsExceededException", "Glue.ResourceNumberLimitExceededException"],
        "IntervalSeconds": 60,
        "BackoffRate": 2,
        "MaxAttempts": 5,
    },
}
_EXISTS = {
    # Jobs have an error of their own for it; of models and endpoints SageMaker only says so in a sentence.
    **dict.fromkeys(_JOBS, "SageMaker.ResourceInUseException"),
    "Model": "SageMaker.AmazonSageMakerException",
    "EndpointConfig": "SageMaker.AmazonSageMakerException",
}


def definition(plan: Plan, requests: Sequence[Request], attempts: Mapping[str, int] | None = None) -> State:
    """The state machine of a flow.

    Args:
        plan: The flow's plan, for the engine ``stepfunctions``.
        requests: Its requests, of :func:`kfp_sagemaker.flow.requests.build`.
        attempts: Of :func:`kfp_sagemaker.flow.outcome.next_attempts`, where earlier ones have failed; 1 by default.

    Returns:
        The definition.
    """
    return _Machine(plan, attempts or {}).build(requests)


class _Machine:
    """Strings states together: each new one follows what is open."""

    def __init__(self, plan: Plan, attempts: Mapping[str, int]) -> None:
        self.plan = plan
        self.attempts = attempts
        self.states: dict[str, State] = {}
        self.start = ""
        self.open: list[State] = []  # states, or rules of a choice, that lead to whatever comes next
        self.outputs: Mapping[str, str] = {}
        self.skips: list[State] = []  # what leads past the next state

    def build(self, requests: Sequence[Request]) -> State:
        self.outputs = _outputs(requests)
        for request in requests:
            if request.task.name == "deploy" and request.noun == "EndpointConfig":
                self._gates()
            self._request(request)
        if not any(request.task.name == "deploy" for request in requests):
            self._gates()
        self._add(DONE, {"Type": "Pass", "Parameters": self._results(requests), "End": True})
        self.states[FAILED] = {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"}
        flow, setting = self.plan.flow, self.plan.setting
        comment = f"{flow.name} at commit {setting.commit}, rendered by kfp-sagemaker"
        return {"Comment": comment, "StartAt": self.start, "States": self.states}

    def _request(self, request: Request) -> None:
        if request.noun == "Endpoint":
            self._endpoint(request)
        elif request.noun == "Job":
            self._glue_job(request)
        elif request.noun == "JobRun":
            self._task(request, "arn:aws:states:::glue:startJobRun.sync", {"JobName": request.name})
            self.open += self.skips
        elif request.noun in _JOBS:
            self._job(request)
        else:
            self._resource(request)

    def _job(self, request: Request) -> None:
        """Create and wait; or, when it exists, look how it ended."""
        noun, step = request.noun, request.step
        name = self._name(request)
        create = self._task(request, f"arn:aws:states:::sagemaker:create{noun}.sync", {f"{noun}Name": name})
        find, found, wait = f"Find {step}", f"How {step} ended", f"Wait for {step}"
        create["Catch"].insert(0, _catch(_EXISTS[noun], find))
        after_create, self.open = self.open, []
        self._add(find, self._describe(request, name, found), chained=False)
        status = f"$.{_key(step)}.{noun}Status"
        ended = {"Variable": status, "StringEquals": "Completed"}
        runs = [{"Variable": status, "StringEquals": each} for each in ("InProgress", "Stopping")]
        self.states[found] = {
            "Type": "Choice",
            "Choices": [ended, {"Or": runs, "Next": wait}],
            "Default": f"{step} is spent",
        }
        self.states[wait] = {"Type": "Wait", "Seconds": _WAIT_SECONDS, "Next": find}
        self.states[f"{step} is spent"] = {
            "Type": "Fail",
            "Error": "JobFailed",
            "Cause": f"{name} of an earlier execution did not complete; `kfp-sagemaker flow run` takes another name",
        }
        self.open = [*after_create, ended]

    def _resource(self, request: Request) -> None:
        """A model or an endpoint configuration: its name says its content, so one that exists is the same."""
        noun, name = request.noun, request.name
        create = self._task(request, f"arn:aws:states:::sagemaker:create{noun}", {f"{noun}Name": name})
        find = f"Find: {request.step.lower()}"
        create["Catch"].insert(0, _catch(_EXISTS[noun], find))
        after_create, self.open = self.open, []
        described = self._describe(request, name, "")
        # What could not be found had not been there: the creation's own error counts.
        described["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.lookup", "Next": FAILED}]
        self._add(find, described, chained=False)
        self.open = [*after_create, described]

    def _glue_job(self, request: Request) -> None:
        """A Glue job made of a script: its name says its content, so a run that succeeded is not repeated."""
        find, found = "Find Preprocess", "How Preprocess ended"
        look = {"JobName": request.name, "MaxResults": 1}
        runs = self._state("arn:aws:states:::aws-sdk:glue:getJobRuns", look, "preprocess")
        runs["Catch"].insert(0, _catch("Glue.EntityNotFoundException", request.step))
        self._add(find, {**runs, "Next": found})
        last = "$.preprocess.JobRuns[0].JobRunState"
        succeeded: State = {
            "And": [{"Variable": last, "IsPresent": True}, {"Variable": last, "StringEquals": "SUCCEEDED"}]
        }
        self.states[found] = {"Type": "Choice", "Choices": [succeeded], "Default": "Preprocess"}
        self.open, self.skips = [], [succeeded]
        parameters = {"Name": request.name, **request.parameters, "Tags": self._tags(request)}
        self._add(request.step, self._state("arn:aws:states:::aws-sdk:glue:createJob", parameters, "glue_job"))

    def _endpoint(self, request: Request) -> None:
        """Create the endpoint or update it, and wait until it serves this configuration."""
        name, config = request.name, request.parameters["EndpointConfigName"]
        look, create, update = "Find endpoint", request.step, "Update endpoint"
        described = self._describe(request, name, "Endpoint is there", key="endpoint")
        described["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.lookup", "Next": create}]
        self._add(look, described)
        self.open = []
        ours = {"Variable": "$.endpoint.EndpointConfigName", "StringEquals": config, "Next": "Look at endpoint"}
        self.states["Endpoint is there"] = {"Type": "Choice", "Choices": [ours], "Default": update}
        parameters = {"EndpointName": name, **request.parameters}
        for step, verb, tags in ((create, "create", self._tags(request)), (update, "update", None)):
            given = {**parameters, "Tags": tags} if tags else parameters
            state = self._state(f"arn:aws:states:::sagemaker:{verb}Endpoint", given, "started")
            self.states[step] = {**state, "Next": "Look at endpoint"}
        self.states["Look at endpoint"] = self._describe(request, name, "Endpoint serves", key="endpoint")
        serves = [
            {"Variable": "$.endpoint.EndpointStatus", "StringEquals": "InService"},
            {"Variable": "$.endpoint.EndpointConfigName", "StringEquals": config},
        ]
        serving: State = {"And": serves}
        ended = [{"Variable": "$.endpoint.EndpointStatus", "StringEquals": each} for each in ("InService", "Failed")]
        self.states["Endpoint serves"] = {
            "Type": "Choice",
            "Choices": [serving, {"Or": ended, "Next": "Deployment failed"}],
            "Default": "Wait for endpoint",
        }
        self.states["Wait for endpoint"] = {
            "Type": "Wait",
            "Seconds": _ENDPOINT_WAIT_SECONDS,
            "Next": "Look at endpoint",
        }
        self.states["Deployment failed"] = {
            "Type": "Fail",
            "Error": "DeploymentFailed",
            "Cause": f"endpoint {name} does not serve {config}: see its FailureReason",
        }
        self.open = [serving]

    def _gates(self) -> None:
        """Read the metrics and hold each gate against them."""
        if not self.plan.evaluation_s3_uri:
            return
        bucket, key = s3.parse_uri(f"{self.plan.evaluation_s3_uri}/{METRICS_FILE}")
        read = self._state("arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": bucket, "Key": key}, "metrics")
        read["ResultSelector"] = {"values.$": "States.StringToJson($.Body)"}
        self._add("Read metrics", read)
        if self.plan.task(GATES) is None:
            return
        for number, gate in enumerate(self.plan.flow.gates, 1):
            kind, limit = absolute(gate, self.plan.setting.main_metrics)
            if limit is None:
                continue  # nothing on main to be worse than
            variable = f"$.metrics.values.{gate.metric}"
            comparison = "NumericGreaterThanEquals" if kind == "at_least" else "NumericLessThanEquals"
            passed: State = {
                "And": [{"Variable": variable, "IsPresent": True}, {"Variable": variable, comparison: limit}]
            }
            missed = f"Gate {number} missed"
            words = f"{gate.metric} {kind.replace('_', ' ')} {limit:g}"
            self._add(f"Gate {number}: {words}", {"Type": "Choice", "Choices": [passed], "Default": missed})
            self.open = [passed]
            self.states[missed] = {"Type": "Fail", "Error": "GateMissed", "Cause": f"the gate asks for {words}"}

    def _task(self, request: Request, resource: str, name: State) -> State:
        parameters = {**name, **_with_paths(request.parameters, self.outputs)}
        if request.service == "sagemaker":
            parameters["Tags"] = self._tags(request)
        state = self._state(resource, parameters, _key(request.step))
        state["Retry"] = [_RETRY[request.service]]
        self._add(request.step, state)
        return state

    def _describe(self, request: Request, name: str, following: str, *, key: str = "") -> State:
        resource = f"arn:aws:states:::aws-sdk:sagemaker:describe{request.noun}"
        state = self._state(resource, {f"{request.noun}Name": name}, key or _key(request.step))
        return {**state, "Next": following} if following else state

    def _state(self, resource: str, parameters: Mapping[str, Any], key: str) -> State:
        return {
            "Type": "Task",
            "Resource": resource,
            "Parameters": dict(parameters),
            "ResultPath": f"$.{key}",
            "Catch": [_catch("States.ALL", FAILED)],
        }

    def _add(self, name: str, state: State, *, chained: bool = True) -> None:
        """Put a state after whatever is open, and leave it open itself."""
        self.states[name] = state
        if not chained:
            return
        for each in self.open:
            each["Next"] = name
        self.start = self.start or name
        self.open = [] if state.get("End") or state["Type"] == "Choice" else [state]

    def _tags(self, request: Request) -> Any:
        run = RunContext(self.plan.run_id, self.plan.flow.name, request.task.name)
        tags = run_tags(run, self.plan.flow.tags, request_hash=request_hash(request.parameters))
        return {tag["Key"]: tag["Value"] for tag in tags} if request.service == "glue" else tags

    def _name(self, request: Request) -> str:
        longest = 32 if request.noun == "HyperParameterTuningJob" else 63
        return attempt_name(request.name, self.attempts.get(f"{request.noun} {request.name}", 1), longest)

    def _results(self, requests: Sequence[Request]) -> State:
        jobs = {_key(each.step): each.noun for each in requests if each.noun in _JOBS}
        results: State = {f"{key}_job_name.$": f"$.{key}.{noun}Name" for key, noun in jobs.items()}
        results["model_data_url.$"] = next(iter(_outputs(requests).values()))
        if self.plan.evaluation_s3_uri:
            results["metrics.$"] = "$.metrics.values"
        return results


def _outputs(requests: Sequence[Request]) -> dict[str, str]:
    """What stands for an output of a task in the built requests, to where the state's input has it."""
    trainer = next(each for each in requests if each.noun in ("TrainingJob", "HyperParameterTuningJob"))
    if trainer.noun == "TrainingJob":
        return {PLACEHOLDER.format(task=TRAIN, name="model_data_url"): "$.train.ModelArtifacts.S3ModelArtifacts"}
    base = trainer.parameters["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    best = "$.tune.BestTrainingJob.TrainingJobName"
    expression = f"States.Format('{base}/{{}}/output/model.tar.gz', {best})"
    return {PLACEHOLDER.format(task=TUNE, name="best_model_data_url"): expression}


def _with_paths(value: Any, outputs: Mapping[str, str]) -> Any:
    """The value with a path in place of each placeholder, which Amazon States Language wants said in the key."""
    if isinstance(value, Mapping):
        return {
            f"{key}.$" if isinstance(item, str) and item in outputs else key: _with_paths(item, outputs)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_paths(item, outputs) for item in value]
    return outputs.get(value, value) if isinstance(value, str) else value


def _catch(error: str, following: str) -> State:
    return {"ErrorEquals": [error], "ResultPath": "$.error", "Next": following}


def _key(step: str) -> str:
    """Where a state's result is kept: its name as an identifier."""
    return step.lower().replace(" ", "_")
