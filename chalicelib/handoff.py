"""People: taking a conversation over, passing on what is for a human, and giving it back to the AI."""

from chalicelib.context import Context
from chalicelib.entries import keep_waiting
from chalicelib.errors import TryAgain
from chalicelib.lifecycle import human_reason
from chalicelib.model import Author, Conversation, ConversationKey, Outgoing, OutgoingState, Part, Status
from chalicelib.picture import newest_message, tenant_of, with_names
from chalicelib.ports import (
    Clock,
    Conversations,
    DrawPicture,
    History,
    Identifiers,
    Journal,
    PassOn,
    Queues,
    Splitter,
    TakeOver,
    Tenants,
)

#: How often a change of hands is decided again when the record moved under it.
_ATTEMPTS = 5


def pass_on(
    conversation: Conversation,
    *,
    context: Context | None = None,
    conversations: Conversations,
    history: History,
    queues: Queues,
    draw: DrawPicture,
    clock: Clock,
    journal: Journal,
) -> bool:
    """Puts a conversation that a human owns on the handoff queue and closes what waits in it.

    Messages are in the history before the record forgets them, and the record keeps saying that somebody waits until
    the queue has the context: whatever dies in between is found by `rescue`. False if the record moved meanwhile.
    """
    reason = human_reason(conversation) or "unanswered"
    keep_waiting(conversation, history)
    is_newest = context is not None and context.message.message_id == conversation.newest_message_id
    picture = context if context is not None and is_newest else draw(conversation)
    queues.hand_to_human(picture.stamped(queued=clock()), reason=conversation.handed_off_reason or reason)
    if _has_earlier_files(conversation, context):
        queues.wake_collector(picture)
    journal(
        "passed_to_human",
        "a human will answer",
        conversation=conversation.reference,
        message_id=conversation.newest_message_id,
        reason=reason,
    )
    return conversations.close(conversation) is not None


def take_over(
    key: ConversationKey,
    *,
    reason: str,
    words: str | None = None,
    status: Status = Status.HANDED_OFF_TO_HUMAN,
    seen: Conversation | None = None,
    drop_claim: str | None = None,
    conversations: Conversations,
    pass_on: PassOn,
    journal: Journal,
) -> Conversation | None:
    """HAND OVER: from now on no answer is committed or claimed; what waits goes to the handoff queue.

    An answer that is READY is dropped, and so is the one that the caller itself has claimed (`drop_claim`). Given what
    the caller has `seen`, it happens only if the record has not changed since: None, and nothing done, otherwise.
    A human who has it already keeps the first reason. `reason` is a code for logs; `words` say more to the human and
    are kept in the record and on the queue only. Raises TryAgain where the record would not hold still.
    """
    for _ in range(1 if seen else _ATTEMPTS):
        current = seen or conversations.get(key)
        if current is None:
            return None
        known = current.handed_off_reason if current.handed_off else None
        promised = current.outgoing.hands_over if current.outgoing else None
        owned = conversations.change_hands(
            current,
            to_human=True,
            reason=known or words or promised or reason,
            status=_status_of(current, status),
            drop_outgoing=_may_drop(current, drop_claim),
        )
        if owned is not None:
            journal("handed_off", "a human takes over", conversation=owned.reference, reason=reason, status=status)
            pass_on(owned)
            return owned
    if seen:
        return None
    raise TryAgain("the conversation changes faster than it can be handed over")


def give_up(
    seen: Conversation,
    *,
    reason: str,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    splitter: Splitter,
    queues: Queues,
    take_over: TakeOver,
    draw: DrawPicture,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> Conversation | None:
    """The AI cannot answer: a human gets the conversation as it was `seen`; None, and nothing done, if it has changed.

    Where the tenant has an apology it is committed as the answer, and whoever brings it out hands over: it leaves at
    most once, because it is an answer like any other, and a person hears it only once in a conversation.
    """
    tenant = tenant_of(seen, tenants)
    may_apologise = seen.somebody_waits and seen.outgoing is None and not seen.apologised
    if tenant is None or not tenant.apology_text or not may_apologise:
        return take_over(seen.key, reason=reason, status=Status.AI_FAILED, seen=seen)
    newest, words = newest_message(seen, history), with_names(tenant.apology_text, tenant)
    apology = Outgoing(
        after=seen.answered,
        to=seen.received,
        epoch=seen.epoch,
        state=OutgoingState.READY,
        token=identifiers(),
        channel=newest.channel,
        sender=newest.recipient,
        recipient=newest.sender,
        sender_pool=newest.sender_pool,
        parts=tuple(Part(text) for text in splitter.split(newest.channel, words, tenant=tenant)),
        committed_at=clock(),
        newest_at=newest.received_at,
        author=Author.SYSTEM,
        hands_over=reason,
    )
    keep_waiting(seen, history)
    committed = conversations.commit(seen, apology, newer_may_wait=False)
    if committed is None:
        return None
    journal("apology_committed", "the person is told that a human will answer", conversation=seen.reference)
    context = draw(committed)
    queues.wake_sender(context.stamped(sender_queued=clock()))
    if _has_earlier_files(seen, None):
        queues.wake_collector(context)
    return committed


def give_back(
    key: ConversationKey, *, conversations: Conversations, pass_on: PassOn, journal: Journal
) -> Conversation | None:
    """GIVE BACK: the AI answers what is written from now on; everything before stays with the human.

    Whatever is unanswered is on the handoff queue first, also where the taking over died before it got there.
    """
    told = False
    for _ in range(_ATTEMPTS):
        current = conversations.get(key)
        if current is None or not current.handed_off:
            return current
        if current.somebody_waits or (current.unanswered_since is not None and not told):
            pass_on(current)
            told = True
            continue
        returned = conversations.change_hands(
            current, to_human=False, reason=None, status=current.status, drop_outgoing=False
        )
        if returned is not None:
            journal("given_back", "the AI answers again", conversation=returned.reference)
            return returned
    raise TryAgain("the conversation changes faster than it can be given back")


def _has_earlier_files(conversation: Conversation, context: Context | None) -> bool:
    """Whether messages with files enter the history here; whoever records a message sees to its own files."""
    recorded_now = context.message.message_id if context is not None else None
    return any(each.media and each.message_id != recorded_now for each in conversation.waiting)


def _status_of(conversation: Conversation, status: Status) -> str:
    """What is over stays over, and what went wrong with a message does not hide that the person wants none."""
    hides = status in (Status.AI_FAILED, Status.SEND_FAILED) and conversation.status == Status.OPTED_OUT
    return conversation.status if hides or conversation.status.lower() == Status.CLOSED else status


def _may_drop(conversation: Conversation, claim: str | None) -> bool:
    outgoing = conversation.outgoing
    if outgoing is None:
        return False
    return outgoing.state == OutgoingState.READY or (claim is not None and outgoing.claim == claim)
