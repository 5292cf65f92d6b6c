"""Who writes what and when, what goes wrong, and who is killed: drawn from a seed, before anything runs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from local.twilio import Account, Config, Number

#: Seconds between two messages of a burst, at most; the burst window is longer.
_BETWEEN = 0.6

_WORDS = ("about my CV", "is the role still open", "thank you", "I was abroad then", "hello", "when do you open")
_ASKS_FOR_HUMAN = "can I talk to a human please"
_ASKS_FOR_EVERYTHING = "tell me everything"

_TOKEN = re.compile(r"\bq\d+n\d+\b")


@dataclass(frozen=True)
class Company:
    """A tenant: its Twilio account and its addresses, as Twilio writes them."""

    name: str
    account: Account
    addresses: tuple[str, ...]

    @property
    def secret(self) -> str:
        return f"whatsapp-credentials/{self.name}/jobs/twilio"


COMPANIES = (
    Company(
        "first", Account("AC" + "1" * 32, "the first company's token"), ("whatsapp:+447700900001", "+447700900001")
    ),
    Company("second", Account("AC" + "2" * 32, "the second company's token"), ("whatsapp:+447700900002",)),
    Company("third", Account("AC" + "3" * 32, "the third company's token"), ("+447700900003",)),
)
MOST_PEOPLE = 800  # numbers +447700900100 to +447700900899 are reserved for fiction


@dataclass(frozen=True)
class Talk:
    """One conversation of one person with one company, on one channel."""

    number: int
    person: str  # E.164
    company: Company
    own: str  # the company's address, as Twilio writes it

    @property
    def is_whatsapp(self) -> bool:
        return self.own.startswith("whatsapp:")

    @property
    def address(self) -> str:
        """The person's address, as Twilio writes it."""
        return f"whatsapp:{self.person}" if self.is_whatsapp else self.person

    @property
    def conversation_id(self) -> str:
        return f"{self.company.name}#jobs#req{self.number}#{self.person.removeprefix('+')}"


@dataclass(frozen=True)
class Write:
    """A person writes. `delivered` is False where the provider never reaches us with it."""

    talk: Talk
    token: str
    text: str
    delivered: bool = True


@dataclass(frozen=True)
class Repeat:
    """The provider delivers a message again that was written before."""

    token: str


@dataclass(frozen=True)
class Trouble:
    """A fault that is ordered from a stand-in."""

    stand_in: str  # "twilio" or "openai"
    order: dict[str, Any]


@dataclass(frozen=True)
class Kill:
    """A process gets SIGKILL and is started again."""

    process: str


Act = Write | Repeat | Trouble | Kill


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it runs. Its acts are the same for the same numbers; in what order they meet nobody can say."""

    seed: int
    people: int = 40
    messages: int = 200
    kills: int = 15
    seconds: float = 30.0  # how long people write
    patience: float = 0.1
    burst_idle: float = 1.0
    burst_max: float = 6.0
    workers: int = 2

    def talks(self) -> list[Talk]:
        return list(_talks(Random(f"{self.seed} talks"), self.people))

    def acts(self) -> list[tuple[float, Act]]:
        """Everything that happens, by second."""
        random = Random(f"{self.seed} acts")
        written = list(self._written(random))
        repeats = [(at + random.expovariate(0.3), Repeat(act.token)) for at, act in written if random.random() < 0.15]
        acts: list[tuple[float, Act]] = [*written, *repeats, *self._troubles(random), *self._kills(random)]
        return sorted(acts, key=lambda each: each[0])

    def twilio(self, app_url: str) -> Config:
        """What the provider knows: with the retries that the README asks operators to set."""
        numbers = (Number(own, each.account.sid, "") for each in COMPANIES for own in each.addresses)
        config = Config(tuple(each.account for each in COMPANIES), tuple(numbers), step_seconds=0.2)
        return config.with_app(f"{app_url}#rc=2&rp=5xx,ct,rt")

    def _written(self, random: Random) -> Iterator[tuple[float, Write]]:
        talks = self.talks()
        counts = {talk.number: 0 for talk in talks}
        wordy = {talk.number for talk in talks if random.random() < 0.15}
        left = self.messages
        while left > 0:
            talk = random.choice(talks)
            at = random.uniform(0, self.seconds)
            for _ in range(min(left, random.choice((1, 1, 2, 3, 4)))):
                counts[talk.number] += 1
                left -= 1
                token = f"q{talk.number}n{counts[talk.number]}"
                text = f"{token} {_words(random, talk, wordy, late=at > 0.7 * self.seconds)}"
                yield at, Write(talk, token, text, delivered=random.random() > 0.04)
                at += random.uniform(0, _BETWEEN)

    def _troubles(self, random: Random) -> Iterator[tuple[float, Trouble]]:
        for stand_in, kinds in _TROUBLES.items():
            orders = [{"kind": kind, **self._hurried(details)} for _, kind, details in kinds]
            weights = [weight for weight, _, _ in kinds]
            for order in random.choices(orders, weights, k=round(self.messages * _TROUBLED[stand_in])):
                yield random.uniform(0, self.seconds), Trouble(stand_in, order)

    def _hurried(self, details: dict[str, Any]) -> dict[str, Any]:
        return {name: value * self.patience if name == "seconds" else value for name, value in details.items()}

    def _kills(self, random: Random) -> Iterator[tuple[float, Kill]]:
        """The last comes when the people are through, so that what they wrote last is met as well."""
        for number in range(self.kills):
            web = number % 5 == 4
            process = "app" if web else f"worker-{random.randrange(self.workers) + 1}"
            slot = (self.seconds + 6) / self.kills
            yield 1.5 + slot * (number + random.random()), Kill(process)


#: How many faults are ordered, for each message.
_TROUBLED = {"twilio": 0.2, "openai": 0.08}

#: Each kind with its weight. Seconds shrink with the patience: the provider's deadline is 8, a turn's timeout 100.
_TROUBLES: dict[str, list[tuple[int, str, dict[str, Any]]]] = {
    "twilio": [
        (6, "accept_then_timeout", {"seconds": 20}),
        (3, "timeout", {"seconds": 20}),
        (4, "http_500", {}),
        (3, "http_429", {}),
        (6, "lose_callbacks", {}),
        (4, "repeat_callbacks", {}),
        (4, "reorder_callbacks", {}),
        (1, "fail_later", {"code": 30008}),
        (1, "refuse", {"code": 21614}),
    ],
    "openai": [
        (2, "http_429", {}),
        (2, "http_500", {}),
        (2, "timeout", {"seconds": 20}),
        (3, "slow", {"seconds": 30}),
        (3, "slow", {"seconds": 130}),
        (1, "garbage", {}),
        (1, "conversation_locked", {}),
    ],
}


def tokens_in(text: str) -> list[str]:
    """The messages that a text names, in its order."""
    return _TOKEN.findall(text)


def _talks(random: Random, people: int) -> Iterator[Talk]:
    """Each person talks with one company; every sixth with two."""
    number = 0
    for at in range(people):
        person = f"+447700900{100 + at}"
        for company in random.sample(COMPANIES, 2 if at % 6 == 5 else 1):
            yield Talk(number, person, company, random.choice(company.addresses))
            number += 1


def _words(random: Random, talk: Talk, wordy: set[int], *, late: bool) -> str:
    """Everything is asked for at most once in a conversation, so that no two answers to it are the same."""
    if talk.number in wordy and random.random() < 0.5:
        wordy.discard(talk.number)
        return _ASKS_FOR_EVERYTHING
    if late and random.random() < 0.08:
        return _ASKS_FOR_HUMAN
    return random.choice(_WORDS)
