"""Schedule expressions, and when they run next."""

from datetime import UTC, datetime

import pytest

from local.schedules import ScheduleError, next_run

SUNDAY = datetime(2026, 11, 22, 16, 52, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", "2026-11-22T16:53:30"),
        ("rate(5 minutes)", "2026-11-22T16:57:30"),
        ("rate(2 hours)", "2026-11-22T18:52:30"),
        ("rate(7 days)", "2026-11-29T16:52:30"),
        ("cron(* * * * ? *)", "2026-11-22T16:53:00"),
        ("cron(52 16 * * ? *)", "2026-11-23T16:52:00"),
        ("cron(0/15 * * * ? *)", "2026-11-22T17:00:00"),
        ("cron(0,30 8-9 * * ? *)", "2026-11-23T08:00:00"),
        ("cron(0 8 ? * MON-FRI *)", "2026-11-23T08:00:00"),
        ("cron(0 8 ? * 1 *)", "2026-11-29T08:00:00"),
        ("cron(0 0 1 JAN ? *)", "2027-01-01T00:00:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00:00"),
        ("cron(0 12 * * ? 2027)", "2027-01-01T12:00:00"),
    ],
)
def test_a_schedule_runs_next_at_its_time(expression: str, due: str) -> None:
    assert next_run(expression, SUNDAY) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    ["hourly", "rate(minute)", "cron(* * * *)", "cron(61 * * * ? *)", "cron(0 8 L * ? *)", "cron(0 0 1 1 ? 1999)"],
)
def test_a_schedule_that_cannot_be_computed_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match="cannot compute"):
        next_run(expression, SUNDAY)
