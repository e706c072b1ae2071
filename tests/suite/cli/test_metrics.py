"""kfp-sagemaker metrics: from a URL, or a bucket, to a file, a drawing and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_sagemaker.aws.presigned_url import presign_get
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.cli.main import main
from tests.suite.conftest import Account

LINES = [
    f"2026-01-01T00:0{minute}:00Z,{dataset}:loss,{(scale / (minute + 1))!r}\n"
    for dataset, scale in (("train", 1.0), ("validation", 2.0))
    for minute in range(5)
]
CSV = "timestamp,metric_name,value\n" + "".join(LINES)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["metrics", *map(str, arguments)])


def test_a_url_needs_no_identity_and_a_bucket_needs_one(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = presign_get(open_session(), account.put("training-metrics/a.csv", CSV), 600).url
    account.put("team/pre_url.txt", f"{url}\n")
    file = tmp_path / "a.csv"
    given = ("--bucket", account.bucket, "--url-key", "team/pre_url.txt")
    result = run("fetch", *given, "-o", file)
    assert result.exit_code == 0, result.output
    assert result.output == f"{file}: 10 points of 2 metrics\n"
    assert file.read_text() == CSV

    lost = run("fetch", "--bucket", account.bucket)
    assert lost.exit_code == 1
    assert "run that step, or give its url_key" in lost.output
    account.put("pre_url.txt", "hello")
    assert "does not hold a URL" in run("fetch", "--bucket", account.bucket).output

    for variable in account.emulator.env:
        monkeypatch.delenv(variable)
    assert run("fetch", "--url", url).output == CSV
    refused = run("fetch", *given, "--region", "us-east-1")
    assert refused.exit_code == 1
    assert "no AWS credentials found" in refused.output


def test_curves_are_drawn_and_pictured(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(CSV.encode("utf-16"))
    picture = tmp_path / "a.svg"
    result = run("show", file, "-o", picture)
    assert result.exit_code == 0, result.output
    assert "* train: 1 to 0.2, 5 points" in result.output
    assert "o validation: 2 to 0.4, 5 points" in result.output
    drawing = result.output.partition("* train")[0]
    assert "loss" in drawing
    assert "minutes" in drawing
    assert drawing.count("o") > 10
    assert "\x1b" not in result.output
    assert "validation" in picture.read_text()
    assert "train" not in run("show", file, "-m", "validation:loss").output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("fetch",), "Give one of --url and --bucket"),
        (("show",), "Give one of --url and --bucket"),
        (("show", "FILE", "--bucket", "b"), "Give one of FILE, --url and --bucket"),
        (("show", "FILE", "-o", "a.gif"), "must end in .png, .svg, .pdf"),
        (("show", "FILE", "-m", "accuracy"), "there are train:loss, validation:loss"),
        (("fetch", "--url", "not a url"), "not an address"),
    ],
)
def test_wrong_usage_is_said(tmp_path: Path, arguments: tuple[str, ...], problem: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(CSV)
    result = run(*[file if argument == "FILE" else argument for argument in arguments])
    assert result.exit_code in (1, 2)
    assert problem in " ".join(result.output.split())


def test_a_job_without_metrics_has_nothing_to_draw(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("timestamp,metric_name,value\n")
    assert "No points" in run("show", file).output
