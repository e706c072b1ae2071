from __future__ import annotations

import importlib

import pytest

from scripts import generate


@pytest.mark.filterwarnings("ignore")  # the SageMaker SDK's own
@pytest.mark.parametrize("name", [name for name in generate.GENERATORS if name != "pipelines"])  # test_compiled.py
def test_generated_files_are_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_SAGEMAKER_IMAGE", raising=False)
    outdated = []
    for generated in importlib.import_module(f"scripts.generators.{name}").generate():
        if not generated.path.exists() or generated.path.read_text(encoding="utf-8") != generated.text:
            outdated.append(str(generated.path.relative_to(generate.ROOT)))
    assert outdated == [], "run make generate"


def test_check_tells_the_difference_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.generators import emulator_operations
    from scripts.generators.generated import Generated

    path = generate.ROOT / "docs/architecture.md"
    before = path.read_text(encoding="utf-8")
    monkeypatch.setattr(emulator_operations, "generate", lambda: [Generated(path, before + "one more line\n")])
    assert generate.main(["--check", "emulator_operations"]) == 1
    assert "+one more line" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == before


def test_an_unknown_generator_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generate.main(["nothing"])
    assert "no such generator: nothing" in capsys.readouterr().err
