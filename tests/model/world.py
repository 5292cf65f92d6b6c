"""The nouns of the model: what the tables, the queues, the provider and the running processes hold at one moment."""

from typing import NamedTuple


class Answer(NamedTuple):
    """The answer on its way (`outgoing`). False where there is none.

    The interval that it covers and its epoch name it. Each claim has the number of its attempt.
    """

    after: int = 0
    to: int = 0
    epoch: int = 0
    claimed: bool = False
    attempts: int = 0
    noted: int = 0  #: how often the sender has noted a part, so that the time of its claim counts anew
    out: tuple[int, ...] = ()  #: the parts whose provider ids the record knows
    promises: bool = False  #: that a human answers

    def __bool__(self) -> bool:
        return self.to > 0

    @property
    def name(self) -> tuple[int, int, int]:
        return self.after, self.to, self.epoch

    @property
    def claim(self) -> tuple[int, int, int, bool, int]:
        """Who has it in his hands: the token, the state and the claim's token."""
        return self[:5]

    @property
    def claim_and_time(self) -> tuple[int, int, int, bool, int, int]:
        """What conditions compare: the claim, and when its time began."""
        return self[:6]


NO_ANSWER = Answer()


class Record(NamedTuple):
    """The conversation record, as far as the protocol looks at it. What waits are the messages after `answered`."""

    received: int = 0
    answered: int = 0
    epoch: int = 0
    human: bool = False  #: `hand_off_to_human`
    unwanted: bool = False  #: the person opted out or gave no consent
    indexed: bool = False  #: in the sparse index of those who wait
    rescues: int = 0
    outgoing: Answer = NO_ANSWER

    @property
    def waits(self) -> bool:
        return self.received > self.answered

    @property
    def unanswered(self) -> bool:
        """Whether anybody must still do something about the conversation."""
        return self.waits or self.indexed or bool(self.outgoing)

    @property
    def a_humans(self) -> bool:
        """Whether a human must answer."""
        return self.human or self.unwanted


NO_RECORD = Record()


class Process(NamedTuple):
    """One run of a stage: the step that it takes next, and what it knows by now."""

    who: str
    step: str
    seen: Record = NO_RECORD  #: the record as it was read
    answer: Answer = NO_ANSWER  #: the answer in its hands, as it was claimed or read
    message: int = 0  #: the message whose context it carries
    queued: int = 0  #: what returns to its queue if it dies: a message's number, or SENDER_WAKE
    tries: int = 0
    held_up: bool = False  #: a sender: the time for posting is over
    burst_over: bool = False  #: a turn: newer messages need not be awaited
    promises: bool = False  #: a turn: its answer is the promise that a human answers
    then: str = ""  #: what follows when a human was told: a step, or the end


#: The one kind of message on the sender's queue.
SENDER_WAKE = -1


class Post(NamedTuple):
    """A part of an answer that the provider has taken."""

    after: int
    to: int
    part: int
    reported: bool = False  #: a callback about it has come
    arrived: bool = True  #: as far as we know
    promises: bool = False  #: it is no answer itself


class Entry(NamedTuple):
    """A part of an answer in the history."""

    to: int
    part: int
    status: int  #: BEGUN, FAILED or OUT


BEGUN, FAILED, OUT, FAILED_THOUGH_OUT = range(4)


class Left(NamedTuple):
    """What may still happen from outside."""

    messages: int
    faults: int
    handovers: int
    flips: int
    callbacks: int
    long_bursts: int


class World(NamedTuple):
    """Everything at one moment."""

    record: Record
    left: Left
    written: frozenset[int] = frozenset()  #: which messages of the person the history has
    entries: tuple[Entry, ...] = ()
    posts: tuple[Post, ...] = ()  #: in the order in which they left
    turn_wakes: tuple[int, ...] = ()  #: by the message that each names
    sender_wakes: int = 0
    handed: int = 0  #: the handoff queue was told of every message up to this
    processes: tuple[Process, ...] = ()


def entry_status(world: World, to: int, part: int) -> int | None:
    return next((each.status for each in world.entries if (each.to, each.part) == (to, part)), None)


def with_entry(entries: tuple[Entry, ...], to: int, part: int, status: int) -> tuple[Entry, ...]:
    others = [each for each in entries if (each.to, each.part) != (to, part)]
    return tuple(sorted([*others, Entry(to, part, status)]))
