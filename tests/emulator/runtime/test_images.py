"""Which program an image URI stands for."""

import json

import pytest

from sagemaker_emulator.runtime.images import ImageRegistry, UnknownImageError


@pytest.mark.parametrize(
    ("uri", "name", "module"),
    [
        ("382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1", "linear-learner", "linear_learner"),
        ("438346466558.dkr.ecr.eu-west-1.amazonaws.com/kmeans:latest", "kmeans", "kmeans"),
        ("390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/linear-learner:1", "linear-learner", "linear_learner"),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", "xgboost", "xgboost"),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", "xgboost", "xgboost"),
        (
            "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
            "scikit-learn",
            "scikit_learn",
        ),
        ("382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans@sha256:0123", "kmeans", "kmeans"),
    ],
)
def test_builtin_images_are_known_in_every_region(uri, name, module):
    image = ImageRegistry().resolve(uri)
    assert image.name == name
    assert image.train == ("python3", "-m", f"sagemaker_emulator.containers.{module}", "train")
    assert image.serve == ("python3", "-m", f"sagemaker_emulator.containers.{module}", "serve")


@pytest.mark.parametrize("uri", ["1.dkr.ecr.us-east-1.amazonaws.com/my-kmeans:1", "", "registry/linear-learner-2:1"])
def test_an_unknown_image_says_how_to_register_it(uri, tmp_path):
    with pytest.raises(UnknownImageError, match=f"images register .* --state-dir {tmp_path}"):
        ImageRegistry(tmp_path / "images.json").resolve(uri)


def test_registrations_are_kept_and_seen_by_a_running_registry(tmp_path):
    running = ImageRegistry(tmp_path / "images.json")
    writer = ImageRegistry(tmp_path / "images.json")
    writer.register(".*/churn:.*", name="churn", train=["python3", "train.py"])
    assert running.resolve("1.dkr.ecr.us-east-1.amazonaws.com/churn:2").train == ("python3", "train.py")
    writer.register(".*/churn:.*", name="churn", train=["python3", "better.py"])
    assert running.resolve("1.dkr.ecr.us-east-1.amazonaws.com/churn:2").train == ("python3", "better.py")
    assert len(json.loads((tmp_path / "images.json").read_text())["images"]) == 1


def test_a_registration_is_forgotten_by_name_or_with_its_file(tmp_path):
    running = ImageRegistry(tmp_path / "images.json")
    for name in ("churn", "fraud"):
        ImageRegistry(tmp_path / "images.json").register(f"{name}:1", name=name, train=[name])
    ImageRegistry(tmp_path / "images.json").unregister("churn")
    assert [known.name for known in running.registrations()] == ["fraud"]
    with pytest.raises(UnknownImageError, match="No image 'churn' is registered; registered are: fraud"):
        running.unregister("churn")
    (tmp_path / "images.json").unlink()
    assert running.registrations() == ()


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"images": [{"name": "x"}]}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(UnknownImageError, match=r"cannot be read from .*/images\.json"):
        ImageRegistry(tmp_path / "images.json").resolve("x:1")


def test_a_registration_goes_before_a_builtin():
    registry = ImageRegistry()
    registry.register(".*/linear-learner:.*", name="mine", train=["mine"])
    assert registry.resolve("382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1").name == "mine"


@pytest.mark.parametrize(
    ("pattern", "commands", "message"),
    [("[", {"train": ["x"]}, "not a regular expression"), (".*", {}, "has no command")],
)
def test_a_registration_that_cannot_work_is_refused(pattern, commands, message):
    with pytest.raises(ValueError, match=message):
        ImageRegistry().register(pattern, name="x", **commands)
