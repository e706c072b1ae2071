"""The `run_state_machine` component: the face Kubeflow shows of an execution of a state machine."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def run_state_machine(
    state_machine_arn: str,
    input: dict = {},
    execution_name: str = "",
    timeout_seconds: int = 86400,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", execution_arn=str, output=dict, output_json=str):
    """Run a Step Functions state machine and wait for it, telling in the step's log which state it is in.

    A retried step finds its own execution by its name and waits for that one; a cancelled step stops it, and Step
    Functions stops the job it waits for. A failure names the state, the error and the cause. Standard state machines
    only: an Express one has no executions to follow. Executions have no tags.

    API: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html

    Args:
        state_machine_arn: ARN of the state machine, or of a version of it.
        input: The execution's input; whole numbers stay whole.
        execution_name: Exact name of the execution, 1 to 80 letters, digits, hyphens and underscores, which another run
            of the pipeline with the same input adopts, too; empty derives a unique name from run, task and input,
            which a retry finds again.
        timeout_seconds: Stop the execution and fail the step when it is not finished by then; default one day.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        execution_arn: ARN of the execution.
        output: Its output when that is an object, or else `{"value": ...}`.
        output_json: Its output as JSON text, whatever it is.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The execution failed; holds error and cause, the last states and the console page.
        NameTakenError: An execution of that name was started with another input.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.step_functions import execution

    return execution.run(**arguments)
