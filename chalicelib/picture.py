"""The context object of a conversation, drawn from what the tables know."""

from datetime import UTC, datetime

from chalicelib.context import Context, context_of
from chalicelib.entries import message_of
from chalicelib.model import Author, Channel, Conversation, Tenant, Waiting
from chalicelib.ports import Clock, History, Identifiers, Tenants

#: How far back the person's newest message is looked for when nothing waits.
_LOOK_BACK = 20

_EPOCH = datetime.fromtimestamp(0, UTC)


def picture(
    conversation: Conversation,
    *,
    tenants: Tenants,
    history: History,
    clock: Clock,
    identifiers: Identifiers,
) -> Context:
    """The complete picture of the conversation and the person's newest message."""
    message = newest_message(conversation, history)
    return context_of(
        conversation,
        message,
        tenant=tenants.at(message.channel, message.recipient),
        request_id=identifiers(),
        at=clock(),
    )


def newest_message(conversation: Conversation, history: History) -> Waiting:
    """The newest message of the person: from the record while it waits, else from the history."""
    if conversation.waiting and not conversation.overflowing:
        return conversation.waiting[-1]
    latest = history.latest(conversation.key.conversation_id, limit=_LOOK_BACK)
    written = [entry for entry in latest if entry.author == Author.USER]
    if written:
        return message_of(written[-1])
    return conversation.waiting[-1] if conversation.waiting else _no_message(conversation)


def tenant_of(conversation: Conversation, tenants: Tenants) -> Tenant | None:
    """The tenant that speaks in this conversation, by the address that the person used last."""
    channel, address = _spoken_to(conversation)
    return tenants.at(channel, address) if address else None


def _spoken_to(conversation: Conversation) -> tuple[Channel, str]:
    if conversation.waiting:
        return conversation.waiting[-1].channel, conversation.waiting[-1].recipient
    if conversation.outgoing:
        return conversation.outgoing.channel, conversation.outgoing.sender
    channel = conversation.channel or Channel.WHATSAPP
    return channel, conversation.own_addresses.get(channel, "")


def _no_message(conversation: Conversation) -> Waiting:
    """A stand-in for a person who has not written: a conversation that is handed over before any reply."""
    channel, own_address = _spoken_to(conversation)
    at = conversation.last_inbound_at or conversation.unanswered_since
    return Waiting(
        message_id=conversation.newest_message_id or "",
        text="",
        received_at=at or _EPOCH,
        sender=conversation.key.person,
        recipient=own_address,
        channel=channel,
    )
