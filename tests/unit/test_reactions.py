"""Reactions: a thumb under a question is an answer; any other is noted, and nobody is woken for it."""

import pytest

from chalicelib.model import Author, Reaction, Spoken
from chalicelib.reading import in_words
from tests.twins import cast
from tests.twins.queues import HANDOFF
from tests.twins.relay import TwinRelay, opened


def react(relay: TwinRelay, number: int, to: str, emoji: str = "👍") -> str:
    return relay.hear(number, emoji, MessageType="reaction", OriginalRepliedMessageSid=to)


@pytest.fixture
def relay() -> TwinRelay:
    relay = TwinRelay()
    opened(relay, opening=(Spoken(Author.AI, "Shall we talk on Monday?", provider_id="SM-question"),))
    return relay


def exchange(relay: TwinRelay) -> str:
    """A message and its answer, which asks nothing; the provider's id of the answer."""
    relay.hear(1, "Thank you")
    relay.run_until_quiet()
    return relay.provider.taken[-1].provider_id


def test_a_reaction_to_a_question_is_an_answer(relay: TwinRelay) -> None:
    react(relay, 1, "SM-question")
    relay.run_until_quiet()
    [turn] = relay.engine.turns
    assert in_words(turn.waiting[0]) == "[reacted 👍 to: “Shall we talk on Monday?”]"
    assert len(relay.provider.taken) == 1


def test_a_reaction_to_anything_else_wakes_nobody(relay: TwinRelay) -> None:
    react(relay, 2, exchange(relay))
    relay.run_until_quiet(sweeping=True)
    assert len(relay.engine.turns) == 1
    assert relay.the_conversation().received == 1


def test_the_next_turn_sees_it(relay: TwinRelay) -> None:
    react(relay, 2, exchange(relay))
    relay.hear(3, "One more thing")
    relay.run_until_quiet()
    said = relay.engine.turns[1].history[-1]
    assert (said.author, said.text) == (Author.USER, "[reacted 👍 to: “You said: Thank you”]")
    assert [each.text for each in relay.engine.turns[1].waiting] == ["One more thing"]


def test_a_reaction_that_comes_twice_is_noted_once(relay: TwinRelay) -> None:
    answer = exchange(relay)
    for _ in range(2):
        react(relay, 2, answer)
    noted = [entry for entry in relay.history.of(cast.CONVERSATION_ID) if entry.extras]
    assert [entry.extras for entry in noted] == [(Reaction("👍", answer),)]


@pytest.mark.parametrize("to", ["SM-question", "SM-nobody-knows"])
def test_a_reaction_that_is_taken_back_or_to_something_forgotten_wakes_nobody(relay: TwinRelay, to: str) -> None:
    react(relay, 1, to, emoji="" if to == "SM-question" else "👍")
    relay.run_until_quiet(sweeping=True)
    assert relay.engine.turns == []


def test_a_human_who_has_the_conversation_sees_every_reaction(relay: TwinRelay) -> None:
    answer = exchange(relay)
    relay.take_over()
    react(relay, 2, answer)
    assert relay.queues.of(HANDOFF)[-1].context.message.body == "👍"
    assert relay.the_conversation().received == 2


def test_a_reaction_among_waiting_messages_is_not_taken_for_one_of_them(relay: TwinRelay) -> None:
    answer = exchange(relay)
    for number in range(2, 26):
        relay.hear(number)
    react(relay, 26, answer)
    relay.run_until_quiet()
    assert [each.text for each in relay.engine.turns[1].waiting] == [f"message {number}" for number in range(2, 26)]


def test_a_reaction_of_somebody_without_a_conversation_gets_no_fallback() -> None:
    relay = TwinRelay()
    assert "<Message>" not in react(relay, 1, "SM-question")
    assert relay.conversations.all() == []
