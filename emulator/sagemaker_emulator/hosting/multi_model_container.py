"""The ModelCache of a started multi-model container: where its archives are, how it is told to load and unload."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_emulator.hosting.instances import DEFAULT_VOLUME_GIB, GIB, MIB
from sagemaker_emulator.hosting.invocation import model_data_invalid, model_data_missing
from sagemaker_emulator.hosting.model_container import ModelContainer
from sagemaker_emulator.hosting.multi_model import ModelCache, Observe
from sagemaker_emulator.runtime import s3_transfer

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

LOAD_TIMEOUT_SECONDS = 60.0
_JSON = {"Content-Type": "application/json"}


def open_model_cache(
    app: App,
    region: str,
    container: ModelContainer,
    *,
    role_arn: str,
    memory_bytes: int,
    volume_gib: int,
    folder: Path,
    observe: Observe,
) -> ModelCache:
    """Make the empty model cache of a container that has just started.

    Args:
        app: The application.
        region: The endpoint's region.
        container: A container in ``MultiModel`` mode.
        role_arn: The model's execution role: the archives are read with its rights.
        memory_bytes: The variant's memory: the budget, unless the emulator was started with another.
        volume_gib: The variant's ``VolumeSizeInGB``; 0 for the default.
        folder: Where models are unpacked.
        observe: Takes the cache's metrics.
    """
    definition = container.definition
    prefix = definition.get("ModelDataUrl") or definition["ModelDataSource"]["S3DataSource"]["S3Uri"]
    configured_bytes = app.settings.multi_model_memory_mb * MIB
    return ModelCache(
        _ContainerModels(container),
        _ArchiveSource(app, region, role_arn, prefix).fetch,
        folder,
        memory_budget_bytes=configured_bytes or memory_bytes,
        disk_budget_bytes=(volume_gib or DEFAULT_VOLUME_GIB) * GIB,
        keeps_models=definition.get("MultiModelConfig", {}).get("ModelCacheSetting") != "Disabled",
        observe=observe,
    )


@dataclass(frozen=True)
class _ContainerModels:
    """The control calls of a multi-model container."""

    container: ModelContainer

    async def load_model(self, model_name: str, url: str) -> tuple[int, str]:
        body = json.dumps({"model_name": model_name, "url": url}).encode()
        response = await self.container.request("POST", "/models", body, _JSON, LOAD_TIMEOUT_SECONDS)
        return response.status, response.body.decode(errors="replace")

    async def unload_model(self, model_name: str) -> tuple[int, str]:
        response = await self.container.request("DELETE", f"/models/{model_name}")
        return response.status, response.body.decode(errors="replace")


@dataclass(frozen=True)
class _ArchiveSource:
    """The S3 prefix the target models lie under."""

    app: App
    region: str
    role_arn: str
    prefix: str

    async def fetch(self, target_model: str, folder: Path) -> None:
        """Download and unpack an archive; what is wrong with it is the caller's ValidationError, as on AWS."""
        # The prefix and the name are put together as they are: a leading slash of the name is not doubled.
        uri = self.prefix.rstrip("/") + "/" + target_model.lstrip("/")
        bucket, key = s3_transfer.parse_uri(uri)
        try:
            s3 = await asyncio.to_thread(self.app.aws.client, "s3", self.region, self.role_arn)
            await asyncio.to_thread(s3_transfer.download_archive, s3, uri, folder)
        except s3_transfer.ArchiveError as error:
            raise model_data_invalid(bucket, key) from error
        except (s3_transfer.TransferError, PermissionError) as error:
            raise model_data_missing(bucket, key) from error
