"""Who must act next on a conversation, and the wake-up that tells them."""

from datetime import datetime, timedelta

from chalicelib.context import Context
from chalicelib.lifecycle import human_reason
from chalicelib.model import Bursts, Conversation, OutgoingState
from chalicelib.picture import tenant_of
from chalicelib.ports import Clock, Conversations, DrawPicture, Journal, PassOn, Queues, Tenants

#: How often the choice is made again when the record moved while a human's message was passed on.
_ATTEMPTS = 3


def route(
    conversation: Conversation,
    *,
    context: Context | None = None,
    conversations: Conversations,
    queues: Queues,
    tenants: Tenants,
    pass_on: PassOn,
    draw: DrawPicture,
    clock: Clock,
    journal: Journal,
    bursts: Bursts,
) -> str:
    """Wakes whoever must act next and says who: `human`, `sender`, `turn` or `nobody`.

    `context` is that of a message that has just come in. It always wakes a turn where the AI owns the conversation:
    an answer that was on its way when the record was read may be out by now.
    """
    current: Conversation | None = conversation
    for _ in range(_ATTEMPTS):
        if current is None or human_reason(current) is None:
            break
        if not is_unanswered(current):
            return "nobody"
        if pass_on(current, context=context):
            return "human"
        current = conversations.get(conversation.key)
    if current is None or not is_unanswered(current):
        return "nobody"
    if current.outgoing is not None and context is None:
        return _sender_for(current, draw, queues, clock, journal)
    if not current.somebody_waits:
        return "nobody"
    delay = _rest_of_burst(current, bursts.idle_for(tenant_of(current, tenants)), clock())
    queues.wake_turn((context or draw(current)).stamped(queued=clock()), delay=delay)
    journal(
        "turn_woken",
        "the AI answers when the person has finished",
        conversation=current.reference,
        message_id=current.newest_message_id,
        delay_seconds=delay.total_seconds(),
    )
    return "turn"


def is_unanswered(conversation: Conversation) -> bool:
    """Whether anybody must still do something about this conversation."""
    return conversation.somebody_waits or conversation.outgoing is not None or conversation.unanswered_since is not None


def _sender_for(conversation: Conversation, draw: DrawPicture, queues: Queues, clock: Clock, journal: Journal) -> str:
    """While a sender has an answer in its hands nobody need be woken: FINISH wakes the next turn."""
    outgoing = conversation.outgoing
    if outgoing is None or outgoing.state != OutgoingState.READY:
        return "nobody"
    text = "\n\n".join(part.text for part in outgoing.parts)
    context = draw(conversation).with_processing(ai_response=text)
    queues.wake_sender(context.stamped(sender_queued=clock()))
    journal("sender_woken", "an answer is ready to be sent", conversation=conversation.reference)
    return "sender"


def _rest_of_burst(conversation: Conversation, idle: timedelta, now: datetime) -> timedelta:
    """What is left of the burst window since the newest message; never more than the window itself."""
    last = conversation.last_inbound_at or now
    return min(max(last + idle - now, timedelta(0)), idle)
