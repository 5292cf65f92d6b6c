"""A failing run for a reader: as little as still fails, told call by call."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from tests.simulation.faults import DrawnFaults, Struck
from tests.simulation.invariants import SENTENCES
from tests.simulation.scenario import Scenario, drawn
from tests.simulation.simulation import Outcome, run

Item = TypeVar("Item")

#: A run is made smaller in at most so many attempts.
MOST_ATTEMPTS = 600


def shrunk(scenario: Scenario, struck: list[Struck], broken: frozenset[str]) -> Outcome:
    """The same failure with fewer faults and events; the invariants of `broken` still fail, or one of them does."""
    faults, attempts = frozenset(struck), 0

    def still_fails(scenario: Scenario, faults: frozenset[Struck]) -> bool:
        nonlocal attempts
        attempts += 1
        return attempts <= MOST_ATTEMPTS and bool(_run(scenario, faults).broken & broken)

    # an event that came at a certain call comes at that time: then it does not depend on the calls before
    timed = replace(scenario, events=tuple(run(scenario).happened))
    if still_fails(timed, faults):
        scenario = timed
    smaller = True
    while smaller and attempts <= MOST_ATTEMPTS:
        smaller = False
        for fewer in _without_some(sorted(faults, key=lambda each: each.place)):
            if still_fails(scenario, frozenset(fewer)):
                faults, smaller = frozenset(fewer), True
                break
        for events in _without_some(list(scenario.events)):
            if events and still_fails(replace(scenario, events=tuple(events)), faults):
                scenario, smaller = replace(scenario, events=tuple(events)), True
                break
    return _run(scenario, faults, telling=True)


def _run(scenario: Scenario, faults: frozenset[Struck], *, telling: bool = False) -> Outcome:
    return run(scenario, DrawnFaults(scenario.rate, scenario.until, faults), telling=telling)


def _without_some(items: list[Item]) -> Iterator[list[Item]]:
    """All of them but a half, but a quarter, and so on, down to all but one."""
    size = (len(items) + 1) // 2
    while size and items:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2


def of_seed(seed: int, *, shrink: bool = True, store: str = "twin") -> str:
    """The story of a seed; of one that fails on the twins the shortest that was found."""
    scenario = drawn(seed)
    outcome = run(scenario)
    if shrink and outcome.violations:
        return told(shrunk(scenario, outcome.struck, outcome.broken))
    return told(run(scenario, store=store, telling=True))


def told(outcome: Outcome) -> str:
    return "\n".join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    scenario = outcome.scenario
    yield f"seed {scenario.seed}: {outcome.processes} processes, {outcome.calls} calls, {len(outcome.struck)} faults"
    clocks = ", ".join(f"{skew:+.1f}" for skew in (*scenario.skews, scenario.provider_skew))
    yield (
        f"  delays up to {scenario.pace} s, clocks {clocks} s, listed within {scenario.listing:.0f} s, "
        f"{'little room, ' if scenario.cramped else ''}{'no callbacks, ' if scenario.mute else ''}"
        f"{'listed texts differ, ' if scenario.rewritten else ''}the engine {scenario.manner}"
    )
    for event in scenario.events:
        yield f"  {event}"
    for line in outcome.story:
        yield f"{line.at:10.3f}  {line.process:<34} {line.what:<28} {line.outcome}"
    for violation in outcome.violations:
        yield f"VIOLATED  {violation}"
        yield f"          {SENTENCES[violation.invariant]}"
    if not outcome.violations:
        yield "every invariant holds"
