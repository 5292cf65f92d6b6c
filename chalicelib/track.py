"""Stage 4: delivery callbacks. A status only moves forward, and the first one settles an answer left in doubt."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from chalicelib.authenticity import demand_signed_form, forbidden, signers
from chalicelib.errors import Rejected
from chalicelib.lifecycle import FAILURES
from chalicelib.model import (
    Conversation,
    ConversationKey,
    Delivery,
    Numbered,
    Outgoing,
    OutgoingState,
    Refusal,
    Status,
    StatusUpdate,
)
from chalicelib.outbound import conclude, offer_template, opt_out_recipient, with_part
from chalicelib.picture import tenant_at
from chalicelib.ports import (
    Clock,
    Conversations,
    History,
    Identifiers,
    IncomingChannel,
    Journal,
    OptOuts,
    References,
    Request,
    Route,
    Secret,
    Secrets,
    TakeOver,
    Tenants,
)

#: How far back the history is looked through for a template, in messages.
_LOOK_BACK = 20


def track(
    request: Request,
    reference: str,
    *,
    incoming: IncomingChannel,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    secrets: Secrets,
    references: References,
    opt_outs: OptOuts,
    route: Route,
    take_over: TakeOver,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> None:
    """Merges one delivery status into the history entry that `reference` names.

    Raises Rejected for a wrong signature (403) or a reference that these credentials did not make (404).
    """
    demand_signed_form(incoming, request)
    update = incoming.parse_status(request)
    signed_by = _signers(request, update, incoming, conversations, tenants, secrets)
    named = references.unseal(reference, signed_by)
    if named is None:
        raise Rejected(404, "unknown_message", "no message of ours has this name")
    key, position = named
    if update.status == Delivery.UNKNOWN:
        journal("status_unknown", "a delivery status that we do not know", provider_id=update.provider_id)
        return
    if update.status in FAILURES:
        offer = partial(
            offer_template,
            refused=_text_of(position, update, clock()),
            tenant=tenant_at(tenants, update.channel, update.own_address, update.sender_pool),
            conversations=conversations,
            route=route,
            clock=clock,
            identifiers=identifiers,
            journal=journal,
        )
        _not_delivered(
            key, position, update, conversations, history, tenants, opt_outs, offer, take_over, clock, journal
        )
    marked = history.mark(
        key.conversation_id,
        position,
        status=update.status,
        provider_id=update.provider_id,
        error_code=update.error_code,
        at=clock(),
    )
    journal(
        "status_received",
        "the provider reports on a message",
        provider_id=update.provider_id,
        status=update.status,
        advanced=marked.advanced,
        code=update.error_code,
    )
    if marked.advanced and not marked.had_provider_id:
        _settle(key, position, update, conversations, history, route, clock, journal)


def _signers(
    request: Request,
    update: StatusUpdate,
    incoming: IncomingChannel,
    conversations: Conversations,
    tenants: Tenants,
    secrets: Secrets,
) -> Sequence[Secret]:
    """Every current credential behind the signature: the tenant's, else those of the person's conversations."""
    tenant = tenant_at(tenants, update.channel, update.own_address, update.sender_pool)
    if tenant:
        found = signers(incoming, request, [tenant.credentials_reference], secrets)
        if found:
            return [secret for values in found.values() for secret in values]
    records = conversations.of_person(update.person)
    found = signers(incoming, request, [each.credentials.get(update.channel) for each in records], secrets)
    if not found:
        raise forbidden("signature_wrong")
    return [secret for values in found.values() for secret in values]


def _not_delivered(
    key: ConversationKey,
    position: str,
    update: StatusUpdate,
    conversations: Conversations,
    history: History,
    tenants: Tenants,
    opt_outs: OptOuts,
    offer: Callable[[Conversation], bool],
    take_over: TakeOver,
    clock: Clock,
    journal: Journal,
) -> None:
    """An answer that did not arrive is a human's business, unless the person has been answered since.

    This comes before the status is written, so that whatever dies in between is repeated by the next callback.
    """
    seen = conversations.get(key)
    if seen is not None and update.refusal == Refusal.OPTED_OUT:
        opt_out_recipient(seen, tenants, conversations, opt_outs, clock)
    if seen is None or seen.answered > Numbered.number_of(position) or seen.status == Status.SEND_FAILED:
        return
    if update.refusal == Refusal.WINDOW_CLOSED and _is_replaced(seen, position, history, offer):
        return
    code = update.error_code or "unknown"
    journal("answer_not_delivered", "the person did not get the answer", provider_id=update.provider_id, code=code)
    take_over(key, reason=f"not_delivered:{code}", status=Status.SEND_FAILED)


def _text_of(position: str, update: StatusUpdate, at: datetime) -> Outgoing:
    """The answer that did not arrive, as far as a template in its place needs it: it covers nothing any more."""
    number = Numbered.number_of(position)
    return Outgoing(
        after=number,
        to=number,
        epoch=0,
        state=OutgoingState.CLAIMED,
        token="",
        channel=update.channel,
        sender=update.own_address,
        recipient=update.person,
        sender_pool=update.sender_pool,
        parts=(),
        committed_at=at,
        newest_at=at,
    )


def _is_replaced(seen: Conversation, position: str, history: History, offer: Callable[[Conversation], bool]) -> bool:
    """Whether the template goes out, or went out already, in place of the text at `position`."""
    place = Numbered.template(Numbered.number_of(position))
    if position == place:
        return False
    if seen.outgoing is not None or seen.answered != Numbered.number_of(position):
        return seen.outgoing is not None and seen.outgoing.template is not None
    latest = history.latest(seen.key.conversation_id, limit=_LOOK_BACK)
    return any(entry.position == place for entry in latest) or offer(seen)


def _settle(
    key: ConversationKey,
    position: str,
    update: StatusUpdate,
    conversations: Conversations,
    history: History,
    route: Route,
    clock: Clock,
    journal: Journal,
) -> None:
    """The provider names a message that no FINISH has told us of: if its answer is in doubt, it is out after all."""
    seen = conversations.get(key)
    part = _part_in_doubt(seen, position)
    if seen is None or seen.outgoing is None or part is None:
        return
    sent = with_part(seen, part, update.provider_id)
    journal("answer_settled", "a callback shows that it went out", conversation=seen.reference, outcome="callback")
    if sent.outgoing is not None and not sent.outgoing.unsent:
        conclude(sent, conversations=conversations, history=history, route=route, clock=clock, journal=journal)
    else:
        token = seen.outgoing.token
        conversations.sent_part(key, token=token, part=part, provider_id=update.provider_id)


def _part_in_doubt(seen: Conversation | None, position: str) -> int | None:
    outgoing = seen.outgoing if seen else None
    if outgoing is None:
        return None
    return next((part for part in outgoing.unsent if outgoing.position(part) == position), None)
