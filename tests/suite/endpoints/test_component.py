"""The faces, called as a step calls them: the life of a multi-model endpoint on the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.endpoints import component as endpoints
from kfp_sagemaker.models import component as models


def test_the_life_of_a_multi_model_endpoint(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = host.session.client("sagemaker").describe_model(ModelName=host.model("-probe"))["PrimaryContainer"]["Image"]
    monkeypatch.setenv("KFP_SAGEMAKER_RUN_ID", host.name)
    source = host.put_archive("jobs/train-1/output/model.tar.gz")
    prefix = f"s3://{host.bucket}/mme/"

    published = models.publish_models.python_func([source], ["a.tar.gz", "b.tar.gz"], prefix, clear_stale=True)
    assert tuple(published) == (["a.tar.gz", "b.tar.gz"], 2, 0, 0)

    container = {"image": image, "mode": "MultiModel", "model_data_url": prefix}
    role = "arn:aws:iam::000000000000:role/execution"
    model_name, model_arn = models.create_model.python_func(role, [container], tags={"team": "a"})
    assert model_arn.endswith(f"model/{model_name}")

    name, config_name, arn = endpoints.deploy_endpoint.python_func(
        endpoint_name=host.name,
        model_name=model_name,
        initial_instance_count=1.0,
        timeout_seconds=90,
    )
    assert (name, arn.rsplit("/", 1)[1]) == (host.name, host.name)

    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    uri, predictions, count, failed = endpoints.invoke_endpoint.python_func(
        name, metrics, rows=[[1.0, 2.0]], target_models=["a.tar.gz", "b.tar.gz"], max_concurrency=2.0
    )
    assert (uri, count, failed) == ("", 2, 0)
    assert [item["prediction"]["body"] for item in predictions] == ["1,2", "1,2"]
    assert metrics.metadata["invocation_count"] == 2

    report, figures = dsl.HTML(uri=str(tmp_path / "report.html")), dsl.Metrics(uri=str(tmp_path / "figures"))
    values, series = endpoints.endpoint_metrics.python_func(
        name, report, figures, expected_invocations=2.0, max_wait_seconds=60.0
    )
    assert values["Invocations"]["sum"] == 2
    assert json.loads(json.dumps(series))["Invocations"]
    assert name in Path(report.path).read_text(encoding="utf-8")
    assert figures.metadata["Invocations"] == 2

    status = dsl.PipelineTaskFinalStatus(
        state="FAILED", pipeline_job_resource_name="run", pipeline_task_name="task", error_code=1, error_message="boom"
    )
    kept = endpoints.delete_resources_on_exit.python_func(status, keep_when_failed=True)
    assert kept.deleted == []
    (deleted,) = endpoints.delete_resources_on_exit.python_func(status, s3_uris=[prefix])
    assert deleted == [
        f"endpoint/{name}",
        f"endpoint-config/{config_name}",
        f"model/{model_name}",
        f"{prefix} (2 objects)",
    ]
    (deleted,) = endpoints.delete_resources.python_func(endpoint_names=[name], model_names=[f"{host.name}-probe"])
    assert deleted == [f"model/{host.name}-probe"]
