"""Many seeds, on several processors, and what they have shown."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.simulation import run_seed

#: So many seeds are handed to a processor at a time.
_BATCH = 25


@dataclass
class Tally:
    """What a number of runs has shown."""

    seeds: int = 0
    calls: int = 0
    processes: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)  #: violations by seed

    def add(self, other: "Tally") -> None:
        self.seeds += other.seeds
        self.calls += other.calls
        self.processes += other.processes
        self.faults += other.faults
        self.failed |= other.failed

    def lines(self) -> Iterator[str]:
        per_second = self.seeds / self.seconds if self.seconds else 0.0
        yield f"{self.seeds} seeds in {self.seconds:.1f} s: {per_second:.1f} a second"
        yield f"{self.processes} invocations of stages, {self.calls} calls through ports"
        yield f"{self.faults.total()} faults:"
        for fault, times in self.faults.most_common():
            yield f"  {times:>9}  {fault}"
        yield f"{len(self.failed)} seeds violate an invariant"
        for seed, violations in sorted(self.failed.items())[:20]:
            yield f"  {seed}: {violations[0]}{f' and {len(violations) - 1} more' if len(violations) > 1 else ''}"


def run_seeds(seeds: Sequence[int], *, jobs: int = 1, store: str = "twin") -> Tally:
    """Runs all of them; every seed is run in a process of its own choosing, so the order means nothing."""
    began, tally = time.perf_counter(), Tally()
    batches = [seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)]
    for each in _mapped(partial(_batch, store=store), batches, jobs):
        tally.add(each)
    tally.seconds = time.perf_counter() - began
    return tally


def _mapped(run: Callable[[Sequence[int]], Tally], batches: Sequence[Sequence[int]], jobs: int) -> Iterable[Tally]:
    if jobs == 1:
        yield from map(run, batches)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run, batches)


def _batch(seeds: Sequence[int], store: str) -> Tally:
    tally = Tally()
    for seed in seeds:
        outcome = run_seed(seed, store=store)
        tally.seeds += 1
        tally.calls += outcome.calls
        tally.processes += outcome.processes
        tally.faults.update(str(each.fault) for each in outcome.struck)
        if outcome.violations:
            tally.failed[seed] = [str(each) for each in outcome.violations]
    return tally
