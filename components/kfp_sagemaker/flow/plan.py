"""What a flow does, as tasks: components of the suite with their arguments. Every engine is made of this.

Names and places follow from the flow, the commit and what the task is asked to do, and from nothing else: the same
commit finds its finished jobs again, another hyperparameter trains anew on the data that was prepared before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_sagemaker.aws.names import request_hash
from kfp_sagemaker.flow.arguments import glue_arguments, processing_arguments, tuning_ranges, with_output
from kfp_sagemaker.flow.definition import Channel, Flow, Glue, Processing, Step
from kfp_sagemaker.flow.sources import Sources, Upload

RUN_ID_CHARACTERS = 12
_COMMIT_CHARACTERS = 8
_HASH_CHARACTERS = 10
# Room for the "-2" ... of a further attempt, as in aws.names.
_ATTEMPT_CHARACTERS = 4
_LONGEST_NAME, _LONGEST_TUNING_NAME = 63, 32

PREPROCESS, TRAIN, TUNE, MODEL, SERVE, EVALUATE, GATES, DEPLOY = (
    "preprocess",
    "train",
    "tune",
    "model",
    "serve",
    "evaluate",
    "gates",
    "deploy",
)


@dataclass(frozen=True)
class Output:
    """What an earlier task returns, in place of an argument's value."""

    task: str
    name: str

    def __str__(self) -> str:
        return f"{{{self.task}.{self.name}}}"


@dataclass(frozen=True)
class Task:
    """A component and what it is called with.

    Attributes:
        name: The task's name in the flow, such as ``train``.
        component: The component's name.
        arguments: Its arguments; an :class:`Output` may stand for a value, nested ones included.
    """

    name: str
    component: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and for which commit a flow runs.

    Attributes:
        bucket: The bucket.
        region: The region.
        role_arn: Role of SageMaker's jobs.
        glue_role_arn: Role of Glue jobs; empty takes ``role_arn``.
        commit: The commit.
        engine: ``local``, ``kubeflow`` or ``stepfunctions``; Step Functions makes jobs of its own.
        analyzer_image: The suite's image with the extra ``evaluation``: what Step Functions runs components in.
        main_metrics: Metrics of the main branch, for gates that look at them.
    """

    bucket: str
    region: str
    role_arn: str
    glue_role_arn: str = ""
    commit: str
    engine: str = "local"
    analyzer_image: str = ""
    main_metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Plan:
    """A flow's tasks in order, each after the one before it.

    Attributes:
        flow: The flow.
        setting: Where it runs.
        tasks: What it does.
        uploads: What has to lie in S3 before.
        evaluation_s3_uri: Where the evaluation leaves ``metrics.json``; empty without one.
    """

    flow: Flow
    setting: Setting
    tasks: tuple[Task, ...]
    uploads: tuple[Upload, ...]
    evaluation_s3_uri: str = ""

    @property
    def run_id(self) -> str:
        """The same for every run of the same commit with the same engine: the jobs' tags hold it."""
        own = "-sfn" if self.setting.engine == "stepfunctions" else ""
        return f"{self.flow.name}-{self.setting.commit[:RUN_ID_CHARACTERS]}{own}"

    @property
    def digest(self) -> str:
        """Fingerprint of all tasks."""
        return request_hash({task.name: _plain(task.arguments) for task in self.tasks})[:_HASH_CHARACTERS]

    @property
    def passing_endpoint_name(self) -> str:
        """The endpoint that lives for the evaluation only; empty when there is none."""
        task = self.task(SERVE)
        return str(task.arguments["endpoint_name"]) if task else ""

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((task for task in self.tasks if task.name == name), None)


def build(flow: Flow, setting: Setting) -> Plan:
    """Work out what a flow does.

    Args:
        flow: The flow.
        setting: Where it runs.

    Returns:
        The plan. Nothing has been called.
    """
    return _Planner(flow, setting).plan()


_MODEL_NAME = {"model_name": Output(MODEL, "model_name")}


@dataclass
class _Planner:
    flow: Flow
    setting: Setting
    tasks: list[Task] = field(default_factory=list)
    evaluation_s3_uri: str = ""

    def __post_init__(self) -> None:
        self.sources = Sources(self._uri("sources"))

    def plan(self) -> Plan:
        data_s3_uri = self._data()
        self._train(data_s3_uri)
        if self.flow.evaluation or self.flow.deployment:
            self._model()
        if self.flow.evaluation:
            self._evaluate(data_s3_uri)
        if self.flow.gates:
            gates = [{"metric": gate.metric, "kind": gate.kind, "limit": gate.limit} for gate in self.flow.gates]
            main = dict(self.setting.main_metrics or {})
            looked_at = {gate.metric: main[gate.metric] for gate in self.flow.gates if gate.metric in main}
            values = Output(EVALUATE, "metric_values")
            self.tasks.append(
                Task(GATES, "check_gates", {"metric_values": values, "gates": gates, "main_metrics": looked_at})
            )
        if self.flow.deployment:
            self._deploy()
        return Plan(self.flow, self.setting, tuple(self.tasks), self.sources.uploads, self.evaluation_s3_uri)

    def _data(self) -> str:
        """Make the channels; where they lie."""
        source = self.flow.data.source
        if not source.startswith("s3://"):
            source = self.sources.add(source)
        made_by = self.flow.preprocessing
        if made_by is None:
            return source
        if isinstance(made_by, Glue):
            component, arguments = (
                "run_glue_job",
                glue_arguments(
                    made_by, source, role_arn=self.setting.glue_role_arn or self.setting.role_arn, sources=self.sources
                ),
            )
        elif isinstance(made_by, Processing):
            component, arguments = (
                "process",
                processing_arguments(made_by, source, role_arn=self.setting.role_arn, sources=self.sources),
            )
        else:
            component, arguments = made_by.component, {"input_s3_uri": source, **made_by.arguments}
        # Where it writes is named after what it does.
        name = self._name(PREPROCESS, component, arguments)
        output = self._uri(name)
        arguments = with_output(component, arguments, output)
        if component == "process":
            arguments["job_name"] = name
        if component == "run_glue_job" and isinstance(made_by, Glue) and made_by.script:
            arguments["job_name"] = name
        self._add(PREPROCESS, component, arguments)
        return output

    def _train(self, data_s3_uri: str) -> None:
        training = self.flow.training
        resources = training.resources
        arguments: dict[str, Any] = {
            "role_arn": self.setting.role_arn,
            "channels": [self._channel(name, data_s3_uri) for name in self.flow.training_channels],
            **self._program(),
            "hyperparameters": dict(training.hyperparameters),
            "environment": dict(training.environment),
            "metric_definitions": [{"name": each.name, "regex": each.regex} for each in training.metric_definitions],
            "instance_type": resources.instance_type,
            "instance_count": resources.instance_count,
            "volume_size_gb": resources.volume_size_gb,
            "max_runtime_seconds": resources.max_runtime_seconds,
            "use_spot": resources.use_spot,
            "max_wait_seconds": resources.max_wait_seconds,
        }
        arguments = {name: value for name, value in arguments.items() if value not in ({}, [], "", False, 0)}
        if training.tuning is None:
            self._add_job(TRAIN, "train", arguments)
            return
        tuning = training.tuning
        arguments |= {
            "objective_metric_name": tuning.objective.metric_name,
            "objective_type": tuning.objective.type,
            "strategy": tuning.strategy,
            "max_training_jobs": tuning.max_jobs,
            "max_parallel_training_jobs": tuning.max_parallel_jobs,
            "random_seed": tuning.random_seed,
            **tuning_ranges(tuning.ranges),
        }
        self._add_job(TUNE, "tune", arguments, longest=_LONGEST_TUNING_NAME)

    def _program(self) -> dict[str, Any]:
        """The container, for training and serving alike."""
        training = self.flow.training
        if training.algorithm:
            return {"algorithm": training.algorithm.name, "algorithm_version": training.algorithm.version}
        if training.script:
            return {
                "algorithm": training.script.framework,
                "algorithm_version": training.script.framework_version,
                "source_s3_uri": self.sources.add_archive(training.script.source_dir),
                "entry_point": training.script.entry_point,
            }
        return {"training_image": training.image}

    def _model(self) -> None:
        container = {"image" if name == "training_image" else name: value for name, value in self._program().items()}
        trained = Output(TUNE, "best_model_data_url") if self.flow.training.tuning else Output(TRAIN, "model_data_url")
        container |= {"model_data_url": trained}
        if self.flow.training.environment:
            container["environment"] = dict(self.flow.training.environment)
        containers = [{name: value for name, value in container.items() if value != ""}]
        arguments = {"role_arn": self.setting.role_arn, "containers": containers}
        # The model is named after the job that trained it: its arguments are the same for every set of hyperparameters.
        trainer = next(task for task in self.tasks if task.name in (TRAIN, TUNE))
        name = self._name(MODEL, "create_model", {**arguments, "of": trainer.arguments["job_name"]})
        self._add(MODEL, "create_model", {**arguments, "model_name": name})

    def _evaluate(self, data_s3_uri: str) -> None:
        evaluation = self.flow.evaluation
        assert evaluation is not None  # noqa: S101 - its caller asked
        channel = self.flow.data.channels.get(evaluation.data)
        model = next(task for task in self.tasks if task.name == MODEL)
        arguments = {
            "model_name": model.arguments["model_name"],
            "test_s3_uri": _below(data_s3_uri, channel.path) if channel else evaluation.data,
            "problem_type": evaluation.problem_type,
            "threshold": evaluation.threshold,
            "positive_label": evaluation.positive_label,
            "class_names": list(evaluation.class_names),
            "accept": evaluation.accept,
            "instance_type": evaluation.instance_type,
            "instance_count": evaluation.instance_count,
            "title": f"{self.flow.name}: evaluation",
        }
        name = self._name(EVALUATE, "evaluate_model", {**arguments, "through": evaluation.through})
        self.evaluation_s3_uri = self._uri(name)
        arguments["output_s3_uri"] = self.evaluation_s3_uri
        if evaluation.through == "batch_transform":
            self._add(EVALUATE, "evaluate_model", {**arguments, **_MODEL_NAME, "job_name": name})
            return
        sizes = {"instance_type": evaluation.instance_type, "initial_instance_count": evaluation.instance_count}
        self._add(SERVE, "deploy_endpoint", {"endpoint_name": name, **_MODEL_NAME, **sizes})
        for unused in ("model_name", "instance_type", "instance_count"):
            del arguments[unused]
        self._add(EVALUATE, "evaluate_model", {**arguments, "endpoint_name": Output(SERVE, "endpoint_name")})

    def _deploy(self) -> None:
        deployment = self.flow.deployment
        assert deployment is not None  # noqa: S101 - its caller asked
        arguments = {
            "endpoint_name": deployment.endpoint_name,
            **_MODEL_NAME,
            "instance_type": deployment.instance_type,
            "initial_instance_count": deployment.instance_count,
        }
        self._add(DEPLOY, "deploy_endpoint", arguments)

    def _channel(self, name: str, data_s3_uri: str) -> dict[str, str]:
        channel: Channel = self.flow.data.channels[name]
        return {"name": name, "s3_uri": _below(data_s3_uri, channel.path), "content_type": channel.content_type}

    def _add_job(self, name: str, component: str, arguments: dict[str, Any], *, longest: int = _LONGEST_NAME) -> None:
        job_name = self._name(name, component, arguments, longest)
        self._add(name, component, {**arguments, "output_s3_uri": self._uri("models"), "job_name": job_name})

    def _add(self, name: str, component: str, arguments: Mapping[str, Any]) -> None:
        shared = {"region": self.setting.region, "tags": dict(self.flow.tags)}
        if component == "split_dataset" or (component == "run_glue_job" and "script_s3_uri" not in arguments):
            del shared["tags"]  # they would be those of S3 objects, or of a Glue job that exists
        self.tasks.append(
            Task(name, component, {**arguments, **{key: value for key, value in shared.items() if value}})
        )

    def _name(self, task: str, component: str, arguments: Mapping[str, Any], longest: int = _LONGEST_NAME) -> str:
        """``FLOW-TASK-COMMIT-HASH``, short enough for the suffix of a further attempt."""
        engine = "stepfunctions" if self.setting.engine == "stepfunctions" else ""
        digest = request_hash({"component": component, "engine": engine, "arguments": _plain(arguments)})
        commit = re.sub(r"[^a-zA-Z0-9]+", "-", self.setting.commit[:_COMMIT_CHARACTERS]).strip("-")
        ending = f"{task}-{commit}-{digest[:_HASH_CHARACTERS]}"
        room = longest - _ATTEMPT_CHARACTERS - len(ending) - 1
        start = self.flow.name[:room].rstrip("-") if room > 0 else ""
        return f"{start}-{ending}" if start else ending[: longest - _ATTEMPT_CHARACTERS]

    def _uri(self, *parts: str) -> str:
        return "/".join(["s3:/", self.setting.bucket, *filter(None, [self.flow.prefix, self.flow.name, *parts])])


def _below(uri: str, path: str) -> str:
    return f"{uri.rstrip('/')}/{path}" if path else uri


def _plain(value: Any) -> Any:
    """The value with outputs as text, to be hashed."""
    if isinstance(value, Output):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


__all__ = ["Output", "Plan", "Setting", "Step", "Task", "build"]
