"""The registry of implemented operations, and what runs when the emulator starts and stops.

A module of ``sagemaker_emulator.api`` registers by being imported::

    @operation("CreateModel")
    async def create_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]: ...

    @operation("InvokeEndpoint", service="sagemaker-runtime")
    async def invoke_endpoint(ctx, params): return {"Body": b"...", "ContentType": "text/csv"}

``params`` are parsed and validated against botocore's model of the service; the answer is serialised by it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

Handler = Callable[["Context", dict[str, Any]], Awaitable[dict[str, Any]]]
Hook = Callable[["App"], Awaitable[None]]

_handlers: dict[tuple[str, str], Handler] = {}
_start_hooks: list[Hook] = []
_stop_hooks: list[Hook] = []


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, from where, and the application that answers.

    Attributes:
        app: The application: store, clock, jobs, hosting.
        account_id: The account of the caller and of what it creates.
        region: The region the request was signed for.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``, from the region.
        caller_arn: The caller; without ``--auth`` the account's root.
        request_id: What ``x-amzn-RequestId`` answers.
    """

    app: App
    account_id: str
    region: str
    partition: str
    caller_arn: str
    request_id: str


def operation(name: str, *, service: str = "sagemaker") -> Callable[[Handler], Handler]:
    """Register the handler of an operation.

    Args:
        name: The operation as AWS spells it, such as ``CreateModel``.
        service: botocore's service name, such as ``sagemaker-runtime`` or ``application-autoscaling``.

    Raises:
        ValueError: The operation has a handler already.
    """

    def register(handler: Handler) -> Handler:
        if (service, name) in _handlers:
            raise ValueError(f"{service} {name} is registered twice: {_handlers[service, name]} and {handler}")
        _handlers[service, name] = handler
        return handler

    return register


def on_start(hook: Hook) -> Hook:
    """Register a coroutine to run once the emulator answers requests: marking interrupted jobs, starting endpoints."""
    _start_hooks.append(hook)
    return hook


def on_stop(hook: Hook) -> Hook:
    """Register a coroutine to run at an orderly stop, before the last requests: ending child processes."""
    _stop_hooks.append(hook)
    return hook


def load() -> None:
    """Import every module of ``sagemaker_emulator.api``, so that all operations and hooks are registered."""
    from sagemaker_emulator import api

    for module in pkgutil.iter_modules(api.__path__, f"{api.__name__}."):
        importlib.import_module(module.name)


def find(service: str, name: str) -> Handler | None:
    """Return the handler of an operation, or None when it is not implemented."""
    return _handlers.get((service, name))


def implemented() -> dict[str, list[str]]:
    """Return the names of the implemented operations of each service, sorted."""
    by_service: dict[str, list[str]] = {}
    for service, name in sorted(_handlers):
        by_service.setdefault(service, []).append(name)
    return by_service


async def run_start_hooks(app: App) -> None:
    """Run what ``on_start`` registered, in the order of registration."""
    for hook in _start_hooks:
        await hook(app)


async def run_stop_hooks(app: App) -> None:
    """Run what ``on_stop`` registered, latest first."""
    for hook in reversed(_stop_hooks):
        await hook(app)
