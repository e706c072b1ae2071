"""When a monitoring schedule is due: ``NOW``, or one of the cron forms SageMaker takes.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

NOW = "NOW"
_CRON = re.compile(r"cron\(0 (?P<hour>\*|\d{1,2})(?:/(?P<interval>\d{1,2}))? \? \* \* \*\)")
_FORMS = (
    "NOW, cron(0 * ? * * *) every hour, cron(0 H ? * * *) once a day, or cron(0 H/N ? * * *) every N hours from hour "
    "H on, with H from 0 to 23 and N from 1 to 24; UTC"
)


class ScheduleExpressionError(ValueError):
    """SageMaker takes no such schedule expression."""


@dataclass(frozen=True)
class Cron:
    """The hours of a day at which a schedule is due.

    Attributes:
        hours: In order, in UTC.
    """

    hours: tuple[int, ...]

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment."""
        hour = _start_of_hour(moment) + timedelta(hours=1)
        while hour.hour not in self.hours:
            hour += timedelta(hours=1)
        return hour

    def last_before(self, moment: datetime) -> datetime:
        """Return the last time before a moment."""
        hour = _start_of_hour(moment - timedelta(microseconds=1))
        while hour.hour not in self.hours:
            hour -= timedelta(hours=1)
        return hour


def parse(expression: str) -> Cron | None:
    """Read a schedule expression; None stands for ``NOW``.

    Raises:
        ScheduleExpressionError: It is none of SageMaker's forms.
    """
    if expression == NOW:
        return None
    match = _CRON.fullmatch(expression)
    if match is None:
        raise ScheduleExpressionError(f'Invalid ScheduleExpression "{expression}"; allowed are {_FORMS}.')
    start = 0 if match["hour"] == "*" else int(match["hour"])
    # A lone hour is once a day; a lone star every hour.
    interval = int(match["interval"] or (1 if match["hour"] == "*" else 24))
    if start > 23 or not 1 <= interval <= 24:
        raise ScheduleExpressionError(f'Invalid ScheduleExpression "{expression}"; allowed are {_FORMS}.')
    # Around midnight: "every 12 hours, starting at 5 PM" is 5 AM and 5 PM.
    return Cron(tuple(sorted({(start + offset) % 24 for offset in range(0, 24, interval)})))


def _start_of_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
