"""AWS as a script: answers in a given order, every call written down, and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.engine import Timing


def refusal(code: str, message: str = "", operation: str = "Operation", status: int = 400) -> ClientError:
    """What botocore raises for an error answer."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


class ScriptedClient:
    """Answers each operation with its script.

    A list is used up in order and its last entry repeats; a callable is asked; an exception is raised.
    """

    def __init__(self, scripts: Mapping[str, Any]) -> None:
        self.scripts = dict(scripts)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_"):
            raise AttributeError(operation)

        def call(**parameters: Any) -> Any:
            self.calls.append((operation, parameters))
            answer = self.scripts[operation]
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if callable(answer) and not isinstance(answer, type):
                answer = answer(**parameters)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call

    def named(self, operation: str) -> list[dict[str, Any]]:
        """Parameters of every call of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    @property
    def operations(self) -> list[str]:
        """Operations in the order of their calls."""
        return [name for name, _ in self.calls]


class ScriptedSession:
    """Stands where ``Session`` does, with scripted clients."""

    region = "us-east-1"
    partition = "aws"
    dns_suffix = "amazonaws.com"

    def __init__(self, **clients: ScriptedClient) -> None:
        self.clients = clients

    def client(self, service: str) -> ScriptedClient:
        return self.clients[service]

    def console_url(self, path: str) -> str:
        return f"https://console.test{path}"


class ManualClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.seconds += seconds

    def timing(self, chance: float = 0.5) -> Timing:
        return Timing(now=lambda: self.seconds, sleep=self.sleep, random=lambda: chance)
