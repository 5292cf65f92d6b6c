"""Items of the tables as nouns, and nouns as items. Every record that the outbound engine writes is accepted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from chalicelib.context import iso
from chalicelib.model import (
    AiSettings,
    Author,
    Channel,
    Choice,
    Conversation,
    ConversationKey,
    Delivery,
    Extra,
    Forwarded,
    HistoryEntry,
    Limits,
    Location,
    Media,
    MediaKind,
    Moderation,
    OnNewMessage,
    Outgoing,
    OutgoingState,
    Part,
    Quotation,
    Reaction,
    Referral,
    Spoken,
    Template,
    Tenant,
    Thread,
    ToolResult,
    ToolSpec,
    UnknownSender,
    Usage,
    Waiting,
    WebhookTool,
)

Item = Mapping[str, Any]

#: How writers of records say yes and no; the conditions of our updates know the same words.
TRUE: Sequence[object] = (True, "true", "True", "TRUE", 1)
FALSE: Sequence[object] = (False, "false", "False", "FALSE", 0)
CLOSED: Sequence[object] = ("closed", "Closed", "CLOSED")

#: How much of what was said before the first reply is shown to an engine, in messages.
LONGEST_OPENING = 20

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def to_wire(value: Any) -> Any:
    """A Python value in DynamoDB's own notation, `{"S": "…"}`."""
    return _serializer.serialize(value)


def item_to_wire(item: Item) -> dict[str, Any]:
    return {name: to_wire(value) for name, value in item.items()}


def from_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserializer.deserialize(value) for name, value in item.items()}


def conversation_of(item: Item) -> Conversation:
    """The conversation that a record holds; whatever is missing or of an unexpected type counts as absent."""
    config, ai = _map(item, "channel_config"), _map(item, "ai_config")
    channel = _channel(_text(item, "channel_method"))
    return Conversation(
        key=ConversationKey(_text(item, "primary_channel"), _text(item, "conversation_id")),
        channel=channel,
        own_addresses=_present(
            {
                Channel.WHATSAPP: _text(config, "company_whatsapp_number"),
                Channel.SMS: _text(config, "company_sms_number"),
                Channel.EMAIL: _text(config, "company_email"),
            }
        ),
        company_id=_text(item, "company_id"),
        company_name=_text(item, "company_name"),
        project_id=_text(item, "project_id"),
        project_name=_text(item, "project_name"),
        project_status=_text(item, "project_status") or None,
        status=_text(item, "conversation_status"),
        consent=not _is_one_of(item.get("comms_consent"), FALSE),
        allowed_channels=_texts(item.get("allowed_channels")),
        thread_id=_text(item, "thread_id") or None,
        thread_state=_thread_of(_map(item, "thread_state")),
        credentials=_credentials(item, config, channel),
        ai=ai_settings_of(ai),
        handed_off=_is_true(item, "hand_off_to_human") or _is_true(item, "handoff_to_human"),
        handed_off_reason=_text(item, "hand_off_to_human_reason") or None,
        auto_queue=_is_true(item, "auto_queue_reply_message"),
        auto_queue_senders=(
            *_texts(item.get("auto_queue_reply_message_from_number")),
            *_texts(item.get("auto_queue_reply_message_from_email")),
        ),
        task_complete=_is_true(item, "task_complete"),
        task_outcome=_text(item, "task_outcome") or None,
        opening=tuple(_opening(item.get("messages"))),
        project_data=_map(item, "project_data"),
        person_name=_text(item, "recipient_first_name"),
        created_at=_text(item, "created_at") or _text(item, "initial_request_timestamp"),
        updated_at=_text(item, "updated_at"),
        expires_at=_number(item, "ttl"),
        **_in_flight_of(item),
    )


def _in_flight_of(item: Item) -> dict[str, Any]:
    """The fields that we keep ourselves."""
    return {
        "reference": _text(item, "reference"),
        "opted_out": _is_true(item, "opted_out"),
        "apologised": _is_true(item, "apologised"),
        "received": _number(item, "received") or 0,
        "answered": _number(item, "answered") or 0,
        "waiting": tuple(_waiting_of(each) for each in _maps(item.get("waiting"))),
        "overflowing": _is_true(item, "overflowing"),
        "recent_message_ids": _texts(item.get("recent_message_ids")),
        "epoch": _number(item, "epoch") or 0,
        "outgoing": _outgoing_of(item.get("outgoing")),
        "unanswered_since": _moment(item, "unanswered_since"),
        "untold": _is_true(item, "untold"),
        "last_inbound_at": _moment(item, "last_inbound_at"),
        "rescues": _number(item, "rescues") or 0,
        "rescued_at": _moment(item, "rescued_at"),
    }


def opened_item_of(conversation: Conversation) -> dict[str, Any]:
    """A new record, in the shape in which the outbound engine would have written it."""
    key, channel = conversation.key, conversation.channel or Channel.WHATSAPP
    own_address = conversation.own_addresses.get(channel, "")
    return {
        "primary_channel": key.person,
        "conversation_id": key.conversation_id,
        "channel_method": str(channel),
        "recipient_email" if channel == Channel.EMAIL else "recipient_tel": key.person,
        "channel_config": {_OWN_ADDRESS[channel]: own_address},
        "company_id": conversation.company_id,
        "company_name": conversation.company_name,
        "project_id": conversation.project_id,
        "project_name": conversation.project_name,
        "project_status": "active",
        "conversation_status": conversation.status,
        "hand_off_to_human": False,
        "reference": conversation.reference,
        "created_at": conversation.created_at,
        "updated_at": conversation.created_at,
    }


_OWN_ADDRESS = {
    Channel.WHATSAPP: "company_whatsapp_number",
    Channel.SMS: "company_sms_number",
    Channel.EMAIL: "company_email",
}


def waiting_item_of(message: Waiting) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "text": message.text,
        "received_at": iso(message.received_at),
        "from": message.sender,
        "to": message.recipient,
        "channel": str(message.channel),
        **({"sender_pool": message.sender_pool} if message.sender_pool else {}),
        **({"media": media_items_of(message.media)} if message.media else {}),
        **({"extras": _extra_items(message.extras)} if message.extras else {}),
        **({"raw": dict(message.raw)} if message.raw else {}),
        **({"clipped": True} if message.clipped else {}),
    }


def outgoing_item_of(outgoing: Outgoing) -> dict[str, Any]:
    return {
        "from": outgoing.after,
        "to": outgoing.to,
        "epoch": outgoing.epoch,
        "state": str(outgoing.state),
        "attempts": outgoing.attempts,
        "token": outgoing.token,
        "channel": str(outgoing.channel),
        "sender": outgoing.sender,
        "recipient": outgoing.recipient,
        **({"sender_pool": outgoing.sender_pool} if outgoing.sender_pool else {}),
        "parts": [
            {"text": part.text, **({"media_url": part.media_url} if part.media_url else {})} for part in outgoing.parts
        ],
        "committed_at": iso(outgoing.committed_at),
        "newest_at": iso(outgoing.newest_at),
        "usage": _usage_item(outgoing.usage),
        **({"author": str(outgoing.author)} if outgoing.author != Author.AI else {}),
        **({"hands_over": outgoing.hands_over} if outgoing.hands_over else {}),
        **({"template": _template_item(outgoing.template)} if outgoing.template else {}),
    }


def history_item_of(entry: HistoryEntry) -> dict[str, Any]:
    """One message of the history. `role` is OpenAI's word for who spoke, `author` is ours."""
    item = {
        "conversation_id": entry.conversation_id,
        "position": entry.position,
        "number": entry.number,
        "role": "user" if entry.author == Author.USER else "assistant",
        "author": str(entry.author),
        "text": entry.text,
        "timestamp": iso(entry.at),
        "channel": str(entry.channel),
        "from": entry.sender,
        "to": entry.recipient,
        "media": media_items_of(entry.media) or None,
        "extras": _extra_items(entry.extras) or None,
        "provider_message_id": entry.provider_id,
        "raw": dict(entry.raw) or None,
        "usage": _usage_item(entry.usage) if entry.usage else None,
        "covers": {"from": entry.covers[0], "to": entry.covers[1]} if entry.covers else None,
    }
    return {name: value for name, value in item.items() if value is not None}


def history_entry_of(item: Item) -> HistoryEntry:
    return HistoryEntry(
        conversation_id=_text(item, "conversation_id"),
        position=_text(item, "position"),
        author=_author(_text(item, "author")) or Author.SYSTEM,
        text=_text(item, "text"),
        at=_moment(item, "timestamp") or _EPOCH,
        channel=_channel(_text(item, "channel")) or Channel.WHATSAPP,
        number=_number(item, "number") or 0,
        sender=_text(item, "from"),
        recipient=_text(item, "to"),
        media=_media_of(item),
        extras=tuple(_extras_of(item)),
        provider_id=_text(item, "provider_message_id") or None,
        status=delivery_of(_text(item, "status")),
        error_code=_text(item, "error_code") or None,
    )


def tenant_of(item: Item) -> Tenant | None:
    """The tenant that an item of the tenants table describes; None if its key is not `channel:address`."""
    name, _, address = _text(item, "address").partition(":")
    channel = _channel(name)
    if channel is None or not address:
        return None
    wish, newer = _text(item, "unknown_senders"), _text(item, "on_new_message")
    return Tenant(
        channel=channel,
        address=address,
        company_id=_text(item, "company_id"),
        company_name=_text(item, "company_name"),
        project_id=_text(item, "project_id"),
        project_name=_text(item, "project_name"),
        credentials_reference=_text(item, "credentials_reference") or None,
        ai=ai_settings_of({**item, **_map(item, "ai_config")}),
        burst_idle=_seconds(item, "burst_idle_seconds"),
        burst_max=_seconds(item, "burst_max_seconds"),
        fallback_text=_text(item, "fallback_text") or None,
        fallback_window=_seconds(item, "fallback_window_seconds") or timedelta(hours=24),
        closed_window=_template_of(_map(item, "closed_window_template")),
        typing_indicator=_is_true(item, "typing_indicator"),
        limits=_limits_of(_map(item, "limits")),
        apology_text=_text(item, "apology_text") or None,
        on_new_message=OnNewMessage(newer) if newer in set(OnNewMessage) else OnNewMessage.RESTART,
        unknown_senders=UnknownSender(wish) if wish in set(UnknownSender) else UnknownSender.FALLBACK,
        messaging_service=_text(item, "messaging_service_sid") or None,
        sms_max_segments=_count(item, "sms_max_segments"),
    )


def _limits_of(item: Item) -> Limits:
    return Limits(
        turns_a_day=_number(item, "turns_a_day"),
        tokens_a_day=_number(item, "tokens_a_day"),
        tokens_a_month=_number(item, "tokens_a_month"),
    )


def ai_settings_of(ai: Item) -> AiSettings:
    tools, moderation = ai.get("tools"), _text(ai, "moderation")
    return AiSettings(
        engine=_text(ai, "engine") or None,
        model=_text(ai, "model") or None,
        instructions=_text(ai, "instructions") or None,
        api_key_reference=_text(ai, "api_key_reference") or _text(ai, "ai_api_key_reference") or None,
        tools=_texts(tools) if isinstance(tools, list) else None,
        webhook_tools=_webhook_tools_of(ai.get("webhook_tools")),
        max_output_tokens=_number(ai, "max_output_tokens"),
        transcription_model=_text(ai, "transcription_model") or None,
        longest_answer=_number(ai, "longest_answer"),
        history_tokens=_number(ai, "history_tokens"),
        assistant_id=_text(ai, "assistant_id_replies") or None,
        moderation=Moderation(moderation) if moderation in set(Moderation) else None,
        check_needs_human=_is_true(ai, "check_needs_human") if "check_needs_human" in ai else None,
    )


def thread_item_of(thread: Thread) -> dict[str, Any]:
    known = {"id": thread.id, "item": thread.item, "number": thread.number, "migrated": thread.migrated}
    return {name: value for name, value in known.items() if value is not None}


def _thread_of(item: Item) -> Thread | None:
    if not _text(item, "id"):
        return None
    return Thread(
        id=_text(item, "id"),
        item=str(item["item"]) if "item" in item else None,
        number=_number(item, "number") or 0,
        migrated=_is_true(item, "migrated"),
    )


def _webhook_tools_of(value: object) -> tuple[WebhookTool, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(
        WebhookTool(
            ToolSpec(_text(each, "name"), _text(each, "description"), _plain(_map(each, "parameters"))),
            _text(each, "url"),
            _text(each, "secret_reference"),
        )
        for each in _maps(value)
    )


def _plain(value: Any) -> Any:
    """Numbers as JSON knows them."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def tool_result_item_of(result: ToolResult) -> dict[str, Any]:
    item = {
        "output": result.output,
        "hand_off_reason": result.hand_off_reason,
        "outcome": result.outcome,
        "media_urls": list(result.media_urls) or None,
    }
    return {name: value for name, value in item.items() if value is not None}


def tool_result_of(record: Item) -> ToolResult | None:
    """What came of a deed, if its idempotency record says it."""
    item = _map(record, "result")
    if not item:
        return None
    return ToolResult(
        output=_text(item, "output"),
        hand_off_reason=_text(item, "hand_off_reason") or None,
        outcome=_text(item, "outcome") or None,
        media_urls=_texts(item.get("media_urls")),
    )


def delivery_of(word: str) -> Delivery | None:
    return Delivery(word) if word in set(Delivery) else None


def _credentials(item: Item, config: Item, channel: Channel | None) -> dict[str, str]:
    """References by channel: `credentials_reference` is that of the record's own channel, older records name others."""
    named = {each: _text(config, f"{each}_credentials_id") for each in Channel}
    own = _text(item, "credentials_reference")
    if own:
        named |= {channel: own} if channel else {each: named[each] or own for each in Channel}
    return _present(named)


def _opening(messages: object) -> Iterable[Spoken]:
    for message in _maps(messages)[-LONGEST_OPENING:]:
        text = _text(message, "content")
        if text:
            author = _AUTHORS.get(_text(message, "role"), Author.SYSTEM)
            yield Spoken(author, text, provider_id=_text(message, "message_id") or None)


_AUTHORS = {"assistant": Author.AI, "user": Author.USER}


def _waiting_of(item: Item) -> Waiting:
    return Waiting(
        message_id=_text(item, "message_id"),
        text=_text(item, "text"),
        received_at=_moment(item, "received_at") or _EPOCH,
        sender=_text(item, "from"),
        recipient=_text(item, "to"),
        channel=_channel(_text(item, "channel")) or Channel.WHATSAPP,
        sender_pool=_text(item, "sender_pool") or None,
        media=_media_of(item),
        extras=tuple(_extras_of(item)),
        raw={name: str(value) for name, value in _map(item, "raw").items()},
        clipped=_is_true(item, "clipped"),
    )


def _outgoing_of(value: object) -> Outgoing | None:
    if not isinstance(value, Mapping) or _text(value, "state") not in set(OutgoingState):
        return None
    return Outgoing(
        after=_number(value, "from") or 0,
        to=_number(value, "to") or 0,
        epoch=_number(value, "epoch") or 0,
        state=OutgoingState(_text(value, "state")),
        attempts=_number(value, "attempts") or 0,
        token=_text(value, "token"),
        claim=_text(value, "claim_token") or None,
        claimed_at=_moment(value, "claimed_at"),
        first_claimed_at=_moment(value, "first_claimed_at"),
        channel=_channel(_text(value, "channel")) or Channel.WHATSAPP,
        sender=_text(value, "sender"),
        recipient=_text(value, "recipient"),
        sender_pool=_text(value, "sender_pool") or None,
        parts=tuple(
            Part(_text(part, "text"), _text(part, "provider_id") or None, _text(part, "media_url") or None)
            for part in _maps(value.get("parts"))
        ),
        committed_at=_moment(value, "committed_at") or _EPOCH,
        newest_at=_moment(value, "newest_at") or _EPOCH,
        usage=_usage_of(_map(value, "usage")),
        author=_author(_text(value, "author")) or Author.AI,
        hands_over=_text(value, "hands_over") or None,
        template=_template_of(_map(value, "template")),
    )


def _template_item(template: Template) -> dict[str, Any]:
    return {"content_sid": template.content_sid, "variables": dict(template.variables)}


def _template_of(item: Item) -> Template | None:
    content_sid = _text(item, "content_sid")
    variables = {name: str(value) for name, value in _map(item, "variables").items()}
    return Template(content_sid, variables) if content_sid else None


def _usage_item(usage: Usage) -> dict[str, Any]:
    return {
        "model": usage.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "milliseconds": usage.milliseconds,
    }


def _usage_of(item: Item) -> Usage:
    return Usage(
        model=_text(item, "model"),
        input_tokens=_number(item, "input_tokens") or 0,
        output_tokens=_number(item, "output_tokens") or 0,
        milliseconds=_number(item, "milliseconds") or 0,
    )


def media_items_of(media: Sequence[Media]) -> list[dict[str, str]]:
    """Files as the tables keep them; what is empty is left out."""
    return [_filled(each) for each in media]


def _media_of(item: Item) -> tuple[Media, ...]:
    return tuple(_one_media_of(each) for each in _maps(item.get("media")))


def _one_media_of(item: Item) -> Media:
    kind, content_type = _text(item, "kind"), _text(item, "content_type")
    return Media(
        url=_text(item, "url"),
        content_type=content_type,
        name=_text(item, "name"),
        kind=MediaKind(kind) if kind in set(MediaKind) else MediaKind.of(content_type),
        key=_text(item, "key") or None,
        words=_text(item, "words") or None,
        problem=_text(item, "problem") or None,
    )


#: The word under which a table keeps each kind of extra.
_EXTRAS: Mapping[str, type[Extra]] = {
    "location": Location,
    "choice": Choice,
    "reaction": Reaction,
    "quotation": Quotation,
    "forwarded": Forwarded,
    "referral": Referral,
}
_EXTRA_NAMES = {kind: name for name, kind in _EXTRAS.items()}


def _extra_items(extras: Sequence[Extra]) -> list[dict[str, Any]]:
    return [{"kind": _EXTRA_NAMES[type(each)], **_filled(each)} for each in extras]


def _extras_of(item: Item) -> Iterable[Extra]:
    """A kind that we do not know comes from a newer writer and is passed over."""
    for each in _maps(item.get("extras")):
        kind = _EXTRAS.get(_text(each, "kind"))
        if kind is not None:
            known = {field.name for field in fields(kind)}
            yield kind(**{name: value for name, value in each.items() if name in known})


def _filled(noun: Media | Extra) -> dict[str, Any]:
    """The fields of a noun that say something."""
    found = {name: value for name, value in asdict(noun).items() if value}
    return {name: value if isinstance(value, bool) else str(value) for name, value in found.items()}


_EPOCH = datetime.fromtimestamp(0, UTC)


def _present(values: Mapping[Channel, str]) -> dict[str, str]:
    return {str(name): value for name, value in values.items() if value}


def _text(item: Item, name: str) -> str:
    value = item.get(name)
    return str(value) if isinstance(value, str | Decimal | int) and not isinstance(value, bool) else ""


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | set | tuple):
        return ()
    return tuple(str(each) for each in value if isinstance(each, str))


def _map(item: Item, name: str) -> Mapping[str, Any]:
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _is_true(item: Item, name: str) -> bool:
    return _is_one_of(item.get(name), TRUE)


def _is_one_of(value: object, words: Sequence[object]) -> bool:
    """Equality as DynamoDB has it: a number is not a truth value."""
    return any(type(value) in _same_type(word) and value == word for word in words)


def _same_type(word: object) -> tuple[type, ...]:
    return (int, Decimal) if type(word) is int else (type(word),)


def _number(item: Item, name: str) -> int | None:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float):
        return None
    return int(value)


def _count(item: Item, name: str) -> int | None:
    value = _number(item, name)
    return value if value is not None and value > 0 else None


def _seconds(item: Item, name: str) -> timedelta | None:
    value = _number(item, name)
    return timedelta(seconds=value) if value is not None and value >= 0 else None


def _moment(item: Item, name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(item, name))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _author(word: str) -> Author | None:
    return Author(word) if word in set(Author) else None


def _channel(word: str) -> Channel | None:
    return Channel(word.lower()) if word.lower() in set(Channel) else None
