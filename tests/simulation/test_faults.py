"""Every single fault at every call of six conversations, and every pair of crashes."""

import pytest

from tests.simulation import exhaustive, story


@pytest.mark.parametrize("name", exhaustive.SCENARIOS)
def test_a_fault_at_any_call_breaks_no_invariant(name: str) -> None:
    explored = exhaustive.singles(name)
    assert explored.runs > 2 * explored.calls
    assert not explored.failed, _told(name, explored)


def test_two_crashes_anywhere_break_no_invariant() -> None:
    for explored in exhaustive.all_doubles(list(exhaustive.SCENARIOS), jobs=2):
        assert explored.runs > 4 * explored.calls
        assert not explored.failed, _told(explored.name, explored)


def _told(name: str, explored: exhaustive.Explored) -> str:
    plan, _ = explored.failed[0]
    return story.told(exhaustive.outcome_of(name, plan, telling=True)[0])
