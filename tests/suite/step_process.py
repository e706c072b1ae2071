"""Starts a component's compiled program the way a step's pod does: KFP's executor, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class StepProcess:
    """A component's step.

    Args:
        component: The component.
        folder: Where its program and outputs go.
        env: Its environment, besides the test's.
    """

    def __init__(self, component: Any, folder: Path, env: Mapping[str, str]) -> None:
        self._specification = component.component_spec
        self._name = component.python_func.__name__
        self._env = {**os.environ, **env, "_KFP_RUNTIME": "true"}
        self.folder = folder
        self._program = folder / "ephemeral_component.py"
        self._program.write_text(self._specification.implementation.container.command[-1])

    @contextmanager
    def started(self, **parameters: Any) -> Iterator[subprocess.Popen[str]]:
        """Start it; it does not outlive the block. Its log is one stream, `stdout`."""
        command = [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(self._program)]
        command += ["--function_to_execute", self._name, "--executor_input", json.dumps(self._input(parameters))]
        process = subprocess.Popen(
            command,
            env=self._env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def run(self, **parameters: Any) -> dict[str, Any]:
        """Run it to its end; returns what it wrote for KFP."""
        with self.started(**parameters) as process:
            log, _ = process.communicate(timeout=120)
            assert process.returncode == 0, log
        written: dict[str, Any] = json.loads((self.folder / "executor_output.json").read_text())
        return written

    def _input(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        inputs = self._specification.inputs or {}
        defaults = {name: item.default for name, item in inputs.items() if item.optional}
        output_parameters, output_artifacts = {}, {}
        for name, item in (self._specification.outputs or {}).items():
            path = str(self.folder / "outputs" / name)
            if item.type.startswith("system."):
                artifact = {"name": name, "type": {"schemaTitle": item.type.partition("@")[0]}, "uri": path}
                output_artifacts[name] = {"artifacts": [{**artifact, "metadata": {}}]}
            else:
                output_parameters[name] = {"outputFile": path}
        return {
            "inputs": {"parameterValues": {**defaults, **parameters}},
            "outputs": {
                "parameters": output_parameters,
                "artifacts": output_artifacts,
                "outputFile": str(self.folder / "executor_output.json"),
            },
        }
