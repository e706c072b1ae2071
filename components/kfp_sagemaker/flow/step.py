"""``python -m kfp_sagemaker.flow.step COMPONENT --NAME VALUE ...``: a component of the suite as a processing job.

Step Functions has no steps to run Python in. The component's own code runs with the job's role, and reads and writes S3
itself. Exit codes: 0, or 1 after a failure, whose message is the job's exit message.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kfp_sagemaker.aws.errors import InputError, KfpSagemakerError
from kfp_sagemaker.data.split import split_dataset
from kfp_sagemaker.processing.container import write_message

COMPONENTS = {"split_dataset": split_dataset}


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The component and its arguments; values are read as YAML reads them.

    Raises:
        InputError: There is no such component, or a value is missing.
    """
    component, *pairs = arguments or [""]
    if component not in COMPONENTS:
        raise InputError([f"{component!r} is no component, must be one of {', '.join(COMPONENTS)}"], "step")
    if len(pairs) % 2 or not all(name.startswith("--") for name in pairs[::2]):
        raise InputError([f"{' '.join(pairs)}: must be pairs of --NAME VALUE"], "step")
    values = zip(pairs[::2], pairs[1::2], strict=True)
    return component, {name.removeprefix("--"): yaml.safe_load(value) if value else "" for name, value in values}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the component; returns the exit code."""
    try:
        component, values = parse(arguments)
        outputs = COMPONENTS[component](**values)
    except KfpSagemakerError as error:
        write_message(f"Failed: {error}", environment)
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(outputs, flush=True)
    write_message(str(outputs), environment)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
