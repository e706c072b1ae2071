"""The manifests: valid Kubernetes objects, complete kustomizations, least rights, no credential."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.manifests.overlays import MANIFESTS, OVERLAYS, edited_overlay

ROOT = Path(__file__).parents[2]
KUSTOMIZATIONS = sorted(MANIFESTS.rglob("kustomization.yaml"))
TEMPLATES = MANIFESTS / "aws"  # of CloudFormation, see test_templates.py
OBJECTS = sorted(
    path for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml" and TEMPLATES not in path.parents
)
# From other projects; kubernetes-validate knows Kubernetes' own.
FOREIGN_KINDS = {"PodIdentityAssociation"}
CREDENTIAL = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|aws_secret_access_key\s*[=:] *['\"]?[A-Za-z0-9/+]{20,}|BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)


def label(path: Path) -> str:
    return str(path.relative_to(MANIFESTS))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def every_object() -> list[dict[str, Any]]:
    return [document for path in OBJECTS for document in documents(path)]


@pytest.mark.parametrize("path", OBJECTS, ids=label)
def test_an_object_is_valid(path: Path) -> None:
    for document in documents(path):
        if document["kind"] not in FOREIGN_KINDS:
            kubernetes_validate.validate(document, "1.31", strict=True)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=label)
def test_a_kustomization_names_what_there_is(path: Path) -> None:
    (kustomization,) = documents(path)
    text = path.read_text()
    options = re.findall(r"^#   - (\S+)$", text, flags=re.MULTILINE)  # offered in a comment
    for name in [*kustomization["resources"], *options]:
        target = path.parent / name
        assert target.is_file() or (target / "kustomization.yaml").is_file(), name
    assert "namespace" in kustomization or "overlays" not in path.parts


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which builds kustomizations, is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_with_every_option(overlay: str, tmp_path: Path) -> None:
    folder = edited_overlay(overlay, tmp_path, with_options=True)
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    kinds = {document["kind"] for document in built}
    assert {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "ResourceQuota", "ConfigMap"} <= kinds
    assert {document["metadata"]["namespace"] for document in built} == {"kubeflow-user-example-com"}
    assert ("Secret" in kinds) == (overlay == "static-secret")
    for document in built:
        if document["kind"] == "Secret":
            assert document["metadata"]["name"] == "aws-secret", "compiled pipelines name it"
            assert document["data"].keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_the_service_account_may_read_one_secret_and_no_other() -> None:
    rules = [rule for document in every_object() if document["kind"] == "Role" for rule in document["rules"]]

    about_secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    assert about_secrets == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["aws-secret"], "verbs": ["get"]}
    ]
    assert not [rule for rule in rules if "*" in str(rule)]
    assert not [document for document in every_object() if document["kind"].startswith("ClusterRole")]


def test_no_manifest_and_no_pipeline_holds_a_credential() -> None:
    files = [path for path in MANIFESTS.rglob("*") if path.is_file() and path.name != "aws.env"]
    files += [*ROOT.glob("pipelines/**/*.yaml"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]

    assert len(files) > 25
    assert {str(path) for path in files if CREDENTIAL.search(path.read_text())} == set()


def test_the_file_with_the_key_is_never_in_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()

    assert "/manifests/overlays/static-secret/aws.env" in ignored
