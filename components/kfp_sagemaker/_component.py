"""The one decorator every component uses, and the image its step runs in."""

import ast
import os
from collections.abc import Callable
from typing import Any, overload

from kfp_sagemaker._version import __version__

IMAGE_REPOSITORY = "ghcr.io/kfp-sagemaker/kfp-sagemaker-python"
# A mirror or a development build takes the place of the published image at compile time.
RUNTIME_IMAGE = os.environ.get("KFP_SAGEMAKER_IMAGE") or f"{IMAGE_REPOSITORY}:{__version__}"
# The runtime with the analyzer (extra `monitoring`) besides, for the components that analyse data in their step.
ANALYZER_REPOSITORY = f"{IMAGE_REPOSITORY}-analyzer"
ANALYZER_IMAGE = os.environ.get("KFP_SAGEMAKER_ANALYZER_IMAGE") or f"{ANALYZER_REPOSITORY}:{__version__}"

# What tells a step which run and task it belongs to; read by kfp_sagemaker.aws.run_context.
RUN_ID_VARIABLE = "KFP_RUN_ID"
RUN_ID_FIELD_PATH = "metadata.labels['pipeline/runid']"
TASK_NAME_VARIABLE = "KFP_SAGEMAKER_TASK_NAME"


@overload
def sagemaker_component(function: Callable[..., Any]) -> Any: ...


@overload
def sagemaker_component(*, cache: bool = True, image: str = RUNTIME_IMAGE) -> Callable[[Callable[..., Any]], Any]: ...


def sagemaker_component(
    function: Callable[..., Any] | None = None, *, cache: bool = True, image: str = RUNTIME_IMAGE
) -> Any:
    """Make a KFP lightweight component that runs in the suite's own image, which installs nothing at start.

    In a step's pod (``_KFP_RUNTIME=true``) there is no KFP compiler; the function is returned as it is.

    Args:
        function: The face; its docstring becomes the descriptions in the Kubeflow UI.
        cache: Whether Kubeflow may reuse the outputs of an earlier run with the same inputs. False for every component
            with side effects.
        image: What the step runs in: ``RUNTIME_IMAGE`` or ``ANALYZER_IMAGE``.

    Returns:
        The component (its function is ``.python_func``), or the decorator when called with options only.
    """

    def decorate(face: Callable[..., Any]) -> Any:
        if os.environ.get("_KFP_RUNTIME") == "true":
            return face
        return _make_component(face, cache, image)

    return decorate if function is None else decorate(function)


def _make_component(face: Callable[..., Any], cache: bool, image: str) -> Any:
    from kfp import dsl, kubernetes
    from kfp.dsl.pipeline_context import Pipeline
    from kfp.dsl.python_component import PythonComponent

    class SagemakerComponent(PythonComponent):  # type: ignore[misc]  # kfp ships no types
        """A component whose tasks know their run, and are cached only where that does no harm."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            task = super().__call__(*args, **kwargs)
            if Pipeline.get_default_pipeline() is not None:  # outside of a pipeline the call has already run the step
                task.set_env_variable(TASK_NAME_VARIABLE, task.name)
                kubernetes.use_field_path_as_env(task, env_name=RUN_ID_VARIABLE, field_path=RUN_ID_FIELD_PATH)
                if not cache:
                    task.set_caching_options(enable_caching=False)
            return task

        @property
        def pipeline_spec(self) -> Any:
            """The specification when the component is compiled by itself."""
            spec = super().pipeline_spec
            if not cache:
                for task in spec.root.dag.tasks.values():
                    task.caching_options.enable_cache = False
            return spec

    component: Any = dsl.component(face, base_image=image, install_kfp_package=False)
    _describe_artifacts(component.component_spec, face)
    command = component.component_spec.implementation.container.command
    command[-1] = _without_docstring(command[-1])
    return SagemakerComponent(component_spec=component.component_spec, python_func=component.python_func)


def _describe_artifacts(specification: Any, face: Callable[..., Any]) -> None:
    """Give output artifacts their descriptions: they are arguments, and KFP looks for outputs under Returns only."""
    import docstring_parser

    documented = {item.arg_name: item.description for item in docstring_parser.parse(face.__doc__ or "").params}
    for name, output in (specification.outputs or {}).items():
        output.description = output.description or documented.get(name)


def _without_docstring(program: str) -> str:
    """The step's program without the docstring, which the specification holds as descriptions already."""
    function = next(node for node in ast.parse(program).body if isinstance(node, ast.FunctionDef))
    docstring = function.body[0]
    if not (isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant) and len(function.body) > 1):
        return program
    lines = program.splitlines(keepends=True)
    return "".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])
