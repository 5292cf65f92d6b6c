"""Two thousand worlds that go wrong, each in its own way."""

from collections.abc import Iterator

import pytest

from tests.simulation import story, teeth
from tests.simulation.invariants import SENTENCES
from tests.simulation.runs import run_seeds
from tests.simulation.scenario import drawn
from tests.simulation.simulation import Outcome, run, run_seed

SEEDS = range(2_000)

#: Seeds that are run on tables, too: little room, many faults, takeovers, giving back, nearly every step of the store.
ON_TABLES = (210, 330, 394)

#: What the simulation has found and was mended: the protection, and a seed that shows what it is good for.
MENDED = {
    "a sender that lost its claim stops": 424,
    "clocks and whole seconds are allowed for": 10,
    "finish keeps the index after a takeover": 14,
    "what was dropped is told": 972,
    "a human hears of the newest message": 935,
    "a closed record takes no message": 10937,
}


def test_no_invariant_is_violated() -> None:
    tally = run_seeds(SEEDS, jobs=2)
    assert not tally.failed, story.of_seed(min(tally.failed))


@pytest.mark.parametrize(("name", "seed"), MENDED.items())
def test_what_was_found_once_stays_mended(name: str, seed: int) -> None:
    with teeth.removed(_protection(name)):
        without = run_seed(seed)
    assert without.broken & set(_protection(name).breaks.split())
    assert not run_seed(seed).violations, story.of_seed(seed)


def test_the_same_seed_tells_the_same_story() -> None:
    assert story.told(run_seed(77, telling=True)) == story.told(run_seed(77, telling=True))


@pytest.mark.parametrize("seed", ON_TABLES)
def test_the_adapters_tell_the_same_story_as_the_twins(seed: int) -> None:
    on_tables = run_seed(seed, store="moto", telling=True)
    assert not on_tables.violations
    assert story.told(on_tables) == story.told(run_seed(seed, telling=True))


def test_a_failing_run_is_told_with_its_seed_its_invariant_and_fewer_faults() -> None:
    seed, outcome = next(_failures("settle before resend"))
    with teeth.removed(_protection("settle before resend")):
        shorter = story.shrunk(outcome.scenario, outcome.struck, outcome.broken)
    told = story.told(shorter)
    assert f"seed {seed}" in told
    assert any(SENTENCES[name] in told for name in outcome.broken)
    assert len(shorter.struck) <= len(outcome.struck)


@pytest.mark.parametrize(
    "name",
    [
        "recorded once",
        "a duplicate wakes again",
        "history before the record forgets",
        "commit compares what is answered",
        "commit looks at the owner",
        "claim looks at the owner",
        "claim is exclusive",
        "a part leaves in time or not at all",
        "a 5xx is in doubt",
        "settle before resend",
        "the sweep",
        "drop keeps the index",
        "a refusal reaches a human",
        "an answer is begun once",
    ],
)
def test_a_protection_that_is_missing_is_noticed(name: str) -> None:
    assert teeth.search(_protection(name), most=500).seeds


def _protection(name: str) -> teeth.Protection:
    return next(each for each in teeth.PROTECTIONS if each.name == name)


def _failures(name: str) -> Iterator[tuple[int, Outcome]]:
    """Seeds that fail without a protection, with what they show."""
    with teeth.removed(_protection(name)):
        for seed in range(1_000):
            outcome = run(drawn(seed))
            if outcome.broken & set(_protection(name).breaks.split()):
                yield seed, outcome
                return
