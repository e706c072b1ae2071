"""Faces for the tests of the decorator; KFP reads annotations as they are, so there is no future import here."""

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def look_up_run(label: str) -> str:
    """Say which run and task this is.

    Args:
        label: Comes back at the end.

    Returns:
        Run, task and label with bars between them.
    """
    from kfp_sagemaker.aws import run_context

    current = run_context.current()
    return f"{current.run_id}|{current.task_name}|{label}"


@sagemaker_component
def add(left: int, right: int) -> int:
    """Add two numbers.

    Args:
        left: One summand.
        right: The other.

    Returns:
        The sum.
    """
    return left + right


@sagemaker_component
def bare(number: int) -> int:
    return number
