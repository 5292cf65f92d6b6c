"""Whether a person wants messages of a company: one truth over all channels and conversations."""

from collections.abc import Iterable, Sequence

from chalicelib.model import Conversation, Tenant
from chalicelib.ports import Clock, Conversations, OptOuts


def company_of(conversation: Conversation | None, tenant: Tenant | None) -> str:
    """Whose messages are wanted or not: the company, or its address where nobody has named it."""
    named = (conversation.company_id if conversation else "") or (tenant.company_id if tenant else "")
    return named or (f"{tenant.channel}:{tenant.address}" if tenant else "")


def change_consent(
    company: str,
    people: Sequence[str],
    records: Iterable[Conversation],
    *,
    out: bool,
    conversations: Conversations,
    opt_outs: OptOuts,
    clock: Clock,
) -> None:
    """The person, by every address, opts out or in; each of the person's records of this company says so, too.

    A claim looks at the record alone, so from then on nothing leaves on any channel.
    """
    opt_outs.note(company, people, out=out, at=clock())
    for record in records:
        if record.opted_out != out and record.company_id in ("", company):
            conversations.opt(record.key, out=out)
