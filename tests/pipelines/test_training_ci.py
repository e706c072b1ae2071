"""Training on every pull request: one flow with two engines, the build's own phases, the stack's roles and no more."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
import urllib3
import yaml
from click.testing import CliRunner

from kfp_sagemaker.cli.flow import flow_group
from kfp_sagemaker.flow import result as flow_result
from kfp_sagemaker.flow.result import FlowResult
from sagemaker_emulator.emulator import Emulator
from tests.pipelines import build_runner
from tests.pipelines.build_runner import FinishedBuild
from tests.suite.flow.github_server import REPOSITORY, TOKEN, Server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "pipelines" / "training_ci"
TEMPLATE = ROOT / "manifests" / "aws" / "training-ci.yaml"
STACK, BUCKET, ACCOUNT, REGION = "training-ci", "models-of-the-team", "000000000000", "us-east-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/kfp-sagemaker-python-analyzer:1"
GOOD, WORSE = "a" * 40, "b" * 40
BIN = Path(sys.executable).parent

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(400)]

Call = dict[str, Any]


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"training_ci_{name}", FOLDER / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@dataclass
class Ci:
    """The stack on an embedded AWS that checks rights, a repository, and GitHub."""

    emulator: Emulator
    github: Server
    repository: Path
    outputs: dict[str, str]
    project: dict[str, Any]
    credentials: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """The project's own."""
        return {each["name"]: each["value"] for each in self.project["environment"]["environmentVariables"]}

    def build(self, commit: str, branch: str, **variables: str) -> FinishedBuild:
        """Build a commit as the project does, with the rights of its role."""
        environment = {
            **self.emulator.env,
            **self.variables,
            **self.credentials,
            "AWS_REGION": REGION,
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "CODEBUILD_BUILD_ID": "training-ci:1",
            "CODEBUILD_BUILD_URL": "https://build/1",
            "CODEBUILD_SOURCE_REPO_URL": f"https://github.com/{REPOSITORY}.git",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": commit,
            "CODEBUILD_WEBHOOK_HEAD_REF": f"refs/heads/{branch}",
            "GITHUB_API_URL": self.github.url,
            "VERDICT": f"verdict-{commit[:3]}",
            **variables,
        }
        buildspec = build_runner.read(self.repository / self.project["source"]["buildspec"])
        return build_runner.run(buildspec, self.repository, environment, skip=("install",))

    def result(self, commit: str) -> FlowResult:
        """What a build's flow came to."""
        return flow_result.read(self.repository / f"verdict-{commit[:3]}")

    def calls(self, role_output: str) -> list[Call]:
        """What was checked for a role of the stack."""
        name = self.outputs[role_output].rpartition("/")[2]
        answer = urllib3.request("GET", f"{self.emulator.endpoint_url}/_emulator/authorizations")
        return [call for call in answer.json()["authorizations"] if f"/{name}" in call["principal_arn"]]


def deploy(emulator: Emulator, secret_arn: str) -> dict[str, str]:
    """Make the stack; returns its outputs."""
    parameters = {
        "RepositoryUrl": f"https://github.com/{REPOSITORY}",
        "Bucket": BUCKET,
        "GitHubTokenSecretArn": secret_arn,
        "AnalyzerImage": IMAGE,
    }
    cloudformation = emulator.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def act_as(emulator: Emulator, role_arn: str) -> dict[str, str]:
    """Credentials of a role that only CodeBuild may assume: the test lets itself in first."""
    iam, name = emulator.client("iam"), role_arn.rpartition("/")[2]
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    given = emulator.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="build")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


@pytest.fixture(scope="module")
def ci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ci]:
    repository = tmp_path_factory.mktemp("repository")
    shutil.copytree(FOLDER, repository / "pipelines" / "training_ci")
    server = Server()
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        secret = emulator.client("secretsmanager").create_secret(Name="github", SecretString=TOKEN)
        outputs = deploy(emulator, secret["ARN"])
        (project,) = emulator.client("codebuild").batch_get_projects(names=[outputs["ProjectName"]])["projects"]
        credentials = act_as(emulator, outputs["BuildRoleArn"])
        yield Ci(emulator, server, repository, outputs, project, credentials)
    server.close()


@pytest.fixture(scope="module")
def merged(ci: Ci) -> FinishedBuild:
    """A build of the main branch."""
    return ci.build(GOOD, "main")


@pytest.fixture(scope="module")
def worsened(ci: Ci, merged: FinishedBuild) -> FinishedBuild:
    """The build of a pull request that makes the model worse."""
    assert merged.succeeded, merged.output
    path = ci.repository / "pipelines/training_ci/flow.yaml"
    content = yaml.safe_load(path.read_text())
    content["training"]["hyperparameters"] |= {"num_round": 2, "max_depth": 1, "eta": 0.01}
    (ci.repository / "worse.yaml").write_text(json.dumps(content).replace('"data/', '"pipelines/training_ci/data/'))
    shutil.copy(FOLDER / "clean_and_split.py", ci.repository)
    return ci.build(WORSE, "worse", FLOW="worse.yaml", CODEBUILD_WEBHOOK_TRIGGER="pr/7")


def test_a_merged_change_is_the_yardstick(ci: Ci, merged: FinishedBuild) -> None:
    assert merged.succeeded, merged.output
    assert merged.phases == {"pre_build": 0, "build": 0, "post_build": 0}
    result = ci.result(GOOD)
    assert result.metrics["auc"] > 0.95
    assert [job.kind for job in result.jobs] == ["glue", "training", "transform", "processing"]
    assert {point.metric for point in result.learning_curve} == {"train:auc", "validation:auc"}
    assert ci.github.statuses[0] == {
        "sha": GOOD,
        "state": "success",
        "context": "kfp-sagemaker/churn",
        "description": "every gate passed",
        "target_url": "https://build/1",
    }
    key = "training-ci/flow-metrics/churn/main.json"
    kept = json.load(ci.emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"])
    assert (kept["commit"], kept["metrics"]) == (GOOD, result.metrics)


def test_a_worsened_hyperparameter_fails_the_build_and_says_by_how_much(ci: Ci, worsened: FinishedBuild) -> None:
    assert not worsened.succeeded
    assert worsened.phases["build"] == 1
    assert worsened.phases["post_build"] == 0, worsened.output
    result = ci.result(WORSE)
    auc, main_auc = result.metrics["auc"], result.main_metrics["auc"]
    assert result.main_commit == GOOD
    (comment,) = ci.github.comments
    text = comment["body"]
    assert "## ❌ churn: 3 of 3 gates missed" in text
    assert f"- **auc {auc:.6g} must be at least 0.9, missed by {0.9 - auc:.3g}**" in text
    assert "- **recall 0 must be at least 0.5, missed by 0.5**" in text
    by = main_auc - auc - 0.02
    assert f"- **auc {auc:.6g} may be worse than main's {main_auc:.6g} by 0.02 at most, missed by {by:.3g}**" in text
    assert f"| metric | this change | main (`{GOOD[:7]}`) | difference |" in text
    assert (ci.github.statuses[-1]["sha"], ci.github.statuses[-1]["state"]) == (WORSE, "failure")
    assert TOKEN not in worsened.output


def test_kfp_local_comes_to_the_same_metrics(ci: Ci, merged: FinishedBuild, tmp_path: Path) -> None:
    assert merged.succeeded, merged.output
    done = subprocess.run(
        [BIN / "kfp-sagemaker", "flow", "run", FOLDER / "flow.yaml", "--run-dir", tmp_path, "--commit", GOOD],
        env={**os.environ, **ci.emulator.env, **ci.variables, "AWS_REGION": REGION},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    local = flow_result.read(tmp_path)
    assert local.engine == "local"
    assert local.metrics == pytest.approx(ci.result(GOOD).metrics, abs=1e-9)


# What CodeBuild does with the role, not the build's commands.
CODEBUILDS_OWN = {"logs:CreateLogStream", "logs:PutLogEvents"}
# That, and what only a cancelled build does.
AT_OTHER_TIMES = {
    "BuildRoleArn": {"states:StopExecution", *CODEBUILDS_OWN},
    "SageMakerRoleArn": set(),
    "GlueRoleArn": set(),
}


def granted(emulator: Emulator, role_arn: str) -> set[str]:
    """The actions that a role's policies allow."""
    iam, name = emulator.client("iam"), role_arn.rpartition("/")[2]
    documents = [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    return {action for document in documents for statement in document["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("role", AT_OTHER_TIMES)
def test_a_role_may_do_what_a_build_does_and_nothing_else(ci: Ci, worsened: FinishedBuild, role: str) -> None:
    assert worsened.phases["post_build"] == 0
    calls = ci.calls(role)
    assert [call for call in calls if not call["allowed"]] == []
    used = {call["action"] for call in calls} - {"sts:GetCallerIdentity"}
    assert used == granted(ci.emulator, ci.outputs[role]) - AT_OTHER_TIMES[role]


def test_state_machines_may_do_what_the_flow_says_they_need(ci: Ci, worsened: FinishedBuild) -> None:
    assert worsened.phases["post_build"] == 0
    calls = ci.calls("StepFunctionsRoleArn")
    assert [call for call in calls if not call["allowed"]] == []
    command = ["render", str(FOLDER / "flow.yaml"), "--engine", "stepfunctions", "--role", "--commit", GOOD]
    command += ["--account-id", ACCOUNT, "--region", REGION]
    rendered = CliRunner().invoke(flow_group, command, env={"BUCKET": BUCKET}, catch_exceptions=False)
    needed = json.loads(rendered.stdout)["policy"]
    actions = {action for statement in needed["Statement"] for action in statement["Action"]}
    assert granted(ci.emulator, ci.outputs["StepFunctionsRoleArn"]) == actions
    assert {call["action"] for call in calls} <= actions


def test_the_build_installs_what_is_locked() -> None:
    buildspec = build_runner.read(FOLDER / "buildspec.yaml")
    workflow = (ROOT / ".github/workflows/train.yaml").read_text()
    for command in buildspec["phases"]["install"]["commands"]:
        assert command in workflow
        *_, what = command.split()
        assert "--no-deps ." in command or ("--require-hashes -r" in command and (ROOT / what).is_file())


def test_the_raw_table_is_what_its_script_makes() -> None:
    assert (FOLDER / "data/churn.csv").read_text() == load("make_data").table()


def test_the_glue_script_cleans_and_splits() -> None:
    script = load("clean_and_split")
    header = "customer_id,state,plan,minutes,churn"
    lines = ["C1,CA, Yes,10,no", "C1,CA, Yes,10,no", "C2,OH,NO ,,YES", "C3,TX,no,30,No"]
    customers = script.clean("\n".join([header, *lines]))
    assert customers == {
        "C1": {"plan": 1, "minutes": 10, "churn": 0},
        "C2": {"plan": 0, "minutes": None, "churn": 1},
        "C3": {"plan": 0, "minutes": 30, "churn": 0},
    }
    assert script.rows(list(customers.values()), {"plan": 0, "minutes": 20}) == "0,1,10\n1,0,20\n0,0,30\n"
    many = {f"C{number}": {"churn": 0.0, "number": float(number)} for number in range(1000)}
    parts, fewer = script.split(many, 0), script.split(dict(list(many.items())[:500]), 0)
    assert 650 < len(parts["train"]) < 750
    assert sum(map(len, parts.values())) == 1000
    assert all(parts[name][: len(fewer[name])] == fewer[name] for name in parts), "a table that grows keeps its split"
    assert parts != script.split(many, 1)
    with pytest.raises(SystemExit, match="line 2: plan is 'perhaps', must be a number, yes or no"):
        script.clean(f"{header}\nC1,CA,perhaps,1,no")


def test_the_image_of_ones_own_trains_and_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{int(number % 10 > 5)},{number % 10}\n" for number in range(200))
    for name in ("train", "validation"):
        folder = tmp_path / "input/data" / name
        folder.mkdir(parents=True)
        (folder / "rows.csv").write_text(rows)
    for folder in (tmp_path / "input/config", tmp_path / "model"):
        folder.mkdir(parents=True)
    (tmp_path / "input/config/hyperparameters.json").write_text(json.dumps({"max_iter": "10"}))
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    monkeypatch.setenv("SAGEMAKER_BIND_TO_HOST", "127.0.0.1")
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "0")
    program = load("image/program")
    assert program.main("train") == 0
    server = program.make_server()
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def ask(method: str, path: str, body: str = "") -> urllib3.BaseHTTPResponse:
        return urllib3.request(method, f"http://127.0.0.1:{server.server_port}{path}", body=body)

    assert ask("GET", "/ping").status == 200
    low, high = map(float, ask("POST", "/invocations", "1\n9\n").data.split())
    assert low < 0.5 < high
    assert ask("POST", "/invocations", "x\n").status == 400
    server.shutdown()
    server.server_close()

    (tmp_path / "input/data/validation/rows.csv").write_text("a,b\n")
    assert program.main("train") == 1
    assert (tmp_path / "output/failure").read_text().startswith("ValueError: ")
