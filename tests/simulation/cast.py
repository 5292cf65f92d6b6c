"""Who plays: two companies, some people, and the records that the outbound engine has made of them."""

from datetime import timedelta

from chalicelib.model import (
    AiSettings,
    Bursts,
    Channel,
    Conversation,
    ConversationKey,
    OnNewMessage,
    Tenant,
    UnknownSender,
)
from chalicelib.ports import Secret
from tests.simulation.scenario import CONVERSATIONS

BURSTS = Bursts(idle=timedelta(seconds=30), longest=timedelta(seconds=90))
FALLBACK_WINDOW = timedelta(minutes=5)

#: The companies' own addresses.
OWN = ("+447700900001", "+447700900002")


APOLOGY = "Sorry, one of us will answer."


def person(number: int) -> str:
    return f"+44770090010{number}"


def key_of(conversation: int) -> ConversationKey:
    who, tenant = CONVERSATIONS[conversation]
    return ConversationKey(person(who), f"conversation-{conversation}-of-company-{tenant}")


def tenant(number: int, *, apologises: bool = False, continues: bool = False) -> Tenant:
    return Tenant(
        channel=Channel.WHATSAPP,
        address=OWN[number],
        company_id=f"company-{number}",
        company_name=f"Company {number}",
        credentials_reference=f"twilio-{number}",
        ai=AiSettings(api_key_reference=f"openai-{number}"),
        fallback_window=FALLBACK_WINDOW,
        apology_text=APOLOGY if apologises else None,
        on_new_message=OnNewMessage.SEND_THEN_CONTINUE if continues else OnNewMessage.RESTART,
        unknown_senders=(UnknownSender.FALLBACK, UnknownSender.OPEN_CONVERSATION)[number],
    )


def credentials(number: int, token: str) -> Secret:
    return {"twilio_account_sid": f"AC{number}", "twilio_auth_token": token}


def conversation(number: int) -> Conversation:
    key, (_, owner) = key_of(number), CONVERSATIONS[number]
    return Conversation(
        key=key,
        channel=Channel.WHATSAPP,
        own_addresses={Channel.WHATSAPP: OWN[owner]},
        company_id=f"company-{owner}",
        company_name=f"Company {owner}",
        project_status="active",
        status="initial_message_sent",
        reference=f"reference-{number}",
        created_at="2026-11-20T09:00:00.000Z",
    )
