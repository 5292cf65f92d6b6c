"""Dead letters: what lies in the dead-letter queues, what became of it since, and waking whoever must still act."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.config import APPLICATION, Settings, SettingsError
from chalicelib.context import Context
from chalicelib.errors import Rejected, RelayError
from chalicelib.lifecycle import human_reason
from chalicelib.model import Conversation, OutgoingState
from chalicelib.wiring import Relay

PURPOSES = ("whatsapp-replies", "sms-replies", "email-replies", "sender", "media", "handoff")

#: How long a letter that was looked at stays hidden from others, in seconds.
HIDDEN_SECONDS = 120

#: SQS hands over at most this many messages at once. Source: SQS API reference, ReceiveMessage.
_BATCH = 10


class Verdict(StrEnum):
    """What a dead letter still asks for, in the words that the operator reads."""

    WAITS = "the person still waits: a turn is woken"
    READY = "an answer is ready: the sender is woken"
    IN_DOUBT = "an answer is in doubt: the sweep settles it, nothing to wake"
    HUMAN = "a human owns the conversation: what waits is passed on"
    ANSWERED = "nobody waits any more: answered or closed since"
    GONE = "the conversation is gone"
    FOR_PEOPLE = "people read this queue: it is put back"
    FILES = "files may be missing: they are collected again"
    UNREADABLE = "not a context object: it stays until --drop-unreadable"


@dataclass(frozen=True)
class Letter:
    """One dead letter and what there is to say about it."""

    purpose: str
    receipt: str
    body: str
    attributes: dict[str, Any]
    sent_at: float  #: epoch seconds
    context: Context | None
    conversation: Conversation | None
    verdict: Verdict

    @property
    def message_id(self) -> str:
        return self.context.message.message_id if self.context else "-"

    @property
    def reference(self) -> str:
        return self.conversation.reference if self.conversation else "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, meaning in (
        ("list", "how many letters lie in each queue"),
        ("show", "each letter and what became of its conversation"),
        ("redrive", "wakes whoever must still act; a dry run unless --yes"),
    ):
        action = actions.add_parser(name, help=meaning, description=meaning)
        action.add_argument("--stage", required=True, help="such as dev, prod or local")
        action.add_argument("--queue", choices=PURPOSES, help="only this queue's letters")
        action.add_argument("--limit", type=int, default=100, help="letters of each queue (default %(default)s)")
        if name == "redrive":
            action.add_argument("--yes", action="store_true", help="do it")
            action.add_argument("--drop-unreadable", action="store_true", help="delete what nobody can read")


def run(arguments: argparse.Namespace) -> int:
    """Prints one line for each queue or letter; ids only, never what people wrote. Returns 0, or 1 and the reason."""
    os.environ["STAGE"] = arguments.stage
    try:
        desk = Desk(Relay(Settings.from_env()), arguments.stage)
        for line in _lines(desk, arguments):
            print(line, flush=True)
    except (SettingsError, RelayError, BotoCoreError, ClientError) as error:
        print(f"dlq: {error}", file=sys.stderr)
        return 1
    return 0


class Desk:
    """Reads the dead-letter queues of one stage and acts on what the tables say."""

    def __init__(self, relay: Relay, stage: str) -> None:
        self._relay = relay
        self._stage = stage
        self._sqs = relay.aws.of("sqs")

    def count(self, purpose: str) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url(purpose, dead=True), AttributeNames=[name])
        return int(answer["Attributes"][name])

    def letters(self, purpose: str, limit: int) -> Iterator[Letter]:
        """Each letter once; it is hidden from others for two minutes meanwhile."""
        seen: set[str] = set()
        while len(seen) < limit:
            found = self._sqs.receive_message(
                QueueUrl=self._url(purpose, dead=True),
                MaxNumberOfMessages=min(_BATCH, limit - len(seen)),
                VisibilityTimeout=HIDDEN_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            fresh = [message for message in found if message["MessageId"] not in seen]
            if not fresh:
                return
            seen |= {message["MessageId"] for message in fresh}
            yield from (self._letter(purpose, message) for message in fresh)

    def redrive(self, letter: Letter) -> None:
        """Does what the verdict says, then deletes the letter: its work is somebody else's now."""
        if letter.verdict in (Verdict.FOR_PEOPLE, Verdict.FILES):
            self._sqs.send_message(
                QueueUrl=self._url(letter.purpose, dead=False),
                MessageBody=letter.body,
                MessageAttributes=letter.attributes,
            )
        elif letter.conversation is not None:
            self._relay.route(letter.conversation)
        self.delete(letter)

    def delete(self, letter: Letter) -> None:
        self._sqs.delete_message(QueueUrl=self._url(letter.purpose, dead=True), ReceiptHandle=letter.receipt)

    def release(self, letter: Letter) -> None:
        """Lets others see the letter again at once."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url(letter.purpose, dead=True), ReceiptHandle=letter.receipt, VisibilityTimeout=0
        )

    def _letter(self, purpose: str, message: dict[str, Any]) -> Letter:
        context = _context_of(message["Body"])
        conversation = self._relay.conversations.get(context.key) if context else None
        return Letter(
            purpose=purpose,
            receipt=message["ReceiptHandle"],
            body=message["Body"],
            attributes=message.get("MessageAttributes", {}),
            sent_at=int(message["Attributes"]["SentTimestamp"]) / 1000,
            context=context,
            conversation=conversation,
            verdict=verdict_of(purpose, context, conversation),
        )

    def _url(self, purpose: str, *, dead: bool) -> str:
        name = f"{APPLICATION}-{purpose}-queue-{'dlq-' if dead else ''}{self._stage}"
        return str(self._sqs.get_queue_url(QueueName=name)["QueueUrl"])


def verdict_of(purpose: str, context: Context | None, conversation: Conversation | None) -> Verdict:
    """What a letter still asks for, by what the tables say now: never by what it says itself."""
    if context is None:
        return Verdict.UNREADABLE
    if purpose == "handoff":
        return Verdict.FOR_PEOPLE
    if conversation is None:
        return Verdict.GONE
    if purpose == "media":
        return Verdict.FILES
    outgoing = conversation.outgoing
    if outgoing is not None and outgoing.state == OutgoingState.CLAIMED:
        return Verdict.IN_DOUBT
    waits = conversation.somebody_waits or conversation.unanswered_since is not None
    if human_reason(conversation) is not None:
        return Verdict.HUMAN if waits else Verdict.ANSWERED
    if outgoing is not None:
        return Verdict.READY
    return Verdict.WAITS if conversation.somebody_waits else Verdict.ANSWERED


def _context_of(body: str) -> Context | None:
    try:
        return Context.from_json(body)
    except Rejected:
        return None


def _lines(desk: Desk, arguments: argparse.Namespace) -> Iterator[str]:
    purposes: Sequence[str] = [arguments.queue] if arguments.queue else PURPOSES
    if arguments.action == "list":
        yield from (f"{purpose:18} {desk.count(purpose)}" for purpose in purposes)
        return
    letters = [letter for purpose in purposes for letter in desk.letters(purpose, arguments.limit)]
    if not letters:
        yield "no dead letters"
    acting = arguments.action == "redrive" and arguments.yes
    for index, letter in enumerate(letters):
        yield _line(letter)
        if not acting or (letter.verdict == Verdict.UNREADABLE and not arguments.drop_unreadable):
            desk.release(letter)
        elif letter.verdict == Verdict.UNREADABLE or _woken_already(letter, letters[:index]):
            desk.delete(letter)
        else:
            desk.redrive(letter)
    if letters and arguments.action == "redrive" and not arguments.yes:
        yield "a dry run: nothing was changed; with --yes it is done"


def _woken_already(letter: Letter, before: Sequence[Letter]) -> bool:
    """One letter of a conversation is enough, unless people read them; one about files is no other's."""
    if letter.conversation is None or letter.verdict == Verdict.FOR_PEOPLE:
        return False
    key, about_files = letter.conversation.key, letter.verdict == Verdict.FILES
    others = [each for each in before if each.verdict != Verdict.FOR_PEOPLE]
    others = [each for each in others if (each.verdict == Verdict.FILES) == about_files]
    return any(each.conversation is not None and each.conversation.key == key for each in others)


def _line(letter: Letter) -> str:
    minutes = (time.time() - letter.sent_at) / 60
    ids = json.dumps({"message": letter.message_id, "conversation": letter.reference})
    return f"{letter.purpose:18} {minutes:7.0f} min  {ids}  {letter.verdict}"
