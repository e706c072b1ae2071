"""Hyperparameter tuning jobs: create, describe, list, stop, delete, and list their training jobs.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sagemaker_emulator.api import common, training_jobs
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_emulator.jobs import tuning_record
from sagemaker_emulator.jobs.tuning import TuningJob, hyperband_resources, max_jobs, training_request
from sagemaker_emulator.jobs.tuning_record import KIND, NAME, STATUS, UNFINISHED, definitions
from sagemaker_emulator.jobs.tuning_space import RangeError, grid_size, parse_space
from sagemaker_emulator.operations import Context, on_start, operation
from sagemaker_emulator.runtime.images import UnknownImageError
from sagemaker_emulator.runtime.jobs import JobControl

_ECHOED = (
    "HyperParameterTuningJobConfig",
    "TrainingJobDefinition",
    "TrainingJobDefinitions",
    "WarmStartConfig",
    "Autotune",
)
_SUMMARY = (
    NAME,
    "HyperParameterTuningJobArn",
    STATUS,
    "CreationTime",
    "HyperParameterTuningEndTime",
    "LastModifiedTime",
)


@on_start
async def resume_tuning_jobs(app: App) -> None:
    """Go on with the tuning jobs an earlier emulator left; their training jobs have been marked before."""
    for region, _, job in app.store.all(KIND):
        if job[STATUS] in UNFINISHED:
            partition = job["HyperParameterTuningJobArn"].split(":")[1]
            _start(Context(app, app.settings.account_id, region, partition, "", ""), job[NAME])


@operation("CreateHyperParameterTuningJob")
async def create_hyper_parameter_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Validate and store the job, and start it."""
    name = params[NAME]
    try:
        _check(ctx, params)
    except RangeError as error:
        raise ValidationException(str(error)) from error
    await asyncio.gather(
        *(
            training_jobs.check(ctx, training_request(each, {}, f"{name}-001", params.get("Tags", [])))
            for each in definitions(params)
        )
    )
    arn = common.arn(ctx, KIND, name)
    now = ctx.app.clock.now()
    document = {
        NAME: name,
        "HyperParameterTuningJobArn": arn,
        STATUS: "InProgress",
        **{member: params[member] for member in _ECHOED if member in params},
        "CreationTime": now,
        "LastModifiedTime": now,
        "Tags": params.get("Tags", []),
    }
    try:
        ctx.app.store.insert(KIND, ctx.region, name, document)
    except KeyError as error:
        raise ResourceInUse(
            "Hyperparameter tuning job names must be unique within an AWS account and region, and a tuning job with "
            f"this name already exists ({arn})"
        ) from error
    _start(ctx, name)
    return {"HyperParameterTuningJobArn": arn}


@operation("DescribeHyperParameterTuningJob")
async def describe_hyper_parameter_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the job's document with the present state of its training jobs."""
    return _with_progress(ctx, _require(ctx, params[NAME]))


@operation("ListHyperParameterTuningJobs")
async def list_hyper_parameter_tuning_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List jobs, the newest first."""

    def summary(job: dict[str, Any]) -> dict[str, Any]:
        described = _with_progress(ctx, job)
        config = job["HyperParameterTuningJobConfig"]
        counters = ("TrainingJobStatusCounters", "ObjectiveStatusCounters")
        return {
            **{member: job[member] for member in _SUMMARY if member in job},
            **{member: described[member] for member in counters},
            "Strategy": config["Strategy"],
            "ResourceLimits": config["ResourceLimits"],
        }

    return common.page(
        ctx.app.store.list(KIND, ctx.region),
        params,
        name_key=NAME,
        status_key=STATUS,
        summary=summary,
        result_key="HyperParameterTuningJobSummaries",
    )


@operation("ListTrainingJobsForHyperParameterTuningJob")
async def list_training_jobs_for_hyper_parameter_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List the training jobs of one tuning job, by name unless asked otherwise."""
    job = _require(ctx, params[NAME])
    jobs = tuning_record.training_jobs(ctx.app, ctx.region, job["HyperParameterTuningJobArn"])
    order = {"SortBy": "Name", "SortOrder": "Ascending", **params}
    if order["SortBy"] == "FinalObjectiveMetricValue":
        # AWS answers only jobs that have a value when it sorts by it.
        jobs = [{**each, "FinalObjectiveMetricValue": tuning_record.objective_value(each)} for each in jobs]
        jobs = [each for each in jobs if each["FinalObjectiveMetricValue"] is not None]
    return common.page(
        jobs,
        order,
        name_key="TrainingJobName",
        status_key="TrainingJobStatus",
        summary=tuning_record.summary,
        result_key="TrainingJobSummaries",
    )


@operation("StopHyperParameterTuningJob")
async def stop_hyper_parameter_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Stop the training jobs that run and start no more."""
    job = _require(ctx, params[NAME])
    if job[STATUS] not in UNFINISHED:
        raise ValidationException(
            f"The request was rejected because the hyperparameter tuning job is in status {job[STATUS]}."
        )
    ctx.app.store.put(KIND, ctx.region, job[NAME], {**job, STATUS: "Stopping"})
    ctx.app.jobs.stop(KIND, ctx.region, job[NAME])
    return {}


@operation("DeleteHyperParameterTuningJob")
async def delete_hyper_parameter_tuning_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a job that has ended; its training jobs stay. AWS answers the same when there is no such job."""
    job = ctx.app.store.get(KIND, ctx.region, params[NAME])
    if job is not None and job[STATUS] in UNFINISHED:
        arn = job["HyperParameterTuningJobArn"]
        raise ResourceInUse(f"Hyperparameter tuning job {arn} is {job[STATUS]}; stop it first.")
    ctx.app.store.delete(KIND, ctx.region, params[NAME])
    return {}


def _require(ctx: Context, name: str) -> dict[str, Any]:
    job = ctx.app.store.get(KIND, ctx.region, name)
    if job is None:
        raise ResourceNotFound(f"Amazon SageMaker can't find a tuning job with the name {name}.")
    return job


def _with_progress(ctx: Context, job: dict[str, Any]) -> dict[str, Any]:
    return {**job, **tuning_record.progress(ctx.app, ctx.region, job)}


def _start(ctx: Context, name: str) -> None:
    async def launch(request: dict[str, Any], members: dict[str, Any], on_metric: Callable[[str, float], None]) -> None:
        training_jobs.start(ctx, request, members, on_metric)

    async def run(control: JobControl) -> None:
        await TuningJob(ctx.app, ctx.region, name, launch).run(control)

    ctx.app.jobs.start(KIND, ctx.region, name, run)


def _check(ctx: Context, params: dict[str, Any]) -> None:
    """Raise what AWS checks across members."""
    if ("TrainingJobDefinition" in params) == ("TrainingJobDefinitions" in params):
        raise ValidationException("Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be provided.")
    config = params["HyperParameterTuningJobConfig"]
    if "TrainingJobDefinitions" in params:
        _check_several(params, config)
    for definition in definitions(params):
        _check_definition(ctx, config, definition)
        if definition["HyperParameterRanges"].get("AutoParameters") and "Autotune" not in params:
            raise ValidationException("AutoParameters require Autotune with the mode Enabled.")
    _check_limits(params, config)
    if config["Strategy"] == "Hyperband" and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise ValidationException("The Hyperband strategy stops training jobs itself: early stopping must be Off.")
    if "StrategyConfig" in config and config["Strategy"] != "Hyperband":
        raise ValidationException("HyperbandStrategyConfig can only be given with the Hyperband strategy.")
    if "WarmStartConfig" in params:
        _check_warm_start(ctx, params)


def _check_several(params: dict[str, Any], config: dict[str, Any]) -> None:
    given = params["TrainingJobDefinitions"]
    if "ParameterRanges" in config or "HyperParameterTuningJobObjective" in config:
        raise ValidationException(
            "With TrainingJobDefinitions, ranges and objective belong in each definition (HyperParameterRanges, "
            "TuningObjective), not in HyperParameterTuningJobConfig."
        )
    names = [each.get("DefinitionName") for each in given]
    if None in names or len(set(names)) < len(names):
        raise ValidationException("Each of several TrainingJobDefinitions must have a DefinitionName of its own.")
    types = {each["TuningObjective"]["Type"] for each in given if "TuningObjective" in each}
    if len(types) > 1:
        raise ValidationException("The objectives of all TrainingJobDefinitions must have the same Type.")


def _check_definition(ctx: Context, config: dict[str, Any], definition: dict[str, Any]) -> None:
    objective = definition.get("TuningObjective")
    if not objective:
        raise ValidationException("A tuning objective is required: its Type and MetricName.")
    if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
        raise ValidationException(
            "Exactly one of ResourceConfig and HyperParameterTuningResourceConfig must be provided."
        )
    definition.setdefault("HyperParameterRanges", {})
    space = parse_space(definition["HyperParameterRanges"], definition.get("StaticHyperParameters", {}))
    if not space:
        raise ValidationException("At least one hyperparameter range is required.")
    if config["Strategy"] == "Grid":
        grid_size(space)
    if config["Strategy"] == "Hyperband":
        least, greatest = hyperband_resources(config, definition)
        if greatest < max(least, 1):
            raise ValidationException(
                "Hyperband needs a MaxResource of at least its MinResource, or the number of epochs among the static "
                "hyperparameters."
            )
    _check_metric(ctx, definition["AlgorithmSpecification"], objective["MetricName"])


def _check_metric(ctx: Context, algorithm: dict[str, Any], metric: str) -> None:
    own = [each["Name"] for each in algorithm.get("MetricDefinitions", ())]
    image_uri = algorithm.get("TrainingImage", "")
    try:
        image = ctx.app.images.resolve(image_uri)
    except UnknownImageError:
        return  # the training jobs fail when the image is to be pulled
    known = own or [name for name, _ in image.metric_definitions]
    if metric in known:
        return
    if image.has_fixed_metrics:
        raise ValidationException(
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't valid for the [{image_uri}] "
            "algorithm. Choose a valid objective metric."
        )
    raise ValidationException(
        "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric definitions."
    )


def _check_limits(params: dict[str, Any], config: dict[str, Any]) -> None:
    limits = config["ResourceLimits"]
    most = max_jobs(params)
    given = limits.get("MaxNumberOfTrainingJobs")
    if not most:
        raise ValidationException("ResourceLimits needs MaxNumberOfTrainingJobs, MaxRuntimeInSeconds or Autotune.")
    if config["Strategy"] == "Grid" and given is not None and given != most:
        raise ValidationException(
            f"The grid has {most} combinations, so MaxNumberOfTrainingJobs must be {most} or left out; it is {given}."
        )
    if given is not None and limits["MaxParallelTrainingJobs"] > given:
        raise ValidationException(
            f"MaxParallelTrainingJobs ({limits['MaxParallelTrainingJobs']}) cannot be greater than "
            f"MaxNumberOfTrainingJobs ({given})."
        )


def _check_warm_start(ctx: Context, params: dict[str, Any]) -> None:
    warm_start = params["WarmStartConfig"]
    for given in warm_start["ParentHyperParameterTuningJobs"]:
        parent = _require(ctx, given.get(NAME, ""))
        if parent[STATUS] in UNFINISHED:
            raise ValidationException(
                f"The parent tuning job {parent[NAME]} is {parent[STATUS]}; a parent must have ended."
            )
        if warm_start["WarmStartType"] != "IdenticalDataAndAlgorithm":
            continue
        if _data_and_algorithms(params) != _data_and_algorithms(parent):
            raise ValidationException(
                f"Warm start of type IdenticalDataAndAlgorithm requires the image and the input data of the parent "
                f"tuning job {parent[NAME]}; with others use TransferLearning."
            )


def _data_and_algorithms(job: dict[str, Any]) -> list[Any]:
    return [
        (each["AlgorithmSpecification"].get("TrainingImage"), each.get("InputDataConfig", []))
        for each in definitions(job)
    ]
