"""The IAM documents: valid, short enough, least privilege, and for the place that was asked for."""

from __future__ import annotations

import json
import re

import pytest

from kfp_sagemaker import components
from kfp_sagemaker.access import documents, permissions
from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.aws.errors import InputError

PLACE = Place("111122223333", "example-bucket", "kubeflow/", region="eu-west-1")
GRANTS = [grant for grants in permissions.POD_GRANTS.values() for grant in grants] + [
    *permissions.EXECUTION_GRANTS,
    *permissions.NODE_GRANTS,
    *permissions.METRICS_SERVICE_GRANTS,
]


def everything(place: Place = PLACE) -> dict[str, documents.Document]:
    return documents.all_documents(place, "https://oidc.example.com/id/1", "team", "default-editor")


@pytest.mark.parametrize("name", everything())
def test_a_document_is_one_iam_takes(name: str) -> None:
    document = everything()[name]

    text = json.dumps(document, separators=(",", ":"))
    assert document["Version"] == "2012-10-17"
    assert len(text) <= documents.MANAGED_POLICY_CHARACTERS
    assert not re.search(r"[{]\w+[}]", text), "a place was not filled in"
    sids = [statement.get("Sid", "") for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch("[A-Za-z0-9]*", sid) for sid in sids)


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.sid)
def test_a_grant_is_for_components_there_are_and_no_wider_than_it_says(grant: permissions.Grant) -> None:
    public = set(components.__all__) | {permissions.EVERY_COMPONENT, "worker_node", "metrics_service"}
    assert set(grant.components) <= public
    assert not any("*" in action for action in grant.actions)
    knows_no_resource = re.compile(
        r"(sagemaker|cloudwatch):List\w+|cloudwatch:(GetMetricData|PutMetricData)|.*:Describe\w+s"
    )
    if grant.resources == ("*",):
        assert all(
            knows_no_resource.fullmatch(action) or action == "ecr:GetAuthorizationToken" for action in grant.actions
        )


def test_what_changes_something_is_bound_to_the_suites_own_resources() -> None:
    for grant in GRANTS:
        if all("/model-monitoring-" in resource for resource in grant.resources):
            continue  # what SageMaker starts for a schedule of the suite, which is not tagged
        for action in grant.actions:
            if re.match(r"sagemaker:(Create|Update|Delete|Stop|Invoke)", action):
                (condition,) = grant.conditions["Null"].items()
                assert condition[0].endswith("Tag/kfp-sagemaker:request")
                assert condition[1] == "false"


def test_a_sid_names_the_components() -> None:
    policies = documents.pod_policies(PLACE)
    (statement,) = [each for each in policies["jobs"]["Statement"] if "sagemaker:CreateTrainingJob" in each["Action"]]
    assert statement["Sid"] == "TrainCreate"
    assert statement["Resource"] == ["arn:aws:sagemaker:eu-west-1:111122223333:training-job/*"]


def test_a_policy_for_some_components_holds_nothing_else() -> None:
    policies = documents.pod_policies(PLACE, ["invoke_endpoint"])

    actions = {action for policy in policies.values() for each in policy["Statement"] for action in each["Action"]}
    assert "sagemaker:InvokeEndpoint" in actions
    assert not [action for action in actions if "Create" in action or "Delete" in action]


def test_a_prefix_limits_objects_and_listings() -> None:
    (listing, objects, *_) = documents.pod_policies(PLACE)["data"]["Statement"]
    assert objects["Resource"] == ["arn:aws:s3:::example-bucket/kubeflow/*"]
    assert listing["Condition"] == {"StringLikeIfExists": {"s3:prefix": ["kubeflow/*"]}}

    (listing, objects, *_) = documents.pod_policies(Place("111122223333", "example-bucket"))["data"]["Statement"]
    assert objects["Resource"] == ["arn:aws:s3:::example-bucket/*"]
    assert "Condition" not in listing


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov", "aws-iso"])
def test_every_arn_is_the_partitions(partition: str) -> None:
    text = json.dumps(everything(Place("111122223333", "example-bucket", partition=partition)))

    assert set(re.findall(r"arn:([a-z-]+):", text)) == {partition}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"account_id": "1234", "bucket": "example-bucket"}, "account_id"),
        ({"account_id": "111122223333", "bucket": "Bucket/x"}, "bucket"),
        ({"account_id": "111122223333", "bucket": "example-bucket", "prefix": "a*"}, "prefix"),
        ({"account_id": "111122223333", "bucket": "example-bucket", "prefix": "${aws:username}"}, "prefix"),
    ],
)
def test_a_place_that_would_widen_a_policy_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Place(**arguments)


def test_only_one_service_account_may_assume_the_pods_role() -> None:
    (irsa,) = everything()["pod-trust-irsa"]["Statement"]
    assert irsa["Principal"] == {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/1"}
    assert irsa["Condition"]["StringEquals"] == {
        "oidc.example.com/id/1:aud": "sts.amazonaws.com",
        "oidc.example.com/id/1:sub": "system:serviceaccount:team:default-editor",
    }
    (pod_identity,) = everything()["pod-trust-pod-identity"]["Statement"]
    assert pod_identity["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"] == "default-editor"
