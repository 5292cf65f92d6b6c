"""The structured context object that travels on the queues, validated and versioned.

It is a complete picture for whoever reads the handoff queue. For our own stages it is a hint: they act on what the
tables say.
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.errors import Rejected
from chalicelib.model import Channel, Conversation, ConversationKey, Media, Tenant, Waiting, media_key
from chalicelib.reading import in_words, line_of

VERSION: Literal["1.0"] = "1.0"


def iso(moment: datetime) -> str:
    """A UTC time as `2023-06-01T12:34:56.789Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Section(BaseModel):
    """Fields that we do not know come from a newer writer; they are carried on."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class Meta(_Section):
    request_id: str
    channel_type: Channel
    timestamp: str
    version: Literal["1.0"] = VERSION


class ConversationSection(_Section):
    conversation_id: str = Field(min_length=1)
    primary_channel: str = Field(min_length=1)
    conversation_status: str
    hand_off_to_human: bool
    thread_id: str | None = None


class MessageSection(_Section):
    sender: str = Field(alias="from")
    to: str
    body: str  #: the text; of a message without any, everything that it is, in words
    message_id: str
    timestamp: str


class CompanySection(_Section):
    company_id: str = ""
    project_id: str = ""
    company_name: str = ""
    credentials_reference: str | None = None


class Processing(_Section):
    validation_status: str = "valid"
    ai_response: str | None = None
    sent_response: dict[str, Any] | None = None
    processing_timestamps: dict[str, str] = Field(default_factory=dict)


class Context(_Section):
    """The context object, section 4 of the high-level design, field for field."""

    meta: Meta
    conversation: ConversationSection
    message: MessageSection
    company: CompanySection
    processing: Processing

    @property
    def key(self) -> ConversationKey:
        return ConversationKey(self.conversation.primary_channel, self.conversation.conversation_id)

    def to_json(self) -> str:
        """ASCII only: SQS refuses some characters that people can write. Source: SQS API reference, SendMessage."""
        return json.dumps(self.model_dump(by_alias=True, mode="json"), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Context":
        """The context that `text` holds. Raises Rejected, naming the fields that are wrong but none of their values."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            places = sorted({".".join(map(str, fault["loc"])) or "body" for fault in error.errors()})
            raise Rejected(400, "unreadable_context", f"not a context object: {', '.join(places[:10])}") from None

    def stamped(self, **moments: datetime) -> "Context":
        """The same context with further `processing_timestamps`."""
        stamps = self.processing.processing_timestamps | {name: iso(at) for name, at in moments.items()}
        return self.with_processing(processing_timestamps=stamps)

    def with_processing(self, **changes: Any) -> "Context":
        return self.model_copy(update={"processing": self.processing.model_copy(update=changes)})


def context_of(
    conversation: Conversation,
    message: Waiting,
    *,
    tenant: Tenant | None,
    request_id: str,
    at: datetime,
) -> Context:
    """The complete picture of a conversation and its newest message."""
    return Context(
        meta=Meta(request_id=request_id, channel_type=message.channel, timestamp=iso(at)),
        conversation=ConversationSection(
            conversation_id=conversation.key.conversation_id,
            primary_channel=conversation.key.person,
            conversation_status=conversation.status,
            hand_off_to_human=conversation.handed_off,
            thread_id=conversation.thread_id,
        ),
        message=_message_section(message, conversation.reference),
        company=CompanySection(
            company_id=conversation.company_id or (tenant.company_id if tenant else ""),
            project_id=conversation.project_id or (tenant.project_id if tenant else ""),
            company_name=conversation.company_name or (tenant.company_name if tenant else ""),
            credentials_reference=credentials_reference(conversation, tenant, message.channel),
        ),
        processing=Processing(),
    )


def _message_section(message: Waiting, reference: str) -> MessageSection:
    """The message, with `media` (each file and its key in the media store) and `extras` (in words) if it has any."""
    files = [_file(each, media_key(reference, message.message_id, at)) for at, each in enumerate(message.media)]
    extras = [line_of(extra) for extra in message.extras]
    fields: dict[str, Any] = {
        "from": message.sender,
        "to": message.recipient,
        "body": message.text or in_words(message),
        "message_id": message.message_id,
        "timestamp": iso(message.received_at),
        **({"media": files} if files else {}),
        **({"extras": extras} if extras else {}),
    }
    return MessageSection(**fields)


def _file(media: Media, key: str) -> dict[str, str]:
    described = {"kind": str(media.kind), "content_type": media.content_type, "name": media.name, "key": key}
    return {name: value for name, value in described.items() if value}


def credentials_reference(conversation: Conversation, tenant: Tenant | None, channel: Channel) -> str | None:
    """The secret to speak on `channel` with; a conversation's own value wins over its tenant's."""
    return conversation.credentials.get(channel) or (tenant.credentials_reference if tenant else None)
