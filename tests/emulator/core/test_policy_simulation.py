"""The policy simulator: decisions, the statements behind them, context, boundaries, resource policies, pages."""

import json

import pytest
from botocore.exceptions import ClientError

ENDPOINT = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/houses"
OTHER = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/cars"
INVOKE = "sagemaker:InvokeEndpoint"


def policy(*statements, indent=None):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=indent)


def statement(effect, action, resource="*", condition=None, sid=""):
    parts = {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource, "Condition": condition}
    return {name: value for name, value in parts.items() if value}


def entry(name, *values, kind="string"):
    return {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": kind}


@pytest.fixture
def iam(emulator):
    return emulator.client("iam")


@pytest.fixture
def custom(iam):
    """Simulates one action with the given policies."""

    def simulate(*policies, action=INVOKE, **request):
        answer = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=[action], **request)
        (result,) = answer["EvaluationResults"]
        return result

    return simulate


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]


def test_a_denial_wins_over_any_allowance_and_is_the_only_statement_named(custom):
    allowing = policy(statement("Allow", "sagemaker:*"))
    denying = policy(statement("Allow", "s3:*"), statement("Deny", "*:Invoke*", ENDPOINT, sid="Never"), indent=2)
    denied = custom(allowing, denying, ResourceArns=[ENDPOINT])
    assert denied["EvalDecision"] == "explicitDeny"
    (matched,) = denied["MatchedStatements"]
    assert (matched["SourcePolicyId"], matched["SourcePolicyType"]) == ("PolicyInputList.2", "none")
    lines = denying.splitlines()
    assert lines[matched["StartPosition"]["Line"]].strip() == '"Sid": "Never",'
    assert lines[matched["StartPosition"]["Line"] - 1][matched["StartPosition"]["Column"] - 1] == "{"
    assert lines[matched["EndPosition"]["Line"] - 1][matched["EndPosition"]["Column"] - 2] == "}"
    assert custom(allowing, action="s3:GetObject") | {"EvalActionName": ""} == {
        "EvalActionName": "",
        "EvalResourceName": "*",
        "EvalDecision": "implicitDeny",
        "MatchedStatements": [],
        "MissingContextValues": [],
    }


def test_each_resource_has_its_own_decision_and_the_strictest_is_the_actions(custom):
    result = custom(policy(statement("Allow", INVOKE, [ENDPOINT])), ResourceArns=[ENDPOINT, OTHER])
    decisions = {each["EvalResourceName"]: each["EvalResourceDecision"] for each in result["ResourceSpecificResults"]}
    assert decisions == {ENDPOINT: "allowed", OTHER: "implicitDeny"}
    assert result["EvalDecision"] == "implicitDeny"


@pytest.mark.parametrize(
    ("entries", "decision", "missing"),
    [
        ([], "implicitDeny", ["sagemaker:TargetModel"]),
        ([entry("sagemaker:targetmodel", "NewYork_NY/1.tar.gz")], "allowed", []),
        ([entry("sagemaker:TargetModel", "Chicago_IL/1.tar.gz")], "implicitDeny", []),
        ([entry("aws:SourceIp", "10.0.0.1"), entry("sagemaker:TargetModel", "NewYork_NY/1")], "explicitDeny", []),
    ],
)
def test_conditions_are_evaluated_with_the_given_context_only(custom, entries, decision, missing):
    tenant = policy(
        statement("Allow", INVOKE, ENDPOINT, {"StringLike": {"sagemaker:TargetModel": "NewYork_NY/*"}}),
        # Applies to another action: its key is not missing here.
        statement("Allow", "s3:ListBucket", "*", {"StringLike": {"s3:prefix": "a"}}),
    )
    network = policy(statement("Deny", "*", "*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    result = custom(tenant, network, ResourceArns=[ENDPOINT], ContextEntries=entries)
    assert result["EvalDecision"] == decision
    (specific,) = result["ResourceSpecificResults"]
    # The request that carries the simulation comes from somewhere, the simulated one does not.
    assert [key for key in specific["MissingContextValues"] if key != "aws:SourceIp"] == missing
    assert ("aws:SourceIp" in specific["MissingContextValues"]) == (len(entries) < 2)


def test_several_values_need_a_set_operator(custom):
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]}}
    tagged = policy(statement("Allow", "sagemaker:AddTags", "*", condition))

    def decision(*keys):
        context = [entry("aws:TagKeys", *keys, kind="stringList")]
        return custom(tagged, action="sagemaker:AddTags", ContextEntries=context)["EvalDecision"]

    assert (decision("team", "cost"), decision("team", "other")) == ("allowed", "implicitDeny")


def test_a_boundary_limits_what_is_allowed(custom):
    allowing = policy(statement("Allow", "*"))
    within = custom(allowing, PermissionsBoundaryPolicyInputList=[policy(statement("Allow", "sagemaker:*"))])
    outside = custom(allowing, PermissionsBoundaryPolicyInputList=[policy(statement("Allow", "s3:*"))])
    assert (within["EvalDecision"], outside["EvalDecision"]) == ("allowed", "implicitDeny")
    assert within["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    assert outside["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert "PermissionsBoundaryDecisionDetail" not in custom(allowing)


def test_a_principal_has_its_own_policies_those_of_its_groups_and_its_boundary(iam, unique_name):
    user = iam.create_user(UserName=unique_name, Path="/team a/".replace(" ", "-"))["User"]["Arn"]
    group = iam.create_group(GroupName=unique_name)["Group"]["Arn"]
    iam.add_user_to_group(GroupName=unique_name, UserName=unique_name)
    iam.put_user_policy(UserName=unique_name, PolicyName="mine", PolicyDocument=policy(statement("Allow", "s3:*")))
    iam.put_group_policy(GroupName=unique_name, PolicyName="ours", PolicyDocument=policy(statement("Allow", "iam:*")))
    managed = iam.create_policy(PolicyName=unique_name, PolicyDocument=policy(statement("Deny", "iam:Delete*")))
    iam.attach_user_policy(UserName=unique_name, PolicyArn=managed["Policy"]["Arn"])

    def simulate(arn, *actions, **more):
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **more)
        return {
            each["EvalActionName"]: (each["EvalDecision"], *(m["SourcePolicyType"] for m in each["MatchedStatements"]))
            for each in answer["EvaluationResults"]
        }

    assert simulate(user, "s3:GetObject", "iam:GetRole", "iam:DeleteRole", "sns:Publish") == {
        "s3:GetObject": ("allowed", "user"),
        "iam:GetRole": ("allowed", "group"),
        "iam:DeleteRole": ("explicitDeny", "user-managed"),
        "sns:Publish": ("implicitDeny",),
    }
    assert simulate(group, "s3:GetObject", "iam:GetRole") == {
        "s3:GetObject": ("implicitDeny",),
        "iam:GetRole": ("allowed", "group"),
    }
    boundary = iam.create_policy(PolicyName=f"{unique_name}-b", PolicyDocument=policy(statement("Allow", "s3:*")))
    iam.put_user_permissions_boundary(UserName=unique_name, PermissionsBoundary=boundary["Policy"]["Arn"])
    assert simulate(user, "iam:GetRole", "s3:GetObject") == {
        "iam:GetRole": ("implicitDeny",),
        "s3:GetObject": ("allowed", "user"),
    }
    more = policy(statement("Allow", "sns:*"))
    wide = policy(statement("Allow", "*"))
    given = {"PolicyInputList": [more], "PermissionsBoundaryPolicyInputList": [wide]}
    assert simulate(user, "sns:Publish", **given) == {"sns:Publish": ("allowed", "none")}


def test_a_resource_policy_counts_for_the_principal_it_names(iam, unique_name):
    document = policy({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName=unique_name, Path="/a/b/", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    def simulate(effect, principal):
        bucket = "arn:aws:s3:::b/*"
        attached = {**statement(effect, "s3:GetObject", bucket), "Principal": {"AWS": principal}}
        request = {"PolicySourceArn": role, "ActionNames": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::b/k"]}
        (result,) = iam.simulate_principal_policy(**request, ResourcePolicy=policy(attached))["EvaluationResults"]
        return result["EvalDecision"], [each["SourcePolicyType"] for each in result["MatchedStatements"]]

    assert simulate("Allow", role) == ("allowed", ["resource"])
    assert simulate("Allow", f"{role}-other") == ("implicitDeny", [])
    iam.put_role_policy(RoleName=unique_name, PolicyName="p", PolicyDocument=policy(statement("Allow", "s3:GetObject")))
    assert simulate("Deny", role) == ("explicitDeny", ["resource"])
    assert simulate("Deny", f"{role}-other") == ("allowed", ["role"])


def test_results_come_in_pages(iam):
    actions = [f"sagemaker:Describe{number}" for number in range(7)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[policy(statement("Allow", "*"))],
        ActionNames=actions,
        PaginationConfig={"PageSize": 3},
    )
    counts = [[each["EvalActionName"] for each in page["EvaluationResults"]] for page in pages]
    assert counts == [actions[:3], actions[3:6], actions[6:]]


def test_what_cannot_be_simulated_is_refused(iam):
    account = "arn:aws:iam::000000000000"
    simulate, custom = iam.simulate_principal_policy, iam.simulate_custom_policy
    missing = refusal(simulate, PolicySourceArn=f"{account}:role/never-there", ActionNames=[INVOKE])
    assert (missing["Code"], missing["Message"]) == ("NoSuchEntity", "The role with name never-there cannot be found.")
    session = f"{account.replace('iam', 'sts')}:assumed-role/a/b"
    for arn in (session, f"{account}:root"):
        assert refusal(simulate, PolicySourceArn=arn, ActionNames=[INVOKE])["Code"] == "InvalidInput"
    wanted = {"PolicyInputList": [policy(statement("Allow", "*"))], "ActionNames": [INVOKE]}
    for change, code in (
        ({"ActionNames": ["sagemaker:*"]}, "InvalidInput"),
        ({"ActionNames": ["s3:" + "x" * 200]}, "ValidationError"),
        ({"PolicyInputList": ["{}"]}, "InvalidInput"),
        ({"PolicyInputList": ['{"Statement": []}']}, "InvalidInput"),
        ({"ResourcePolicy": wanted["PolicyInputList"][0]}, "InvalidInput"),
        ({"CallerArn": "arn:aws:iam::111111111111:user/x"}, "OperationNotImplemented"),
        ({"ResourceHandlingOption": "EC2-VPC"}, "OperationNotImplemented"),
        ({"ResourceHandlingOption": "<&>" * 30}, "ValidationError"),
        ({"Marker": "nonsense"}, "InvalidInput"),
    ):
        assert refusal(custom, **{**wanted, **change})["Code"] == code, change
