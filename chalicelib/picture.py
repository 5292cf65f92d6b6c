"""What the tables know of a conversation: its tenant, its newest message, and both as the context object."""

from datetime import UTC, datetime

from chalicelib.context import Context, context_of
from chalicelib.entries import is_message, message_of
from chalicelib.model import Channel, Conversation, Tenant, Waiting
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
        tenant=tenant_at(tenants, message.channel, message.recipient, message.sender_pool),
        request_id=identifiers(),
        at=clock(),
    )


def newest_message(conversation: Conversation, history: History) -> Waiting:
    """The newest message of the person: from the record while it waits, else from the history."""
    if conversation.waiting and not conversation.overflowing:
        return conversation.waiting[-1]
    latest = history.latest(conversation.key.conversation_id, limit=_LOOK_BACK)
    written = [entry for entry in latest if is_message(entry)]
    if written:
        return message_of(written[-1])
    return conversation.waiting[-1] if conversation.waiting else _no_message(conversation)


def tenant_of(conversation: Conversation, tenants: Tenants) -> Tenant | None:
    """The tenant that speaks in this conversation, by the address that the person used last."""
    channel, address, pool = _spoken_to(conversation)
    return tenant_at(tenants, channel, address, pool)


def tenant_at(tenants: Tenants, channel: Channel, own_address: str, sender_pool: str | None) -> Tenant | None:
    """The tenant of our own address, or of the Messaging Service that the address belongs to."""
    found = tenants.at(channel, own_address) if own_address else None
    if found is None and sender_pool:
        return tenants.at(channel, sender_pool)
    return found


def with_names(template: str, tenant: Tenant, person_name: str = "") -> str:
    """A tenant's text for people with the names put in."""
    filled = template.replace("{company_name}", tenant.company_name or "us")
    return filled.replace("{project_name}", tenant.project_name).replace("{person_name}", person_name)


def _spoken_to(conversation: Conversation) -> tuple[Channel, str, str | None]:
    if conversation.waiting:
        newest = conversation.waiting[-1]
        return newest.channel, newest.recipient, newest.sender_pool
    if conversation.outgoing:
        return conversation.outgoing.channel, conversation.outgoing.sender, conversation.outgoing.sender_pool
    channel = conversation.channel or Channel.WHATSAPP
    return channel, conversation.own_addresses.get(channel, ""), None


def _no_message(conversation: Conversation) -> Waiting:
    """A stand-in for a person who has not written: a conversation that is handed over before any reply."""
    channel, own_address, sender_pool = _spoken_to(conversation)
    at = conversation.last_inbound_at or conversation.unanswered_since
    return Waiting(
        message_id=conversation.newest_message_id or "",
        text="",
        received_at=at or _EPOCH,
        sender=conversation.key.person,
        recipient=own_address,
        channel=channel,
        sender_pool=sender_pool,
    )
