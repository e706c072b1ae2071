"""Make up the raw table ``data/churn.csv``: telecom customers, as an operational system exports them.

    python pipelines/training_ci/make_data.py

It holds what exports hold: rows twice, gaps, and yes and no in several spellings. The same seed gives the same table.
"""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

TARGET = Path(__file__).with_name("data") / "churn.csv"
CUSTOMERS = 2000
SEED = 7
# Minutes of each part of the day: mean, deviation, price of a minute.
PARTS = {
    "day": (180.0, 54.0, 0.17),
    "evening": (201.0, 51.0, 0.085),
    "night": (201.0, 51.0, 0.045),
    "international": (10.2, 2.8, 0.27),
}
COLUMNS = [
    "customer_id",
    "state",
    "account_length",
    "international_plan",
    "voice_mail_plan",
    "voice_mail_messages",
    *(f"{part}_{what}" for part in PARTS for what in ("minutes", "charge")),
    "customer_service_calls",
    "churn",
]
STATES = ("CA", "FL", "NY", "OH", "TX", "WA")
YES, NO = ("yes", "Yes", "YES", "yes "), ("no", "No", "NO", " no")
SHARE_OF_GAPS, SHARE_TWICE = 0.01, 0.03


def table(customers: int = CUSTOMERS, seed: int = SEED) -> str:
    """The table as CSV.

    Args:
        customers: How many different customers.
        seed: Seed of the random generator.
    """
    rng = random.Random(seed)  # noqa: S311 - customers, not secrets
    rows: list[list[object]] = []
    for number in range(customers):
        row = _customer(rng, number)
        for index in range(2, len(row) - 1):
            if rng.random() < SHARE_OF_GAPS:
                row[index] = ""
        rows.append(row)
        if rng.random() < SHARE_TWICE:
            rows.append(row)
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return target.getvalue()


def _customer(rng: random.Random, number: int) -> list[object]:
    plan, mail = rng.random() < 0.1, rng.random() < 0.27
    messages = max(1, round(rng.gauss(29, 7))) if mail else 0
    usage: list[object] = []
    for mean, deviation, price in PARTS.values():
        minutes = max(0.0, round(rng.gauss(mean, deviation), 1))
        usage += [minutes, round(minutes * price, 2)]
    calls = sum(rng.random() < 0.17 for _ in range(9))
    # Long days, an international plan and complaints drive customers away; a mail box keeps them.
    reasons = (float(str(usage[0])) - 197) / 22 + 2.6 * plan + 1.5 * (calls - 3.2) - 1.2 * mail + rng.gauss(0, 0.7)
    return [
        f"C{100_000 + number}",
        rng.choice(STATES),
        max(1, round(rng.gauss(101, 40))),
        rng.choice(YES if plan else NO),
        rng.choice(YES if mail else NO),
        messages,
        *usage,
        calls,
        rng.choice(YES if reasons > 0 else NO),
    ]


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(table(), encoding="utf-8")
    print(f"Wrote {TARGET}")
