"""Sessions for the tests of models: one that can build requests only, one on the emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kfp_sagemaker.aws.session import Session, open_session
from sagemaker_emulator.emulator import Emulator


@pytest.fixture(scope="module")
def offline() -> Iterator[Session]:
    """A session whose address nobody answers: a request builder that calls AWS fails at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        }.items():
            patch.setenv(name, value)
        session = open_session()
        session.client("sagemaker")
        yield session


@pytest.fixture
def session(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session on the emulator."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session()
