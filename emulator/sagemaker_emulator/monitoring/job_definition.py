"""What a monitoring job is made of; inline in a schedule or as a job definition of its own, they say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_emulator.store import Store

JOB_DEFINITION = "data-quality-job-definition"
"""The store's kind of data-quality job definitions."""
DATA_QUALITY = "DataQuality"


def inline_form(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a data-quality job definition as the ``MonitoringJobDefinition`` of a schedule has it."""
    application = dict(definition["DataQualityAppSpecification"])
    members = {
        "BaselineConfig": definition.get("DataQualityBaselineConfig"),
        "Environment": application.pop("Environment", None),
        "MonitoringInputs": [definition["DataQualityJobInput"]],
        "MonitoringOutputConfig": definition["DataQualityJobOutputConfig"],
        "MonitoringResources": definition["JobResources"],
        "MonitoringAppSpecification": application,
        "StoppingCondition": definition.get("StoppingCondition"),
        "NetworkConfig": definition.get("NetworkConfig"),
        "RoleArn": definition["RoleArn"],
    }
    return {member: value for member, value in members.items() if value is not None}


def of_schedule(store: Store, region: str, schedule_config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the ``MonitoringJobDefinition`` of a schedule.

    Args:
        store: The documents.
        region: The schedule's region.
        schedule_config: Its ``MonitoringScheduleConfig``.

    Returns:
        The definition, or None when it names one that is missing.
    """
    inline: dict[str, Any] | None = schedule_config.get("MonitoringJobDefinition")
    if inline is not None:
        return inline
    named = store.get(JOB_DEFINITION, region, schedule_config["MonitoringJobDefinitionName"])
    return inline_form(named) if named is not None else None


def endpoint_input(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the ``EndpointInput`` of a ``MonitoringJobDefinition``; there is exactly one."""
    given: dict[str, Any] = definition["MonitoringInputs"][0]["EndpointInput"]
    return given
