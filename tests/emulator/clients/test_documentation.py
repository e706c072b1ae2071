"""The Python of docs/embedded-aws.md, run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from tests.emulator.clients.test_clients import ROOT, run

PAGE = ROOT / "docs" / "embedded-aws.md"
SHOWN = (  # by each block, in the order of the page
    r"\[\]",
    r'Completed s3://demo/models/line/output/model\.tar\.gz\n\{"predictions": \[\{"score": 30[01]\.\d+\}\]\}',
    r"Completed",
    r"(?s)An error occurred .* not authorized to perform: iam:PassRole on resource: .*"
    r"False arn:aws:iam::000000000000:user/ann iam:PassRole .*role/SageMaker\n"
    r"True arn:aws:iam::000000000000:user/ann sagemaker:CreateModel .*model/m",
)


def test_the_documentation_runs(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator()
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    for block, shown in zip(blocks, SHOWN, strict=True):
        out = run(emulator, sys.executable, "-W", "ignore", "-c", block, tmp_path=tmp_path)
        assert re.fullmatch(shown, out.strip()), f"{block}\nprinted:\n{out}"
