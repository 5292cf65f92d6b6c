"""Every single fault and every pair of faults, at every call of six conversations."""

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.simulation.clockwork import Process
from tests.simulation.faults import POSSIBLE, Fault, Place, PlannedFaults
from tests.simulation.scenario import Act, Event, Manner, Scenario
from tests.simulation.simulation import Outcome, run

#: What may happen to a call: the process dies there, or the call fails although or because it did not happen.
DIES = (Fault.DIES_BEFORE, Fault.DIES_AFTER)
_BEFORE_AND_AFTER = frozenset(
    {
        *DIES,
        Fault.THROTTLED,
        Fault.RESPONSE_LOST,
        Fault.ENGINE_BUSY,
        Fault.ENGINE_SILENT,
        Fault.ENGINE_REFUSES,
        Fault.BUSY,
        Fault.TAKEN_TIMEOUT,
        Fault.NOT_TAKEN_TIMEOUT,
        Fault.REFUSED,
        Fault.NOT_DELETED,
    }
)

Plan = tuple[tuple[Place, Fault], ...]


def _says(at: float, number: int, conversation: int = 0) -> Event:
    return Event(Act.SAYS, conversation, at, message=number)


def _scenario(*events: Event, manner: Manner = Manner.ECHO) -> Scenario:
    return Scenario(seed=7, events=events, pace=0.05, until=600.0, manner=manner, thinking=(4.0, 6.0))


SCENARIOS: Mapping[str, Scenario] = {
    "single message": _scenario(_says(1.0, 1)),
    "burst": _scenario(_says(1.0, 1), _says(3.0, 2), _says(4.0, 3)),
    "burst with a late message": _scenario(_says(1.0, 1), _says(2.0, 2), _says(35.0, 3)),
    "duplicate": _scenario(_says(1.0, 1)),
    "takeover during the turn": _scenario(_says(1.0, 1), Event(Act.TAKES_OVER, 0, 34.0)),
    "long answer in parts": _scenario(_says(1.0, 1), manner=Manner.LONG),
}


@dataclass
class Explored:
    """What was tried of one scenario, and what failed."""

    name: str
    calls: int = 0
    runs: int = 0
    seconds: float = 0.0
    failed: list[tuple[Plan, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.name:<28} {self.calls:>4} calls {self.runs:>7} runs {self.seconds:>7.1f} s "
            f"{len(self.failed)} violations"
        )


def outcome_of(name: str, plan: Plan = (), *, telling: bool = False) -> tuple[Outcome, PlannedFaults]:
    """The scenario with these faults."""
    faults = _Repeating(dict(plan)) if name == "duplicate" else PlannedFaults(dict(plan))
    return run(SCENARIOS[name], faults, telling=telling), faults


@dataclass
class _Repeating(PlannedFaults):
    """The provider delivers each webhook again, besides what is planned."""

    def at(self, process: Process, call: int, name: str, now: float) -> Fault | None:
        planned = super().at(process, call, name, now)
        return Fault.WEBHOOK_REPEATED if name == "webhook" and planned is None else planned


def singles(name: str) -> Explored:
    """Each call dies, fails, or fails although it happened."""
    began = time.perf_counter()
    explored = Explored(name)
    for plan in _singles(name, explored):
        _try(explored, plan)
    explored.seconds = time.perf_counter() - began
    return explored


def _singles(name: str, explored: Explored) -> list[Plan]:
    outcome, faults = outcome_of(name)
    explored.calls = sum("." in call for _, call in faults.reached)
    assert not outcome.violations, f"{name} fails without any fault"
    return [((place, fault),) for place, call in faults.reached for fault in _possible(call)]


def _possible(call: str, among: Iterable[Fault] = _BEFORE_AND_AFTER) -> list[Fault]:
    return [fault for fault in dict.fromkeys(POSSIBLE[call]) if fault in among]


def doubles(name: str, *, part: int = 0, of: int = 1, among: Iterable[Fault] = DIES) -> Explored:
    """Each call dies before or after its effect, and then each other one that follows."""
    began = time.perf_counter()
    explored = Explored(name)
    _, faults = outcome_of(name)
    explored.calls = sum("." in call for _, call in faults.reached)
    firsts = [(place, fault) for place, call in faults.reached for fault in _possible(call, among)]
    for first in firsts[part::of]:
        _, after = outcome_of(name, (first,))
        places = [place for place, _ in after.reached]
        later = after.reached[places.index(first[0]) + 1 :]
        for place, call in later:
            for fault in _possible(call, among):
                _try(explored, (first, (place, fault)))
    explored.seconds = time.perf_counter() - began
    return explored


def _try(explored: Explored, plan: Plan) -> None:
    outcome, _ = outcome_of(explored.name, plan)
    explored.runs += 1
    if outcome.violations:
        explored.failed.append((plan, str(outcome.violations[0])))


def all_singles(*, jobs: int = 1) -> Sequence[Explored]:
    if jobs == 1:
        return [singles(name) for name in SCENARIOS]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return pool.map(singles, SCENARIOS, chunksize=1)


#: The pairs of a scenario are tried in so many shares.
_SHARES = 4


def all_doubles(names: Sequence[str], *, jobs: int = 1, every_kind: bool = False) -> Iterator[Explored]:
    """What was explored of each scenario; with `every_kind` calls do not only die, they also fail."""
    shares = [(name, part, every_kind) for name in names for part in range(_SHARES)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        done = pool.imap(_share, shares)
        for name in names:
            yield _joined(name, [next(done) for _ in range(_SHARES)])


def _share(share: tuple[str, int, bool]) -> Explored:
    name, part, every_kind = share
    return doubles(name, part=part, of=_SHARES, among=_BEFORE_AND_AFTER if every_kind else DIES)


def _joined(name: str, shares: Sequence[Explored]) -> Explored:
    return Explored(
        name,
        calls=shares[0].calls,
        runs=sum(each.runs for each in shares),
        seconds=sum(each.seconds for each in shares),
        failed=[failure for each in shares for failure in each.failed],
    )
