import re
from datetime import UTC, datetime

import pytest

from sagemaker_emulator import validation
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.patterns import compile_pattern
from sagemaker_emulator.service_model import ServiceModel


@pytest.fixture(scope="module")
def model():
    return ServiceModel("sagemaker")


def parse(model, operation, **params):
    return validation.parse(model, model.operations[operation].input_shape, params)


def problems(model, operation, **params):
    with pytest.raises(ApiError) as caught:
        parse(model, operation, **params)
    return str(caught.value)


def test_one_problem_in_the_words_of_aws(model):
    assert problems(model, "DescribeModel", ModelName="a_b") == (
        "1 validation error detected: Value 'a_b' at 'modelName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


def test_all_problems_are_counted_and_told_at_once(model):
    message = problems(
        model,
        "CreateTrainingJob",
        TrainingJobName="x" * 64,
        RoleArn="short",
        AlgorithmSpecification={"TrainingInputMode": "Fast"},
        OutputDataConfig={},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": -1, "VolumeSizeInGB": 1},
        VpcConfig={"SecurityGroupIds": ["sg!"], "Subnets": []},
        HyperParameters={"k": "v" * 2501},
        InputDataConfig=[{"ChannelName": "a b", "DataSource": {}}],
    )
    assert message.startswith("11 validation errors detected: ")
    for said in (
        "at 'trainingJobName' failed to satisfy constraint: Member must have length less than or equal to 63",
        "Value 'short' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20",
        "Value 'Fast' at 'algorithmSpecification.trainingInputMode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Pipe, File, FastFile]",
        "Value null at 'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null",
        "Value '-1' at 'resourceConfig.instanceCount' failed to satisfy constraint: "
        "Member must have value greater than or equal to 0",
        "Value '[sg!]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 32, ",
        "Value '[]' at 'vpcConfig.subnets' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: "
        "[Member must have length less than or equal to 2500, ",
        "Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy constraint",
    ):
        assert said in message


def test_an_unknown_member_is_refused_and_the_known_ones_named(model):
    message = problems(model, "DescribeModel", ModelName="a", Colour="blue")
    assert "Value 'blue' at 'colour' failed to satisfy constraint: Member must be one of: [ModelName]" in message


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"ModelName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"ModelName": ["a"]}, "START_ARRAY can not be converted to a String"),
        ({"ModelName": "a", "Tags": "x"}, "STRING_VALUE can not be converted to a List"),
        ({"ModelName": "a", "PrimaryContainer": []}, "START_ARRAY can not be converted to a Structure"),
        ({"ModelName": "a", "EnableNetworkIsolation": "yes"}, "STRING_VALUE can not be converted to a Boolean"),
    ],
)
def test_a_wrong_json_type_is_a_serialization_error(model, params, said):
    with pytest.raises(ApiError) as caught:
        parse(model, "CreateModel", **params)
    assert (caught.value.code, caught.value.message) == ("SerializationException", said)


@pytest.mark.parametrize(("value", "said"), [(1.5, "DECIMAL_VALUE"), (True, "TRUE_VALUE"), ("7", "STRING_VALUE")])
def test_what_is_no_integer_is_refused(model, value, said):
    with pytest.raises(ApiError, match=f"{said} can not be converted to an Integer"):
        parse(model, "ListModels", MaxResults=value)


def test_values_arrive_typed_and_nulls_are_dropped(model):
    params = parse(model, "ListModels", MaxResults=7.0, CreationTimeAfter=1767225600, NameContains=None)
    assert params == {"MaxResults": 7, "CreationTimeAfter": datetime(2026, 1, 1, tzinfo=UTC)}
    assert isinstance(params["MaxResults"], int)


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "application-autoscaling"])
def test_every_pattern_of_the_models_is_understood(service):
    model = ServiceModel(service)
    patterns = {raw["pattern"] for raw in model._raw_shapes.values() if "pattern" in raw}
    assert patterns
    for pattern in patterns:
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,128}", "Größe 1_a:b/c=d+e-f@g", "a*b"),
        (r"[\p{L}\p{M}\p{Z}\p{N}\p{P}]{0,1024}", "Straße, n°5 (neu)!", "\x00"),
        (r"\p{ASCII}*", "plain ~", "ä"),
        (r"\A\S[\p{Print}]*\z", "a/b.tar.gz", " a"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t😀", "\n"),
        (r"[^[:]+", "ab", "a["),
    ],
)
def test_java_patterns_mean_the_same(pattern, good, bad):
    compiled = compile_pattern(pattern)
    assert compiled.fullmatch(good)
    assert not compiled.fullmatch(bad)


def test_an_unknown_category_is_an_error():
    with pytest.raises(re.error, match="unknown category"):
        compile_pattern(r"\p{Klingon}")
