"""What a run cost, estimated: billable seconds times list prices. An estimate only; the bill is AWS's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.flow.result import Job

_SECONDS_AN_HOUR = 3600
_PRICES_FILE = "prices.yaml"


@dataclass(frozen=True)
class PriceTable:
    """List prices; ``prices.yaml`` is the form.

    Attributes:
        region: AWS region they hold for.
        as_of: Day they were read, ISO 8601.
        currency: ISO 4217 code, such as USD.
        instance_hour: Price of an hour by instance type.
        glue_dpu_hour: Price of an hour of one of Glue's data processing units.
    """

    region: str
    as_of: str
    currency: str
    instance_hour: Mapping[str, float]
    glue_dpu_hour: float

    def of(self, job: Job) -> float | None:
        """What a job cost: 0 for one that an earlier run had paid, ``None`` where the table has no price for it."""
        if job.reused:
            return 0.0
        if job.kind == "glue":
            return job.dpu_seconds / _SECONDS_AN_HOUR * self.glue_dpu_hour
        price = self.instance_hour.get(job.instance_type)
        if price is None:
            return None
        return job.billable_seconds * max(job.instance_count, 1) / _SECONDS_AN_HOUR * price

    def total(self, jobs: Iterable[Job]) -> tuple[float, list[str]]:
        """What jobs cost together, and the instance types without a price, which are not in it."""
        jobs = list(jobs)
        unknown = {job.instance_type or job.kind for job in jobs if self.of(job) is None}
        return sum(self.of(job) or 0.0 for job in jobs), sorted(unknown)


def load(path: Path | None = None) -> PriceTable:
    """Read a price table.

    Args:
        path: The file; ``None`` takes the one of the package.

    Raises:
        InputError: With everything that is wrong with the file.
    """
    name = str(path) if path else _PRICES_FILE
    try:
        text = (path or files("kfp_sagemaker.flow").joinpath(_PRICES_FILE)).read_text(encoding="utf-8")
        content: Any = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise InputError([f"{name} cannot be read: {error}"], "price table") from error
    if not isinstance(content, dict):
        raise InputError([f"{name} must be an object with region, as_of, currency, instance_hour"], "price table")
    problems = Problems(f"price table {name}")
    for key in ("region", "as_of", "currency", "instance_hour"):
        problems.required(key, content.get(key))
    hours = content.get("instance_hour")
    if not isinstance(hours, dict):
        problems.add("instance_hour", hours, "an object of instance types and prices an hour")
        hours = {}
    for instance_type, price in hours.items():
        problems.instance_type("instance_hour", instance_type)
        problems.between(f"instance_hour.{instance_type}", price, 0)
    problems.between("glue_dpu_hour", content.get("glue_dpu_hour"), 0)
    problems.raise_if_any()
    return PriceTable(
        region=str(content["region"]),
        as_of=str(content["as_of"]),
        currency=str(content["currency"]),
        instance_hour={str(key): float(value) for key, value in hours.items()},
        glue_dpu_hour=float(content.get("glue_dpu_hour") or 0),
    )
