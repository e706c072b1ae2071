"""What a tuning job does: choose hyperparameters, train with them, learn from the objective, and stop in time.

All it knows is in the documents of its training jobs, so it goes on where it was after the emulator was killed;
training jobs that were running then have failed and are not counted.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning.html
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.jobs import training
from sagemaker_emulator.jobs.job_record import INTERRUPTED, JobFailure, JobRecord, failure_reason
from sagemaker_emulator.jobs.tuning_record import (
    KIND,
    STATUS,
    TRIAL,
    best,
    definitions,
    jobs_since_best,
    objective_value,
    parents,
    progress,
    training_jobs,
)
from sagemaker_emulator.jobs.tuning_search import GridSearch, MedianRule, OptunaSearch, Search, Trial
from sagemaker_emulator.jobs.tuning_space import grid_size, parse_space

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl

LOGGER = logging.getLogger(__name__)

Launch = Callable[[dict[str, Any], dict[str, Any], Callable[[str, float], None]], Awaitable[None]]
"""Creates a training job from a request and further members of its document, and passes its metrics on."""

TUNING_OBJECTIVE_METRIC = "_tuning_objective_metric"
# Autotune chooses the number of jobs on AWS; and so many are the most where only time or a criterion ends the search.
_AUTOTUNE_JOBS = 20
_UNLIMITED_JOBS = 750
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
# Bayesian: a third of the jobs explore, before the search learns from them.
_EXPLORING_SHARE = 3
_MOST_EXPLORING = 10
# When AWS takes a search for converged is not public: here when ten jobs have not come closer to the best value by a
# hundredth of what the objectives spread over.
_CONVERGENCE_JOBS = 10
_CONVERGENCE_SHARE = 0.01
# Of a definition for a training job's request; the rest is made for each.
_PASSED_ON = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
)


@dataclass(eq=False)
class _Contender:
    """A training definition with the search through its space."""

    definition: dict[str, Any]
    search: Search
    median_rule: MedianRule | None
    is_exhausted: bool = False


@dataclass(eq=False)
class _Running:
    """A training job that has not ended."""

    name: str
    contender: _Contender
    trial: Trial
    is_stopped: bool = field(default=False)


class TuningJob:
    """One run of a tuning job, from its start or from where a killed emulator left it.

    Args:
        app: The application.
        region: The job's region.
        name: The job's name; its document is in the store.
        launch: Starts a training job.
    """

    def __init__(self, app: App, region: str, name: str, launch: Launch) -> None:
        self._app = app
        self._region = region
        self._record = JobRecord(app, KIND, region, name)
        self._job = self._record.document()
        self._arn: str = self._job["HyperParameterTuningJobArn"]
        self._config: dict[str, Any] = self._job["HyperParameterTuningJobConfig"]
        self._launch = launch
        self._max_jobs = max_jobs(self._job)
        self._max_parallel: int = self._config["ResourceLimits"]["MaxParallelTrainingJobs"]
        self._contenders: list[_Contender] = []
        self._running: dict[asyncio.Task[None], _Running] = {}

    async def run(self, control: JobControl) -> None:
        """Do all of it; the outcome is in the document."""
        try:
            await self._run(control)
        except JobFailure as error:
            self._finish("Failed", FailureReason=failure_reason(str(error)))
        except Exception:
            LOGGER.exception("Tuning job %s broke", self._record.name)
            self._finish(
                "Failed", FailureReason="InternalServerError: We encountered an internal error. Please try again."
            )
        finally:
            for task in self._running:
                task.cancel()

    async def _run(self, control: JobControl) -> None:
        if self._job[STATUS] == "Stopping":
            control.stop_requested.set()
        await asyncio.to_thread(self._prepare)
        stopping = asyncio.create_task(control.stop_requested.wait())
        try:
            while not control.stop_requested.is_set() and not self._is_done():
                try:
                    await self._start_more()
                except ApiError as error:
                    await self._end_running()
                    raise JobFailure(f"ClientError: a training job could not be created: {error}") from error
                if not self._running:
                    break
                await asyncio.wait(
                    {*self._running, stopping}, timeout=self._remaining_seconds(), return_when=asyncio.FIRST_COMPLETED
                )
                self._settle()
        finally:
            stopping.cancel()
        if control.stop_requested.is_set():
            self._record.update(**{STATUS: "Stopping"})
        await self._end_running()
        if control.stop_requested.is_set():
            self._finish("Stopped")
        elif best(self._training_jobs()) is None:
            raise JobFailure(
                "All training jobs failed. Please take a look at the training jobs failures to get more details."
            )
        else:
            self._finish("Completed")

    def _prepare(self) -> None:
        """Make the searches, and teach them what is known from parents and from before a restart."""
        jobs = self._training_jobs()
        inherited = [
            each
            for parent in parents(self._app, self._region, self._job)
            for each in training_jobs(self._app, self._region, parent["HyperParameterTuningJobArn"])
        ]
        for definition in definitions(self._job):
            name = definition.get("DefinitionName", "")
            own = [job for job in jobs if job[TRIAL]["DefinitionName"] == name and not _is_interrupted(job)]
            search = self._make_search(definition, len(own))
            # A parent's hyperparameters may be tuned there and static here, or the other way round.
            for job in inherited:
                search.learn(job["HyperParameters"], objective_value(job))
            for job in own:
                search.learn(job[TRIAL]["TunedHyperParameters"], objective_value(job))
            is_minimized = definition["TuningObjective"]["Type"] == "Minimize"
            stops_early = self._config.get("TrainingJobEarlyStoppingType") == "Auto"
            self._contenders.append(_Contender(definition, search, MedianRule(is_minimized) if stops_early else None))

    def _make_search(self, definition: dict[str, Any], known: int) -> Search:
        space = parse_space(definition["HyperParameterRanges"], definition.get("StaticHyperParameters", {}))
        strategy = self._config["Strategy"]
        if strategy == "Grid":
            return GridSearch(space)
        seed = self._config.get("RandomSeed")
        return OptunaSearch(
            strategy,
            space,
            is_minimized=definition["TuningObjective"]["Type"] == "Minimize",
            # After a restart it does not choose again what it chose first.
            seed=seed + known if seed is not None else random.SystemRandom().randrange(2**32),
            first_random=max(2, min(_MOST_EXPLORING, self._max_jobs // _EXPLORING_SHARE)),
            resources=hyperband_resources(self._config, definition) if strategy == "Hyperband" else (1, 1),
        )

    async def _start_more(self) -> None:
        started = sum(not _is_interrupted(job) for job in self._training_jobs())
        while len(self._running) < self._max_parallel and started < self._max_jobs:
            contender = self._next_contender()
            if contender is None:
                return
            trial = await asyncio.to_thread(contender.search.propose)
            if trial is None:
                contender.is_exhausted = True
                continue
            await self._start(contender, trial)
            started += 1

    def _next_contender(self) -> _Contender | None:
        """The definition with the fewest training jobs."""
        jobs = self._training_jobs()
        names = [job[TRIAL]["DefinitionName"] for job in jobs if not _is_interrupted(job)]
        candidates = [each for each in self._contenders if not each.is_exhausted]
        return min(candidates, key=lambda each: names.count(each.definition.get("DefinitionName", "")), default=None)

    async def _start(self, contender: _Contender, trial: Trial) -> None:
        definition = contender.definition
        objective = definition["TuningObjective"]
        number = len(self._training_jobs()) + 1
        running = _Running(f"{self._record.name}-{number:03d}-{secrets.token_hex(4)}", contender, trial)

        def on_metric(metric: str, value: float) -> None:
            if metric == objective["MetricName"]:
                self._judge(running, value)

        request = training_request(definition, trial.values, running.name, self._job.get("Tags", []))
        members = {
            "TuningJobArn": self._arn,
            TRIAL: {
                "TuningJobName": self._record.name,
                "DefinitionName": definition.get("DefinitionName", ""),
                "Objective": objective,
                "TunedHyperParameters": trial.values,
            },
        }
        await self._launch(request, members, on_metric)
        waiting = self._app.jobs.wait(training.KIND, self._region, running.name)
        self._running[asyncio.create_task(waiting)] = running

    def _judge(self, running: _Running, value: float) -> None:
        """End a training job that has just logged its objective, if the strategy or the median rule says so."""
        history = running.trial.history
        history.append(value)
        rule, search = running.contender.median_rule, running.contender.search
        if running.is_stopped:
            return
        if search.is_hopeless(running.trial) or (rule is not None and rule.is_hopeless(history)):
            self._stop(running)

    def _stop(self, running: _Running) -> None:
        running.is_stopped = True
        self._app.jobs.stop(training.KIND, self._region, running.name)

    def _settle(self) -> None:
        """Learn from the training jobs that have ended."""
        for task in [task for task in self._running if task.done()]:
            running = self._running.pop(task)
            job = self._app.store.get(training.KIND, self._region, running.name)
            running.contender.search.finish(running.trial, objective_value(job) if job else None)
            if running.contender.median_rule is not None:
                running.contender.median_rule.add(running.trial.history)
        self._record.update(**self._progress())

    async def _end_running(self) -> None:
        for running in self._running.values():
            self._stop(running)
        if self._running:
            await asyncio.wait(self._running)
        self._settle()

    def _is_done(self) -> bool:
        """Whether one of the limits or criteria is met."""
        if self._remaining_seconds() == 0:
            return True
        jobs = self._training_jobs()
        criteria = self._config.get("TuningJobCompletionCriteria", {})
        found = best(jobs)
        if found is None:
            return False
        value = objective_value(found)
        target = criteria.get("TargetObjectiveMetricValue")
        if target is not None and value is not None:
            is_minimized = found[TRIAL]["Objective"]["Type"] == "Minimize"
            if value <= target if is_minimized else value >= target:
                return True
        patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        if patience is not None and jobs_since_best(jobs) >= patience:
            return True
        if _has_converged(jobs):
            details = self._record.document().get("TuningJobCompletionDetails", {})
            if "ConvergenceDetectedTime" not in details:
                details = {**details, "ConvergenceDetectedTime": self._record.now()}
                self._record.update(TuningJobCompletionDetails=details)
            return bool(criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled")
        return False

    def _remaining_seconds(self) -> float | None:
        limit = self._config["ResourceLimits"].get("MaxRuntimeInSeconds")
        if limit is None:
            return None
        end = self._job["CreationTime"] + timedelta(seconds=limit)
        return float(max(0.0, (end - self._record.now()).total_seconds()))

    def _training_jobs(self) -> list[dict[str, Any]]:
        return training_jobs(self._app, self._region, self._arn)

    def _progress(self) -> dict[str, Any]:
        return progress(self._app, self._region, self._record.document())

    def _finish(self, status: str, **changes: Any) -> None:
        self._record.update(HyperParameterTuningEndTime=self._record.now())
        self._record.update(**self._progress(), **{STATUS: status}, **changes)


def max_jobs(job: dict[str, Any]) -> int:
    """How many training jobs a tuning job, or a request for one, starts at most.

    Raises:
        RangeError: The grid is none.
    """
    config = job["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    if config["Strategy"] == "Grid":
        return sum(
            grid_size(parse_space(each["HyperParameterRanges"], each.get("StaticHyperParameters", {})))
            for each in definitions(job)
        )
    if given := limits.get("MaxNumberOfTrainingJobs"):
        return int(given)
    if "Autotune" in job:
        return _AUTOTUNE_JOBS
    has_end = "MaxRuntimeInSeconds" in limits or config.get("TuningJobCompletionCriteria")
    return _UNLIMITED_JOBS if has_end else 0


def hyperband_resources(config: dict[str, Any], definition: dict[str, Any]) -> tuple[int, int]:
    """Hyperband's least and greatest number of steps; 0 as the greatest when nothing says how many."""
    given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    static = definition.get("StaticHyperParameters", {})
    epochs = next((static[name] for name in _EPOCHS if static.get(name, "").isdigit()), "0")
    return int(given.get("MinResource", 1)), int(given.get("MaxResource", epochs))


def training_request(
    definition: dict[str, Any], tuned: dict[str, str], name: str, tags: list[dict[str, str]]
) -> dict[str, Any]:
    """The ``CreateTrainingJob`` request of one trial.

    Args:
        definition: The training definition.
        tuned: The chosen hyperparameters.
        name: The training job's name.
        tags: The tuning job's tags, which its training jobs carry too.
    """
    metric = definition["TuningObjective"]["MetricName"]
    resources = definition.get("ResourceConfig")
    if resources is None:
        flexible = definition.get("HyperParameterTuningResourceConfig", {})
        # Instances are never short here, so the first of the preferred ones it is.
        chosen = {**flexible, **next(iter(flexible.get("InstanceConfigs", ())), {})}
        members = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
        resources = {member: chosen[member] for member in members if member in chosen}
    return {
        "TrainingJobName": name,
        "HyperParameters": {
            # The SDK's script mode sends it by itself, as JSON.
            TUNING_OBJECTIVE_METRIC: metric,
            **definition.get("StaticHyperParameters", {}),
            **tuned,
        },
        "ResourceConfig": resources,
        **{member: definition[member] for member in _PASSED_ON if member in definition},
        "Tags": tags,
    }


def _is_interrupted(job: dict[str, Any]) -> bool:
    return job.get("FailureReason") == INTERRUPTED


def _has_converged(jobs: list[dict[str, Any]]) -> bool:
    values = [value for job in jobs if (value := objective_value(job)) is not None]
    if len(values) <= _CONVERGENCE_JOBS:
        return False
    is_minimized = jobs[0][TRIAL]["Objective"]["Type"] == "Minimize"
    losses = values if is_minimized else [-value for value in values]
    gained = min(losses[:-_CONVERGENCE_JOBS]) - min(losses)
    return gained <= _CONVERGENCE_SHARE * (max(losses) - min(losses))
