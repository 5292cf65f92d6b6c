"""Every call of a stage through a port: it takes time before and after its effect, and it may go wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from greenlet import getcurrent  # type: ignore[import-untyped]

from chalicelib.errors import Refused, TryAgain, Unconfirmed
from tests.simulation.clockwork import Clockwork, Died, Process
from tests.simulation.faults import Fault, Faults
from tests.simulation.scenario import Event

#: The methods that go over the network, by port. Everything else happens inside of the process and takes no time.
REMOTE: Mapping[str, Sequence[str]] = {
    "conversations": (
        "of_person",
        "get",
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
        "overdue",
        "rescued",
        "offer",
        "opt",
    ),
    "history": ("write", "begin", "latest", "holds", "mark"),
    "fallbacks": ("may_send",),
    "opt_outs": ("note", "holds"),
    "meters": ("add",),
    "tenants": ("at", "addresses"),
    "secrets": ("current", "refreshed"),
    "queues": ("wake_turn", "wake_sender", "hand_to_human"),
}

#: These are answered from a cache nearly always.
CACHED = frozenset({"tenants.at", "secrets.current", "secrets.refreshed"})

#: How long a process is held up, in seconds: longer than any visibility timeout.
HELD_UP = (125.0, 400.0)

#: A request that nobody waits for any more takes effect within this time.
LATE = (0.5, 4.0)

#: The provider's deadline, less than which a post takes.
POST_TAKES_AT_MOST = 8.0


class Remote:
    """A port of which the remote methods go through the boundary."""

    def __init__(self, boundary: "Boundary", name: str, port: Any) -> None:
        for method in REMOTE[name]:
            setattr(self, method, partial(boundary.call, f"{name}.{method}", getattr(port, method)))


@dataclass
class Line:
    """One call, for the story."""

    at: float
    process: str
    what: str
    outcome: str


@dataclass
class Boundary:
    """Decides how long calls take and how they fail. `pace` is the scale of delays in seconds."""

    clockwork: Clockwork
    faults: Faults
    pace: float
    telling: bool = False
    story: list[Line] = field(default_factory=list)
    thinking: tuple[float, float] = (2.0, 20.0)  #: how long the engine takes, in seconds
    acting: Process | None = None  #: the process whose effect is happening
    effects: int = 0
    triggers: dict[int, list[Event]] = field(default_factory=dict)  #: what happens just before which effect
    trigger: Callable[[Event], None] = lambda event: None

    def wrap(self, name: str, port: Any) -> Any:
        return Remote(self, name, port) if name in REMOTE else port

    def call(self, name: str, effect: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        process = cast(Process, getcurrent())
        number, process.calls = process.calls, process.calls + 1
        chance, clockwork = process.chance, self.clockwork
        before = after = 0.0
        if name not in CACHED:
            before, after = self.pace * chance.random() ** 3, self.pace * chance.random() ** 3
        if name == "provider.post":
            before = min(before, POST_TAKES_AT_MOST)
        elif name == "engine.answer":
            least, most = self.thinking
            before = least + (most - least) * chance.random()
        fault = self.faults.at(process, number, name, clockwork.now)
        process.called_at = clockwork.now
        if fault is None:
            clockwork.sleep(before)
            result = self._happen(process, name, effect, arguments, named)
            clockwork.sleep(after)
            return result
        return self._troubled(fault, process, name, partial(effect, *arguments, **named), before, after)

    def tell(self, process: str, what: str, outcome: str = "") -> None:
        if self.telling:
            self.story.append(Line(self.clockwork.now, process, what, outcome))

    def _happen(
        self, process: Process, name: str, effect: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        self.effects += 1
        for event in self.triggers.pop(self.effects, ()):
            self.trigger(event)
        self.acting = process
        try:
            result = effect(*arguments, **named)
        except Exception as error:
            self.tell(process.name, name, f"{type(error).__name__}: {error}")
            raise
        finally:
            self.acting = None
        if self.telling:
            self.tell(process.name, name, _short(result))
        return result

    def _troubled(
        self, fault: Fault, process: Process, name: str, effect: Callable[[], Any], before: float, after: float
    ) -> Any:
        clockwork, chance = self.clockwork, process.chance
        process.owes = None
        happen = partial(self._happen, process, name, effect, (), {})
        held_up = HELD_UP[0] + (HELD_UP[1] - HELD_UP[0]) * chance.random()
        late = LATE[0] + (LATE[1] - LATE[0]) * chance.random()
        clockwork.sleep(before)
        self.tell(process.name, name, f"*** {fault}")
        match fault:
            case Fault.DIES_BEFORE:
                raise Died
            case Fault.THROTTLED | Fault.BUSY | Fault.ENGINE_BUSY:
                raise TryAgain(f"{name} is busy")
            case Fault.HELD_UP_BEFORE | Fault.ENGINE_SLOW:
                self._hold_up(process, held_up)
                return happen()
            case Fault.ENGINE_SILENT | Fault.NOT_TAKEN_TIMEOUT | Fault.NOT_TAKEN_5XX:
                clockwork.sleep(after)
                raise Unconfirmed(f"{name} did not answer")
            case Fault.REFUSED:
                raise Refused("30008" if name == "provider.post" else "20404")
            case Fault.ENGINE_REFUSES:
                raise Refused("empty_answer")
            case Fault.ENGINE_BREAKS_US:
                raise ValueError("nobody has expected this")
            case Fault.HAPPENS_LATE | Fault.TAKEN_LATE:
                clockwork.at(clockwork.now + late, lambda: self._late(happen))
                raise Unconfirmed(name) if name == "provider.post" else TryAgain(name)
            case Fault.DIES_AFTER:
                happen()
                raise Died
            case Fault.RESPONSE_LOST:
                happen()
                process.owes = None
                clockwork.sleep(after)
                raise TryAgain(f"the response of {name} is lost")
            case Fault.TAKEN_TIMEOUT | Fault.TAKEN_5XX:
                happen()
                clockwork.sleep(after)
                raise Unconfirmed(f"the response of {name} is lost")
            case Fault.TWICE:
                happen()
                clockwork.sleep(before)
                return happen()
            case Fault.HELD_UP_AFTER:
                result = happen()
                self._hold_up(process, held_up)
                return result
            case _:
                # what goes wrong beyond the call is the business of what was called
                process.trouble = fault
                try:
                    return happen()
                finally:
                    process.trouble = None

    def _hold_up(self, process: Process, seconds: float) -> None:
        if process.lives is not None and process.lives < seconds:
            self.clockwork.sleep(process.lives)
            raise Died
        self.clockwork.sleep(seconds)

    def _late(self, happen: Callable[[], Any]) -> None:
        try:
            happen()
        except Exception as error:  # nobody waits for this answer any more
            self.tell("nobody", "was told", type(error).__name__)


def _short(result: Any) -> str:
    """What came back, in a few words."""
    if result is None:
        return "nothing"
    text = getattr(result, "summary", None)
    if text is not None:
        return str(text)
    return _SHORT.get(type(result).__name__, _any)(result)


def _any(result: Any) -> str:
    return repr(result)[:100]


def _conversation(found: Any) -> str:
    outgoing = found.outgoing
    words = [f"received {found.received}, answered {found.answered}, epoch {found.epoch}"]
    if outgoing is not None:
        sent = sum(part.provider_id is not None for part in outgoing.parts)
        words.append(f"({outgoing.after}, {outgoing.to}] {outgoing.state} {sent}/{len(outgoing.parts)} out")
    if found.handed_off:
        words.append("a human's")
    if found.unanswered_since is not None:
        words.append("somebody waits")
    return ", ".join(words)


_SHORT: Mapping[str, Callable[[Any], str]] = {
    "Conversation": _conversation,
    "Recorded": lambda each: (
        f"number {each.number}{' again' if each.again else ''}: {_conversation(each.conversation)}"
    ),
    "Claim": lambda each: (
        f"{'granted' if each.granted else 'denied'}"
        + (f": {_conversation(each.conversation)}" if each.conversation else "")
    ),
    "Marked": lambda each: "advanced" if each.advanced else "stays",
    "list": lambda each: f"{len(each)} found",
    "tuple": lambda each: f"{len(each)} found",
    "Tenant": lambda each: each.company_id,
}
