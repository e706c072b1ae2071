"""Create an endpoint or update it, wait until it serves, and leave nothing half-made behind.

An update is SageMaker's own: it starts instances with the new configuration, moves the traffic and removes the old
ones, and goes back to the old configuration when the new one does not come up. The endpoint is ``InService`` after
either; which configuration it serves says what happened.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import engine, names, run_context, tags
from kfp_sagemaker.aws.call_errors import aws_errors, error_message
from kfp_sagemaker.aws.errors import CancelledError, DeadlineError, JobFailedError, KfpSagemakerError
from kfp_sagemaker.aws.kinds import ENDPOINT
from kfp_sagemaker.aws.logs import LogTail
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.termination import Terminated, raising_on_sigterm
from kfp_sagemaker.endpoints import autoscaling, hosting
from kfp_sagemaker.endpoints.deploy_options import Options

# Tags of a configuration: the endpoint it was made for, and the configuration it takes the place of there. They let a
# retried step clean up what its predecessor could not, and a clean-up see that a configuration is in use.
ENDPOINT_TAG = f"{tags.PREFIX}endpoint"
SUPERSEDES_TAG = f"{tags.PREFIX}supersedes"
_HASH_CHARACTERS = 12
_MAX_NAME_CHARACTERS = 63
_DELETE_TIMEOUT_SECONDS = 600.0


class Deployed(NamedTuple):
    """An endpoint that serves."""

    endpoint_name: str
    endpoint_config_name: str
    endpoint_arn: str


def config_name(endpoint_name: str, config: Mapping[str, Any]) -> str:
    """Name of an endpoint's configuration: the same content gives the same name."""
    digest = names.request_hash(config)[:_HASH_CHARACTERS]
    return f"{endpoint_name[: _MAX_NAME_CHARACTERS - _HASH_CHARACTERS - 1].rstrip('-')}-{digest}"


def run(
    session: Session,
    config: Mapping[str, Any],
    options: Options,
    *,
    scaling: autoscaling.Policy = autoscaling.NONE,
    user_tags: Mapping[str, str] | None = None,
    timing: engine.Timing = hosting.REAL_TIME,
    sink: Callable[[str], None] = engine.print_line,
) -> Deployed:
    """Bring the endpoint to serve the configuration.

    Args:
        session: The step's session.
        config: From ``endpoint_config.build_request``.
        options: From ``deploy_options.build``.
        scaling: From ``autoscaling.build_policy``.
        user_tags: The user's tags.
        timing: Clock, sleep and chance.
        sink: Takes the lines of the step's log.

    Raises:
        JobFailedError: The endpoint could not be created, or the update was rolled back.
        DeadlineError: It does not serve in time.
        CancelledError: The step was asked to end.
        AwsCallError: AWS refused a call.
    """
    run_of_step = run_context.current()
    name = options.endpoint_name or names.resource_name(run_of_step.pipeline_name or "endpoint", config, run_of_step)
    deployment = _Deployment(session, config, options, name, user_tags or {}, timing, sink)
    with raising_on_sigterm():
        try:
            arn = deployment.run()
        except Terminated:
            raise CancelledError(deployment.cancel()) from None
    autoscaling.apply(session, name, scaling)
    for variant in scaling.variant_names:
        sink(
            f"endpoint {name}: variant {variant} scales from {scaling.min_capacity} to {scaling.max_capacity} instances"
        )
    return Deployed(name, deployment.config_name, arn)


class _Deployment:
    """One endpoint on its way to a configuration."""

    def __init__(
        self,
        session: Session,
        config: Mapping[str, Any],
        options: Options,
        name: str,
        user_tags: Mapping[str, str],
        timing: engine.Timing,
        sink: Callable[[str], None],
    ) -> None:
        self.session = session
        self.client = session.client("sagemaker")
        self.config = config
        self.options = options
        self.name = name
        self.config_name = config_name(name, config)
        self.user_tags = user_tags
        self.timing = timing
        self.sink = sink
        self.config_is_new = False
        self.is_creating = False

    def run(self) -> str:
        """Create or update; the endpoint's ARN."""
        found = self._settled()
        outcome = self._create() if found is None else self._update(found)
        self.sink(f"endpoint {self.name}: serves configuration {self.config_name}")
        return outcome.arn

    def cancel(self) -> str:
        """After SIGTERM: take back what a creation began; an update goes on, AWS finishes it either way."""
        left = f"endpoint {self.name} and configuration {self.config_name}"
        if not self.is_creating:
            return f"the step was terminated; an update of endpoint {self.name} that has begun goes on"
        try:
            self.client.delete_endpoint(EndpointName=self.name)
            self.client.delete_endpoint_config(EndpointConfigName=self.config_name)
        except Exception as error:
            return f"the step was terminated; {left} could not be deleted ({error}): run delete_resources"
        return f"the step was terminated; deleted {left}"

    def _settled(self) -> dict[str, Any] | None:
        """The endpoint as it is when nothing is under way, but for a deployment of this very configuration."""
        found = hosting.describe_endpoint(self.session, self.name)
        if found is None:
            return None
        status = found["EndpointStatus"]
        if status in ("Failed", "Deleting"):
            # SageMaker allows nothing but deleting a failed endpoint.
            self.sink(f"endpoint {self.name}: {status}; it is replaced by a new one")
            self._delete_endpoint()
            return None
        if status in ENDPOINT.running and _heading_for(found) != self.config_name:
            self.sink(f"endpoint {self.name}: {status}; waiting for that to end first")
            self._wait()
            return self._settled()
        return found

    def _create(self) -> engine.Outcome:
        self._ensure_config(supersedes="")
        self.is_creating = True
        try:
            engine.create(
                self.session,
                ENDPOINT,
                {"EndpointConfigName": self.config_name},
                name=self.name,
                tags=self.user_tags,
                timing=self.timing,
                sink=self.sink,
            )
        except KfpSagemakerError:
            self._delete_new_config()
            raise
        return self._wait_for_creation()

    def _wait_for_creation(self) -> engine.Outcome:
        try:
            return self._wait()
        except JobFailedError as error:
            left = f"endpoint {self.name} and configuration {self.config_name}"
            fate = f"{left} are kept, as asked" if self.options.keep_failed else self._delete_half_made(left)
            raise _with_note(error, fate) from error
        except DeadlineError as error:
            # SageMaker refuses to delete an endpoint while it is being created.
            raise _with_note(
                error, f"endpoint {self.name} is left, with configuration {self.config_name}: run delete_resources"
            ) from error

    def _update(self, found: Mapping[str, Any]) -> engine.Outcome:
        old_config_name = str(found["EndpointConfigName"])
        status = found["EndpointStatus"]
        if status == "Creating":
            self.sink(f"endpoint {self.name}: adopted, it is being created with configuration {self.config_name}")
            self.is_creating = True
            return self._wait_for_creation()
        if old_config_name == self.config_name:
            self.sink(f"endpoint {self.name}: has configuration {self.config_name} already")
            outcome = self._wait()
            self._delete_superseded(self._superseded_by_tag())
            return outcome
        if status in ENDPOINT.running:
            self.sink(f"endpoint {self.name}: adopted, it is being updated to configuration {self.config_name}")
        else:
            self._start_update(old_config_name)
        outcome = self._wait()
        if outcome.description["EndpointConfigName"] != self.config_name:
            self._fail_rolled_back(outcome)
        self._delete_superseded(old_config_name)
        return outcome

    def _start_update(self, old_config_name: str) -> None:
        self._ensure_config(supersedes=old_config_name)
        try:
            with aws_errors(f"updating endpoint {self.name} to configuration {self.config_name}"):
                self.client.update_endpoint(
                    EndpointName=self.name, EndpointConfigName=self.config_name, **self.options.update
                )
        except KfpSagemakerError:
            self._delete_new_config()
            raise
        self.sink(f"endpoint {self.name}: updating from {old_config_name} to {self.config_name}")

    def _fail_rolled_back(self, outcome: engine.Outcome) -> None:
        serving = outcome.description["EndpointConfigName"]
        tail = LogTail(self.session, ENDPOINT, self.name, self.sink)
        tail.show_last(outcome.description)
        hosting.delete_config(self.session, self.config_name)
        raise JobFailedError(
            f"endpoint {self.name}: the update to configuration {self.config_name} failed and was rolled back; the "
            f"endpoint serves {serving} as before, and {self.config_name} was deleted",
            reason=str(outcome.description.get("FailureReason") or "AWS gave none"),
            log_lines=list(tail.last_lines),
            console_url=outcome.console_url,
        )

    def _wait(self) -> engine.Outcome:
        return engine.wait(
            self.session,
            ENDPOINT,
            self.name,
            timeout_seconds=self.options.timeout_seconds,
            timing=self.timing,
            sink=self.sink,
        )

    def _ensure_config(self, *, supersedes: str) -> None:
        own = [{"Key": ENDPOINT_TAG, "Value": self.name}]
        if supersedes:
            own.append({"Key": SUPERSEDES_TAG, "Value": supersedes})
        fingerprint = names.request_hash(self.config)
        all_tags = tags.run_tags(run_context.current(), self.user_tags, request_hash=fingerprint) + own
        with aws_errors(f"creating endpoint configuration {self.config_name}"):
            try:
                self.client.create_endpoint_config(EndpointConfigName=self.config_name, Tags=all_tags, **self.config)
            except ClientError as error:
                if "already existing" not in error_message(error):
                    raise
                return  # its name is its content's: an earlier attempt made it
        self.config_is_new = True

    def _superseded_by_tag(self) -> str:
        """What this configuration took the place of, when an earlier attempt may not have come to deleting it."""
        description = hosting.describe_config(self.session, self.config_name)
        if description is None:
            return ""
        with aws_errors(f"reading the tags of endpoint configuration {self.config_name}"):
            found = tags.as_mapping(self.client.list_tags(ResourceArn=description["EndpointConfigArn"])["Tags"])
        return found.get(SUPERSEDES_TAG, "")

    def _delete_superseded(self, old_config_name: str) -> None:
        if not old_config_name or old_config_name == self.config_name or self.options.keep_superseded_config:
            return
        if hosting.delete_config(self.session, old_config_name):
            self.sink(f"endpoint configuration {old_config_name}: deleted, superseded by {self.config_name}")

    def _delete_new_config(self) -> None:
        if self.config_is_new:
            hosting.delete_config(self.session, self.config_name)

    def _delete_half_made(self, left: str) -> str:
        try:
            self._delete_endpoint()
            hosting.delete_config(self.session, self.config_name)
        except KfpSagemakerError as error:
            return f"{left} could not be deleted ({error}): run delete_resources"
        return f"{left} were deleted (keep_failed=True keeps them)"

    def _delete_endpoint(self) -> None:
        hosting.delete_endpoint(
            self.session, self.name, timeout_seconds=_DELETE_TIMEOUT_SECONDS, timing=self.timing, sink=self.sink
        )


def _heading_for(description: Mapping[str, Any]) -> str:
    """The configuration a deployment under way leads to."""
    pending = (description.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
    return str(pending or description["EndpointConfigName"])


def _with_note(error: JobFailedError | DeadlineError, note: str) -> JobFailedError | DeadlineError:
    """The same error, its first line saying what became of the endpoint."""
    return type(error)(
        f"{error.summary}; {note}", reason=error.reason, log_lines=error.log_lines, console_url=error.console_url
    )
