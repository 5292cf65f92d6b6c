"""Stage 3, the Sender: hands each answer to its channel at most once and records the outcome."""

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.context import Context
from chalicelib.entries import entries_of_answer
from chalicelib.errors import Refused, TryAgain, Unconfirmed
from chalicelib.model import Channel, Conversation, OutgoingState, Patience, Refusal, Status
from chalicelib.outbound import (
    MOST_ATTEMPTS,
    conclude,
    credentials_changed,
    note_failure,
    offer_template,
    opt_out_recipient,
    outgoing_of,
    provider_of,
    with_part,
)
from chalicelib.picture import tenant_of
from chalicelib.ports import (
    CallbackUrl,
    Clock,
    Conversations,
    History,
    Identifiers,
    Journal,
    OptOuts,
    OutgoingChannel,
    Providers,
    Route,
    Secret,
    Secrets,
    TakeOver,
    Tenants,
)


def send(
    context: Context,
    *,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    providers: Providers,
    callback_url: CallbackUrl,
    opt_outs: OptOuts,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
    patience: Patience,
) -> None:
    """CLAIM, POST, FINISH. Whatever answer is ready in this conversation is sent; `context` only says where to look.

    Dying between CLAIM and FINISH leaves the answer CLAIMED: nobody posts it again before `rescue` has settled
    whether it went out.
    """
    claim = conversations.claim(context.key, claim=identifiers(), at=clock())
    if not claim.granted:
        _leave(claim.conversation, conversations, route, journal)
        return
    assert claim.conversation is not None
    claimed = claim.conversation
    outgoing = outgoing_of(claimed)
    journal(
        "answer_claimed",
        "an answer is about to be sent",
        conversation=claimed.reference,
        attempt=outgoing.attempts,
        parts=len(outgoing.unsent),
    )
    posting = _Posting(claimed, conversations, clock, journal, patience)
    try:
        secret, channel = provider_of(claimed, tenants, secrets, providers)
        sent = _post_parts(posting, channel, secret, history, callback_url)
    except Refused as refusal:
        if refusal.code == WRONG_CREDENTIALS and credentials_changed(claimed, tenants, secrets):
            _is_ready_again(posting.current, conversations, history, take_over, clock, journal)
            raise TryAgain("the credentials were rotated") from None
        if refusal.kind == Refusal.OPTED_OUT:
            opt_out_recipient(posting.current, tenants, conversations, opt_outs, clock)
        if refusal.kind == Refusal.WINDOW_CLOSED:
            note_failure(posting.current, refusal.code, conversations=conversations, history=history, clock=clock)
            if offer_template(
                posting.current,
                outgoing_of(posting.current),
                tenant=tenant_of(posting.current, tenants),
                conversations=conversations,
                route=route,
                clock=clock,
                identifiers=identifiers,
                journal=journal,
            ):
                return
        _refused(posting.current, refusal, conversations, history, take_over, clock, journal)
    except TryAgain:
        if _is_ready_again(posting.current, conversations, history, take_over, clock, journal):
            raise
    except Unconfirmed:
        journal(
            "answer_unconfirmed",
            "the provider may have taken the answer; it is settled before anybody sends again",
            conversation=claimed.reference,
        )
    else:
        if sent is not None:
            conclude(sent, conversations=conversations, history=history, route=route, clock=clock, journal=journal)


#: WhatsApp delivers a text only to who has written within this time. Source: WhatsApp, "Customer service windows".
WINDOW = timedelta(hours=24)

#: Twilio's code for credentials that it does not know.
WRONG_CREDENTIALS = "20003"


@dataclass(slots=True)
class _Posting:
    """A claimed answer on its way through its channel; `current` is the record as this sender knows it."""

    current: Conversation
    conversations: Conversations
    clock: Clock
    journal: Journal
    patience: Patience


def _post_parts(
    posting: _Posting, channel: OutgoingChannel, secret: Secret, history: History, callback_url: CallbackUrl
) -> Conversation | None:
    """Posts what is not out yet, in order; the record as FINISH needs it, or None if somebody else settled it."""
    outgoing = outgoing_of(posting.current)
    _demand_open_window(posting)
    for entry in entries_of_answer(posting.current, outgoing):
        history.begin(entry)
    for part in outgoing.unsent:
        url = callback_url(posting.current.key, outgoing.position(part), secret)
        _demand_in_time(posting)
        noted = _noted(posting, part, channel.post(outgoing, part, callback_url=url))
        if noted is None:
            return None
        posting.current = noted
    return posting.current


def _demand_open_window(posting: _Posting) -> None:
    """Raises Refused for a text that WhatsApp would not deliver."""
    current, outgoing = posting.current, outgoing_of(posting.current)
    heard_at = current.last_inbound_at
    bound = outgoing.channel == Channel.WHATSAPP and outgoing.template is None
    if bound and heard_at is not None and posting.clock() - heard_at > WINDOW:
        raise Refused("window_closed", kind=Refusal.WINDOW_CLOSED)


def _demand_in_time(posting: _Posting) -> None:
    """Raises TryAgain where this process was held up: by now somebody may be settling the answer as not sent."""
    claimed_at = outgoing_of(posting.current).claimed_at
    if claimed_at is None or posting.clock() - claimed_at > posting.patience.post_within:
        raise TryAgain("this sender was held up too long to send")


def _noted(posting: _Posting, part: int, provider_id: str) -> Conversation | None:
    """The record knows each part that is out before the next one goes; of the last one FINISH tells it."""
    current, outgoing = posting.current, outgoing_of(posting.current)
    posting.journal(
        "part_posted",
        "the provider has taken a part of an answer",
        conversation=current.reference,
        provider_id=provider_id,
        part=part + 1,
    )
    if part == outgoing.unsent[-1]:
        return with_part(current, part, provider_id)
    try:
        return posting.conversations.sent_part(
            current.key, token=outgoing.token, part=part, provider_id=provider_id, claim=outgoing.claim
        )
    except TryAgain as failure:
        raise Unconfirmed("a part is out, but the record may not know it") from failure


def _leave(found: Conversation | None, conversations: Conversations, route: Route, journal: Journal) -> None:
    """Another sender has the answer, or it is gone already, or it must not be sent any more."""
    outgoing = found.outgoing if found else None
    if found is None or outgoing is None or outgoing.state == OutgoingState.CLAIMED:
        journal("nothing_to_send", "there is no answer to claim", conversation=found.reference if found else None)
        return
    dropped = conversations.drop(found)
    if dropped is not None:
        journal("answer_suppressed", "a human has taken over before the answer left", conversation=found.reference)
        route(dropped)


def _refused(
    claimed: Conversation,
    refusal: Refused,
    conversations: Conversations,
    history: History,
    take_over: TakeOver,
    clock: Clock,
    journal: Journal,
) -> None:
    """The provider said no: the answer is over, its history says so, and a human gets the conversation."""
    journal(
        "answer_refused",
        "the provider refuses the answer, so a human must act",
        conversation=claimed.reference,
        code=refusal.code,
    )
    note_failure(claimed, refusal.code, conversations=conversations, history=history, clock=clock)
    status = Status.OPTED_OUT if refusal.kind == Refusal.OPTED_OUT else Status.SEND_FAILED
    _give_to_human(claimed, f"send_refused:{refusal.code}", take_over, status)


def _is_ready_again(
    claimed: Conversation,
    conversations: Conversations,
    history: History,
    take_over: TakeOver,
    clock: Clock,
    journal: Journal,
) -> bool:
    """Nobody said no and nothing more went out: the answer is READY again, or a human's after too many attempts."""
    journal("answer_delayed", "the provider is busy", conversation=claimed.reference)
    if outgoing_of(claimed).attempts < MOST_ATTEMPTS:
        conversations.release(claimed)
        return True
    note_failure(claimed, "attempts", conversations=conversations, history=history, clock=clock)
    _give_to_human(claimed, "send_failed:attempts", take_over)
    return False


def _give_to_human(
    claimed: Conversation, reason: str, take_over: TakeOver, status: Status = Status.SEND_FAILED
) -> None:
    take_over(claimed.key, reason=reason, status=status, drop_claim=outgoing_of(claimed).claim)
