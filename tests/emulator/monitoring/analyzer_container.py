"""An analyzer for tests: writes down what it was given, and ends as it is told. Standard library only.

Environment: MESSAGE is the exit message, EXIT_CODE the exit code, WAIT_FOR_STOP=1 runs until it is stopped, METRIC is
the name of a CloudWatch metric to write.
"""

import json
import os
import sys
import time
from pathlib import Path

environment = dict(os.environ)
# Where /opt/ml cannot be bound, it is below the base folder.
base = Path("/opt/ml") if Path(environment["output_path"]).is_dir() else Path(environment["SAGEMAKER_BASE_DIR"])


def local(path: str) -> Path:
    return base / Path(path).relative_to("/opt/ml")


source = local(environment["dataset_source"])
seen = {
    "environment": environment,
    "files": {str(path.relative_to(source)): path.read_text() for path in sorted(source.rglob("*")) if path.is_file()},
    "read": {
        name: local(environment[name]).read_text()
        for name in ("baseline_constraints", "baseline_statistics", "record_preprocessor_script")
        if name in environment
    },
}
while environment.get("WAIT_FOR_STOP"):
    time.sleep(0.05)
(local(environment["output_path"]) / "seen.json").write_text(json.dumps(seen))
(base / "output").mkdir(exist_ok=True)
(base / "output" / "message").write_text(environment.get("MESSAGE", "Completed: no violations."))
if metric := environment.get("METRIC"):
    folder = base / "output" / "metrics" / "cloudwatch"
    folder.mkdir(parents=True)
    datum = {"MetricName": metric, "Timestamp": environment["start_time"], "Value": 7.5, "Dimensions": []}
    (folder / "metrics.jsonl").write_text(json.dumps(datum) + "\nnot json\n")
sys.exit(int(environment.get("EXIT_CODE", "0")))
