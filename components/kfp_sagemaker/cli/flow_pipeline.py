"""A flow as a Kubeflow pipeline: its plan's tasks, each a component of the suite, compiled to YAML."""

# KFP reads annotations: bare list and dict are its types.
# mypy: disable-error-code="type-arg"

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_sagemaker._component import sagemaker_component
from kfp_sagemaker.cli.cluster_options import ClusterOptions, apply
from kfp_sagemaker.flow.plan import Output, Plan


@sagemaker_component(cache=False)
def check_gates(metric_values: dict, gates: list, main_metrics: dict) -> None:
    """Fail the run when a gate is missed, so that nothing is deployed.

    Args:
        metric_values: The evaluation's metrics by name.
        gates: The gates, each `{"metric", "kind", "limit"}`.
        main_metrics: The same metrics on the main branch; empty where there are none.

    Raises:
        ThresholdError: A gate is missed; says which, and by how much.
    """
    from kfp_sagemaker.flow.gates import check

    check(gates, metric_values, main_metrics)


def compile_flow(plan: Plan, target: Path, options: ClusterOptions | None = None) -> None:
    """Compile a flow to the YAML that Kubeflow and kfp.local run.

    Args:
        plan: The flow's plan.
        target: The file to write.
        options: How it is to run on a cluster; None for what checked-in pipelines have.
    """
    from kfp import compiler, dsl

    from kfp_sagemaker import components

    def make_tasks() -> None:
        tasks: dict[str, Any] = {}
        before: Any = None
        for each in plan.tasks:
            component = check_gates if each.component == "check_gates" else getattr(components, each.component)
            arguments = {name: _resolved(value, tasks) for name, value in each.arguments.items()}
            task = component(**arguments).set_display_name(each.name)
            if plan.setting.engine == "kubeflow":
                # Every run of a commit is the same run to the suite: what has been done for it is not done again.
                task.set_env_variable("KFP_SAGEMAKER_RUN_ID", plan.run_id)
            if before is not None:
                task.after(before)
            tasks[each.name] = before = task

    def pipeline() -> None:
        name = plan.passing_endpoint_name
        if not name:
            make_tasks()
            return
        # An endpoint costs until it is deleted: it goes however the run ends. The model stays.
        clean_up = components.delete_resources_on_exit(
            endpoint_names=[name], run_id="", delete_dependencies=False, region=plan.setting.region
        )
        with dsl.ExitHandler(clean_up):
            make_tasks()

    flow = plan.flow
    description = f"Flow {flow.name} at commit {plan.setting.commit}."
    made = dsl.pipeline(name=flow.name, description=description)(pipeline)
    compiler.Compiler().compile(made, str(target))
    apply(target, options or ClusterOptions())


def _resolved(value: Any, tasks: Mapping[str, Any]) -> Any:
    if isinstance(value, Output):
        return tasks[value.task].outputs[value.name]
    if isinstance(value, Mapping):
        return {name: _resolved(item, tasks) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, tasks) for item in value]
    return value
