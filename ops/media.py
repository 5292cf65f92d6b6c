"""Files that people sent: which of a conversation's are kept, and erasing them with what was heard in them."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws.items import from_wire, history_entry_of, to_wire
from chalicelib.config import Settings, SettingsError
from chalicelib.errors import RelayError
from chalicelib.model import Conversation, HistoryEntry
from chalicelib.wiring import Relay

#: What `Media.problem` says of a file that was erased.
ERASED = "erased"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, meaning in (
        ("list", "the keys of a conversation's files"),
        ("erase", "erases them, and their transcripts in the history; a dry run unless --yes"),
    ):
        action = actions.add_parser(name, help=meaning, description=meaning)
        action.add_argument("--stage", required=True, help="such as dev, prod or local")
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("--conversation", help="the conversation's id; its history is looked through")
        which.add_argument("--reference", help="the conversation's reference, as logs and keys have it; files only")
        if name == "erase":
            action.add_argument("--yes", action="store_true", help="do it")


def run(arguments: argparse.Namespace) -> int:
    """Prints one line for each file; keys only, never what people sent. Returns 0, or 1 and the reason."""
    os.environ["STAGE"] = arguments.stage
    try:
        for line in _lines(Relay(Settings.from_env()), arguments):
            print(line, flush=True)
    except (SettingsError, RelayError, BotoCoreError, ClientError) as error:
        print(f"media: {error}", file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True)
class Found:
    """What is known of a conversation's files: their keys, and the history entries that tell of them."""

    keys: Sequence[str]
    entries: Sequence[HistoryEntry]
    conversation: Conversation | None


def _lines(relay: Relay, arguments: argparse.Namespace) -> Iterator[str]:
    found = _found(relay, arguments)
    yield from found.keys
    yield f"{len(found.keys)} objects, {len(found.entries)} messages of the history tell of them"
    if arguments.action == "list":
        return
    if found.conversation is not None and any(each.media for each in found.conversation.waiting):
        yield "a message with files still waits for an answer: erase again once it is answered"
    if not arguments.yes:
        yield "a dry run: nothing was erased; with --yes it is"
        return
    _erase(relay, found)
    yield "erased"


def _found(relay: Relay, arguments: argparse.Namespace) -> Found:
    if arguments.reference:
        return Found(list(relay.media_store.keys(f"{arguments.reference}/")), (), None)
    entries = list(_history(relay, arguments.conversation))
    conversation = _record(relay, arguments.conversation, entries)
    named = {media.key.partition("/")[0] for entry in entries for media in entry.media if media.key}
    references = named | ({conversation.reference} if conversation and conversation.reference else set())
    keys = [key for reference in sorted(references) for key in relay.media_store.keys(f"{reference}/")]
    return Found(keys, [entry for entry in entries if entry.media], conversation)


def _erase(relay: Relay, found: Found) -> None:
    """Files first: as long as the history names them, whoever was stopped in between finds them again."""
    relay.media_store.erase(found.keys)
    for entry in found.entries:
        gone = [replace(media, key=None, words=None, problem=ERASED) for media in entry.media]
        relay.history.attach(entry.conversation_id, entry.position, gone)


def _history(relay: Relay, conversation_id: str) -> Iterator[HistoryEntry]:
    pages = relay.aws.of("dynamodb").get_paginator("query")
    for page in pages.paginate(
        TableName=relay.settings.messages_table,
        KeyConditionExpression="#id = :id",
        ExpressionAttributeNames={"#id": "conversation_id"},
        ExpressionAttributeValues={":id": to_wire(conversation_id)},
        ConsistentRead=True,
    ):
        yield from (history_entry_of(from_wire(item)) for item in page["Items"])


def _record(relay: Relay, conversation_id: str, entries: Sequence[HistoryEntry]) -> Conversation | None:
    """The conversation's record, found through the people of its history."""
    people = {entry.sender for entry in entries if entry.sender} | {entry.recipient for entry in entries}
    records = (each for person in sorted(people - {""}) for each in relay.conversations.of_person(person))
    return next((each for each in records if each.key.conversation_id == conversation_id), None)
