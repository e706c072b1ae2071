"""``python -m kfp_sagemaker.monitoring.analyzer``: the Model Monitor container's contract, see ``environment.py``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from kfp_sagemaker.aws.errors import KfpSagemakerError
from kfp_sagemaker.monitoring.analyzer import environment as contract
from kfp_sagemaker.monitoring.analyzer.options import ENGINES
from kfp_sagemaker.processing.container import write_message


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the analysis the environment describes.

    Returns:
        The exit code: 0 with or without violations, 2 for what the caller can correct, 1 for anything else.

    Raises:
        SystemExit: With 2, the arguments are wrong; with 0, they asked for help.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kfp_sagemaker.monitoring.analyzer",
        description=contract.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", choices=ENGINES, help="in place of the variable engine")
    engine = parser.parse_args(arguments).engine
    environment = {**environment, "engine": engine} if engine else environment
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    try:
        options = contract.read_options(environment)
        from kfp_sagemaker.monitoring.analyzer import analysis

        message = analysis.run(options).exit_message
    except KfpSagemakerError as error:
        write_message(f"Failed: {error}", environment)
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        write_message(f"Failed: {type(error).__name__}: {error}", environment)
        raise
    write_message(message, environment)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
