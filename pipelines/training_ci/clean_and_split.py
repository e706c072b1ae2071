"""AWS Glue job (Python shell 3.9): clean the raw churn table and split it into train, validation and test.

    --input_s3_uri   the raw table: CSV with header
    --output_s3_uri  prefix of train/train.csv, validation/validation.csv and test/test.csv: CSV without header, the
                     label first, as SageMaker's XGBoost reads it
    --seed           another seed is another split; default 0

Customers appear once; yes and no become 1 and 0; a gap takes the column's median of the training part. A customer's
part follows from the customer's number, so it stays the same when the table grows.

API: https://docs.aws.amazon.com/glue/latest/dg/add-job-python.html
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import statistics
from typing import Dict, Optional  # noqa: UP035 - Glue's Python 3.9 evaluates the alias below

import boto3

LABEL, KEY = "churn", "customer_id"
LEFT_OUT = {KEY, "state"}
SPELLINGS = {"yes": 1.0, "no": 0.0}
# Of a hundred customers.
SHARES = {"train": 70, "validation": 15, "test": 15}

Customer = Dict[str, Optional[float]]  # noqa: UP006, UP045


def clean(text: str) -> dict[str, Customer]:
    """The customers of a table by their number; what is missing is None.

    Args:
        text: CSV with header.
    """
    found: dict[str, Customer] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        customer = {name: _number(value, name, line) for name, value in row.items() if name not in LEFT_OUT}
        if customer[LABEL] is None:
            raise SystemExit(f"line {line}: {LABEL} is missing")
        found.setdefault(row[KEY], customer)
    return found


def split(customers: dict[str, Customer], seed: int) -> dict[str, list[Customer]]:
    """The customers of each part, in the table's order."""
    parts: dict[str, list[Customer]] = {name: [] for name in SHARES}
    for key, customer in customers.items():
        digest = hashlib.sha256(f"{seed}/{key}".encode()).hexdigest()
        place = int(digest[:8], 16) % sum(SHARES.values())
        for name, share in SHARES.items():
            if place < share:
                parts[name].append(customer)
                break
            place -= share
    return parts


def rows(customers: list[Customer], medians: dict[str, float]) -> str:
    """Customers as SageMaker's algorithms read them: CSV without header, the label first, gaps filled."""
    lines = []
    for customer in customers:
        values = [customer[LABEL]]
        values += [median if customer[name] is None else customer[name] for name, median in medians.items()]
        lines.append(",".join(f"{value:g}" for value in values))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, clean, split, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input_s3_uri", required=True)
    parser.add_argument("--output_s3_uri", required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments, _ = parser.parse_known_args()  # Glue adds arguments of its own
    s3 = boto3.client("s3")
    bucket, _, key = arguments.input_s3_uri.removeprefix("s3://").partition("/")
    parts = split(clean(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")), arguments.seed)
    columns = [name for name in parts["train"][0] if name != LABEL]
    medians = {name: statistics.median(_known(parts["train"], name)) for name in columns}
    bucket, _, prefix = arguments.output_s3_uri.rstrip("/").removeprefix("s3://").partition("/")
    for name, customers in parts.items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}/{name}.csv", Body=rows(customers, medians).encode())
        left = sum(customer[LABEL] or 0 for customer in customers)
        print(f"{name}: {len(customers)} customers, {left:.0f} of whom have left", flush=True)


def _number(raw: str, name: str, line: int) -> float | None:
    value = raw.strip().lower()
    try:
        return SPELLINGS[value] if value in SPELLINGS else float(value) if value else None
    except ValueError:
        raise SystemExit(f"line {line}: {name} is {raw!r}, must be a number, yes or no") from None


def _known(customers: list[Customer], name: str) -> list[float]:
    return [value for customer in customers if (value := customer[name]) is not None]


if __name__ == "__main__":
    main()
