"""flow.yaml: what is read, and that every mistake is told with its file, line and path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from kfp_sagemaker.aws.validation import INSTANCE_TYPE_PATTERN
from kfp_sagemaker.evaluation.options import METRICS, PROBLEM_TYPES
from kfp_sagemaker.flow import document, loading, schema
from kfp_sagemaker.flow.definition import Glue, Step
from kfp_sagemaker.flow.loading import FlowFileError

ROOT = Path(__file__).parents[3]
FLOW = """\
version: 1
name: churn
data:
  source: data.csv
  channels:
    train: {path: train/}
    test: {path: test/}
preprocessing:
  step:
    component: split_dataset
    arguments: {train_fraction: 0.7, validation_fraction: 0, test_fraction: 0.3}
training:
  algorithm: {name: xgboost, version: 1.7-1}
  hyperparameters:
    num_round: 10
    eta: 0.3
  resources:
    instance_type: ml.m5.large
    max_runtime_seconds: 600
evaluation:
  problem_type: binary_classification
  data: test
gates:
  - {metric: auc, at_least: 0.8}
"""
SPLIT = "\n".join(FLOW.splitlines()[8:11])
TUNING = """  tuning:
    objective: {metric_name: "validation:auc"}
    ranges:
      max_depth: {integer: [8, 3]}
      eta: {continuous: [0.1, 0.3]}
    max_jobs: 2
    max_parallel_jobs: 3
"""

# What is put in place of what, the line the problem is on, its path, and words of its message.
BROKEN = {
    "version": ("version: 1", "version: 2", 1, "version", "must be 1"),
    "unknown key": ("name: churn", "name: churn\nnam: x", 3, "nam", "do you mean name?"),
    "missing key": ("name: churn\n", "", 1, "name", "is missing"),
    "name": ("name: churn", "name: Churn_1", 2, "name", "lower-case"),
    "given twice": ("name: churn", "name: churn\nname: churn", 3, "name", "given twice"),
    "no such file": ("source: data.csv", "source: other.csv", 4, "data.source", "must be a file or an S3 URI"),
    "not a bucket": ("source: data.csv", "source: s3://B/x", 4, "data.source", "must be an S3 URI"),
    "no channels": ("{path: test/}", "{}", 7, "data.channels.test.path", "is missing"),
    "channel out of its folder": ("{path: test/}", "{path: ../x}", 7, "data.channels.test.path", "must be"),
    "channel nobody makes": ("{path: test/}", "{path: validation/}", 7, "data.channels.test.path", "which it makes"),
    "preprocessing in words": ("preprocessing:\n" + SPLIT, "preprocessing: some", 8, "preprocessing", "must be none"),
    "component": ("split_dataset", "train", 10, "preprocessing.step.component", "one of split_dataset"),
    "step's argument": ("train_fraction", "train_share", 11, "preprocessing.step.arguments.train_share", "is unknown"),
    "argument the flow sets": (
        "{train_fraction",
        "{region: x, train_fraction",
        11,
        "preprocessing.step.arguments.region",
        "the flow sets it",
    ),
    "two preprocessings": (SPLIT, SPLIT + "\n  glue: {job_name: x}", 8, "preprocessing", "one only of"),
    "glue without a job": (
        SPLIT,
        "  glue: {max_runtime_minutes: 5}",
        9,
        "preprocessing.glue",
        "one of script and job_name",
    ),
    "workers of a Python shell": (
        SPLIT,
        "  glue:\n    job_name: x\n    command: pythonshell\n    worker_type: G.9X",
        12,
        "preprocessing.glue.worker_type",
        "must be one of G.1X",
    ),
    "two programs": ("hyperparameters:", "image: x\n  hyperparameters:", 12, "training", "has algorithm and image"),
    "algorithm": ("xgboost", "xgbost", 13, "training.algorithm.name", "did you mean xgboost"),
    "version of it": ("1.7-1", "9.9-9", 13, "training.algorithm.version", "Known are"),
    "hyperparameter": ("eta: 0.3", "eta: [0.1, 0.3]", 16, "training.hyperparameters.eta", "must be text or a number"),
    "instance type": ("ml.m5.large", "m5.large", 18, "training.resources.instance_type", "such as ml.m5.large"),
    "too short": (
        "max_runtime_seconds: 600",
        "max_runtime_seconds: 5",
        19,
        "training.resources.max_runtime_seconds",
        "60",
    ),
    "wait without spot": (
        "max_runtime_seconds: 600",
        "max_wait_seconds: 900",
        17,
        "training.resources.use_spot",
        "max_wait_seconds needs it",
    ),
    "bounds": ("  resources:", TUNING + "  resources:", 20, "training.tuning.ranges.max_depth.integer", "lowest first"),
    "tuned and fixed": ("  resources:", TUNING + "  resources:", 16, "training.hyperparameters.eta", "is tuned too"),
    "parallel": ("  resources:", TUNING + "  resources:", 23, "training.tuning.max_parallel_jobs", "at most max_jobs"),
    "problem type": ("binary_classification", "binary", 21, "evaluation.problem_type", "binary_classification"),
    "no such channel": ("data: test", "data: held_out", 22, "evaluation.data", "one of the channels train, test"),
    "option of another type": (
        "data: test",
        "data: test\n  class_names: [a]",
        23,
        "evaluation.class_names",
        "left out",
    ),
    "metric": ("metric: auc", "metric: rmse", 24, "gates[0].metric", "for binary_classification"),
    "no bound": (", at_least: 0.8", "", 24, "gates[0]", "one of at_least, at_most"),
    "two bounds": ("at_least: 0.8", "at_least: 0.8, at_most: 1", 24, "gates[0]", "has at_least and at_most"),
    "bound in words": ("at_least: 0.8", "at_least: high", 24, "gates[0].at_least", "a number"),
    "gates of nothing": (
        "evaluation:\n  problem_type: binary_classification\n  data: test\n",
        "",
        20,
        "gates",
        "need an evaluation",
    ),
    "unset variable": ("name: churn", "name: ${NAME}", 2, "name", "the variable NAME is not set"),
    "no variable": ("name: churn", "name: ${a b}", 2, "name", "names no variable"),
    "not YAML": ("name: churn", "name: [churn", 3, "", "is not YAML"),
}


def write(folder: Path, text: str, name: str = "flow.yaml") -> Path:
    (folder / "data.csv").write_text("1,2\n")
    path = folder / name
    path.write_text(text)
    return path


def problems_of(path: Path, engine: str = "", **variables: str) -> list[str]:
    with pytest.raises(FlowFileError) as raised:
        loading.load(path, variables, engine=engine)
    return [str(problem) for problem in raised.value.details]


@pytest.mark.parametrize("case", BROKEN)
def test_a_mistake_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, line, where, words = BROKEN[case]
    assert old in FLOW
    path = write(tmp_path, FLOW.replace(old, new, 1))
    start = f"{path}:{line}: {where}: " if where else f"{path}:{line}: "
    found = problems_of(path)
    assert any(problem.startswith(start) and words in problem for problem in found), found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        FLOW.replace("version: 1", "version: 2", 1).replace("eta: 0.3", "eta: []").replace("metric: auc", "metric: x")
    )
    assert [problem.split(":")[1] for problem in problems_of(write(tmp_path, text))] == ["1", "16", "24"]


def test_a_flow_is_read_with_its_defaults(tmp_path: Path) -> None:
    flow = loading.load(write(tmp_path, FLOW), {})
    assert flow.data.source == str(tmp_path / "data.csv")
    assert flow.training_channels == ("train",)
    assert isinstance(flow.preprocessing, Step)
    assert (flow.training.resources.instance_count, flow.training.resources.volume_size_gb) == (1, 30)
    assert (flow.gates[0].kind, flow.gates[0].limit) == ("at_least", 0.8)
    assert flow.bucket == ""


def test_variables_are_filled_in_and_keep_their_type(tmp_path: Path) -> None:
    text = FLOW.replace("num_round: 10", "num_round: ${ROUNDS}\n    seed: '${ROUNDS}'\n    a: $$5")
    text = text.replace("name: churn", "name: ${NAME:-other}")
    flow = loading.load(write(tmp_path, text), {"ROUNDS": "7"})
    assert (flow.name, flow.training.hyperparameters["num_round"]) == ("other", 7)
    assert (flow.training.hyperparameters["seed"], flow.training.hyperparameters["a"]) == ("7", "$5")


def test_includes_are_completed_by_the_file_that_includes_them(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    base = "version: 1\ntags: {team: a, cost: b}\npreprocessing:\n  glue: {script: clean.py}\nregion: nowhere\n"
    write(folder, base, "base.yaml")
    (folder / "clean.py").write_text("")
    text = FLOW.replace("version: 1", "include: [shared/base.yaml]\ntags: {team: mine}", 1).replace(
        "preprocessing:\n" + SPLIT + "\n", ""
    )
    path = write(tmp_path, text)
    assert problems_of(path) == [f'{folder}/base.yaml:5: region: is "nowhere", must be an AWS region such as eu-west-1']
    (folder / "base.yaml").write_text(base.replace("nowhere", "eu-west-1"))
    flow = loading.load(path, {})
    assert flow.tags == {"team": "mine", "cost": "b"}
    assert isinstance(flow.preprocessing, Glue)
    assert flow.preprocessing.script == str(folder / "clean.py")


def test_includes_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW.replace("version: 1", "include: [other.yaml]\nversion: 1", 1))
    write(tmp_path, "include: [flow.yaml]\n", "other.yaml")
    assert any("flow.yaml -> other.yaml -> flow.yaml" in problem for problem in problems_of(path))


def test_an_engine_refuses_what_it_cannot_run(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW.replace("data: test", "data: test\n  through: endpoint"))
    assert loading.load(path, {}, engine="local").evaluation
    assert "batch_transform with the engine stepfunctions" in problems_of(path, "stepfunctions")[0]


def test_the_published_schema_is_one_and_knows_what_the_code_knows() -> None:
    content = schema.load()
    Draft202012Validator.check_schema(content)
    definitions = content["$defs"]
    assert definitions["evaluation"]["properties"]["problem_type"]["enum"] == list(PROBLEM_TYPES)
    metrics = {metric for known in METRICS.values() for metric in known}
    assert set(definitions["gate"]["properties"]["metric"]["enum"]) == metrics
    written = definitions["instance_type"]["pattern"]
    assert written.removesuffix("|[$][{]") == f"^{INSTANCE_TYPE_PATTERN}$".replace(r"\-", "-").replace(r"\d", "[0-9]")


@pytest.mark.parametrize("path", sorted(ROOT.glob("pipelines/*/flow.yaml")), ids=lambda path: path.parent.name)
def test_every_example_is_valid(path: Path) -> None:
    assert not list(Draft202012Validator(schema.load()).iter_errors(yaml.safe_load(path.read_text())))
    assert loading.load(path, {}).name
    assert not document.load(path, {}).problems


def test_every_default_of_the_schema_is_the_code_s() -> None:
    from dataclasses import MISSING, fields

    from kfp_sagemaker.flow import definition

    parts = {
        "glue": definition.Glue,
        "processing": definition.Processing,
        "tuning": definition.Tuning,
        "evaluation": definition.Evaluation,
        "deployment": definition.Deployment,
    }
    for name, kind in parts.items():
        properties = schema.load()["$defs"][name]["properties"]
        assert set(properties) == {each.name for each in fields(kind)}, name
        for each in fields(kind):
            if "default" in properties[each.name]:
                assert each.default is not MISSING, f"{name}.{each.name}"
                assert json.loads(json.dumps(each.default)) == properties[each.name]["default"], f"{name}.{each.name}"
