"""Exporting 100,000 points of a training job: CloudWatch to CSV, presigned URL and page, on the emulator.

CloudWatch keeps seconds for three hours, so that many points are ten metrics over 10,000 seconds. The export runs in a
process of its own, as a step does: its time is all of it, Python's start included, and its memory the most it held.
The fastest of three runs counts, and the greatest memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.figures import Figure
from sagemaker_emulator.emulator import Emulator

METRICS = 10
SECONDS = 10_000
ROUNDS = 3
BUCKET = "bench-metrics"
JOB = "bench-metrics"
MOST_SECONDS = 10
MOST_MB = 200

STEP = """
import json, resource, sys, time
from datetime import UTC, datetime

from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.metrics import export
from kfp_sagemaker.metrics.training_jobs import TrainingJob

bucket, name, page, start, end = sys.argv[1:]
times = [datetime.fromtimestamp(float(moment), UTC) for moment in (start, end)]
job = TrainingJob(name, "Completed", *times, 1, {}, {})
plan = export.build(bucket=bucket, job_name=name)
last = {}
outputs = export.export_jobs(
    open_session("us-east-1"), plan, name, [job], page_path=page, log_metric=last.__setitem__, sink=lambda line: None
)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps({"uri": outputs.metrics_s3_uri, "metrics": len(last), "peak_mb": peak_mb}))
"""


def measure() -> Iterable[Figure]:
    """Put the points, export them."""
    with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        end = int(time.time())
        start = end - SECONDS
        _put(emulator, start)
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        arguments = [BUCKET, JOB, str(Path(folder, "page.html")), str(start), str(end)]
        taken, peaks = [], []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", STEP, *arguments],
                env=os.environ | emulator.env,
                check=True,
                capture_output=True,
                text=True,
            )
            taken.append(time.perf_counter() - begin)
            result = json.loads(done.stdout)
            peaks.append(result["peak_mb"])
            key = result["uri"].removeprefix(f"s3://{BUCKET}/")
            lines = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().count(b"\n")
            if lines != METRICS * SECONDS + 1:
                raise RuntimeError(f"exported {lines - 1} of {METRICS * SECONDS} points")
    yield Figure(
        "metrics_export_100000_points_seconds", min(taken), "s", f"<= {MOST_SECONDS}", min(taken) <= MOST_SECONDS
    )
    yield Figure("metrics_export_100000_points_memory", max(peaks), "MB", f"<= {MOST_MB}", max(peaks) <= MOST_MB)


def _put(emulator: Emulator, start: int) -> None:
    cloudwatch = emulator.client("cloudwatch")
    dimensions = [{"Name": "TrainingJobName", "Value": JOB}]
    for number in range(METRICS):
        for first in range(0, SECONDS, 1000):
            data = [
                {
                    "MetricName": f"train:loss_{number}",
                    "Dimensions": dimensions,
                    "Timestamp": start + second,
                    "Value": 1 / (second + 1),
                }
                for second in range(first, first + 1000)
            ]
            cloudwatch.put_metric_data(Namespace="/aws/sagemaker/TrainingJobs", MetricData=data)
