"""One run from beginning to end: the scenario happens, faults stop, everything comes to rest, and is judged."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from chalicelib.aws import conversations as adapter
from tests.simulation.boundary import Line
from tests.simulation.faults import DrawnFaults, Faults, Struck
from tests.simulation.invariants import violations
from tests.simulation.scenario import Event, Scenario, drawn
from tests.simulation.stores import STORES
from tests.simulation.truth import Violation
from tests.simulation.world import World
from tests.twins import store as twin

#: After the last fault everything must be at rest within this time, in seconds.
REST_WITHIN = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown."""

    scenario: Scenario
    violations: list[Violation]
    struck: list[Struck]
    story: list[Line]
    happened: list[Event]  #: the events of the scenario, each with the time at which it came
    calls: int
    processes: int

    @property
    def broken(self) -> frozenset[str]:
        return frozenset(each.invariant for each in self.violations)


def run(scenario: Scenario, faults: Faults | None = None, *, store: str = "twin", telling: bool = False) -> Outcome:
    """Runs a scenario; the same scenario with the same faults always runs the same way, whatever the store."""
    chosen = faults or DrawnFaults(scenario.rate, scenario.until)
    with _room(scenario), STORES[store]() as kept:
        world = World(scenario, chosen, kept, telling=telling)
        world.set_up()
        at_rest = world.clockwork.run(until=scenario.until + REST_WITHIN)
        found = violations(world, at_rest=at_rest)
    boundary = world.boundary
    return Outcome(
        scenario, found, chosen.struck, boundary.story, world.happened, boundary.effects, world.clockwork.began
    )


def run_seed(seed: int, *, store: str = "twin", telling: bool = False) -> Outcome:
    return run(drawn(seed), store=store, telling=telling)


@contextmanager
def _room(scenario: Scenario) -> Iterator[None]:
    """How much a record holds; little room brings its edges near."""
    if not scenario.cramped:
        yield
        return
    little = {"MOST_WAITING": 3, "IDS_KEPT": 4, "MOST_IDS": 8}
    with patch.multiple(twin, **little), patch.multiple(adapter, **little):
        yield


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Many short runs are faster if their remains are collected between them, not within."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
