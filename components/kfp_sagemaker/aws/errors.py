"""Every exception of the suite.

::

    KfpSagemakerError
    ├── InputError               an argument is wrong; found before any AWS call; lists all problems at once
    ├── DataError                the data is not what it must be: not CSV, too few rows
    ├── ConfigurationError       no credentials, no region, no such role: what to set
    ├── AwsCallError             AWS refused or could not be reached
    │   ├── AccessDeniedError    the identity lacks a permission; names action, resource and identity
    │   └── ResourceMissingError the named resource does not exist
    ├── NameTakenError           the name belongs to somebody else's resource
    ├── JobError                 a long-running resource ended otherwise than asked
    │   ├── JobFailedError       with the reason AWS gave, the last log lines and the console page
    │   ├── JobStoppedError      stopped by somebody else
    │   └── DeadlineError        not finished in time; stopped by the step
    ├── CancelledError           SIGTERM arrived: the step itself stopped its resource
    ├── ThresholdError           a share of failures or a gate was exceeded
    └── AccessTooWideError       a call that ought to be refused was answered

A message says what happened, on which resource, with which value, and what to do. It never holds a credential.
"""

from __future__ import annotations

from collections.abc import Sequence


class KfpSagemakerError(Exception):
    """Base of every error the suite raises on purpose; anything else is a bug."""


class InputError(KfpSagemakerError):
    """One or more arguments are wrong; raised before any AWS call.

    Args:
        problems: One sentence a problem: the argument, its value and what is allowed.
        subject: What was being built, such as ``train``; opens the message.
    """

    def __init__(self, problems: Sequence[str], subject: str = "") -> None:
        self.problems = list(problems)
        self.subject = subject
        count = f"{len(self.problems)} invalid argument{'s' if len(self.problems) != 1 else ''}"
        head = f"{subject}: {count}" if subject else count
        super().__init__(head + ":\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class DataError(KfpSagemakerError):
    """The data a step read is not what it must be. The message names the object and, where there is one, the line."""


class ConfigurationError(KfpSagemakerError):
    """The surroundings are incomplete: credentials, region, role. The message says what to set."""


class AwsCallError(KfpSagemakerError):
    """An AWS call was refused or did not get through.

    Args:
        message: The finished sentence.
        operation: The API operation, such as ``CreateTrainingJob``.
        code: AWS's error code, such as ``ValidationException``; empty when no answer came.
    """

    def __init__(self, message: str, *, operation: str = "", code: str = "") -> None:
        self.operation = operation
        self.code = code
        super().__init__(message)


class AccessDeniedError(AwsCallError):
    """The identity of the step lacks a permission."""


class ResourceMissingError(AwsCallError):
    """The named resource does not exist."""


class NameTakenError(KfpSagemakerError):
    """A resource of that name exists and was made by somebody else or from another request."""


class JobError(KfpSagemakerError):
    """A long-running resource ended otherwise than asked.

    Args:
        summary: One sentence: which resource, which status.
        reason: The failure reason AWS gave; may be empty.
        log_lines: The last lines of its log, oldest first; at most 50 are shown.
        console_url: The resource's page in the AWS console.
    """

    SHOWN_LOG_LINES = 50

    def __init__(self, summary: str, *, reason: str = "", log_lines: Sequence[str] = (), console_url: str = "") -> None:
        self.summary = summary
        self.reason = reason
        self.log_lines = list(log_lines)[-self.SHOWN_LOG_LINES :]
        self.console_url = console_url
        parts = [summary]
        if reason:
            # Indented, because a reason may hold a traceback, which would pass for the end of the step's own.
            parts.append("Reason: " + reason.replace("\n", "\n  "))
        if self.log_lines:
            parts.append(f"Last {len(self.log_lines)} log lines:")
            parts += [f"  {line}" for line in self.log_lines]
        if console_url:
            parts.append(f"Console: {console_url}")
        super().__init__("\n".join(parts))


class JobFailedError(JobError):
    """AWS reports the resource as failed."""


class JobStoppedError(JobError):
    """The resource was stopped, and not by this step: an unfinished result is never passed on as a success."""


class DeadlineError(JobError):
    """The resource did not finish within the time the step allows."""


class CancelledError(KfpSagemakerError):
    """The step was asked to end (SIGTERM) and has stopped its resource."""


class ThresholdError(KfpSagemakerError):
    """A measured figure exceeds what the caller allows."""


class AccessTooWideError(KfpSagemakerError):
    """A call that ought to be refused was answered: somebody may do more than was meant."""
