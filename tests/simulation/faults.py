"""What may go wrong at a call through a port, and which of it does in this run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tests.simulation.clockwork import Process


class Fault(StrEnum):
    """A sentence for each; what a call does then is in `boundary`."""

    DIES_BEFORE = "the process dies before"
    DIES_AFTER = "the process dies after"
    THROTTLED = "refused for now, nothing happened"
    RESPONSE_LOST = "it happened, but the response is lost"
    HAPPENS_LATE = "the caller gives up, and then it happens"
    TWICE = "the request arrives twice"
    PARTLY = "only a part of it happened"
    HELD_UP_BEFORE = "the process is held up for minutes before"
    HELD_UP_AFTER = "the process is held up for minutes after"

    QUEUE_LOSES = "the queue loses the message"
    QUEUE_REPEATS = "the queue delivers the message twice"
    QUEUE_DALLIES = "the queue delivers the message late"
    NOT_DELETED = "the queue does not learn that the message is done"

    ENGINE_SLOW = "the engine thinks for minutes"
    ENGINE_BUSY = "the engine says: not now"
    ENGINE_SILENT = "the engine does not answer"
    ENGINE_REFUSES = "the engine's answer is garbage or a refusal"
    ENGINE_HANDS_OFF = "the engine wants a human"
    ENGINE_BREAKS_US = "the engine's answer breaks our code"

    BUSY = "the provider says 429"
    TAKEN_TIMEOUT = "the provider takes it, and no answer comes back"
    NOT_TAKEN_TIMEOUT = "the provider does not take it, and no answer comes back"
    TAKEN_5XX = "the provider says 5xx, but takes it"
    NOT_TAKEN_5XX = "the provider says 5xx and does not take it"
    TAKEN_LATE = "no answer comes back, and the provider takes it after that"
    REFUSED = "the provider refuses"

    WEBHOOK_REPEATED = "the provider delivers the webhook again"
    WEBHOOK_NEVER_RETRIED = "the provider never tries the webhook again"
    CALLBACK_LOST = "the provider loses the callback"
    CALLBACK_REPEATED = "the provider repeats the callback"
    CALLBACK_LATE = "the callback comes late"
    NOT_DELIVERED = "the message does not reach the person"


_DIES = (Fault.DIES_BEFORE, Fault.DIES_AFTER)
_HELD_UP = (Fault.HELD_UP_BEFORE, Fault.HELD_UP_AFTER)
_READ = (Fault.DIES_BEFORE, Fault.THROTTLED, Fault.HELD_UP_AFTER)
_WRITE = (*_DIES, *_DIES, Fault.THROTTLED, Fault.RESPONSE_LOST, Fault.HAPPENS_LATE, Fault.TWICE, *_HELD_UP)
_QUEUE = (*_DIES, Fault.THROTTLED, Fault.RESPONSE_LOST, Fault.QUEUE_REPEATS, Fault.QUEUE_DALLIES, *_HELD_UP)
_WAKE = (*_QUEUE, Fault.QUEUE_LOSES)

#: The faults of each call, by port and method.
POSSIBLE: Mapping[str, Sequence[Fault]] = {
    "conversations.of_person": _READ,
    "conversations.get": _READ,
    "conversations.overdue": _READ,
    **{
        f"conversations.{step}": _WRITE
        for step in (
            "open",
            "record",
            "close",
            "commit",
            "claim",
            "sent_part",
            "finish",
            "release",
            "drop",
            "change_hands",
            "rescued",
            "offer",
            "opt",
        )
    },
    "history.write": (*_WRITE, Fault.PARTLY, Fault.PARTLY),
    "history.begin": _WRITE,
    "history.mark": _WRITE,
    "history.latest": _READ,
    "history.holds": _READ,
    "fallbacks.may_send": _WRITE,
    "opt_outs.note": _WRITE,
    "opt_outs.holds": _READ,
    "meters.add": _WRITE,
    "tenants.at": (Fault.THROTTLED,),
    "tenants.addresses": _READ,
    "secrets.current": (Fault.THROTTLED,),
    "secrets.refreshed": (Fault.THROTTLED,),
    "queues.wake_turn": _WAKE,
    "queues.wake_sender": _WAKE,
    "queues.hand_to_human": _QUEUE,
    "engine.answer": (
        *_DIES,
        *_HELD_UP,
        Fault.ENGINE_SLOW,
        Fault.ENGINE_SLOW,
        Fault.ENGINE_BUSY,
        Fault.ENGINE_SILENT,
        Fault.ENGINE_REFUSES,
        Fault.ENGINE_HANDS_OFF,
        Fault.ENGINE_BREAKS_US,
    ),
    # the process is never held up between its last look at the clock and the post: an assumption of the protocol
    "provider.post": (
        *_DIES,
        Fault.HELD_UP_AFTER,
        Fault.HELD_UP_AFTER,
        Fault.BUSY,
        Fault.TAKEN_TIMEOUT,
        Fault.NOT_TAKEN_TIMEOUT,
        Fault.TAKEN_5XX,
        Fault.NOT_TAKEN_5XX,
        Fault.TAKEN_LATE,
        Fault.REFUSED,
    ),
    "provider.posted_since": (Fault.DIES_BEFORE, Fault.BUSY, Fault.REFUSED, *_HELD_UP),
    "queue.delete": (Fault.NOT_DELETED,),
    "webhook": (Fault.WEBHOOK_REPEATED, Fault.WEBHOOK_REPEATED, Fault.WEBHOOK_NEVER_RETRIED),
    "callback": (Fault.CALLBACK_LOST, Fault.CALLBACK_REPEATED, Fault.CALLBACK_LATE),
    "delivery": (Fault.NOT_DELIVERED,),
}

#: How often a call goes wrong, compared with the others. What is cached is asked for often and seldom read; what
#: happens outside of our processes, at the engine and at the provider is what the protocol is made for.
_OFTEN = {
    "tenants.at": 0.1,
    "secrets.current": 0.1,
    "secrets.refreshed": 0.1,
    "webhook": 4.0,
    "callback": 4.0,
    "delivery": 2.0,
    "engine.answer": 4.0,
    "provider.post": 5.0,
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a fault strikes: the how manieth call of which process."""

    process: int
    call: int


@dataclass(frozen=True, slots=True)
class Struck:
    place: Place
    fault: Fault


class Faults(Protocol):
    """Decides at each call. What it decided is kept in `struck`."""

    struck: list[Struck]

    def at(self, process: Process, call: int, name: str, now: float) -> Fault | None: ...


@dataclass
class DrawnFaults:
    """Faults as the seed draws them until `until`; only those of `allowed`, if that is given.

    A fault that is not allowed is drawn all the same, so that everything else stays as it was.
    """

    rate: float
    until: float
    allowed: frozenset[Struck] | None = None
    struck: list[Struck] = field(default_factory=list)

    def at(self, process: Process, call: int, name: str, now: float) -> Fault | None:
        chance = process.chance
        drawn = chance.random()
        if now > self.until or drawn >= self.rate * _OFTEN.get(name, 1.0):
            return None
        possible = POSSIBLE[name]
        struck = Struck(Place(process.ident, call), possible[int(chance.random() * len(possible))])
        if self.allowed is not None and struck not in self.allowed:
            return None
        self.struck.append(struck)
        return struck.fault


@dataclass
class PlannedFaults:
    """Exactly these faults, each at its place."""

    plan: Mapping[Place, Fault]
    struck: list[Struck] = field(default_factory=list)
    reached: list[tuple[Place, str]] = field(default_factory=list)  #: every call there was, in order

    def at(self, process: Process, call: int, name: str, now: float) -> Fault | None:
        place = Place(process.ident, call)
        self.reached.append((place, name))
        fault = self.plan.get(place)
        if fault is not None:
            self.struck.append(Struck(place, fault))
        return fault
