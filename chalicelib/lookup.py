"""Which conversation a message belongs to."""

from collections.abc import Sequence

from chalicelib.lifecycle import bare, is_open
from chalicelib.model import Conversation, Inbound, Tenant
from chalicelib.ports import Conversations


def records_of(message: Inbound, tenant: Tenant | None, conversations: Conversations) -> Sequence[Conversation]:
    """The records under the first of the person's addresses that has any for this message."""
    found: Sequence[Conversation] = ()
    for address in message.addresses:
        found = [*found, *conversations.of_person(address)]
        if choose(found, message, tenant):
            break
    return found


def candidates(found: Sequence[Conversation], message: Inbound, tenant: Tenant | None) -> list[Conversation]:
    """The open records of the person that this message can belong to."""
    now = message.received_at.timestamp()
    return [each for each in found if is_open(each, now) and concerns(each, message, tenant)]


def choose(found: Sequence[Conversation], message: Inbound, tenant: Tenant | None) -> Conversation | None:
    """The newest open conversation that names the address the person wrote to.

    A record that does not name its own address matches when it is the person's only candidate. A message that comes
    again belongs where it went before.
    """
    for each in found:
        if message.message_id in each.recent_message_ids and concerns(each, message, tenant):
            return each
    possible = candidates(found, message, tenant)
    named = [each for each in possible if _names_address(each, message)]
    if named:
        return max(named, key=_age)
    return possible[0] if len(possible) == 1 else None


def concerns(conversation: Conversation, message: Inbound, tenant: Tenant | None) -> bool:
    """Whether a record, open or not, is about the address that the person wrote to, as far as it says."""
    if conversation.own_addresses.get(message.channel):
        return _names_address(conversation, message)
    return tenant is None or not _belongs_to_another_company(conversation, tenant)


def _names_address(conversation: Conversation, message: Inbound) -> bool:
    named = conversation.own_addresses.get(message.channel)
    return bool(named) and bare(named or "") in (bare(message.recipient), bare(message.sender_pool or "-"))


def _belongs_to_another_company(conversation: Conversation, tenant: Tenant) -> bool:
    return bool(conversation.company_id and tenant.company_id) and conversation.company_id != tenant.company_id


def _age(conversation: Conversation) -> tuple[str, str, str]:
    return (conversation.created_at, conversation.updated_at, conversation.key.conversation_id)
