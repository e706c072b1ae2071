"""Users, roles and policies in IAM, brought to the state they ought to have: doing it again changes nothing.

API: https://docs.aws.amazon.com/IAM/latest/APIReference/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.access.documents import Document
from kfp_sagemaker.aws.session import Session, aws_errors

# IAM quotas: versions of a managed policy.
_MAX_VERSIONS = 5
_MANAGED = {"Key": "managed-by", "Value": "kfp-sagemaker"}


@dataclass(frozen=True)
class RoleOptions:
    """What a role may have besides its trust.

    Attributes:
        path: Where it is in IAM; begins and ends with a slash. It cannot be changed.
        permissions_boundary_arn: A managed policy that limits what it may do; empty for none, or what it has.
        max_session_seconds: How long its sessions may last; 0 for an hour, or what it has.
        tags: Its tags.
    """

    path: str = "/"
    permissions_boundary_arn: str = ""
    max_session_seconds: int = 0
    tags: Sequence[Mapping[str, str]] = ()

    def creation(self) -> dict[str, Any]:
        """Members of CreateRole."""
        members: dict[str, Any] = {"Path": self.path}
        if self.permissions_boundary_arn:
            members["PermissionsBoundary"] = self.permissions_boundary_arn
        if self.max_session_seconds:
            members["MaxSessionDuration"] = self.max_session_seconds
        return members


class Iam:
    """IAM of the session's account.

    Args:
        session: With administrator's rights in IAM.
        changes: Makes the changes.
    """

    def __init__(self, session: Session, changes: Changes) -> None:
        self._session = session
        self._client: Any = session.client("iam")
        self._changes = changes

    def arn(self, resource: str) -> str:
        """ARN of one of the account's own, such as ``role/NAME``."""
        return f"arn:{self._session.partition}:iam::{self._session.account_id}:{resource}"

    def put_role(self, name: str, trust: Document, description: str, options: RoleOptions | None = None) -> str:
        """Create the role, or make its trust and options what they ought to be, the path excepted; returns its ARN."""
        options = options or RoleOptions()
        role = self.role(name)
        if role is None:
            self._make(
                f"create role {name}",
                "create_role",
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(trust),
                Description=description,
                Tags=[_MANAGED, *options.tags],
                **options.creation(),
            )
            return self.arn(f"role{options.path}{name}")
        if role["AssumeRolePolicyDocument"] != trust:
            self._make(
                f"change who may assume role {name}",
                "update_assume_role_policy",
                RoleName=name,
                PolicyDocument=json.dumps(trust),
            )
        duration = options.max_session_seconds
        if duration and role.get("MaxSessionDuration") != duration:
            self._make(
                f"let sessions of role {name} last {duration} s",
                "update_role",
                RoleName=name,
                MaxSessionDuration=duration,
            )
        boundary = options.permissions_boundary_arn
        if boundary and role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") != boundary:
            self._make(
                f"limit role {name} by {boundary}",
                "put_role_permissions_boundary",
                RoleName=name,
                PermissionsBoundary=boundary,
            )
        held = role.get("Tags", [])
        if new := [tag for tag in options.tags if tag not in held]:
            self._make(f"tag role {name}", "tag_role", RoleName=name, Tags=new)
        return str(role["Arn"])

    def role(self, name: str) -> dict[str, Any] | None:
        """What IAM says about a role; None when there is no such role."""
        role: dict[str, Any] | None = self._find("get_role", "Role", RoleName=name)
        return role

    def policy_exists(self, arn: str) -> bool:
        """Whether there is such a managed policy."""
        return self._find("get_policy", "Policy", PolicyArn=arn) is not None

    def role_policies(self, role: str) -> dict[str, Document]:
        """The inline policies of a role, by name."""
        return {
            name: self._find("get_role_policy", "PolicyDocument", RoleName=role, PolicyName=name)
            for name in self.role_policy_names(role)
        }

    def role_policy_names(self, role: str) -> list[str]:
        """Names of the inline policies of a role."""
        with aws_errors(f"policies of role {role}"):
            pages = self._client.get_paginator("list_role_policies").paginate(RoleName=role)
            return [name for page in pages for name in page["PolicyNames"]]

    def delete_role_policy(self, role: str, name: str) -> None:
        """Delete an inline policy of a role."""
        self._make(f"delete policy {name} of role {role}", "delete_role_policy", RoleName=role, PolicyName=name)

    def put_role_policy(self, role: str, name: str, document: Document) -> None:
        """Put an inline policy of a role."""
        found = self._find("get_role_policy", "PolicyDocument", RoleName=role, PolicyName=name)
        if found != document:
            self._make(
                f"put policy {name} of role {role}",
                "put_role_policy",
                RoleName=role,
                PolicyName=name,
                PolicyDocument=json.dumps(document),
            )

    def put_user(self, name: str) -> None:
        """Create the user, without any rights or keys."""
        if self._find("get_user", "User", UserName=name) is None:
            self._make(f"create user {name}", "create_user", UserName=name, Tags=[_MANAGED])

    def put_policy(self, name: str, document: Document) -> str:
        """Create the managed policy, or a new default version of it; returns its ARN."""
        arn = self.arn(f"policy/{name}")
        policy = self._find("get_policy", "Policy", PolicyArn=arn)
        if policy is None:
            self._make(
                f"create policy {name}",
                "create_policy",
                PolicyName=name,
                PolicyDocument=json.dumps(document, separators=(",", ":")),
                Tags=[_MANAGED],
            )
        elif self._document(arn, policy["DefaultVersionId"]) != document:
            self._changes.make(f"change policy {name}", lambda: self._new_version(arn, document))
        return arn

    def attach(self, owner: str, name: str, policy_arns: Mapping[str, str]) -> None:
        """Attach managed policies.

        Args:
            owner: ``user`` or ``role``.
            name: Its name.
            policy_arns: Policy name to ARN.
        """
        attached = set(self.attached(owner, name))
        for policy, arn in policy_arns.items():
            if arn not in attached:
                arguments = {f"{owner.capitalize()}Name": name, "PolicyArn": arn}
                self._make(f"attach policy {policy} to {owner} {name}", f"attach_{owner}_policy", **arguments)

    def attached(self, owner: str, name: str) -> list[str]:
        """ARNs of the managed policies a user or role has; empty when it does not exist."""
        with aws_errors(f"policies of {owner} {name}"):
            try:
                pages = self._client.get_paginator(f"list_attached_{owner}_policies").paginate(
                    **{f"{owner.capitalize()}Name": name}
                )
                return [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]
            except self._client.exceptions.NoSuchEntityException:
                return []

    def keys(self, user: str) -> list[dict[str, Any]]:
        """The access keys of a user, oldest first; empty when there is no such user."""
        with aws_errors(f"access keys of user {user}"):
            try:
                found = self._client.list_access_keys(UserName=user)["AccessKeyMetadata"]
            except self._client.exceptions.NoSuchEntityException:
                return []
        return sorted(found, key=lambda key: key["CreateDate"])

    def create_key(self, user: str) -> dict[str, str] | None:
        """A new access key: ``AccessKeyId`` and ``SecretAccessKey``, to be kept to oneself; None in a dry run."""
        answer = self._make(f"create an access key of user {user}", "create_access_key", UserName=user)
        return answer["AccessKey"] if answer else None

    def deactivate_key(self, user: str, key_id: str) -> None:
        """Make a key invalid, which can be undone."""
        self._make(
            f"deactivate access key {masked(key_id)} of user {user}",
            "update_access_key",
            UserName=user,
            AccessKeyId=key_id,
            Status="Inactive",
        )

    def delete_key(self, user: str, key_id: str) -> None:
        """Delete a key."""
        self._make(
            f"delete access key {masked(key_id)} of user {user}", "delete_access_key", UserName=user, AccessKeyId=key_id
        )

    def delete(self, owner: str, name: str) -> None:
        """Delete a user or role with its keys and inline policies; its managed policies are only detached."""
        argument = {f"{owner.capitalize()}Name": name}
        if self._find(f"get_{owner}", owner.capitalize(), **argument) is None:
            return
        for key in self.keys(name) if owner == "user" else ():
            self.delete_key(name, key["AccessKeyId"])
        for arn in self.attached(owner, name):
            policy = arn.rpartition("/")[2]
            self._make(
                f"detach policy {policy} from {owner} {name}", f"detach_{owner}_policy", **argument, PolicyArn=arn
            )
        with aws_errors(f"policies of {owner} {name}"):
            inline = getattr(self._client, f"list_{owner}_policies")(**argument)["PolicyNames"]
        for policy in inline:
            self._make(
                f"delete policy {policy} of {owner} {name}", f"delete_{owner}_policy", **argument, PolicyName=policy
            )
        self._make(f"delete {owner} {name}", f"delete_{owner}", **argument)

    def delete_policy(self, name: str) -> None:
        """Delete a managed policy with its versions."""
        arn = self.arn(f"policy/{name}")
        if self._find("get_policy", "Policy", PolicyArn=arn) is None:
            return

        def delete() -> None:
            for version in self._client.list_policy_versions(PolicyArn=arn)["Versions"]:
                if not version["IsDefaultVersion"]:
                    self._client.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
            self._client.delete_policy(PolicyArn=arn)

        with aws_errors(f"policy {name}"):
            self._changes.make(f"delete policy {name}", delete)

    def _new_version(self, arn: str, document: Document) -> None:
        with aws_errors(arn):
            versions = self._client.list_policy_versions(PolicyArn=arn)["Versions"]
            spare = sorted((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
            if len(versions) >= _MAX_VERSIONS:
                self._client.delete_policy_version(PolicyArn=arn, VersionId=spare[0]["VersionId"])
            self._client.create_policy_version(
                PolicyArn=arn, PolicyDocument=json.dumps(document, separators=(",", ":")), SetAsDefault=True
            )

    def _document(self, arn: str, version: str) -> Any:
        with aws_errors(arn):
            document = self._client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        return json.loads(document) if isinstance(document, str) else document

    def _find(self, operation: str, member: str, **arguments: str) -> Any:
        with aws_errors(" ".join(arguments.values())):
            try:
                return getattr(self._client, operation)(**arguments)[member]
            except self._client.exceptions.NoSuchEntityException:
                return None

    def _make(self, description: str, operation: str, **arguments: Any) -> Any:
        with aws_errors(description):
            return self._changes.make(description, lambda: getattr(self._client, operation)(**arguments))


def masked(key_id: str) -> str:
    """An access key id as it may be shown."""
    return f"...{key_id[-4:]}"
