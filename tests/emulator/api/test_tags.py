import pytest
from botocore.exceptions import ClientError

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def as_dict(tags):
    return {tag["Key"]: tag["Value"] for tag in tags}


@pytest.fixture
def sagemaker(emulator):
    return emulator.client("sagemaker")


@pytest.fixture
def arn(sagemaker, unique_name):
    answer = sagemaker.create_model(
        ModelName=f"{unique_name}-Mixed",
        PrimaryContainer={"Image": IMAGE},
        Tags=[{"Key": "run", "Value": "1"}, {"Key": "kept", "Value": ""}],
    )
    return answer["ModelArn"]


def test_tags_given_at_creation_can_be_changed_and_removed(sagemaker, arn):
    answer = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "run", "Value": "2"}, {"Key": "ünï", "Value": "x y/z"}])
    assert as_dict(answer["Tags"]) == {"run": "2", "kept": "", "ünï": "x y/z"}
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["run", "absent"])
    assert as_dict(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == {"kept": "", "ünï": "x y/z"}


def test_more_than_fifty_tags_are_refused(sagemaker, arn):
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{number:02}", "Value": "v"} for number in range(48)])
    with pytest.raises(ClientError) as caught:
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "one-more", "Value": "v"}])
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert len(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 50


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}], "Duplicate tag keys"),
        ([{"Key": "aws:x", "Value": "1"}], "reserved|pattern"),
        ([{"Key": "bad*key", "Value": "1"}], "regular expression pattern"),
    ],
)
def test_bad_tags_are_refused(sagemaker, arn, tags, said):
    with pytest.raises(ClientError, match=said):
        sagemaker.add_tags(ResourceArn=arn, Tags=tags)


def test_a_missing_resource_is_named(sagemaker):
    missing = "arn:aws:sagemaker:us-east-1:000000000000:model/nothing-here"
    with pytest.raises(ClientError, match=f'Could not find resource "{missing}"'):
        sagemaker.list_tags(ResourceArn=missing)
