"""Publishing 200 archives against one CopyObject after another, on an emulator that answers each request 30 ms later.

Both sides run in this process against the same emulator and with the same client, in turns; each copies the same 200
archives into a prefix of its own. The fastest of three turns of either counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from benchmarks.figures import Figure
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.models import publication_plan, publish
from sagemaker_emulator.emulator import Emulator

ARCHIVES = 200
ROUNDS = 3
LATENCY_MS = 30
ARCHIVE_BYTES = 4096
BUCKET = "bench-publish"


def measure() -> Iterable[Figure]:
    """Publish both ways and compare."""
    with Emulator(latency_ms=LATENCY_MS) as emulator, _environment(emulator.env):
        session = open_session()
        client = session.client("s3")
        client.create_bucket(Bucket=BUCKET)
        keys = [f"jobs/train-{index:03}/output/model.tar.gz" for index in range(ARCHIVES)]
        for key in keys:
            client.put_object(Bucket=BUCKET, Key=key, Body=os.urandom(ARCHIVE_BYTES))

        sequential, concurrent = [], []
        for attempt in range(ROUNDS):
            start = time.perf_counter()
            for key in keys:
                source = {"Bucket": BUCKET, "Key": key}
                client.copy_object(Bucket=BUCKET, Key=f"sequential-{attempt}/{key}", CopySource=source)
            sequential.append(time.perf_counter() - start)
            plan = publication_plan.build(
                [f"s3://{BUCKET}/{key}" for key in keys], keys, f"s3://{BUCKET}/published-{attempt}/"
            )
            start = time.perf_counter()
            published = publish.run(session, plan, sink=lambda line: None)
            concurrent.append(time.perf_counter() - start)
            if published.published_count != ARCHIVES:
                raise RuntimeError(f"published {published.published_count} of {ARCHIVES} archives")
    yield Figure("publish_200_archives_seconds", min(concurrent), "s", "", True)
    speedup = min(sequential) / min(concurrent)
    yield Figure("publish_200_archives_speedup", speedup, "x", ">= 10", speedup >= 10)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with patch.dict(os.environ, variables):
        yield
