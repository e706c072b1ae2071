"""``python -m kfp_sagemaker.evaluation``: an evaluation as a SageMaker processing job.

The job has two inputs and one output; the arguments below say where, if not in the places named here:

=========================================== ===========================================================================
``/opt/ml/processing/input/truth``          the held-out data: CSV without header, the label first
``/opt/ml/processing/input/predictions``    what a transform job wrote: ``NAME.out`` for each ``NAME`` of the truth
``/opt/ml/processing/output``               gets ``metrics.json`` (``{"metric": value}``), ``evaluation.json`` (for the
                                            SageMaker Model Registry) and ``report.html``
=========================================== ===========================================================================

The exit message (``/opt/ml/output/message``) is the metrics on one line, or after ``Failed: `` what went wrong. Exit
codes: 0, or 1 after a failure. Paths below ``/opt/ml`` are looked up below ``SAGEMAKER_BASE_DIR`` when that is set.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from kfp_sagemaker.aws.errors import DataError, InputError, KfpSagemakerError
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.evaluation.options import PROBLEM_TYPES, Options
from kfp_sagemaker.evaluation.predictions import Lines
from kfp_sagemaker.processing.container import base_dir, relocated, write_message

_PROCESSING = "/opt/ml/processing"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """A wrong argument is a failure like any other: it belongs in the job's exit message."""
        raise InputError([message], "evaluation")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        InputError: An argument is unknown, missing or malformed.
    """
    parser = _Parser(
        "python -m kfp_sagemaker.evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem-type", required=True, choices=PROBLEM_TYPES)
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        metavar="SCORE",
        help="binary: least score of the positive class; 0 (default) takes the model's own label, else 0.5",
    )
    parser.add_argument(
        "--positive-label", default="1", metavar="LABEL", help="binary: label of the positive class; default 1"
    )
    parser.add_argument(
        "--class-names",
        default="",
        metavar="A,B,C",
        help="multiclass: the class of each probability, in order; default 0,1,2,...",
    )
    for name in ("truth", "predictions"):
        folder = f"{_PROCESSING}/input/{name}"
        parser.add_argument(f"--{name}", default=folder, metavar="PATH", help=f"file or folder; default {folder}")
    output = f"{_PROCESSING}/output"
    parser.add_argument("--output", default=output, metavar="FOLDER", help=f"default {output}")
    parser.add_argument("--title", default="Evaluation", help="heading of the report")
    return parser.parse_args(arguments)


def files(path: Path) -> dict[str, Lines]:
    """The files at a path by their names relative to it.

    Raises:
        DataError: There is nothing.
    """

    def opener(file: Path) -> Lines:
        return lambda: _lines(file)

    if path.is_file():
        return {path.name: opener(path)}
    found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    if not found:
        raise DataError(f"there is no file in {path}")
    return {str(file.relative_to(path)): opener(file) for file in found}


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Evaluate and write the output.

    Returns:
        The exit message.

    Raises:
        InputError: Arguments are wrong.
        DataError: The data cannot be evaluated.
    """
    given = parse(arguments)
    names = [name.strip() for name in given.class_names.split(",") if name.strip()]
    options = Options(
        problem_type=given.problem_type,
        threshold=given.threshold,
        positive_label=given.positive_label,
        class_names=names,
    )
    problems = Problems("evaluation")
    options.check(problems)
    problems.raise_if_any()
    root = base_dir(environment)

    from kfp_sagemaker.evaluation import documents, metrics, page, predictions

    truth, predicted = (files(Path(relocated(path, root))) for path in (given.truth, given.predictions))
    evaluation = metrics.evaluate(predictions.pair(truth, predicted), options)
    output = Path(relocated(given.output, root))
    output.mkdir(parents=True, exist_ok=True)
    (output / documents.METRICS_FILE).write_text(documents.metrics_document(evaluation), encoding="utf-8")
    (output / documents.EVALUATION_FILE).write_text(documents.registry_document(evaluation), encoding="utf-8")
    page.build(evaluation, given.title).write(output / documents.REPORT_FILE)
    return documents.summary(evaluation)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the program; returns its exit code."""
    try:
        message = run(arguments, environment)
    except KfpSagemakerError as error:
        write_message(f"Failed: {error}", environment)
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        write_message(f"Failed: {type(error).__name__}: {error}", environment)
        raise
    print(message, flush=True)
    write_message(message, environment)
    return 0


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8-sig").splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
