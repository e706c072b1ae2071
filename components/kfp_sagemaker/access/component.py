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


@sagemaker_component(cache=False)
def grant_model_access(
    endpoint_name: str,
    role_name: str,
    target_models: list,
    trusted_principals: list = ["caller"],
    path: str = "/kfp-sagemaker/model-access/",
    permissions_boundary_arn: str = "",
    max_session_seconds: int = 3600,
    timeout_seconds: float = 120,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", role_arn=str, role_name=str, policy_name=str, is_effective=bool):
    """Let a role call some models of a multi-model endpoint, and no others.

    The role is created, or brought up to date when this component has created it before. A role that somebody else
    has made gets the policy and is otherwise left alone. The policy allows sagemaker:InvokeEndpoint on the one
    endpoint where the call's TargetModel matches a pattern. The step then asks IAM until the change is effective.

    API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html

    Args:
        endpoint_name: Name of the multi-model endpoint. It need not exist yet.
        role_name: Name of the IAM role, a role for each team: 1 to 64 letters, digits and _+=,.@-
        target_models: Target models, with * for any characters and ? for one: NewYork_NY/* allows
            NewYork_NY/NewYork_NY.tar.gz. Upper and lower case differ.
        trusted_principals: Who may assume the role: ARNs of users, roles or an account's root, accounts' numbers, and
            the word caller for this step's own identity, which verify_model_access needs.
        path: Path of a role that is created; it begins and ends with a slash. Steps may create roles below
            /kfp-sagemaker/model-access/ only.
        permissions_boundary_arn: ARN of a managed policy that limits the role whatever its policies say. Empty takes
            kfp-sagemaker-model-access-boundary of the account, when there is one; none for no boundary.
        max_session_seconds: How long sessions of the role may last, 3600 to 43200.
        timeout_seconds: How long to wait until the change is effective; most take less than ten seconds.
        region: AWS region of the endpoint, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags of a role this component makes.

    Returns:
        role_arn: ARN of the role, for verify_model_access.
        role_name: Its name, for revoke_model_access.
        policy_name: Name of its inline policy for the endpoint.
        is_effective: Whether IAM says that it may call the models; false when this step may not ask.

    Raises:
        InputError: Arguments are wrong, or the policy is longer than IAM takes: 10,240 characters a role.
        AccessDeniedError: The step may not change the role.
        ConfigurationError: The role's boundary, or a denial, keeps it from the models.
        DeadlineError: The change is not effective in time.
    """
    from kfp_sagemaker.access import model_access
    from kfp_sagemaker.aws.session import open_session

    session = open_session(region, assume_role_arn)
    request = model_access.build_request(
        endpoint_name=endpoint_name,
        role_name=role_name,
        target_models=target_models,
        trusted_principals=trusted_principals,
        path=path,
        permissions_boundary_arn=permissions_boundary_arn,
        max_session_seconds=max_session_seconds,
        timeout_seconds=timeout_seconds,
        tags=tags,
    )
    return model_access.grant(session, request)


@sagemaker_component(cache=False)
def verify_model_access(
    endpoint_name: str,
    role_arn: str,
    allowed_target_model: str,
    refused_target_model: str,
    rows: list,
    content_type: str = "text/csv",
    accept: str = "",
    timeout_seconds: float = 120,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", role_arn=str, calls=dict):
    """Show by calling that a role may use one model of a multi-model endpoint, and not another.

    The step assumes the role, which has to trust it, and calls both models. The one has to answer, the other to be
    refused with AccessDeniedException. Both models have to exist: a refusal for another reason is a failure.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html

    Args:
        endpoint_name: Name of the multi-model endpoint.
        role_arn: ARN of the role, from grant_model_access.
        allowed_target_model: A model it may call, such as NewYork_NY/NewYork_NY.tar.gz.
        refused_target_model: A model of the endpoint that it may not call.
        rows: Rows to send, in the form of content_type.
        content_type: MIME type of the rows.
        accept: MIME type the answer is to have; empty leaves it to the container.
        timeout_seconds: How long a call may come out otherwise than it ought to, because of a change in IAM that does
            not hold everywhere yet.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it assumes role_arn; empty uses the step's
            credentials.

    Returns:
        role_arn: ARN of the role that was verified.
        calls: What came of the two calls, as columns and rows.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        AccessDeniedError: The role cannot be assumed, or may not call the model it ought to.
        AccessTooWideError: The model that ought to be refused answered.
        AwsCallError: A call failed for another reason than access.
    """
    from kfp_sagemaker.access import model_access_check
    from kfp_sagemaker.aws.session import open_session

    request = model_access_check.build_request(
        endpoint_name=endpoint_name,
        role_arn=role_arn,
        allowed_target_model=allowed_target_model,
        refused_target_model=refused_target_model,
        rows=rows,
        content_type=content_type,
        accept=accept,
        timeout_seconds=timeout_seconds,
    )
    role = open_session(region, assume_role_arn).assume(role_arn, model_access_check.SESSION_NAME)
    return model_access_check.run(role, request)


@sagemaker_component(cache=False)
def revoke_model_access(
    role_name: str, endpoint_name: str = "", region: str = "", assume_role_arn: str = ""
) -> NamedTuple("Outputs", [("deleted", list)]):
    """Take away what grant_model_access gave: the role's policy, and the role when that made it.

    Sessions of the role that are under way are refused from then on. Doing it again changes nothing.

    API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html

    Args:
        role_name: Name of the role.
        endpoint_name: Take away this endpoint's models only; the role goes with the last one. Empty: all.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        deleted: What was deleted.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        AccessDeniedError: The step may not change the role.
    """
    from kfp_sagemaker.access import model_access
    from kfp_sagemaker.aws.session import open_session

    return model_access.revoke(open_session(region, assume_role_arn), role_name=role_name, endpoint_name=endpoint_name)
