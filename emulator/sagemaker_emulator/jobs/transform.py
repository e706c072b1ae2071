"""What a batch transform job does: serve the model, send it every record, store the answers.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.hosting.model_container import ContainerUnreachableError, ModelStartError, Response
from sagemaker_emulator.hosting.model_containers import ModelContainers
from sagemaker_emulator.jobs.channels import InputFile, find_files
from sagemaker_emulator.jobs.job_record import JobFailure, JobRecord
from sagemaker_emulator.jobs.json_path import JsonPath
from sagemaker_emulator.jobs.transform_records import DataProcessing, RecordError, pack, record_format
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.log_stream import LogStream
from sagemaker_emulator.runtime.s3_transfer import S3Object

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl


KIND = "transform-job"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
DEFAULT_MAX_PAYLOAD_MB = 6
_DEFAULT_TIMEOUT_SECONDS = 600
_DEFAULT_RETRIES = 3
_STARTUP_TIMEOUT_SECONDS = 480.0
_MEGABYTE = 1024 * 1024
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_TOO_MANY_REQUESTS = 429


class TransformJob:
    """One run of a transform job.

    Args:
        app: The application.
        region: The job's region.
        name: The job's name; its document is in the store.
        model: The model's document, as it was when the job was created.
    """

    def __init__(self, app: App, region: str, name: str, model: dict[str, Any]) -> None:
        self._app = app
        self._region = region
        self._model = model
        self._record = JobRecord(app, KIND, region, name)
        self._job = self._record.document()
        self._role_arn: str = model.get("ExecutionRoleArn", "")
        self._folder = app.jobs.folder(KIND, region, name)
        self._input: dict[str, Any] = self._job["TransformInput"]
        self._output: dict[str, Any] = self._job["TransformOutput"]
        self._is_split = self._input.get("SplitType", "None") != "None"
        self._processing = _data_processing(self._job)
        self._max_concurrency = 1
        self._max_payload_mb: int = DEFAULT_MAX_PAYLOAD_MB
        self._batch_strategy: str = self._job.get("BatchStrategy", "MultiRecord")

    async def run(self, control: JobControl) -> None:
        """Do all of it; the outcome is in the document."""
        work = asyncio.create_task(self._run())
        stop = asyncio.create_task(control.stop_requested.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._record.update(TransformJobStatus="Stopping")
                work.cancel()
                await asyncio.wait((work,))
                await self._finish("Stopped")
                return
            work.result()
            await self._finish("Completed")
        except Exception as error:
            await self._finish("Failed", FailureReason=self._record.reason_of(error))
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.wait((work,))
            await self._remove_folder()

    async def _run(self) -> None:
        source = self._input["DataSource"]["S3DataSource"]
        s3 = await asyncio.to_thread(self._app.aws.client, "s3", self._region, self._role_arn)
        files = await asyncio.to_thread(find_files, s3, source["S3DataType"], source["S3Uri"])
        if not files:
            raise JobFailure(
                f'ClientError: No S3 objects found under S3 URL "{source["S3Uri"]}" given in TransformInput. Please '
                "ensure that objects exist under that S3 prefix"
            )
        started_ms = int(self._app.clock.now().timestamp() * 1000)
        instance_count = min(self._job["TransformResources"]["InstanceCount"], len(files))
        streams = [f"{self._record.name}/i-{uuid.uuid4().hex[:17]}-{started_ms}" for _ in range(instance_count)]
        try:
            async with asyncio.TaskGroup() as instances:
                for number, stream in enumerate(streams):
                    instances.create_task(self._run_instance(s3, files[number::instance_count], stream, number))
        except ExceptionGroup as group:
            # The first instance to fail ended the others; its reason is the job's.
            raise group.exceptions[0] from None

    async def _run_instance(self, s3: Any, files: list[InputFile], stream: str, number: int) -> None:
        folder = self._folder / f"instance-{number + 1}"
        data_log = LogStream(self._app, self._region, LOG_GROUP, f"{stream}/data-log", self._role_arn)
        containers: ModelContainers | None = None
        try:
            containers = await ModelContainers.start(
                self._app,
                self._region,
                self._model,
                work_dir=folder / "containers",
                log_group=LOG_GROUP,
                log_stream_prefix=stream,
                startup_timeout_seconds=_STARTUP_TIMEOUT_SECONDS,
                environment=self._environment(),
            )
            if number == 0:
                self._record.update(TransformStartTime=self._record.now())
            await self._settle_parameters(containers)
            data_log.write(
                f"[sagemaker logs]: MaxConcurrentTransforms={self._max_concurrency}, "
                f"MaxPayloadInMB={self._max_payload_mb}, BatchStrategy={self._batch_strategy}"
            )
            for file in files:
                await self._transform(s3, containers, file, folder, data_log)
        except ModelStartError as error:
            raise JobFailure(f"ClientError: {error}") from error
        finally:
            if containers:
                await containers.stop(grace_seconds=1.0)
            await data_log.close()

    async def _settle_parameters(self, containers: ModelContainers) -> None:
        """Take what the job does not say from the container's ``/execution-parameters``, else AWS's defaults."""
        asked = self._job.get("MaxConcurrentTransforms", 0), self._job.get("MaxPayloadInMB")
        parameters = await containers.execution_parameters() if not asked[0] or asked[1] is None else {}
        self._max_concurrency = asked[0] or int(parameters.get("MaxConcurrentTransforms") or 1)
        if asked[1] is None:
            self._max_payload_mb = int(parameters.get("MaxPayloadInMB") or DEFAULT_MAX_PAYLOAD_MB)
        else:
            self._max_payload_mb = asked[1]
        if "BatchStrategy" not in self._job and parameters.get("BatchStrategy"):
            # Containers spell it MULTI_RECORD.
            self._batch_strategy = (
                "SingleRecord" if "SINGLE" in str(parameters["BatchStrategy"]).upper() else "MultiRecord"
            )

    async def _transform(
        self, s3: Any, containers: ModelContainers, file: InputFile, folder: Path, data_log: LogStream
    ) -> None:
        """Send one object through the model, and store ``<key>.out``."""
        subject = f"{file.source.bucket}/{file.source.key}"
        target = folder / "result"
        payloads = self._payloads(s3, file.source)
        pending: deque[asyncio.Task[bytes]] = deque()
        try:
            with await asyncio.to_thread(target.open, "wb") as result:
                while (records := await asyncio.to_thread(next, payloads, None)) is not None:
                    pending.append(asyncio.create_task(self._predict(containers, records, subject, data_log)))
                    if len(pending) >= self._max_concurrency:
                        result.write(await pending.popleft())
                while pending:
                    result.write(await pending.popleft())
        except (RecordError, gzip.BadGzipFile, EOFError) as error:
            data_log.write(f"[sagemaker logs]: {subject}: {error}")
            raise JobFailure(f"ClientError: See job logs for more information: {subject}: {error}") from error
        finally:
            for task in pending:
                task.cancel()
        uri = s3_transfer.join_uri(self._output["S3OutputPath"], f"{file.path}.out")
        await asyncio.to_thread(s3_transfer.upload_file, s3, target, uri, self._output.get("KmsKeyId", ""))

    def _payloads(self, s3: Any, source: S3Object) -> Iterator[list[bytes]]:
        """Yield the records of each payload of an object; blocks."""
        is_compressed = self._input.get("CompressionType") == "Gzip"
        max_payload_bytes = self._max_payload_mb * _MEGABYTE
        if self._is_split:
            lines = s3_transfer.read_lines(s3, source.uri, is_gzip=is_compressed)
            single_record = self._batch_strategy == "SingleRecord"
            yield from pack(lines, max_payload_bytes=max_payload_bytes, single_record=single_record)
            return
        content = s3_transfer.read_object(s3, source.uri)
        content = gzip.decompress(content) if is_compressed else content
        if max_payload_bytes and len(content) > max_payload_bytes:
            raise RecordError(
                f"Maximum payload exceeded: the object has {len(content)} bytes, MaxPayloadInMB allows "
                f"{max_payload_bytes}; set SplitType to Line, or a larger MaxPayloadInMB"
            )
        yield [content]

    async def _predict(
        self, containers: ModelContainers, records: list[bytes], subject: str, data_log: LogStream
    ) -> bytes:
        body = self._processing.request_body(records)
        response = await self._invoke(containers, body, subject, data_log)
        content_type = response.content_type or self._output.get("Accept", "")
        result = self._processing.result(records, response.body, content_type)
        if self._output.get("AssembleWith") == "Line":
            return result.removesuffix(b"\n") + b"\n"
        return result

    async def _invoke(self, containers: ModelContainers, body: bytes, subject: str, data_log: LogStream) -> Response:
        client = self._job.get("ModelClientConfig", {})
        timeout_seconds = client.get("InvocationsTimeoutInSeconds", _DEFAULT_TIMEOUT_SECONDS)
        problem, blamed = "", "AlgorithmError"
        for _ in range(1 + client.get("InvocationsMaxRetries", _DEFAULT_RETRIES)):
            try:
                response = await containers.invoke(
                    body,
                    content_type=self._input.get("ContentType", ""),
                    accept=self._output.get("Accept", ""),
                    timeout_seconds=timeout_seconds,
                )
            except ContainerUnreachableError as error:
                problem = str(error)
                continue
            if response.is_success:
                return response
            problem = f"Bad HTTP status received from algorithm: {response.status}"
            data_log.write(f"[sagemaker logs]: {subject}: {problem}")
            data_log.write(f"[sagemaker logs]: {subject}: Message: {response.body[:1000].decode(errors='replace')}")
            if _CLIENT_ERROR <= response.status < _SERVER_ERROR and response.status != _TOO_MANY_REQUESTS:
                blamed = "ClientError"
                break
        raise JobFailure(f"{blamed}: See job logs for more information: {subject}: {problem}")

    def _environment(self) -> dict[str, str]:
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._job.get("MaxPayloadInMB", DEFAULT_MAX_PAYLOAD_MB)),
            "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD" if self._batch_strategy == "SingleRecord" else "MULTI_RECORD",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._job.get("MaxConcurrentTransforms", 0)),
            **self._job.get("Environment", {}),
        }

    async def _finish(self, status: str, **changes: Any) -> None:
        await self._remove_folder()
        self._record.update(TransformJobStatus=status, TransformEndTime=self._record.now(), **changes)

    async def _remove_folder(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _data_processing(job: dict[str, Any]) -> DataProcessing:
    processing = job.get("DataProcessing", {})
    is_split = job["TransformInput"].get("SplitType", "None") != "None"
    return DataProcessing(
        JsonPath(processing.get("InputFilter") or "$"),
        JsonPath(processing.get("OutputFilter") or "$"),
        joins_input=processing.get("JoinSource") == "Input",
        input_format=record_format(job["TransformInput"].get("ContentType", ""), is_split=is_split),
        is_split=is_split,
    )
