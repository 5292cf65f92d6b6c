"""Why the AI leaves to a human what it may answer: a machine that answers it, or a limit of the tenant's."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from chalicelib.consent import company_of
from chalicelib.model import Author, Conversation, HistoryEntry, Limits, Tenant, Usage, Waiting
from chalicelib.ports import Journal, Meters

#: A machine answers within this time, and again and again: as often as `SAME` with the same words, as `QUICK` with any.
AT_ONCE = timedelta(seconds=5)
SAME = 3
QUICK = 8

#: Counters of a day and of a month are kept this long.
_KEPT = timedelta(days=40)


def reason_to_refrain(
    seen: Conversation,
    tenant: Tenant | None,
    latest: Sequence[HistoryEntry],
    waiting: Sequence[Waiting],
    *,
    meters: Meters,
    at: datetime,
) -> str | None:
    """`loop`, `limit:…`, or None where the AI answers; then this turn counts as one."""
    if is_loop(latest, waiting):
        return "loop"
    limits = tenant.limits if tenant else Limits()
    company, day = company_of(seen, tenant), f"{at:%Y-%m-%d}"
    for name, counter, amount, at_most in (
        ("tokens_a_month", _tokens(company, f"{at:%Y-%m}"), 0, limits.tokens_a_month),
        ("tokens_a_day", _tokens(company, day), 0, limits.tokens_a_day),
        ("turns_a_day", f"turns#{seen.reference}#{day}", 1, limits.turns_a_day),
    ):
        if at_most is not None and meters.add(counter, amount, at_most=at_most, until=at + _KEPT) is None:
            return f"limit:{name}"
    return None


def count_tokens(
    seen: Conversation, tenant: Tenant | None, usage: Usage, *, meters: Meters, journal: Journal, at: datetime
) -> None:
    """What an answer cost, sent or not, counts against the tenant's day and month, where these are limited."""
    limits, tokens = tenant.limits if tenant else Limits(), usage.input_tokens + usage.output_tokens
    company = company_of(seen, tenant)
    for name, period, at_most in (
        ("percent_of_day", f"{at:%Y-%m-%d}", limits.tokens_a_day),
        ("percent_of_month", f"{at:%Y-%m}", limits.tokens_a_month),
    ):
        if at_most is not None:
            spent = meters.add(_tokens(company, period), tokens, at_most=None, until=at + _KEPT) or 0
            share = 100 * spent / at_most if at_most else 100.0
            journal("tokens_counted", "what the answer cost is counted", conversation=seen.reference, **{name: share})


def is_loop(latest: Sequence[HistoryEntry], waiting: Sequence[Waiting]) -> bool:
    """Whether what answers us is a machine: it answers at once, with the same words or without end."""
    quick = list(_answered_at_once(latest, waiting))
    same = quick[:SAME]
    return len(quick) >= QUICK or (len(same) == SAME and len(set(same)) == 1)


def _answered_at_once(latest: Sequence[HistoryEntry], waiting: Sequence[Waiting]) -> Iterator[str]:
    """The person's messages that came at once after ours, newest first, until one took its time."""
    unanswered = {message.message_id for message in waiting}
    said = [each for each in latest if each.author == Author.USER and each.provider_id not in unanswered]
    heard = [(message.received_at, message.text) for message in waiting]
    spoken = [(each.at, None) for each in latest if each.author in (Author.AI, Author.SYSTEM)]
    lines = sorted([*((each.at, each.text) for each in said), *heard, *spoken], key=lambda line: line[0], reverse=True)
    for (at, text), (before, ours) in pairwise(lines):
        if text is None:
            continue
        if ours is not None or at - before > AT_ONCE:
            return
        yield " ".join(text.casefold().split())


def _tokens(company: str, period: str) -> str:
    return f"tokens#{company}#{period}"
