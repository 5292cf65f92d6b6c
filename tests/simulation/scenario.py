"""Who says what to whom and when, what humans do meanwhile, and how trying the world is: all drawn by the seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random


class Act(StrEnum):
    """What happens without any stage having asked for it."""

    SAYS = "a person writes"
    TAKES_OVER = "a human takes over"
    GIVES_BACK = "a human gives back"
    IS_FLAGGED = "another system flags the record for a human"
    IS_UNFLAGGED = "another system takes the flag away"
    LOSES_CONSENT = "another system notes that the person wants no messages"
    GETS_CONSENT = "another system notes that the person wants messages"
    HUMAN_WRITES = "a human writes through the provider's own console"
    ROTATES = "the provider's token is rotated"
    ROTATES_AWAY = "the provider's token is rotated, and the old one is not kept"
    STOPS = "the person writes STOP"
    STARTS = "the person writes START"
    CLOSES = "the outbound engine closes the conversation"


class Manner(StrEnum):
    """How the engine answers."""

    ECHO = "names what it answers"
    ALIKE = "always says the same"
    LONG = "answers in parts"


@dataclass(frozen=True, slots=True)
class Event:
    """One act: `at` seconds, or just before the `effect`-th effect of any call, whichever is given."""

    act: Act
    conversation: int
    at: float
    effect: int | None = None
    message: int = 0  #: numbers the messages of a scenario
    length: int = 0  #: of the text, at least

    def __str__(self) -> str:
        when = f"{self.at:.3f} s" if self.effect is None else f"effect {self.effect}"
        return f"{when}: conversation {self.conversation}: {self.act}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run: the same scenario always runs the same way."""

    seed: int
    events: tuple[Event, ...]
    pace: float = 0.1  #: the scale of a call's delay, in seconds
    rate: float = 0.0  #: how likely a call goes wrong
    until: float = 600.0  #: when faults stop
    skews: tuple[float, ...] = (0.0, 0.0, 0.0)  #: how far the machines' clocks are ahead
    provider_skew: float = 0.0
    cramped: bool = False  #: records with room for three waiting messages and a few ids
    manner: Manner = Manner.ECHO
    thinking: tuple[float, float] = (2.0, 20.0)  #: how long the engine takes, in seconds
    listing: float = 5.0  #: how long the provider may take to list a message
    trial: bool = False  #: the provider puts a sentence before each text
    rewritten: bool = False  #: the provider changes characters of a text that it lists
    mute: bool = False  #: our own address is not configured, so that nobody calls back
    retries: int = 3  #: how often the provider repeats a failed webhook
    apologises: bool = False  #: the companies apologise when their AI fails for good
    poisoned: int | None = None  #: the engine can never answer in this conversation
    continues: bool = False  #: an answer leaves although the person has written since

    @property
    def is_calm(self) -> bool:
        """Nothing goes wrong, nobody interferes and all clocks agree: then everything must be quick, too."""
        quiet = self.rate == 0 and self.pace <= _PACE_OF_CALM and not any(self.skews)
        plain = self.poisoned is None and not self.continues and self.thinking[1] <= 20.0
        return quiet and plain and all(each.act == Act.SAYS for each in self.events)


#: Where nothing is slower than this, everything must be quick.
_PACE_OF_CALM = 0.3

#: Conversations by number: which person, which tenant. The last two have no record.
CONVERSATIONS = ((0, 0), (0, 1), (1, 0), (2, 1), (3, 0), (3, 1))
KNOWN = 4

#: Clocks of two machines differ by less than half a minute.
_MOST_SKEW = 14.5


def drawn(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(seed)
    calm = chance.random() < 0.1
    count = chance.choice((1, 1, 1, 2, 2, 3, 4))
    conversations = chance.sample(range(KNOWN), count)
    if chance.random() < 0.15:
        conversations.append(chance.choice((4, 5)))
    cramped = chance.random() < 0.2
    spoken = [each for number in conversations for each in _speech(chance, number, cramped)]
    length = max(each.at for each in spoken) + chance.choice((30.0, 120.0, 400.0))
    acts = [] if calm else list(_interference(chance, conversations, length))
    events = [replace(each, message=number) for number, each in enumerate(sorted(spoken, key=lambda each: each.at), 1)]
    agree = calm or chance.random() < 0.4
    return Scenario(
        seed=seed,
        events=(*events, *acts),
        pace=_PACE_OF_CALM if calm else chance.choice((0.02, 0.3, 1.0, 3.0, 6.0)),
        rate=0.0 if calm else chance.choice((0.0, 0.005, 0.02, 0.02, 0.05, 0.05, 0.12)),
        until=length + chance.choice((60.0, 300.0)),
        skews=(0.0,) * 3 if agree else tuple(chance.uniform(-_MOST_SKEW, _MOST_SKEW) for _ in range(3)),
        provider_skew=0.0 if agree else chance.uniform(-_MOST_SKEW, _MOST_SKEW),
        cramped=cramped,
        manner=chance.choice((Manner.ECHO, Manner.ECHO, Manner.ALIKE, Manner.LONG)),
        thinking=(2.0, 20.0) if calm else chance.choice(((0.5, 3.0), (2.0, 20.0), (2.0, 70.0))),
        listing=chance.choice((1.0, 30.0, 110.0)),
        trial=chance.random() < 0.15,
        rewritten=chance.random() < 0.1,
        mute=chance.random() < 0.15,
        retries=chance.choice((0, 1, 3, 3)),
        apologises=chance.random() < 0.5,
        poisoned=None if calm or chance.random() < 0.9 else chance.choice(conversations),
        continues=not calm and chance.random() < 0.2,
    )


def _speech(chance: Random, conversation: int, cramped: bool) -> Iterator[Event]:
    """How a person writes: once, in a burst, without end, in exchanges, or far too much."""
    at = chance.uniform(0.0, 60.0)
    kind = chance.choices(("once", "burst", "dribble", "exchange", "flood"), (3, 4, 1, 3, 0.4))[0]
    count = {
        "once": 1,
        "burst": chance.randint(2, 6),
        "dribble": chance.randint(5, 10),
        "exchange": chance.randint(2, 4),
        "flood": 7 if cramped else chance.randint(21, 26),
    }[kind]
    for _ in range(count):
        length = 2_400 if chance.random() < 0.06 else 0
        yield Event(Act.SAYS, conversation, round(at, 3), length=length)
        at += {
            "once": 0.0,
            "burst": chance.choice((0.0, 0.5, 5.0, 25.0, 33.0)) * chance.random(),
            "dribble": chance.uniform(15.0, 29.0),
            "exchange": chance.uniform(5.0, 200.0),
            "flood": chance.uniform(0.0, 2.0),
        }[kind]


_ACTS = (
    (Act.TAKES_OVER, 5),
    (Act.GIVES_BACK, 4),
    (Act.IS_FLAGGED, 2),
    (Act.IS_UNFLAGGED, 2),
    (Act.LOSES_CONSENT, 1),
    (Act.GETS_CONSENT, 1),
    (Act.HUMAN_WRITES, 1),
    (Act.ROTATES, 1),
    (Act.ROTATES_AWAY, 0.5),
    (Act.STOPS, 1),
    (Act.STARTS, 1),
    (Act.CLOSES, 0.3),
)


_UNDONE = {Act.TAKES_OVER: (Act.GIVES_BACK, Act.IS_UNFLAGGED), Act.IS_FLAGGED: (Act.IS_UNFLAGGED, Act.GIVES_BACK)}


def _interference(chance: Random, conversations: list[int], length: float) -> Iterator[Event]:
    acts, weights = zip(*_ACTS, strict=True)
    for _ in range(chance.choice((0, 0, 1, 2, 3, 4, 6))):
        act = chance.choices(acts, weights)[0]
        effect = chance.randint(1, 40 * len(conversations)) if chance.random() < 0.6 else None
        event = Event(act, chance.choice(conversations), round(chance.uniform(0.0, length), 3), effect)
        yield event
        undone = _UNDONE.get(act)
        if undone and chance.random() < 0.3:
            # somebody changes their mind at once
            soon = effect + chance.randint(1, 12) if effect else None
            yield replace(event, act=chance.choice(undone), at=event.at + chance.uniform(0.1, 20.0), effect=soon)
