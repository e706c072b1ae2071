import pytest
from botocore.exceptions import ClientError

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


@pytest.fixture
def sagemaker(emulator):
    return emulator.client("sagemaker")


@pytest.fixture
def variant(sagemaker, unique_name):
    sagemaker.create_model(ModelName=unique_name, PrimaryContainer={"Image": IMAGE})
    return {
        "VariantName": "all",
        "ModelName": unique_name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }


def test_create_describe_list_delete(sagemaker, unique_name, variant):
    arn = sagemaker.create_endpoint_config(EndpointConfigName=unique_name, ProductionVariants=[variant])[
        "EndpointConfigArn"
    ]
    assert arn == f"arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/{unique_name}"
    described = sagemaker.describe_endpoint_config(EndpointConfigName=unique_name)
    assert described["ProductionVariants"] == [{**variant, "InitialVariantWeight": 1.0}]
    listed = sagemaker.list_endpoint_configs(NameContains=unique_name)["EndpointConfigs"]
    assert [config["EndpointConfigArn"] for config in listed] == [arn]
    with pytest.raises(ClientError, match=f'Cannot create already existing endpoint configuration "{arn}"'):
        sagemaker.create_endpoint_config(EndpointConfigName=unique_name, ProductionVariants=[variant])
    sagemaker.delete_endpoint_config(EndpointConfigName=unique_name)
    with pytest.raises(ClientError, match=f'Could not find endpoint configuration "{arn}"'):
        sagemaker.describe_endpoint_config(EndpointConfigName=unique_name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ModelName": "no-such-model"}, 'Could not find model "arn:aws:sagemaker'),
        ({"InstanceType": "ml.imaginary.large"}, "Member must satisfy enum value set"),
        ({"InitialInstanceCount": 0}, "Member must have value greater than or equal to 1"),
        ({"InstanceType": None}, "must specify InstanceType"),
        ({"InstanceType": None, "InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}]}, "InstancePools"),
        ({"InitialInstanceCount": None}, "must specify InitialInstanceCount"),
        ({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}, "cannot be specified with Serverless"),
        ({"InitialVariantWeight": 0.0}, "greater than 0"),
    ],
)
def test_bad_variants_are_refused(emulator, unique_name, variant, change, said):
    # The client's own checks are off, so that the emulator's are seen.
    from botocore.config import Config

    sagemaker = emulator.client("sagemaker", config=Config(parameter_validation=False))
    changed = {key: value for key, value in {**variant, **change}.items() if value is not None}
    with pytest.raises(ClientError) as caught:
        sagemaker.create_endpoint_config(EndpointConfigName=unique_name, ProductionVariants=[changed])
    assert said in str(caught.value)


def test_variant_names_are_unique(sagemaker, unique_name, variant):
    with pytest.raises(ClientError, match="Variant names must be unique within an endpoint configuration: all, all"):
        sagemaker.create_endpoint_config(EndpointConfigName=unique_name, ProductionVariants=[variant, variant])
