"""The wheel is whole."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_packages_is_in_it(installed_wheel: Path) -> None:
    missing = [
        str(path.relative_to(ROOT))
        for root, package in (("components", "kfp_sagemaker"), ("emulator", "sagemaker_emulator"))
        for path in (ROOT / root / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not (installed_wheel / path.relative_to(ROOT / root)).exists()
    ]
    assert missing == [], "see package_data in setup.py"
    assert (installed_wheel / "kfp_sagemaker/data/digits.csv.gz").exists()
