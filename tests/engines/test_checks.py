"""Opinions besides the answer: moderation of what comes in and goes out, and whether a human is needed."""

import pytest

from chalicelib.errors import TryAgain
from chalicelib.model import AiSettings, Moderation, Thread
from tests.engines.bench import Bench, Person, turn

THREAT = "I will hurt you"


def settings(**changes: object) -> AiSettings:
    return AiSettings(**changes)  # type: ignore[arg-type]


def test_nobody_is_asked_unless_the_tenant_wants_it(openai: Bench) -> None:
    assert openai.answer(turn(THREAT)).text
    assert openai.calls() == ["POST /responses"]


@pytest.mark.parametrize("moderation", [Moderation.INPUT, Moderation.BOTH])
def test_a_flagged_message_goes_to_a_human_and_to_no_model(openai: Bench, moderation: Moderation) -> None:
    answer = openai.answer(turn("Hi", THREAT, settings=settings(moderation=moderation)))
    assert (answer.hand_off_reason, answer.text) == ("moderated_input", "")
    assert openai.calls() == ["POST /moderations"]


@pytest.mark.parametrize("moderation", [Moderation.OUTPUT, Moderation.BOTH])
def test_a_flagged_answer_is_not_sent(openai: Bench, moderation: Moderation) -> None:
    quoted = turn(f"My neighbour said: {THREAT}", settings=settings(moderation=Moderation.OUTPUT))
    answer = openai.answer(quoted)
    assert (answer.hand_off_reason, answer.text) == ("moderated_output", "")
    assert answer.usage.output_tokens > 0
    assert openai.calls() == ["POST /responses", "POST /moderations"]


def test_what_nobody_flags_is_answered(openai: Bench) -> None:
    assert openai.answer(turn("Hi", settings=settings(moderation=Moderation.BOTH))).text
    assert openai.calls() == ["POST /moderations", "POST /responses", "POST /moderations"]


@pytest.mark.parametrize("moderation", [Moderation.INPUT, Moderation.OUTPUT])
def test_what_cannot_be_moderated_is_neither_answered_nor_lost(openai: Bench, moderation: Moderation) -> None:
    openai.order("moderation_fails")
    with pytest.raises(TryAgain):
        openai.answer(turn("Hi", settings=settings(moderation=moderation)))


def test_a_flagged_answer_leaves_nothing_in_the_conversation_at_openai(openai: Bench) -> None:
    ada = Person(openai, settings(engine="conversations", moderation=Moderation.OUTPUT))
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("tell me")
    openai.order("moderation_flags")
    flagged = openai.answer(ada.turn())
    assert (flagged.hand_off_reason, flagged.thread) == ("moderated_output", None)
    ada.is_answered_by_a_human("This is Grace.")
    ada.writes("thanks")
    ada.is_answered()
    assert isinstance(ada.thread, Thread)
    assert openai.held(ada.thread.id) == ada.said()


def test_who_needs_a_human_gets_one_before_any_engine_thinks(openai: Bench) -> None:
    answer = openai.answer(turn("I want a human", settings=settings(check_needs_human=True)))
    assert answer.hand_off_reason == "needs_human"
    assert openai.calls() == ["POST /decisions"]


def test_who_needs_none_is_answered(openai: Bench) -> None:
    answer = openai.answer(turn("Hi", settings=settings(check_needs_human=True)))
    assert (answer.hand_off_reason, bool(answer.text)) == (None, True)
    [decision] = openai.bodies("POST /decisions")
    assert [each["content"] for each in decision["input"]] == ["Hi"]
    assert decision["safety_identifier"] == "ref-1"


@pytest.mark.parametrize("fault", ["decision_fails", "decision_refuses", "decision_garbage"])
def test_an_opinion_that_cannot_be_had_does_not_hold_the_answer_up(openai: Bench, fault: str) -> None:
    openai.order(fault)
    assert openai.answer(turn("I want a human, but offer no tool", settings=settings(check_needs_human=True)))
    assert openai.calls() == ["POST /decisions", "POST /responses"]


def test_a_conversations_own_wish_wins_over_its_tenants() -> None:
    tenant = settings(moderation=Moderation.BOTH, check_needs_human=True, history_tokens=5)
    assert settings().or_else(tenant) == tenant
    own = settings(moderation=Moderation.OFF, check_needs_human=False, history_tokens=7)
    assert own.or_else(tenant) == own
