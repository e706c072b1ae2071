"""The endpoints of Kubeflow Pipelines' v2beta1 API that the kfp client calls, with the server's own checks."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.suite.access.json_api import JsonApi

PREFIX = "/apis/v2beta1"


class KubeflowApi(JsonApi):
    """Keeps experiments and runs; a run goes through the states a test gives it, one a look.

    Attributes:
        version: What ``healthz`` says.
        looks: The runs' successive answers, without ids; the last one stays.
        runs: Bodies of the created runs.
        recurring_runs: Bodies of the created recurring runs.
        failures: How many of the next looks are answered with 503.
    """

    def __init__(self, version: str = "2.15.0") -> None:
        self.version = version
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: list[dict[str, Any]] = []
        self.recurring_runs: list[dict[str, Any]] = []
        self.looks: list[dict[str, Any]] = [{"state": "SUCCEEDED"}]
        self.failures = 0
        super().__init__()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        match method, path.removeprefix(PREFIX):
            case "GET", "/healthz":
                return 200, {"tag_name": self.version, "multi_user": False}
            case "GET", "/experiments":
                return 200, {"experiments": list(self.experiments.values())}
            case "POST", "/experiments":
                made = {**body, "experiment_id": f"experiment-{len(self.experiments) + 1}"}
                self.experiments[body["display_name"]] = made
                return 200, made
            case "POST", "/runs":
                if problem := refusal(body["pipeline_spec"]):
                    return 400, {"error": problem, "code": 3, "message": problem}
                self.runs.append(body)
                return 200, {**body, "run_id": f"run-{len(self.runs)}", "state": "PENDING"}
            case "POST", "/recurringruns":
                if problem := refusal(body["pipeline_spec"]):
                    return 400, {"error": problem, "code": 3, "message": problem}
                self.recurring_runs.append(body)
                return 200, {**body, "recurring_run_id": f"recurring-{len(self.recurring_runs)}"}
            case "GET", run if run.startswith("/runs/"):
                if self.failures:
                    self.failures -= 1
                    return 503, {"message": "no healthy upstream"}
                look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
                return 200, {"run_id": run.removeprefix("/runs/"), **look}
        return 404, {"message": f"there is no {method} {path}"}


def refusal(pipeline: dict[str, Any]) -> str:
    """Why the API server would refuse a pipeline (backend/src/apiserver/template/v2_template.go); empty when not."""
    spec = pipeline.get("pipeline_spec", pipeline)
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
        platform = pipeline.get("platform_spec", {})
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        executors = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
        for config in executors.values():
            json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    except json_format.ParseError as error:
        return f"invalid v2 pipeline spec: {error}"
    if spec.get("schemaVersion") != "2.1.0":
        return f"unsupported schema version {spec.get('schemaVersion')}"
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]{0,127}", spec.get("pipelineInfo", {}).get("name", "")):
        return "invalid v2 pipeline spec: name should consist of lower-case alphanumerics and hyphens"
    if not spec.get("root", {}).get("dag", {}).get("tasks"):
        return "invalid v2 pipeline spec: root component is empty"
    return ""
