"""The analyzer on 1,000,000 rows of 23 columns, beside a bare polars scan of the same file.

15 columns of floats with 5 % missing, 4 of integers, 4 of text with 5, 50, 1,000 and 100,000 distinct values. Each
measurement is a process of its own, so that its memory is its own; importing is not counted. The fastest of three
turns counts, and the largest memory. With a baseline the whole of an analysis is measured, reports included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.figures import Figure

ROWS = 1_000_000
ROUNDS = 3
DISTINCT = (5, 50, 1_000, 100_000)
MISSING = 0.05

_ANALYZE = """
import json, resource, sys, time
from kfp_sagemaker.monitoring.analyzer import analysis
from kfp_sagemaker.monitoring.analyzer.options import Options
source, dataset_format, output, baseline = sys.argv[1:]
start = time.perf_counter()
result = analysis.run(Options(
    dataset_sources=[source], dataset_format=dataset_format, output_path=output, baseline_statistics=baseline,
    baseline_constraints=baseline, log=lambda line: None,
))
seconds = time.perf_counter() - start
assert len(result.statistics["features"]) == 23 and not result.violations
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": result.item_count, "seconds": seconds, "megabytes": peak}))
"""
# Every column is parsed; what is computed is as little as can be.
_SCAN = """
import json, resource, sys, time
import polars as pl
source, dataset_format, _, _ = sys.argv[1:]
start = time.perf_counter()
scan = pl.scan_csv(source) if dataset_format == "csv" else pl.scan_parquet(source)
rows = scan.select(pl.len(), pl.all().max().name.suffix("_max")).collect(engine="streaming")[0, 0]
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows, "seconds": seconds, "megabytes": peak}))
"""


def measure() -> Iterable[Figure]:
    """Analyse the table as CSV and as Parquet, without and with a baseline, and scan it."""
    with tempfile.TemporaryDirectory(prefix="bench-analyzer-") as folder:
        frame = _table()
        for kind, rows_target in (("csv", 300_000), ("parquet", 600_000)):
            source = Path(folder) / f"table.{kind}"
            frame.write_csv(source) if kind == "csv" else frame.write_parquet(source)
            yield from _measure_format(source, kind, rows_target, Path(folder))


def _measure_format(source: Path, kind: str, rows_target: int, folder: Path) -> Iterable[Figure]:
    baseline = folder / f"{kind}-baseline"
    plain, compared, scanned = [], [], []
    for _ in range(ROUNDS):  # in turns: whatever else the machine does hits all of them
        plain.append(_run(_ANALYZE, source, kind, baseline, None))
        compared.append(_run(_ANALYZE, source, kind, folder / f"{kind}-report", baseline))
        scanned.append(_run(_SCAN, source, kind, folder, None))
    rate, scan_rate = (ROWS / min(each["seconds"] for each in runs) for runs in (plain, scanned))
    peak = max(each["megabytes"] for each in [*plain, *compared])
    added = 100 * (min(each["seconds"] for each in compared) / min(each["seconds"] for each in plain) - 1)
    yield Figure(f"analyzer_{kind}_rows_per_second", rate, "rows/s", f">= {rows_target}", rate >= rows_target)
    yield Figure(f"analyzer_{kind}_memory", peak, "MB", "<= 600", peak <= 600)
    yield Figure(f"analyzer_{kind}_baseline_adds", added, "%", "<= 5", added <= 5)
    yield Figure(f"polars_scan_{kind}_rows_per_second", scan_rate, "rows/s", "", True)


def _run(program: str, source: Path, kind: str, output: Path, baseline: Path | None) -> dict[str, float]:
    arguments = [str(source), kind, str(output), str(baseline or "")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout)
    if measured["rows"] != ROWS:
        raise RuntimeError(f"{measured['rows']} of {ROWS} rows were read")
    return measured


def _table() -> pl.DataFrame:
    random = np.random.default_rng(20)
    columns = []
    for at in range(15):
        values = pl.Series(f"float_{at}", random.normal(100 * at, 10 + at, ROWS).round(4))
        columns.append(values.scatter(np.flatnonzero(random.random(ROWS) < MISSING), None))
    columns += [pl.Series(f"int_{at}", random.integers(0, 10 ** (at + 1), ROWS)) for at in range(4)]
    for distinct in DISTINCT:
        numbers = pl.Series(random.integers(0, distinct, ROWS)).cast(pl.String)
        columns.append(("v" + numbers).alias(f"text_{distinct}"))
    return pl.DataFrame(columns)
