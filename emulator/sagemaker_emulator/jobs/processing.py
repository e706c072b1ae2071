"""What a processing job does: inputs from S3, the containers, outputs to S3.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.jobs.channels import files_of_host, find_files, require_files
from sagemaker_emulator.jobs.cluster import Cluster, ClusterEnd, EndedBy, Program
from sagemaker_emulator.jobs.instances import Instance, instances_of, resource_config_document
from sagemaker_emulator.jobs.job_record import JobFailure, JobRecord
from sagemaker_emulator.monitoring import metrics
from sagemaker_emulator.runtime import namespace, s3_transfer
from sagemaker_emulator.runtime.folder_sync import FolderSync
from sagemaker_emulator.runtime.images import UnknownImageError
from sagemaker_emulator.runtime.s3_transfer import TransferError

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl


KIND = "processing-job"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DEFAULT_MAX_RUNTIME_SECONDS = 86_400
_LONGEST_EXIT_MESSAGE = 1024


class ProcessingJob:
    """One run of a processing job.

    Args:
        app: The application.
        region: The job's region.
        name: The job's name; its document is in the store.
    """

    def __init__(self, app: App, region: str, name: str) -> None:
        self._app = app
        self._region = region
        self._record = JobRecord(app, KIND, region, name)
        self._job = self._record.document()
        self._role_arn: str = self._job["RoleArn"]
        self._folder = app.jobs.folder(KIND, region, name)
        self._instances = instances_of(self._job["ProcessingResources"]["ClusterConfig"], self._folder)
        self._outputs: list[dict[str, Any]] = self._job.get("ProcessingOutputConfig", {}).get("Outputs", [])

    async def run(self, control: JobControl) -> None:
        """Do all of it; the outcome is in the document."""
        try:
            await self._run(control)
        except Exception as error:
            await self._finish("Failed", FailureReason=self._record.reason_of(error))
        finally:
            await self._remove_folder()

    async def _run(self, control: JobControl) -> None:
        program = self._program()
        image_uri = self._job["AppSpecification"]["ImageUri"]
        await asyncio.to_thread(self._app.aws.check_image_pull, self._region, self._role_arn, image_uri)
        s3 = await asyncio.to_thread(self._app.aws.client, "s3", self._region, self._role_arn)
        try:
            await asyncio.to_thread(self._prepare, s3)
        except TransferError as error:
            raise JobFailure(f"ClientError: Data download failed:{error}") from error
        if control.stop_requested.is_set():
            await self._finish("Stopped")
            return
        self._record.update(ProcessingStartTime=self._record.now())
        syncs = [
            FolderSync(
                s3,
                self._output_folder(instance, output),
                output["S3Output"]["S3Uri"],
                self._app.clock,
                self._kms_key_id,
            )
            for instance in self._instances
            for output in self._outputs
            if output["S3Output"]["S3UploadMode"] == "Continuous"
        ]
        try:
            end = await self._process(program, control)
        finally:
            uploads = await asyncio.gather(*(sync.close() for sync in syncs), return_exceptions=True)
        try:
            for failure in uploads:
                if isinstance(failure, BaseException):
                    raise failure
            if end.ended_by is EndedBy.EXIT and not end.exit_code:
                await asyncio.to_thread(self._upload_outputs, s3)
                await self._publish_metrics()
        except TransferError as error:
            raise JobFailure(f"ClientError: Data upload failed:{error}") from error
        await self._conclude(end)

    async def _process(self, program: Program, control: JobControl) -> ClusterEnd:
        cluster = await Cluster.start(
            self._app,
            self._region,
            self._role_arn,
            self._instances,
            program,
            log_group=LOG_GROUP,
            log_stream_prefix=self._record.name,
        )
        max_runtime_seconds = self._job.get("StoppingCondition", {}).get(
            "MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS
        )
        try:
            return await cluster.wait(self._app, control, max_runtime_seconds, self._on_stopping)
        finally:
            await cluster.close()

    def _on_stopping(self, ended_by: EndedBy) -> None:
        del ended_by
        self._record.update(ProcessingJobStatus="Stopping")

    async def _conclude(self, end: ClusterEnd) -> None:
        message = self._exit_message(end.failed_host or self._instances[0].host)
        members = {"ExitMessage": message} if message else {}
        if end.ended_by is EndedBy.STOP:
            await self._finish("Stopped", **members)
        elif end.ended_by is EndedBy.DEADLINE:
            reason = "ClientError: Processing job runtime exceeded MaxRuntimeInSeconds provided"
            await self._finish("Stopped", FailureReason=reason, **members)
        elif end.exit_code:
            reason = f"AlgorithmError: See job logs for more information, exit code: {end.exit_code}"
            await self._finish("Failed", FailureReason=reason, **members)
        else:
            await self._finish("Completed", **members)

    def _program(self) -> Program:
        specification = self._job["AppSpecification"]
        try:
            image = self._app.images.resolve(specification["ImageUri"])
        except UnknownImageError as error:
            raise JobFailure(
                "ClientError: Cannot pull processing container. Either the image does not exist or its permissions are "
                f"incorrect: {error}"
            ) from error
        argv = [
            *(specification.get("ContainerEntrypoint") or image.process),
            *specification.get("ContainerArguments", ()),
        ]
        if not (specification.get("ContainerEntrypoint") or image.process):
            raise JobFailure(
                f"ClientError: the image {specification['ImageUri']!r} has no processing program of its own; give a "
                "ContainerEntrypoint"
            )
        return Program(self._in_folder(argv), image.working_directory, self._environment)

    def _in_folder(self, argv: list[str]) -> list[str]:
        # Where /opt/ml cannot be bound, paths in the command still have to lead into the container's folder.
        if namespace.current().binds_container_root:
            return argv
        return [part.replace("/opt/ml/", f"{self._instances[0].base_dir}/") for part in argv]

    def _environment(self, instance: Instance) -> dict[str, str]:
        return {
            "PROCESSING_JOB_NAME": self._record.name,
            "PROCESSING_JOB_ARN": self._job["ProcessingJobArn"],
            "SM_CURRENT_HOST": instance.host,
            **self._job.get("Environment", {}),
        }

    def _prepare(self, s3: Any) -> None:
        """Make the folders, write the configuration and download the inputs."""
        for instance in self._instances:
            config = instance.base_dir / "config"
            for folder in (config, instance.base_dir / "output", instance.base_dir / "processing", instance.home):
                folder.mkdir(parents=True, exist_ok=True)
            for output in self._outputs:
                self._output_folder(instance, output).mkdir(parents=True, exist_ok=True)
            document = resource_config_document(instance, self._instances)
            (config / "resourceconfig.json").write_text(json.dumps(document))
            (config / "processingjobconfig.json").write_text(json.dumps(self._config_document(), default=str))
        for given in self._job.get("ProcessingInputs", ()):
            self._download(s3, given)

    def _download(self, s3: Any, given: dict[str, Any]) -> None:
        source = given["S3Input"]
        files = find_files(s3, source["S3DataType"], source["S3Uri"])
        require_files(files, source["S3Uri"], f"input {given['InputName']!r}")
        for position, instance in enumerate(self._instances):
            own = files_of_host(
                files,
                position,
                len(self._instances),
                source.get("S3DataDistributionType", "FullyReplicated"),
            )
            folder = instance.path(source["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            s3_transfer.download_objects(s3, ((file.source, file.path) for file in own), folder)

    def _config_document(self) -> dict[str, Any]:
        members = (
            "ProcessingJobArn ProcessingJobName AppSpecification Environment ProcessingInputs ProcessingOutputConfig "
            "ProcessingResources RoleArn StoppingCondition NetworkConfig"
        )
        return {member: self._job[member] for member in members.split() if member in self._job}

    def _upload_outputs(self, s3: Any) -> None:
        for output in self._outputs:
            if output["S3Output"]["S3UploadMode"] == "Continuous":
                continue
            for instance in self._instances:
                folder = self._output_folder(instance, output)
                s3_transfer.upload_tree(s3, folder, output["S3Output"]["S3Uri"], self._kms_key_id)

    async def _publish_metrics(self) -> None:
        """Send the metrics that the container of a monitoring job wrote to CloudWatch."""
        if "MonitoringScheduleArn" in self._job:
            cloudwatch = await asyncio.to_thread(self._app.aws.client, "cloudwatch", self._region, self._role_arn)
            image_uri = self._job["AppSpecification"]["ImageUri"]
            await asyncio.to_thread(metrics.publish, cloudwatch, self._instances[0].base_dir, image_uri)

    def _output_folder(self, instance: Instance, output: dict[str, Any]) -> Any:
        return instance.path(output["S3Output"]["LocalPath"])

    @property
    def _kms_key_id(self) -> str:
        key_id: str = self._job.get("ProcessingOutputConfig", {}).get("KmsKeyId", "")
        return key_id

    def _exit_message(self, host: str) -> str:
        instance = next(each for each in self._instances if each.host == host)
        path = instance.base_dir / "output" / "message"
        return path.read_text(errors="replace")[:_LONGEST_EXIT_MESSAGE] if path.is_file() else ""

    async def _finish(self, status: str, **changes: Any) -> None:
        await self._remove_folder()
        self._record.update(ProcessingJobStatus=status, ProcessingEndTime=self._record.now(), **changes)

    async def _remove_folder(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
