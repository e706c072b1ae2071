"""Creating a model: the request, and the model an earlier attempt left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import InputError, NameTakenError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.models import model

ROLE = "arn:aws:iam::000000000000:role/SageMaker"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/own:1"
SINGLE: dict[str, Any] = {"image": IMAGE, "model_data_url": "s3://bucket/model.tar.gz"}
MULTI: dict[str, Any] = {"algorithm": "linear-learner", "mode": "MultiModel", "model_data_url": "s3://bucket/mme/"}


@pytest.fixture
def build(
    offline: Session, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def call(*containers: Any, **arguments: Any) -> dict[str, Any]:
        request = model.build_request(offline, **{"role_arn": ROLE, "containers": list(containers), **arguments})
        accepted_by_botocore("CreateModel", {"ModelName": "x", **request})
        return request

    return call


def test_one_container_is_the_primary_one(build: Callable[..., dict[str, Any]]) -> None:
    assert build(SINGLE) == {
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"},
    }


def test_several_containers_are_an_inference_pipeline(build: Callable[..., dict[str, Any]]) -> None:
    request = build(SINGLE, MULTI | {"multi_model_cache": "Disabled"})
    assert request["InferenceExecutionConfig"] == {"Mode": "Serial"}
    assert request["Containers"][1] == {
        "Image": image_uri("linear-learner", "us-east-1"),
        "Mode": "MultiModel",
        "ModelDataUrl": "s3://bucket/mme/",
        "MultiModelConfig": {"ModelCacheSetting": "Disabled"},
    }


def test_script_mode_tells_the_container_where_its_script_is(build: Callable[..., dict[str, Any]]) -> None:
    container = SINGLE | {
        "source_s3_uri": "s3://bucket/sourcedir.tar.gz",
        "entry_point": "serve.py",
        "environment": {"WORKERS": 2.0, "SAGEMAKER_REGION": "eu-west-1"},
    }
    assert build(container)["PrimaryContainer"]["Environment"] == {
        "SAGEMAKER_PROGRAM": "serve.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/sourcedir.tar.gz",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": "eu-west-1",
        "WORKERS": "2",
    }


def test_a_script_inside_the_archive_needs_no_source(build: Callable[..., dict[str, Any]]) -> None:
    environment = build(SINGLE | {"entry_point": "serve.py"})["PrimaryContainer"]["Environment"]
    assert environment["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"


def test_awss_own_spelling_is_accepted(build: Callable[..., dict[str, Any]]) -> None:
    container = {
        "Image": IMAGE,
        "ModelDataSource": {
            "S3DataSource": {"S3Uri": "s3://bucket/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        },
        "ImageConfig": {"RepositoryAccessMode": "Vpc"},
    }
    assert build(container)["PrimaryContainer"] == container


def test_vpc_and_isolation(build: Callable[..., dict[str, Any]]) -> None:
    request = build(SINGLE, subnet_ids=["subnet-1"], security_group_ids=["sg-1"], enable_network_isolation=True)
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert request["EnableNetworkIsolation"] is True


def test_a_direct_pipeline(build: Callable[..., dict[str, Any]]) -> None:
    containers = [SINGLE | {"container_hostname": "one"}, SINGLE | {"container_hostname": "two"}]
    assert build(*containers, inference_execution_mode="Direct")["InferenceExecutionConfig"] == {"Mode": "Direct"}


@pytest.mark.parametrize(
    ("containers", "arguments", "message"),
    [
        ([], {}, "a list of 1 to 15 dicts"),
        ([SINGLE] * 16, {}, "a list of 1 to 15 dicts"),
        (["image"], {}, r"containers\[0\] is 'image'"),
        ([{"model_data_url": "s3://b-k/m.tar.gz"}], {}, "with exactly one of image, algorithm, model_package_name"),
        ([SINGLE | {"algorithm": "xgboost"}], {}, r"containers\[0\] is 'with image and algorithm'"),
        ([{"algorithm": "no-such-thing"}], {}, r"containers\[0\].algorithm: .*no-such-thing"),
        ([SINGLE | {"mode": "ManyModels"}], {}, "SingleModel, MultiModel"),
        ([SINGLE | {"modl": 1}], {}, r"containers\[0\].modl"),
        ([{"image": IMAGE, "mode": "MultiModel"}], {}, "the S3 prefix that holds the archives"),
        ([SINGLE | {"mode": "MultiModel"}], {}, "a prefix and not an archive"),
        ([SINGLE | {"multi_model_cache": "Disabled"}], {}, "MultiModel where multi_model_cache is given"),
        ([SINGLE | {"model_data_url": "bucket/model.tar.gz"}], {}, "an S3 URI such as"),
        (
            [SINGLE | {"source_s3_uri": "s3://bucket/s.tar.gz"}],
            {},
            "entry_point is '', must be given with source_s3_uri",
        ),
        ([SINGLE], {"role_arn": ""}, "role_arn is '', must be given"),
        ([SINGLE], {"role_arn": "SageMaker"}, "the ARN of an IAM role"),
        ([SINGLE], {"inference_execution_mode": "Parallel"}, "Serial, Direct"),
        ([SINGLE], {"subnet_ids": ["subnet-1"]}, "given together with subnet_ids"),
        ([SINGLE, SINGLE], {"inference_execution_mode": "Direct"}, "given and unique, because mode is Direct"),
    ],
)
def test_a_wrong_argument_is_named(
    build: Callable[..., dict[str, Any]], containers: list[Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(*containers, **arguments)


def test_all_problems_come_at_once(build: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(InputError) as caught:
        build(
            {"mode": "MultiModel"},
            SINGLE | {"model_data_url": "nowhere"},
            role_arn="x",
            model_name="my_model",
            tags={"aws:x": "1"},
        )
    assert len(caught.value.problems) == 6, caught.value


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"Image": "other"}, "PrimaryContainer.Image"),
        ({"Environment": {"A": "1", "B": "2"}}, "PrimaryContainer.Environment"),
        ({"Mode": "MultiModel"}, "PrimaryContainer.Mode"),
    ],
)
def test_differences_name_what_differs(change: dict[str, Any], path: str) -> None:
    request = {"PrimaryContainer": {"Image": "i", "Environment": {"A": "1"}}}
    described = {"PrimaryContainer": {"Image": "i", "Environment": {"A": "1"}, "Mode": "SingleModel"}}
    assert list(model.differences(request, described)) == []
    described["PrimaryContainer"] |= change
    assert list(model.differences(request, described)) == [path]


def test_what_a_request_leaves_out_is_compared_where_it_means_something() -> None:
    request = {"PrimaryContainer": {"Image": "i"}}
    described = {"PrimaryContainer": {"Image": "i", "Environment": {}}, "EnableNetworkIsolation": True}
    assert list(model.differences(request, described)) == ["EnableNetworkIsolation"]


@pytest.fixture
def archived(session: Session, unique_name: str) -> dict[str, Any]:
    """A container whose archive exists: CreateModel looks for it."""
    bucket = f"bucket-{unique_name[-8:]}"
    session.client("s3").create_bucket(Bucket=bucket)
    session.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"archive")
    return {"image": IMAGE, "model_data_url": f"s3://{bucket}/model.tar.gz"}


def test_a_retry_finds_its_model_and_a_stranger_is_refused(
    session: Session, archived: dict[str, Any], unique_name: str
) -> None:
    request = model.build_request(session, role_arn=ROLE, containers=[archived])
    first = model.create(session, request, model_name=unique_name, tags={"team": "a"})
    assert model.create(session, request, model_name=unique_name) == first
    other = model.build_request(session, role_arn=ROLE, containers=[archived | {"environment": {"A": "1"}}])
    with pytest.raises(NameTakenError, match=r"differs in PrimaryContainer\.Environment: choose another model_name"):
        model.create(session, other, model_name=unique_name)
    pipeline = model.build_request(session, role_arn=ROLE, containers=[archived, archived])
    with pytest.raises(NameTakenError, match="Containers"):
        model.create(session, pipeline, model_name=unique_name)


def test_a_name_of_the_runs_own_stays_the_same(
    session: Session, archived: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_SAGEMAKER_RUN_ID", "run-1")
    monkeypatch.setenv("KFP_SAGEMAKER_PIPELINE_NAME", "housing")
    request = model.build_request(session, role_arn=ROLE, containers=[archived])
    first = model.create(session, request)
    assert first.model_name.startswith("housing-")
    assert model.create(session, request) == first
    tags = session.client("sagemaker").list_tags(ResourceArn=first.model_arn)["Tags"]
    assert {"Key": "kfp-sagemaker:run-id", "Value": "run-1"} in tags
