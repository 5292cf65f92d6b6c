"""Who plays in the tests: one company, one person, one conversation, and what they say."""

from datetime import datetime
from typing import Any

from chalicelib.model import (
    AiSettings,
    Channel,
    Conversation,
    ConversationKey,
    Outgoing,
    OutgoingState,
    Part,
    Tenant,
    Turn,
    Waiting,
)
from tests.twins.clock import START
from tests.twins.webhooks import ACCOUNT_SID, AUTH_TOKEN

PERSON = "+447700900101"
OWN_ADDRESS = "+447700900001"
CONVERSATION_ID = "company-1#project-1#req-1#447700900101"
KEY = ConversationKey(PERSON, CONVERSATION_ID)
TWILIO_SECRET = "whatsapp-credentials/cucumber-recruitment/clarify-cv/twilio"
OPENAI_SECRET = "ai-api-key/cucumber-recruitment/openai"
TWILIO_VALUE = {"twilio_account_sid": ACCOUNT_SID, "twilio_auth_token": AUTH_TOKEN}
OPENAI_VALUE = {"ai_api_key": "sk-twin"}


def tenant(**changes: Any) -> Tenant:
    known: dict[str, Any] = {
        "channel": Channel.WHATSAPP,
        "address": OWN_ADDRESS,
        "company_id": "company-1",
        "company_name": "Cucumber Recruitment",
        "project_id": "project-1",
        "project_name": "Clarify CV",
        "credentials_reference": TWILIO_SECRET,
        "ai": AiSettings(api_key_reference=OPENAI_SECRET),
    }
    return Tenant(**known | changes)


def conversation(**changes: Any) -> Conversation:
    """A conversation that the outbound engine has opened and in which nobody has written yet."""
    known: dict[str, Any] = {
        "key": KEY,
        "channel": Channel.WHATSAPP,
        "own_addresses": {Channel.WHATSAPP: OWN_ADDRESS},
        "company_id": "company-1",
        "company_name": "Cucumber Recruitment",
        "project_id": "project-1",
        "project_name": "Clarify CV",
        "project_status": "active",
        "status": "initial_message_sent",
        "reference": "ref-1",
        "created_at": "2026-11-20T09:00:00.000Z",
    }
    return Conversation(**known | changes)


def waiting(number: int, text: str | None = None, *, at: datetime = START, **changes: Any) -> Waiting:
    known: dict[str, Any] = {
        "message_id": message_id(number),
        "text": f"message {number}" if text is None else text,
        "received_at": at,
        "sender": PERSON,
        "recipient": OWN_ADDRESS,
        "channel": Channel.WHATSAPP,
    }
    return Waiting(**known | changes)


def message_id(number: int) -> str:
    return f"SM{number:032d}"


def outgoing(after: int, to: int, *texts: str, name: str = "answer-1", epoch: int = 0, **changes: Any) -> Outgoing:
    known: dict[str, Any] = {
        "after": after,
        "to": to,
        "epoch": epoch,
        "state": OutgoingState.READY,
        "token": name,
        "channel": Channel.WHATSAPP,
        "sender": OWN_ADDRESS,
        "recipient": PERSON,
        "parts": tuple(Part(text) for text in texts or ("an answer",)),
        "committed_at": START,
        "newest_at": START,
    }
    return Outgoing(**known | changes)


def turn(**changes: Any) -> Turn:
    """A turn in which one message of the person waits."""
    known: dict[str, Any] = {
        "reference": "ref-1",
        "conversation_id": CONVERSATION_ID,
        "after": 0,
        "number": 1,
        "company_id": "company-1",
        "project_id": "project-1",
        "company_name": "Cucumber Recruitment",
        "project_name": "Clarify CV",
        "person_name": "Ada",
        "channel": Channel.WHATSAPP,
        "settings": AiSettings(api_key_reference=OPENAI_SECRET),
        "history": (),
        "waiting": (waiting(1),),
        "project_data": {},
    }
    return Turn(**known | changes)
