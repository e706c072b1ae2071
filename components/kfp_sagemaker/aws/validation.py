"""Input validation: every problem of a call is collected, then raised at once, before AWS is asked anything."""

from __future__ import annotations

import re
from collections.abc import Collection

from kfp_sagemaker.aws.errors import InputError

# Patterns of the SageMaker API reference (CreateTrainingJob, CreateEndpoint: the *Name and RoleArn members).
NAME_PATTERN = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
ROLE_ARN_PATTERN = r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
# The S3 user guide, "Bucket naming rules".
S3_URI_PATTERN = r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](/.*)?"
# Sizes are a closed set, families are not: a family newer than this file must pass and a misspelt size must not.
INSTANCE_TYPE_PATTERN = r"ml\.[a-z][a-z0-9\-]*\.(nano|micro|small|medium|large|\d{0,3}xlarge|metal(-\d+xl)?)"

_SHOWN_CHARACTERS = 120


class Problems:
    """Collects what is wrong with one call's arguments.

    Every check but :meth:`required` lets an empty value (``""``, ``None``) pass, because it stands for "not given".
    Each returns whether the value is fine, so that a check that only makes sense on a valid value can hang on it.

    Args:
        subject: What is being built, such as ``train``; opens the message.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.found: list[str] = []

    def add(self, argument: str, value: object, allowed: str) -> None:
        """Record a problem: the argument, its value and what is allowed, which completes "must be ..."."""
        shown = repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}... ({len(shown)} characters)"
        self.found.append(f"{argument} is {shown}, must be {allowed}")

    def required(self, argument: str, value: object) -> bool:
        """The value must be given."""
        return self._check(value not in (None, "", [], {}, ()), argument, value, "given")

    def one_of(self, argument: str, value: object, allowed: Collection[object]) -> bool:
        """The value must be one of the allowed ones."""
        listed = ", ".join(str(item) for item in allowed)
        return self._check(_absent(value) or value in allowed, argument, value, f"one of {listed}")

    def between(
        self, argument: str, value: float | None, minimum: float | None = None, maximum: float | None = None
    ) -> bool:
        """The number must lie within the bounds, both included; a bound of ``None`` is open."""
        if minimum is not None and maximum is not None:
            allowed = f"a number from {minimum} to {maximum}"
        elif minimum is not None:
            allowed = f"a number of at least {minimum}"
        else:
            allowed = f"a number of at most {maximum}"
        if value is None:
            return True
        fine = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (minimum is None or value >= minimum)
            and (maximum is None or value <= maximum)
        )
        return self._check(fine, argument, value, allowed)

    def matches(self, argument: str, value: object, pattern: str, meaning: str) -> bool:
        """The whole string must match the regular expression; ``meaning`` says in words what that is."""
        fine = _absent(value) or (isinstance(value, str) and re.fullmatch(pattern, value) is not None)
        return self._check(fine, argument, value, meaning)

    def s3_uri(self, argument: str, value: object) -> bool:
        """The value must be an S3 URI with a valid bucket name."""
        return self.matches(argument, value, f"(?s:{S3_URI_PATTERN})", "an S3 URI such as s3://bucket/prefix")

    def role_arn(self, argument: str, value: object) -> bool:
        """The value must be the ARN of an IAM role."""
        return self.matches(
            argument, value, ROLE_ARN_PATTERN, "the ARN of an IAM role such as arn:aws:iam::123456789012:role/NAME"
        )

    def name(self, argument: str, value: object, max_length: int = 63) -> bool:
        """The value must be a SageMaker resource name."""
        fine = _absent(value) or (
            isinstance(value, str) and len(value) <= max_length and re.fullmatch(NAME_PATTERN, value) is not None
        )
        allowed = (
            f"1 to {max_length} letters, digits and single or repeated hyphens inside, starting and ending without one"
        )
        return self._check(fine, argument, value, allowed)

    def instance_type(self, argument: str, value: object) -> bool:
        """The value must look like a SageMaker instance type; whether it exists in the region AWS says."""
        return self.matches(
            argument, value, INSTANCE_TYPE_PATTERN, "a SageMaker instance type such as ml.m5.large or ml.g5.2xlarge"
        )

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            InputError: With every problem, in the order found.
        """
        if self.found:
            raise InputError(self.found, self.subject)

    def _check(self, fine: bool, argument: str, value: object, allowed: str) -> bool:
        if not fine:
            self.add(argument, value, allowed)
        return fine


def _absent(value: object) -> bool:
    return value is None or value == ""
