"""The order of the model's steps is the order in which the real stages call their ports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest

from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer
from tests.model import routing, stages
from tests.model.explore import beginning
from tests.model.rules import Rules
from tests.model.world import Process, World
from tests.twins.provider import Silence
from tests.twins.queues import SENDER
from tests.twins.relay import REPLIES, TwinRelay, opened

RULES = Rules(messages=3, faults=3, handovers=3, callbacks=2, most_attempts=3, most_rescues=3)

#: What each step of the model calls; a step that is not here only reads.
CALLS = {
    routing.KEEPS_FOR_HUMAN: "history.write",
    routing.TELLS_HUMAN: "queues.hand_to_human",
    routing.CLOSES: "conversations.close",
    routing.WAKES_TURN: "queues.wake_turn",
    routing.WAKES_SENDER: "queues.wake_sender",
    stages.THINKS: "history.write",
    stages.COMMITS: "conversations.commit",
    stages.HANDS_OVER_SEEN: "conversations.change_hands",
    stages.BEGINS: "history.begin",
    stages.POSTS: "providers.post",
    stages.NOTES_PART: "conversations.sent_part",
    stages.NOTES_IDS: "history.mark",
    stages.FINISHES: "conversations.finish",
    stages.RELEASES: "conversations.release",
    stages.NOTES_FAILURE: "history.mark",
    stages.HANDS_OVER: "conversations.change_hands",
    stages.DROPS: "conversations.drop",
    stages.COUNTS_RESCUE: "conversations.rescued",
}

#: And what a move calls that begins something.
FIRST_CALLS = {
    stages.person_writes: "conversations.record",
    stages.webhook_repeats: "conversations.record",
    stages.sender_starts: "conversations.claim",
    stages.callback_comes: "history.mark",
}


@dataclass(frozen=True)
class Act:
    """Something that happens: how the model calls it, which outcomes it takes, and how it is done for real."""

    model: str
    real: Callable[[TwinRelay], object]
    outcomes: tuple[str, ...] = ()


def hears(number: int) -> Act:
    return Act(f"message {number} comes in and", lambda relay: relay.hear(number))


def hears_again(number: int) -> Act:
    return Act(f"message {number} comes in again", lambda relay: relay.hear(number))


def _turn(relay: TwinRelay) -> None:
    relay.clock.advance(seconds=30)
    relay.work_off(*REPLIES)


def _sweep(relay: TwinRelay) -> None:
    relay.clock.advance(timedelta(minutes=6))
    relay.sweep()


def posting(outcome: str, reaction: Any) -> Act:
    def sends(relay: TwinRelay) -> None:
        relay.provider.reacts(reaction)
        relay.work_off(SENDER)

    return Act("a sender claims", sends, (outcome,))


TURN = Act("a turn takes", _turn)
SENDS = Act("a sender claims", lambda relay: relay.work_off(SENDER))
MAY_NOT_SEND = Act("a sender may not claim", lambda relay: relay.work_off(SENDER))
TAKES_OVER = Act("a human wants to take", lambda relay: relay.take_over())
GIVES_BACK = Act("a human wants to give", lambda relay: relay.give_back())
HANDS_CHANGE = (TAKES_OVER, GIVES_BACK)
SWEEPS = Act("the sweep ", _sweep)
REPORTED = Act("a callback reports", lambda relay: relay.report(relay.provider.taken[-1], "delivered"))
OUT_SILENTLY = posting("it is out, but", Silence.AFTER_TAKING)
NOT_OUT = posting("it is not out", Silence.WITHOUT_TAKING)
BUSY = posting("the provider is busy", TryAgain("busy"))
REFUSED = posting("the provider refuses", Refused("63016", "no"))

STORIES = {
    "a message is answered": (hears(1), TURN, SENDS),
    "a message comes in again": (hears(1), hears_again(1)),
    "a message goes to a human": (TAKES_OVER, hears(1)),
    "a second message waits for the first answer": (hears(1), TURN, hears(2), SENDS),
    "a human takes over before the answer leaves": (hears(1), TURN, TAKES_OVER),
    "a human takes over while somebody waits": (hears(1), TAKES_OVER, GIVES_BACK),
    "a callback settles": (hears(1), TURN, OUT_SILENTLY, REPORTED),
    "the sweep finds the answer": (hears(1), TURN, OUT_SILENTLY, SWEEPS),
    "the sweep does not find the answer": (hears(1), TURN, NOT_OUT, SWEEPS, SENDS),
    "an answer is dropped after giving back": (hears(1), TURN, NOT_OUT, *HANDS_CHANGE, SWEEPS, MAY_NOT_SEND, SWEEPS),
    "the provider is busy": (hears(1), TURN, BUSY),
    "the provider refuses": (hears(1), TURN, REFUSED),
}


class Recorder:
    """Writes down the calls that change something, of every port."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def wrap(self, name: str, port: Any) -> Any:
        recorder = self

        class Recorded:
            def __getattr__(self, method: str) -> Any:
                target = getattr(port, method)
                if not callable(target):
                    return target

                def call(*args: Any, **options: Any) -> Any:
                    recorder.calls.append(f"{name}.{method}")
                    result = target(*args, **options)
                    return recorder.wrap("providers", result) if method == "sender" else result

                return call

        return Recorded() if name in ("conversations", "history", "queues", "providers") else port


def _by_stages(story: tuple[Act, ...], *answers: Answer) -> Iterator[list[str]]:
    relay = TwinRelay()
    relay.engine.says(*answers)
    opened(relay)
    recorder = Recorder()
    relay.process = relay.process.through(recorder.wrap)
    known = set(CALLS.values()) | set(FIRST_CALLS.values())
    for act in story:
        recorder.calls.clear()
        act.real(relay)
        yield [call for call, _ in groupby(each for each in recorder.calls if each in known)]


def _by_model(story: tuple[Act, ...], rules: Rules = RULES) -> Iterator[list[str]]:
    world = beginning(rules)
    for act in story:
        calls, world = _begun(world, act, rules)
        while world.processes:
            process = world.processes[0]
            calls += _calls_of(world, process)
            world = _stepped(world, process, act.outcomes, rules)
        yield [call for call, _ in groupby(calls)]


def _begun(world: World, act: Act, rules: Rules) -> tuple[list[str], World]:
    for begin in stages.BEGINNINGS:
        for what, after in begin(world, rules):
            if what.startswith(act.model):
                return [FIRST_CALLS[begin]] if begin in FIRST_CALLS else [], after
    raise AssertionError(f"the model cannot do this: {act.model}")


def _calls_of(world: World, process: Process) -> list[str]:
    if process.step == routing.GIVES_BACK:
        given_back = not _stepped(world, process, (), RULES).processes
        return ["conversations.change_hands"] if given_back else []
    return [CALLS[process.step]] if process.step in CALLS else []


def _stepped(world: World, process: Process, outcomes: tuple[str, ...], rules: Rules) -> World:
    moves = list(stages.STEPS[process.step](world, process, rules))
    wanted = [after for what, after in moves if any(outcome in what for outcome in outcomes)]
    return wanted[0] if wanted else moves[0][1]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_stages_call_their_ports_in_the_order_of_the_model(story: tuple[Act, ...]) -> None:
    assert list(_by_stages(story)) == list(_by_model(story))


#: More than Twilio takes in one message.
LONG = Answer(text="\n\n".join(("one " * 300, "two " * 300)))


def _second_part(outcome: str, *reactions: Any) -> Act:
    def sends(relay: TwinRelay) -> None:
        relay.provider.reacts(*reactions)
        relay.work_off(SENDER)

    return Act("a sender claims", sends, (f"part 1; {outcome}",))


STORIES_IN_PARTS = {
    "both parts are taken": (hears(1), TURN, SENDS),
    "the second part is in doubt, and out": (
        hears(1),
        TURN,
        _second_part("it is out, but", None, Silence.AFTER_TAKING),
        SWEEPS,
    ),
    "the second part is in doubt, and not out": (
        hears(1),
        TURN,
        _second_part("it is not out", None, Silence.WITHOUT_TAKING),
        SWEEPS,
        SENDS,
    ),
    "the provider is busy at the second part": (
        hears(1),
        TURN,
        _second_part("the provider is busy", None, TryAgain("busy")),
    ),
    "the provider refuses the second part": (
        hears(1),
        TURN,
        _second_part("the provider refuses", None, Refused("63016", "no")),
    ),
}


@pytest.mark.parametrize("story", STORIES_IN_PARTS.values(), ids=STORIES_IN_PARTS)
def test_so_they_do_with_an_answer_in_parts(story: tuple[Act, ...]) -> None:
    assert list(_by_stages(story, LONG)) == list(_by_model(story, replace(RULES, parts=2)))
