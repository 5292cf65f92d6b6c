"""Breadth-first exploration of everything that can happen, and the shortest story of what went wrong."""

import gc
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.model.invariants import ALWAYS, STEPWISE, nobody_is_left
from tests.model.rules import Rules
from tests.model.stages import moves
from tests.model.world import Left, Record, World


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and the shortest way there."""

    invariant: str
    sentence: str
    story: tuple[tuple[str, World], ...]

    def __str__(self) -> str:
        lines = [f"{self.invariant} is violated: {self.sentence}"]
        lines += [f"  {number:2}. {what}\n      {_shown(world)}" for number, (what, world) in enumerate(self.story, 1)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Result:
    """What an exploration saw."""

    states: int
    steps: int
    at_rest: int
    depth: int
    seconds: float
    complete: bool
    violation: Violation | None


def beginning(rules: Rules) -> World:
    left = Left(rules.messages, rules.faults, rules.handovers, rules.flips, rules.callbacks, rules.long_bursts)
    return World(Record(), left)


class Exploration:
    """States in the order in which they were found; the way to each is its parent's, and one move."""

    def __init__(self, rules: Rules, *, most_states: int = 10_000_000) -> None:
        self.rules = rules
        self.most_states = most_states
        self.numbers: dict[World, int] = {}
        self.states: list[World] = []
        self.parents = array("l")
        self.quiet = array("l")  #: states in which everything is quiet
        self.edges = array("l")  #: pairs of states, from and to, of the steps that need nothing from outside
        self.steps = 0

    def run(self) -> Result:
        began = time.perf_counter()
        self._add(beginning(self.rules), -1)
        violation, current = None, 0
        while violation is None and current < len(self.states) < self.most_states:
            violation = self._expand(current)
            current += 1
        complete = current == len(self.states)
        if violation is None and complete:
            violation = self._never_quiet()
        seconds = time.perf_counter() - began
        depth = len(self._way(len(self.states) - 1)) - 1
        return Result(len(self.states), self.steps, len(self.quiet), depth, seconds, complete, violation)

    def _expand(self, current: int) -> Violation | None:
        rules, world = self.rules, self.states[current]
        goes_on = False
        for what, after in moves(world, rules):
            self.steps += 1
            number = self.numbers.get(after)
            if number is None:
                number = self._add(after, current)
                for state_check in ALWAYS:
                    if not state_check(after, rules):
                        return self._violation(state_check, number)
            if after.record is not world.record and after.record != world.record:
                for step_check in STEPWISE:
                    if not step_check(world, after, rules):
                        return self._violation(step_check, number, current, what)
            if after.left == world.left:
                goes_on = True
                self.edges.append(current)
                self.edges.append(number)
        if not goes_on:
            self.quiet.append(current)
            if not nobody_is_left(world, rules):
                return self._violation(nobody_is_left, current)
        return None

    def _add(self, world: World, parent: int) -> int:
        number = self.numbers[world] = len(self.states)
        self.states.append(world)
        self.parents.append(parent)
        return number

    def _never_quiet(self) -> Violation | None:
        """A state from which, if nothing more happens outside, no way leads to rest."""
        came_from: dict[int, list[int]] = {}
        for index in range(0, len(self.edges), 2):
            came_from.setdefault(self.edges[index + 1], []).append(self.edges[index])
        rests = bytearray(len(self.states))
        reached = list(self.quiet)
        for number in reached:
            rests[number] = 1
        while reached:
            for before in came_from.get(reached.pop(), ()):
                if not rests[before]:
                    rests[before] = 1
                    reached.append(before)
        restless = rests.find(0)
        return None if restless < 0 else self._violation(everything_comes_to_rest, restless)

    def _violation(self, check: object, number: int, before: int = -1, what: str = "") -> Violation:
        way = self._way(number if before < 0 else before)
        story = list(self._told(way))
        if before >= 0:
            story.append((what, self.states[number]))
        return Violation(check.__name__, (check.__doc__ or "").strip(), tuple(story))  # type: ignore[attr-defined]

    def _way(self, number: int) -> list[int]:
        way = []
        while number >= 0:
            way.append(number)
            number = self.parents[number]
        return way[::-1]

    def _told(self, way: list[int]) -> Iterator[tuple[str, World]]:
        for before, after in pairwise(way):
            target = self.states[after]
            yield next(what for what, world in moves(self.states[before], self.rules) if world == target), target


def everything_comes_to_rest() -> None:
    """If nothing more happens from outside, everything is quiet in the end."""


def explore(rules: Rules, *, most_states: int = 10_000_000) -> Result:
    """Explores until everything was seen, an invariant is violated, or there are too many states."""
    was_enabled = gc.isenabled()
    gc.disable()  # nothing here is cyclic, and looking for cycles takes longer with every state
    try:
        return Exploration(rules, most_states=most_states).run()
    finally:
        if was_enabled:
            gc.enable()


def _shown(world: World) -> str:
    now, answer = world.record, world.record.outgoing
    words = [f"received {now.received}, answered {now.answered}, epoch {now.epoch}"]
    words.append("a human has it" if now.human else "no messages wanted" if now.unwanted else "the AI has it")
    if answer:
        state = f"CLAIMED, attempt {answer.attempts}" if answer.claimed else "READY"
        words.append(f"outgoing ({answer.after}, {answer.to}] {state}")
    words.append("in the index" if now.indexed else "not in the index")
    return ", ".join(words)
