"""A training flow as data: what ``flow.yaml`` says, checked, with its defaults filled in.

The names are SageMaker's in snake_case, as the suite's components spell them; ``flow.schema.json`` describes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kfp_sagemaker.flow.result import GateKind

ProblemType = Literal["regression", "binary_classification", "multiclass_classification"]


@dataclass(frozen=True)
class Channel:
    """A part of the data: a path below the preprocessing's output, or below the source when nothing is preprocessed."""

    path: str
    content_type: str = "text/csv"


@dataclass(frozen=True)
class Data:
    """The raw data and the channels it becomes.

    Attributes:
        source: S3 URI, or an absolute path of this machine that is uploaded.
        channels: Channels by name.
    """

    source: str
    channels: Mapping[str, Channel]


@dataclass(frozen=True)
class Glue:
    """Preprocessing by an AWS Glue job: one that exists, or one made of a script."""

    script: str = ""
    job_name: str = ""
    command: str = "glueetl"
    glue_version: str = ""
    worker_type: str = "G.1X"
    number_of_workers: int = 2
    max_capacity: float = 0.0625
    max_runtime_minutes: int = 60
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Processing:
    """Preprocessing by a SageMaker processing job: an image of one's own, or a script in a framework's container."""

    image: str = ""
    framework: str = ""
    framework_version: str = ""
    script: str = ""
    container_entrypoint: tuple[str, ...] = ()
    container_arguments: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_size_gb: int = 30
    max_runtime_seconds: int = 3600


@dataclass(frozen=True)
class Step:
    """Preprocessing by a component of the suite."""

    component: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithm:
    """A built-in algorithm, or a framework's container, by name."""

    name: str
    version: str = ""


@dataclass(frozen=True)
class Script:
    """Script mode: a folder of sources and the script to run in a framework's container."""

    source_dir: str
    entry_point: str
    framework: str
    framework_version: str = ""


@dataclass(frozen=True)
class Resources:
    """What training runs on, and for how long at most."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_size_gb: int = 30
    max_runtime_seconds: int = 3600
    use_spot: bool = False
    max_wait_seconds: int = 0


@dataclass(frozen=True)
class MetricDefinition:
    """A metric that is read from the training log."""

    name: str
    regex: str


@dataclass(frozen=True)
class Objective:
    """What tuning optimises."""

    metric_name: str
    type: Literal["Minimize", "Maximize"] = "Minimize"


@dataclass(frozen=True)
class Tuning:
    """A search over hyperparameters in place of one training job.

    Attributes:
        objective: What it optimises.
        ranges: Hyperparameter to ``{"continuous": [low, high]}``, ``{"integer": [low, high]}`` or
            ``{"categorical": [...]}``.
        strategy: How it searches.
        max_jobs: Training jobs in all.
        max_parallel_jobs: Training jobs at a time.
        random_seed: Makes the search repeatable; -1 leaves it to AWS.
    """

    objective: Objective
    ranges: Mapping[str, Mapping[str, Any]]
    strategy: str = "Bayesian"
    max_jobs: int = 10
    max_parallel_jobs: int = 1
    random_seed: int = -1


@dataclass(frozen=True)
class Training:
    """What trains: one of algorithm, image and script."""

    algorithm: Algorithm | None = None
    image: str = ""
    script: Script | None = None
    channels: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    metric_definitions: tuple[MetricDefinition, ...] = ()
    resources: Resources = Resources()
    tuning: Tuning | None = None


@dataclass(frozen=True)
class Evaluation:
    """How the model is held against data it has not seen; the label is the data's first column.

    Attributes:
        problem_type: ``regression``, ``binary_classification`` or ``multiclass_classification``.
        data: A channel of the data, or an S3 URI.
        threshold: Binary: the least score of the positive class; 0 takes the model's own label, else 0.5.
        positive_label: Binary: the label of the positive class.
        class_names: Multiclass: the class of each position of a list of probabilities.
        accept: MIME type asked of the model; empty lets it decide.
        through: ``batch_transform``, or ``endpoint``: one that lives for the evaluation only.
        instance_type: What predicts.
        instance_count: How many of it.
    """

    problem_type: ProblemType
    data: str
    threshold: float = 0.0
    positive_label: str = "1"
    class_names: tuple[str, ...] = ()
    accept: str = ""
    through: Literal["batch_transform", "endpoint"] = "batch_transform"
    instance_type: str = "ml.m5.large"
    instance_count: int = 1


@dataclass(frozen=True)
class Gate:
    """A condition on a metric without which a change must not be merged."""

    metric: str
    kind: GateKind
    limit: float


@dataclass(frozen=True)
class Deployment:
    """The endpoint that serves the model once every gate has passed."""

    endpoint_name: str
    instance_type: str = "ml.m5.large"
    instance_count: int = 1


@dataclass(frozen=True)
class Roles:
    """ARNs of IAM roles; where one is empty, ``flow run`` makes the project's own."""

    sagemaker: str = ""
    glue: str = ""
    step_functions: str = ""


@dataclass(frozen=True)
class Flow:
    """A training flow.

    Attributes:
        name: Opens the names of all it makes.
        data: The data.
        training: The training.
        preprocessing: What makes the channels of the data; ``None`` when they lie in the source.
        evaluation: The evaluation; ``None`` for none.
        gates: Conditions on the evaluation's metrics.
        deployment: Where the model serves; ``None`` for nowhere.
        bucket: Bucket of data, models and results; empty for the account's ``kfp-sagemaker-ACCOUNT-REGION``.
        prefix: What keys in it start with.
        region: AWS region; empty takes the environment's.
        roles: IAM roles.
        tags: Tags of all it makes.
    """

    name: str
    data: Data
    training: Training
    preprocessing: Glue | Processing | Step | None = None
    evaluation: Evaluation | None = None
    gates: tuple[Gate, ...] = ()
    deployment: Deployment | None = None
    bucket: str = ""
    prefix: str = "flows"
    region: str = ""
    roles: Roles = Roles()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def training_channels(self) -> tuple[str, ...]:
        """The channels training reads: those it names, or all but the one that is held out for the evaluation."""
        if self.training.channels:
            return self.training.channels
        held_out = self.evaluation.data if self.evaluation else ""
        return tuple(name for name in self.data.channels if name != held_out)
