"""Stage 2: one wake-up answers everything that waits, the others are dropped, and nothing is answered twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.context import Context
from chalicelib.errors import Refused, TryAgain, Unconfirmed
from chalicelib.model import (
    AiSettings,
    Answer,
    Author,
    Channel,
    Conversation,
    ConversationKey,
    OnNewMessage,
    Spoken,
    Status,
    Turn,
)
from tests.twins import cast
from tests.twins.clock import START
from tests.twins.engine import USAGE
from tests.twins.relay import TwinRelay, opened, stamps

TURNS = "whatsapp-replies"
LONG = "word " * 1_000


def wake_up(relay: TwinRelay, index: int = -1) -> Context:
    """The context of a wake-up that is on the queue."""
    return relay.queues.of(TURNS)[index].context


def dropped(relay: TwinRelay) -> list[str | None]:
    return [line["reason"] for line in relay.journal.of("wakeup_dropped")]


def asked(relay: TwinRelay) -> Turn:
    (turn,) = relay.engine.turns
    return turn


class TestTake:
    def test_a_burst_is_answered_once_and_whole(self, relay: TwinRelay) -> None:
        for number in (1, 2, 3):
            relay.hear(number)
            relay.clock.advance(seconds=10)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1 / message 2 / message 3"]
        assert dropped(relay) == ["newer_message", "newer_message"]

    def test_each_new_message_makes_the_ai_wait_again(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=29)
        relay.hear(2)
        relay.run_until_quiet()
        assert relay.provider.taken[0].at == START + timedelta(seconds=59)

    def test_who_writes_without_end_is_answered_after_the_longest_burst(self, relay: TwinRelay) -> None:
        for number in range(1, 11):
            relay.hear(number)
            relay.clock.advance(seconds=20)
            relay.work_off()
        assert relay.provider.taken
        assert relay.provider.taken[0].at <= START + timedelta(seconds=120)
        relay.run_until_quiet()
        covered = [taken.covers for taken in relay.provider.taken]
        assert covered[0] is not None
        assert [after for after, _ in covered] == [0, *(to for _, to in covered[:-1])]
        assert covered[-1][1] == 10

    def test_the_tenants_own_longest_burst_wins(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(burst_max=timedelta(seconds=10)))
        relay.hear(1)
        relay.clock.advance(seconds=10)
        relay.hear(2)
        relay.reply(wake_up(relay, 0))
        assert relay.the_conversation().answered == 2

    def test_a_wake_up_for_a_conversation_that_is_gone_is_dropped(self, relay: TwinRelay) -> None:
        relay.hear(1)
        context = wake_up(relay)
        gone = context.conversation.model_copy(update={"conversation_id": "gone"})
        relay.reply(context.model_copy(update={"conversation": gone}))
        assert dropped(relay) == ["no_conversation"]

    def test_a_repeated_wake_up_is_dropped(self, relay: TwinRelay) -> None:
        relay.hear(1)
        context = wake_up(relay)
        relay.run_until_quiet()
        relay.reply(context)
        assert dropped(relay) == ["nothing_waits"]
        assert len(relay.engine.turns) == 1

    def test_a_wake_up_while_an_answer_is_on_its_way_is_dropped(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.reply(wake_up(relay))
        relay.hear(2)
        relay.reply(wake_up(relay))
        assert dropped(relay) == ["answer_on_its_way"]
        assert relay.the_conversation().answered == 1

    def test_a_wake_up_of_a_turn_that_died_after_commit_wakes_the_sender(self, relay: TwinRelay) -> None:
        """The queue repeats the wake-up because the turn never said that it was done."""
        relay.hear(1)
        context = wake_up(relay)
        relay.reply(context)
        relay.queues.waiting.clear()
        relay.hear(2)
        relay.reply(context)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1", "You said: message 2"]

    def test_a_wake_up_where_a_human_has_taken_over_goes_to_the_human(self, relay: TwinRelay) -> None:
        relay.hear(1)
        opened(relay, **{**_fields(relay), "handed_off": True})
        relay.reply(wake_up(relay))
        assert dropped(relay) == ["human_owns"]
        assert relay.engine.turns == []
        assert [message.context.message.body for message in relay.handed_over] == ["message 1"]
        assert relay.the_conversation().answered == 1

    @pytest.mark.parametrize("times", [1, 5])
    def test_however_often_a_wake_up_is_delivered_the_person_gets_one_answer(
        self, relay: TwinRelay, times: int
    ) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=30)
        delivery = relay.queues.receive(TURNS)
        assert delivery is not None
        for _ in range(times):
            relay.process.work_off(delivery)
            relay.work_off()
        assert relay.provider.texts == ["You said: message 1"]


def _fields(relay: TwinRelay) -> dict[str, Any]:
    now = relay.the_conversation()
    return {name: getattr(now, name) for name in Conversation.__slots__}


class TestThink:
    def test_the_engine_is_told_who_speaks_about_what(self, relay: TwinRelay) -> None:
        opened(relay, person_name="Ada", project_data={"role": "engineer"})
        relay.hear(1)
        relay.run_until_quiet()
        turn = asked(relay)
        assert (turn.company_name, turn.project_name, turn.person_name) == ("Cucumber Recruitment", "Clarify CV", "Ada")
        assert (turn.reference, turn.channel, turn.project_data) == ("ref-1", Channel.WHATSAPP, {"role": "engineer"})
        assert turn.settings.api_key_reference == cast.OPENAI_SECRET
        assert list(relay.engine.secrets[0]) == [cast.OPENAI_VALUE]

    def test_the_conversations_own_settings_win_and_gaps_are_filled_from_the_tenant(self, relay: TwinRelay) -> None:
        tenants = AiSettings(api_key_reference=cast.OPENAI_SECRET, model="tenant-model", instructions="tenant")
        relay.tenants.put(cast.tenant(ai=tenants))
        opened(relay, ai=AiSettings(instructions="own"), company_name="", project_name="")
        relay.hear(1)
        relay.run_until_quiet()
        turn = asked(relay)
        assert (turn.settings.instructions, turn.settings.model) == ("own", "tenant-model")
        assert turn.company_name == "Cucumber Recruitment"

    def test_the_history_is_in_order_and_begins_with_the_opening(self, relay: TwinRelay) -> None:
        opened(relay, opening=(Spoken(Author.AI, "Hello Ada"),))
        for number in (1, 2, 3):
            relay.hear(number)
            relay.run_until_quiet()
        said = [(spoken.author, spoken.text) for spoken in relay.engine.turns[-1].history]
        assert said == [
            (Author.AI, "Hello Ada"),
            (Author.USER, "message 1"),
            (Author.AI, "You said: message 1"),
            (Author.USER, "message 2"),
            (Author.AI, "You said: message 2"),
        ]

    def test_an_answer_that_did_not_arrive_was_not_said(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "failed", ErrorCode="63016")
        relay.give_back()
        relay.hear(2)
        relay.run_until_quiet()
        assert [spoken.text for spoken in relay.engine.turns[-1].history] == ["message 1"]

    def test_no_more_than_sixty_messages_of_the_history_are_shown_beside_what_waits(self, relay: TwinRelay) -> None:
        for number in range(1, 40):
            relay.clock.advance(seconds=60)
            relay.hear(number)
            relay.run_until_quiet()
        assert 58 <= len(relay.engine.turns[-1].history) <= 61

    def test_a_clipped_message_reaches_the_engine_whole(self, relay: TwinRelay) -> None:
        relay.hear(1, LONG)
        relay.run_until_quiet()
        assert [message.text for message in asked(relay).waiting] == [LONG]

    @pytest.mark.parametrize("many", [25, 90, 150])
    def test_every_message_of_a_burst_reaches_the_engine_in_order(self, relay: TwinRelay, many: int) -> None:
        relay.hear(1)
        relay.hear(2, LONG)
        for number in range(3, many + 1):
            relay.hear(number)
        relay.run_until_quiet()
        waited = [message.text for message in asked(relay).waiting]
        assert waited == ["message 1", LONG, *(f"message {number}" for number in range(3, many + 1))]
        assert relay.the_conversation().answered == many

    def test_a_message_that_is_not_in_the_history_yet_is_waited_for(self, relay: TwinRelay) -> None:
        for number in range(1, 23):
            relay.hear(number)
        missing = (cast.CONVERSATION_ID, "0000000022#0-in")
        whole = relay.history._entries.pop(missing)
        with pytest.raises(TryAgain):
            relay.reply(wake_up(relay))
        assert relay.the_conversation().answered == 0
        relay.history.write([whole])
        relay.reply(wake_up(relay))
        assert relay.the_conversation().answered == 22

    def test_what_never_reaches_the_history_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        for number in range(1, 23):
            relay.hear(number)
        del relay.history._entries[cast.CONVERSATION_ID, "0000000022#0-in"]
        relay.reply(wake_up(relay), last_attempt=True)
        assert relay.the_conversation().handed_off
        assert len(relay.handed_over) == 1

    @pytest.mark.parametrize("reference", [None, "nowhere"])
    def test_without_an_api_key_a_human_answers(self, relay: TwinRelay, reference: str | None) -> None:
        relay.tenants.put(cast.tenant(ai=AiSettings(api_key_reference=reference)))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.status, after.handed_off_reason) == (Status.AI_FAILED, "ai_failed:no_ai_credentials")

    def test_an_engine_that_there_is_not_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        opened(relay, ai=AiSettings(engine="oracle"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.the_conversation().handed_off_reason == "ai_failed:unknown_engine"


class TestNewMessage:
    """The person writes while the engine is thinking."""

    def _interrupted(self, relay: TwinRelay) -> None:
        def thinks(turn: Turn) -> Answer:
            relay.hear(2)
            return Answer(text="You said: message 1", usage=USAGE)

        relay.engine.says(thinks)
        relay.hear(1)
        relay.run_until_quiet()

    def test_the_answer_is_thrown_away_and_one_answer_covers_everything(self, relay: TwinRelay) -> None:
        self._interrupted(relay)
        assert relay.provider.texts == ["You said: message 1 / message 2"]
        assert len(relay.journal.of("turn_discarded")) == 1

    def test_a_tenant_may_have_it_sent_and_the_newer_message_answered_after_it(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(on_new_message=OnNewMessage.SEND_THEN_CONTINUE))
        self._interrupted(relay)
        assert relay.provider.texts == ["You said: message 1", "You said: message 2"]
        assert relay.journal.of("turn_discarded") == []
        assert relay.the_conversation().unanswered_since is None


class TestFailures:
    def test_a_refusal_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.status, after.handed_off, after.answered) == (Status.AI_FAILED, True, 1)
        (message,) = relay.handed_over
        assert (message.reason, message.context.message.body) == ("ai_failed:insufficient_quota", "message 1")
        assert relay.provider.taken == []

    @pytest.mark.parametrize("failure", [TryAgain("429"), Unconfirmed("timeout")])
    def test_what_may_pass_is_tried_again_by_the_queue(self, relay: TwinRelay, failure: Exception) -> None:
        relay.engine.says(failure, failure)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1"]
        assert relay.failures == [failure, failure]

    @pytest.mark.parametrize("failure", [TryAgain("429"), Unconfirmed("timeout")])
    def test_after_the_last_attempt_a_human_answers(self, relay: TwinRelay, failure: Exception) -> None:
        relay.engine.says(failure, failure, failure)
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.status, after.handed_off_reason) == (Status.AI_FAILED, f"ai_failed:{type(failure).__name__}")
        assert len(relay.handed_over) == 1
        assert relay.queues.dead_letters == {}

    def test_a_late_failure_does_not_take_away_what_was_answered_meanwhile(self, relay: TwinRelay) -> None:
        def slow(_: Turn) -> Answer:
            relay.reply(wake_up(relay))
            raise Refused("too_late")

        relay.hear(1)
        relay.engine.says(slow)
        relay.reply(wake_up(relay))
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1"]
        assert not relay.the_conversation().handed_off

    def test_dying_before_commit_leaves_no_trace(self, relay: TwinRelay) -> None:
        relay.hear(1)
        before = relay.the_conversation()
        relay.engine.says(RuntimeError("the process dies"))
        with pytest.raises(RuntimeError):
            relay.reply(wake_up(relay))
        assert relay.the_conversation() == before


class TestCommit:
    def test_the_answer_is_on_its_way_with_all_that_it_covers(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=10)
        relay.hear(2)
        relay.clock.advance(seconds=30)
        relay.reply(wake_up(relay))
        after = relay.the_conversation()
        answer = after.outgoing
        assert answer is not None
        assert (answer.after, answer.to, answer.epoch) == (0, 2, 0)
        assert (answer.sender, answer.recipient) == (cast.OWN_ADDRESS, cast.PERSON)
        assert answer.newest_at == START + timedelta(seconds=10)
        assert answer.usage == USAGE
        assert after.status == Status.AI_RESPONSE_READY

    def test_what_waited_is_in_the_history_before_the_record_forgets_it(self, relay: TwinRelay) -> None:
        class Watching:
            def __init__(self, port: Any) -> None:
                self._port = port

            def __getattr__(self, name: str) -> Any:
                return getattr(self._port, name)

            def commit(self, *args: Any, **options: Any) -> Any:
                assert [each.number for each in relay.history.of(cast.CONVERSATION_ID)] == [1, 2]
                return self._port.commit(*args, **options)

        relay.hear(1)
        relay.hear(2)
        process = relay.process.through(lambda name, port: Watching(port) if name == "conversations" else port)
        process.reply(wake_up(relay), False)
        assert relay.the_conversation().answered == 2

    def test_the_sender_gets_the_context_with_the_answer_and_its_times(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.reply(wake_up(relay))
        (message,) = relay.queues.of("sender")
        context = message.context
        assert context.processing.ai_response == "You said: message 1"
        assert context.conversation.conversation_status == "ai_response_ready"
        assert {"received", "validated", "queued", "ai_started", "ai_completed", "sender_queued"} == set(
            stamps(message)
        )

    def test_a_long_answer_is_cut_into_parts_that_the_channel_takes(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text=LONG.strip()))
        relay.hear(1)
        relay.run_until_quiet()
        assert len(relay.provider.texts) == 4
        assert max(map(len, relay.provider.texts)) <= 1_600
        assert " ".join(relay.provider.texts) == LONG.strip()

    def test_a_turn_during_which_the_person_wrote_is_thrown_away_and_the_next_one_answers_all(
        self, relay: TwinRelay
    ) -> None:
        def interrupted(_: Turn) -> Answer:
            relay.hear(2)
            return Answer(text="too early")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1 / message 2"]
        assert relay.journal.actions.count("turn_discarded") == 1

    def test_after_the_longest_burst_newer_messages_are_left_to_the_next_turn(self, relay: TwinRelay) -> None:
        def interrupted(turn: Turn) -> Answer:
            relay.hear(2)
            return Answer(text="just in time")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.clock.advance(seconds=91)
        relay.run_until_quiet()
        assert relay.provider.texts == ["just in time", "You said: message 2"]

    def test_of_two_turns_that_think_at_once_one_is_committed(self, relay: TwinRelay) -> None:
        def overtaken(_: Turn) -> Answer:
            relay.reply(wake_up(relay))
            return Answer(text="the slow one")

        relay.hear(1)
        relay.engine.says(overtaken, Answer(text="the quick one"))
        relay.reply(wake_up(relay))
        relay.run_until_quiet()
        assert relay.provider.texts == ["the quick one"]

    def test_a_turn_during_which_a_human_took_over_is_thrown_away(self, relay: TwinRelay) -> None:
        def interrupted(_: Turn) -> Answer:
            relay.take_over()
            return Answer(text="too late")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.taken == []
        assert len(relay.handed_over) == 1

    def test_a_turn_during_which_a_human_took_over_and_gave_back_is_thrown_away(self, relay: TwinRelay) -> None:
        def interrupted(_: Turn) -> Answer:
            relay.take_over()
            relay.give_back()
            return Answer(text="too late")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.taken == []

    def test_a_sender_that_was_not_woken_is_woken_by_the_sweep(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.reply(wake_up(relay))
        relay.queues.waiting.clear()
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 1"]


class TestHandOffByTheAi:
    def test_the_ai_hands_over_with_its_reason(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(hand_off_reason="wants to speak with Grace"))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.status, after.handed_off) == (Status.HANDED_OFF_TO_HUMAN, True)
        assert after.handed_off_reason == "wants to speak with Grace"
        (message,) = relay.handed_over
        assert (message.reason, message.context.message.body) == ("wants to speak with Grace", "message 1")

    def test_its_words_are_not_logged(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(hand_off_reason="wants to speak with Grace"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.journal.of("handed_off")[0]["reason"] == "asked_by_ai"
        assert "Grace" not in relay.journal.text()

    def test_it_counts_only_if_the_person_did_not_go_on_writing(self, relay: TwinRelay) -> None:
        def interrupted(_: Turn) -> Answer:
            relay.hear(2, "never mind")
            return Answer(hand_off_reason="wants a human")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1 / never mind"]
        assert relay.handed_over == []


class TestCompletionByTheAi:
    def test_the_record_learns_the_outcome_with_the_answer(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="See you on Monday!", outcome="a visit on Monday"))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.task_complete, after.task_outcome) == (True, "a visit on Monday")
        assert relay.provider.texts == ["See you on Monday!"]

    def test_it_is_counted_and_its_words_are_not_logged(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="Done.", outcome="a visit on Monday"))
        relay.hear(1)
        relay.run_until_quiet()
        assert [line.get("completed") for line in relay.journal.of("turn_committed")] == [1]
        assert "Monday" not in relay.journal.text()

    def test_an_outcome_of_an_answer_that_came_too_late_does_not_count(self, relay: TwinRelay) -> None:
        def interrupted(_: Turn) -> Answer:
            relay.hear(2, "no, wait")
            return Answer(text="Done.", outcome="a visit on Monday")

        relay.engine.says(interrupted)
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.task_complete, after.task_outcome) == (False, None)


def test_two_persons_do_not_get_each_others_answers(relay: TwinRelay) -> None:
    other = ConversationKey("+447700900202", "other")
    opened(relay, key=other, reference="ref-2")
    relay.hear(1, "mine")
    relay.hear(2, "yours", sender=other.person)
    relay.run_until_quiet()
    assert {(each.recipient, each.text) for each in relay.provider.taken} == {
        (cast.PERSON, "You said: mine"),
        (other.person, "You said: yours"),
    }


def test_a_record_without_any_tenant_is_answered_with_its_own_settings(relay: TwinRelay) -> None:
    own = {Channel.WHATSAPP: "+447700900555"}
    opened(
        relay,
        own_addresses=own,
        credentials={Channel.WHATSAPP: cast.TWILIO_SECRET},
        ai=AiSettings(api_key_reference=cast.OPENAI_SECRET),
    )
    relay.hear(1, recipient="+447700900555")
    relay.run_until_quiet()
    assert [replace(each, callback_url=None).sender for each in relay.provider.taken] == ["+447700900555"]
