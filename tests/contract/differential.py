"""The same random steps on the twins and on the adapters: the same results, and the same records after each step.

`python -m tests.contract.differential` looks deeper than the tests do.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chalicelib.aws import conversations as adapter
from chalicelib.aws.conversations import DynamoConversations
from chalicelib.aws.items import conversation_of, from_wire, item_to_wire
from chalicelib.aws.messages import DynamoFallbacks, DynamoHistory, DynamoOptOuts
from chalicelib.errors import RelayError
from chalicelib.model import (
    Author,
    Channel,
    Conversation,
    ConversationKey,
    Delivery,
    HistoryEntry,
    Media,
    Numbered,
    Status,
    Thread,
    Usage,
)
from chalicelib.ports import Conversations, Fallbacks, History, OptOuts
from tests.backends import dynamodb_local
from tests.contract.shelves import CONVERSATIONS, MESSAGES, Record, create_tables, sdk
from tests.twins import store as twin
from tests.twins.cast import OWN_ADDRESS, outgoing, waiting
from tests.twins.clock import TwinClock
from tests.twins.history import TwinFallbacks, TwinHistory, TwinOptOuts
from tests.twins.store import TwinConversations

PERSON = "+447700900777"
KEYS = (ConversationKey(PERSON, "company-1#project-1"), ConversationKey(PERSON, "company-2#project-1"))

#: Little room brings the edges of a record near. What is waiting, and how many ids are kept, at least and at most.
ROOM = {"MOST_WAITING": 3, "IDS_KEPT": 4, "MOST_IDS": 8}

#: What the outbound engine may have written into a record that it opened; each of them is understood or left alone.
FOREIGN: dict[str, tuple[Any, ...]] = {
    "conversation_status": ("initial_message_sent", "Closed", "closed", "cLosed", "ai_response_ready", None, 7, ["x"]),
    "hand_off_to_human": (False, True, "true", "False", Decimal(1), Decimal(0), None, "no"),
    "handoff_to_human": (False, True, "True", Decimal(1), ["x"]),
    "comms_consent": (True, False, "false", "FALSE", Decimal(0), None),
    "opted_out": (True, "TRUE"),
    "ttl": (Decimal(1_900_000_000), Decimal("1795338003.5"), Decimal(5), "soon", None, True),
    "channel_method": ("whatsapp", "SMS", "pigeon"),
    "channel_config": ({"company_whatsapp_number": OWN_ADDRESS}, {"company_sms_number": "", "x": [None]}, "none"),
    "ai_config": ({"api_key_reference": "keys/1", "assistant_id": "asst_1", "tools": ["a"]}, {}),
    "thread_id": ("thread_1", ""),
    "messages": ([{"role": "assistant", "content": "Hello", "total_tokens": Decimal(3)}], [1, "x"], "none"),
    "gsi_company_pk": ("company-1",),
    "a-name.with [odd] characters": ({"nested": {"list": [Decimal("1.5"), None, True, ""]}}, {"a", "b"}, b"\x00\x01"),
    "#name": (":value",),
    "hand_off_to_human_reason": ("theirs",),
    "task_complete": (Decimal(0), True, "yes"),
}

#: What other systems change in a record while it is in use.
CHANGED_BY_OTHERS = (
    "hand_off_to_human_reason",
    "conversation_status",
    "hand_off_to_human",
    "handoff_to_human",
    "comms_consent",
    "ttl",
    "opted_out",
)

#: What the relay keeps in a record; everything else is somebody else's.
OURS = frozenset(
    {
        *("conversation_status", "hand_off_to_human", "handoff_to_human", "hand_off_to_human_reason", "opted_out"),
        *("ttl", "updated_at", "reference", "received", "answered", "waiting", "overflowing", "recent_message_ids"),
        *("epoch", "outgoing", "unanswered_since", "rescue_shard", "untold", "last_inbound_at", "rescues"),
        *("rescued_at", "last_answer", "apologised", "task_complete", "task_outcome"),
        *("thread_id", "thread_state"),
    }
)

_anything = st.fixed_dictionaries({}, optional={name: st.sampled_from(each) for name, each in FOREIGN.items()})
#: The first of each is what a record holds in which an AI may answer.
_USUAL = {name: st.just(each[0]) for name, each in FOREIGN.items() if name != "opted_out"}
_usual = st.fixed_dictionaries({}, optional=_USUAL)
_foreign = st.one_of(_usual, _usual, _usual, _anything)
_which = st.sampled_from((*KEYS[:1] * 3, *KEYS))
#: How many states ago a record was read by whoever acts on it.
_ago = st.sampled_from((0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 6))
#: Whose words an answer is, and why a human gets the conversation after it.
_by = st.sampled_from(((Author.AI, None), (Author.AI, None), (Author.AI, "asked"), (Author.SYSTEM, "ai_failed:quota")))
_times, _part = st.integers(2, 8), st.integers(0, 2)
_statuses = st.sampled_from(
    (Status.HANDED_OFF_TO_HUMAN, Status.AI_FAILED, Status.SEND_FAILED, Status.AI_RESPONSE_READY)
)
_passing = st.sampled_from((0.0, 0.0004, 0.0006, 0.25, 1.0, 30.0, 100_000.0))
_positions = st.sampled_from((*[Numbered.answer(1, 0)] * 3, Numbered.answer(1, 1), Numbered.inbound(1)))
_provider_ids = st.sampled_from((None, None, "SM1", "SM2", "SM3"))
_conversation_ids = st.sampled_from([key.conversation_id for key in (*KEYS[:1] * 2, *KEYS)])


def _entry(conversation_id: str, position: str, provider_id: str | None, text: str, at: datetime) -> HistoryEntry:
    by_ai = "ai" in position
    return HistoryEntry(
        conversation_id=conversation_id,
        position=position,
        author=Author.AI if by_ai else Author.USER,
        text=text,
        at=at,
        channel=Channel.SMS if by_ai else Channel.WHATSAPP,
        number=Numbered.number_of(position),
        sender=PERSON,
        media=(Media("https://x/1", "image/png"),) if text else (),
        provider_id=provider_id,
        usage=Usage(model="m", input_tokens=1) if by_ai else None,
        covers=(0, 1) if by_ai else None,
        raw={"ProfileName": "", "x": "y"},
    )


#: Acts of the other tables' ports; they have sequences of their own.
NOT_ABOUT_RECORDS = ("the_history_grows", "somebody_reads_it", "a_stranger_writes", "somebody_opts", "time_goes_by")

_ACTS: list[tuple[Callable[..., None], dict[str, Any]]] = []


def act(weight: int, **arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Something that may happen, so often compared with the rest."""

    def named(do: Callable[..., None]) -> Callable[..., None]:
        _ACTS.extend([(do, arguments)] * weight)
        return do

    return named


class Both(RuleBasedStateMachine):
    """Every step is done on both sides."""

    def __init__(self, dynamodb: Any, count: Callable[[str], None], *, records: bool) -> None:
        """About `records`, or about everything else."""
        super().__init__()
        self.dynamodb, self.count = dynamodb, count
        self.acts = [
            number for number, (do, _) in enumerate(_ACTS) if (do.__name__ not in NOT_ABOUT_RECORDS) == records
        ]
        self.clock = TwinClock()
        self.room = _room()
        self.room.__enter__()
        self.real = DynamoConversations(dynamodb, CONVERSATIONS, clock=self.clock, identifiers=self._identifier)
        self.twin = TwinConversations(self.clock, self._identifier)
        self.real_history, self.twin_history = DynamoHistory(dynamodb, MESSAGES), TwinHistory(self.clock)
        self.real_fallbacks, self.twin_fallbacks = DynamoFallbacks(dynamodb, MESSAGES), TwinFallbacks()
        self.real_opt_outs, self.twin_opt_outs = DynamoOptOuts(dynamodb, MESSAGES), TwinOptOuts()
        self.states: dict[ConversationKey, list[Conversation]] = {key: [] for key in KEYS}
        self.foreign: dict[ConversationKey, Record] = {}
        self.said: dict[ConversationKey, int] = dict.fromkeys(KEYS, 0)
        self.answers = self.endings = 0

    def teardown(self) -> None:
        self.room.__exit__(None, None, None)
        for table, names in ((CONVERSATIONS, _KEY), (MESSAGES, _PLACE)):
            for page in self.dynamodb.get_paginator("scan").paginate(TableName=table):
                for item in page["Items"]:
                    self.dynamodb.delete_item(TableName=table, Key={name: item[name] for name in names})

    def _identifier(self) -> str:
        return f"made at {self.clock().isoformat()}"

    # comparing

    def both(self, name: str, on_twin: Callable[[], Any], on_real: Callable[[], Any]) -> Any:
        self.count(name)
        expected, found = _outcome(on_twin), _outcome(on_real)
        assert found == expected, f"{name}: {_difference(expected, found)}"
        return expected

    def step(self, key: ConversationKey, name: str, *arguments: Any, **named: Any) -> Any:
        """A step of the protocol on the record `key`; both records are compared after it."""
        outcome = self.both(
            name,
            lambda: getattr(self.twin, name)(*arguments, **named),
            lambda: getattr(self.real, name)(*arguments, **named),
        )
        self.compare(key)
        return outcome

    def compare(self, key: ConversationKey) -> None:
        record, expected = self.raw(key), self.twin.get(key)
        found = conversation_of(record) if record else None
        assert found == expected, f"the record: {_difference(expected, found)}"
        if record is None or expected is None:
            return
        assert ("rescue_shard" in record) == ("unanswered_since" in record), "the index knows half of it"
        kept = {name: value for name, value in record.items() if name not in OURS}
        assert kept == self.foreign[key], "what is somebody else's is not what it was"
        if not self.states[key] or self.states[key][-1] != expected:
            self.states[key].append(expected)

    def raw(self, key: ConversationKey) -> Record | None:
        wanted = item_to_wire(dict(zip(_KEY, (key.person, key.conversation_id), strict=True)))
        found = self.dynamodb.get_item(TableName=CONVERSATIONS, Key=wanted, ConsistentRead=True)
        return from_wire(found["Item"]) if "Item" in found else None

    def seen(self, key: ConversationKey, ago: int) -> Conversation:
        """The record as somebody has read it some states ago."""
        states = self.states[key]
        return states[max(0, len(states) - 1 - ago)]

    def answered(self, key: ConversationKey, ago: int) -> Conversation | None:
        """A state with an answer on its way, the newest or an older one."""
        states = [state for state in self.states[key] if state.outgoing is not None]
        return states[max(0, len(states) - 1 - ago)] if states else None

    # what others do

    @initialize(foreign=_foreign)
    def the_outbound_engine_opens_the_first(self, foreign: Record) -> None:
        self.the_outbound_engine_opens(KEYS[0], foreign)

    def the_outbound_engine_opens(self, key: ConversationKey, foreign: Record) -> None:
        if self.raw(key) is None:
            record = dict(zip(_KEY, (key.person, key.conversation_id), strict=True)) | foreign
            self.dynamodb.put_item(TableName=CONVERSATIONS, Item=item_to_wire(record))
            self._taken_over_by_the_twin(key)

    @act(2, key=_which, data=st.data())
    def somebody_else_changes(self, key: ConversationKey, data: st.DataObject) -> None:
        record = self.raw(key)
        if record is None:
            self.the_outbound_engine_opens(key, data.draw(_foreign))
            return
        name = data.draw(st.sampled_from(CHANGED_BY_OTHERS))
        changed = {each: value for each, value in record.items() if each != name}
        if data.draw(st.booleans()):
            changed[name] = data.draw(st.sampled_from(FOREIGN[name]))
        self.dynamodb.put_item(TableName=CONVERSATIONS, Item=item_to_wire(changed))
        self._taken_over_by_the_twin(key)

    def _taken_over_by_the_twin(self, key: ConversationKey) -> None:
        record = self.raw(key)
        assert record is not None
        self.foreign[key] = {name: value for name, value in record.items() if name not in OURS}
        self.twin.put(conversation_of(record))
        self.compare(key)

    @act(1, key=_which, sure=st.sampled_from((*[False] * 9, True)))
    def its_time_to_live_passes(self, key: ConversationKey, sure: bool) -> None:
        if sure:
            record = item_to_wire(dict(zip(_KEY, (key.person, key.conversation_id), strict=True)))
            self.dynamodb.delete_item(TableName=CONVERSATIONS, Key=record)
            self.twin.remove(key)
            self.compare(key)

    @act(3, seconds=_passing)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    # the records

    @act(1, key=_which)
    def opened(self, key: ConversationKey) -> None:
        new = Conversation(
            key=key,
            channel=Channel.SMS,
            own_addresses={Channel.SMS: OWN_ADDRESS},
            company_id="company-1",
            company_name="Cucumber",
            project_id="project-1",
            status=Status.USER_REPLY_RECEIVED,
            reference="reference-1",
            person_name="what a new record does not hold",
        )
        if self.raw(key) is None:
            self.foreign[key] = {}
            assert self.both("open", lambda: self.twin.open(new), lambda: self.real.open(new))
            record = self.raw(key)
            assert record is not None
            self.foreign[key] = {name: value for name, value in record.items() if name not in OURS}
            self.compare(key)
        else:
            assert not self.step(key, "open", new)

    def _hears(self, key: ConversationKey, ago: int, number: int, text: str, opted_out: bool | None) -> None:
        media = (Media("https://x/1", "image/png", "x.png"),) if text == "with media" else ()
        message = waiting(
            number,
            text,
            at=self.clock(),
            media=media,
            clipped=text == "",
            sender_pool="MG1" if media else None,
            raw={"Blank": ""},
        )
        self.step(key, "record", self.seen(key, ago), message, opted_out=opted_out)

    @act(
        2,
        key=_which,
        ago=_ago,
        text=st.sampled_from(("hello", "hello", "", "with media")),
        opted_out=st.sampled_from((None, None, None, None, True, False)),
        times=st.sampled_from((1, 1, 1, 2, 4)),
    )
    def a_message_comes_in(self, key: ConversationKey, ago: int, text: str, opted_out: bool | None, times: int) -> None:
        for _ in range(times if self.states[key] else 0):
            self.said[key] += 1
            self._hears(key, ago, self.said[key], text, opted_out)

    @act(1, key=_which, ago=_ago, back=st.integers(0, 9), opted_out=st.sampled_from((None, None, True)))
    def a_message_comes_again(self, key: ConversationKey, ago: int, back: int, opted_out: bool | None) -> None:
        if self.said[key] > back:
            self._hears(key, ago, self.said[key] - back, "again", opted_out)

    @act(2, key=_which, ago=_ago)
    def closed(self, key: ConversationKey, ago: int) -> None:
        if self.states[key]:
            self.step(key, "close", self.seen(key, ago))

    @act(
        2,
        key=_which,
        ago=_ago,
        parts=st.integers(1, 3),
        newer_may_wait=st.booleans(),
        again=st.booleans(),
        by=_by,
        outcome=st.sampled_from((None, None, "a visit on Monday")),
        thread=st.sampled_from(
            (None, None, Thread(id="thread_2"), Thread(id="conv_1", item="msg_1", number=2, migrated=True))
        ),
    )
    def committed(
        self,
        key: ConversationKey,
        ago: int,
        parts: int,
        newer_may_wait: bool,
        again: bool,
        by: tuple[Author, str | None] = (Author.AI, None),
        outcome: str | None = None,
        thread: Thread | None = None,
    ) -> None:
        if not self.states[key]:
            return
        seen = self.seen(key, ago)
        self.answers += not again or self.answers == 0
        answer = outgoing(
            seen.answered,
            seen.received,
            *[f"part {part}" for part in range(parts)],
            name=f"answer {self.answers}",
            epoch=seen.epoch,
            committed_at=self.clock(),
            newest_at=self.clock(),
            usage=Usage(model="m", input_tokens=5),
            author=by[0],
            hands_over=by[1],
        )
        self.step(key, "commit", seen, answer, newer_may_wait=newer_may_wait, outcome=outcome, thread=thread)

    @act(2, key=_which, ago=_ago, by=_by)
    def offered(self, key: ConversationKey, ago: int, by: tuple[Author, str | None]) -> None:
        if self.states[key]:
            seen = self.seen(key, ago)
            self.answers += 1
            answer = outgoing(
                seen.answered, seen.received, "a", name=f"answer {self.answers}", epoch=seen.epoch, hands_over=by[1]
            )
            self.step(key, "offer", seen, answer)

    @act(1, key=_which, claim=st.sampled_from(("sender 1", "sender 2")))
    def claimed(self, key: ConversationKey, claim: str) -> None:
        self.step(key, "claim", key, claim=claim, at=self.clock())

    @act(3, key=_which, ago=_ago, part=st.integers(0, 2), claim=st.sampled_from((None, "sender 1", "sender 2")))
    def part_sent(self, key: ConversationKey, ago: int, part: int, claim: str | None) -> None:
        seen = self.answered(key, ago)
        if seen is not None and seen.outgoing is not None and part < len(seen.outgoing.parts):
            token = seen.outgoing.token
            self.step(key, "sent_part", key, token=token, part=part, provider_id=f"SM{part}", claim=claim)

    @act(2, key=_which, ago=_ago, end=st.sampled_from(("finish", "drop", "release")))
    def ended(self, key: ConversationKey, ago: int, end: str) -> None:
        seen = self.answered(key, ago)
        if seen is not None:
            self.step(key, end, seen, **({"at": self.clock()} if end == "finish" else {}))

    @act(
        4,
        key=_which,
        ago=st.sampled_from((0, 0, 0, 0, 1)),
        to_human=st.booleans(),
        reason=st.sampled_from((None, "", "asked")),
        status=_statuses,
        drop_outgoing=st.sampled_from((False, False, True)),
    )
    def hands_changed(
        self, key: ConversationKey, ago: int, to_human: bool, reason: str | None, status: Status, drop_outgoing: bool
    ) -> None:
        if self.states[key]:
            change = {"to_human": to_human, "reason": reason, "status": status, "drop_outgoing": drop_outgoing}
            self.step(key, "change_hands", self.seen(key, ago), **change)

    @act(8, key=_which, ago=_ago, times=_times, part=_part, by=_by)
    def the_protocol_goes_on(
        self, key: ConversationKey, ago: int, times: int, part: int, by: tuple[Author, str | None]
    ) -> None:
        """What would come next where nobody interferes."""
        for number in range(times if self.states[key] else 0):
            now, ago = self.seen(key, 0), 0 if number else ago
            if now.outgoing is None and now.somebody_waits:
                self.committed(key, ago, 3, False, False, by)
            elif now.outgoing is None and part == 1:
                self.offered(key, ago, by)
            elif now.outgoing is None:
                self.a_message_comes_in(key, ago, "hello", None, 5 if part == 0 else 2)
            elif now.outgoing.claim is None:
                self.claimed(key, "sender 1")
            elif part in now.outgoing.unsent:
                self.part_sent(key, ago, part, now.outgoing.claim)
            else:
                self.endings += 1
                self.ended(key, ago, ("finish", "release", "finish", "drop")[self.endings % 4])

    @act(2, key=_which, ago=_ago)
    def rescued(self, key: ConversationKey, ago: int) -> None:
        if self.states[key]:
            self.step(key, "rescued", self.seen(key, ago), at=self.clock())

    def looked_up(self, data: st.DataObject) -> None:
        self.both("of_person", lambda: list(self.twin.of_person(PERSON)), lambda: list(self.real.of_person(PERSON)))
        for key in KEYS:
            self.both("get", lambda key=key: self.twin.get(key), lambda key=key: self.real.get(key))

    def overdue(self, data: st.DataObject) -> None:
        before, limit = self.clock() - timedelta(seconds=data.draw(_passing)), data.draw(st.integers(1, 3))

        def since(port: Any) -> list[datetime | None]:
            found = port.overdue(before, limit=limit)
            assert len(set(found)) == len(found)
            return [record.unanswered_since for key in found if (record := self.twin.get(key))]

        self.both("overdue", lambda: since(self.twin), lambda: since(self.real))

    # the history

    def written(self, conversation_id: str, position: str, provider_id: str | None, data: st.DataObject) -> None:
        entry = _entry(conversation_id, position, provider_id, data.draw(st.sampled_from("ab")), self.clock())
        other = replace(entry, position=Numbered.inbound(3), text="")
        self._on_history("write", [entry, other])

    def begun(self, conversation_id: str, position: str, provider_id: str | None, data: st.DataObject) -> None:
        self._on_history("begin", _entry(conversation_id, position, provider_id, "", self.clock()))

    def attached(self, conversation_id: str, position: str, provider_id: str | None, data: st.DataObject) -> None:
        media = data.draw(st.sampled_from(((), (Media("https://x/2", "audio/ogg", "x.ogg"),))))
        self._on_history("attach", conversation_id, position, media)

    def marked(self, conversation_id: str, position: str, provider_id: str | None, data: st.DataObject) -> None:
        """By us, and then by the provider."""
        for named in (provider_id, data.draw(_provider_ids)):
            status = data.draw(st.sampled_from([each for each in Delivery if each != Delivery.UNKNOWN]))
            error_code = data.draw(st.sampled_from((None, "30008")))
            what = {"status": status, "provider_id": named, "error_code": error_code, "at": self.clock()}
            self._on_history("mark", conversation_id, position, **what)

    @act(
        3,
        how=st.sampled_from((written, begun, begun, marked, marked, marked, attached)),
        conversation_id=_conversation_ids,
        position=_positions,
        provider_id=_provider_ids,
        data=st.data(),
    )
    def the_history_grows(
        self, how: Any, conversation_id: str, position: str, provider_id: str | None, data: st.DataObject
    ) -> None:
        how(self, conversation_id, position, provider_id, data)

    def _on_history(self, name: str, *arguments: Any, **named: Any) -> None:
        ports = self.twin_history, self.real_history
        on_twin, on_real = ((lambda port=port: getattr(port, name)(*arguments, **named)) for port in ports)
        self.both(name, on_twin, on_real)
        for key in KEYS:
            self._both_histories("latest", key.conversation_id, limit=100)

    def read_back(self, data: st.DataObject) -> None:
        self._both_histories("latest", data.draw(_conversation_ids), limit=data.draw(st.integers(1, 4)))

    def searched(self, data: st.DataObject) -> None:
        self._both_histories("holds", data.draw(st.sampled_from(("SM1", "SM2", "SM3", "SM4"))))

    @act(1, data=st.data())
    def somebody_reads(self, data: st.DataObject) -> None:
        self.looked_up(data)
        self.overdue(data)

    @act(1, data=st.data())
    def somebody_reads_it(self, data: st.DataObject) -> None:
        self.read_back(data)
        self.searched(data)

    @act(2, seconds=_passing)
    def time_goes_by(self, seconds: float) -> None:
        self.time_passes(seconds)

    def _both_histories(self, name: str, *arguments: Any, **named: Any) -> None:
        def on(port: Any) -> Any:
            found = getattr(port, name)(*arguments, **named)
            return found if isinstance(found, bool) else list(found)

        self.both(name, lambda: on(self.twin_history), lambda: on(self.real_history))

    @act(1, own=st.sampled_from(("whatsapp:+1", "sms:+1")), window=st.sampled_from((0.5, 30.0, 86_400.0)))
    def a_stranger_writes(self, own: str, window: float) -> None:
        arguments, length = (own, PERSON), timedelta(seconds=window)
        self.both(
            "may_send",
            lambda: self.twin_fallbacks.may_send(*arguments, at=self.clock(), window=length),
            lambda: self.real_fallbacks.may_send(*arguments, at=self.clock(), window=length),
        )

    @act(1, key=_which, out=st.booleans())
    def opted(self, key: ConversationKey, out: bool) -> None:
        self.step(key, "opt", key, out=out)

    @act(
        1,
        company=st.sampled_from(("company-1", "company-2")),
        person=st.sampled_from((PERSON, f"whatsapp:{PERSON}", "whatsapp:US.ABC")),
        out=st.sampled_from((None, True, False)),
    )
    def somebody_opts(self, company: str, person: str, out: bool | None) -> None:
        ports = self.twin_opt_outs, self.real_opt_outs
        if out is not None:
            people = (person, "+447700900778")
            notes = [lambda port=port: port.note(company, people, out=out, at=self.clock()) for port in ports]
            self.both("note", *notes)
        for each in (person, PERSON):
            asks = [lambda port=port, each=each: port.holds(company, each) for port in ports]
            self.both("holds", *asks)

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One of the acts. As rules of their own Hypothesis would leave most of them out of most sequences."""
        do, arguments = _ACTS[data.draw(st.sampled_from(self.acts))]
        note(do.__name__)
        do(self, **{name: data if name == "data" else data.draw(each, name) for name, each in arguments.items()})


_KEY = ("primary_channel", "conversation_id")
_PLACE = ("conversation_id", "position")


def _outcome(act: Callable[[], Any]) -> Any:
    """What came back, or what kind of error."""
    try:
        return act()
    except RelayError as error:
        return type(error)


def _difference(on_twin: Any, on_real: Any) -> str:
    """In which fields the two differ."""
    if type(on_twin) is not type(on_real) or not is_dataclass(on_twin):
        return f"the twin says {on_twin}, the adapter {on_real}"
    pairs = {each.name: (getattr(on_twin, each.name), getattr(on_real, each.name)) for each in fields(on_twin)}
    return "; ".join(f"{name}: {_difference(*pair)}" for name, pair in pairs.items() if pair[0] != pair[1])


@contextmanager
def _room() -> Iterator[None]:
    with patch.multiple(adapter, **ROOM), patch.multiple(twin, **ROOM):
        yield


#: Every operation of the ports that are compared.
OPERATIONS = frozenset(
    name for port in (Conversations, History, Fallbacks, OptOuts) for name in vars(port) if not name.startswith("_")
)


def compare(
    dynamodb: Any, *, examples: int, steps: int = 40, anew: bool = False, shrink: bool = True
) -> dict[str, int]:
    """Compares so many sequences of at most so many steps; how often each step was done. `anew` draws other ones."""
    done: dict[str, int] = {}

    def count(name: str) -> None:
        done[name] = done.get(name, 0) + 1

    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not anew,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    for records in (True, False):
        run_state_machine_as_test(
            lambda records=records: Both(dynamodb, count, records=records),
            settings=settings(chosen, max_examples=examples if records else -(-examples // 4)),
        )
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares with DynamoDB Local. Raises AssertionError, with the shortest steps that show it, where they differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.differential", description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000, help="how many sequences (default %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="how long each is at most (default %(default)s)")
    parsed = parser.parse_args(arguments)
    began = time.perf_counter()
    with dynamodb_local.running() as endpoint:
        dynamodb = dynamodb_local.made_up_for(sdk("dynamodb", endpoint))
        create_tables(dynamodb)
        done = compare(dynamodb, examples=parsed.examples, steps=parsed.steps, anew=True)
    for name, times in sorted(done.items()):
        print(f"{times:>9}  {name}")
    print(f"{sum(done.values())} operations in {time.perf_counter() - began:.0f} s, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
