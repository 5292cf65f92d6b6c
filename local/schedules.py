"""When a schedule runs next: EventBridge's `rate(…)` and `cron(…)` expressions, in UTC."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.+)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")  # 1 is Sunday
_HORIZON_DAYS = 5 * 366


class ScheduleError(ValueError):
    """EventBridge does not take the expression, or it uses `L`, `W` or `#`, which are not computed here."""


def next_run(expression: str, after: datetime) -> datetime:
    """The first moment later than `after` at which the schedule runs.

    Raises ScheduleError, also for a cron expression without any such moment in the next five years. Source:
    Amazon EventBridge User Guide, "Schedule expression reference".
    """
    if rate := _RATE.fullmatch(expression):
        return after + timedelta(**{f"{rate[2]}s": int(rate[1])})
    if cron := _CRON.fullmatch(expression):
        found = next(_moments(_parsed(cron[1], expression), after), None)
        if found:
            return found
    raise ScheduleError(f"cannot compute the schedule {expression}")


@dataclass(frozen=True, slots=True)
class _Cron:
    minutes: Sequence[int]
    hours: Sequence[int]
    days: Sequence[int]
    months: Sequence[int]
    weekdays: Sequence[int]
    years: Sequence[int]

    def has(self, day: datetime) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 + 1 in self.weekdays
        )


def _moments(cron: _Cron, after: datetime) -> Iterator[datetime]:
    midnight = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight + timedelta(days=number) for number in range(_HORIZON_DAYS)):
        if cron.has(day):
            times = (day.replace(hour=hour, minute=minute) for hour in cron.hours for minute in cron.minutes)
            yield from (moment for moment in times if moment > after)


def _parsed(fields: str, expression: str) -> _Cron:
    try:
        minutes, hours, days, months, weekdays, years = fields.upper().split()
        return _Cron(
            _values(minutes, 0, 59),
            _values(hours, 0, 23),
            _values(days, 1, 31),
            _values(months, 1, 12, _MONTHS),
            _values(weekdays, 1, 7, _DAYS),
            _values(years, 1970, 2199),
        )
    except ValueError as error:
        raise ScheduleError(f"cannot compute the schedule {expression}") from error


def _values(field: str, low: int, high: int, names: Sequence[str] = ()) -> list[int]:
    chosen: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, last = _span(span, low, high, names)
        chosen.update(range(first, (high if step and "-" not in span else last) + 1, int(step or 1)))
    if not chosen or min(chosen) < low or max(chosen) > high:
        raise ValueError(field)
    return sorted(chosen)


def _span(span: str, low: int, high: int, names: Sequence[str]) -> tuple[int, int]:
    if span in ("*", "?"):
        return low, high
    first, _, last = span.partition("-")
    return _value(first, names), _value(last or first, names)


def _value(text: str, names: Sequence[str]) -> int:
    return names.index(text) + 1 if text in names else int(text)
