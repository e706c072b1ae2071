import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/execution"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture
def sagemaker(emulator):
    return emulator.client("sagemaker")


def test_create_describe_list_delete(sagemaker, unique_name):
    answer = sagemaker.create_model(
        ModelName=unique_name, PrimaryContainer={"Image": IMAGE, "Environment": {"A": "1"}}, ExecutionRoleArn=ROLE
    )
    assert answer["ModelArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:model/{unique_name}"
    described = sagemaker.describe_model(ModelName=unique_name)
    assert described["PrimaryContainer"] == {"Image": IMAGE, "Environment": {"A": "1"}, "Mode": "SingleModel"}
    assert described["EnableNetworkIsolation"] is False
    assert "Tags" not in described
    listed = sagemaker.list_models(NameContains=unique_name.upper())["Models"]
    assert [(model["ModelName"], model["CreationTime"]) for model in listed] == [
        (unique_name, described["CreationTime"])
    ]
    sagemaker.delete_model(ModelName=unique_name)
    assert refusal(sagemaker.describe_model, ModelName=unique_name) == (
        "ValidationException",
        f'Could not find model "{answer["ModelArn"]}".',
    )


def test_a_taken_name_is_refused_in_the_words_clients_match(sagemaker, unique_name):
    request = {"ModelName": unique_name, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}
    arn = sagemaker.create_model(**request)["ModelArn"]
    assert refusal(sagemaker.create_model, **request) == (
        "ValidationException",
        f'Cannot create already existing model "{arn}".',
    )


def test_model_data_must_exist_unless_it_is_a_multi_model_prefix(emulator, sagemaker, unique_name):
    url = f"s3://{unique_name}/model.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": url}
    assert refusal(
        sagemaker.create_model, ModelName=unique_name, PrimaryContainer=container, ExecutionRoleArn=ROLE
    ) == (
        "ValidationException",
        f"Could not find model data at {url}.",
    )
    sagemaker.create_model(
        ModelName=f"{unique_name}-mme", PrimaryContainer={**container, "Mode": "MultiModel"}, ExecutionRoleArn=ROLE
    )
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=unique_name)
    s3.put_object(Bucket=unique_name, Key="model.tar.gz", Body=b"x")
    https = f"https://{unique_name}.s3-us-east-1.amazonaws.com/model.tar.gz"
    for index, good in enumerate((url, https)):
        sagemaker.create_model(
            ModelName=f"{unique_name}-{index}",
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": good},
            ExecutionRoleArn=ROLE,
        )


@pytest.mark.parametrize(
    ("request_part", "said"),
    [
        ({}, "neither was"),
        ({"PrimaryContainer": {"Image": IMAGE}, "Containers": [{"Image": IMAGE}]}, "both were"),
        ({"PrimaryContainer": {}}, "must specify Image"),
        ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "must specify ModelDataUrl"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "no model packages"),
        ({"PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": "arn:aws:iam::1:role/x"}, "executionRoleArn"),
        (
            {"Containers": [{"Image": IMAGE, "ContainerHostname": "a"}] * 2},
            "ContainerHostname must be unique within a model: a, a.",
        ),
        (
            {"Containers": [{"Image": IMAGE}] * 2, "InferenceExecutionConfig": {"Mode": "Direct"}},
            "must specify ContainerHostname",
        ),
        ({"Containers": [{"Image": IMAGE}] * 16}, "Member must have length less than or equal to 15"),
    ],
)
def test_bad_containers_are_refused(sagemaker, unique_name, request_part, said):
    code, message = refusal(sagemaker.create_model, ModelName=unique_name, **request_part)
    assert code == "ValidationException"
    assert said in message
    assert refusal(sagemaker.describe_model, ModelName=unique_name)[1].startswith("Could not find model")


def test_regions_and_partitions_are_apart(emulator, unique_name):
    china = emulator.client("sagemaker", "cn-north-1")
    arn = china.create_model(ModelName=unique_name, PrimaryContainer={"Image": IMAGE})["ModelArn"]
    assert arn == f"arn:aws-cn:sagemaker:cn-north-1:000000000000:model/{unique_name}"
    assert not emulator.client("sagemaker", "eu-west-1").list_models(NameContains=unique_name)["Models"]
