"""Least privilege, proven: nothing a run does is refused, and nothing is allowed that no run does."""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from kfp_sagemaker.access import model_access, permission_check, permissions
from kfp_sagemaker.access.documents import Place, node_policy
from kfp_sagemaker.access.model_access_check import SESSION_NAME
from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.errors import AwsCallError, DeadlineError
from kfp_sagemaker.aws.kinds import DATA_QUALITY_JOB_DEFINITION, PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, TUNING_JOB
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli import account
from kfp_sagemaker.data.object_writer import ObjectWriter
from kfp_sagemaker.endpoints import (
    autoscaling,
    cloudwatch_metrics,
    delete,
    deploy,
    deploy_options,
    endpoint_config,
    metric_query,
)
from kfp_sagemaker.glue import job as glue_job
from kfp_sagemaker.models import model
from kfp_sagemaker.monitoring.analyzer import cloudwatch
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.step_functions import execution
from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry
from tests.pipelines.conftest import FinishedRun

RUN_ID = "11111111-2222-3333-4444-555555555555"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/suite-echo:1"
ECHO = Path(__file__).parents[1] / "emulator" / "hosting" / "echo_container.py"
SLEEP = [sys.executable, "-c", "import threading; threading.Event().wait(300)"]

Call = dict[str, Any]

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(400)]


def used(calls: list[Call], principal: str) -> set[str]:
    return {call["action"] for call in calls if principal in call["principal_arn"]}


def granted(grants: tuple[permissions.Grant, ...]) -> set[str]:
    return {action for grant in grants for action in grant.actions}


POD_ACTIONS = granted(tuple(grant for grants in permissions.POD_GRANTS.values() for grant in grants))


@pytest.fixture(scope="module")
def pipeline_calls(housing_run: FinishedRun, mnist_run: FinishedRun, churn_run: FinishedRun) -> list[Call]:
    """The calls the pipelines' runs were checked for."""
    files = [run.folder / "authorizations.json" for run in (housing_run, mnist_run, churn_run)]
    return [call for file in files for call in json.loads(file.read_text())]


class Cluster:
    """What a cluster does besides running to a good end, as the user whose policies the steps have."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.bucket = "permissions"
        self.place = Place("000000000000", self.bucket, "work", region="us-east-1")
        registry = ImageRegistry(emulator.state_dir / REGISTRY_FILE)
        serve = [sys.executable, str(ECHO)]
        registry.register(IMAGE.replace(".", r"\."), name="echo", train=SLEEP, process=SLEEP, serve=serve)
        with pytest.MonkeyPatch.context() as patch:
            self._use(patch, emulator.env)
            root = open_session("us-east-1")
            self.role_arn = account.prepare(root, self.bucket, "", is_local=True, prefix=self.place.prefix)
            self.credentials = account.use_pod_policies(root, self.place)

    def _use(self, patch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
        for name, value in environment.items():
            patch.setenv(name, value)

    def run(self) -> None:
        """Do it all."""
        with pytest.MonkeyPatch.context() as patch:
            self._use(patch, {**self._emulator.env, **self.credentials, "KFP_SAGEMAKER_RUN_ID": RUN_ID})
            session = open_session("us-east-1")
            self._abandon_an_upload(session)
            model_name = self._models(session)
            self._jobs(session, model_name)
            self._endpoint(session, model_name)
            self._workflows()
            self._model_access(session)
            self._publish_metrics(session)

    def _publish_metrics(self, session: Session) -> None:
        options = Options(dataset_sources=[], output_path="", endpoint_name="echo")
        cloudwatch.publish([{"MetricName": "feature_data_x", "Value": 1.0}], options, session)

    def _abandon_an_upload(self, session: Session) -> None:
        with ThreadPoolExecutor(1) as executor:
            uri = f"s3://{self.bucket}/work/rows.csv"
            writer = ObjectWriter(session.client("s3"), uri, executor=executor, part_bytes=1, request={})
            writer.write(bytes(9 * 2**20))
            writer.abort()

    def _models(self, session: Session) -> str:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo("weights.txt"))
        session.client("s3").put_object(Bucket=self.bucket, Key="work/model.tar.gz", Body=archive.getvalue())
        containers = [{"image": IMAGE, "model_data_url": f"s3://{self.bucket}/work/model.tar.gz"}]
        request = model.build_request(session, role_arn=self.role_arn, containers=containers)
        names = {model.create(session, request, model_name="echo").model_name for _ in range(2)}
        assert names == {"echo"}
        return "echo"

    def _jobs(self, session: Session, model_name: str) -> None:
        output, instances = f"s3://{self.bucket}/work/out", {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        training = {
            "RoleArn": self.role_arn,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": output},
            "ResourceConfig": {**instances, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        loss = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]}
        requests = {
            TRAINING_JOB: training,
            TUNING_JOB: {
                "HyperParameterTuningJobConfig": {
                    "Strategy": "Random",
                    "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
                    "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
                    "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1"]}]},
                },
                "TrainingJobDefinition": {
                    **training,
                    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File", **loss},
                },
            },
            PROCESSING_JOB: {
                "RoleArn": self.role_arn,
                "AppSpecification": {"ImageUri": IMAGE},
                "ProcessingResources": {"ClusterConfig": {**instances, "VolumeSizeInGB": 1}},
            },
            TRANSFORM_JOB: {
                "ModelName": model_name,
                "TransformInput": {
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": f"s3://{self.bucket}/work/model.tar.gz",
                        }
                    }
                },
                "TransformOutput": {"S3OutputPath": output},
                "TransformResources": instances,
            },
        }
        for kind, request in requests.items():
            created = [engine.create(session, kind, request, name=kind.label.replace(" ", "-")) for _ in range(2)]
            assert [each.adopted for each in created] == [False, True]
        # What `kfp-sagemaker stop` and the exit handler do, for a run that was killed.
        delete.run(session, delete.build_plan(run_id=RUN_ID), keep=True)

    def _endpoint(self, session: Session, model_name: str) -> None:
        scaling = {"min_capacity": 1, "max_capacity": 2, "target_invocations_per_instance": 100}
        for instance_type in ("ml.m5.large", "ml.m5.xlarge"):
            config = endpoint_config.build_request(
                session,
                model_name=model_name,
                instance_type=instance_type,
                data_capture={"destination_s3_uri": f"s3://{self.bucket}/work/capture"},
            )
            deploy.run(
                session,
                config,
                deploy_options.build(session, endpoint_name="echo"),
                scaling=autoscaling.build_policy(scaling, config),
            )
        self._job_definition(session)
        self._ask_as_worker_node()
        delete.run(session, delete.build_plan(run_id=RUN_ID), keep=False)
        with pytest.raises(AwsCallError):
            cloudwatch_metrics.read(session, metric_query.build_query(endpoint_name="never-there"))

    def _model_access(self, session: Session) -> None:
        """A role is granted, granted otherwise, and taken away again; IAM is asked about the steps themselves."""
        for options in ({}, {"max_session_seconds": 7200, "trusted_principals": ["caller", "000000000000"]}):
            request = model_access.build_request(
                endpoint_name="echo",
                role_name="callers",
                target_models=["a/*"],
                tags={"round": len(options)},
                **options,
            )
            assert model_access.grant(session, request).is_effective
        assert model_access.revoke(session, role_name="callers").deleted
        checked = permission_check.run(
            session, permission_check.build_request(components=["train"], bucket=self.bucket, prefix="work")
        )
        assert checked.rows
        assert checked.denied == []

    def _job_definition(self, session: Session) -> None:
        """A retried step finds the definition of its schedule."""
        output = {"S3Uri": f"s3://{self.bucket}/work/reports", "LocalPath": "/opt/ml/processing/output"}
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        request = {
            "RoleArn": self.role_arn,
            "DataQualityAppSpecification": {"ImageUri": IMAGE},
            "DataQualityJobInput": {"EndpointInput": {"EndpointName": "echo", "LocalPath": "/opt/ml/processing/input"}},
            "DataQualityJobOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
            "JobResources": {"ClusterConfig": cluster},
        }
        created = [engine.create(session, DATA_QUALITY_JOB_DEFINITION, request, name="watch") for _ in range(2)]
        assert [each.adopted for each in created] == [False, True]

    def _workflows(self) -> None:
        """A Glue job from a script, brought up to date, and a state machine; each is stopped once, by its deadline."""
        iam, role = self._emulator.client("iam"), "kfp-sagemaker-glue"
        services = ["glue.amazonaws.com", "states.amazonaws.com"]
        trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
        allow = {"Effect": "Allow", "Action": ["s3:GetObject", "logs:*"], "Resource": "*"}
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
        script = {"script_s3_uri": f"s3://{self.bucket}/work/run.py", "role_arn": arn, "command": "pythonshell"}
        place = {"region": "us-east-1", "assume_role_arn": ""}
        given = {"job_name": "clean", "timeout_seconds": 120, **place}
        glue_job.run(**given, **script, script="print('clean')")
        glue_job.run(**given, **script, max_concurrent_runs=2)
        glue_job.run(**given)
        sleeping = {"script": "import time; time.sleep(300)", "arguments": {"other": 1}}
        with pytest.raises(DeadlineError):
            glue_job.run(**{**given, **script, **sleeping, "timeout_seconds": 0.5})

        def machine(name: str, state: dict[str, Any]) -> str:
            definition = json.dumps({"StartAt": "Only", "States": {"Only": {**state, "End": True}}})
            states = self._emulator.client("stepfunctions")
            made = states.create_state_machine(name=name, definition=definition, roleArn=arn)
            return str(made["stateMachineArn"])

        started = {"input": {}, "execution_name": "", **place}
        execution.run(state_machine_arn=machine("pass", {"Type": "Pass"}), timeout_seconds=120, **started)
        waiting = machine("wait", {"Type": "Wait", "Seconds": 600})
        with pytest.raises(DeadlineError):
            execution.run(state_machine_arn=waiting, timeout_seconds=1, **started)

    def _ask_as_worker_node(self) -> None:
        iam = self._emulator.client("iam")
        iam.create_user(UserName="node")
        policy = json.dumps(node_policy(self.place))
        iam.put_user_policy(UserName="node", PolicyName="invoke", PolicyDocument=policy)
        key = iam.create_access_key(UserName="node")["AccessKey"]
        runtime = self._emulator.client(
            "sagemaker-runtime",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )
        assert runtime.invoke_endpoint(EndpointName="echo", Body=b"1")["Body"].read()

    def calls(self) -> list[Call]:
        """What was checked."""
        answer = urllib3.request("GET", f"{self._emulator.endpoint_url}/_emulator/authorizations")
        return list(answer.json()["authorizations"])


@pytest.fixture(scope="module")
def cluster_calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The calls of everything that is not on a pipeline's straight way: retries, updates, stops, clean-ups."""
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        cluster = Cluster(emulator)
        cluster.run()
        return cluster.calls()


def test_nothing_a_pipeline_does_is_refused(pipeline_calls: list[Call]) -> None:
    refused = [call for call in pipeline_calls if not call["allowed"]]
    # But what verify_model_access shows to be refused.
    assert [call["principal_arn"].rpartition("/")[2] for call in refused] == [SESSION_NAME]
    assert len(used(pipeline_calls, ":user/kfp-sagemaker-steps")) > 15


def test_the_execution_role_may_do_nothing_that_no_job_does(pipeline_calls: list[Call]) -> None:
    assert used(pipeline_calls, ":assumed-role/kfp-sagemaker-execution") == granted(permissions.EXECUTION_GRANTS)


def test_steps_may_do_nothing_that_no_run_does(pipeline_calls: list[Call], cluster_calls: list[Call]) -> None:
    assert [call for call in cluster_calls if not call["allowed"]] == []
    assert used(pipeline_calls + cluster_calls, ":user/kfp-sagemaker-steps") - {"sts:GetCallerIdentity"} == POD_ACTIONS


def test_worker_nodes_may_only_ask(cluster_calls: list[Call]) -> None:
    assert used(cluster_calls, ":user/node") == granted(permissions.NODE_GRANTS) == {"sagemaker:InvokeEndpoint"}


def test_no_log_and_no_file_of_a_run_holds_the_steps_key(housing_run: FinishedRun) -> None:
    # The embedded AWS makes its keys in AWS's own form; what it prints for a shell is the account's well-known root.
    files = [path for path in housing_run.folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    key = re.compile(rb"\b(AKIA|ASIA|LKIA|LSIA)[A-Z0-9]{16}\b")
    assert [str(path) for path in files if key.search(path.read_bytes())] == []
    assert not key.search(housing_run.output.encode())
