"""``python -m sagemaker_emulator.containers.glue <pythonshell|glueetl> SCRIPT --NAME VALUE ...``.

What ends the script is left in ``output/failure`` as JSON: the exception and the line of the script it came through.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from pathlib import Path


def main() -> int:
    """Run the script; returns the exit code."""
    command, script, *arguments = sys.argv[1:]
    if command == "glueetl":
        from sagemaker_emulator.containers.glue import spark_session

        spark_session.prepare(Path(os.environ["SAGEMAKER_BASE_DIR"]))
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code in (None, 0):
            return 0
        _note(f"SystemExit: {end.code}", script, end)
        if isinstance(end.code, int):
            return end.code
        print(end.code, file=sys.stderr)
        return 1
    # Whatever a script raises is its failure.
    except BaseException as error:
        traceback.print_exc()
        _note("".join(traceback.format_exception_only(error)).strip(), script, error)
        return 1
    return 0


def _note(message: str, script: str, error: BaseException) -> None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
    failure = Path(os.environ["SAGEMAKER_BASE_DIR"], "output/failure")
    failure.write_text(json.dumps({"message": message, "line": lines[-1] if lines else None}))


if __name__ == "__main__":
    sys.exit(main())
