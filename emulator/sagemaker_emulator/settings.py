"""What a running emulator was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ACCOUNT_ID = "000000000000"
"""The one account, the same as ministack's."""
DEFAULT_REGION = "us-east-1"
DEFAULT_STATE_DIR = ".sagemaker-emulator"


@dataclass(frozen=True)
class Settings:
    """The settings of one emulator; fixed from its start to its end.

    Attributes:
        port: The TCP port on the loopback interface.
        state_dir: Everything the emulator writes lies under this folder.
        auth: Whether every call is checked against IAM policies.
        latency_ms: How long each request waits before it is handled.
        multi_model_memory_mb: Memory one multi-model container may use for models; 0 is the instance type's.
        account_id: The account all resources belong to.
    """

    port: int
    state_dir: Path
    auth: bool = False
    latency_ms: int = 0
    multi_model_memory_mb: int = 0
    account_id: str = ACCOUNT_ID

    @property
    def endpoint_url(self) -> str:
        """The address of every service, for ``AWS_ENDPOINT_URL``."""
        return f"http://{HOST}:{self.port}"
