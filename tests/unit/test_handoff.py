"""People: taking over, passing on, giving back."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer, Author, ConversationKey, Status
from tests.twins import cast
from tests.twins.relay import TwinRelay, opened


class TestTakeOver:
    def test_what_waits_goes_to_the_human_and_into_the_history(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.hear(2)
        relay.take_over(reason="asked")
        assert [message.reason for message in relay.handed_over] == ["asked"]
        assert relay.handed_over[0].context.message.body == "message 2"
        assert [each.number for each in relay.history.of(cast.CONVERSATION_ID)] == [1, 2]
        after = relay.the_conversation()
        assert (after.answered, after.waiting, after.unanswered_since) == (2, (), None)
        assert (after.epoch, after.status) == (1, Status.HANDED_OFF_TO_HUMAN)

    def test_the_ai_is_silent_from_then_on(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.take_over()
        relay.hear(2)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.taken == []
        assert [message.context.message.body for message in relay.handed_over] == ["message 1", "message 2"]

    def test_a_conversation_in_which_nobody_wrote_yet_can_be_taken_over(self, relay: TwinRelay) -> None:
        relay.take_over()
        (message,) = relay.handed_over
        assert message.context.message.body == ""
        assert relay.the_conversation().unanswered_since is None

    def test_the_human_sees_the_newest_message_when_nothing_waits(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        relay.take_over()
        assert relay.handed_over[0].context.message.body == "message 1"

    def test_a_human_who_has_it_already_keeps_the_first_reason(self, relay: TwinRelay) -> None:
        relay.take_over(reason="first")
        relay.take_over(reason="second")
        assert relay.the_conversation().handed_off_reason == "first"

    def test_a_conversation_that_is_gone_is_nobodys(self, relay: TwinRelay) -> None:
        assert relay.take_over(ConversationKey("+44", "gone")) is None
        assert relay.handed_over == []

    def test_it_is_decided_again_when_the_record_moves(self, relay: TwinRelay) -> None:
        class Moving:
            moves = 2

            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def change_hands(self, seen: Any, **options: Any) -> Any:
                if self.moves:
                    self.moves -= 1
                    relay.hear(9 - self.moves)
                return relay.conversations.change_hands(seen, **options)

        process, moving = relay.process, Moving()
        process.through(lambda name, port: moving if name == "conversations" else port).take_over(cast.KEY, reason="r")
        after = relay.the_conversation()
        assert (after.handed_off, after.answered, after.received) == (True, 2, 2)

    def test_a_record_that_will_not_hold_still_is_tried_again_later(self, relay: TwinRelay) -> None:
        class Restless:
            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def change_hands(self, *_: Any, **__: Any) -> None:
                return None

        restless = relay.process.through(lambda name, port: Restless() if name == "conversations" else port)
        with pytest.raises(TryAgain):
            restless.take_over(cast.KEY, reason="r")

    def test_dying_before_the_queue_is_repaired_by_the_sweep(self, relay: TwinRelay) -> None:
        class Dead:
            def __getattr__(self, name: str) -> Any:
                if name == "hand_to_human":
                    raise TryAgain("busy")
                return getattr(relay.queues, name)

        relay.hear(1)
        dead = relay.process.through(lambda name, port: Dead() if name == "queues" else port)
        with pytest.raises(TryAgain):
            dead.take_over(cast.KEY, reason="r")
        assert relay.handed_over == []
        relay.run_until_quiet(sweeping=True)
        assert len(relay.handed_over) == 1
        assert relay.the_conversation().unanswered_since is None


class TestGiveBack:
    def test_the_ai_answers_what_comes_from_then_on(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.take_over()
        relay.give_back()
        relay.hear(2)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 2"]
        after = relay.the_conversation()
        assert (after.handed_off, after.handed_off_reason, after.epoch) == (False, None, 2)

    def test_what_was_said_meanwhile_is_known_to_the_ai(self, relay: TwinRelay) -> None:
        relay.take_over()
        relay.hear(1)
        relay.give_back()
        relay.hear(2)
        relay.run_until_quiet()
        assert [(each.author, each.text) for each in relay.engine.turns[0].history] == [(Author.USER, "message 1")]

    def test_what_nobody_was_told_yet_goes_to_the_human_first(self, relay: TwinRelay) -> None:
        opened(relay, handed_off=True)
        message = cast.waiting(1)
        relay.conversations.record(relay.the_conversation(), message, opted_out=None)
        relay.give_back()
        assert [message.context.message.body for message in relay.handed_over] == ["message 1"]
        assert [each.text for each in relay.history.of(cast.CONVERSATION_ID)] == ["message 1"]

    def test_a_message_that_comes_in_between_is_not_lost(self, relay: TwinRelay) -> None:
        """Its own webhook dies right after recording it."""
        opened(relay, handed_off=True)
        relay.conversations.record(relay.the_conversation(), cast.waiting(1), opted_out=None)

        class Busy:
            came = False

            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def close(self, seen: Any) -> Any:
                closed = relay.conversations.close(seen)
                if not self.came:
                    self.came = True
                    relay.conversations.record(relay.the_conversation(), cast.waiting(2), opted_out=None)
                return closed

        busy = Busy()
        relay.process.through(lambda name, port: busy if name == "conversations" else port).give_back(cast.KEY)
        assert [each.number for each in relay.history.of(cast.CONVERSATION_ID)] == [1, 2]
        assert [message.context.message.body for message in relay.handed_over] == ["message 1", "message 2"]
        assert not relay.the_conversation().handed_off

    def test_a_conversation_that_no_human_has_is_left_alone(self, relay: TwinRelay) -> None:
        relay.hear(1)
        before = relay.the_conversation()
        relay.give_back()
        assert relay.the_conversation() == before

    def test_a_conversation_that_is_gone_cannot_be_given_back(self, relay: TwinRelay) -> None:
        assert relay.give_back(ConversationKey("+44", "gone")) is None

    def test_an_answer_of_before_is_not_sent(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.conversations.put(replace(relay.the_conversation(), handed_off=True))
        relay.give_back()
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 0


class TestGiveUp:
    @pytest.fixture
    def relay(self) -> TwinRelay:
        relay = TwinRelay(tenant=cast.tenant(apology_text="Sorry! Somebody of {company_name} will answer."))
        opened(relay)
        return relay

    APOLOGY = "Sorry! Somebody of Cucumber Recruitment will answer."

    def test_the_person_is_told_before_a_human_gets_it(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == [self.APOLOGY]
        after = relay.the_conversation()
        assert (after.handed_off, after.handed_off_reason) == (True, "ai_failed:insufficient_quota")
        assert (after.status, after.unanswered_since, after.outgoing) == (Status.AI_FAILED, None, None)
        (message,) = relay.handed_over
        assert (message.reason, message.context.message.body) == ("ai_failed:insufficient_quota", "message 1")

    def test_the_history_says_that_the_system_wrote_it(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.run_until_quiet()
        written = relay.history.of(cast.CONVERSATION_ID)
        assert [(each.author, each.text) for each in written][1:] == [(Author.SYSTEM, self.APOLOGY)]

    def test_nobody_hears_it_twice(self, relay: TwinRelay) -> None:
        for number in (1, 2):
            relay.engine.says(Refused("insufficient_quota"))
            relay.hear(number)
            relay.run_until_quiet()
            relay.give_back()
        assert relay.provider.texts == [self.APOLOGY]
        assert [message.reason for message in relay.handed_over] == ["ai_failed:insufficient_quota"] * 2

    def test_a_human_who_takes_over_first_makes_it_needless(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.take_over(reason="asked")
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == []
        assert [message.reason for message in relay.handed_over] == ["ai_failed:insufficient_quota"]

    def test_who_writes_again_before_it_is_out_is_a_humans_business_too(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.hear(2)
        relay.run_until_quiet()
        assert relay.provider.texts == [self.APOLOGY]
        assert relay.handed_over[-1].context.message.body == "message 2"
        assert relay.the_conversation().unanswered_since is None

    def test_a_human_gets_it_also_where_the_provider_refuses_the_apology(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.provider.reacts(Refused("21211"))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.handed_off_reason, after.status) == ("ai_failed:insufficient_quota", Status.SEND_FAILED)
        assert len(relay.handed_over) == 1

    def test_who_is_rescued_in_vain_gets_it_too(self, relay: TwinRelay) -> None:
        relay.hear(1)
        for _ in range(60):
            if relay.the_conversation().apologised:
                break
            relay.queues.waiting.clear()
            relay.clock.advance(seconds=60)
            relay.sweep()
        relay.run_until_quiet()
        assert relay.provider.texts == [self.APOLOGY]
        assert [message.reason for message in relay.handed_over] == ["ai_failed:no_answer"]

    def test_who_wants_no_messages_does_not_get_it(self, relay: TwinRelay) -> None:
        relay.engine.says(Refused("insufficient_quota"))
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.hear(2, "STOP", OptOutType="STOP")
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == []
        assert relay.the_conversation().unanswered_since is None

    def test_an_answer_may_promise_a_human_too(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="I ask a colleague.", hand_off_reason="wants a human"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == ["I ask a colleague."]
        after = relay.the_conversation()
        assert (after.handed_off_reason, after.status) == ("wants a human", Status.HANDED_OFF_TO_HUMAN)
        assert [message.reason for message in relay.handed_over] == ["wants a human"]
        assert relay.journal.of("handed_off")[0]["reason"] == "asked_by_ai"


@pytest.mark.parametrize("status", [Status.SEND_FAILED, Status.AI_FAILED])
def test_what_went_wrong_with_a_message_does_not_hide_that_the_person_wants_none(
    relay: TwinRelay, status: Status
) -> None:
    opened(relay, opted_out=True, status=Status.OPTED_OUT)
    relay.process.take_over(cast.KEY, reason="not_delivered:30003", status=status)
    after = relay.the_conversation()
    assert (after.status, after.handed_off) == (Status.OPTED_OUT, True)
