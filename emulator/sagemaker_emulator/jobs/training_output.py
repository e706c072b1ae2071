"""What a training job leaves in S3: ``model.tar.gz`` and ``output.tar.gz``, or the plain files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sagemaker_emulator.jobs.instances import Instance
from sagemaker_emulator.runtime import s3_transfer


def model_uri(job: dict[str, Any]) -> str:
    """Return where the model goes: the archive, or with ``CompressionType`` ``NONE`` the prefix of its files."""
    name = "model/" if _is_uncompressed(job) else "model.tar.gz"
    return _output_uri(job) + name


def upload(s3: Any, job: dict[str, Any], instances: Sequence[Instance], *, with_model: bool) -> None:
    """Upload the model and the output data of all hosts; blocks.

    The files of all hosts go into one archive, as on AWS. A folder without files makes no archive.

    Args:
        s3: The client of the job's role.
        job: The job's document.
        instances: The hosts.
        with_model: Whether the model is uploaded too; that of a failed job is not.

    Raises:
        s3_transfer.TransferError: S3 refused it.
    """
    if with_model:
        _upload_folders(s3, job, [instance.base_dir / "model" for instance in instances], "model")
    _upload_folders(s3, job, [instance.base_dir / "output" / "data" for instance in instances], "output")


def _upload_folders(s3: Any, job: dict[str, Any], folders: Sequence[Path], name: str) -> None:
    filled = [folder for folder in folders if _holds_files(folder)]
    if not filled:
        return
    merged = filled[0]
    for other in filled[1:]:
        _merge(other.rglob("*"), other, merged)
    kms_key_id = job["OutputDataConfig"].get("KmsKeyId", "")
    if _is_uncompressed(job):
        s3_transfer.upload_tree(s3, merged, f"{_output_uri(job)}{name}", kms_key_id)
        return
    archive = merged.parent / f".{name}.tar.gz"
    s3_transfer.pack_archive(merged, archive)
    s3_transfer.upload_file(s3, archive, f"{_output_uri(job)}{name}.tar.gz", kms_key_id)
    archive.unlink()


def _merge(paths: Iterable[Path], source: Path, target: Path) -> None:
    for path in sorted(paths):
        destination = target / path.relative_to(source)
        if path.is_dir():
            destination.mkdir(parents=True, exist_ok=True)
        elif not destination.exists():
            path.rename(destination)


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _output_uri(job: dict[str, Any]) -> str:
    base = job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return f"{base}/{job['TrainingJobName']}/output/"


def _is_uncompressed(job: dict[str, Any]) -> bool:
    return bool(job["OutputDataConfig"].get("CompressionType") == "NONE")
