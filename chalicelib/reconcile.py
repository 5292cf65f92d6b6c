"""Messages that the provider could not deliver to us: its own list is read, and what we never saw is taken in."""

from datetime import timedelta

from chalicelib.errors import RelayError
from chalicelib.lifecycle import human_reason
from chalicelib.lookup import records_of
from chalicelib.model import Conversation, Inbound, Patience, Tenant
from chalicelib.ports import Clock, Conversations, History, Journal, Providers, Secrets, TakeIn, Tenants

#: How far back the list is read. A run follows every five minutes, so each message is looked at several times.
LOOK_BACK = timedelta(minutes=20)


def reconcile(
    *,
    tenants: Tenants,
    secrets: Secrets,
    providers: Providers,
    conversations: Conversations,
    history: History,
    take_in: TakeIn,
    clock: Clock,
    journal: Journal,
    patience: Patience,
) -> int:
    """Takes in what each tenant's provider received and we did not; how many messages that were.

    A tenant whose provider fails does not keep the others waiting. What is our own bug is raised at the end.
    """
    rescued, bugs = 0, list[Exception]()
    for tenant in tenants.addresses():
        try:
            rescued += _of_tenant(tenant, secrets, providers, conversations, history, take_in, clock, journal, patience)
        except Exception as failure:
            journal("reconcile_failed", "the next run tries again", error=type(failure).__name__)
            bugs += [] if isinstance(failure, RelayError) else [failure]
    if bugs:
        raise bugs[0]
    return rescued


def _of_tenant(
    tenant: Tenant,
    secrets: Secrets,
    providers: Providers,
    conversations: Conversations,
    history: History,
    take_in: TakeIn,
    clock: Clock,
    journal: Journal,
    patience: Patience,
) -> int:
    found = secrets.current(tenant.credentials_reference) if tenant.credentials_reference else ()
    if not found:
        return 0
    now = clock()
    listed = providers.inbox(tenant.channel, found[0]).received_since(tenant.address, now - LOOK_BACK)
    return sum(
        _taken_in(message, tenant, conversations, history, take_in, journal)
        for message in sorted(listed, key=lambda each: each.received_at)
        if message.received_at <= now - patience.on_its_way
    )


def _taken_in(
    message: Inbound,
    tenant: Tenant,
    conversations: Conversations,
    history: History,
    take_in: TakeIn,
    journal: Journal,
) -> bool:
    records = records_of(message, tenant, conversations)
    known = next((each for each in records if message.message_id in each.recent_message_ids), None)
    if known is not None:
        if _may_be_missing(message, known, history):
            take_in(message, tenant=tenant, found=records, stamps={})
        return False
    taken = take_in(message, tenant=tenant, found=records, stamps={"received": message.received_at})
    if taken:
        journal("message_reconciled", "a message that we never got is taken in", message_id=message.message_id)
    return taken


def _may_be_missing(message: Inbound, record: Conversation, history: History) -> bool:
    """Whether a recorded message is whole nowhere: its webhook may have died before the history had it.

    A turn waits for what is missing; a human does not, so there it is looked for even when it is closed. Taking it in
    once more writes what is missing and changes nothing else.
    """
    number = record.number_of(message.message_id)
    if number is None or number <= record.answered:
        return number is not None and human_reason(record) is not None and not history.holds(message.message_id)
    return message.message_id not in {each.message_id for each in record.waiting if not each.clipped}
