"""Which local program an image URI stands for.

The built-in algorithms and framework containers are known in every region's registry. A user's own image is registered
with the commands that its Dockerfile's entry point would run (``sagemaker-emulator images register``); registrations
are kept in ``images.json`` of the state folder, which is read again when it changes::

    {"images": [{"pattern": ".*/churn:.*", "name": "churn", "train": ["python", "train.py"], "serve": [],
                 "process": [], "working_directory": "/home/me/churn"}]}
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sagemaker_emulator.runtime import metric_definitions
from sagemaker_emulator.runtime.metric_definitions import MetricDefinitions

REGISTRY_FILE = "images.json"


class UnknownImageError(LookupError):
    """No registered image matches a URI, or the registrations cannot be read."""


@dataclass(frozen=True)
class Image:
    """A container image as programs of this machine.

    Attributes:
        name: Short name for messages.
        train: Command of a training job; empty when the image cannot train.
        serve: Command that serves a model.
        process: Command of a processing job that names no entry point of its own.
        metric_definitions: What its training log holds, for jobs that define no metrics themselves.
        working_directory: Where the programs start; the container's ``/opt/ml`` when empty.
        has_fixed_metrics: Whether a training job may not define metrics of its own.
    """

    name: str
    train: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    metric_definitions: MetricDefinitions = ()
    working_directory: str = ""
    has_fixed_metrics: bool = False


@dataclass(frozen=True)
class Registration:
    """A user's image, as ``images.json`` holds it.

    Attributes:
        pattern: Regular expression the whole image URI has to match.
        name: Short name; a registration replaces an earlier one of the same name.
        train: Command of a training job.
        serve: Command that serves a model.
        process: Command of a processing job.
        working_directory: Where the commands start.
    """

    pattern: str
    name: str
    train: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    working_directory: str = ""

    def image(self) -> Image:
        """Return the image this registers."""
        return Image(self.name, self.train, self.serve, self.process, working_directory=self.working_directory)


def _builtin(module: str, definitions: MetricDefinitions = (), *, fixed: bool = False) -> Image:
    program = ("python3", "-m", f"sagemaker_emulator.containers.{module}")
    return Image(
        module.replace("_", "-"),
        (*program, "train"),
        (*program, "serve"),
        metric_definitions=definitions,
        has_fixed_metrics=fixed,
    )


_ANALYZER = ("python3", "-m", "kfp_sagemaker.monitoring.analyzer")

BUILTINS = {
    "linear-learner": _builtin("linear_learner", metric_definitions.LINEAR_LEARNER, fixed=True),
    "kmeans": _builtin("kmeans", metric_definitions.KMEANS, fixed=True),
    "xgboost": _builtin("xgboost", metric_definitions.XGBOOST, fixed=True),
    "sagemaker-xgboost": _builtin("xgboost", metric_definitions.XGBOOST),
    "sagemaker-scikit-learn": _builtin("scikit_learn"),
    # The suite's own analyzer, installed beside the emulator, stands for Model Monitor's closed one too.
    "sagemaker-model-monitor-analyzer": Image("model-monitor-analyzer", process=_ANALYZER),
    "kfp-sagemaker-python-analyzer": Image("analyzer", process=_ANALYZER),
}
"""By repository: every region's registry has these, under other accounts and hosts."""
_IMAGE_URI = re.compile(r"(?:\S+/)?(?P<repository>[^/:@\s]+)(?:[:@]\S+)?")


class ImageRegistry:
    """Resolves image URIs: the user's registrations first, the latest before earlier ones, then the built-ins.

    Args:
        path: The file registrations are kept in, missing while there are none; None keeps them in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._registrations: tuple[Registration, ...] = ()
        self._read_version: tuple[int, ...] = ()

    def registrations(self) -> tuple[Registration, ...]:
        """Return the user's registrations, the earliest first.

        Raises:
            UnknownImageError: The file cannot be read.
        """
        self._refresh()
        return self._registrations

    def resolve(self, image_uri: str) -> Image:
        """Return the image a URI stands for.

        Raises:
            UnknownImageError: Nothing matches; the message says how to register it.
        """
        for registration in reversed(self.registrations()):
            if re.fullmatch(registration.pattern, image_uri):
                return registration.image()
        match = _IMAGE_URI.fullmatch(image_uri)
        if match and (image := BUILTINS.get(match["repository"])):
            return image
        raise UnknownImageError(self._how_to_register(image_uri, match["repository"] if match else "my-image"))

    def register(
        self,
        pattern: str,
        *,
        name: str,
        train: Sequence[str] = (),
        serve: Sequence[str] = (),
        process: Sequence[str] = (),
        working_directory: str = "",
    ) -> None:
        """Register the programs of an image, and keep them when the registry has a file.

        Args:
            pattern: Regular expression the whole image URI has to match.
            name: Short name; an earlier registration of that name is replaced.
            train: Command of a training job.
            serve: Command that serves a model.
            process: Command of a processing job without an entry point.
            working_directory: Where the commands start; the container's ``/opt/ml`` when empty.

        Raises:
            ValueError: The pattern is not a regular expression, or there is no command at all.
            UnknownImageError: The file holds something else.
        """
        added = _registration(
            {
                "pattern": pattern,
                "name": name,
                "train": list(train),
                "serve": list(serve),
                "process": list(process),
                "working_directory": working_directory,
            }
        )
        self._keep([*(known for known in self.registrations() if known.name != name), added])

    def unregister(self, name: str) -> None:
        """Forget a registration.

        Raises:
            UnknownImageError: There is none of that name.
        """
        known = self.registrations()
        kept = [registration for registration in known if registration.name != name]
        if len(kept) == len(known):
            names = ", ".join(registration.name for registration in known) or "none"
            raise UnknownImageError(f"No image {name!r} is registered; registered are: {names}")
        self._keep(kept)

    def _keep(self, registrations: Iterable[Registration]) -> None:
        self._registrations = tuple(registrations)
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".json.part")
            temporary.write_text(json.dumps({"images": [asdict(known) for known in self._registrations]}, indent=2))
            temporary.replace(self._path)
            self._read_version = _version(self._path)

    def _refresh(self) -> None:
        if not self._path or (version := _version(self._path)) == self._read_version:
            return
        try:
            entries = json.loads(self._path.read_text())["images"] if version else []
            self._registrations = tuple(_registration(entry) for entry in entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnknownImageError(
                f"the registered images cannot be read from {self._path}: {type(error).__name__}: {error}"
            ) from error
        self._read_version = version

    def _how_to_register(self, image_uri: str, repository: str) -> str:
        state_dir = shlex.quote(str(self._path.parent)) if self._path else "DIR"
        return (
            f"the image {image_uri!r} is not registered with the emulator, which runs programs of this machine instead "
            f"of pulling images. Register its programs: sagemaker-emulator images register '.*/{repository}:.*' "
            f"--name {repository} --train 'python train.py' --serve 'python serve.py' --state-dir {state_dir}. "
            f"Built in are: {', '.join(BUILTINS)}"
        )


def _version(path: Path) -> tuple[int, ...]:
    # Two writes within a tick of the file system's clock differ in the inode: each is a new file, renamed.
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _registration(entry: dict[str, Any]) -> Registration:
    commands = {key: tuple(entry.get(key) or ()) for key in ("train", "serve", "process")}
    try:
        re.compile(entry["pattern"])
    except re.error as error:
        raise ValueError(f"pattern {entry['pattern']!r} is not a regular expression: {error}") from error
    if not any(commands.values()):
        raise ValueError(f"the image {entry['name']!r} has no command; give train, serve or process")
    return Registration(
        entry["pattern"], entry["name"], **commands, working_directory=entry.get("working_directory") or ""
    )
