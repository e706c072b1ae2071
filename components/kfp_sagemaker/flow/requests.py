"""The AWS requests a flow's tasks make, built and checked by the same work modules that the components call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import botocore.session

from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.endpoints import deploy, endpoint_config
from kfp_sagemaker.evaluation.evaluate import Question
from kfp_sagemaker.flow.arguments import as_text
from kfp_sagemaker.flow.plan import Output, Plan, Task
from kfp_sagemaker.glue.request import GlueRun, build_requests
from kfp_sagemaker.models import model
from kfp_sagemaker.processing import request as processing
from kfp_sagemaker.training import request as training
from kfp_sagemaker.transform import request as transform
from kfp_sagemaker.tuning import request as tuning

# Stands for what an earlier task returns: an S3 URI, so that it passes the checks of one.
PLACEHOLDER = "s3://output-of-{task}/{name}"
_TRUTH_PATH = "/opt/ml/processing/input/truth"
_PREDICTIONS_PATH = "/opt/ml/processing/input/predictions"
_OUTPUT_PATH = "/opt/ml/processing/output"


@dataclass(frozen=True)
class Request:
    """A call that creates something.

    Attributes:
        task: The task that makes it.
        step: What it is for, in words; a state's name.
        service: ``sagemaker`` or ``glue``.
        noun: What it makes, as the API spells it, such as ``TrainingJob``.
        name: Name of what it makes.
        parameters: The request without name and tags.
    """

    task: Task
    step: str
    service: str
    noun: str
    name: str
    parameters: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """The API operation, such as ``CreateTrainingJob``."""
        return {"JobRun": "StartJobRun"}.get(self.noun, f"Create{self.noun}")


def offline_session(region: str) -> Session:
    """A session to build requests with, which has no credentials and calls nothing.

    Args:
        region: The region; empty takes the environment's.

    Raises:
        ConfigurationError: The region is none, or there is none.
    """
    known = open_session(region)
    core = botocore.session.get_session()
    core.set_credentials("offline", "offline")
    return Session(core, known.region, known.partition, known.dns_suffix)


def build(plan: Plan, session: Session) -> list[Request]:
    """The requests of a flow in order.

    Args:
        plan: The flow's plan.
        session: For region and service models; nothing is called.

    Returns:
        The requests. A task that runs inside the step and makes none has none.

    Raises:
        InputError: A request is wrong.
    """
    return [request for task in plan.tasks for request in _BUILDERS[task.component](task, plan, session)]


def _glue(task: Task, plan: Plan, session: Session) -> list[Request]:
    del plan
    run = GlueRun(**_known(GlueRun, task.arguments))
    job, start = build_requests(run, session.client("glue").meta.service_model)
    parameters = {name: value for name, value in start.items() if name != "JobName"}
    made = [Request(task, "Preprocess", "glue", "JobRun", run.job_name, parameters)]
    if job:
        described = {name: value for name, value in job.items() if name != "Name"}
        made.insert(0, Request(task, "Create Glue job", "glue", "Job", run.job_name, described))
    return made


def _process(task: Task, plan: Plan, session: Session) -> list[Request]:
    del plan
    return [_processing_request(task, "Preprocess", task.arguments, session)]


def _step(task: Task, plan: Plan, session: Session) -> list[Request]:
    """A component of the suite: with Step Functions, which has no steps of its own, a processing job."""
    if plan.setting.engine != "stepfunctions":
        return []
    given = {name: value for name, value in task.arguments.items() if name != "region"}
    pairs = [(f"--{name}", as_text(value)) for name, value in given.items()]
    output = task.arguments["output_s3_uri"]
    arguments = {
        "role_arn": plan.setting.role_arn,
        "image_uri": plan.setting.analyzer_image,
        "container_entrypoint": ["python3", "-m", "kfp_sagemaker.flow.step", task.component],
        "container_arguments": [part for pair in pairs for part in pair],
        "max_runtime_seconds": 3600,
        "job_name": output.rstrip("/").rpartition("/")[2],
    }
    return [_processing_request(task, "Preprocess", arguments, session)]


def _train(task: Task, plan: Plan, session: Session) -> list[Request]:
    del plan
    job = training.TrainingJob(**_known(training.TrainingJob, task.arguments))
    built = training.build_request(job, region=session.region, service_model=_model(session))
    return [Request(task, "Train", "sagemaker", "TrainingJob", job.job_name, built)]


def _tune(task: Task, plan: Plan, session: Session) -> list[Request]:
    del plan
    job = tuning.TuningJob(**_known(tuning.TuningJob, task.arguments))
    built = tuning.build_request(job, region=session.region, service_model=_model(session))
    return [Request(task, "Tune", "sagemaker", "HyperParameterTuningJob", job.job_name, built)]


def _create_model(task: Task, plan: Plan, session: Session) -> list[Request]:
    del plan
    arguments = _filled(task.arguments)
    built = model.build_request(session, **{name: arguments[name] for name in ("role_arn", "containers", "model_name")})
    return [Request(task, "Create model", "sagemaker", "Model", task.arguments["model_name"], built)]


def _evaluate(task: Task, plan: Plan, session: Session) -> list[Request]:
    if "endpoint_name" in task.arguments:
        return []  # the step asks the endpoint itself
    arguments = {**task.arguments, "model_name": _model_name(plan)}
    question = Question(**_known(Question, arguments))
    predicting = transform.build_request(question.transform_job(), service_model=_model(session))
    name = task.arguments["job_name"]
    predict = Request(task, "Predict", "sagemaker", "TransformJob", name, predicting)
    if plan.setting.engine != "stepfunctions":
        return [predict]
    options = {
        "--problem-type": arguments["problem_type"],
        "--threshold": str(arguments["threshold"]),
        "--positive-label": arguments["positive_label"],
        "--class-names": ",".join(arguments["class_names"]),
        "--title": arguments["title"],
    }
    compare = {
        "role_arn": plan.setting.role_arn,
        "image_uri": plan.setting.analyzer_image,
        "container_entrypoint": ["python3", "-m", "kfp_sagemaker.evaluation"],
        "container_arguments": [part for pair in options.items() if pair[1] for part in pair],
        "inputs": [
            {"name": "truth", "s3_uri": question.test_s3_uri, "local_path": _TRUTH_PATH},
            {"name": "predictions", "s3_uri": question.predictions_s3_uri, "local_path": _PREDICTIONS_PATH},
        ],
        "outputs": [{"name": "evaluation", "s3_uri": question.output_s3_uri, "local_path": _OUTPUT_PATH}],
        "max_runtime_seconds": 3600,
        "job_name": name,
    }
    return [predict, _processing_request(task, "Evaluate", compare, session)]


def _deploy(task: Task, plan: Plan, session: Session) -> list[Request]:
    arguments = task.arguments
    config = endpoint_config.build_request(
        session,
        model_name=_model_name(plan),
        instance_type=arguments["instance_type"],
        initial_instance_count=arguments["initial_instance_count"],
    )
    endpoint_name = arguments["endpoint_name"]
    config_name = deploy.config_name(endpoint_name, config)
    endpoint = {"EndpointConfigName": config_name}
    return [
        Request(task, "Create endpoint configuration", "sagemaker", "EndpointConfig", config_name, config),
        Request(task, "Create endpoint", "sagemaker", "Endpoint", endpoint_name, endpoint),
    ]


def _nothing(task: Task, plan: Plan, session: Session) -> list[Request]:
    del task, plan, session
    return []


_BUILDERS: Mapping[str, Callable[[Task, Plan, Session], list[Request]]] = {
    "run_glue_job": _glue,
    "process": _process,
    "split_dataset": _step,
    "train": _train,
    "tune": _tune,
    "create_model": _create_model,
    "evaluate_model": _evaluate,
    "check_gates": _nothing,
    "deploy_endpoint": _deploy,
}


def _processing_request(task: Task, step: str, arguments: Mapping[str, Any], session: Session) -> Request:
    job = processing.ProcessingJob(**_known(processing.ProcessingJob, arguments))
    built = processing.build_request(job, region=session.region, service_model=_model(session))
    return Request(task, step, "sagemaker", "ProcessingJob", job.job_name, built)


def _model_name(plan: Plan) -> str:
    task = plan.task("model")
    return str(task.arguments["model_name"]) if task else ""


def _model(session: Session) -> Any:
    return session.client("sagemaker").meta.service_model


def _known(kind: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: _filled(value) for name, value in arguments.items() if name in names}


def _filled(value: Any) -> Any:
    """The value with a placeholder for each output of an earlier task."""
    if isinstance(value, Output):
        return PLACEHOLDER.format(task=value.task, name=value.name)
    if isinstance(value, Mapping):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item) for item in value]
    return value
