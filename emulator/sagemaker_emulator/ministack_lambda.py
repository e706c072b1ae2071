"""ministack's Lambda, as a function's processes and its log have to be here.

ministack runs a Python function as a process of the emulator's own interpreter, which reads its events from a pipe: it
ends when the emulator does, at the latest after the invocation it is at.
"""

from __future__ import annotations

import contextvars
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from sagemaker_emulator.runtime.processes import base_environment, owner_environment
from sagemaker_emulator.settings import Settings

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
        self._is_log_guarded = not settings.auth
        # ministack looks Popen up in its module at each start of a function.
        self._runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": self._start})

    def stop(self) -> None:
        """End the functions' processes."""
        self._runtime.reset()

    def _start(self, command: list[str], *, env: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
        # Only now: importing ministack's Lambda takes longer than starting the rest of it.
        if not self._is_log_guarded:
            self._is_log_guarded = True
            self._let_the_role_write_the_log()
        # A session of its own: an interrupt at the terminal is for the emulator, which ends its functions itself.
        environment = function_environment(env, self._state_dir)
        return subprocess.Popen(command, env=environment, start_new_session=True, **options)

    def _let_the_role_write_the_log(self) -> None:
        """Write a function's log only where its role may, as on AWS; ministack asks nobody."""
        service = self._app._get_module("lambda_svc")
        emit = service._emit_lambda_logs

        def emit_as_role(function: Any, *arguments: Any, **options: Any) -> None:
            config = function.get("config") or function
            # Without this request's signature: it is the caller's, not the role's.
            if contextvars.Context().run(self._may_write_log, config):
                emit(function, *arguments, **options)

        # ministack looks the function up in its module at each call.
        service._emit_lambda_logs = emit_as_role

    def _may_write_log(self, config: Mapping[str, Any]) -> bool:
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
