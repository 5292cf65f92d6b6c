"""Conversations: opened from a file as the outbound engine would, listed, and shown with what is in flight."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from chalicelib.aws.items import from_wire, item_to_wire
from chalicelib.config import Settings, SettingsError
from chalicelib.context import iso
from chalicelib.errors import RelayError
from chalicelib.lifecycle import human_reason
from chalicelib.model import Channel, Conversation, ConversationKey, HistoryEntry
from chalicelib.wiring import Relay
from ops.entries import EntryError, Place, from_file, listed, problems_of
from ops.policies import PoliciesError
from ops.tenants import AiConfig, Text, as_yaml, plain, readable

#: How many of those who wait are listed for each part of the index, and how many messages are shown.
MOST_LISTED = 100
MOST_SHOWN = 50


Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")]
AChannel = Annotated[Channel, Field(strict=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ChannelConfig(_Entry):
    """The company's own addresses, and the secrets that older records keep beside them."""

    company_whatsapp_number: Text | None = Field(default=None, description="such as +447700900001")
    company_sms_number: Text | None = Field(default=None, description="such as +447700900001")
    company_email: Text | None = Field(default=None, description="such as jobs@example.com")
    whatsapp_credentials_id: Text | None = None
    sms_credentials_id: Text | None = None
    email_credentials_id: Text | None = None


class Message(BaseModel):
    """What was said before the first reply."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: Text = Field(description="assistant or user")
    content: str = Field(description="what was said")


class ConversationItem(_Entry):
    """A record as the outbound engine writes it."""

    primary_channel: Text = Field(description="the person's address, such as +447700900101")
    conversation_id: Text = Field(description="any text; it belongs to one person")
    channel_method: AChannel = Field(description=f"one of {', '.join(Channel)}")
    company_id: Text = Field(description="the company's id")
    company_name: Text | None = None
    project_id: Text | None = None
    project_name: Text | None = None
    project_status: Text = Field(default="active", description="active; anything else keeps the AI silent")
    allowed_channels: list[AChannel] | None = Field(default=None, description=f"a list of {', '.join(Channel)}")
    comms_consent: bool | None = Field(default=None, description="true or false")
    conversation_status: Text = "initial_message_sent"
    recipient_tel: Text | None = None
    recipient_email: Text | None = None
    recipient_first_name: Text | None = None
    recipient_last_name: Text | None = None
    thread_id: Text | None = None
    credentials_reference: Text | None = Field(
        default=None, description="the name of a secret, such as whatsapp-credentials/acme/jobs/twilio"
    )
    channel_config: ChannelConfig | None = None
    ai_config: AiConfig | None = Field(
        default=None, description="how the AI answers; what is left out comes from the tenant"
    )
    hand_off_to_human: bool = Field(
        default=False,
        validation_alias=AliasChoices("hand_off_to_human", "handoff_to_human"),
        description="true or false",
    )
    hand_off_to_human_reason: Text | None = None
    auto_queue_reply_message: bool | None = Field(default=None, description="true or false")
    auto_queue_reply_message_from_number: list[Text] | None = Field(default=None, description="a list of numbers")
    auto_queue_reply_message_from_email: list[Text] | None = Field(default=None, description="a list of addresses")
    messages: list[Message] | None = Field(default=None, description="a list of role and content")
    task_complete: Annotated[int, Field(ge=0, le=1)] | None = Field(default=None, description="0 or 1")
    project_data: dict[str, Any] | None = Field(default=None, description="names and values")
    company_rep: dict[str, str] | None = Field(default=None, description="names and texts")
    created_at: Moment | None = Field(default=None, description="a time such as 2026-11-22T17:33:00Z")
    updated_at: Moment | None = Field(default=None, description="a time such as 2026-11-22T17:33:00Z")
    initial_request_timestamp: Moment | None = Field(default=None, description="a time such as 2026-11-22T17:33:00Z")
    ttl: Annotated[int, Field(gt=1_000_000_000)] | None = Field(default=None, description="seconds since 1970")

    _secret = field_validator("credentials_reference")(lambda name: readable("channel", name))

    @model_validator(mode="after")
    def _one_name_of_the_person(self) -> "ConversationItem":
        if self.primary_channel.startswith(("whatsapp:", "sms:")):
            raise ValueError("primary_channel has no channel before it: channel_method says it")
        return self

    def to_item(self, now: str) -> dict[str, Any]:
        stamps = {"created_at": now, "updated_at": now}
        return stamps | self.model_dump(mode="json", exclude_none=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, meaning in (
        ("put", "opens the conversations of a YAML or JSON file; one that exists is left as it is"),
        ("list", "who waits now, longest first; or every conversation of one person"),
        ("show", "one conversation: who owns it, what is in flight, and how its messages fared"),
    ):
        action = actions.add_parser(name, help=meaning, description=meaning)
        action.add_argument("--stage", required=True, help="such as dev, prod or local")
        if name == "put":
            action.add_argument("file", type=Path, metavar="FILE")
        elif name == "list":
            action.add_argument("--person", metavar="ADDRESS", help="such as +447700900101")
        else:
            action.add_argument("person", metavar="ADDRESS", help="such as +447700900101")
            action.add_argument("conversation_id", metavar="ID")
            action.add_argument("--texts", action="store_true", help="show what was written, too")


def run(arguments: argparse.Namespace) -> int:
    """Prints what was asked for on the operator's own terminal and logs nothing. Returns 0, or 1 and the reason."""
    os.environ["STAGE"] = arguments.stage
    try:
        return _ACTIONS[arguments.action](arguments, Relay(Settings.from_env()))
    except EntryError as error:
        print(error, file=sys.stderr)
    except (PoliciesError, SettingsError, RelayError, BotoCoreError, ClientError) as error:
        print(f"conversations: {error}", file=sys.stderr)
    return 1


def from_entries(path: Path) -> list[tuple[ConversationItem, dict[str, Any]]]:
    """The conversations of a file, each with the attributes for the outbound engine's own indexes (`gsi_…`).

    Raises EntryError with everything that is wrong with any of them.
    """
    found = [(place, *_parted(entry)) for place, entry in listed(from_file(path), "conversations")]
    problems = [f"{path}: {each}" for place, entry, _ in found for each in _problems(place, entry)]
    if problems or not found:
        raise EntryError(problems or [f"{path}: there is no conversation in it"])
    return [(ConversationItem.model_validate(entry), indexed) for _, entry, indexed in found]


def _problems(place: Place, entry: Any) -> list[str]:
    return problems_of(ConversationItem, entry, place=place)


def _parted(entry: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(entry, dict):
        return entry, {}
    indexed = {name: value for name, value in entry.items() if str(name).startswith("gsi_")}
    return {name: value for name, value in entry.items() if name not in indexed}, indexed


def _put(arguments: argparse.Namespace, relay: Relay) -> int:
    dynamodb, exists = relay.aws.of("dynamodb"), 0
    for conversation, indexed in from_entries(arguments.file):
        item = _decimals(indexed | conversation.to_item(iso(datetime.now(UTC))))
        try:
            dynamodb.put_item(
                TableName=relay.settings.conversations_table,
                Item=item_to_wire(item),
                ConditionExpression="attribute_not_exists(#id)",
                ExpressionAttributeNames={"#id": "conversation_id"},
            )
            print(f"opened {conversation.primary_channel} {conversation.conversation_id}")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            exists += 1
            print(f"exists {conversation.primary_channel} {conversation.conversation_id}: left as it is")
    return int(exists > 0)


def _decimals(value: Any) -> Any:
    """DynamoDB knows no floats."""
    return json.loads(json.dumps(value), parse_float=Decimal)


def _list(arguments: argparse.Namespace, relay: Relay) -> int:
    if arguments.person:
        found = list(relay.conversations.of_person(arguments.person))
    else:
        keys = relay.conversations.overdue(datetime.now(UTC) + timedelta(seconds=1), limit=MOST_LISTED)
        found = [each for key in keys if (each := relay.conversations.get(key)) is not None]
    for each in sorted(found, key=lambda each: each.unanswered_since or datetime.max.replace(tzinfo=UTC)):
        print(_line(each))
    if not found:
        print("nobody waits" if not arguments.person else "no conversation of this person")
    return 0


def _line(each: Conversation) -> str:
    since = iso(each.unanswered_since) if each.unanswered_since else "-"
    waits = f"{each.received - each.answered} waiting"
    state = f"{since:24}  {_owner(each):5}  {waits:10}  {each.status or '-':22}"
    return f"{state}  {each.key.person}  {each.key.conversation_id}"


def _owner(each: Conversation) -> str:
    return "human" if human_reason(each) is not None else "ai"


def _show(arguments: argparse.Namespace, relay: Relay) -> int:
    key = ConversationKey(arguments.person, arguments.conversation_id)
    found = relay.conversations.get(key)
    if found is None:
        raise EntryError([f"{key.person} {key.conversation_id}: there is no such conversation"])
    print(as_yaml(_picture(found)), end="")
    if arguments.texts:
        wire = relay.aws.of("dynamodb").get_item(
            TableName=relay.settings.conversations_table,
            Key=item_to_wire({"primary_channel": key.person, "conversation_id": key.conversation_id}),
        )
        print(as_yaml({"record": plain(from_wire(wire["Item"]))}), end="")
    for entry in relay.history.latest(key.conversation_id, limit=MOST_SHOWN):
        print("  ".join(_words(entry, texts=arguments.texts)))
    return 0


def _picture(each: Conversation) -> dict[str, Any]:
    outgoing = each.outgoing
    picture = {
        "reference": each.reference,
        "status": each.status,
        "owner": _owner(each),
        "owner_reason": human_reason(each),
        "received": each.received,
        "answered": each.answered,
        "epoch": each.epoch,
        "unanswered_since": iso(each.unanswered_since) if each.unanswered_since else None,
        "rescues": each.rescues,
        "answer": f"{outgoing.state}, attempt {outgoing.attempts}, {len(outgoing.parts)} parts" if outgoing else None,
    }
    return {name: value for name, value in picture.items() if value is not None}


def _words(entry: HistoryEntry, *, texts: bool) -> Iterator[str]:
    yield from (iso(entry.at), f"{entry.author:6}", f"{entry.status or '-':11}", entry.provider_id or "-")
    if entry.error_code:
        yield f"error {entry.error_code}"
    if texts:
        yield json.dumps(entry.text, ensure_ascii=False)


Action = Callable[[argparse.Namespace, Relay], int]
_ACTIONS: Mapping[str, Action] = {"put": _put, "list": _list, "show": _show}
