"""One analysis from beginning to end: read, profile, compare, write the reports."""

from __future__ import annotations

from kfp_sagemaker.monitoring.analyzer.options import Options, Result


def run(options: Options) -> Result:
    """Analyse a dataset in one pass and write the reports.

    Args:
        options: What to read, what to compare with and where to write.

    Returns:
        The documents, the violations and where the reports are. Violations are no error.

    Raises:
        InputError: An option is wrong.
        DataError: The data cannot be read, names file and line; or there is none. No report is written then.
    """
    options.check()
    raise NotImplementedError
