"""ministack's Lambda, as a function's processes and its log have to be here.

ministack runs a Python function as a process of the emulator's own interpreter, which reads its events from a pipe: it
ends when the emulator does, at the latest after the invocation it is at.
"""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from sagemaker_emulator.runtime.processes import base_environment, owner_environment
from sagemaker_emulator.settings import Settings

_SERVICE = "ministack.services.lambda_svc"
# What runs without Docker: interpreters of this machine, and programs that speak the runtime API themselves.
_RUNTIMES = ("python", "nodejs", "provided")
# Variables the runtime gives a function, whatever the emulator's own environment says.
_OF_THE_RUNTIME = ("AWS_", "LAMBDA_", "_LAMBDA")


class MinistackLambda:
    """What is different from ministack's own way of running functions.

    Args:
        app: ``ministack.app``.
        lambda_runtime: ``ministack.core.lambda_runtime``.
        evaluator: ``ministack.core.iam_evaluator``.
        responses: ``ministack.core.responses``.
        settings: The emulator's settings.
    """

    def __init__(
        self,
        app: ModuleType,
        lambda_runtime: Any,
        evaluator: ModuleType,
        responses: ModuleType,
        settings: Settings,
    ) -> None:
        self._app: Any = app
        self._runtime = lambda_runtime
        self._evaluator: Any = evaluator
        self._responses: Any = responses
        self._state_dir = settings.state_dir
        self._account_id = settings.account_id
        self._auth = settings.auth
        # ministack looks Popen up in its module at each start of a function.
        self._runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": self._start})
        # Not before it is used: importing ministack's Lambda takes longer than starting the rest of ministack.
        when_imported(_SERVICE, self._adapt)

    def stop(self) -> None:
        """End the functions' processes."""
        self._runtime.reset()

    def _start(self, command: list[str], *, env: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
        # A session of its own: an interrupt at the terminal is for the emulator, which ends its functions itself.
        environment = function_environment(env, self._state_dir)
        return subprocess.Popen(command, env=environment, start_new_session=True, **options)

    def _adapt(self, service: Any) -> None:
        # ministack looks both functions up in its module at each call.
        execute, emit = service._execute_function_dispatch, service._emit_lambda_logs

        def execute_or_refuse(function: Any, config: Mapping[str, Any], *arguments: Any) -> Any:
            # ministack answers "Mock response" with status 200 for what it cannot run.
            if reason := refusal(config, has_code=bool(function.get("code_zip"))):
                body = {"errorType": "Runtime.NotImplemented", "errorMessage": f"sagemaker-emulator: {reason}"}
                return {"body": body, "error": True, "log": reason}
            return execute(function, config, *arguments)

        def emit_as_role(function: Any, *arguments: Any, **options: Any) -> None:
            config = function.get("config") or function
            # Without this request's signature: it is the caller's, not the role's.
            if contextvars.Context().run(self._may_write_log, config):
                emit(function, *arguments, **options)

        service._execute_function_dispatch = execute_or_refuse
        if self._auth:
            service._emit_lambda_logs = emit_as_role

    def _may_write_log(self, config: Mapping[str, Any]) -> bool:
        """Whether a function's role may write its log: on AWS there is none otherwise. ministack asks nobody."""
        name, region = config["FunctionName"], config["FunctionArn"].split(":")[3]
        group = config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}"
        with self._responses.request_scope(self._account_id, region):
            key = self._runtime.execution_credentials(config)["AWS_ACCESS_KEY_ID"]
            is_there = group in self._app._get_module("cloudwatch_logs")._log_groups
            resource = f"arn:aws:logs:{region}:{self._account_id}:log-group:{group}:log-stream:{name}"
            return all(
                self._evaluator.enforce(key, f"logs:{action}", "logs", region, resource) is None
                for action in ("CreateLogGroup", "CreateLogStream", "PutLogEvents")[is_there:]
            )


def function_environment(env: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """Return a function's environment without what ministack lets it inherit from the emulator's.

    Args:
        env: What ministack means to start it with.
        state_dir: The emulator's state folder, which marks its processes for the next start.
    """
    own = {
        name: value for name, value in env.items() if os.environ.get(name) != value or name.startswith(_OF_THE_RUNTIME)
    }
    return base_environment() | own | owner_environment(state_dir)


def refusal(config: Mapping[str, Any], *, has_code: bool) -> str:
    """Return why a function cannot be run here; empty when it can.

    Args:
        config: Its configuration.
        has_code: Whether there is a code archive.
    """
    name, runtime = config.get("FunctionName", ""), str(config.get("Runtime", ""))
    if config.get("PackageType") == "Image":
        return f"function {name} is a container image, and functions run from zip archives only"
    if not runtime.startswith(_RUNTIMES):
        return f"function {name} needs the runtime {runtime}, and there are Python, Node.js and provided ones only"
    if not has_code:
        return f"function {name} has no code: the S3 object was not there when the function was created"
    return ""


def when_imported(name: str, adapt: Callable[[ModuleType], None]) -> None:
    """Call a function with a module of ministack as soon as somebody has imported it.

    Args:
        name: The module's full name; it has not been imported yet.
        adapt: Takes the module.
    """

    class Loader(SourceFileLoader):
        def exec_module(self, module: ModuleType) -> None:
            super().exec_module(module)
            adapt(module)

    class Finder(MetaPathFinder):
        def find_spec(
            self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> ModuleSpec | None:
            spec = PathFinder.find_spec(fullname, path, target) if fullname == name else None
            if spec is not None and spec.origin is not None:
                spec.loader = Loader(fullname, spec.origin)
            return spec

    sys.meta_path.insert(0, Finder())
