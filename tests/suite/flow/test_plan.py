"""A flow's tasks, requests, state machine and pipeline, with nothing called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.flow import changes, execution_role, loading, plan, requests, state_machine
from kfp_sagemaker.flow.plan import Plan, Setting
from kfp_sagemaker.flow.requests import Request

ROLE_ARN = "arn:aws:iam::123456789012:role/execution"
FLOW: dict[str, Any] = {
    "version": 1,
    "name": "churn",
    "data": {
        "source": "s3://raw/churn.csv",
        "channels": {"train": {"path": "train/"}, "validation": {"path": "validation/"}, "test": {"path": "test/"}},
    },
    "training": {
        "algorithm": {"name": "xgboost", "version": "1.7-1"},
        "hyperparameters": {"objective": "binary:logistic", "num_round": 10},
    },
    "evaluation": {"problem_type": "binary_classification", "data": "test"},
    "gates": [{"metric": "auc", "at_least": 0.8}, {"metric": "auc", "no_worse_than_main_by": 0.1}],
    "deployment": {"endpoint_name": "churn-live"},
}
SPLIT = {
    "step": {
        "component": "split_dataset",
        "arguments": {"test_fraction": 0.3, "validation_fraction": 0.1, "train_fraction": 0.6},
    }
}
GLUE = {"glue": {"script": "clean.py", "arguments": {"seed": 1}}}
TUNING = {"objective": {"metric_name": "validation:auc"}, "ranges": {"max_depth": {"integer": [2, 8]}}}


def made(
    folder: Path,
    engine: str = "stepfunctions",
    commit: str = "0123456789abcdef",
    main: Mapping[str, float] | None = None,
    **parts: Any,
) -> tuple[Plan, list[Request]]:
    (folder / "clean.py").write_text("print()")
    path = folder / "flow.yaml"
    path.write_text(json.dumps({**FLOW, **parts}))
    setting = Setting(
        bucket="models",
        region="us-east-1",
        role_arn=ROLE_ARN,
        commit=commit,
        engine=engine,
        analyzer_image="registry/analyzer:1",
        main_metrics=main,
    )
    found = plan.build(loading.load(path, {}), setting)
    return found, requests.build(found, session())


@cache
def session() -> Session:
    return requests.offline_session("us-east-1")


def names(found: tuple[Plan, list[Request]]) -> dict[str, str]:
    return {request.step: request.name for request in found[1]}


def test_names_hang_on_commit_and_request_alone(tmp_path: Path) -> None:
    first = names(made(tmp_path, preprocessing=SPLIT))
    assert first == names(made(tmp_path, preprocessing=SPLIT))
    assert all(
        re.fullmatch(r"churn-\w+-01234567-[0-9a-f]{10}", first[step]) for step in ("Preprocess", "Train", "Predict")
    )
    other_gate = made(tmp_path, preprocessing=SPLIT, gates=[{"metric": "auc", "at_least": 0.9}])
    assert names(other_gate) == first
    training = {**FLOW["training"], "hyperparameters": {"objective": "binary:logistic", "num_round": 11}}
    other = names(made(tmp_path, preprocessing=SPLIT, training=training))
    assert {step for step in first if first[step] != other[step]} == {
        "Train",
        "Create model",
        "Predict",
        "Evaluate",
        "Create endpoint configuration",
    }
    later = names(made(tmp_path, commit="fedcba98", preprocessing=SPLIT))
    assert {step for step in first if first[step] == later[step]} == {"Create endpoint"}


def test_a_tuning_job_s_name_is_short_enough(tmp_path: Path) -> None:
    found = made(tmp_path, name="a-rather-long-flow-name", training={**FLOW["training"], "tuning": TUNING})
    name = names(found)["Tune"]
    assert len(name) <= 32 - len("-999")


def states(found: tuple[Plan, list[Request]], **attempts: int) -> dict[str, Any]:
    definition = state_machine.definition(*found, attempts)
    known: dict[str, Any] = definition["States"]
    for name, state in known.items():
        followers = [state.get("Next"), state.get("Default")]
        followers += [rule["Next"] for rule in [*state.get("Choices", []), *state.get("Catch", [])]]
        assert all(each in known for each in followers if each), name
        assert any(followers) or state.get("End") or state["Type"] == "Fail", f"{name} leads nowhere"
    reached, more = set(), {definition["StartAt"]}
    while more:
        name = more.pop()
        reached.add(name)
        state = known[name]
        rules = [*state.get("Choices", []), *state.get("Catch", [])]
        more |= {state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)} - reached - {None}
    assert reached == set(known)
    return known


def test_every_state_leads_on_and_is_reached(tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [
        {"preprocessing": SPLIT},
        {"preprocessing": GLUE},
        {"training": {**FLOW["training"], "tuning": TUNING}},
    ]
    for parts in variants:
        assert "Done" in states(made(tmp_path, **parts))


def test_a_job_that_exists_is_taken_and_a_spent_one_gets_another_name(tmp_path: Path) -> None:
    found = made(tmp_path)
    name = names(found)["Train"]
    known = states(found)
    assert known["Train"]["Catch"][0]["ErrorEquals"] == ["SageMaker.ResourceInUseException"]
    assert known["How Train ended"]["Choices"][0]["Next"] == known["Train"]["Next"] == "Create model"
    assert known["Train"]["Parameters"]["TrainingJobName"] == name
    again = states(found, **{f"TrainingJob {name}": 2})
    assert again["Train"]["Parameters"]["TrainingJobName"] == f"{name}-2"


def test_a_processing_job_reads_the_source_and_writes_the_channels(tmp_path: Path) -> None:
    processing = {"processing": {"framework": "sklearn", "framework_version": "1.2-1", "script": "clean.py"}}
    found = made(tmp_path, preprocessing=processing)
    job = states(found)["Preprocess"]["Parameters"]
    inputs = {each["InputName"]: each["S3Input"] for each in job["ProcessingInputs"]}
    outputs = {each["OutputName"]: each["S3Output"] for each in job["ProcessingOutputConfig"]["Outputs"]}
    assert not inputs.keys() & outputs.keys()  # AWS wants each name once in a job
    assert inputs["data"]["S3Uri"] == "s3://raw/churn.csv"
    assert job["AppSpecification"]["ContainerEntrypoint"][-1].endswith("/clean.py")
    train = states(found)["Train"]["Parameters"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert train == f"{outputs['channels']['S3Uri']}/train/"


def test_what_a_job_made_reaches_the_next_as_a_path(tmp_path: Path) -> None:
    container = states(made(tmp_path))["Create model"]["Parameters"]["PrimaryContainer"]
    assert container["ModelDataUrl.$"] == "$.train.ModelArtifacts.S3ModelArtifacts"
    tuned = states(made(tmp_path, training={**FLOW["training"], "tuning": TUNING}))
    assert tuned["Create model"]["Parameters"]["PrimaryContainer"]["ModelDataUrl.$"] == (
        "States.Format('s3://models/flows/churn/models/{}/output/model.tar.gz', $.tune.BestTrainingJob.TrainingJobName)"
    )


def test_gates_stand_before_the_endpoint_and_look_at_main_where_it_has_metrics(tmp_path: Path) -> None:
    known = states(made(tmp_path, main={"auc": 0.95}))
    assert known["Gate 1: auc at least 0.8"]["Choices"][0]["Next"] == "Gate 2: auc at least 0.85"
    assert known["Gate 2: auc at least 0.85"]["Choices"][0]["Next"] == "Create endpoint configuration"
    assert not [name for name in states(made(tmp_path)) if name.startswith("Gate 2")]


def test_the_state_machine_s_role_may_do_what_its_states_call(tmp_path: Path) -> None:
    place = Place("123456789012", "models", region="us-east-1")
    found = made(tmp_path, preprocessing=GLUE)
    policy = execution_role.policy(place, *found)
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    for state in states(found).values():
        service, _, call = (
            state.get("Resource", "").removeprefix("arn:aws:states:::").removeprefix("aws-sdk:").partition(":")
        )
        if call:
            call = call.removesuffix(".sync")
            assert f"{service}:{call[0].upper()}{call[1:]}" in actions
    assert all(statement["Resource"] != ["*"] for statement in policy["Statement"])
    # Another commit needs no other role.
    later = made(tmp_path, commit="fedcba98", preprocessing=GLUE)
    assert execution_role.policy(place, *later) == policy


def test_a_change_of_the_flow_is_told_by_the_fields_of_the_requests(tmp_path: Path) -> None:
    before = made(tmp_path, preprocessing=SPLIT)
    training = {
        "algorithm": {"name": "xgboost", "version": "1.7-1"},
        "hyperparameters": {"objective": "binary:logistic", "num_round": 20},
        "resources": {"instance_type": "ml.m5.xlarge"},
    }
    after = made(tmp_path, preprocessing=SPLIT, training=training, deployment=FLOW["deployment"])
    found = {change.step: change for change in changes.compare(before, after)}
    fields = {field.path: (field.before, field.after) for field in found["Train"].fields}
    assert fields == {
        "HyperParameters.num_round": ("10", "20"),
        "ResourceConfig.InstanceType": ("ml.m5.large", "ml.m5.xlarge"),
    }
    assert all(field.follows for field in found["Predict"].fields)
    assert "Preprocess" not in found
    assert changes.compare(before, before) == []
    kinds = {change.step: change.kind for change in changes.compare(before, made(tmp_path))}
    assert kinds["Preprocess"] == "removed"


@pytest.mark.parametrize("through", ["batch_transform", "endpoint"])
def test_the_pipeline_is_made_of_the_same_tasks(through: str, tmp_path: Path) -> None:
    from kfp_sagemaker.cli.flow_pipeline import compile_flow

    evaluation = {**FLOW["evaluation"], "through": through}
    found, _ = made(tmp_path, engine="kubeflow", preprocessing=SPLIT, evaluation=evaluation)
    compile_flow(found, tmp_path / "pipeline.yaml")
    tasks = [task for task in PipelineFile(tmp_path / "pipeline.yaml").all_tasks() if task.kind == "step"]
    exits = {task.display_name for task in tasks if task.is_exit_task}
    assert {task.display_name for task in tasks} - exits == {task.name for task in found.tasks}
    assert bool(exits) == (through == "endpoint")
    assert found.run_id in (tmp_path / "pipeline.yaml").read_text()
