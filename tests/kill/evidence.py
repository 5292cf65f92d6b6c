"""What can be seen from outside once everything has come to rest: the provider's log, the tables and the queues."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import Any

from chalicelib.model import Numbered
from local.feed import log_time
from tests.kill.installation import QUEUES, Installation
from tests.kill.plan import Plan, Talk, tokens_in

Item = dict[str, Any]


@dataclass(frozen=True)
class Letter:
    """A message on a queue that people read: a dead letter, or a context object of the handoff queue."""

    queue: str
    conversation_id: str
    message_id: str
    reason: str
    queued_at: datetime | None

    @classmethod
    def of(cls, queue: str, message: Any) -> "Letter":
        context = json.loads(message.body)
        attributes = message.message_attributes or {}
        queued = context["processing"]["processing_timestamps"].get("queued")
        return cls(
            queue,
            context["conversation"]["conversation_id"],
            context["message"]["message_id"],
            attributes.get("reason", {}).get("StringValue", ""),
            datetime.fromisoformat(queued) if queued else None,
        )


@dataclass(frozen=True)
class Evidence:
    """Everything that was found, as it was found."""

    plan: Plan
    written: Mapping[str, str]  #: what people wrote, by the provider's id of the message
    records: list[Item]
    history: list[Item]
    messages: list[Item]  #: of the provider, in the order in which it took them
    events: list[Item]  #: of the provider: webhooks and callbacks with their answers
    handed_over: list[Letter]
    dead_letters: list[Letter]
    log: list[tuple[str, Item]]  #: what the processes said in JSON, by process

    def of(self, talk: Talk) -> "Case":
        return Case(self, talk)

    @cached_property
    def cases(self) -> "list[Case]":
        return [Case(self, talk) for talk in self.plan.talks()]

    def actions(self, action: str) -> int:
        """How often the application has logged an action."""
        return sum(1 for _, line in self.log if line.get("action") == action)


@dataclass(frozen=True)
class Case:
    """What there is about one conversation."""

    evidence: Evidence
    talk: Talk

    @cached_property
    def record(self) -> Item:
        key = self.talk.conversation_id
        return next(each for each in self.evidence.records if each["conversation_id"] == key)

    @cached_property
    def history(self) -> list[Item]:
        """By position, which is the order of the conversation."""
        mine = (each for each in self.evidence.history if each["conversation_id"] == self.talk.conversation_id)
        return sorted(mine, key=lambda each: each["position"])

    @cached_property
    def incoming(self) -> list[Item]:
        """What the provider received from the person for this company."""
        return [each for each in self._exchanged if each["direction"] == "inbound"]

    @cached_property
    def outgoing(self) -> list[Item]:
        """What the provider took from us for the person, in its order."""
        return [each for each in self._exchanged if each["direction"] != "inbound"]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each message in the history, by the token in its text."""
        user = (each for each in self.history if each["author"] == "user")
        return {token: Numbered.number_of(each["position"]) for each in user for token in tokens_in(each["text"])}

    @cached_property
    def answers(self) -> list[tuple[Item, list[str]]]:
        """The messages of the provider that open an answer, with the messages that they say they cover."""
        named = ((each, tokens_in(each["body"])) for each in self.outgoing)
        return [(each, tokens) for each, tokens in named if tokens]

    @cached_property
    def handed_over(self) -> list[Letter]:
        return [each for each in self.evidence.handed_over if each.conversation_id == self.talk.conversation_id]

    @property
    def reason(self) -> str:
        """Why a human has the conversation; the AI's own words for it quote the person and are left out."""
        reason = str(self.record.get("hand_off_to_human_reason"))
        return "asked by the person" if reason.startswith("The person asked") else reason

    @property
    def passed_up_to(self) -> int:
        """The number of the newest message that a human was told of with a reason."""
        told = [self.number_of(each.message_id) for each in self.handed_over if each.reason]
        return max(told, default=0)

    def number_of(self, message_id: str) -> int:
        """The number of a message by the provider's id; 0 for one that is not in the history."""
        found = (each for each in self.history if each.get("provider_message_id") == message_id)
        return next((Numbered.number_of(each["position"]) for each in found), 0)

    def covered(self) -> Iterator[str]:
        for _, tokens in self.answers:
            yield from tokens

    def answer_entries(self) -> Iterator[list[Item]]:
        """The parts of each answer, as the history has them."""
        ours = (each for each in self.history if each["author"] == "ai")
        for _, parts in groupby(ours, key=lambda each: Numbered.number_of(each["position"])):
            yield list(parts)

    @property
    def _exchanged(self) -> list[Item]:
        ends = {self.talk.address, self.talk.own}
        return [each for each in self.evidence.messages if {each["from"], each["to"]} == ends]


def gather(made: Installation, written: Mapping[str, str]) -> Evidence:
    """Reads everything; the queues that people read are empty afterwards."""
    twilio = made.urls.twilio
    dead = [Letter.of(each, letter) for each in (*QUEUES, "handoff") for letter in made.drained(each, dead=True)]
    return Evidence(
        plan=made.plan,
        written=written,
        records=made.items("CONVERSATIONS_TABLE"),
        history=made.items("MESSAGES_TABLE"),
        messages=made.get(f"{twilio}/_people/messages")["messages"],
        events=made.get(f"{twilio}/_events")["events"],
        handed_over=[Letter.of("handoff", each) for each in made.drained("handoff")],
        dead_letters=dead,
        log=list(_log(made)),
    )


def _log(made: Installation) -> Iterator[tuple[str, Item]]:
    for name in ("app", *(f"worker-{number + 1}" for number in range(made.plan.workers))):
        for text in (made.logs / f"{name}.log").read_text().splitlines():
            line = _json(text)
            if line is not None:
                yield name, {**line, "at": log_time(line.get("timestamp"))}


def _json(text: str) -> Item | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "level" in line else None
