"""IAM's policy simulator: SimulatePrincipalPolicy and SimulateCustomPolicy, in the place of ministack's own.

A simulation is evaluated by ministack's evaluator, which also guards every call with ``--auth``; here is what a
simulation adds: whose policies, which condition keys are known, which statements decided, and pages. A request's own
circumstances (its source address, its region, whether it is encrypted) do not exist in a simulation unless they are
given as context entries.

What is not simulated is refused: requests across accounts, ``PolicyExclusionList`` and ``ResourceHandlingOption``.

API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

from sagemaker_emulator import validation
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.service_model import ServiceModel

_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}
# The most restrictive decision is an action's when several resources are asked about.
_STRICTEST_FIRST = ("explicitDeny", "implicitDeny", "allowed")
_ACTION = re.compile(r"[a-zA-Z0-9-]+:[a-zA-Z0-9]+")
_ENTITY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(user|group|role)/(?:.*/)?([^/]+)")
_PAGE_ITEMS = 100
# What the simulator knows without being told.
_TIME_KEYS = frozenset({"aws:currenttime", "aws:epochtime"})
_SIMULATED_KEYS: ContextVar[dict[str, Any] | None] = ContextVar("simulated_condition_keys", default=None)

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Statement:
    """A statement and where it stands: source policy, and line and column of its first and past its last character."""

    parsed: Any
    source_id: str
    source_type: str
    start: tuple[int, int]
    end: tuple[int, int]


@dataclass(frozen=True)
class Subject:
    """Whose request is simulated.

    Attributes:
        arn: The caller; empty when a custom policy names none.
        account_id: Its account.
        policies: The statements of its identity policies.
        boundary: Those of its permissions boundary; None without one.
    """

    arn: str
    account_id: str
    policies: list[Statement]
    boundary: list[Statement] | None


class Simulator:
    """Answers the two operations.

    Args:
        iam: ``ministack.services.iam``.
        evaluator: ``ministack.core.iam_evaluator``.
        account_id: Returns the account of the request at hand.
    """

    def __init__(self, iam: ModuleType, evaluator: ModuleType, account_id: Callable[[], str]) -> None:
        self._iam: Any = iam
        self._evaluator: Any = evaluator
        self._account_id = account_id

    def install(self) -> None:
        """Put the operations in the place of ministack's."""
        resolve = self._evaluator._resolve_condition_key

        def resolve_condition_key(key: str, context: Any) -> Any:
            known = _SIMULATED_KEYS.get()
            if known is None or key.lower() in _TIME_KEYS - known.keys():
                return resolve(key, context)
            return known.get(key.lower())

        # ministack looks both up in their modules at each call.
        self._evaluator._resolve_condition_key = resolve_condition_key
        for operation in ("SimulatePrincipalPolicy", "SimulateCustomPolicy"):
            self._iam._IAM_HANDLERS[operation] = self._handler(operation)

    @cached_property
    def _model(self) -> ServiceModel:
        return ServiceModel("iam")

    def _handler(self, operation: str) -> Callable[[dict[str, list[str]]], Answer]:
        def handle(parameters: dict[str, list[str]]) -> Answer:
            try:
                shape = self._model.operations[operation].input_shape
                request = validation.parse(self._model, shape, _unflatten(parameters))
                _check(request)
                subject = self._principal(request) if "PolicySourceArn" in request else self._custom(request)
                return self._answer(operation, request, subject)
            except ApiError as error:
                code = "ValidationError" if error.code == "ValidationException" else error.code
                refusal: Answer = self._iam._error(error.http_status, code, escape(error.message))
                return refusal

        return handle

    def _answer(self, operation: str, request: dict[str, Any], subject: Subject) -> Answer:
        resources = request.get("ResourceArns") or ["*"]
        # With several resources each action is one result, with the resources inside.
        results = [self._action(request, subject, action, resources) for action in request["ActionNames"]]
        start = _start_of_page(request.get("Marker", ""), len(results))
        end = start + request.get("MaxItems", _PAGE_ITEMS)
        is_truncated = end < len(results)
        page = {"EvaluationResults": results[start:end], "IsTruncated": is_truncated}
        if is_truncated:
            page["Marker"] = base64.urlsafe_b64encode(str(end).encode()).decode()
        answer: Answer = self._iam._xml(
            200, f"{operation}Response", f"<{operation}Result>{_xml(page)}</{operation}Result>"
        )
        return answer

    def _action(self, request: dict[str, Any], subject: Subject, action: str, resources: list[str]) -> dict[str, Any]:
        each = [self._decide(request, subject, action, resource) for resource in resources]
        decision = min((result["EvalResourceDecision"] for result in each), key=_STRICTEST_FIRST.index)
        deciding = [result for result in each if result["EvalResourceDecision"] == decision]
        whole = {
            "EvalActionName": action,
            "EvalResourceName": "*",
            "EvalDecision": decision,
            "MatchedStatements": _union(result["MatchedStatements"] for result in deciding),
            "MissingContextValues": _union(result["MissingContextValues"] for result in each),
        }
        if subject.boundary is not None:
            allowed = all(
                result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for result in each
            )
            whole["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        return whole if resources == ["*"] else {**whole, "ResourceSpecificResults": each}

    def _decide(self, request: dict[str, Any], subject: Subject, action: str, resource: str) -> dict[str, Any]:
        evaluator = self._evaluator
        keys = self._condition_keys(request, subject)
        context = evaluator.EvalContext(
            principal_arn=subject.arn,
            principal_type="User" if ":user/" in subject.arn else "AssumedRole",
            principal_account=subject.account_id,
            action=action,
            resource_arn=resource,
            region="",
        )
        resource_policy = request.get("ResourcePolicy")
        attached = self._statements(resource_policy, "ResourcePolicy", "resource") if resource_policy else []
        limits = [] if subject.boundary is None else [[[each.parsed for each in subject.boundary]]]
        token = _SIMULATED_KEYS.set(keys)
        try:
            result = evaluator.evaluate(context, [[each.parsed for each in subject.policies]], *limits)
            if resource_policy:
                result = evaluator.combine_resource_policy(
                    result, context, resource_policy, subject.account_id, limits=tuple(limits)
                )
                # Statements for other principals have no part in it.
                if evaluator.evaluate_resource_policy(resource_policy, context).decision == "ImplicitDeny":
                    attached = []
            involved = [*subject.policies, *attached, *(subject.boundary or [])]
            applying = [each for each in involved if self._applies(each, context)]
            holding = [each for each in applying if evaluator._conditions_met(each.parsed.conditions, context)]
        finally:
            _SIMULATED_KEYS.reset(token)
        bound = {id(each) for each in subject.boundary or []}
        deciding = [
            each
            for each in holding
            if each.parsed.effect == result.decision and not (id(each) in bound and result.decision == "Allow")
        ]
        decided: dict[str, Any] = {
            "EvalResourceName": resource,
            "EvalResourceDecision": _DECISIONS[result.decision],
            "MatchedStatements": [_place(each) for each in deciding],
            "MissingContextValues": _union(_missing_keys(each.parsed, keys) for each in applying),
        }
        if subject.boundary is not None:
            effects = {each.parsed.effect for each in holding if id(each) in bound}
            decided["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": effects == {"Allow"}}
        return decided

    def _applies(self, statement: Statement, context: Any) -> bool:
        parsed = statement.parsed
        matches_action: bool = self._evaluator._action_matches(context.action, parsed.actions, parsed.not_actions)
        return matches_action and bool(
            self._evaluator._resource_matches(context.resource_arn, parsed.resources, parsed.not_resources)
        )

    def _condition_keys(self, request: dict[str, Any], subject: Subject) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        if subject.arn:
            keys = {"aws:principalarn": subject.arn, "aws:principalaccount": subject.account_id}
            if ":user/" in subject.arn:
                keys["aws:username"] = subject.arn.rpartition("/")[2]
        for entry in request.get("ContextEntries", []):
            values = entry.get("ContextKeyValues", [])
            is_list = entry.get("ContextKeyType", "string").endswith("List")
            keys[entry["ContextKeyName"].lower()] = values if is_list or len(values) != 1 else values[0]
        return keys

    def _principal(self, request: dict[str, Any]) -> Subject:
        source = request["PolicySourceArn"]
        caller = request.get("CallerArn") or source
        own = self._account_id()
        for arn in (source, caller):
            match = _ENTITY.fullmatch(arn)
            if match is None:
                raise ApiError(
                    "InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
                )
            if match[1] != own:
                raise _not_simulated(f"{arn}, which is of another account than {own}")
        match = _ENTITY.fullmatch(source)
        assert match is not None  # noqa: S101 - checked above
        kind, name = match[2], match[3]
        record = {"user": self._iam._users, "group": self._iam._groups, "role": self._iam._roles}[kind].get(name)
        if record is None or record["Arn"] != source:
            raise ApiError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404)
        policies = [*self._of_entity(kind, name, record), *self._inputs(request, "PolicyInputList")]
        boundary: list[Statement] | None = self._inputs(request, "PermissionsBoundaryPolicyInputList") or None
        if boundary is None and (arn := record.get("PermissionsBoundary")):
            boundary = list(self._managed(arn))
        return Subject(caller, own, policies, boundary)

    def _custom(self, request: dict[str, Any]) -> Subject:
        caller = request.get("CallerArn", "")
        if request.get("ResourcePolicy") and not caller:
            raise ApiError("InvalidInput", "CallerArn is required when a ResourcePolicy is simulated.")
        if caller and not _ENTITY.fullmatch(caller):
            raise ApiError(
                "InvalidInput", f"Invalid Entity Arn: {caller} does not clearly define entity type and name."
            )
        boundary = self._inputs(request, "PermissionsBoundaryPolicyInputList") or None
        own = self._account_id()
        if caller and caller.split(":")[4] != own:
            raise _not_simulated(f"{caller}, which is of another account than {own}")
        return Subject(caller, own, self._inputs(request, "PolicyInputList"), boundary)

    def _of_entity(self, kind: str, name: str, record: dict[str, Any]) -> Iterator[Statement]:
        iam = self._iam
        stores = {"user": iam._user_inline_policies, "group": iam._group_inline_policies}
        inline = record.get("InlinePolicies") if kind == "role" else stores[kind].get(name)
        for policy_name, document in (inline or {}).items():
            yield from self._statements(document, policy_name, kind)
        for arn in record.get("AttachedPolicies", []):
            yield from self._managed(arn)
        for group_name, group in iam._groups.items() if kind == "user" else ():
            if name in group.get("Users", []):
                yield from self._of_entity("group", group_name, group)

    def _managed(self, arn: str) -> Iterator[Statement]:
        document = self._evaluator._resolve_managed_policy_document(arn, self._account_id())
        if document:
            owner = "aws-managed" if ":iam::aws:" in arn else "user-managed"
            yield from self._statements(document, arn.rpartition("/")[2], owner)

    def _inputs(self, request: dict[str, Any], member: str) -> list[Statement]:
        found: list[Statement] = []
        for number, text in enumerate(request.get(member, []), 1):
            if problem := self._evaluator.validate_policy_document(text):
                raise ApiError("InvalidInput", f"{member}.{number} is no valid policy: {problem}")
            found += self._statements(text, f"{member}.{number}", "none")
        return found

    def _statements(self, document: Any, source_id: str, source_type: str) -> Iterator[Statement]:
        text = document if isinstance(document, str) else json.dumps(document, indent=2)
        for start, end in _statement_spans(text):
            for parsed in self._evaluator.parse_policy_document({"Statement": [json.loads(text[start:end])]}):
                yield Statement(parsed, source_id, source_type, _position(text, start), _position(text, end))


def _check(request: dict[str, Any]) -> None:
    for member in ("PolicyExclusionList", "ResourceHandlingOption"):
        if request.get(member):
            raise _not_simulated(member)
    owner = request.get("ResourceOwner", "")
    caller = request.get("CallerArn") or request.get("PolicySourceArn", "")
    if owner and caller and not re.search(rf"\b{caller.split(':')[4]}\b", owner):
        raise _not_simulated(f"resources of {owner} for {caller}, which is of another account")
    for action in request["ActionNames"]:
        if not _ACTION.fullmatch(action):
            raise ApiError("InvalidInput", f"Action {action} is not of the form service:Operation, without wildcards.")
    policy = request.get("ResourcePolicy")
    try:
        has_statements = policy is None or bool(json.loads(policy)["Statement"])
    except (ValueError, TypeError, KeyError):
        has_statements = False
    if not has_statements:
        raise ApiError("InvalidInput", "ResourcePolicy is no valid policy.")


def _not_simulated(what: str) -> ApiError:
    return ApiError("OperationNotImplemented", f"sagemaker-emulator does not simulate {what}.")


def _start_of_page(marker: str, total: int) -> int:
    try:
        start = int(base64.urlsafe_b64decode(marker)) if marker else 0
    except ValueError:
        start = -1
    if not 0 <= start <= total:
        raise ApiError("InvalidInput", f"Marker {marker} is none of an earlier answer.")
    return start


def _unflatten(parameters: dict[str, list[str]]) -> dict[str, Any]:
    """The structure behind ``ContextEntries.member.1.ContextKeyName=...``; numbered members become lists."""
    tree: dict[str, Any] = {}
    for name, values in parameters.items():
        if name in ("Action", "Version"):
            continue
        node, parts = tree, name.split(".")
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = int(values[0]) if name == "MaxItems" and values[0].isdigit() else values[0]
    return {name: _with_lists(value) for name, value in tree.items()}


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if "member" in node:
        members = node["member"]
        return [_with_lists(members[key]) for key in sorted(members, key=int)]
    return {name: _with_lists(value) for name, value in node.items()}


def _statement_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each statement of a policy begins and ends; the parsed document does not say."""
    decoder, blank = json.JSONDecoder(), re.compile(r"[\s,:]*")

    def skip(index: int) -> int:
        match = blank.match(text, index)
        return match.end() if match else index

    index = skip(text.index("{") + 1)
    while text[index] != "}":
        key, index = decoder.raw_decode(text, index)
        index = skip(index)
        if key != "Statement":
            _, index = decoder.raw_decode(text, index)
        elif text[index] == "[":
            index = skip(index + 1)
            while text[index] != "]":
                start = index
                _, index = decoder.raw_decode(text, start)
                yield start, index
                index = skip(index)
            index += 1
        else:
            start = index
            _, index = decoder.raw_decode(text, start)
            yield start, index
        index = skip(index)


def _position(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def _place(statement: Statement) -> dict[str, Any]:
    return {
        "SourcePolicyId": statement.source_id,
        "SourcePolicyType": statement.source_type,
        "StartPosition": dict(zip(("Line", "Column"), statement.start, strict=True)),
        "EndPosition": dict(zip(("Line", "Column"), statement.end, strict=True)),
    }


def _missing_keys(parsed: Any, known: Mapping[str, Any]) -> list[str]:
    keys = {key for block in parsed.conditions.values() if isinstance(block, dict) for key in block}
    return sorted(key for key in keys if key.lower() not in _TIME_KEYS and key.lower() not in known)


def _union(lists: Iterable[list[Any]]) -> list[Any]:
    union: list[Any] = []
    for item in chain.from_iterable(lists):
        if item not in union:
            union.append(item)
    return union


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(item)}</{name}>" for name, item in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(item)}</member>" for item in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))
