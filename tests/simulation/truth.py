"""What really happened, as nobody inside of the relay can see it; the invariants are about this."""

from collections import defaultdict
from dataclasses import dataclass, field

from chalicelib.model import (
    ConversationKey,
    OptOut,
)


@dataclass(slots=True)
class Said:
    """A message of a person, and what became of it."""

    message_id: str
    person: str
    own_address: str
    text: str
    at: float
    opt_out: OptOut | None = None
    acknowledged: bool = False
    forgotten: bool = False  #: acknowledged only after the record had forgotten it for newer ones
    woken: bool = False  #: a turn was woken for it
    recorded: tuple[ConversationKey, int] | None = None
    recorded_at: float = 0.0
    found_room: bool = True  #: the record had room for it


@dataclass(slots=True)
class Committed:
    """An answer that was committed once."""

    key: ConversationKey
    token: str
    after: int
    to: int
    parts: int
    hands: int  #: how often hands had changed
    at: float
    promises: bool = False  #: that a human answers: it is no answer itself
    apology: bool = False
    posted: dict[int, str] = field(default_factory=dict)  #: provider ids by part
    posted_at: float = 0.0
    failed: bool = False  #: we were told that a part of it did not reach the person

    @property
    def is_out(self) -> bool:
        return len(self.posted) == self.parts


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


@dataclass
class Truth:
    """Everything that an observer outside of all processes has seen."""

    said: dict[str, Said] = field(default_factory=dict)
    numbers: dict[ConversationKey, list[str]] = field(default_factory=lambda: defaultdict(list))
    hands: dict[ConversationKey, int] = field(default_factory=lambda: defaultdict(int))
    answers: dict[str, Committed] = field(default_factory=dict)
    passed: dict[ConversationKey, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    out: dict[ConversationKey, list[Committed]] = field(default_factory=lambda: defaultdict(list))
    texts_out: dict[ConversationKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    fallbacks: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    violations: list[Violation] = field(default_factory=list)
    rescued: int = 0  #: how often the sweep had to wake somebody

    def broken(self, invariant: str, detail: str) -> None:
        self.violations.append(Violation(invariant, detail))

    def number(self, key: ConversationKey, message_id: str) -> int:
        """Its number in this conversation; 0 if it is none of its messages."""
        found = self.said.get(message_id)
        return found.recorded[1] if found and found.recorded and found.recorded[0] == key else 0

    def covering(self, key: ConversationKey, number: int) -> list[Committed]:
        return [each for each in self.answers.values() if each.key == key and each.after < number <= each.to]

    def passed_up_to(self, key: ConversationKey) -> int:
        return max((number for _, number in self.passed[key]), default=0)
