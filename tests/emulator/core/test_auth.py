"""``--auth``: every call is checked against IAM, and roles must exist and trust SageMaker."""

import json

import pytest
import urllib3
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ACCOUNT = "000000000000"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service="sagemaker.amazonaws.com"):
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def allow(action, resource="*", condition=None):
    return {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        yield emulator


@pytest.fixture
def user(guarded, unique_name):
    """Makes clients of a user with given policy statements."""
    iam = guarded.client("iam")
    arn = iam.create_user(UserName=unique_name)["User"]["Arn"]
    key = iam.create_access_key(UserName=unique_name)["AccessKey"]

    class User:
        name = unique_name

        def __init__(self):
            self.arn = arn

        def may(self, *statements):
            iam.put_user_policy(UserName=unique_name, PolicyName="p", PolicyDocument=policy(*statements))

        def client(self, service):
            return guarded.client(
                service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
            )

    return User()


@pytest.fixture
def role_arn(guarded, unique_name):
    role = guarded.client("iam").create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust())
    return role["Role"]["Arn"]


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_call_nothing_allows_is_refused_in_the_words_of_aws(user):
    assert refusal(user.client("sagemaker").describe_model, ModelName="Some-Model") == (
        "AccessDeniedException",
        f"User: {user.arn} is not authorized to perform: sagemaker:DescribeModel on resource: "
        f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/some-model because no identity-based policy allows the "
        "sagemaker:DescribeModel action",
    )


def test_policies_are_by_resource_and_a_deny_wins(user):
    prefix = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/"
    user.may(
        allow("sagemaker:*Model", f"{prefix}mine-*"),
        {"Effect": "Deny", "Action": "sagemaker:*", "Resource": f"{prefix}mine-secret"},
    )
    sagemaker = user.client("sagemaker")
    assert refusal(sagemaker.describe_model, ModelName="mine-a")[0] == "ValidationException"
    assert refusal(sagemaker.describe_model, ModelName="theirs")[0] == "AccessDeniedException"
    assert "with an explicit deny" in refusal(sagemaker.describe_model, ModelName="mine-secret")[1]


def test_target_model_is_a_condition_of_invoking(user):
    endpoint = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/e"
    user.may(allow("sagemaker:InvokeEndpoint", endpoint, {"StringLike": {"sagemaker:TargetModel": ["Houston_TX/*"]}}))
    runtime = user.client("sagemaker-runtime")
    assert "not found" in refusal(
        runtime.invoke_endpoint, EndpointName="e", Body=b"", TargetModel="Houston_TX/m.tar.gz"
    )[1].lower().replace("could not find", "not found")
    code, message = refusal(runtime.invoke_endpoint, EndpointName="e", Body=b"", TargetModel="Chicago_IL/m.tar.gz")
    assert code == "AccessDeniedException"
    assert f"sagemaker:InvokeEndpoint on resource: {endpoint}" in message


def test_passing_a_role_needs_the_permission_for_sagemaker(user, role_arn):
    create = user.client("sagemaker").create_model
    request = {"ModelName": user.name, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": role_arn}
    user.may(allow("sagemaker:CreateModel"))
    code, message = refusal(create, **request)
    assert code == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role_arn}" in message
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    user.may(allow("sagemaker:CreateModel"), allow("iam:PassRole", role_arn, to_lambda))
    assert refusal(create, **request)[0] == "AccessDeniedException"
    to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    user.may(allow("sagemaker:CreateModel"), allow("iam:PassRole", role_arn, to_sagemaker))
    create(**request)


def test_tagging_at_creation_needs_add_tags_and_tags_are_conditions(user, role_arn):
    create = user.client("sagemaker").create_model
    request = {"ModelName": user.name, "PrimaryContainer": {"Image": IMAGE}, "Tags": [{"Key": "Team", "Value": "a"}]}
    user.may(allow("sagemaker:CreateModel"))
    assert "sagemaker:AddTags" in refusal(create, **request)[1]
    user.may(
        allow(["sagemaker:CreateModel", "sagemaker:AddTags"], "*", {"StringEquals": {"aws:RequestTag/Team": "a"}}),
        allow("sagemaker:DeleteModel", "*", {"StringEquals": {"aws:ResourceTag/Team": "b"}}),
    )
    assert refusal(create, **{**request, "Tags": [{"Key": "Team", "Value": "b"}]})[0] == "AccessDeniedException"
    arn = create(**request)["ModelArn"]
    delete = user.client("sagemaker").delete_model
    assert refusal(delete, ModelName=user.name)[0] == "AccessDeniedException"
    user.may(
        allow("sagemaker:AddTags"), allow("sagemaker:DeleteModel", "*", {"StringEquals": {"aws:ResourceTag/Team": "b"}})
    )
    user.client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": "Team", "Value": "b"}])
    delete(ModelName=user.name)


@pytest.mark.parametrize("kind", ["missing", "untrusting"])
def test_a_role_must_exist_and_trust_sagemaker(guarded, unique_name, kind):
    arn = f"arn:aws:iam::{ACCOUNT}:role/{unique_name}"
    if kind == "untrusting":
        guarded.client("iam").create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))
    create = guarded.client("sagemaker").create_model
    assert refusal(create, ModelName=unique_name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=arn) == (
        "ValidationException",
        f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role.",
    )


def test_the_emulator_reads_model_data_with_the_rights_of_the_role(guarded, unique_name, role_arn):
    s3, iam = guarded.client("s3"), guarded.client("iam")
    s3.create_bucket(Bucket=unique_name)
    s3.put_object(Bucket=unique_name, Key="m.tar.gz", Body=b"x")
    request = {
        "ModelName": unique_name,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{unique_name}/m.tar.gz"},
        "ExecutionRoleArn": role_arn,
    }
    create = guarded.client("sagemaker").create_model
    assert "Could not access model data" in refusal(create, **request)[1]
    iam.put_role_policy(RoleName=unique_name, PolicyName="p", PolicyDocument=policy(allow("s3:GetObject")))
    create(**request)


def test_bad_credentials_are_refused(guarded, user):
    sagemaker = guarded.client("sagemaker", aws_access_key_id="AKIAUNKNOWN000000000", aws_secret_access_key="x")
    assert refusal(sagemaker.list_models) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    key = guarded.client("iam").create_access_key(UserName=user.name)["AccessKey"]["AccessKeyId"]
    wrong_secret = guarded.client("sagemaker", aws_access_key_id=key, aws_secret_access_key="not-the-secret")
    assert refusal(wrong_secret.list_models)[0] == "InvalidSignatureException"


def test_a_permissions_boundary_and_a_session_policy_limit(guarded, unique_name):
    iam = guarded.client("iam")
    boundary = iam.create_policy(PolicyName=unique_name, PolicyDocument=policy(allow("sagemaker:List*")))["Policy"][
        "Arn"
    ]
    here = policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName=unique_name, AssumeRolePolicyDocument=here, PermissionsBoundary=boundary)["Role"]
    iam.put_role_policy(RoleName=unique_name, PolicyName="p", PolicyDocument=policy(allow("sagemaker:*")))

    def session(**options):
        credentials = guarded.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session", **options)
        return guarded.client(
            "sagemaker",
            aws_access_key_id=credentials["Credentials"]["AccessKeyId"],
            aws_secret_access_key=credentials["Credentials"]["SecretAccessKey"],
            aws_session_token=credentials["Credentials"]["SessionToken"],
        )

    session().list_models()
    assert refusal(session().describe_model, ModelName="m")[0] == "AccessDeniedException"
    limited = session(Policy=policy(allow("sagemaker:ListEndpoints")))
    limited.list_endpoints()
    assert refusal(limited.list_models)[0] == "AccessDeniedException"


def test_metrics_may_be_limited_to_a_namespace(guarded, user):
    user.may(allow("cloudwatch:PutMetricData", condition={"StringEquals": {"cloudwatch:namespace": "mine"}}))
    cloudwatch = user.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="mine", MetricData=[{"MetricName": "x", "Value": 1.0}])
    # Clients pack what is longer than 10 KB.
    packed = [{"MetricName": f"x{at}" * 20, "Value": 1.0} for at in range(200)]
    cloudwatch.put_metric_data(Namespace="mine", MetricData=packed)
    refused = refusal(cloudwatch.put_metric_data, Namespace="other", MetricData=[{"MetricName": "x", "Value": 1.0}])
    assert refused[0] in ("AccessDenied", "AccessDeniedException")


def test_evaluated_calls_of_every_service_are_recorded(guarded, user):
    user.may(allow("s3:ListAllMyBuckets"))
    user.client("s3").list_buckets()
    refusal(user.client("sagemaker").list_models)
    recorded = urllib3.request("GET", f"{guarded.endpoint_url}/_emulator/authorizations").json()["authorizations"]
    calls = [call for call in recorded if call["principal_arn"] == user.arn]
    assert [(call["action"], call["resource_arn"], call["allowed"]) for call in calls] == [
        ("s3:ListAllMyBuckets", "*", True),
        ("sagemaker:ListModels", "*", False),
    ]


def test_without_auth_only_the_form_of_a_role_counts(emulator, unique_name):
    emulator.client("sagemaker", aws_access_key_id="anything", aws_secret_access_key="at-all").create_model(
        ModelName=unique_name,
        PrimaryContainer={"Image": IMAGE},
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/service-role/no-such-role",
    )


def test_instance_types_are_a_condition(user):
    small = {"ForAllValues:StringLike": {"sagemaker:InstanceTypes": ["ml.m5.*"]}}
    user.may(allow("sagemaker:CreateEndpointConfig", "*", small))
    create = user.client("sagemaker").create_endpoint_config

    def variant(instance_type):
        return {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": instance_type}

    allowed = refusal(create, EndpointConfigName=user.name, ProductionVariants=[variant("ml.m5.large")])
    assert "Could not find model" in allowed[1]
    denied = refusal(create, EndpointConfigName=user.name, ProductionVariants=[variant("ml.p3.2xlarge")])
    assert denied[0] == "AccessDeniedException"


def test_a_missing_role_cannot_be_assumed(emulator, unique_name):
    sts = emulator.client("sts")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{unique_name}"
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="session")[0] == "AccessDenied"


def test_tags_are_added_only_while_creating_where_a_policy_says_so(user, role_arn):
    create = user.client("sagemaker").create_model
    request = {"PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": role_arn, "Tags": [{"Key": "a", "Value": "b"}]}
    only_creating = {"StringLike": {"sagemaker:TaggingAction": "Create*"}}
    user.may(allow(["sagemaker:CreateModel", "iam:PassRole"]), allow("sagemaker:AddTags", "*", only_creating))

    arn = create(ModelName=user.name, **request)["ModelArn"]

    code, _ = refusal(user.client("sagemaker").add_tags, ResourceArn=arn, Tags=request["Tags"])
    assert code == "AccessDeniedException"


@pytest.mark.parametrize(("account", "works"), [(ACCOUNT, True), ("111122223333", False)])
def test_a_role_may_trust_sagemaker_for_one_account(guarded, unique_name, account, works):
    trusting = json.loads(trust())
    trusting["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    iam = guarded.client("iam")
    role = iam.create_role(RoleName=unique_name[-60:], AssumeRolePolicyDocument=json.dumps(trusting))["Role"]
    create = guarded.client("sagemaker").create_model
    request = {"ModelName": unique_name[-60:], "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": role["Arn"]}
    if works:
        create(**request)
    else:
        assert "allows principal 'sagemaker.amazonaws.com' to assume" in refusal(create, **request)[1]


def test_simulation_takes_the_conditions_of_the_call(guarded, user):
    tagged = {"Null": {"aws:RequestTag/team": "false"}}
    user.may(allow("sagemaker:CreateModel", "*", tagged))

    def decision(*entries):
        answer = guarded.client("iam").simulate_principal_policy(
            PolicySourceArn=user.arn, ActionNames=["sagemaker:CreateModel"], ContextEntries=list(entries)
        )
        return answer["EvaluationResults"][0]["EvalDecision"]

    entry = {"ContextKeyName": "aws:RequestTag/team", "ContextKeyValues": ["a"], "ContextKeyType": "string"}
    assert decision() == "implicitDeny"
    assert decision(entry) == "allowed"
