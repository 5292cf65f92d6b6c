"""Which state may follow which, and who owns a conversation; pure."""

from collections.abc import Mapping

from chalicelib.model import Conversation, Delivery, Outgoing, Status

_PERSON_WRITES = {Status.USER_REPLY_RECEIVED, Status.OPTED_OUT}
_ANYBODY_MAY = {Status.HANDED_OFF_TO_HUMAN, Status.CLOSED} | _PERSON_WRITES

#: What may follow each status. A person may write, opt out or be handed over at any moment, and an operator may
#: close a conversation at any moment. No write is spent on AI_PROCESSING alone: a desk derives it from a turn's log
#: line, and an engine that holds its state elsewhere may set it.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.INITIAL_MESSAGE_SENT: frozenset(_ANYBODY_MAY),
    Status.USER_REPLY_RECEIVED: frozenset(
        _ANYBODY_MAY | {Status.AI_PROCESSING, Status.AI_RESPONSE_READY, Status.AI_FAILED, Status.SEND_FAILED}
    ),
    Status.AI_PROCESSING: frozenset(_ANYBODY_MAY | {Status.AI_RESPONSE_READY, Status.AI_FAILED}),
    Status.AI_RESPONSE_READY: frozenset(_ANYBODY_MAY | {Status.AI_RESPONSE_SENT, Status.SEND_FAILED, Status.AI_FAILED}),
    Status.AI_RESPONSE_SENT: frozenset(_ANYBODY_MAY | {Status.AI_RESPONSE_READY, Status.AI_FAILED, Status.SEND_FAILED}),
    Status.HANDED_OFF_TO_HUMAN: frozenset(_ANYBODY_MAY | {Status.HUMAN_RESPONSE_SENT, Status.SEND_FAILED}),
    Status.HUMAN_RESPONSE_SENT: frozenset(_ANYBODY_MAY | {Status.SEND_FAILED}),
    Status.AI_FAILED: frozenset(_ANYBODY_MAY | {Status.HUMAN_RESPONSE_SENT, Status.SEND_FAILED}),
    Status.SEND_FAILED: frozenset(_ANYBODY_MAY | {Status.HUMAN_RESPONSE_SENT, Status.AI_RESPONSE_READY}),
    # who opts in again in another conversation is answered here, too
    Status.OPTED_OUT: frozenset(_ANYBODY_MAY | {Status.AI_RESPONSE_READY, Status.AI_FAILED}),
    Status.CLOSED: frozenset({Status.USER_REPLY_RECEIVED}),
}

#: Delivery statuses by rank. A status replaces another only if it ranks higher, so a status never goes back.
RANK: Mapping[Delivery, int] = {
    Delivery.QUEUED: 1,
    Delivery.SENDING: 2,
    Delivery.SENT: 3,
    Delivery.DELIVERED: 4,
    Delivery.READ: 5,
    Delivery.FAILED: 9,
    Delivery.UNDELIVERED: 9,
}

#: The end of a message that did not arrive. It replaces everything but the news that the message did arrive.
FAILURES = frozenset({Delivery.FAILED, Delivery.UNDELIVERED})


def may_follow(before: Status, after: Status) -> bool:
    """Whether `after` may follow `before`; the same status may always be written again."""
    return before == after or after in NEXT[before]


def replaces_below(status: Delivery) -> int:
    """The rank under which a recorded status gives way to `status`."""
    return RANK[Delivery.DELIVERED] if status in FAILURES else RANK[status]


def ends_with(outgoing: Outgoing) -> Mapping[str, str]:
    """Which status becomes which once the answer is out; any other stays as it is."""
    if outgoing.hands_over is None:
        return {Status.AI_RESPONSE_READY: Status.AI_RESPONSE_SENT.value}
    ended = Status.AI_FAILED if outgoing.is_apology else Status.HANDED_OFF_TO_HUMAN
    return {Status.AI_RESPONSE_READY: ended.value, Status.USER_REPLY_RECEIVED: ended.value}


def human_reason(conversation: Conversation) -> str | None:
    """Why a human must answer this person, or None where the AI may. The first reason that holds."""
    reasons = {
        "handed_off": conversation.handed_off,
        "closed": conversation.status.lower() == Status.CLOSED,
        "opted_out": conversation.opted_out,
        "no_consent": not conversation.consent,
        "project_not_active": (conversation.project_status or "active").lower() != "active",
        "channel_not_allowed": _channel_is_excluded(conversation),
        "auto_queue": conversation.auto_queue or _sender_is_listed(conversation),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def nothing_may_be_sent(conversation: Conversation) -> bool:
    """Whether the person must not get any message from us."""
    return conversation.opted_out or not conversation.consent


def is_open(conversation: Conversation, now_epoch_seconds: float) -> bool:
    """Whether a reply still belongs here: not closed, and its time to live has not passed."""
    expired = conversation.expires_at is not None and conversation.expires_at <= now_epoch_seconds
    return conversation.status.lower() != Status.CLOSED and not expired


def bare(address: str) -> str:
    """An address in the form in which two spellings of it are equal: no prefix, plus or blanks, lower case."""
    _, _, rest = address.rpartition("whatsapp:")
    return rest.replace(" ", "").lstrip("+").lower()


def _channel_is_excluded(conversation: Conversation) -> bool:
    """Whether the project may not use the channel that an answer would take."""
    allowed = {name.lower() for name in conversation.allowed_channels}
    channel = conversation.waiting[-1].channel if conversation.waiting else conversation.channel
    return bool(allowed) and channel is not None and channel not in allowed


def _sender_is_listed(conversation: Conversation) -> bool:
    listed = {bare(address) for address in conversation.auto_queue_senders}
    senders = (conversation.key.person, *(message.sender for message in conversation.waiting))
    return any(bare(sender) in listed for sender in senders)
