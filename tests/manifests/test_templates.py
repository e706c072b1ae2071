"""The CloudFormation templates: valid, least rights, no credential."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file
from cfnlint.decode import decode

from tests.manifests.test_manifests import CREDENTIAL

TEMPLATES = sorted((Path(__file__).parents[2] / "manifests/aws").glob("*.yaml"))
# Service Authorization Reference: actions that know no resource.
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "sagemaker:ListTrainingJobs",
}


def label(path: Path) -> str:
    return path.name


def policies(node: Any) -> Iterator[dict[str, Any]]:
    """Every policy document in a template."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if name in ("PolicyDocument", "AssumeRolePolicyDocument"):
            yield value
        elif isinstance(value, (dict, list)):
            yield from policies(value)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_there_are_templates() -> None:
    assert TEMPLATES


@pytest.mark.parametrize("path", TEMPLATES, ids=label)
def test_a_template_is_clean(path: Path) -> None:
    assert [str(match) for match in lint_file(path)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=label)
def test_a_templates_policies_name_actions_and_resources(path: Path) -> None:
    template, _ = decode(str(path))
    for document in policies(template):
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            actions = as_list(statement["Action"])
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            assert not any("*" in action for action in actions)
            if "*" in as_list(statement.get("Resource", [])):
                assert set(actions) <= WITHOUT_RESOURCE
            assert statement.get("Principal", "") not in ("*", {"AWS": "*"})


@pytest.mark.parametrize("path", TEMPLATES, ids=label)
def test_a_template_holds_no_credential(path: Path) -> None:
    assert not CREDENTIAL.search(path.read_text())
