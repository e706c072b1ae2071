"""What came out of a run of a flow: the document ``flow-result.json``, which ``flow report`` and the build read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from kfp_sagemaker.aws.errors import InputError

RESULT_FILE = "flow-result.json"
VERSION = 1
GateKind = Literal["at_least", "at_most", "no_worse_than_main_by"]
JobKind = Literal["training", "tuning", "processing", "transform", "glue", "endpoint"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class GateResult:
    """How a gate came out.

    Attributes:
        metric: The metric it looks at.
        kind: ``at_least``, ``at_most`` or ``no_worse_than_main_by``.
        limit: The gate's own number.
        value: The metric of this run; ``None`` where the evaluation gave none.
        main_value: The metric of the main branch; ``None`` where there is none.
        passed: Whether the gate lets the change pass.
        missed_by: How far the value is from passing, in the metric's unit; ``None`` when it passed or has no value.
    """

    metric: str
    kind: GateKind
    limit: float
    value: float | None
    main_value: float | None
    passed: bool
    missed_by: float | None


@dataclass(frozen=True)
class Job:
    """A job of the run, or an endpoint that it deployed.

    Attributes:
        kind: What it is.
        name: Its name; for Glue the job's name and the run's id, ``JOB/RUN``.
        status: AWS's word for how it ended.
        instance_type: Instance type; empty for Glue.
        instance_count: How many instances; 0 for Glue.
        billable_seconds: Seconds that AWS charges for, per instance.
        dpu_seconds: Glue: seconds times data processing units.
        url: Its page in the AWS console.
        logs_url: Its log in the AWS console.
        reused: Whether an earlier run of the same commit had made it, so that this one paid nothing.
    """

    kind: JobKind
    name: str
    status: str
    instance_type: str = ""
    instance_count: int = 0
    billable_seconds: int = 0
    dpu_seconds: float = 0.0
    url: str = ""
    logs_url: str = ""
    reused: bool = False


@dataclass(frozen=True)
class CurvePoint:
    """A value of a training metric on the way.

    Attributes:
        metric: Name of the metric.
        timestamp: When it was logged, ISO 8601 in UTC.
        step: Which of the metric's values this is, from 0: the epoch or round for algorithms that log one a round.
        value: Its value.
    """

    metric: str
    timestamp: str
    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class FlowResult:
    """A run of a flow, ended.

    Attributes:
        flow: The flow's name.
        commit: The commit that ran.
        branch: The branch it was on; empty where that is not known.
        engine: ``local``, ``kubeflow`` or ``stepfunctions``.
        run_id: The run's id: the same for each run of the same commit and definition.
        started_at: When it started, ISO 8601 in UTC.
        ended_at: When it ended.
        status: ``Succeeded`` or ``Failed``; missed gates fail a run too.
        failure_reason: Why it failed; empty when it succeeded.
        metrics: The evaluation's metrics by name.
        main_metrics: Those of the main branch that they were compared with; empty where it has none.
        main_commit: The main branch's commit that had them; empty where it has none.
        gates: What each gate said, in the file's order.
        jobs: The jobs, in the order they ran.
        links: Pages to look at, label to URL.
        learning_curve: The training metrics over time.
        model_data_url: S3 URI of the model; empty when there is none.
    """

    flow: str
    commit: str
    engine: str
    run_id: str
    started_at: str
    ended_at: str
    status: Literal["Succeeded", "Failed"]
    branch: str = ""
    failure_reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    main_metrics: Mapping[str, float] = field(default_factory=dict)
    main_commit: str = ""
    gates: Sequence[GateResult] = ()
    jobs: Sequence[Job] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    learning_curve: Sequence[CurvePoint] = ()
    model_data_url: str = ""

    def write(self, folder: Path) -> Path:
        """Write the document into the run's folder.

        Args:
            folder: The run's folder; made when it is missing.

        Returns:
            The file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RESULT_FILE
        path.write_text(json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n", encoding="utf-8")
        return path


def read(path: Path) -> FlowResult:
    """Read a result.

    Args:
        path: The file, or the run's folder.

    Returns:
        The result.

    Raises:
        InputError: There is no such file, or it is not one of this version.
    """
    file = path / RESULT_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError([f"there is no {file}: `kfp-sagemaker flow run` writes it"], "flow result") from None
    except ValueError as error:
        raise InputError([f"{file} is not JSON: {error}"], "flow result") from error
    version = content.pop("version", None) if isinstance(content, dict) else None
    if version != VERSION:
        raise InputError([f"{file} has version {version!r}, must be {VERSION}"], "flow result")
    nested = {"gates": GateResult, "jobs": Job, "learning_curve": CurvePoint}
    try:
        for name, kind in nested.items():
            content[name] = [_known(kind, item) for item in content.get(name, [])]
        return _known(FlowResult, content)
    except TypeError as error:
        raise InputError([f"{file} is not a flow's result: {error}"], "flow result") from error


def _known(kind: type[_T], content: Mapping[str, Any]) -> _T:
    """The dataclass of its known fields; a later minor version may have written more."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # dataclasses only
    return kind(**{name: value for name, value in content.items() if name in names})
