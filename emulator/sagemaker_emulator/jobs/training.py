"""What a training job does: download, train, upload, and the status it shows meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.jobs import training_output
from sagemaker_emulator.jobs.cluster import Cluster, ClusterEnd, EndedBy, Program
from sagemaker_emulator.jobs.instances import Instance, instances_of
from sagemaker_emulator.jobs.job_record import JobFailure, JobRecord, failure_reason
from sagemaker_emulator.jobs.pipe_mode import PipeFeeder
from sagemaker_emulator.jobs.training_files import training_environment, write_training_files
from sagemaker_emulator.jobs.training_input import TrainingInput
from sagemaker_emulator.runtime.folder_sync import FolderSync
from sagemaker_emulator.runtime.images import UnknownImageError
from sagemaker_emulator.runtime.s3_transfer import TransferError, download_prefix
from sagemaker_emulator.runtime.training_metrics import TrainingMetrics

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl

LOGGER = logging.getLogger(__name__)

KIND = "training-job"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CHECKPOINT_PATH = "/opt/ml/checkpoints"
_METRICS_SECONDS = 1.0

# Exit codes by which an algorithm tells whose fault it was; 2 is what SageMaker's own algorithms use for wrong input.
_CUSTOMER_ERROR_EXIT_CODE = 2


class TrainingJob:
    """One run of a training job.

    Args:
        app: The application.
        region: The job's region.
        name: The job's name; its document is in the store.
        on_metric: Called with the name and value of each metric as the log shows it.
    """

    def __init__(self, app: App, region: str, name: str, on_metric: Callable[[str, float], None] | None = None) -> None:
        self._app = app
        self._region = region
        self._record = JobRecord(app, KIND, region, name)
        self._job = self._record.document()
        self._role_arn: str = self._job["RoleArn"]
        self._folder = app.jobs.folder(KIND, region, name)
        self._instances = instances_of(self._job["ResourceConfig"], self._folder)
        self._metrics = TrainingMetrics(
            name,
            ((each["Name"], each["Regex"]) for each in self._job["AlgorithmSpecification"]["MetricDefinitions"]),
            on_metric,
        )

    async def run(self, control: JobControl) -> None:
        """Do all of it; the outcome is in the document."""
        try:
            await self._run(control)
        except Exception as error:
            reason = self._record.reason_of(error)
            await self._finish("Failed", "Failed", "Training job failed", FailureReason=reason)
        finally:
            await self._remove_folder()

    async def _remove_folder(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _run(self, control: JobControl) -> None:
        image_uri = self._job["AlgorithmSpecification"]["TrainingImage"]
        try:
            image = self._app.images.resolve(image_uri)
        except UnknownImageError as error:
            raise JobFailure(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are "
                f"incorrect: {error}"
            ) from error
        await asyncio.to_thread(self._app.aws.check_image_pull, self._region, self._role_arn, image_uri)
        argv = [
            *(self._job["AlgorithmSpecification"].get("ContainerEntrypoint") or image.train),
            *self._job["AlgorithmSpecification"].get("ContainerArguments", ()),
        ]
        if not argv:
            raise JobFailure(f"ClientError: the image {image_uri!r} is registered without a train command")

        self._record.enter("Downloading", "Downloading input data", TrainingStartTime=self._record.now())
        s3 = await asyncio.to_thread(self._app.aws.client, "s3", self._region, self._role_arn)
        data = TrainingInput(self._job, s3)
        try:
            for instance in self._instances:
                await asyncio.to_thread(write_training_files, self._job, instance, self._instances)
            await asyncio.to_thread(data.download, self._instances)
            await asyncio.to_thread(self._download_checkpoints, s3)
        except TransferError as error:
            raise JobFailure(f"ClientError: Data download failed:{error}") from error
        if control.stop_requested.is_set():
            await self._finish("Stopped", "Stopped", "Training job stopped")
            return

        self._record.enter("Training", "Training image download completed. Training in progress.")
        program = Program(
            argv,
            image.working_directory,
            lambda instance: training_environment(self._job, instance, self._instances),
        )
        async with self._beside_the_containers(s3, data):
            end = await self._train(program, control)
        await self._upload(s3, end)

    async def _train(self, program: Program, control: JobControl) -> ClusterEnd:
        cluster = await Cluster.start(
            self._app,
            self._region,
            self._role_arn,
            self._instances,
            program,
            log_group=LOG_GROUP,
            log_stream_prefix=self._record.name,
            on_line=self._on_line,
        )
        max_runtime_seconds = self._job["StoppingCondition"]["MaxRuntimeInSeconds"]
        try:
            return await cluster.wait(self._app, control, max_runtime_seconds, self._on_stopping)
        finally:
            await cluster.close()

    def _on_line(self, line: str, host: str) -> str:
        # CloudWatch shows tabs of training logs as #011, and AWS's own metric definitions expect it.
        line = line.replace("\t", "#011")
        self._metrics.read_line(line, host, self._record.now())
        return line

    def _on_stopping(self, ended_by: EndedBy) -> None:
        if ended_by is EndedBy.STOP:
            self._record.enter("Stopping", "Stopping the training job", TrainingJobStatus="Stopping")
        else:
            self._record.enter(
                "MaxRuntimeExceeded",
                "Training job runtime exceeded MaxRuntimeInSeconds provided",
                TrainingJobStatus="Stopping",
            )

    @contextlib.asynccontextmanager
    async def _beside_the_containers(self, s3: Any, data: TrainingInput) -> AsyncIterator[None]:
        """Feed pipes, sync checkpoints and publish metrics while the containers run."""
        feeders = [
            PipeFeeder(channel, instance.base_dir / "input" / "data", self._app.clock)
            for position, instance in enumerate(self._instances)
            for channel in data.pipe_channels(position, self._instances)
        ]
        checkpoints = self._job.get("CheckpointConfig")
        syncs = [
            FolderSync(s3, self._checkpoint_folder(instance), self._checkpoint_uri(instance), self._app.clock)
            for instance in self._instances
            if checkpoints
        ]
        publishing = asyncio.create_task(self._publish_metrics())
        try:
            yield
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, *(feeder.close() for feeder in feeders), return_exceptions=True)
        for sync in syncs:
            await sync.close()
        await self._publish_metrics_once()

    async def _publish_metrics(self) -> None:
        while True:
            await self._app.clock.sleep(_METRICS_SECONDS)
            await self._publish_metrics_once()

    async def _publish_metrics_once(self) -> None:
        cloudwatch = await asyncio.to_thread(self._app.aws.client, "cloudwatch", self._region, self._role_arn)
        try:
            await asyncio.to_thread(self._metrics.publish, cloudwatch)
        except Exception:
            LOGGER.exception("Cannot publish the metrics of training job %s", self._record.name)

    def _checkpoint_folder(self, instance: Instance) -> Path:
        return instance.path(self._job["CheckpointConfig"].get("LocalPath") or CHECKPOINT_PATH)

    def _checkpoint_uri(self, instance: Instance) -> str:
        # Hosts of a cluster write side by side, as on AWS, where each host's folder is synced to the same prefix.
        uri: str = self._job["CheckpointConfig"]["S3Uri"]
        return uri

    def _download_checkpoints(self, s3: Any) -> None:
        if self._job.get("CheckpointConfig"):
            for instance in self._instances:
                folder = self._checkpoint_folder(instance)
                folder.mkdir(parents=True, exist_ok=True)
                download_prefix(s3, self._checkpoint_uri(instance), folder)

    async def _upload(self, s3: Any, end: ClusterEnd) -> None:
        succeeded = end.ended_by is not EndedBy.EXIT or not end.exit_code
        if succeeded:
            self._record.enter("Uploading", "Uploading generated training model")
        try:
            await asyncio.to_thread(training_output.upload, s3, self._job, self._instances, with_model=succeeded)
        except TransferError as error:
            raise JobFailure(f"ClientError: Artifact upload failed:{error}") from error
        if not succeeded:
            raise JobFailure(_algorithm_error(self._instances, end))
        artifacts = {"ModelArtifacts": {"S3ModelArtifacts": training_output.model_uri(self._job)}}
        if end.ended_by is EndedBy.STOP:
            await self._finish("Stopped", "Stopped", "Training job stopped", **artifacts)
        elif end.ended_by is EndedBy.DEADLINE:
            message = "Training job runtime exceeded MaxRuntimeInSeconds provided"
            await self._finish("Stopped", "MaxRuntimeExceeded", message, **artifacts)
        else:
            await self._finish("Completed", "Completed", "Training job completed", **artifacts)

    async def _finish(self, status: str, secondary_status: str, message: str, **changes: Any) -> None:
        # Who sees the job ended finds nothing of it on disk.
        await self._remove_folder()
        now = self._record.now()
        started = self._record.document().get("TrainingStartTime")
        if started:
            # No instance is ever taken from an emulated spot job, and nothing is saved by one: it is billed in full.
            seconds = max(1, round((now - started).total_seconds()))
            changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        self._record.enter(
            secondary_status,
            message,
            TrainingJobStatus=status,
            TrainingEndTime=now,
            FinalMetricDataList=self._metrics.final_metric_data(),
            **changes,
        )


def _algorithm_error(instances: Sequence[Instance], end: ClusterEnd) -> str:
    failed = next(instance for instance in instances if instance.host == end.failed_host)
    failure_file = failed.base_dir / "output" / "failure"
    message = failure_file.read_text(errors="replace").strip() if failure_file.is_file() else ""
    blamed = "ClientError" if end.exit_code == _CUSTOMER_ERROR_EXIT_CODE else "AlgorithmError"
    suffix = f", exit code: {end.exit_code}"
    return failure_reason(f"{blamed}: {message}")[: 1024 - len(suffix)] + suffix
