"""Stage 1, the IncomingWebhookHandler: records a message once, and wakes whoever must answer, every time."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.authenticity import demand_signed_form, forbidden, signers
from chalicelib.consent import change_consent, company_of
from chalicelib.context import context_of
from chalicelib.entries import clipped, entry_of, whole
from chalicelib.lifecycle import nothing_may_be_sent
from chalicelib.lookup import candidates, choose, concerns, records_of
from chalicelib.model import (
    Conversation,
    ConversationKey,
    Inbound,
    OptOut,
    Status,
    Tenant,
    UnknownSender,
)
from chalicelib.picture import tenant_at, with_names
from chalicelib.ports import (
    Clock,
    Conversations,
    Fallbacks,
    History,
    Identifiers,
    IncomingChannel,
    Journal,
    OptOuts,
    Queues,
    Recorded,
    Request,
    Route,
    Secrets,
    Tenants,
)
from chalicelib.reactions import is_aside, keep_aside, reaction_of

_DEFAULT_FALLBACK = "This conversation is no longer active. Please contact {company_name} directly."


def receive(
    request: Request,
    *,
    incoming: IncomingChannel,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    fallbacks: Fallbacks,
    opt_outs: OptOuts,
    queues: Queues,
    route: Route,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> str:
    """Takes one message in; the body of the answer for the provider.

    The one write comes first, then the wake-up. If anything fails in between, the error tells the provider to deliver
    again, and the second delivery wakes without recording. Raises Rejected for what must not be taken in.
    """
    received = clock()
    demand_signed_form(incoming, request)
    message = incoming.parse(request, at=received)
    tenant = tenant_at(tenants, message.channel, message.recipient, message.sender_pool)
    found = _authentic(request, message, tenant, incoming, conversations, secrets)
    validated = clock()
    taken = take_in(
        message,
        tenant=tenant,
        found=found,
        stamps={"received": received, "validated": validated},
        conversations=conversations,
        history=history,
        opt_outs=opt_outs,
        queues=queues,
        route=route,
        clock=clock,
        identifiers=identifiers,
        journal=journal,
    )
    fallback = None if taken else _fallback(message, tenant, fallbacks, opt_outs, found, clock, journal)
    return incoming.acknowledgement(fallback)


def take_in(
    message: Inbound,
    *,
    tenant: Tenant | None,
    found: Sequence[Conversation],
    stamps: Mapping[str, datetime],
    conversations: Conversations,
    history: History,
    opt_outs: OptOuts,
    queues: Queues,
    route: Route,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> bool:
    """RECORD and wake, for a message that is known to be authentic; False if no conversation of `found` is its own.

    Taking the same message in twice is harmless: it is recorded once, and whoever must answer is woken again. Files
    are collected meanwhile. A reaction that answers nothing is written into the history and wakes nobody.
    """
    concerned = [each for each in found if concerns(each, message, tenant)]
    if _is_old(message, concerned, history):
        journal("message_duplicate", "an old message came again", message_id=message.message_id, old=True)
        return True
    conversation = choose(found, message, tenant)
    wish = _wish(message, concerned)
    if wish is not None:
        company = company_of(conversation, tenant)
        change_consent(
            company,
            message.addresses,
            found,
            out=wish,
            conversations=conversations,
            opt_outs=opt_outs,
            clock=clock,
        )
        journal("consent_changed", "the person opts out or in", message_id=message.message_id, opted_out=wish)
    if conversation is None and _opens(tenant, message):
        conversation = _opened(message, tenant, found, conversations, identifiers)
    reaction = reaction_of(message)
    if conversation is None:
        return reaction is not None
    if reaction is not None and is_aside(conversation, reaction, history):
        keep_aside(conversation, message, history)
        journal(
            "reaction_kept",
            "a reaction that answers nothing is in the history",
            conversation=conversation.reference,
            message_id=message.message_id,
        )
        return True
    recorded = _record(conversation, message, conversations, history, journal)
    context = context_of(
        recorded.conversation, whole(message), tenant=tenant, request_id=identifiers(), at=clock()
    ).stamped(**stamps)
    if recorded.number > recorded.conversation.answered:
        route(recorded.conversation, context=context)
    if message.media:
        queues.wake_collector(context)
    return True


def _authentic(
    request: Request,
    message: Inbound,
    tenant: Tenant | None,
    incoming: IncomingChannel,
    conversations: Conversations,
    secrets: Secrets,
) -> Sequence[Conversation]:
    """The person's records that this request may speak for.

    The tenant's credentials speak for all of them, a conversation's own for that one. A request that the tenant's
    credentials signed costs no read before it is believed.
    """
    if tenant and signers(incoming, request, [tenant.credentials_reference], secrets):
        return records_of(message, tenant, conversations)
    found = candidates(records_of(message, tenant, conversations), message, tenant)
    own = {each.key: each.credentials.get(message.channel) for each in found}
    believed = signers(incoming, request, own.values(), secrets)
    spoken_for = [each for each in found if own[each.key] in believed]
    if not spoken_for:
        raise forbidden("signature_wrong")
    return spoken_for


def _is_old(message: Inbound, concerned: Sequence[Conversation], history: History) -> bool:
    """Whether this message was taken in so long ago that its record, open or not, has forgotten its id."""
    if any(message.message_id in each.recent_message_ids for each in concerned):
        return False
    if any(message.message_id == waiting.message_id for each in concerned for waiting in each.waiting):
        return True
    has_forgotten = any(each.received > len(each.recent_message_ids) for each in concerned)
    return has_forgotten and history.holds(message.message_id)


def _record(
    conversation: Conversation,
    message: Inbound,
    conversations: Conversations,
    history: History,
    journal: Journal,
) -> Recorded:
    kept = clipped(whole(message))
    recorded = conversations.record(conversation, kept, opted_out=_opting(message))
    after = recorded.conversation
    if kept.clipped or message.message_id not in {each.message_id for each in after.waiting}:
        history.write([entry_of(after, whole(message), recorded.number)])
    journal(
        "message_duplicate" if recorded.again else "message_recorded",
        "the message was recorded before" if recorded.again else "the message is recorded",
        conversation=after.reference,
        message_id=message.message_id,
        number=recorded.number,
        channel=message.channel,
    )
    return recorded


def _opting(message: Inbound) -> bool | None:
    """What the message changes: True opts out, False opts in again, None leaves it."""
    return {OptOut.STOP: True, OptOut.START: False}.get(message.opt_out) if message.opt_out else None


def _wish(message: Inbound, concerned: Sequence[Conversation]) -> bool | None:
    """What the message changes, unless it comes again after the person has written something newer."""
    known = [each for each in concerned if message.message_id in each.recent_message_ids]
    overtaken = any(each.newest_message_id != message.message_id for each in known)
    return None if overtaken else _opting(message)


def _opens(tenant: Tenant | None, message: Inbound) -> bool:
    opens = tenant is not None and tenant.unknown_senders == UnknownSender.OPEN_CONVERSATION
    return opens and message.opt_out is None and reaction_of(message) is None


def _opened(
    message: Inbound,
    tenant: Tenant | None,
    found: Sequence[Conversation],
    conversations: Conversations,
    identifiers: Identifiers,
) -> Conversation | None:
    """The conversation that a person opens by writing first; two messages that open it at once open the same one."""
    assert tenant is not None
    key = ConversationKey(message.sender, f"inbound#{tenant.channel}#{tenant.address}#{message.sender}")
    before = next((each for each in found if each.key == key), None)
    if before is not None:
        return before
    conversation = Conversation(
        key=key,
        channel=message.channel,
        own_addresses={message.channel: tenant.address},
        company_id=tenant.company_id,
        company_name=tenant.company_name,
        project_id=tenant.project_id,
        project_name=tenant.project_name,
        status=Status.USER_REPLY_RECEIVED,
        reference=identifiers(),
    )
    conversations.open(conversation)
    return conversation


def _fallback(
    message: Inbound,
    tenant: Tenant | None,
    fallbacks: Fallbacks,
    opt_outs: OptOuts,
    found: Sequence[Conversation],
    clock: Clock,
    journal: Journal,
) -> str | None:
    """What somebody without an open conversation is told: the tenant's fallback, at most once in its window."""
    ids = {"message_id": message.message_id, "channel": message.channel}
    journal("unknown_sender", "there is no open conversation for this message", **ids)
    if tenant is None or tenant.unknown_senders == UnknownSender.IGNORE or message.opt_out:
        return None
    unwanted = any(nothing_may_be_sent(each) for each in found if concerns(each, message, tenant)) or opt_outs.holds(
        company_of(None, tenant), message.sender
    )
    own_address = f"{tenant.channel}:{tenant.address}"
    if unwanted or not fallbacks.may_send(own_address, message.sender, at=clock(), window=tenant.fallback_window):
        journal("fallback_suppressed", "the fallback is not sent again", **ids)
        return None
    journal("fallback_sent", "the person is told that the conversation is over", **ids)
    return with_names(tenant.fallback_text or _DEFAULT_FALLBACK, tenant)
