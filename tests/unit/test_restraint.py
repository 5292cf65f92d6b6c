"""What the AI leaves to a human although it may answer: machines that answer it, and what the tenant has limited."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.model import AiSettings, Answer, Author, Channel, HistoryEntry, Limits, Numbered, Usage, Waiting
from chalicelib.restraint import QUICK, SAME, is_loop
from tests.twins import cast
from tests.twins.clock import START
from tests.twins.relay import TwinRelay, opened

DAY = "2026-11-22"


def limited(**limits: Any) -> TwinRelay:
    relay = TwinRelay(tenant=cast.tenant(limits=Limits(**limits)))
    opened(relay)
    return relay


def spending(relay: TwinRelay, tokens: int) -> None:
    relay.engine.says(Answer(text="an answer", usage=Usage(input_tokens=tokens - 1, output_tokens=1)))


def exchange(relay: TwinRelay, *numbers: int) -> None:
    for number in numbers:
        relay.hear(number)
        relay.run_until_quiet()


class TestLimits:
    def test_turns_of_a_conversation_and_day_are_counted(self) -> None:
        relay = limited(turns_a_day=2)
        exchange(relay, 1, 2, 3)
        assert len(relay.engine.turns) == 2
        assert relay.the_conversation().handed_off_reason == "limit:turns_a_day"
        assert [message.context.message.body for message in relay.handed_over] == ["message 3"]

    def test_the_next_day_begins_anew(self) -> None:
        relay = limited(turns_a_day=1)
        exchange(relay, 1)
        relay.clock.advance(timedelta(days=1))
        exchange(relay, 2)
        assert len(relay.engine.turns) == 2

    def test_one_conversation_does_not_use_up_the_turns_of_another(self) -> None:
        relay = limited(turns_a_day=1)
        exchange(relay, 1)
        opened(relay, key=cast.ConversationKey("+447700900777", "another"), reference="ref-2")
        relay.hear(2, sender="+447700900777")
        relay.run_until_quiet()
        assert len(relay.engine.turns) == 2

    @pytest.mark.parametrize("limit", ["tokens_a_day", "tokens_a_month"])
    def test_tokens_are_counted_over_all_conversations(self, limit: str) -> None:
        relay = limited(**{limit: 100})
        spending(relay, 100)
        exchange(relay, 1)
        opened(relay, key=cast.ConversationKey("+447700900777", "another"), reference="ref-2")
        relay.hear(2, sender="+447700900777")
        relay.run_until_quiet()
        assert len(relay.engine.turns) == 1
        assert [message.reason for message in relay.handed_over] == [f"limit:{limit}"]

    def test_a_month_outlasts_its_days(self) -> None:
        relay = limited(tokens_a_month=100)
        spending(relay, 100)
        exchange(relay, 1)
        relay.clock.advance(timedelta(days=1))
        exchange(relay, 2)
        assert len(relay.engine.turns) == 1

    def test_an_answer_that_is_thrown_away_has_cost_all_the_same(self) -> None:
        relay = limited(tokens_a_day=100)

        def thinks(_: Any) -> Answer:
            relay.hear(2)
            return Answer(text="too late", usage=Usage(input_tokens=99, output_tokens=1))

        relay.engine.says(thinks)
        exchange(relay, 1)
        assert relay.provider.texts == []
        assert relay.the_conversation().handed_off_reason == "limit:tokens_a_day"

    def test_without_limits_nothing_is_counted(self, relay: TwinRelay) -> None:
        exchange(relay, 1, 2)
        assert relay.meters.used == {}

    def test_no_turns_at_all_is_a_limit_too(self) -> None:
        relay = limited(turns_a_day=0)
        exchange(relay, 1)
        assert relay.engine.turns == []

    def test_how_near_a_limit_is_can_be_measured(self) -> None:
        relay = limited(tokens_a_month=200)
        spending(relay, 50)
        exchange(relay, 1)
        (line,) = relay.journal.of("tokens_counted")
        assert line["percent_of_month"] == 25

    def test_the_model_is_told_how_long_an_answer_may_be(self) -> None:
        relay = TwinRelay(tenant=cast.tenant(ai=AiSettings(api_key_reference=cast.OPENAI_SECRET, longest_answer=300)))
        opened(relay)
        exchange(relay, 1)
        assert relay.engine.turns[0].settings.longest_answer == 300


def talk(*lines: tuple[float, str, str]) -> tuple[list[HistoryEntry], list[Waiting]]:
    """A conversation in seconds: `(after the line before, who, text)`; the last line waits for an answer."""
    at, history = START, []
    for number, (seconds, who, text) in enumerate(lines):
        at += timedelta(seconds=seconds)
        author = Author.USER if who == "person" else Author.AI
        position = Numbered.inbound(number) if author == Author.USER else Numbered.answer(number, 0)
        history.append(
            HistoryEntry(
                conversation_id="c",
                position=position,
                author=author,
                text=text,
                at=at,
                channel=Channel.WHATSAPP,
                number=number,
                provider_id=cast.message_id(number),
            )
        )
    last = history[-1]
    waiting = [cast.waiting(last.number, last.text, at=last.at)]
    return history, waiting


def answering(times: int, *texts: str, after: float = 2.0) -> tuple[list[HistoryEntry], list[Waiting]]:
    lines = []
    for number in range(times):
        lines += [(60.0, "ai", f"answer {number}"), (after, "person", texts[number % len(texts)])]
    return talk(*lines)


class TestLoops:
    def test_a_machine_that_always_says_the_same_at_once_is_noticed(self) -> None:
        assert is_loop(*answering(SAME, "I am out of office."))

    def test_two_times_may_be_chance(self) -> None:
        assert not is_loop(*answering(SAME - 1, "I am out of office."))

    def test_blanks_and_capitals_do_not_hide_it(self) -> None:
        assert is_loop(*answering(SAME, "Out of  Office", "out of office "))

    def test_a_person_who_says_the_same_takes_time(self) -> None:
        assert not is_loop(*answering(5, "ok", after=20.0))

    def test_a_machine_with_different_words_is_noticed_by_its_pace(self) -> None:
        words = [f"ticket {number}" for number in range(QUICK)]
        assert is_loop(*answering(QUICK, *words))
        assert not is_loop(*answering(QUICK - 1, *words))

    def test_who_writes_several_messages_in_a_row_is_a_person(self) -> None:
        lines = [(60.0, "ai", "hello"), *[(1.0, "person", "ok")] * 9]
        assert not is_loop(*talk(*lines))

    def test_a_new_conversation_is_none(self) -> None:
        assert not is_loop([], [cast.waiting(1)])

    def test_it_is_stopped_by_a_human_who_gets_it(self, relay: TwinRelay) -> None:
        for number in range(1, 20):
            relay.hear(number, "This mailbox is not read.")
            relay.run_until_quiet()
            relay.clock.advance(seconds=2)
            if relay.the_conversation().handed_off:
                break
        assert relay.the_conversation().handed_off_reason == "loop"
        assert len(relay.provider.texts) == SAME
        assert len(relay.handed_over) == 1
