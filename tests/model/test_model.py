"""Every interleaving of two messages keeps the promises, and the promises notice what is taken from the protocol."""

import pytest

from tests.model.explore import explore
from tests.model.mutants import MUTANTS, SPARE, Mutant
from tests.model.rules import Rules, protections
from tests.model.scenarios import TWO, Scenario


@pytest.mark.parametrize("scenario", TWO, ids=lambda each: each.name)
def test_nothing_is_violated_whatever_happens(scenario: Scenario) -> None:
    result = explore(scenario.rules)
    assert result.violation is None, str(result.violation)
    assert result.complete


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_the_protocol_without_a_protection_is_found_out(mutant: Mutant) -> None:
    assert mutant.run().violation is not None


@pytest.mark.parametrize("name", SPARE)
def test_a_second_line_is_not_reached_while_the_first_one_holds(name: str) -> None:
    rules = Rules(messages=1, faults=1, handovers=2, flips=0)
    assert explore(rules.without(name)).violation is None


def test_every_protection_has_a_mutant() -> None:
    tried = {name for mutant in MUTANTS for name in mutant.without}
    assert {each.name for each in protections()} <= tried


def test_steps_that_nobody_notices_may_come_late_too() -> None:
    rules = Rules(messages=1, faults=1, handovers=1)
    at_once = explore(rules)
    at_any_time = explore(Rules(messages=1, faults=1, handovers=1, every_order=True))
    assert at_any_time.violation is None
    assert at_any_time.states > at_once.states


def test_a_violation_is_told_as_a_story() -> None:
    violation = explore(Rules(messages=1, faults=1, handovers=0).without("claim_is_exclusive")).violation
    assert violation is not None
    assert "sender posts the answer to message 1" in str(violation)
    assert violation.sentence.endswith(".")
