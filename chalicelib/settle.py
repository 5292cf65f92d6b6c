"""Settles an answer whose sender did not come back: is it out, in part, or not at all?"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from chalicelib.errors import Refused
from chalicelib.lifecycle import human_reason
from chalicelib.model import Conversation, Status
from chalicelib.outbound import MOST_ATTEMPTS, conclude, note_failure, outgoing_of, provider_of, with_part
from chalicelib.ports import (
    Clock,
    Conversations,
    History,
    Journal,
    Posted,
    Providers,
    Route,
    Secrets,
    TakeOver,
    Tenants,
)

#: Clocks of two machines may disagree by this much, so what was listed that much before the claim counts too.
CLOCKS_DISAGREE = timedelta(seconds=120)

#: The provider tells whole seconds of its own clock: a listed message this much older than the claim may be ours.
MAY_BE_OURS = timedelta(seconds=31)

#: How far back the history is read for messages that the provider may list.
_LOOK_BACK = 200

#: What Twilio puts before each message of a trial account. Source: Twilio, "Free Trial limitations".
TRIAL = "Sent from your Twilio trial account - "

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def settle(
    seen: Conversation,
    *,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    providers: Providers,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
    journal: Journal,
) -> None:
    """SETTLE: reads our history and the provider's own list to learn what became of a claimed answer.

    All parts found: FINISH. Otherwise what is missing becomes READY again, at most three times, then a human gets it. A
    part that went out is never sent again, and where the list holds a message that nobody can explain a human decides.
    Raises TryAgain where the provider cannot be asked.
    """
    outgoing = outgoing_of(seen)
    try:
        _, channel = provider_of(seen, tenants, secrets, providers)
        begun = outgoing.first_claimed_at or outgoing.committed_at
        posted = channel.posted_since(outgoing, begun - CLOCKS_DISAGREE)
    except Refused as refusal:
        _give_up(seen, f"send_unsettled:{refusal.code}", take_over)
        return
    held = {each.provider_id for each in posted if history.holds(each.provider_id)}
    # read after that: what a history held by then and this one does not is the person's other conversation's
    known = _known_to_history(seen, history)
    listed = _oldest_first(each for each in posted if each.provider_id not in held.union(known.values()))
    settled, unexplained = _matched(_with_history(seen, known), listed)
    missing = outgoing_of(settled).unsent
    outcome = "found" if not missing else "part_found" if missing != outgoing.unsent else "missing"
    journal("answer_settled", "the provider's list was read", conversation=seen.reference, outcome=outcome)
    if not missing:
        conclude(settled, conversations=conversations, history=history, route=route, clock=clock, journal=journal)
        return
    _keep_what_is_out(seen, settled, conversations)
    if any(each.at is None or each.at >= begun - MAY_BE_OURS for each in unexplained):
        _give_up(seen, "send_unsettled:unclear", take_over)
        return
    _retry_or_end(seen, conversations, history, route, take_over, clock)


def _known_to_history(seen: Conversation, history: History) -> dict[str, str]:
    """The provider ids of the newest messages of the conversation, by position."""
    latest = history.latest(seen.key.conversation_id, limit=_LOOK_BACK)
    return {entry.position: entry.provider_id for entry in latest if entry.provider_id is not None}


def _with_history(seen: Conversation, known: dict[str, str]) -> Conversation:
    """The history may know that a part is out although the record was never told."""
    settled = seen
    for part in outgoing_of(seen).unsent:
        provider_id = known.get(outgoing_of(seen).position(part))
        if provider_id is not None:
            settled = with_part(settled, part, provider_id)
    return settled


def _oldest_first(posted: Iterable[Posted]) -> list[Posted]:
    return sorted(posted, key=lambda each: each.at or _END_OF_TIME)


def _matched(seen: Conversation, listed: Sequence[Posted]) -> tuple[Conversation, list[Posted]]:
    """Each unsent part takes the oldest listed message with its text; what no part takes is left over."""
    ours = {part.provider_id for part in outgoing_of(seen).parts}
    left, settled = [each for each in listed if each.provider_id not in ours], seen
    for part in outgoing_of(seen).unsent:
        text = outgoing_of(seen).parts[part].text
        match = next((each for each in left if _is_text(text, each.text)), None)
        if match is not None:
            left.remove(match)
            settled = with_part(settled, part, match.provider_id)
    return settled, left


def _is_text(ours: str, listed: str) -> bool:
    """Whether the provider's text is ours, blanks aside."""
    return listed.removeprefix(TRIAL).split() == ours.split()


def _keep_what_is_out(seen: Conversation, settled: Conversation, conversations: Conversations) -> None:
    before, after = outgoing_of(seen), outgoing_of(settled)
    for part in before.unsent:
        provider_id = after.parts[part].provider_id
        if provider_id is not None:
            conversations.sent_part(seen.key, token=before.token, part=part, provider_id=provider_id)


def _retry_or_end(
    seen: Conversation,
    conversations: Conversations,
    history: History,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
) -> None:
    """What is missing of an answer is sent again, unless it has been tried often enough or a human owns it by now."""
    a_human_owns = human_reason(seen) is not None
    if not a_human_owns and outgoing_of(seen).attempts < MOST_ATTEMPTS:
        released = conversations.release(seen)
        if released is not None:
            route(released)
        return
    note_failure(seen, "not_sent", conversations=conversations, history=history, clock=clock)
    if not a_human_owns:
        _give_up(seen, "send_failed:attempts", take_over)
        return
    dropped = conversations.drop(seen)
    if dropped is not None:
        route(dropped)


def _give_up(seen: Conversation, reason: str, take_over: TakeOver) -> None:
    take_over(seen.key, reason=reason, status=Status.SEND_FAILED, drop_claim=outgoing_of(seen).claim)
