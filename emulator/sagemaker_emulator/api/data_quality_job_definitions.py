"""Data-quality job definitions: create, describe, list, delete.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateDataQualityJobDefinition.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common, monitoring_checks
from sagemaker_emulator.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_emulator.monitoring.job_definition import JOB_DEFINITION, inline_form
from sagemaker_emulator.monitoring.schedules import SCHEDULE
from sagemaker_emulator.operations import Context, operation


@operation("CreateDataQualityJobDefinition")
async def create_data_quality_job_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check and keep the definition."""
    name = params["JobDefinitionName"]
    monitoring_checks.check_definition(ctx, inline_form(params))
    arn = common.arn(ctx, JOB_DEFINITION, name)
    document = {**params, "JobDefinitionArn": arn, "CreationTime": ctx.app.clock.now()}
    try:
        ctx.app.store.insert(JOB_DEFINITION, ctx.region, name, document)
    except KeyError as error:
        raise ResourceInUse(f"Job definition {arn} already exists.") from error
    return {"JobDefinitionArn": arn}


@operation("DescribeDataQualityJobDefinition")
async def describe_data_quality_job_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a definition."""
    return _require(ctx, params["JobDefinitionName"])


@operation("ListDataQualityJobDefinitions")
async def list_data_quality_job_definitions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List definitions, the newest first."""
    endpoint_name = params.get("EndpointName")
    definitions = [
        definition
        for definition in ctx.app.store.list(JOB_DEFINITION, ctx.region)
        if endpoint_name in (None, _endpoint_name(definition))
    ]
    return common.page(
        definitions,
        params,
        name_key="JobDefinitionName",
        summary=lambda definition: {
            "MonitoringJobDefinitionName": definition["JobDefinitionName"],
            "MonitoringJobDefinitionArn": definition["JobDefinitionArn"],
            "CreationTime": definition["CreationTime"],
            "EndpointName": _endpoint_name(definition),
        },
        result_key="JobDefinitionSummaries",
    )


@operation("DeleteDataQualityJobDefinition")
async def delete_data_quality_job_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a definition no schedule uses."""
    name = params["JobDefinitionName"]
    definition = _require(ctx, name)
    users = [
        schedule["MonitoringScheduleName"]
        for schedule in ctx.app.store.list(SCHEDULE, ctx.region)
        if schedule["MonitoringScheduleConfig"].get("MonitoringJobDefinitionName") == name
    ]
    if users:
        raise ValidationException(
            f"Job definition {definition['JobDefinitionArn']} is used by the monitoring schedule {', '.join(users)}; "
            "delete that first."
        )
    ctx.app.store.delete(JOB_DEFINITION, ctx.region, name)
    return {}


def _require(ctx: Context, name: str) -> dict[str, Any]:
    definition = ctx.app.store.get(JOB_DEFINITION, ctx.region, name)
    if definition is None:
        raise ResourceNotFound(f"Could not find job definition {common.arn(ctx, JOB_DEFINITION, name)}.")
    return definition


def _endpoint_name(definition: dict[str, Any]) -> str:
    name: str = definition["DataQualityJobInput"]["EndpointInput"]["EndpointName"]
    return name
