"""Publishing 200 archives against one CopyObject after another, on an emulator that answers each request 30 ms later.

Both sides run in this process against the same emulator, one after the other, with clients that are already
connected; each copies the same 200 archives into a prefix of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from benchmarks.figures import Figure
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.models import publish
from sagemaker_emulator.emulator import Emulator

ARCHIVES = 200
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

        start = time.perf_counter()
        for index, key in enumerate(keys):
            client.copy_object(
                Bucket=BUCKET, Key=f"sequential/{index}.tar.gz", CopySource={"Bucket": BUCKET, "Key": key}
            )
        sequential = time.perf_counter() - start

        plan = publish.plan(
            [f"s3://{BUCKET}/{key}" for key in keys],
            [f"{index}/{index}.tar.gz" for index in range(ARCHIVES)],
            f"s3://{BUCKET}/published/",
        )
        start = time.perf_counter()
        published = publish.run(session, plan, sink=lambda line: None)
        concurrent = time.perf_counter() - start
    if published.published_count != ARCHIVES:
        raise RuntimeError(f"published {published.published_count} of {ARCHIVES} archives")
    yield Figure("publish_200_archives_seconds", round(concurrent, 3), "s", "", True)
    ratio = sequential / concurrent
    yield Figure("publish_200_archives_speedup", round(ratio, 1), "x", ">= 10", ratio >= 10)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with patch.dict(os.environ, variables):
        yield
