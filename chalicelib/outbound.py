"""The answer on its way: its provider, its parts, and what follows once it is out."""

from dataclasses import replace

from chalicelib.consent import change_consent, company_of
from chalicelib.context import credentials_reference
from chalicelib.errors import Refused
from chalicelib.model import Author, Conversation, Delivery, Outgoing, OutgoingState, Part, Template, Tenant
from chalicelib.picture import tenant_at, tenant_of, with_names
from chalicelib.ports import (
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
    Tenants,
)

#: An answer is claimed this often before a human gets it.
MOST_ATTEMPTS = 3


def outgoing_of(conversation: Conversation) -> Outgoing:
    assert conversation.outgoing is not None, "this record has an answer on its way"
    return conversation.outgoing


def provider_of(
    conversation: Conversation, tenants: Tenants, secrets: Secrets, providers: Providers
) -> tuple[Secret, OutgoingChannel]:
    """The credentials of the answer on its way, and its provider with them. Raises Refused without any."""
    outgoing = outgoing_of(conversation)
    tenant, reference = _speaker_of(conversation, tenants)
    found = secrets.current(reference) if reference else ()
    if not found:
        raise Refused("no_channel_credentials", "there are no usable credentials for this channel")
    return found[0], providers.sender(outgoing.channel, found[0], tenant=tenant)


def credentials_changed(conversation: Conversation, tenants: Tenants, secrets: Secrets) -> bool:
    """Whether the credentials were rotated since they were read; they are read anew for this, once a minute at most."""
    _, reference = _speaker_of(conversation, tenants)
    if reference is None:
        return False
    before = secrets.current(reference)
    return secrets.refreshed(reference) not in (None, before)


def opt_out_recipient(
    conversation: Conversation, tenants: Tenants, conversations: Conversations, opt_outs: OptOuts, clock: Clock
) -> None:
    """The provider says that the person has opted out, which nobody has told us."""
    person = conversation.key.person
    change_consent(
        company_of(conversation, tenant_of(conversation, tenants)),
        [person],
        conversations.of_person(person),
        out=True,
        conversations=conversations,
        opt_outs=opt_outs,
        clock=clock,
    )


def with_part(conversation: Conversation, part: int, provider_id: str) -> Conversation:
    """The conversation as it is once this part of its answer is out."""
    outgoing = outgoing_of(conversation)
    parts = list(outgoing.parts)
    parts[part] = replace(parts[part], provider_id=provider_id)
    return replace(conversation, outgoing=replace(outgoing, parts=tuple(parts)))


def _speaker_of(conversation: Conversation, tenants: Tenants) -> tuple[Tenant | None, str | None]:
    """The tenant that the answer on its way speaks for, and the reference to the secret that it speaks with."""
    outgoing = outgoing_of(conversation)
    tenant = tenant_at(tenants, outgoing.channel, outgoing.sender, outgoing.sender_pool)
    return tenant, credentials_reference(conversation, tenant, outgoing.channel)


def conclude(
    sent: Conversation,
    *,
    conversations: Conversations,
    history: History,
    route: Route,
    clock: Clock,
    journal: Journal,
) -> None:
    """FINISH: every part is out. The history learns its ids, the record forgets the answer, and who waits is woken."""
    outgoing = outgoing_of(sent)
    at = clock()
    note_provider_ids(sent, history=history, clock=clock)
    after = conversations.finish(sent, at=at)
    if after is None:
        journal("answer_already_finished", "somebody else has finished this answer", conversation=sent.reference)
        return
    journal(
        "answer_sent",
        "the provider has taken the answer",
        conversation=after.reference,
        provider_ids=[part.provider_id for part in outgoing.parts],
        seconds=(at - outgoing.newest_at).total_seconds(),
    )
    if outgoing.hands_over and after.handed_off:
        reason = outgoing.hands_over if outgoing.is_apology else "asked_by_ai"
        journal("handed_off", "a human takes over", conversation=after.reference, reason=reason, status=after.status)
    if after.somebody_waits or after.unanswered_since is not None:
        route(after)


def note_provider_ids(sent: Conversation, *, history: History, clock: Clock) -> None:
    """Tells the history which provider message each part of the answer became."""
    outgoing = outgoing_of(sent)
    for number, part in enumerate(outgoing.parts):
        if part.provider_id is not None:
            history.mark(
                sent.key.conversation_id,
                outgoing.position(number),
                status=Delivery.QUEUED,
                provider_id=part.provider_id,
                error_code=None,
                at=clock(),
            )


def note_failure(
    claimed: Conversation, code: str, *, conversations: Conversations, history: History, clock: Clock
) -> None:
    """Tells the history what is out of an answer that is over, and that the rest of it failed with `code`."""
    current = conversations.get(claimed.key)
    if current is None or current.outgoing is None or not current.outgoing.is_same_claim_as(outgoing_of(claimed)):
        return
    note_provider_ids(current, history=history, clock=clock)
    for part in current.outgoing.unsent:
        history.mark(
            current.key.conversation_id,
            current.outgoing.position(part),
            status=Delivery.FAILED,
            provider_id=None,
            error_code=code,
            at=clock(),
        )


def offer_template(
    seen: Conversation,
    refused: Outgoing,
    *,
    tenant: Tenant | None,
    conversations: Conversations,
    route: Route,
    clock: Clock,
    identifiers: Identifiers,
    journal: Journal,
) -> bool:
    """WhatsApp's window is closed: the tenant's template goes out in place of the text that was refused.

    It is an answer like any other, so it leaves at most once. False where there is no template, where it was refused
    itself, or where the person has written since; then a human must act.
    """
    template = tenant.closed_window if tenant else None
    if tenant is None or template is None or seen.somebody_waits or refused.template:
        return False
    names = {name: with_names(value, tenant, seen.person_name) for name, value in template.variables.items()}
    offered = replace(
        refused,
        epoch=seen.epoch,
        state=OutgoingState.READY,
        token=identifiers(),
        parts=(Part(f"[template {template.content_sid}]"),),
        committed_at=clock(),
        author=Author.SYSTEM,
        template=Template(template.content_sid, names),
        attempts=0,
        claim=None,
        claimed_at=None,
        first_claimed_at=None,
    )
    after = conversations.offer(seen, offered)
    if after is None:
        return False
    journal("template_offered", "the template goes out, because the window is closed", conversation=after.reference)
    route(after)
    return True
