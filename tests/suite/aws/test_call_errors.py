from __future__ import annotations

import pytest
from botocore import exceptions as boto

from kfp_sagemaker.aws import errors
from kfp_sagemaker.aws.call_errors import aws_errors, is_missing, is_passing
from tests.suite.aws.scripted import refusal

DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/kfp/step is not authorized to perform: sagemaker:CreateTrainingJob "
    "on resource: arn:aws:sagemaker:us-east-1:123456789012:training-job/x because no identity-based policy allows the "
    "sagemaker:CreateTrainingJob action"
)


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (
            refusal("AccessDeniedException", DENIED),
            errors.AccessDeniedError,
            "assumed-role/kfp/step may not sagemaker:Create",
        ),
        (
            refusal("AccessDeniedException", DENIED),
            errors.AccessDeniedError,
            "on arn:aws:sagemaker:us-east-1:123456789012",
        ),
        (refusal("AccessDenied", "Access Denied", "PutObject"), errors.AccessDeniedError, "AWS denied PutObject"),
        (refusal("403", "Forbidden", "HeadObject"), errors.AccessDeniedError, "AWS denied HeadObject"),
        (refusal("ExpiredTokenException", "expired"), errors.ConfigurationError, "renew them"),
        (
            refusal("UnrecognizedClientException", "invalid"),
            errors.ConfigurationError,
            "does not accept the credentials",
        ),
        (refusal("NoSuchBucket", "The specified bucket does not exist"), errors.ResourceMissingError, "NoSuchBucket"),
        (
            refusal("ValidationException", "Could not find model x"),
            errors.ResourceMissingError,
            "Could not find model x",
        ),
        (refusal("ValidationException", "1 validation error"), errors.AwsCallError, "1 validation error"),
        (refusal("ThrottlingException", "Rate exceeded"), errors.AwsCallError, "ask AWS for a higher quota"),
        (boto.NoCredentialsError(), errors.ConfigurationError, "AWS_ACCESS_KEY_ID"),
        (
            boto.PartialCredentialsError(provider="env", cred_var="secret"),
            errors.ConfigurationError,
            "Partial credentials",
        ),
        (boto.ProfileNotFound(profile="x"), errors.ConfigurationError, "profile"),
        (boto.EndpointConnectionError(endpoint_url="https://a"), errors.AwsCallError, "check network, region"),
        (boto.ParamValidationError(report="Invalid x\nInvalid y"), errors.InputError, "2 invalid arguments"),
        (boto.DataNotFoundError(data_path="x"), errors.AwsCallError, "Unable to load data"),
    ],
)
def test_every_error_of_botocore_becomes_one_of_the_suite(
    raised: Exception, expected: type[Exception], said: str
) -> None:
    with pytest.raises(errors.KfpSagemakerError) as info, aws_errors("creating training job x"):
        raise raised
    assert type(info.value) is expected
    assert str(info.value).startswith("creating training job x: ")
    assert said in str(info.value)
    assert info.value.__cause__ is raised


def test_the_suites_own_errors_and_bugs_pass_through() -> None:
    for error in (errors.NameTakenError("x"), ValueError("bug")):
        with pytest.raises(type(error)) as info, aws_errors("anything"):
            raise error
        assert info.value is error


def test_code_and_operation_are_kept() -> None:
    with pytest.raises(errors.AwsCallError) as info, aws_errors("x"):
        raise refusal("ResourceLimitExceeded", "limit", "CreateTrainingJob")
    assert (info.value.code, info.value.operation) == ("ResourceLimitExceeded", "CreateTrainingJob")


def test_of_a_long_list_of_allowed_values_the_nearest_are_shown() -> None:
    allowed = [
        f"ml.{family}.{size}" for family in ("m5", "c5", "p3", "inf1") for size in ("large", "xlarge", "2xlarge")
    ]
    said = "1 validation error detected: Value 'ml.m5.2xlarg' at 'x' failed to satisfy constraint: "
    said += f"Member must satisfy enum value set: [{', '.join(allowed)}]"
    with pytest.raises(errors.AwsCallError) as info, aws_errors("x"):
        raise refusal("ValidationException", said)
    assert "enum value set: [ml.m5.2xlarge, " in str(info.value)
    assert str(info.value).endswith(" more]")
    assert "ml.p3.large" not in str(info.value)
    few = "Value 'a' at 'x' failed to satisfy constraint: Member must satisfy enum value set: [Serial, Direct]"
    with pytest.raises(errors.AwsCallError, match=r"\[Serial, Direct\]"), aws_errors("x"):
        raise refusal("ValidationException", few)


def test_what_may_pass_and_what_is_missing() -> None:
    assert is_passing(refusal("SlowDown", status=503))
    assert is_passing(refusal("Anything", status=500))
    assert not is_passing(refusal("ValidationException", "1 validation error"))
    assert not is_passing(ValueError())
    assert is_missing(refusal("ValidationException", "Requested resource not found."))
    assert not is_missing(refusal("ValidationException", "name must match"))


def test_every_class_is_in_the_drawn_tree() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) > 10
    for cls in classes:
        assert f" {cls.__name__}" in errors.__doc__ or cls is errors.KfpSagemakerError
