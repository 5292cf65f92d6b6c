"""What no event will wake: stalled turns, answers nobody sent, and sends whose outcome is in doubt."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chalicelib.errors import Refused, RelayError
from chalicelib.lifecycle import human_reason
from chalicelib.model import Conversation, ConversationKey, OutgoingState, Status
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

#: Nobody is looked at who has waited for less than this.
LOOK_AFTER = timedelta(seconds=60)

#: A turn, with the queue's own second attempt, is over by then.
TURN_IS_LATE = timedelta(seconds=240)

#: A sender that was woken has claimed by then.
SENDER_IS_LATE = timedelta(seconds=60)

#: The Lambda of a sender has ended by then, and the provider lists what it took from it.
CLAIM_IS_LATE = timedelta(seconds=120)

#: Clocks of two machines may disagree by this much.
CLOCKS_DISAGREE = timedelta(seconds=120)

#: A conversation is rescued this often before a human gets it.
MOST_RESCUES = 3

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)

#: How many conversations one sweep looks at; the next sweep follows in a minute.
SWEEP_LIMIT = 200


def sweep(
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
) -> int:
    """SWEEP: looks at everybody who has waited too long and does what is due; how many needed something.

    One conversation that fails does not keep the others waiting. What is our own bug is raised at the end.
    """
    overdue = conversations.overdue(clock() - LOOK_AFTER, limit=SWEEP_LIMIT)
    done, bugs = 0, list[Exception]()
    for key in overdue:
        try:
            done += _rescue(key, conversations, history, tenants, secrets, providers, route, take_over, clock, journal)
        except Exception as failure:
            journal("rescue_failed", "the next sweep tries again", error=type(failure).__name__)
            bugs += [] if isinstance(failure, RelayError) else [failure]
    journal("rescue_swept", "everybody who waits too long was looked at", waiting=len(overdue), rescued=done)
    if bugs:
        raise bugs[0]
    return done


def _rescue(
    key: ConversationKey,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    providers: Providers,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
    journal: Journal,
) -> bool:
    seen, now = conversations.get(key), clock()
    if seen is None:
        return False
    outgoing = seen.outgoing
    if outgoing is not None and outgoing.state == OutgoingState.CLAIMED:
        if outgoing.claimed_at is None or now - outgoing.claimed_at < CLAIM_IS_LATE:
            return False
        settle(
            seen,
            conversations=conversations,
            history=history,
            tenants=tenants,
            secrets=secrets,
            providers=providers,
            route=route,
            take_over=take_over,
            clock=clock,
            journal=journal,
        )
        return True
    if human_reason(seen) is not None:
        human = conversations.drop(seen) if outgoing is not None else seen
        return human is not None and route(human) == "human"
    if not _ai_must_act(seen):
        return conversations.close(seen) is not None
    return _is_late(seen, now) and _wake(seen, conversations, route, take_over, now, journal)


def _ai_must_act(seen: Conversation) -> bool:
    """Whether a turn or a sender must still act; otherwise the record only says that somebody waits."""
    return seen.somebody_waits or seen.outgoing is not None


def _is_late(seen: Conversation, now: datetime) -> bool:
    """Whether whoever was woken last should have acted by now."""
    if seen.outgoing is not None:
        return now - max(seen.outgoing.committed_at, seen.rescued_at or seen.outgoing.committed_at) >= SENDER_IS_LATE
    moments = [at for at in (seen.unanswered_since, seen.last_inbound_at, seen.rescued_at) if at is not None]
    return bool(moments) and now - max(moments) >= TURN_IS_LATE


def _wake(
    seen: Conversation,
    conversations: Conversations,
    route: Route,
    take_over: TakeOver,
    now: datetime,
    journal: Journal,
) -> bool:
    if seen.rescues >= MOST_RESCUES:
        return take_over(seen.key, reason="ai_failed:no_answer", status=Status.AI_FAILED) is not None
    counted = conversations.rescued(seen, at=now)
    if counted is None:
        return False
    journal("rescue_woke", "somebody waited too long", conversation=seen.reference, what=route(counted))
    return True


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
    """SETTLE: reads the provider's own list to learn what became of an answer whose sender did not come back.

    All parts found: FINISH. Otherwise what is missing becomes READY again, at most three times, then a human gets it.
    A part that went out is never sent again.
    """
    outgoing = outgoing_of(seen)
    try:
        _, channel = provider_of(seen, tenants, secrets, providers)
    except Refused as refusal:
        take_over(
            seen.key, reason=f"send_unsettled:{refusal.code}", status=Status.SEND_FAILED, drop_claim=outgoing.claim
        )
        return
    begun = outgoing.first_claimed_at or outgoing.committed_at
    posted = channel.posted_since(outgoing, begun - CLOCKS_DISAGREE)
    settled = _with_what_is_out(seen, _not_ours_before(seen, posted, history))
    missing = outgoing_of(settled).unsent
    outcome = "found" if not missing else "missing" if missing == outgoing.unsent else "part_found"
    journal("answer_settled", "the provider's list was read", conversation=seen.reference, outcome=outcome)
    if not missing:
        conclude(settled, conversations=conversations, history=history, route=route, clock=clock, journal=journal)
        return
    _keep_what_is_out(seen, settled, conversations)
    _retry_or_end(seen, conversations, history, route, take_over, clock)


def _retry_or_end(
    seen: Conversation,
    conversations: Conversations,
    history: History,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
) -> None:
    """What is missing of an answer is sent again, unless it has been tried often enough or a human owns it by now."""
    outgoing = outgoing_of(seen)
    a_human_owns = human_reason(seen) is not None
    if not a_human_owns and outgoing.attempts < MOST_ATTEMPTS:
        released = conversations.release(seen)
        if released is not None:
            route(released)
        return
    note_failure(seen, "not_sent", conversations=conversations, history=history, clock=clock)
    if a_human_owns:
        dropped = conversations.drop(seen)
        if dropped is not None:
            route(dropped)
        return
    take_over(seen.key, reason="send_failed:attempts", status=Status.SEND_FAILED, drop_claim=outgoing.claim)


def _not_ours_before(seen: Conversation, posted: Sequence[Posted], history: History) -> list[Posted]:
    """What the provider lists, oldest first, less what the history knows as some other message."""
    latest = history.latest(seen.key.conversation_id, limit=SWEEP_LIMIT)
    known = {entry.provider_id for entry in latest}
    known |= {part.provider_id for part in outgoing_of(seen).parts}
    fresh = [each for each in posted if each.provider_id not in known]
    return sorted(fresh, key=lambda each: each.at or _END_OF_TIME)


def _with_what_is_out(seen: Conversation, posted: list[Posted]) -> Conversation:
    """Each unsent part takes the oldest listed message with its text, if there is one."""
    left, settled = list(posted), seen
    for part in outgoing_of(seen).unsent:
        text = outgoing_of(seen).parts[part].text.strip()
        match = next((each for each in left if each.text.strip() == text), None)
        if match is not None:
            left.remove(match)
            settled = with_part(settled, part, match.provider_id)
    return settled


def _keep_what_is_out(seen: Conversation, settled: Conversation, conversations: Conversations) -> None:
    before, after = outgoing_of(seen), outgoing_of(settled)
    for part in before.unsent:
        provider_id = after.parts[part].provider_id
        if provider_id is not None:
            conversations.sent_part(seen.key, token=before.token, part=part, provider_id=provider_id)
