"""The coverage table ``docs/emulator-operations.md``: every operation of the services the emulator answers itself."""

from __future__ import annotations

from collections.abc import Iterable

import botocore.loaders
import botocore.model

from scripts.generators.generated import ROOT, Generated

PATH = ROOT / "docs/emulator-operations.md"
# Listed even before the first operation of them is there: these two are what the emulator is for.
_ALWAYS = ("sagemaker", "sagemaker-runtime")
_HEAD = """# Operations of the embedded AWS

Generated from the emulator's registry and botocore's service models by `make generate`; do not edit. An operation that
is not implemented answers with an error that says so. Every other service is passed to ministack.
"""


def generate() -> Iterable[Generated]:
    """Compare the registry of implemented operations with what each service has."""
    from sagemaker_emulator import operations

    operations.load()
    implemented = operations.implemented()
    sections = [_section(name, set(implemented.get(name, ()))) for name in sorted({*_ALWAYS, *implemented})]
    yield Generated(PATH, "\n".join([_HEAD, *sections]))


def _section(service: str, implemented: set[str]) -> str:
    api = botocore.loaders.Loader().load_service_model(service, "service-2")
    names = sorted(botocore.model.ServiceModel(api).operation_names)
    count = len(implemented & set(names))
    lines = [f"## {service}", "", f"{count} of {len(names)} operations.", "", "| operation | |", "|---|---|"]
    # Implemented ones first: that is what a reader looks for.
    for name in sorted(names, key=lambda name: (name not in implemented, name)):
        lines.append(f"| {name} | {'implemented' if name in implemented else 'not implemented'} |")
    return "\n".join(lines) + "\n"
