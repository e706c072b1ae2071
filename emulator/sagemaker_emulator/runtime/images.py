"""Which local program an image URI stands for.

The built-in algorithms and framework containers are known in every region's registry. A user's own image is registered
with the commands that its Dockerfile's entry point would run; registrations are kept in ``images.json`` of the state
folder, which may be edited while the emulator runs::

    {"images": [{"pattern": ".*/churn:.*", "name": "churn", "train": ["python3", "/home/me/churn/train.py"],
                 "serve": ["python3", "/home/me/churn/serve.py"], "process": [], "working_directory": ""}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sagemaker_emulator.runtime import metric_definitions
from sagemaker_emulator.runtime.metric_definitions import MetricDefinitions

REGISTRY_FILE = "images.json"


class UnknownImageError(LookupError):
    """No registered image matches a URI, or the image has no program for what it was asked to do."""


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


# Every region's registry has these repositories, under other accounts and hosts.
_BUILTINS = {
    "linear-learner": _builtin("linear_learner", metric_definitions.LINEAR_LEARNER, fixed=True),
    "kmeans": _builtin("kmeans", metric_definitions.KMEANS, fixed=True),
    "xgboost": _builtin("xgboost", metric_definitions.XGBOOST, fixed=True),
    "sagemaker-xgboost": _builtin("xgboost", metric_definitions.XGBOOST),
    "sagemaker-scikit-learn": _builtin("scikit_learn"),
}
_IMAGE_URI = re.compile(r"(?:\S+/)?(?P<repository>[^/:@\s]+)(?:[:@]\S+)?")


class ImageRegistry:
    """Resolves image URIs: the user's registrations first, the latest before earlier ones, then the built-ins.

    Args:
        path: The file registrations are kept in; None keeps them in memory until :meth:`open` is called.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._registrations: list[Registration] = []
        self._read_mtime_ns = 0

    def open(self, path: Path) -> None:
        """Use the registrations in a file from now on; a missing file holds none."""
        self._path = path
        self._read_mtime_ns = 0
        self._refresh()

    def resolve(self, image_uri: str) -> Image:
        """Return the image a URI stands for.

        Raises:
            UnknownImageError: Nothing matches; the message says how to register it.
        """
        self._refresh()
        for registration in reversed(self._registrations):
            if re.fullmatch(registration.pattern, image_uri):
                return registration.image()
        match = _IMAGE_URI.fullmatch(image_uri)
        if match and (image := _BUILTINS.get(match["repository"])):
            return image
        raise UnknownImageError(
            f"the image {image_uri!r} is not registered with the emulator, which runs programs of this machine "
            f"instead of pulling images; register its programs in {self._path or REGISTRY_FILE} "
            f"(see sagemaker_emulator.runtime.images). Built in are: {', '.join(_BUILTINS)}"
        )

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
        """
        self._refresh()
        added = _registration(
            {
                "pattern": pattern,
                "name": name,
                "train": list(train),
                "serve": list(serve),
                "process": list(process),
                "working_directory": working_directory,
            },
            "register",
        )
        self._registrations = [*(known for known in self._registrations if known.name != name), added]
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".json.part")
            temporary.write_text(json.dumps({"images": [asdict(known) for known in self._registrations]}, indent=2))
            temporary.replace(self._path)
            self._read_mtime_ns = self._path.stat().st_mtime_ns

    def _refresh(self) -> None:
        if not self._path:
            return
        try:
            mtime_ns = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if mtime_ns != self._read_mtime_ns:
            document = json.loads(self._path.read_text())
            self._registrations = [_registration(entry, str(self._path)) for entry in document["images"]]
            self._read_mtime_ns = mtime_ns


def _registration(entry: dict[str, Any], source: str) -> Registration:
    commands = {key: tuple(entry.get(key) or ()) for key in ("train", "serve", "process")}
    try:
        re.compile(entry["pattern"])
    except re.error as error:
        raise ValueError(f"{source}: pattern {entry['pattern']!r} is not a regular expression: {error}") from error
    if not any(commands.values()):
        raise ValueError(f"{source}: the image {entry['name']!r} has no command; give train, serve or process")
    return Registration(
        entry["pattern"], entry["name"], **commands, working_directory=entry.get("working_directory") or ""
    )
