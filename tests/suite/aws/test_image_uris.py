from __future__ import annotations

import pytest

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import ALIASES, algorithms, image_uri, versions
from scripts.generators import image_uris as generator


@pytest.mark.filterwarnings("ignore")  # the SDK's own
@pytest.mark.parametrize("algorithm", generator.ALGORITHMS)
def test_every_algorithm_version_and_region_is_what_the_sdk_answers(algorithm: str) -> None:
    offered = generator.sdk_versions(algorithm)
    assert set(versions(algorithm)) == set(offered)
    for version, regions in offered.items():
        for region in regions:
            assert image_uri(algorithm, region, version=version) == generator.sdk_uri(algorithm, region, version)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("algorithm", "version"), [("xgboost", "1.5-1"), ("xgboost", "1.3-1"), ("sklearn", "1.0-1")])
def test_graviton_images_are_what_the_sdk_answers(algorithm: str, version: str) -> None:
    ours = image_uri(algorithm, "eu-west-1", version=version, instance_type="ml.c7g.xlarge")
    assert ours == generator.sdk_uri(algorithm, "eu-west-1", version, "ml.c7g.xlarge")
    assert "arm64" in ours


def test_the_table_holds_the_algorithms_of_the_generator_and_the_aliases_lead_there() -> None:
    assert algorithms() == sorted(generator.ALGORITHMS)
    assert set(ALIASES.values()) <= set(algorithms())
    assert image_uri("scikit-learn", "us-east-1") == image_uri("sklearn", "us-east-1")


@pytest.mark.parametrize(
    ("region", "start"),
    [
        ("us-east-1", "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"),
        ("cn-north-1", "390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/linear-learner:1"),
        ("us-gov-west-1", "226302683700.dkr.ecr.us-gov-west-1.amazonaws.com/linear-learner:1"),
        ("us-iso-east-1", "490574956308.dkr.ecr.us-iso-east-1.c2s.ic.gov/linear-learner:1"),
        ("us-isob-east-1", "765400339828.dkr.ecr.us-isob-east-1.sc2s.sgov.gov/linear-learner:1"),
    ],
)
def test_partitions_have_their_own_domains(region: str, start: str) -> None:
    assert image_uri("linear-learner", region) == start


def test_without_a_version_it_is_the_newest() -> None:
    def key(version: str) -> list[int]:
        return [int(part) for part in version.replace("py", "").replace("-", ".").split(".")]

    newest = max(versions("xgboost"), key=key)
    assert image_uri("xgboost", "us-east-1") == image_uri("xgboost", "us-east-1", version=newest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"algorithm": "xgbost", "region": "us-east-1"}, "'xgbost' is no algorithm; did you mean xgboost?"),
        ({"algorithm": "xgboost", "region": "us-est-1"}, "'us-est-1' is no region with an image of xgboost"),
        ({"algorithm": "xgboost", "region": "us-east-1", "version": "1.7"}, "'1.7' is no version of xgboost"),
        ({"algorithm": "xgboost", "region": "us-east-1", "version": "1.7-1", "instance_type": "ml.m6g.large"}, "1.5-1"),
    ],
)
def test_what_there_is_no_image_of(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as info:
        image_uri(**arguments)
    assert said in str(info.value)
