"""The channels of a training job: which files each host gets, downloaded or through a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sagemaker_emulator.jobs import pipe_mode
from sagemaker_emulator.jobs.channels import InputFile, files_of_host, find_files, require_files
from sagemaker_emulator.jobs.instances import Instance
from sagemaker_emulator.jobs.pipe_mode import PipeChannel
from sagemaker_emulator.jobs.training_files import channel_input_mode
from sagemaker_emulator.runtime import s3_transfer


class TrainingInput:
    """The input of one job.

    ``FastFile`` mode, which streams on AWS, downloads here: what the container sees is the same.

    Args:
        job: The job's document.
        s3: The client of the job's role.
    """

    def __init__(self, job: dict[str, Any], s3: Any) -> None:
        self._job = job
        self._s3 = s3
        self._files: dict[str, list[InputFile]] = {}

    def download(self, instances: Sequence[Instance]) -> None:
        """Find the files of every channel, and download those of File and FastFile mode; blocks.

        Raises:
            s3_transfer.TransferError: Something cannot be read.
            JobFailure: A channel holds nothing.
        """
        for channel in self._channels():
            source = channel["DataSource"]["S3DataSource"]
            if source["S3DataType"] == "AugmentedManifestFile":
                continue  # read line by line while the container runs
            files = find_files(self._s3, source["S3DataType"], source["S3Uri"])
            require_files(files, source["S3Uri"], f"channel {channel['ChannelName']!r}")
            self._files[channel["ChannelName"]] = files
            if channel_input_mode(self._job, channel) == "Pipe":
                continue
            for instance in _instances_of_channel(channel, instances):
                folder = instance.base_dir / "input" / "data" / channel["ChannelName"]
                folder.mkdir(parents=True, exist_ok=True)
                own = self._own_files(channel, instance, instances)
                s3_transfer.download_objects(self._s3, ((file.source, file.path) for file in own), folder)

    def pipe_channels(self, position: int, instances: Sequence[Instance]) -> Iterator[PipeChannel]:
        """Yield the channels that a host, counted from 0, reads through pipes."""
        instance = instances[position]
        for channel in self._channels():
            if channel_input_mode(self._job, channel) == "Pipe" and instance in _instances_of_channel(
                channel, instances
            ):
                yield self._pipe_channel(channel, instance, instances)

    def _pipe_channel(self, channel: dict[str, Any], instance: Instance, instances: Sequence[Instance]) -> PipeChannel:
        source = channel["DataSource"]["S3DataSource"]
        if source["S3DataType"] == "AugmentedManifestFile":
            return PipeChannel(
                channel["ChannelName"],
                lambda: pipe_mode.manifest_chunks(self._s3, source["S3Uri"], source.get("AttributeNames", ())),
            )
        own = self._own_files(channel, instance, instances)
        return PipeChannel(
            channel["ChannelName"],
            lambda: pipe_mode.object_chunks(
                self._s3,
                own,
                gzip=channel.get("CompressionType") == "Gzip",
                record_io=channel.get("RecordWrapperType") == "RecordIO",
            ),
        )

    def _own_files(self, channel: dict[str, Any], instance: Instance, instances: Sequence[Instance]) -> list[InputFile]:
        sharing = _instances_of_channel(channel, instances)
        return files_of_host(
            self._files[channel["ChannelName"]],
            sharing.index(instance),
            len(sharing),
            channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
            channel.get("ShuffleConfig", {}).get("Seed"),
        )

    def _channels(self) -> list[dict[str, Any]]:
        return list(self._job.get("InputDataConfig", ()))


def _instances_of_channel(channel: dict[str, Any], instances: Sequence[Instance]) -> list[Instance]:
    groups = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return [instance for instance in instances if not groups or instance.group in groups]
