"""The component, with a model that answers through a transform job and through an endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import DataError, InputError, JobFailedError
from kfp_sagemaker.data.source import pack
from kfp_sagemaker.evaluation.component import evaluate_model
from tests.suite.conftest import Account

# The score is the only feature; what is no number is refused.
SERVE = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()
    def do_POST(self):
        rows = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
        fine = all(row.replace(".", "").isdigit() for row in rows)
        self.send_response(200 if fine else 400)
        self.send_header("Content-Type", "text/csv")
        self.end_headers()
        self.wfile.write("\\n".join(rows).encode())
    def log_message(self, *arguments):
        pass
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


class Evaluation:
    def __init__(self, account: Account, folder: Path) -> None:
        self._account = account
        self.metrics = dsl.Metrics(name="metrics", uri=str(folder / "metrics"))
        self.classification_metrics = dsl.ClassificationMetrics(name="c", uri=str(folder / "c"))
        self.report = dsl.HTML(name="report", uri=str(folder / "report.html"))
        account.sagemaker.create_model(
            ModelName=account.name,
            ExecutionRoleArn=account.role_arn,
            PrimaryContainer={
                "Image": account.image(serve=SERVE),
                "ModelDataUrl": account.put("models/model.tar.gz", pack({"model.txt": ""})),
            },
        )

    def run(self, **arguments: Any) -> Any:
        given = {
            "test_s3_uri": self._account.uri("test/"),
            "output_s3_uri": self._account.uri("evaluation"),
            "problem_type": "binary_classification",
            "timeout_seconds": 60,
            **arguments,
        }
        return evaluate_model.python_func(
            metrics=self.metrics, classification_metrics=self.classification_metrics, report=self.report, **given
        )


@pytest.fixture
def evaluation(account: Account, tmp_path: Path) -> Evaluation:
    account.put("test/a.csv", "1,0.9\n1,0.4\n")
    account.put("test/b.csv", "0,0.6\n0,0.1\n")
    return Evaluation(account, tmp_path)


def test_a_model_and_its_endpoint_come_to_the_same_figures(account: Account, evaluation: Evaluation) -> None:
    transformed = evaluation.run(model_name=account.name, test_s3_uri=account.uri("test"))
    assert transformed.metric_values["auc"] == 0.75
    assert account.sagemaker.describe_transform_job(TransformJobName=transformed.job_name)["ModelName"] == account.name
    assert json.loads(account.get(account.uri("evaluation/metrics.json"))) == transformed.metric_values
    registry = json.loads(account.get(transformed.evaluation_s3_uri))
    assert registry["binary_classification_metrics"]["auc"]["value"] == 0.75
    assert evaluation.metrics.metadata["auc"] == 0.75
    assert [row["row"] for row in evaluation.classification_metrics.metadata["confusionMatrix"]["rows"]] == [
        [1, 1],
        [1, 1],
    ]
    assert evaluation.classification_metrics.metadata["confidenceMetrics"]
    assert "Confusion matrix" in Path(evaluation.report.path).read_text()

    variant = {"VariantName": "v", "ModelName": account.name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    account.sagemaker.create_endpoint_config(EndpointConfigName=account.name, ProductionVariants=[variant])
    account.sagemaker.create_endpoint(EndpointName=account.name, EndpointConfigName=account.name)
    account.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=account.name, WaiterConfig={"Delay": 1})
    asked = evaluation.run(endpoint_name=account.name)
    account.sagemaker.delete_endpoint(EndpointName=account.name)
    assert asked.job_name == ""
    assert asked.metric_values == transformed.metric_values


def test_a_row_the_model_refuses_fails_the_job(account: Account, evaluation: Evaluation) -> None:
    account.put("test/b.csv", "0,wrong\n")
    with pytest.raises(JobFailedError):
        evaluation.run(model_name=account.name)


def test_what_is_missing_is_named(account: Account, evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match=r"test_s3_uri is .*/nothing/, where there is no object"):
        evaluation.run(model_name=account.name, test_s3_uri=account.uri("nothing/"))
    with pytest.raises(InputError) as caught:
        evaluation.run(threshold=1.5, class_names=["a", "a"])
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [
        "threshold",
        "class_names",
        "model_name",
    ]
