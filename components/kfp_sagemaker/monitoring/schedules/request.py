"""The requests of a monitoring schedule: its job definition and the schedule itself, built and checked with no AWS.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateDataQualityJobDefinition.html
and https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.model import ServiceModel

from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.aws.job_arguments import check_vpc, gather, gather_tags
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import string_map

MANAGED_ANALYZER = "model-monitor"
MONITORING_TYPE = "DataQuality"
NOW = "NOW"
# Where the container of a schedule finds and leaves things; the SageMaker SDK's choices.
_INPUT_PATH = "/opt/ml/processing/input/endpoint"
_OUTPUT_PATH = "/opt/ml/processing/output"
# ScheduleConfig of the API reference: hourly, daily, or every so many hours from one on; 0 to 20 minutes late.
_CRON = r"cron\(0 (\*|([01]?\d|2[0-3])(/([01]?[1-9]|10|1\d|2[0-4]))?) \? \* \* \*\)"
_DURATION = r"-?P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?"
_DEFINITION_MEMBERS = {
    "statistics_s3_uri": "DataQualityBaselineConfig.StatisticsResource.S3Uri",
    "constraints_s3_uri": "DataQualityBaselineConfig.ConstraintsResource.S3Uri",
    "record_preprocessor_s3_uri": "DataQualityAppSpecification.RecordPreprocessorSourceUri",
    "post_analytics_processor_s3_uri": "DataQualityAppSpecification.PostAnalyticsProcessorSourceUri",
    "container_entrypoint": "DataQualityAppSpecification.ContainerEntrypoint",
    "container_arguments": "DataQualityAppSpecification.ContainerArguments",
    "endpoint_name": "DataQualityJobInput.EndpointInput.EndpointName",
    "start_time_offset": "DataQualityJobInput.EndpointInput.StartTimeOffset",
    "end_time_offset": "DataQualityJobInput.EndpointInput.EndTimeOffset",
    "output_kms_key_id": "DataQualityJobOutputConfig.KmsKeyId",
    "instance_type": "JobResources.ClusterConfig.InstanceType",
    "instance_count": "JobResources.ClusterConfig.InstanceCount",
    "volume_size_gb": "JobResources.ClusterConfig.VolumeSizeInGB",
    "volume_kms_key_id": "JobResources.ClusterConfig.VolumeKmsKeyId",
    "max_runtime_seconds": "StoppingCondition.MaxRuntimeInSeconds",
    "enable_network_isolation": "NetworkConfig.EnableNetworkIsolation",
    "enable_inter_container_traffic_encryption": "NetworkConfig.EnableInterContainerTrafficEncryption",
    "subnets": "NetworkConfig.VpcConfig.Subnets",
    "security_group_ids": "NetworkConfig.VpcConfig.SecurityGroupIds",
    "role_arn": "RoleArn",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class Schedule:
    """The arguments of ``create_monitoring_schedule``; see the component for the meaning of each."""

    endpoint_name: str
    role_arn: str
    output_s3_uri: str
    statistics_s3_uri: str = ""
    constraints_s3_uri: str = ""
    schedule_expression: str = "cron(0 * ? * * *)"
    data_analysis_start_time: str = ""
    data_analysis_end_time: str = ""
    start_time_offset: str = ""
    end_time_offset: str = ""
    image_uri: str = ""
    target_model: str = ""
    record_preprocessor_s3_uri: str = ""
    post_analytics_processor_s3_uri: str = ""
    container_entrypoint: Sequence[str] = ()
    container_arguments: Sequence[Any] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    publish_cloudwatch_metrics: bool = True
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_size_gb: int = 20
    max_runtime_seconds: int = 1800
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    enable_network_isolation: bool = False
    enable_inter_container_traffic_encryption: bool = False
    schedule_name: str = ""
    schedule_name_prefix: str = ""
    timeout_seconds: float = 900
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_managed(self) -> bool:
        """Whether AWS's own container analyses."""
        return not self.image_uri


class Requests(NamedTuple):
    """What to create; the names, and the definition's name in the schedule, are added later."""

    definition: dict[str, Any]
    schedule: dict[str, Any]


def build_requests(schedule: Schedule, *, region: str, service_model: ServiceModel) -> Requests:
    """Build ``CreateDataQualityJobDefinition`` and ``CreateMonitoringSchedule``.

    Args:
        schedule: The arguments.
        region: The region whose image is meant.
        service_model: botocore's model of SageMaker.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("create_monitoring_schedule")
    _check(schedule, problems)
    definition = RequestBuilder(service_model, "CreateDataQualityJobDefinition", problems)
    for argument, path in _DEFINITION_MEMBERS.items():
        definition.set(path, getattr(schedule, argument), argument=argument)
    if schedule.is_managed:
        image = gather(problems, lambda: image_uri(MANAGED_ANALYZER, region), argument="image_uri")
    else:
        image = schedule.image_uri
    definition.set("DataQualityAppSpecification.ImageUri", image, argument="image_uri")
    definition.set("DataQualityAppSpecification.Environment", _environment(schedule, problems), argument="environment")
    definition.set("DataQualityJobInput.EndpointInput.LocalPath", _INPUT_PATH, argument="endpoint_name")
    definition.set("DataQualityJobInput.EndpointInput.S3InputMode", "File", argument="endpoint_name")
    distribution = "ShardedByS3Key" if schedule.instance_count > 1 and not schedule.is_managed else "FullyReplicated"
    definition.set("DataQualityJobInput.EndpointInput.S3DataDistributionType", distribution, argument="instance_count")
    if problems.s3_uri("output_s3_uri", schedule.output_s3_uri) and schedule.output_s3_uri:
        output = {"s3_uri": schedule.output_s3_uri, "local_path": _OUTPUT_PATH, "s3_upload_mode": "Continuous"}
        definition.set(
            "DataQualityJobOutputConfig.MonitoringOutputs",
            [{"s3_output": output}],
            argument="output_s3_uri",
        )
    plan = RequestBuilder(service_model, "CreateMonitoringSchedule", problems)
    where = "MonitoringScheduleConfig"
    plan.set(f"{where}.MonitoringType", MONITORING_TYPE, argument="schedule_expression")
    times = f"{where}.ScheduleConfig"
    plan.set(f"{times}.ScheduleExpression", schedule.schedule_expression, argument="schedule_expression")
    plan.set(f"{times}.DataAnalysisStartTime", schedule.data_analysis_start_time, argument="data_analysis_start_time")
    plan.set(f"{times}.DataAnalysisEndTime", schedule.data_analysis_end_time, argument="data_analysis_end_time")
    problems.raise_if_any()
    return Requests(
        definition.finish(supplied_later=["JobDefinitionName"]),
        plan.finish(supplied_later=["MonitoringScheduleName"]),
    )


def _environment(schedule: Schedule, problems: Problems) -> dict[str, str]:
    own = {"publish_cloudwatch_metrics": "Enabled" if schedule.publish_cloudwatch_metrics else "Disabled"}
    if schedule.target_model:
        own["target_model"] = schedule.target_model
    given = schedule.environment
    if not isinstance(given, Mapping):
        problems.add("environment", given, "an object of names and values")
        return own
    return own | string_map(given)


def _check(schedule: Schedule, problems: Problems) -> None:
    for argument in ("endpoint_name", "role_arn", "output_s3_uri", "schedule_expression", "instance_type"):
        problems.required(argument, getattr(schedule, argument))
    problems.name("schedule_name", schedule.schedule_name)
    problems.name("schedule_name_prefix", schedule.schedule_name_prefix)
    if schedule.schedule_name and schedule.schedule_name_prefix:
        problems.add("schedule_name_prefix", schedule.schedule_name_prefix, "left out; schedule_name is the whole name")
    problems.between("timeout_seconds", schedule.timeout_seconds, 1)
    for argument in (
        "statistics_s3_uri",
        "constraints_s3_uri",
        "record_preprocessor_s3_uri",
        "post_analytics_processor_s3_uri",
    ):
        problems.s3_uri(argument, getattr(schedule, argument))
    _check_times(schedule, problems)
    if schedule.target_model and schedule.is_managed:
        problems.add(
            "target_model",
            schedule.target_model,
            "left out without image_uri: AWS's container knows no multi-model endpoints, our analyzer's image does",
        )
    if schedule.is_managed and (schedule.container_entrypoint or schedule.container_arguments):
        problems.add("container_entrypoint", schedule.container_entrypoint, "left out without image_uri")
    check_vpc(problems, schedule.subnets, schedule.security_group_ids)
    gather_tags(problems, schedule.tags)


def _check_times(schedule: Schedule, problems: Problems) -> None:
    expression = schedule.schedule_expression
    runs_once = expression == NOW
    if expression and not runs_once:
        problems.matches(
            "schedule_expression",
            expression,
            _CRON,
            "NOW, cron(0 * ? * * *) for every hour, or a cron such as cron(0 17 ? * * *) or cron(0 0/6 ? * * *)",
        )
    for argument in ("data_analysis_start_time", "data_analysis_end_time"):
        value = getattr(schedule, argument)
        if runs_once:
            problems.required(argument, value)
        problems.matches(argument, value, _DURATION, "an ISO 8601 duration from the schedule's time such as -PT1H")
    for argument in ("start_time_offset", "end_time_offset"):
        problems.matches(argument, getattr(schedule, argument), _DURATION, "an ISO 8601 duration such as -PT1H")
