"""Stage 2, the ReplyProcessor: takes all that waits, asks the engine, and commits the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.attachments import LOOK_AGAIN, lack_files, with_files
from chalicelib.consent import company_of
from chalicelib.context import Context, credentials_reference
from chalicelib.entries import all_waiting, keep_waiting, spoken_before, with_quotations
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.lifecycle import human_reason
from chalicelib.model import (
    Answer,
    Bursts,
    Channel,
    Conversation,
    HistoryEntry,
    OnNewMessage,
    Outgoing,
    OutgoingState,
    Part,
    Tenant,
    Turn,
    Waiting,
)
from chalicelib.picture import tenant_of
from chalicelib.ports import (
    Clock,
    Conversations,
    Engines,
    Gather,
    GiveUp,
    History,
    Identifiers,
    Journal,
    Meters,
    OptOuts,
    Providers,
    Queues,
    Route,
    Secret,
    Secrets,
    Splitter,
    TakeOver,
    Tenants,
    Tools,
)
from chalicelib.restraint import count_tokens, reason_to_refrain

#: How many messages of the history an engine is shown, and how many are read at most.
HISTORY_LIMIT = 60
READ_LIMIT = 1_000

#: How many files go out with an answer at most.
MOST_FILES = 10


@dataclass(frozen=True, slots=True)
class _Taken:
    """What TAKE found: the record, everything that waits, and what was said before."""

    seen: Conversation
    latest: Sequence[HistoryEntry]
    waiting: Sequence[Waiting]
    tenant: Tenant | None
    burst_is_over: bool  #: the oldest message has waited so long that newer ones need not be awaited
    at: datetime


def reply(
    context: Context,
    *,
    last_attempt: bool,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    engines: Engines,
    tools: Tools,
    look_up: Gather,
    splitter: Splitter,
    opt_outs: OptOuts,
    meters: Meters,
    providers: Providers,
    queues: Queues,
    route: Route,
    take_over: TakeOver,
    give_up: GiveUp,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
    bursts: Bursts,
) -> None:
    """One turn: TAKE, THINK, COMMIT. `context` says which message woke it; everything else is read from the tables.

    Dying anywhere before COMMIT leaves no trace but cost. `last_attempt`: the queue will not try again, so what cannot
    be answered now goes to a human.
    """
    taken = _take(context, conversations, history, tenants, route, clock, journal, bursts)
    if taken is None:
        return
    seen = taken.seen
    if opt_outs.holds(company_of(seen, taken.tenant), seen.key.person):
        _leave_in_peace(seen, conversations, route, journal)
        return
    taken = replace(taken, waiting=with_files(seen, taken.waiting, look_up=look_up, clock=clock))
    if lack_files(taken.waiting) and not taken.burst_is_over:
        _look_again(context, taken, queues, clock, journal)
        return
    try:
        _demand_complete(taken)
        reason = reason_to_refrain(seen, taken.tenant, taken.latest, taken.waiting, meters=meters, at=taken.at)
        if reason is not None:
            _refrain(seen, reason, take_over, journal)
            return
        _show_typing(taken, secrets, providers, journal)
        answer = _think(taken, secrets, engines, tools, journal)
        count_tokens(seen, taken.tenant, answer.usage, meters=meters, journal=journal, at=clock())
    except Refused as refusal:
        _fail(seen, refusal, refusal.code, give_up, journal)
        return
    except (TryAgain, Unconfirmed) as failure:
        if not last_attempt:
            raise
        _fail(seen, failure, type(failure).__name__, give_up, journal)
        return
    if answer.hand_off_reason is not None and not answer.text:
        if take_over(seen.key, reason="asked_by_ai", words=answer.hand_off_reason, seen=seen) is None:
            _discard(seen, journal)
        return
    _commit(context, taken, answer, conversations, history, splitter, queues, clock, identifiers, journal)


def _take(
    context: Context,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    route: Route,
    clock: Clock,
    journal: Journal,
    bursts: Bursts,
) -> _Taken | None:
    """TAKE: the whole burst, if this wake-up is the one that should answer it; None drops the wake-up."""
    seen = conversations.get(context.key)
    now = clock()
    tenant = tenant_of(seen, tenants) if seen else None
    burst_is_over = seen is not None and _waited(seen, now) >= bursts.longest_for(tenant).total_seconds()
    reason = _reason_to_drop(seen, context, burst_is_over)
    if seen is None or reason:
        if seen is not None and reason in ("human_owns", "answer_on_its_way"):
            route(seen)
        journal(
            "wakeup_dropped",
            "this wake-up has nothing to answer",
            conversation=seen.reference if seen else None,
            message_id=context.message.message_id,
            reason=reason,
        )
        return None
    limit = min(HISTORY_LIMIT + seen.received - seen.answered, READ_LIMIT)
    latest = history.latest(seen.key.conversation_id, limit=limit)
    waiting = with_quotations(seen, all_waiting(seen, latest), latest)
    return _Taken(seen, latest, waiting, tenant, burst_is_over, now)


def _reason_to_drop(seen: Conversation | None, context: Context, burst_is_over: bool) -> str | None:
    if seen is None:
        return "no_conversation"
    if not seen.somebody_waits:
        return "nothing_waits"
    if human_reason(seen) is not None:
        return "human_owns"
    if seen.outgoing is not None:
        return "answer_on_its_way"
    if seen.newest_message_id != context.message.message_id and not burst_is_over:
        return "newer_message"
    return None


def _waited(seen: Conversation, now: datetime) -> float:
    """Seconds since the oldest message that waits came in."""
    oldest = seen.waiting[0].received_at if seen.waiting else seen.unanswered_since
    return (now - oldest).total_seconds() if oldest else 0.0


def _refrain(seen: Conversation, reason: str, take_over: TakeOver, journal: Journal) -> None:
    journal("turn_refrained", "the AI leaves this to a human", conversation=seen.reference, reason=reason)
    if take_over(seen.key, reason=reason, seen=seen) is None:
        _discard(seen, journal)


def _show_typing(taken: _Taken, secrets: Secrets, providers: Providers, journal: Journal) -> None:
    """The person sees that somebody is writing, where the tenant and the channel have that; its failure is nobody's."""
    tenant, newest = taken.tenant, taken.waiting[-1]
    if tenant is None or not tenant.typing_indicator or newest.channel != Channel.WHATSAPP:
        return
    reference = credentials_reference(taken.seen, tenant, newest.channel)
    try:
        found = secrets.current(reference) if reference else ()
        if found:
            providers.sender(newest.channel, found[0], tenant=tenant).typing(newest.message_id)
    except RelayError as failure:
        journal("typing_not_shown", "the turn goes on", conversation=taken.seen.reference, error=type(failure).__name__)


def _leave_in_peace(seen: Conversation, conversations: Conversations, route: Route, journal: Journal) -> None:
    """The person has opted out where this record did not hear of it: now it does, and a human gets what waits."""
    journal("wakeup_dropped", "the person wants no messages", conversation=seen.reference, reason="opted_out")
    conversations.opt(seen.key, out=True)
    current = conversations.get(seen.key)
    if current is not None:
        route(current)


def _look_again(context: Context, taken: _Taken, queues: Queues, clock: Clock, journal: Journal) -> None:
    """A burst is not complete before its voice notes can be read; it waits for them as long as for the person."""
    queues.wake_turn(context.stamped(queued=clock()), delay=LOOK_AGAIN)
    journal(
        "turn_waits_for_files",
        "a file is not there yet; the turn looks again",
        conversation=taken.seen.reference,
        message_id=context.message.message_id,
    )


def _demand_complete(taken: _Taken) -> None:
    """Raises TryAgain until the history has what the record has no room for; it may be a moment late."""
    if len(taken.waiting) < taken.seen.received - taken.seen.answered:
        raise TryAgain("a message that waits is not in the history yet")


def _think(taken: _Taken, secrets: Secrets, engines: Engines, tools: Tools, journal: Journal) -> Answer:
    """THINK: asks the tenant's engine; nothing that it does needs undoing."""
    seen, tenant = taken.seen, taken.tenant
    settings = seen.ai.or_else(tenant.ai) if tenant else seen.ai
    journal(
        "turn_started",
        "the engine is asked",
        conversation=seen.reference,
        message_ids=[message.message_id for message in taken.waiting],
        first=seen.answered + 1,
        last=seen.received,
        engine=settings.engine,
    )
    turn = Turn(
        reference=seen.reference,
        conversation_id=seen.key.conversation_id,
        after=seen.answered,
        number=seen.received,
        company_id=seen.company_id or (tenant.company_id if tenant else ""),
        project_id=seen.project_id or (tenant.project_id if tenant else ""),
        company_name=seen.company_name or (tenant.company_name if tenant else ""),
        project_name=seen.project_name or (tenant.project_name if tenant else ""),
        person_name=seen.person_name,
        channel=taken.waiting[-1].channel,
        settings=settings,
        history=spoken_before(seen, taken.latest),
        waiting=taken.waiting,
        project_data=seen.project_data,
        thread=seen.thread,
    )
    return engines.of(turn).answer(turn, _keys(settings.api_key_reference, secrets), tools.of(turn))


def _keys(reference: str | None, secrets: Secrets) -> Sequence[Secret]:
    found = secrets.current(reference) if reference else ()
    if not found:
        raise Refused("no_ai_credentials", "the tenant has no usable API key for its engine")
    return found


def _commit(
    context: Context,
    taken: _Taken,
    answer: Answer,
    conversations: Conversations,
    history: History,
    splitter: Splitter,
    queues: Queues,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> None:
    """COMMIT: closes what the answer covers. What waited is in the history before the record forgets it."""
    outgoing = _outgoing(taken, answer, splitter, clock(), identifiers())
    keep_waiting(taken.seen, history, {each.message_id: each.media for each in taken.waiting})
    after = conversations.commit(
        taken.seen,
        outgoing,
        newer_may_wait=_newer_may_wait(taken),
        outcome=answer.outcome,
        thread=answer.thread,
    )
    if after is None:
        _discard(taken.seen, journal)
        return
    journal(
        "turn_committed",
        "an answer is committed",
        conversation=after.reference,
        first=outgoing.after + 1,
        last=outgoing.to,
        messages=outgoing.to - outgoing.after,
        parts=len(outgoing.parts),
        model=answer.usage.model,
        milliseconds=answer.usage.milliseconds,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        completed=1 if answer.outcome is not None else None,
    )
    ready = context.with_processing(ai_response=answer.text).stamped(
        ai_started=taken.at, ai_completed=outgoing.committed_at, sender_queued=clock()
    )
    queues.wake_sender(_with_status(ready, after))


def _newer_may_wait(taken: _Taken) -> bool:
    """Whether the answer leaves although the person has written since the engine was asked."""
    continues = taken.tenant is not None and taken.tenant.on_new_message == OnNewMessage.SEND_THEN_CONTINUE
    return taken.burst_is_over or continues


def _outgoing(taken: _Taken, answer: Answer, splitter: Splitter, at: datetime, token: str) -> Outgoing:
    seen, newest = taken.seen, taken.waiting[-1]
    texts = splitter.split(newest.channel, answer.text, tenant=taken.tenant)
    files = (Part("", media_url=url) for url in answer.media_urls[:MOST_FILES])
    return Outgoing(
        after=seen.answered,
        to=seen.received,
        epoch=seen.epoch,
        state=OutgoingState.READY,
        token=token,
        channel=newest.channel,
        sender=newest.recipient,
        recipient=newest.sender,
        sender_pool=newest.sender_pool,
        parts=(*(Part(text) for text in texts), *files),
        committed_at=at,
        newest_at=newest.received_at,
        usage=answer.usage,
        hands_over=answer.hand_off_reason,
    )


def _with_status(context: Context, conversation: Conversation) -> Context:
    changed = context.conversation.model_copy(update={"conversation_status": conversation.status})
    return context.model_copy(update={"conversation": changed})


def _discard(seen: Conversation, journal: Journal) -> None:
    journal(
        "turn_discarded",
        "the conversation moved on while the engine was thinking; a newer wake-up answers",
        conversation=seen.reference,
        first=seen.answered + 1,
        last=seen.received,
    )


def _fail(seen: Conversation, failure: RelayError, code: str, give_up: GiveUp, journal: Journal) -> None:
    journal(
        "turn_failed",
        "the engine cannot answer, so a human must",
        conversation=seen.reference,
        error=type(failure).__name__,
        code=code,
    )
    if give_up(seen, reason=f"ai_failed:{code}") is None:
        _discard(seen, journal)
