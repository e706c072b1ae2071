"""The one decorator every component uses, and the image its step runs in."""

import ast
import os
from collections.abc import Callable
from typing import Any, overload

from kfp import dsl
from kfp.dsl.pipeline_context import Pipeline
from kfp.dsl.python_component import PythonComponent

from kfp_sagemaker._version import __version__

IMAGE_REPOSITORY = "ghcr.io/kfp-sagemaker/kfp-sagemaker"
# A mirror or a development build takes the place of the published image at compile time.
RUNTIME_IMAGE = os.environ.get("KFP_SAGEMAKER_IMAGE") or f"{IMAGE_REPOSITORY}:{__version__}"


class _UncachedComponent(PythonComponent):  # type: ignore[misc]  # kfp ships no types
    """A component with side effects: its task compiles with caching off, where kfp only knows it as a task's option."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        task = super().__call__(*args, **kwargs)
        if Pipeline.get_default_pipeline() is not None:  # outside of a pipeline the call has already run the step
            task.set_caching_options(enable_caching=False)
        return task

    @property
    def pipeline_spec(self) -> Any:
        """The specification when the component is compiled by itself."""
        spec = super().pipeline_spec
        for task in spec.root.dag.tasks.values():
            task.caching_options.enable_cache = False
        return spec


def _without_docstring(program: str) -> str:
    """The step's program without the docstring, which the specification holds as descriptions already."""
    function = next(node for node in ast.parse(program).body if isinstance(node, ast.FunctionDef))
    docstring = function.body[0]
    lines = program.splitlines(keepends=True)
    return "".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])


@overload
def sagemaker_component(function: Callable[..., Any]) -> PythonComponent: ...


@overload
def sagemaker_component(*, cache: bool = True) -> Callable[[Callable[..., Any]], PythonComponent]: ...


def sagemaker_component(function: Callable[..., Any] | None = None, *, cache: bool = True) -> Any:
    """Make a KFP lightweight component that runs in the suite's own image, which installs nothing at start.

    Args:
        function: The face; its docstring becomes the descriptions in the Kubeflow UI.
        cache: Whether Kubeflow may reuse the outputs of an earlier run with the same inputs. False for every component
            with side effects.

    Returns:
        The component, or the decorator when called with options only.
    """

    def decorate(face: Callable[..., Any]) -> Any:
        component = dsl.component(face, base_image=RUNTIME_IMAGE, install_kfp_package=False)
        command = component.component_spec.implementation.container.command
        command[-1] = _without_docstring(command[-1])
        if cache:
            return component
        return _UncachedComponent(component_spec=component.component_spec, python_func=component.python_func)

    return decorate if function is None else decorate(function)
