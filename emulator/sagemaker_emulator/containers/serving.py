"""Runs the model server in a container's process."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sagemaker_emulator.containers.contract import Folders
from sagemaker_emulator.containers.formats import JSON
from sagemaker_emulator.containers.model import Answer, Loader
from sagemaker_emulator.containers.model_server import ModelServer

log = logging.getLogger("serving")

_SHUTDOWN_SECONDS = 2


def serve(
    load: Loader,
    *,
    default_accept: str = JSON,
    execution_parameters: Callable[[], Answer | None] | None = None,
    prepare: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM; the process then ends with exit code 0.

    A container that cannot load its model ends with exit code 1 instead of answering /ping.

    Args:
        load: Loads a model from the folder of its extracted archive.
        default_accept: Taken when neither the request nor SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT says another.
        execution_parameters: The answer of ``GET /execution-parameters``; a default for built-in algorithms.
        prepare: Slow imports a multi-model server does in the background once it is up.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s - %(name)s - %(message)s")
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    multi_model = os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    server = ModelServer(
        load,
        multi_model=multi_model,
        default_accept=os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or default_accept,
        execution_parameters=execution_parameters or _builtin_execution_parameters,
    )
    folder = Folders.from_environment().model
    if not multi_model:
        try:
            server.load_single(folder)
        except Exception:
            log.exception("the model could not be loaded from %s", folder)
            sys.exit(1)
    elif prepare is not None:
        server.warm_up(prepare)
    _run(server)
    os._exit(0)  # a model that still runs on the worker thread must not hold the process


def _builtin_execution_parameters() -> Answer:
    concurrent = os.cpu_count() or 1
    document = {"MaxConcurrentTransforms": concurrent, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
    return Answer(json.dumps(document).encode())


def _run(server: ModelServer) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """Without uvicorn's signal handling: it raises the signal again, and the exit code is then not 0."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._exit)
            yield

        def _exit(self) -> None:
            self.should_exit = True

    gc.collect()
    gc.freeze()  # what is loaded by now stays: collections need not look at it again
    config = uvicorn.Config(
        server,
        host=os.environ.get("SAGEMAKER_BIND_TO_HOST") or "127.0.0.1",
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    Server(config).run()
