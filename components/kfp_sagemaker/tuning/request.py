"""The request of a SageMaker hyperparameter tuning job: built and checked with no AWS.

A training definition is what ``train`` would send, so it is built there and moved to where a tuning job has it.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from botocore.model import ServiceModel, StructureShape

from kfp_sagemaker.aws.job_arguments import check_job_arguments, gather
from kfp_sagemaker.aws.kinds import TUNING_JOB
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.training import request as training_request
from kfp_sagemaker.training.request import TrainingJob

_OPERATION = "CreateHyperParameterTuningJob"
_CONFIG = "HyperParameterTuningJobConfig"
_RANGES = {
    "integer_ranges": "IntegerParameterRanges",
    "continuous_ranges": "ContinuousParameterRanges",
    "categorical_ranges": "CategoricalParameterRanges",
    "auto_parameters": "AutoParameters",
}
_QUEUE_ALLOWANCE_SECONDS = 3600
# Where only a criterion ends the search: what AWS allows in all, AWS General Reference, "SageMaker AI quotas".
_MOST_TRAINING_JOBS = 750


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class Definition:
    """The arguments of ``tune`` a training definition may have of its own; see the component for their meaning."""

    role_arn: str
    output_s3_uri: str
    channels: Sequence[Any]
    objective_metric_name: str = ""
    objective_type: str = "Minimize"
    algorithm: str = ""
    algorithm_version: str = ""
    training_image: str = ""
    algorithm_arn: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    integer_ranges: Sequence[Any] = ()
    continuous_ranges: Sequence[Any] = ()
    categorical_ranges: Sequence[Any] = ()
    auto_parameters: Sequence[Any] = ()
    source_s3_uri: str = ""
    entry_point: str = ""
    training_input_mode: str = "File"
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_size_gb: int = 30
    instance_groups: Sequence[Any] = ()
    max_runtime_seconds: int = 86400
    use_spot: bool = False
    max_wait_seconds: int = 0
    checkpoint_s3_uri: str = ""
    checkpoint_local_path: str = ""
    maximum_retry_attempts: int = 0
    metric_definitions: Sequence[Any] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    output_compression_type: str = ""
    enable_network_isolation: bool = False
    enable_inter_container_traffic_encryption: bool = False

    @property
    def training_job(self) -> TrainingJob:
        """What each of its training jobs would be by itself."""
        shared = {each.name for each in fields(Definition)} & {each.name for each in fields(TrainingJob)}
        return TrainingJob(**{name: getattr(self, name) for name in shared})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TuningJob(Definition):
    """The arguments of ``tune``."""

    strategy: str = "Bayesian"
    hyperband_min_resource: int = 0
    hyperband_max_resource: int = 0
    max_training_jobs: int = 10
    max_parallel_training_jobs: int = 1
    max_tuning_runtime_seconds: int = 0
    early_stopping_type: str = "Off"
    completion_criteria: Mapping[str, Any] = field(default_factory=dict)
    warm_start_parents: Sequence[str] = ()
    warm_start_type: str = ""
    autotune: bool = False
    random_seed: int = -1
    training_definitions: Sequence[Any] = ()
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 0
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name_prefix(self) -> str:
        """Start of the job's name when it is derived."""
        return self.job_name_prefix or self.algorithm or "tune"

    @property
    def deadline_seconds(self) -> float:
        """When the step gives up."""
        one_job = max(self.max_wait_seconds, self.max_runtime_seconds)
        rounds = math.ceil((self.max_training_jobs or _MOST_TRAINING_JOBS) / max(self.max_parallel_training_jobs, 1))
        limit = self.max_tuning_runtime_seconds or rounds * one_job
        return self.timeout_seconds or limit + _QUEUE_ALLOWANCE_SECONDS


def build_request(job: TuningJob, *, region: str, service_model: ServiceModel) -> dict[str, Any]:
    """Build the ``CreateHyperParameterTuningJob`` request, without the job's name and tags.

    Args:
        job: The arguments.
        region: The region whose images are meant.
        service_model: botocore's model of SageMaker.

    Returns:
        The request.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("tune")
    check_job_arguments(
        problems,
        job_name=job.job_name,
        job_name_prefix=job.job_name_prefix,
        timeout_seconds=job.timeout_seconds,
        tags=job.tags,
        max_name_length=TUNING_JOB.max_name_length,
    )
    _check(job, problems)
    request = RequestBuilder(service_model, _OPERATION, problems)
    _set_configuration(job, request)
    definitions = list(_definitions(job, problems, region, service_model))
    if job.training_definitions:
        request.set("TrainingJobDefinitions", definitions, argument="training_definitions")
    elif definitions:
        (definition,) = definitions
        # With one definition AWS wants its objective and ranges in the configuration.
        for member, place in (
            ("TuningObjective", "HyperParameterTuningJobObjective"),
            ("HyperParameterRanges", "ParameterRanges"),
        ):
            request.set(f"{_CONFIG}.{place}", definition.pop(member, None), argument=member)
        request.set("TrainingJobDefinition", definition, argument="definition")
    reserved = {"HyperParameterTuningJobName": "job_name", "Tags": "tags"}
    request.merge(job.extra_request, argument="extra_request", reserved=reserved)
    return request.finish(supplied_later=["HyperParameterTuningJobName"])


def _check(job: TuningJob, problems: Problems) -> None:
    """What AWS's model does not say: arguments that need or exclude each other."""
    problems.between("max_training_jobs", job.max_training_jobs, minimum=0)
    problems.between("max_parallel_training_jobs", job.max_parallel_training_jobs, minimum=1)
    ends_otherwise = job.strategy == "Grid" or job.autotune or job.max_tuning_runtime_seconds or job.completion_criteria
    if not job.max_training_jobs and not ends_otherwise:
        problems.add(
            "max_training_jobs", 0, "at least 1 without max_tuning_runtime_seconds, completion_criteria and autotune"
        )
    if job.max_training_jobs and job.max_parallel_training_jobs > job.max_training_jobs:
        allowed = f"at most max_training_jobs, which is {job.max_training_jobs}"
        problems.add("max_parallel_training_jobs", job.max_parallel_training_jobs, allowed)
    for argument in ("hyperband_min_resource", "hyperband_max_resource"):
        value = getattr(job, argument)
        if value and job.strategy != "Hyperband":
            problems.add(argument, value, "left out; it is for the strategy Hyperband")
    if job.strategy == "Hyperband" and job.early_stopping_type == "Auto":
        problems.add("early_stopping_type", "Auto", "Off with the strategy Hyperband, which stops jobs by itself")
    if bool(job.warm_start_parents) != bool(job.warm_start_type):
        given, other = ("warm_start_parents", "warm_start_type")
        missing = other if job.warm_start_parents else given
        problems.add(missing, getattr(job, missing), "given together with " + (given if missing == other else other))
    if job.auto_parameters and not job.autotune:
        problems.add("auto_parameters", job.auto_parameters, "left out without autotune")


def _set_configuration(job: TuningJob, request: RequestBuilder) -> None:
    config = {
        "strategy": "Strategy",
        "early_stopping_type": "TrainingJobEarlyStoppingType",
        "completion_criteria": "TuningJobCompletionCriteria",
    }
    for argument, member in config.items():
        request.set(f"{_CONFIG}.{member}", getattr(job, argument), argument=argument)
    limits = {
        "max_training_jobs": "ResourceLimits.MaxNumberOfTrainingJobs",
        "max_parallel_training_jobs": "ResourceLimits.MaxParallelTrainingJobs",
        "max_tuning_runtime_seconds": "ResourceLimits.MaxRuntimeInSeconds",
        "hyperband_min_resource": "StrategyConfig.HyperbandStrategyConfig.MinResource",
        "hyperband_max_resource": "StrategyConfig.HyperbandStrategyConfig.MaxResource",
    }
    for argument, path in limits.items():
        request.set(f"{_CONFIG}.{path}", getattr(job, argument) or None, argument=argument)
    if job.random_seed >= 0:
        request.set(f"{_CONFIG}.RandomSeed", job.random_seed, argument="random_seed")
    if job.autotune:
        request.set("Autotune.Mode", "Enabled", argument="autotune")
    parents = [{"HyperParameterTuningJobName": name} for name in job.warm_start_parents]
    request.set("WarmStartConfig.ParentHyperParameterTuningJobs", parents, argument="warm_start_parents")
    request.set("WarmStartConfig.WarmStartType", job.warm_start_type, argument="warm_start_type")


def _definitions(
    job: TuningJob, problems: Problems, region: str, service_model: ServiceModel
) -> Iterator[dict[str, Any]]:
    """The training definitions: the job's own arguments, or each of several with what differs."""
    own = {each.name: getattr(job, each.name) for each in fields(Definition)}
    if not job.training_definitions:
        definition = Definition(**own)
        if made := _definition(definition, problems, "", region, service_model):
            yield made
        return
    for index, given in enumerate(job.training_definitions):
        argument = f"training_definitions[{index}]"
        if not isinstance(given, Mapping):
            problems.add(argument, given, "an object with a name and the arguments that differ")
            continue
        problems.required(f"{argument}.name", given.get("name"))
        for name in given.keys() - own.keys() - {"name"}:
            problems.add(f"{argument}.{name}", given[name], "left out; known keys are name, " + ", ".join(own))
        differing = {name: value for name, value in given.items() if name in own}
        # What one definition searches, another may hold fixed: ranges are not inherited beside ones of its own.
        if differing.keys() & _RANGES.keys():
            differing = dict.fromkeys(_RANGES, ()) | differing
        if made := _definition(Definition(**(own | differing)), problems, argument, region, service_model):
            yield {"DefinitionName": given.get("name"), **made}


def _definition(
    given: Definition, problems: Problems, argument: str, region: str, service_model: ServiceModel
) -> dict[str, Any] | None:
    prefix = f"{argument}." if argument else ""
    problems.required(f"{prefix}objective_metric_name", given.objective_metric_name)
    if not any(getattr(given, name) for name in _RANGES):
        problems.add(f"{prefix}{next(iter(_RANGES))}", [], f"given, or another of {', '.join(_RANGES)}")
    ranges: dict[str, Any] = {}
    for name, member in _RANGES.items():
        values = getattr(given, name)
        _check_range(given, values, f"{prefix}{name}", problems)
        if values:
            ranges[member] = values
    if given.training_job.is_script_mode and given.categorical_ranges:
        ranges["CategoricalParameterRanges"] = [_as_json(each) for each in given.categorical_ranges]
    made = gather(
        problems,
        lambda: training_request.build_request(given.training_job, region=region, service_model=service_model),
        argument=argument,
    )
    if made is None:
        return None
    made["StaticHyperParameters"] = made.pop("HyperParameters", None)
    known = service_model.shape_for("HyperParameterTrainingJobDefinition")
    algorithm = service_model.shape_for("HyperParameterAlgorithmSpecification")
    definition = _members_of(known, made)
    definition["AlgorithmSpecification"] = _members_of(algorithm, made["AlgorithmSpecification"])
    definition["TuningObjective"] = {"MetricName": given.objective_metric_name, "Type": given.objective_type}
    definition["HyperParameterRanges"] = ranges
    return definition


def _check_range(given: Definition, ranges: Any, argument: str, problems: Problems) -> None:
    """A hyperparameter is searched or fixed, and a range goes upwards."""
    for index, each in enumerate(ranges if isinstance(ranges, list | tuple) else ()):
        if not isinstance(each, Mapping):
            continue
        name = each.get("name") or each.get("Name")
        if isinstance(given.hyperparameters, Mapping) and name in given.hyperparameters:
            problems.add(f"{argument}[{index}].name", name, "a hyperparameter that is not in hyperparameters as well")
        low, high = (each.get(key, each.get(member)) for key, member in _BOUNDS)
        if _is_number(low) and _is_number(high) and float(low) > float(high):
            problems.add(f"{argument}[{index}].min_value", low, f"at most max_value, which is {high}")


_BOUNDS = (("min_value", "MinValue"), ("max_value", "MaxValue"))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _as_json(choice: Any) -> Any:
    """A categorical range of script mode: the container reads every hyperparameter as JSON."""
    if not isinstance(choice, Mapping):
        return choice
    key = "values" if "values" in choice else "Values"
    values = choice.get(key)
    if not isinstance(values, list | tuple):
        return choice
    return {**choice, key: [json.dumps(value) if isinstance(value, str) else value for value in values]}


def _members_of(shape: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a training job's request a tuning job has too."""
    members: Mapping[str, Any] = shape.members if isinstance(shape, StructureShape) else {}
    return {name: value for name, value in values.items() if name in members and value is not None}
