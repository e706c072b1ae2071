"""The housing pipeline: its steps' own code, and the compiled YAML end to end through the command line."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import open_session
from sagemaker_emulator.emulator import Emulator
from tests.pipelines.conftest import FinishedRun

FOLDER = Path(__file__).parents[2] / "pipelines" / "housing_mme"
HOUSES = "250000,2005,3000,3,2.5,1.05,2,y,n\n180000,1999,,2,1.5,0.7,0,n,n\n"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"housing_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # kfp reads the source of components through their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def preprocessor() -> ModuleType:
    return load("preprocessor")


@pytest.fixture(scope="module")
def pipeline() -> ModuleType:
    return load("pipeline")


@pytest.fixture
def model_dir(preprocessor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A preprocessor fitted as the container fits it."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "houses.csv").write_text(HOUSES)
    monkeypatch.setattr(
        sys, "argv", ["preprocessor.py", "--train", str(tmp_path / "train"), "--model-dir", str(tmp_path)]
    )
    preprocessor.main()
    return str(tmp_path)


def transform(preprocessor: ModuleType, model_dir: str, body: str | bytes) -> str:
    houses = preprocessor.input_fn(body, "text/csv; charset=utf-8")
    text, content_type = preprocessor.output_fn(
        preprocessor.predict_fn(houses, preprocessor.model_fn(model_dir)), "*/*"
    )
    assert content_type == "text/csv"
    return str(text)


def test_the_preprocessor_makes_ten_features_and_keeps_a_label_first(preprocessor: ModuleType, model_dir: str) -> None:
    assert transform(preprocessor, model_dir, HOUSES).splitlines() == [
        "250000,2005,3000,3,2.5,1.05,2,0,1,1,0",
        "180000,1999,3000,2,1.5,0.7,0,1,0,1,0",
    ]


def test_the_preprocessor_takes_houses_without_price(preprocessor: ModuleType, model_dir: str) -> None:
    assert transform(preprocessor, model_dir, b"2005,3000,3,2.5,1.05,2,n,y") == "2005,3000,3,2.5,1.05,2,1,0,0,1"


@pytest.mark.parametrize("body", ["1,2,3", "1,2,3,4,5,6,y,n\n1,1,2,3,4,5,6,y,n", "1,2,3,4,5,6,7,y,n,n"])
def test_the_preprocessor_refuses_rows_of_another_width(preprocessor: ModuleType, model_dir: str, body: str) -> None:
    with pytest.raises(ValueError, match="a house has 8 values, or 9 with its price first"):
        transform(preprocessor, model_dir, body)


@pytest.fixture
def bucket(emulator: Emulator, unique_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket, with this process's environment pointing at the emulator."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    emulator.client("s3").create_bucket(Bucket=unique_name)
    return unique_name


def houses_of(dataset: dict[str, str], part: str) -> list[list[str]]:
    return [line.split(",") for line in s3.read_text(open_session("us-east-1"), dataset[f"{part}_s3_uri"]).splitlines()]


def test_generated_houses_are_split_seeded_and_priced_by_location(pipeline: ModuleType, bucket: str) -> None:
    def generate(prefix: str, seed: int) -> list[dict[str, Any]]:
        return pipeline.generate_houses.python_func(
            bucket=bucket,
            prefix=prefix,
            locations=["A_NY", "B_CA"],
            houses_per_location=100,
            seed=seed,
            region="us-east-1",
        )

    first, again, other = generate("first", 1), generate("again", 1), generate("other", 2)

    assert [dataset["location"] for dataset in first] == ["A_NY", "B_CA"]
    for dataset in first:
        train, test = houses_of(dataset, "train"), houses_of(dataset, "test")
        assert (len(train), len(test)) == (90, 10)
        for price, year, square_feet, bedrooms, bathrooms, lot, garage, porch, deck in train + test:
            assert int(price) > 0
            assert 1985 <= int(year) <= 2019
            assert 1500 <= int(square_feet) <= 6000
            assert {porch, deck} <= {"y", "n"}
            assert float(lot) > 0
            assert (int(bedrooms) in range(2, 7), int(garage) in range(4), 1.5 <= float(bathrooms) <= 3.5) == (
                True,
            ) * 3
    assert houses_of(first[0], "train") == houses_of(again[0], "train")
    assert houses_of(first[0], "train") != houses_of(other[0], "train")
    assert houses_of(first[0], "train") != houses_of(first[1], "train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"locations": ["A"]}, "two or more different names"),
        ({"locations": ["A", "A"]}, "two or more different names"),
        ({"locations": ["A", "../B"]}, "letters, digits"),
        ({"houses_per_location": 3}, "houses_per_location is 3"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    pipeline: ModuleType, arguments: dict[str, Any], message: str
) -> None:
    usual = {"bucket": "b", "prefix": "p", "locations": ["A", "B"], "houses_per_location": 100}
    with pytest.raises(InputError, match=message):
        pipeline.generate_houses.python_func(**(usual | arguments))


@pytest.mark.xdist_group("end_to_end")
@pytest.mark.timeout(400)
def test_the_compiled_pipeline_runs_end_to_end(housing_run: FinishedRun) -> None:
    assert housing_run.exit_code == 0, housing_run.output
    for location in ("Chicago_IL", "Houston_TX", "Dallas_TX"):
        assert location in housing_run.output.partition("mean error")[2]
    run = housing_run.folder
    assert str(run / "report.html") in housing_run.output
    report = (run / "report.html").read_text()
    assert "LoadedModelCount" in report
    assert "Predicted against true values" in report
    assert not (run / "aws").exists()

    steps = json.loads((run / "steps.json").read_text())
    outputs = {step["step"]: step["outputs"] for step in steps}
    assert {step["status"] for step in steps} == {"succeeded"}
    assert len(steps) == 2 + 3 * 5 + 9 + 5 + 2 + 1
    assert all(percent <= 3 for percent in outputs["compare-predictions"]["error_percent"].values())
    assert outputs["publish-models"]["target_models"] == [
        "Chicago_IL/Chicago_IL.tar.gz",
        "Houston_TX/Houston_TX.tar.gz",
    ]
    assert outputs["publish-models-2"]["target_models"] == ["Dallas_TX/Dallas_TX.tar.gz"]
    counts = [outputs[step]["invocation_count"] for step in ("invoke-endpoint", "invoke-endpoint-2")]
    assert counts == [200, 100]
    exported = outputs["export-training-metrics"]
    assert exported["job_name"].startswith("Chicago-IL-regressor")
    assert {"train:objective_loss", "validation:objective_loss"} <= set(exported["metric_names"])
    assert "X-Amz-Signature" not in (run / "steps.json").read_text() + report + housing_run.output
    values = outputs["endpoint-metrics"]["metric_values"]
    assert values["LoadedModelCount"]["maximum"] == 3 + 8
    # Model access is shown by one call that is answered, before the chart or after it; who is refused invokes nothing.
    assert values["Invocations"]["sum"] - (200 + 100 + 4 + 4 + 8) in (0, 1)
    calls = outputs["verify-model-access"]["calls"]["rows"]
    assert [row[:3] for row in calls] == [
        ["Chicago_IL/Chicago_IL.tar.gz", "allowed", "allowed"],
        ["Dallas_TX/Dallas_TX.tar.gz", "refused", "refused"],
    ]
    assert calls[1][3].startswith("AccessDeniedException")
    assert any(deleted.startswith("role model-access-") for deleted in outputs["clean-up"]["deleted"])
    kinds = {deleted.partition("/")[0].partition(":")[0] for deleted in outputs["clean-up"]["deleted"]}
    assert {"endpoint", "endpoint-config", "model"} <= kinds, outputs["clean-up"]
