"""The model server and the user's functions, with the real scikit-learn container."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sagemaker_emulator.containers.formats import UnsupportedFormatError
from sagemaker_emulator.containers.scikit_learn.serving import DEFAULTS
from sagemaker_emulator.containers.toolkit import encoders
from sagemaker_emulator.containers.toolkit.namespace import CodeNamespace
from sagemaker_emulator.containers.toolkit.response import Response
from sagemaker_emulator.containers.toolkit.user_model import UserCodeError, UserModelLoader, to_answer

MODEL_FN = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


def make_model(folder: Path, factor: float, code: dict[str, str]) -> Path:
    """A model archive's content: y = factor * (a + b), with its code."""
    features = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    (folder / "code").mkdir(parents=True)
    joblib.dump(LinearRegression().fit(features, factor * features.sum(axis=1)), folder / "model.joblib")
    for name, text in code.items():
        (folder / "code" / name).write_text(text)
    return folder


# -- defaults --------------------------------------------------------------------------------------------------------


def test_default_decoding_and_encoding() -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    npy = encoders.array_to_npy(matrix)
    assert encoders.decode("1,2\n3,4\n", "text/csv; charset=utf-8").tolist() == matrix.tolist()
    assert encoders.decode("[[1, 2], [3, 4]]", "application/json").tolist() == matrix.tolist()
    assert encoders.decode(npy, "application/x-npy").tolist() == matrix.tolist()
    assert encoders.decode("1,2,3", "text/csv").shape == (3,)  # as the real container: not one row of three
    assert np.isnan(encoders.decode("1,,3\n4,5,6", "text/csv")[0, 1])
    assert encoders.encode(matrix, "text/csv") == "1.0,2.0\n3.0,4.0\n"
    assert encoders.encode(np.array([1.5, 2.5]), "text/csv") == "1.5\n2.5\n"
    assert encoders.encode(matrix, "application/json") == "[[1.0, 2.0], [3.0, 4.0]]"
    assert np.load(io.BytesIO(encoders.array_to_npy(matrix))).tolist() == matrix.tolist()
    with pytest.raises(UnsupportedFormatError, match="text/html"):
        encoders.decode("", "text/html")
    with pytest.raises(ValueError, match="allow_pickle"):
        encoders.decode(_pickled_npy(), "application/x-npy")


def _pickled_npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"an": "object"}]), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("text", (b"text", "text/csv", 200)),
        (b"bytes", (b"bytes", "text/csv", 200)),
        (("1", "text/plain"), (b"1", "text/plain", 200)),
        (Response("{}", status=202), (b"{}", "application/json", 202)),
        (Response("1", "text/csv", mimetype="text/csv"), (b"1", "text/csv", 200)),
        ([1, 2], (b"[1, 2]", "text/csv", 200)),
        (np.array([1, 2]), (b"[1, 2]", "text/csv", 200)),
    ],
)
def test_what_a_function_may_return(result: Any, expected: tuple[bytes, str, int]) -> None:
    answer = to_answer(result, "text/csv")
    assert (answer.body, answer.content_type, answer.status) == expected


def test_a_response_that_is_none_of_these() -> None:
    with pytest.raises(UserCodeError, match="output_fn returned a object"):
        to_answer(object(), "text/csv")


def test_namespaces_keep_modules_apart(tmp_path: Path) -> None:
    spaces = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "package").mkdir(parents=True)
        (folder / "main_module.py").write_text(
            "import shared\ndef late():\n    from package import inner\n    return shared.NAME + inner.NAME\n"
        )
        (folder / "shared.py").write_text(f"NAME = '{name}'\n")
        (folder / "package" / "inner.py").write_text(f"NAME = '{name}'\n")
        spaces.append(CodeNamespace(folder))
    modules = []
    for space in spaces:
        with space.active():
            modules.append(__import__("main_module"))
    for space, module, name in zip(spaces * 2, modules * 2, ["one", "two"] * 2, strict=True):
        with space.active():
            assert module.late() == name * 2
    with pytest.raises(ModuleNotFoundError):
        __import__("main_module")


# -- one model -------------------------------------------------------------------------------------------------------


def test_one_model_with_the_containers_defaults(container: Any) -> None:
    make_model(container.base / "model", 2.0, {"inference.py": MODEL_FN})
    server = container.serve("scikit_learn")
    two = "1,2\n3,4\n"
    assert server.invoke(two).json == pytest.approx([6.0, 14.0])
    lines = server.invoke(two, accept="text/csv")
    assert lines.content_type == "text/csv"
    assert [float(line) for line in lines.body.split()] == pytest.approx([6.0, 14.0])
    assert server.invoke("[[1, 2]]", "application/json").json == pytest.approx([6.0])
    npy = encoders.array_to_npy(np.array([[1.0, 2.0]]))
    assert np.load(io.BytesIO(server.invoke(npy, "application/x-npy", "application/x-npy").body)) == pytest.approx(6.0)
    large = "1,2\n" * 40_000  # beyond what is answered on the event loop
    assert len(server.invoke(large).json) == 40_000

    refused = server.invoke("x", "text/html")
    assert refused.status == 415
    assert refused.json["error"] == "UnsupportedFormatError"
    assert server.invoke(two, accept="text/html").status == 406
    failed = server.invoke("1,2,3\n4,5,6\n")
    assert failed.status == 500
    assert failed.body.startswith(b"ValueError: X has 3 features, but LinearRegression is expecting 2 features")
    assert "Traceback (most recent call last)" in server.log.read_text()
    assert server.request("GET", "/execution-parameters").status == 404
    assert server.request("GET", "/nothing").status == 404
    assert server.stop() == 0


def test_the_users_functions_from_the_submit_directory(container: Any) -> None:
    code = """
from sagemaker_containers.beta.framework import content_types, encoders, env, modules, transformer, worker, server
from helpers import double

def model_fn(model_dir):
    return 5

def input_fn(body, content_type):
    assert content_type == "text/csv"
    return [float(value) for value in body.split(",")]

def predict_fn(data, model):
    return [double(value) + model for value in data]

def output_fn(prediction, accept):
    return worker.Response(encoders.encode(prediction, accept), accept, mimetype=accept)

def execution_parameters_fn():
    return {"MaxConcurrentTransforms": 3}
"""
    folder = container.base / "sources"
    folder.mkdir()
    (folder / "serve_it.py").write_text(code)
    (folder / "helpers.py").write_text("def double(value):\n    print('doubling')\n    return 2 * value\n")
    server = container.serve(
        "scikit_learn",
        {
            "SAGEMAKER_PROGRAM": "serve_it.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": str(folder),
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
        },
    )
    reply = server.invoke("1,2")
    assert (reply.status, reply.content_type, reply.body) == (200, "text/csv", b"7.0\n9.0\n")
    assert server.invoke("1", accept="application/json").json == [7.0]
    assert server.request("GET", "/execution-parameters").json == {"MaxConcurrentTransforms": 3}
    assert "doubling" in server.log.read_text()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({}, "No serving code: the model archive has no code/inference.py"),
        ({"inference.py": "import no_such_module\n"}, "No module named 'no_such_module'"),
        ({"inference.py": "x = 1\n"}, "Please provide a model_fn implementation"),
        (
            {"inference.py": MODEL_FN + "def transform_fn(*a): pass\ndef input_fn(*a): pass\n"},
            "Cannot use transform_fn",
        ),
        ({"inference.py": "def model_fn(model_dir):\n    raise OSError('disk on fire')\n"}, "disk on fire"),
    ],
)
def test_code_that_does_not_fit_is_refused(
    code: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_model(tmp_path / "model", 1.0, code)
    with pytest.raises(Exception) as error:  # noqa: PT011 - whatever the user's code raises
        UserModelLoader(DEFAULTS, multi_model=True).load(tmp_path / "model")
    assert message in str(error.value)


def test_a_model_that_does_not_load_ends_the_container(container: Any) -> None:
    make_model(container.base / "model", 1.0, {"inference.py": "import no_such_module\n"})
    server = container.start("scikit_learn")
    assert server.process.wait(60) == 1
    assert "No module named 'no_such_module'" in server.log.read_text()


def test_ping_answers_while_a_model_works(container: Any) -> None:
    gate = container.base / "gate"
    code = f"""
import os, time
def model_fn(model_dir):
    return None
def transform_fn(model, body, content_type, accept):
    end = time.monotonic() + 60
    while not os.path.exists({str(gate)!r}) and time.monotonic() < end:
        time.sleep(0.01)
    return body, content_type
"""
    make_model(container.base / "model", 1.0, {"inference.py": code})
    server = container.serve("scikit_learn")
    replies: list[Any] = []
    caller = threading.Thread(target=lambda: replies.append(server.invoke("1")))
    caller.start()
    assert [server.request("GET", "/ping").status for _ in range(5)] == [200] * 5
    assert replies == []
    gate.touch()
    caller.join(60)
    assert replies[0].body == b"1"


# -- many models -----------------------------------------------------------------------------------------------------


def test_models_are_loaded_invoked_listed_and_unloaded(make_container: Callable[[], Any], tmp_path: Path) -> None:
    container = make_container()
    helpers = (
        "import joblib, os\nFACTOR = {factor}\n"
        "def load(folder):\n    return joblib.load(os.path.join(folder, 'model.joblib'))\n"
    )
    code = (
        "import helpers\n"
        "def model_fn(model_dir):\n    return helpers.load(model_dir)\n"
        "def output_fn(prediction, accept):\n"
        "    import helpers as late\n"
        "    return '%g %g' % (prediction[0], late.FACTOR), 'text/plain'\n"
    )
    folders = {
        name: make_model(
            tmp_path / f"extracted-{factor}",
            factor,
            {"inference.py": code, "helpers.py": helpers.format(factor=factor)},
        )
        for name, factor in (("a", 2.0), ("NewYork_NY/NewYork_NY.tar.gz", 3.0))
    }
    server = container.serve("scikit_learn", {"SAGEMAKER_MULTI_MODEL": "true"})
    assert server.request("GET", "/models").json == {"models": []}
    assert server.invoke("1,1\n1,1\n", path="/models/a/invoke").status == 404
    for name, folder in folders.items():
        assert server.load(name, folder).status == 200
    assert server.load("a", folders["a"]).status == 409
    assert server.load("b", tmp_path / "nowhere").status == 404
    assert server.request("POST", "/models", "{}").status == 400

    for name, answer in (("a", b"4 2"), ("NewYork_NY/NewYork_NY.tar.gz", b"6 3"), ("a", b"4 2")):
        reply = server.invoke("1,1\n1,1\n", path=f"/models/{name}/invoke")
        assert (reply.status, reply.body) == (200, answer)

    listed = server.request("GET", "/models").json["models"]
    assert listed == [{"modelName": name, "modelUrl": str(folder)} for name, folder in folders.items()]
    first = server.request("GET", "/models?limit=1").json
    assert [row["modelName"] for row in first["models"]] == ["a"]
    second = server.request("GET", f"/models?limit=1&next_page_token={first['nextPageToken']}").json
    assert [row["modelName"] for row in second["models"]] == ["NewYork_NY/NewYork_NY.tar.gz"]
    assert server.request("GET", "/models/a").json == {"modelName": "a", "modelUrl": str(folders["a"])}

    assert server.request("DELETE", "/models/a").status == 200
    assert server.request("DELETE", "/models/a").status == 404
    assert server.request("GET", "/models/a").status == 404
    assert server.invoke("1,1\n", path="/models/a/invoke").status == 404
    assert server.load("a", folders["a"]).status == 200
    assert server.stop() == 0


def test_a_model_that_does_not_load_leaves_the_others_alone(make_container: Callable[[], Any], tmp_path: Path) -> None:
    container = make_container()
    good = make_model(tmp_path / "good", 2.0, {"inference.py": MODEL_FN})
    bad = make_model(tmp_path / "bad", 2.0, {"inference.py": "raise RuntimeError('broken on import')\n"})
    huge = make_model(tmp_path / "huge", 2.0, {"inference.py": "def model_fn(model_dir):\n    raise MemoryError\n"})
    server = container.serve("scikit_learn", {"SAGEMAKER_MULTI_MODEL": "true"})
    reply = server.load("bad", bad)
    assert reply.status == 500
    assert reply.json["message"] == "Failed to load model bad: RuntimeError: broken on import"
    assert server.load("huge", huge).status == 507
    assert server.load("good", good).status == 200
    assert server.invoke("1,1\n2,2\n", path="/models/good/invoke").json == pytest.approx([4.0, 8.0])
    assert [row["modelName"] for row in server.request("GET", "/models").json["models"]] == ["good"]


def test_built_in_algorithms_serve_many_models_too(make_container: Callable[[], Any], tmp_path: Path) -> None:
    from sagemaker_emulator.containers.linear_learner.model import LinearModel

    container = make_container()
    for name, weight in (("x", 2.0), ("y", 3.0)):
        LinearModel("regressor", "squared_loss", np.array([[weight]]), np.array([0.0])).save(tmp_path / name)
    server = container.serve("linear_learner", {"SAGEMAKER_MULTI_MODEL": "true"})
    for name in ("x", "y"):
        assert server.load(name, tmp_path / name).status == 200
    for name, score in (("x", 20.0), ("y", 30.0)):
        reply = server.invoke("10\n", path=f"/models/{name}/invoke")
        assert reply.json == {"predictions": [{"score": score}]}
    assert server.invoke("1,2\n", path="/models/x/invoke").status == 400
    assert json.loads(server.invoke("1\n", path="/models/z/invoke").body)["code"] == 404
