"""Scaffold a component (``make component NAME=verb_noun CAPABILITY=training``): face, work, test and catalogue line.

What it writes works as it stands: a component that counts the tags of a SageMaker resource. Replace the call, the
arguments and the outputs by the component's own, then run ``make generate`` and ``make test``.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[1]

FACE_HEAD = Template('''\
"""Faces of the $capability components."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false

from typing import NamedTuple

from kfp_sagemaker._component import sagemaker_component
''')

FACE = Template('''

@sagemaker_component(cache=False)
def $name(
    resource_arn: str,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", [("tag_count", int)]):
    """Say in one line what the step does.

    Then what a retry does, what it costs, and what it leaves behind.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTags.html

    Args:
        resource_arn: ARN of the SageMaker resource, such as arn:aws:sagemaker:us-east-1:123456789012:model/prices.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        tag_count: How many tags the resource has.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        ResourceMissingError: There is no such resource.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.$capability import $name

    return $name.run(**arguments)
''')

WORK = Template('''\
"""The work of the `$name` component: say in one line what it does.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTags.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kfp_sagemaker.aws.session import Session, aws_errors, open_session
from kfp_sagemaker.aws.validation import Problems

ARN_PATTERN = r"arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]+:\\d{12}:.+"


class Outputs(NamedTuple):
    """What the step returns."""

    tag_count: int


def run(*, resource_arn: str, region: str, assume_role_arn: str) -> Outputs:
    """Check the arguments, then do the step's work.

    Args:
        resource_arn: ARN of the SageMaker resource.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.

    Returns:
        What the step returns.

    Raises:
        InputError: Arguments are wrong.
        ResourceMissingError: There is no such resource.
    """
    request = build_request(resource_arn)
    return count_tags(open_session(region, assume_role_arn), request)


def build_request(resource_arn: str) -> dict[str, Any]:
    """Build the request; needs no AWS.

    Args:
        resource_arn: ARN of the SageMaker resource.

    Returns:
        Parameters of ListTags.

    Raises:
        InputError: Arguments are wrong.
    """
    problems = Problems("$name")
    if problems.required("resource_arn", resource_arn):
        problems.matches("resource_arn", resource_arn, ARN_PATTERN, "the ARN of a SageMaker resource")
    problems.raise_if_any()
    return {"ResourceArn": resource_arn}


def count_tags(session: Session, request: dict[str, Any]) -> Outputs:
    """Ask AWS.

    Args:
        session: The step's session.
        request: Of :func:`build_request`.

    Returns:
        What the step returns.
    """
    with aws_errors(f"listing the tags of {request['ResourceArn']}"):
        pages = session.client("sagemaker").get_paginator("list_tags").paginate(**request)
        return Outputs(sum(len(page["Tags"]) for page in pages))
''')

TEST = Template("""\
from __future__ import annotations

import pytest

$imports

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/prices"


def test_the_request() -> None:
    assert $name.build_request(ARN) == {"ResourceArn": ARN}


@pytest.mark.parametrize("wrong", ["", "prices", "arn:aws:s3:::bucket"])
def test_wrong_arguments_are_named(wrong: str) -> None:
    with pytest.raises(InputError, match="resource_arn is"):
        $name.build_request(wrong)
""")


def main(arguments: list[str]) -> int:
    """Write the files.

    Args:
        arguments: The command line.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", required=True, help="function name of the component, such as register_model")
    parser.add_argument("--capability", required=True, help="folder under components/kfp_sagemaker, such as models")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for label, value in (("NAME", options.name), ("CAPABILITY", options.capability)):
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value) or keyword.iskeyword(value):
            parser.error(
                f"{label}={value!r} must be snake_case, as in: make component NAME=register_model CAPABILITY=models"
            )
    written = scaffold(options.root, options.name, options.capability)
    print("\n".join(str(path.relative_to(options.root)) for path in written))
    print("Now replace the call, the arguments and the outputs; then: make generate, make test")
    return 0


def scaffold(root: Path, name: str, capability: str) -> list[Path]:
    """Write face, work, test and catalogue line of a component.

    Args:
        root: The repository.
        name: The component's function name.
        capability: Its folder.

    Returns:
        What was written.

    Raises:
        SystemExit: If there is such a component already.
    """
    package = root / "components/kfp_sagemaker"
    folder = package / capability
    marker, face = folder / "__init__.py", folder / "component.py"
    work = folder / f"{name}.py"
    test = root / f"tests/suite/{capability}/test_{name}.py"
    catalogue = package / "components.py"
    imports = sorted(
        [f"from kfp_sagemaker.{capability} import {name}", "from kfp_sagemaker.aws.errors import InputError"]
    )
    words = {"name": name, "capability": capability, "imports": "\n".join(imports)}
    present = face.read_text(encoding="utf-8") if face.exists() else FACE_HEAD.substitute(words)
    if work.exists() or test.exists() or re.search(rf"^def {name}\(", present, re.MULTILINE):
        raise SystemExit(f"{capability}/{name} exists already")
    texts = {
        face: present.rstrip("\n") + "\n" + FACE.substitute(words),
        work: WORK.substitute(words),
        test: TEST.substitute(words),
        catalogue: with_catalogue_line(catalogue.read_text(encoding="utf-8"), name, capability),
    }
    if not marker.exists():
        texts[marker] = f'"""{capability.capitalize().replace("_", " ")}."""\n'
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def with_catalogue_line(catalogue: str, name: str, capability: str) -> str:
    """The catalogue with a component more: in the import of its capability and in ``__all__``, both sorted.

    Args:
        catalogue: Text of ``components.py``.
        name: The component's function name.
        capability: Its folder.

    Returns:
        The new text.
    """
    imports = {
        found[1]: set(re.findall(r"\w+", found[2]))
        for found in re.finditer(r"^from (\S+) import (\([^)]*\)|.*)$", catalogue, re.MULTILINE)
    }
    imports.setdefault(f"kfp_sagemaker.{capability}.component", set()).add(name)
    head = catalogue[: catalogue.index("\nfrom kfp_sagemaker") + 1]
    everything = sorted(set().union(*imports.values()))
    lines = [_import_line(module, sorted(names)) for module, names in sorted(imports.items())]
    listed = "".join(f'    "{item}",\n' for item in everything)
    return f"{head}{''.join(lines)}\n__all__ = [\n{listed}]\n"


def _import_line(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    if len(line) <= 121:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
