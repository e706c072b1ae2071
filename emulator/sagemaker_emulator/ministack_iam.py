"""ministack's IAM, as SageMaker's operations need it: who calls, what they may do, which service a role trusts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from sagemaker_emulator.clock import Clock
from sagemaker_emulator.errors import AccessDenied, ApiError
from sagemaker_emulator.ministack_simulation import Simulator

_SOURCE_ACCOUNT = "aws:sourceaccount"
_JSON_AUTH_CODES = {
    "InvalidClientTokenId": "UnrecognizedClientException",
    "InvalidToken": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "IncompleteSignature": "IncompleteSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "RequestExpired": "RequestExpiredException",
}


@dataclass(frozen=True)
class Caller:
    """Who signed a request.

    Attributes:
        access_key_id: The key of the signature.
        region: The region it was made for.
        arn: The user, assumed role or root the key belongs to; empty for an unknown key.
    """

    access_key_id: str
    region: str
    arn: str


class MinistackIam:
    """The evaluator that guards ministack's own services, for ours too.

    Args:
        app: ``ministack.app``.
        evaluator: ``ministack.core.iam_evaluator``.
        iam_actions: ``ministack.core.iam_actions``.
        responses: ``ministack.core.responses``.
        router: ``ministack.core.router``.
    """

    def __init__(
        self,
        app: ModuleType,
        evaluator: ModuleType,
        iam_actions: ModuleType,
        responses: ModuleType,
        router: ModuleType,
    ) -> None:
        self._app: Any = app
        self._evaluator: Any = evaluator
        self._iam_actions: Any = iam_actions
        self._responses: Any = responses
        self._router: Any = router

    def caller(self, scope: MutableMapping[str, Any], body: bytes) -> Caller:
        """Return who signed a request; the signature itself is checked by the first ``authorize``."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        access_key_id: str = self._router.extract_access_key_id(headers, query)
        region: str = self._router.extract_region(headers, query)
        try:
            account = self._evaluator.find_iam_access_key_account(access_key_id) or access_key_id
        except self._evaluator.AmbiguousAccessKeyError as error:
            raise ApiError("UnrecognizedClientException", str(error)) from error
        # These are context variables: they hold for this request's task only.
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        self._evaluator.pin_signed_request(scope["method"], raw_path, query, scope["headers"])
        self._evaluator.pin_signed_body(body)
        identity = self._evaluator.resolve_caller_identity(access_key_id) or {}
        return Caller(access_key_id, region, identity.get("userArn", ""))

    def authorize(self, caller: Caller, action: str, resource_arn: str, conditions: dict[str, str]) -> None:
        """Evaluate a caller's policies, boundary and session policies for an action.

        Args:
            caller: Who calls.
            action: Such as ``sagemaker:CreateModel``.
            resource_arn: What it acts on; ``*`` for actions without a resource.
            conditions: The request's condition keys, in lower case.

        Raises:
            ApiError: The credentials are not valid, or no policy allows the action or one denies it.
        """
        denied = self._evaluator.enforce(
            caller.access_key_id, action, "sagemaker", caller.region, resource_arn, conditions
        )
        if denied is None:
            return
        if isinstance(denied, self._evaluator.AuthError):
            code = str(denied.code)
            raise ApiError(_JSON_AUTH_CODES.get(code, code), denied.message)
        is_explicit = denied.decision == "Deny"
        raise AccessDenied(
            self._iam_actions.identity_denial_message(action, denied.principal_arn, resource_arn, is_explicit)
        )

    def role(self, role_arn: str) -> dict[str, Any] | None:
        """Return ministack's record of a role, or None when there is none."""
        account_id, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
        role: dict[str, Any] | None = self._app._get_module("iam")._roles.get_scoped(account_id, None, name)
        return role if role is not None and role["Arn"] == role_arn else None

    def service_may_assume(self, role_arn: str, service: str) -> bool | None:
        """Return whether a role trusts an AWS service, or None when there is no such role.

        Args:
            role_arn: The role.
            service: The service principal, such as ``sagemaker.amazonaws.com``.
        """
        role = self.role(role_arn)
        if role is None:
            return None
        trusting = _only_service_statements(_parse_document(role["AssumeRolePolicyDocument"]), service)
        account_id = role_arn.split(":")[4]
        root = f"arn:aws:iam::{account_id}:root"
        context = self._evaluator.EvalContext(
            principal_arn=root,
            principal_type="Root",
            principal_account=account_id,
            action="sts:AssumeRole",
            resource_arn=role_arn,
            region="",
            service_context={_SOURCE_ACCOUNT: account_id},
        )
        allowed: bool = self._evaluator.evaluate_trust_policy(trusting, root, context)
        return allowed

    def let_services_name_their_account(self) -> None:
        """Give AWS services, which root stands for, ``aws:SourceAccount``: a role may trust them for one account."""
        evaluator = self._evaluator
        evaluate = evaluator.evaluate_trust_policy

        def evaluate_trust_policy(document: Any, caller_arn: str, context: Any = None) -> bool:
            if context is not None and caller_arn.endswith(":root"):
                known = {_SOURCE_ACCOUNT: caller_arn.split(":")[4], **(context.service_context or {})}
                context = replace(context, service_context=known)
            allowed: bool = evaluate(document, caller_arn, context)
            return allowed

        # ministack looks the function up in its module at each call.
        evaluator.evaluate_trust_policy = evaluate_trust_policy

    def simulate_policies(self) -> None:
        """Answer the policy simulator's two operations: ministack skips context, boundaries and further resources."""
        Simulator(self._app._get_module("iam"), self._evaluator, self._responses.get_account_id).install()

    def authorize_iam_by_resource(self) -> None:
        """Authorise IAM's calls on the role with its path, or on the principal simulated, and know boundaries.

        ministack takes the ARN of a role without its path and has no ``iam:PermissionsBoundary``, without which nobody
        may be let make roles of limited rights only.
        """
        actions, roles = self._iam_actions, self._app._get_module("iam")._roles
        extract, tag_context = actions.extract_resource_arn, actions.request_tag_context

        def extract_resource_arn(service: str, *request: Any) -> str:
            if service == "iam":
                parameters = request[4]  # of method, path, headers, body, parameters
                if source := actions._query_param(parameters, "PolicySourceArn"):
                    return str(source)
                name = actions._query_param(parameters, "RoleName")
                if role := roles.get(name):
                    return str(role["Arn"])
                if name and (path := actions._query_param(parameters, "Path")):
                    return f"arn:aws:iam::{self._responses.get_account_id()}:role{path}{name}"
            if service == "events":
                # A rule of the default bus is not named after its bus, and PutTargets spells its name otherwise.
                method, path, headers, body, query, *rest = request
                body = body.replace(b'"Rule":', b'"Name":')
                found = str(extract(service, method, path, headers, body, query, *rest))
                return found.replace(":rule/default/", ":rule/")
            return str(extract(service, *request))

        def request_tag_context(service: str, action: str, body: bytes, parameters: Any) -> dict[str, Any]:
            context: dict[str, Any] = tag_context(service, action, body, parameters)
            if service == "iam":
                role = roles.get(actions._query_param(parameters, "RoleName")) or {}
                boundary = actions._query_param(parameters, "PermissionsBoundary") or role.get("PermissionsBoundary")
                if boundary:
                    context["iam:PermissionsBoundary"] = boundary
            if action == "cloudwatch:PutMetricData":
                context["cloudwatch:namespace"] = _namespace(body, parameters)
            return context

        # ministack looks both up in their module at each call.
        actions.extract_resource_arn = extract_resource_arn
        actions.request_tag_context = request_tag_context

    def let_sessions_expire_by(self, clock: Clock) -> None:
        """Have temporary credentials expire by the emulator's calendar, which can be set ahead."""
        time = SimpleNamespace(time=lambda: clock.now().timestamp())
        # Both modules use the clock for nothing but the expiry of sessions and of requests presigned in the old way.
        self._evaluator.time = time
        self._app._get_module("sts").time = time

    def report_decisions(self, on_decision: Callable[[str, str, str, bool], None]) -> None:
        """Call a function with (principal, action, resource, allowed) for each call that is evaluated from now on."""
        evaluator = self._evaluator
        enforce = evaluator.enforce

        def reporting_enforce(access_key_id: str, iam_action: str, service: str, *args: Any, **kwargs: Any) -> Any:
            denied = enforce(access_key_id, iam_action, service, *args, **kwargs)
            resource_arn = kwargs.get("resource_arn") or (args[1] if len(args) > 1 else "*")
            principal = (evaluator.resolve_caller_identity(access_key_id) or {}).get("userArn", "")
            on_decision(principal, iam_action, resource_arn, denied is None)
            return denied

        # ministack looks the function up in its module at each call.
        evaluator.enforce = reporting_enforce


def _parse_document(document: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return parsed


def _namespace(body: bytes, parameters: Any) -> str:
    """Of a PutMetricData call, in JSON or as a form, which clients pack when it is long; empty when it names none."""
    try:
        plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        members = json.loads(plain) if plain.startswith(b"{") else {**parse_qs(plain.decode()), **parameters}
    except (OSError, EOFError, ValueError):
        return ""
    namespace = members.get("Namespace", "")
    return str(namespace[0] if isinstance(namespace, list) else namespace)


def _only_service_statements(document: dict[str, Any], service: str) -> dict[str, Any]:
    # The evaluator lets root pass any service principal; here exactly one service is asked about, so statements that
    # name it apply to everybody and the others to nobody.
    statements = document.get("Statement", [])
    trusting = []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        if principal == "*" or service in ([services] if isinstance(services, str) else services):
            trusting.append({**statement, "Principal": "*"})
    return {**document, "Statement": trusting}
