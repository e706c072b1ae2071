"""The instances of a job: each a container of its own, named like SageMaker's hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOMOGENEOUS_GROUP = "homogeneousCluster"


@dataclass(frozen=True)
class Instance:
    """One instance of a job and the folders of its container.

    Attributes:
        host: Its host name, ``algo-1`` and so on.
        instance_type: Such as ``ml.m5.large``.
        group: Its instance group.
        folder: What belongs to it on this machine.
    """

    host: str
    instance_type: str
    group: str
    folder: Path

    @property
    def base_dir(self) -> Path:
        """The folder that is its ``/opt/ml``."""
        return self.folder / "ml"

    @property
    def home(self) -> Path:
        """Its home folder."""
        return self.folder / "home"

    def path(self, container_path: str) -> Path:
        """Return where a path below ``/opt/ml`` is on this machine."""
        return self.base_dir / Path(container_path).relative_to("/opt/ml")


def instances_of(resource_config: dict[str, Any], folder: Path) -> list[Instance]:
    """Return the instances of a ResourceConfig or ClusterConfig, hosts numbered across its groups."""
    groups = resource_config.get("InstanceGroups") or [
        {
            "InstanceGroupName": HOMOGENEOUS_GROUP,
            "InstanceType": resource_config["InstanceType"],
            "InstanceCount": resource_config["InstanceCount"],
        }
    ]
    flat = [group for group in groups for _ in range(group["InstanceCount"])]
    return [
        Instance(f"algo-{number}", group["InstanceType"], group["InstanceGroupName"], folder / f"algo-{number}")
        for number, group in enumerate(flat, start=1)
    ]


def resource_config_document(instance: Instance, instances: Sequence[Instance]) -> dict[str, Any]:
    """Return the content of ``resourceconfig.json`` of an instance."""
    groups: dict[str, dict[str, Any]] = {}
    for each in instances:
        group = groups.setdefault(
            each.group, {"instance_group_name": each.group, "instance_type": each.instance_type, "hosts": []}
        )
        group["hosts"].append(each.host)
    return {
        "current_host": instance.host,
        "current_instance_type": instance.instance_type,
        "current_group_name": instance.group,
        "hosts": [each.host for each in instances],
        "instance_groups": list(groups.values()),
        # All hosts are on this machine's loopback interface, each with an address of its own.
        "network_interface_name": "lo",
    }


def write_hosts_file(path: Path, instances: Sequence[Instance]) -> None:
    """Write an ``/etc/hosts`` in which every instance has a loopback address of its own."""
    lines = ["127.0.0.1 localhost"]
    for number, instance in enumerate(instances, start=1):
        lines.append(f"127.0.{number // 250}.{number % 250} {instance.host}")
    path.write_text("\n".join(lines) + "\n")
