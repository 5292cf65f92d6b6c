"""A run with real processes, short enough for every day; `python -m tests.kill` makes longer ones."""

import pytest

from tests.kill.plan import Kill, Plan, Repeat, Trouble, Write
from tests.kill.run import play


def test_whoever_is_killed_everybody_is_answered_once_or_given_to_a_human() -> None:
    outcome = play(Plan(seed=1))
    print(*outcome.lines(), sep="\n")
    assert not outcome.violations, outcome.told()
    evidence = outcome.evidence
    answered = sum(len(tokens) for case in evidence.cases for _, tokens in case.answers)
    assert answered > evidence.plan.messages / 4, "a run in which hardly anybody is answered shows nothing"
    for action in ("message_duplicate", "message_reconciled", "answer_settled"):
        assert evidence.actions(action) > 0, action


def test_the_same_seed_plans_the_same_and_another_something_else() -> None:
    assert Plan(seed=3).acts() == Plan(seed=3).acts()
    assert Plan(seed=3).acts() != Plan(seed=4).acts()


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_holds_what_it_promises(seed: int) -> None:
    plan = Plan(seed=seed)
    acts = [act for _, act in plan.acts()]
    counts = {kind: sum(isinstance(act, kind) for act in acts) for kind in (Write, Repeat, Trouble, Kill)}
    assert (counts[Write], counts[Kill]) == (plan.messages, plan.kills)
    assert counts[Repeat] > 0
    assert {act.stand_in for act in acts if isinstance(act, Trouble)} == {"twilio", "openai"}
    assert {act.process for act in acts if isinstance(act, Kill)} == {"app", "worker-1", "worker-2"}
    tokens = [act.token for act in acts if isinstance(act, Write)]
    assert len(set(tokens)) == len(tokens)
