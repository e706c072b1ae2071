"""Faces: may the pipeline do what it will, and who may call which model of a multi-model endpoint."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def check_permissions(
    components: list = [],
    bucket: str = "",
    prefix: str = "",
    execution_role_arn: str = "",
    role_arn: str = "",
    actions: list = [],
    resource_arns: list = [],
    context: dict = {},
    fail_on_denied: bool = True,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", principal_arn=str, denied=list, permissions=dict):
    """Check that this pipeline may do what it will ask of AWS, as its first step, before anything costs money.

    IAM's policy simulator is asked; nothing is tried. It knows identity policies, permissions boundaries and service
    control policies, and does not know session policies, nor policies of buckets and keys. The step needs
    iam:SimulatePrincipalPolicy on whom it asks about.

    API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html

    Args:
        components: Names of the components the pipeline uses, such as train and deploy_endpoint; `kfp-sagemaker
            permissions components PIPELINE` lists them. Empty: all components of the suite.
        bucket: S3 bucket the pipeline works in; empty takes kfp-sagemaker-ACCOUNT-REGION.
        prefix: What the pipeline's keys in the bucket start with; empty for the whole bucket.
        execution_role_arn: ARN of the IAM role SageMaker runs jobs and endpoints as, which is checked too. Empty: only
            the steps' permissions.
        role_arn: ARN of the IAM role to ask about as that of the steps; empty asks about this step's own identity.
        actions: IAM actions, such as sagemaker:InvokeEndpoint, to ask about in place of those of components.
        resource_arns: ARNs of what the actions are on; empty asks about any resource (*).
        context: Condition keys and values of the requests, such as {"aws:SourceIp": "10.0.0.1"}.
        fail_on_denied: Whether the step fails when something is denied.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        principal_arn: Whose permissions were asked about first.
        denied: "ACTION on RESOURCE: why not", for each that is denied.
        permissions: The table of all decisions, as columns and rows.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        AccessDeniedError: Something is denied, with the statement that denies it; or the step may not ask.
        ResourceMissingError: There is no such role.
    """
    from kfp_sagemaker.access import permission_check
    from kfp_sagemaker.aws.session import open_session

    session = open_session(region, assume_role_arn)
    request = permission_check.build_request(
        components=components,
        actions=actions,
        resource_arns=resource_arns,
        context=context,
        role_arn=role_arn,
        execution_role_arn=execution_role_arn,
        bucket=bucket,
        prefix=prefix,
    )
    return permission_check.outputs(permission_check.run(session, request), fail_on_denied=fail_on_denied)
