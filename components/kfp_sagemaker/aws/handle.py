"""One AWS resource a step deals with: its name, and what can be asked of it or done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import error_code, is_missing
from kfp_sagemaker.aws.kinds import ResourceKind, look_up
from kfp_sagemaker.aws.session import Session

# A create that SIGTERM interrupted may take effect a moment after the first stop call.
_STOP_TRIES = 4
_STOP_SECONDS = 0.25
# How far back the run of an earlier attempt is looked for: Glue lists 200 runs a page.
_LISTED_PAGES = 5


class ResourceHandle:
    """A resource of one kind, by its name; its client exists from the start, because stopping it must not wait for one.

    Args:
        session: The step's session.
        kind: The kind of resource.
        name: Its name; empty until one is tried.

    Attributes:
        name: Its name.
        arn: Its ARN; empty until AWS has told it.
        adopted: Whether an earlier attempt of this step created it.
        parent: What it is a run of; empty for what is not a run.
        marker: The argument's value a run is known by before AWS has named it.
    """

    def __init__(self, session: Session, kind: ResourceKind, name: str = "") -> None:
        self.session = session
        self.kind = kind
        self.client = session.client(kind.service)
        self.name = name
        self.arn = ""
        self.adopted = False
        self.parent = ""
        self.marker = ""

    def describe(self) -> dict[str, Any]:
        """What its describe call answers; botocore's errors pass through."""
        run_of = self.kind.run_of
        address = self._named() if run_of is None else run_of.describe(self.parent, self.name)
        return dict(self._call(self.kind.describe_operation, **address))

    def create(self, request: Mapping[str, Any]) -> None:
        """Create it under its present name, which AWS chooses for some runs; botocore's errors pass through."""
        if self.marker:
            answer = self._call(self.kind.create_operation, **request)
            self.name = self.arn = str(answer[self.kind.name_parameter])
        else:
            self.arn = str(self._call(self.kind.create_operation, **self._named(), **request)[self.kind.arn_path])

    def find_marked(self) -> str:
        """Find the run whose argument is the marker, the newest first; returns its status, empty when there is none."""
        run_of = self.kind.run_of
        if run_of is None:
            return ""
        request: dict[str, Any] = {run_of.parent_parameter: self.parent}
        for _ in range(_LISTED_PAGES):
            answer = self._call(self.kind.list_operation, **request)
            for found in answer[run_of.runs_path]:
                if (found.get("Arguments") or {}).get(run_of.marker_argument) == self.marker:
                    # Listed runs are what a description holds.
                    member, _, path = self.kind.status_path.partition(".")
                    self.name = self.arn = str(look_up({member: found}, self.kind.arn_path))
                    return str(found[path])
            if not answer.get("NextToken"):
                break
            request["NextToken"] = answer["NextToken"]
        return ""

    def stop(self, sleep: Callable[[float], None]) -> bool:
        """Stop it, or delete what cannot be stopped.

        Args:
            sleep: Waits that many seconds.

        Returns:
            Whether AWS took the call, or it has ended by itself.
        """
        for _ in range(_STOP_TRIES if self.name or self.marker else 0):
            try:
                if self.name or self.find_marked():
                    self._stop_named()
                    return True
            except ClientError as error:
                if not is_missing(error):
                    # SageMaker refuses to stop what has ended, with ValidationException.
                    return error_code(error) == "ValidationException"
                if self.arn:
                    return True
            except BotoCoreError:
                pass
            sleep(_STOP_SECONDS)
        return False

    def status(self, description: Mapping[str, Any]) -> str:
        """Its status in a description; empty when that holds none."""
        return str(look_up(description, self.kind.status_path) or "")

    def detail(self, description: Mapping[str, Any]) -> str:
        """Its finer status in a description, for kinds that have one."""
        return str(look_up(description, self.kind.detail_path) or "") if self.kind.detail_path else ""

    def state(self, description: Mapping[str, Any]) -> str:
        """Both statuses in words, such as ``InProgress (Downloading)``, or the status and how far it is."""
        status = self.status(description)
        detail = self.kind.progress(description) or self.detail(description)
        return f"{status} ({detail})" if detail and detail != status else status or "unknown"

    @property
    def console_url(self) -> str:
        """Its page in the AWS console; empty where there is none."""
        path = self.kind.console_path
        return self.session.console_url(
            path.format(name=self.name, region=self.session.region, arn=self.arn, parent=self.parent)
        )

    def _stop_named(self) -> None:
        run_of = self.kind.run_of
        address = self._named() if run_of is None else run_of.stop(self.parent, self.name)
        self._call(self.kind.stop_operation, **address)

    def _named(self) -> dict[str, Any]:
        return {self.kind.name_parameter: self.name}

    def _call(self, operation: str, **parameters: Any) -> Any:
        return getattr(self.client, operation)(**parameters)

    def __str__(self) -> str:
        of = f" of {self.parent.rpartition(':')[2]}" if self.parent else ""
        return f"{self.kind.label} {self.name or self.marker}{of}"
