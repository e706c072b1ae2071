"""The folders, the configuration files and the way out of a SageMaker container.

Documented at https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html; the
emulator relocates ``/opt/ml`` by the environment variable ``SAGEMAKER_BASE_DIR``.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

EXIT_ALGORITHM_ERROR = 1
EXIT_CUSTOMER_ERROR = 2  # what the built-in algorithms end with when their input is wrong

log = logging.getLogger("algorithm")


class CustomerError(Exception):
    """The customer can fix it: a hyperparameter, a channel, the data.

    Args:
        message: The finished sentence.
        caused_by: The name of the underlying error's type; shown as the built-in algorithms show it.
    """

    def __init__(self, message: str, caused_by: str = "") -> None:
        super().__init__(f"{message} (caused by {caused_by})" if caused_by else message)


@dataclass(frozen=True)
class Folders:
    """The folders of one container below its base directory."""

    base: Path

    @classmethod
    def from_environment(cls) -> Folders:
        """The folders below ``SAGEMAKER_BASE_DIR``, or below ``/opt/ml`` when it is not set."""
        return cls(Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))

    @property
    def input(self) -> Path:
        """``input``: configuration and data."""
        return self.base / "input"

    @property
    def config(self) -> Path:
        """``input/config``: hyperparameters.json, inputdataconfig.json, resourceconfig.json."""
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        """``input/data``: one folder a channel."""
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        """``model``: what training leaves and serving loads."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """``output``: the failure file and ``data``."""
        return self.base / "output"

    @property
    def code(self) -> Path:
        """``code``: the user's source during training."""
        return self.base / "code"

    @property
    def failure(self) -> Path:
        """``output/failure``: why training failed."""
        return self.base / "output" / "failure"


@dataclass(frozen=True)
class TrainingConfig:
    """What the configuration files of a training container say."""

    folders: Folders
    hyperparameters: Mapping[str, Any]
    channels: Mapping[str, Mapping[str, Any]]
    resources: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folders: Folders) -> TrainingConfig:
        """Read the three files; a missing one counts as empty, as in a job without channels."""
        return cls(
            folders=folders,
            hyperparameters=_read_json(folders.config / "hyperparameters.json"),
            channels=_read_json(folders.config / "inputdataconfig.json"),
            resources=_read_json(folders.config / "resourceconfig.json"),
        )

    @property
    def current_host(self) -> str:
        """The name of this container, ``algo-1`` for the first."""
        return str(self.resources.get("current_host") or "algo-1")

    @property
    def hosts(self) -> list[str]:
        """The names of all containers of the job."""
        return [str(host) for host in self.resources.get("hosts") or [self.current_host]]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CustomerError(f"The content of {path.name} is not valid JSON: {error}", caused_by="ValueError") from error
    if not isinstance(content, dict):
        raise CustomerError(f"The content of {path.name} is not a JSON object", caused_by="TypeError")
    return content


def run_training(train: Callable[[TrainingConfig], None]) -> NoReturn:
    """Run a built-in algorithm's training and end the process the way the contract says.

    A failure is written to ``output/failure`` and logged; the exit code is 2 for a customer's mistake, else 1.
    SIGTERM (StopTrainingJob) ends the process at once: there is nothing to save that the algorithm has not saved.

    Args:
        train: The training; gets the configuration.
    """
    setup_algorithm_logging()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: os._exit(0))
    folders = Folders.from_environment()
    exit_code = 0
    try:
        config = TrainingConfig.read(folders)
        if _trains_here(config):
            train(config)
    except CustomerError as error:
        log.error("Customer Error: %s", error)  # noqa: TRY400 - the customer's mistake needs no traceback of ours
        write_failure(folders, str(error))
        exit_code = EXIT_CUSTOMER_ERROR
    except Exception as error:
        log.exception("Algorithm Error")
        write_failure(folders, f"{error!r} (caused by {type(error).__name__})\n\n{traceback.format_exc()}")
        exit_code = EXIT_ALGORITHM_ERROR
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # worker threads of numeric libraries must not delay the end


def _trains_here(config: TrainingConfig) -> bool:
    """Whether this host trains: the first one does, on replicated data; the others have nothing to add to it."""
    if len(config.hosts) == 1:
        return True
    sharded = [
        name for name, channel in config.channels.items() if channel.get("S3DistributionType") == "ShardedByS3Key"
    ]
    if sharded:
        raise CustomerError(
            f"The emulator's built-in algorithms do not train on sharded data: channel {', '.join(sharded)} is "
            f"ShardedByS3Key over {len(config.hosts)} instances. Use FullyReplicated, or one instance."
        )
    if config.current_host == config.hosts[0]:
        return True
    log.info("%s has nothing to do: %s trains on the replicated data", config.current_host, config.hosts[0])
    return False


def write_failure(folders: Folders, reason: str) -> None:
    """Write ``output/failure``: SageMaker's FailureReason holds its first 1,024 characters.

    The prefix ``ClientError:`` or ``AlgorithmError:`` is SageMaker's, which goes by the exit code.
    """
    folders.output.mkdir(parents=True, exist_ok=True)
    folders.failure.write_text(reason, encoding="utf-8")


def setup_algorithm_logging() -> None:
    """Log to stdout in the built-in algorithms' form: ``[11/24/2020 18:53:54 INFO 140513285547840] ...``."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        logging.Formatter("[%(asctime)s %(levelname)s %(thread)d] %(message)s", datefmt="%m/%d/%Y %H:%M:%S")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def run_program(*, train: Callable[[], None], serve: Callable[[], None]) -> None:
    """Dispatch ``train`` or ``serve``, the one argument SageMaker starts a container with.

    Args:
        train: Runs training and ends the process.
        serve: Serves until the process is stopped.
    """
    arguments = sys.argv[1:]
    if arguments == ["train"]:
        train()
    elif arguments == ["serve"]:
        serve()
    else:
        sys.exit(f"this container takes one argument, train or serve; got {' '.join(arguments) or 'none'}")
