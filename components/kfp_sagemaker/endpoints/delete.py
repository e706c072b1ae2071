"""Delete what a run created or what is named, in the right order, whatever of it is still there.

Order: stop jobs, monitoring schedules (they start jobs, and hold their endpoint), autoscaling targets, endpoints (they
cost most and hold the rest), their configurations, their models, S3 objects.

API: https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-delete-resources.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from kfp_sagemaker.aws import run_context
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import AwsCallError, KfpSagemakerError, ResourceMissingError
from kfp_sagemaker.aws.s3 import list_objects, parse_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints import autoscaling, endpoint_config, hosting, run_resources
from kfp_sagemaker.endpoints.deploy import ENDPOINT_TAG
from kfp_sagemaker.models import s3_objects
from kfp_sagemaker.monitoring.schedules import schedule

CURRENT_RUN = "current"
# Endpoints go at the same time; each takes SageMaker a while.
_CONCURRENCY = 8
_S3_CONCURRENCY = 8


@dataclass(frozen=True)
class Plan:
    """What to delete, checked. The attributes are the component's arguments; ``run_id`` is a real one, or empty."""

    endpoint_names: tuple[str, ...]
    endpoint_config_names: tuple[str, ...]
    model_names: tuple[str, ...]
    s3_uris: tuple[str, ...]
    run_id: str
    delete_dependencies: bool
    timeout_seconds: int


class Deleted(NamedTuple):
    """The component's output."""

    deleted: list[str]


def build_plan(
    *,
    endpoint_names: Sequence[str] = (),
    endpoint_config_names: Sequence[str] = (),
    model_names: Sequence[str] = (),
    s3_uris: Sequence[str] = (),
    run_id: str = "",
    delete_dependencies: bool = True,
    timeout_seconds: int = 1800,
) -> Plan:
    """Check the component's arguments; calls nothing.

    Empty names are left out: they come from steps that never ran.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("delete_resources")
    named = {
        "endpoint_names": endpoint_names,
        "endpoint_config_names": endpoint_config_names,
        "model_names": model_names,
    }
    for argument, given in named.items():
        for index, name in enumerate(given):
            problems.name(f"{argument}[{index}]", name)
    for index, uri in enumerate(s3_uris):
        if problems.s3_uri(f"s3_uris[{index}]", uri) and uri and not parse_uri(uri)[1].strip("/"):
            problems.add(f"s3_uris[{index}]", uri, "a prefix or an object inside the bucket, never the whole bucket")
    problems.between("timeout_seconds", timeout_seconds, 1)
    if not (run_id or s3_uris or any(named.values())):
        problems.add("run_id", run_id, f"given ({CURRENT_RUN!r} or a run's id), or names or s3_uris")
    problems.raise_if_any()
    return Plan(
        endpoint_names=tuple(name for name in endpoint_names if name),
        endpoint_config_names=tuple(name for name in endpoint_config_names if name),
        model_names=tuple(name for name in model_names if name),
        s3_uris=tuple(uri for uri in s3_uris if uri),
        run_id=run_context.current().run_id if run_id == CURRENT_RUN else run_id,
        delete_dependencies=delete_dependencies,
        timeout_seconds=int(timeout_seconds),
    )


def find(session: Session, plan: Plan) -> list[str]:
    """What ``run`` would stop and delete, such as ``model/prices``, in its order; changes nothing.

    Args:
        session: The caller's session.
        plan: From ``build_plan``.

    Raises:
        AwsCallError: Something could not be looked for.
    """
    work = _Deletion(session, plan, True, hosting.REAL_TIME, lambda line: None)
    found = [f"{listing.kind}/{job.name}" for listing, job in work.jobs()]
    work.collect()
    for kind, names in (
        ("monitoring-schedule", work.schedules),
        ("data-quality-job-definition", work.definitions()),
        ("endpoint", work.endpoints),
        ("endpoint-config", work.configs),
        ("model", work.models),
    ):
        found += [f"{kind}/{name}" for name in names]
    if work.failures:
        raise AwsCallError("\n".join(work.failures))
    return found + list(plan.s3_uris)


def run(
    session: Session,
    plan: Plan,
    *,
    keep: bool = False,
    run_state: str = "",
    timing: Timing = hosting.REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Deleted:
    """Delete it, reporting each.

    Args:
        session: The step's session.
        plan: From ``build_plan``.
        keep: Delete nothing and say what would go; jobs of the run are stopped all the same.
        run_state: How the run ended, for the report; empty when not known.
        timing: Clock and sleep for the waiting.
        sink: Takes the lines of the step's log.

    Raises:
        AwsCallError: Some deletions failed; all others are done.
    """
    work = _Deletion(session, plan, keep, timing, sink)
    if run_state:
        sink(f"The run ended as {run_state}." + (" Its resources are kept, as asked." if keep else ""))
    work.stop_jobs()
    work.collect()
    work.each(work.schedules, "monitoring-schedule", work.delete_schedule, _CONCURRENCY)
    work.each(
        work.definitions(), "data-quality-job-definition", lambda name: schedule.delete_definition(session, name), 1
    )
    work.each(work.endpoints, "endpoint", work.delete_endpoint, _CONCURRENCY)
    work.each(work.configs, "endpoint-config", lambda name: hosting.delete_config(session, name), 1)
    work.each(work.models, "model", lambda name: hosting.delete_model(session, name), 1)
    work.each(plan.s3_uris, "", work.delete_objects, 1)
    if work.failures:
        listed = "\n".join(f"  - {failure}" for failure in work.failures)
        total = len(work.failures) + len(work.deleted)
        raise AwsCallError(f"{len(work.failures)} of {total} deletions failed; what is left may cost:\n{listed}")
    sink(f"Deleted {len(work.deleted)} resources." if not keep else f"Kept {len(work.kept)} resources.")
    return Deleted(work.deleted)


class _Deletion:
    """One clean-up: what there is, what became of it."""

    def __init__(self, session: Session, plan: Plan, keep: bool, timing: Timing, sink: Callable[[str], None]) -> None:
        self.session = session
        self.plan = plan
        self.keep = keep
        self.timing = timing
        self.sink = sink
        self.endpoints = list(plan.endpoint_names)
        self.configs = list(plan.endpoint_config_names)
        self.models = list(plan.model_names)
        self.schedules: list[str] = []
        self.deleted: list[str] = []
        self.kept: list[str] = []
        self.failures: list[str] = []

    def stop_jobs(self) -> None:
        """Stop the run's running jobs: nobody waits for them any more."""
        for listing, job in self.jobs():
            if self._tried(f"{listing.kind}/{job.name}", partial(self._stop, listing), job.name):
                self.sink(f"{listing.kind} {job.name}: stopping")

    def jobs(self) -> Iterator[tuple[run_resources.Listing, run_resources.Resource]]:
        """The run's running jobs."""
        if self.plan.run_id:
            yield from ((listing, job) for listing in run_resources.JOBS for job in self._found(listing))

    def collect(self) -> None:
        """Add what carries the run's tag, and what the endpoints and configurations depend on."""
        if self.plan.run_id:
            self.schedules = [item.name for item in self._found(run_resources.SCHEDULES)]
            self.endpoints += [item.name for item in self._found(run_resources.ENDPOINTS)]
            in_use: list[str] = []
            for item in self._found(run_resources.CONFIGS):
                (in_use if self._is_used_elsewhere(item) else self.configs).append(item.name)
            spared = {model for name in in_use for model in self._models_of(name)}
            self.models += [item.name for item in self._found(run_resources.MODELS) if item.name not in spared]
        self.endpoints = list(dict.fromkeys(self.endpoints))
        if self.plan.delete_dependencies:
            for name in self.endpoints:
                description = self._tried(
                    f"endpoint/{name}", lambda n: hosting.describe_endpoint(self.session, n), name
                )
                if description:
                    self.configs += _config_names(description)
            for name in dict.fromkeys(self.configs):
                self.models += self._models_of(name)
        self.configs = list(dict.fromkeys(self.configs))
        self.models = list(dict.fromkeys(self.models))

    def each(self, names: Iterable[str], kind: str, delete: Callable[[str], int], concurrency: int) -> None:
        """Delete all of a kind; one that fails does not stop the others.

        Args:
            names: The resources.
            kind: Their kind; empty for S3 URIs, which say it themselves.
            delete: Deletes one and says how many things that were.
            concurrency: How many at the same time.
        """

        def one(name: str) -> None:
            label = f"{kind}/{name}" if kind else name
            if self.keep:
                self.kept.append(label)
                self.sink(f"Kept {label}.")
                return
            count = self._tried(label, delete, name)
            if count:
                entry = f"{label} ({count} objects)" if label.endswith("/") else label
                self.deleted.append(entry)
                self.sink(f"Deleted {entry}.")
            elif count is not None:
                self.sink(f"{label} does not exist.")

        with ThreadPoolExecutor(concurrency, "delete") as pool:
            list(pool.map(one, names))

    def delete_endpoint(self, name: str) -> int:
        """Delete an endpoint with its autoscaling, and wait for it."""
        description = hosting.describe_endpoint(self.session, name)
        if description is None:
            return 0
        self._remove_autoscaling(name, description)
        return hosting.delete_endpoint(
            self.session, name, timeout_seconds=self.plan.timeout_seconds, timing=self.timing, sink=self.sink
        )

    def delete_schedule(self, name: str) -> int:
        """Delete a monitoring schedule and its job definition, and wait for it."""
        deleted = schedule.delete(
            self.session, name, timeout_seconds=self.plan.timeout_seconds, timing=self.timing, sink=lambda line: None
        )
        return len(deleted.deleted)

    def definitions(self) -> list[str]:
        """Job definitions of the run that no schedule took along."""
        if not self.plan.run_id:
            return []
        return [item.name for item in self._found(run_resources.JOB_DEFINITIONS)]

    def delete_objects(self, uri: str) -> int:
        """Delete an object, or with a slash at the end everything below the prefix."""
        bucket, key = parse_uri(uri)
        try:
            keys = [item.key for item in list_objects(self.session, uri) if uri.endswith("/") or item.key == key]
        except ResourceMissingError:  # the bucket is gone already
            return 0
        with ThreadPoolExecutor(_S3_CONCURRENCY, "delete-objects") as pool:
            failed = s3_objects.delete_keys(self.session, bucket, keys, pool)
        if failed:
            shown = ", ".join(f"{name} ({reason})" for name, reason in list(failed.items())[:5])
            raise AwsCallError(f"{len(failed)} of {len(keys)} objects could not be deleted, such as {shown}")
        return len(keys)

    def _remove_autoscaling(self, name: str, description: dict[str, Any]) -> None:
        variants = [item["VariantName"] for item in description.get("ProductionVariants") or ()]
        removed = self._tried(
            f"autoscaling of endpoint/{name}", lambda n: autoscaling.remove(self.session, n, variants), name
        )
        for resource_id in removed or ():
            self.deleted.append(f"autoscaling/{resource_id}")
            self.sink(f"Deregistered autoscaling of {resource_id}.")

    def _found(self, listing: run_resources.Listing) -> list[run_resources.Resource]:
        label = f"finding each {listing.kind} of run {self.plan.run_id}"
        return (
            self._tried(label, lambda run_id: run_resources.find(self.session, listing, run_id), self.plan.run_id) or []
        )

    def _is_used_elsewhere(self, config: run_resources.Resource) -> bool:
        """Whether an endpoint serves this configuration that the clean-up does not touch: this run updated it."""
        endpoint = config.tags.get(ENDPOINT_TAG, "")
        if not endpoint or endpoint in self.endpoints:
            return False
        description = self._tried(
            f"endpoint/{endpoint}", lambda name: hosting.describe_endpoint(self.session, name), endpoint
        )
        if description and config.name in _config_names(description):
            self.sink(f"Kept endpoint-config/{config.name}: endpoint {endpoint}, which another run made, serves it.")
            return True
        return False

    def _models_of(self, config_name: str) -> list[str]:
        description = self._tried(
            f"endpoint-config/{config_name}", lambda name: hosting.describe_config(self.session, name), config_name
        )
        return endpoint_config.model_names(description) if description else []

    def _stop(self, listing: run_resources.Listing, name: str) -> bool:
        run_resources.stop(self.session, listing, name)
        return True

    def _tried(self, label: str, work: Callable[[str], Any], name: str) -> Any:
        """The work's result; None when it failed, which is noted for the end."""
        try:
            return work(name)
        except KfpSagemakerError as error:
            self.failures.append(f"{label}: {error}")
            self.sink(f"FAILED {label}: {error}")
            return None


def _config_names(description: dict[str, Any]) -> list[str]:
    """The configuration an endpoint serves, and the one an update under way leads to."""
    pending = (description.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
    return [name for name in (description.get("EndpointConfigName"), pending) if name]
