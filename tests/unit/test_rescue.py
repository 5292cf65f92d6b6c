"""What no event will wake: the sweep, and settling what is in doubt."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer, Channel, ConversationKey, Delivery, HistoryEntry, OutgoingState, Status
from tests.twins import cast
from tests.twins.clock import START
from tests.twins.provider import Silence
from tests.twins.queues import HANDOFF
from tests.twins.relay import TwinRelay, opened

TURNS = "whatsapp-replies"


def in_doubt(relay: TwinRelay, *reactions: Any, text: str = "an answer") -> None:
    """An answer that a sender claimed and of which nobody knows whether it went out."""
    relay.engine.says(Answer(text=text))
    relay.provider.reacts(*reactions)
    relay.hear(1)
    relay.run_until_quiet()
    outgoing = relay.the_conversation().outgoing
    assert outgoing is not None
    assert outgoing.state == OutgoingState.CLAIMED


def parts(*names: str) -> str:
    return "\n\n".join(f"{name} {'.' * 1_500}" for name in names)


def said(relay: TwinRelay) -> list[str]:
    return [text.split(" .")[0] for text in relay.provider.texts]


def answers(relay: TwinRelay) -> list[HistoryEntry]:
    return [entry for entry in relay.history.of(cast.CONVERSATION_ID) if "-ai#" in entry.position]


def outcomes(relay: TwinRelay) -> list[str]:
    return [line["outcome"] for line in relay.journal.of("answer_settled")]


def settled(relay: TwinRelay) -> None:
    """The time for settling has come."""
    relay.clock.advance(timedelta(minutes=5))
    relay.sweep()


class TestStalledTurns:
    def test_a_wake_up_that_was_lost_is_sent_again(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.queues.waiting.clear()
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 1"]

    def test_nobody_is_disturbed_whose_turn_is_still_due(self, relay: TwinRelay) -> None:
        relay.hear(1)
        for _ in range(3):
            relay.clock.advance(seconds=60)
            assert relay.sweep() == 0
        assert len(relay.queues.of(TURNS)) == 1

    def test_a_long_burst_window_is_waited_for(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(burst_idle=timedelta(minutes=15), burst_max=timedelta(minutes=15)))
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 1"]
        assert "rescue_woke" not in relay.journal.actions

    def test_an_empty_sweep_does_nothing(self, relay: TwinRelay) -> None:
        assert relay.sweep() == 0
        assert relay.journal.of("rescue_swept") == [{"waiting": 0, "rescued": 0, "oldest_seconds": 0.0}]

    def test_a_sweep_says_for_how_long_the_oldest_has_waited(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.queues.waiting.clear()
        relay.clock.advance(timedelta(minutes=20))
        relay.sweep()
        [said] = relay.journal.of("rescue_swept")
        assert (said["waiting"], said["oldest_seconds"]) == (1, 20 * 60)

    def test_a_turn_that_never_comes_ends_with_a_human(self, relay: TwinRelay) -> None:
        relay.hear(1)
        for _ in range(40):
            relay.queues.waiting.pop(TURNS, None)
            relay.clock.advance(seconds=60)
            relay.sweep()
        after = relay.the_conversation()
        assert (after.handed_off, after.status, after.handed_off_reason) == (
            True,
            Status.AI_FAILED,
            "ai_failed:no_answer",
        )
        assert relay.journal.actions.count("rescue_woke") == 3
        assert len(relay.handed_over) == 1
        assert after.unanswered_since is None

    def test_a_sender_that_was_never_woken_is_woken(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off(TURNS)
        relay.queues.waiting.clear()
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 1"]

    def test_a_human_who_was_never_told_is_told(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.queues.waiting.clear()
        relay.conversations.put(replace(relay.the_conversation(), handed_off=True))
        relay.run_until_quiet(sweeping=True)
        assert len(relay.handed_over) == 1
        assert relay.the_conversation().unanswered_since is None

    def test_a_record_that_only_says_that_somebody_waits_is_shown_to_a_human_once(self, relay: TwinRelay) -> None:
        opened(relay, unanswered_since=START)
        for _ in range(2):
            relay.clock.advance(seconds=120)
            relay.sweep()
        assert relay.the_conversation().unanswered_since is None
        assert len(relay.queues.of(HANDOFF)) == 1

    @pytest.mark.parametrize("error", [TryAgain("busy"), RuntimeError("our own bug")])
    def test_one_conversation_that_fails_does_not_keep_the_others_waiting(
        self, relay: TwinRelay, error: Exception
    ) -> None:
        other = ConversationKey("+447700900202", "other")
        opened(relay, key=other)
        relay.hear(1)
        relay.hear(2, sender=other.person)
        relay.queues.waiting.clear()
        relay.clock.advance(timedelta(minutes=10))

        class Broken:
            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def rescued(self, seen: Any, **options: Any) -> Any:
                if seen.key == cast.KEY:
                    raise error
                return relay.conversations.rescued(seen, **options)

        relay.process = relay.process.through(lambda name, port: Broken() if name == "conversations" else port)
        if isinstance(error, RuntimeError):
            with pytest.raises(RuntimeError):
                relay.sweep()
        else:
            relay.sweep()
        assert [message.context.key for message in relay.queues.of(TURNS)] == [other]


class TestSettle:
    def test_an_answer_that_the_provider_lists_is_out(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.AFTER_TAKING)
        settled(relay)
        after = relay.the_conversation()
        assert (after.outgoing, after.unanswered_since, after.status) == (None, None, Status.AI_RESPONSE_SENT)
        assert [entry.provider_id for entry in answers(relay)] == [relay.provider.taken[0].provider_id]
        assert outcomes(relay) == ["found"]

    def test_an_answer_that_the_provider_does_not_list_is_sent_again(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING)
        settled(relay)
        relay.run_until_quiet()
        assert said(relay) == ["an answer"]
        assert outcomes(relay) == ["missing"]

    def test_of_an_answer_that_is_listed_in_part_the_rest_is_sent(self, relay: TwinRelay) -> None:
        in_doubt(relay, None, Silence.AFTER_TAKING, text=parts("one", "two", "three"))
        settled(relay)
        relay.run_until_quiet()
        assert said(relay) == ["one", "two", "three"]
        assert outcomes(relay) == ["part_found"]
        ids = [entry.provider_id for entry in answers(relay)]
        assert ids == [taken.provider_id for taken in relay.provider.taken]

    def test_nothing_is_settled_while_the_sender_may_still_be_at_work(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING)
        relay.clock.advance(seconds=120)
        relay.sweep()
        assert outcomes(relay) == []

    def test_an_identical_text_that_was_sent_before_is_not_mistaken_for_it(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="OK"))
        relay.hear(7)
        relay.run_until_quiet()
        in_doubt(relay, Silence.WITHOUT_TAKING, text="OK")
        settled(relay)
        relay.run_until_quiet()
        assert said(relay) == ["OK", "OK"]
        assert outcomes(relay) == ["missing"]

    def test_two_parts_with_the_same_text_are_told_apart(self, relay: TwinRelay) -> None:
        in_doubt(relay, None, Silence.AFTER_TAKING, text=parts("same", "same", "same"))
        settled(relay)
        relay.run_until_quiet()
        assert said(relay) == ["same", "same", "same"]
        assert len({entry.provider_id for entry in answers(relay)}) == 3

    def test_blanks_and_a_sentence_before_it_do_not_hide_a_text(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING, text="Hello\n\nworld")
        relay.provider.take(
            Channel.WHATSAPP,
            sender=cast.OWN_ADDRESS,
            recipient=cast.PERSON,
            text="Sent from your trial account - Hello \r\nworld ",
        )
        settled(relay)
        assert relay.the_conversation().outgoing is None
        assert relay.provider.asked == 1

    def test_a_message_that_nobody_can_explain_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING)
        relay.provider.take(Channel.WHATSAPP, sender=cast.OWN_ADDRESS, recipient=cast.PERSON, text="something else")
        settled(relay)
        assert relay.the_conversation().handed_off_reason == "send_unsettled:unclear"
        assert relay.provider.asked == 1

    def test_after_three_attempts_a_human_gets_it(self, relay: TwinRelay) -> None:
        in_doubt(relay, *[Silence.WITHOUT_TAKING] * 9)
        relay.run_until_quiet(sweeping=True)
        after = relay.the_conversation()
        assert (after.handed_off_reason, after.outgoing) == ("send_failed:attempts", None)
        assert relay.provider.asked == 3
        assert [entry.status for entry in answers(relay)] == [Delivery.FAILED]
        assert len(relay.handed_over) == 1

    def test_where_a_human_took_over_meanwhile_what_is_missing_is_not_sent(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING)
        relay.take_over()
        relay.run_until_quiet(sweeping=True)
        after = relay.the_conversation()
        assert (relay.provider.asked, after.outgoing, after.unanswered_since) == (1, None, None)
        assert after.status == Status.HANDED_OFF_TO_HUMAN
        assert relay.handed_over

    def test_where_a_human_took_over_meanwhile_what_is_out_is_recorded(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.AFTER_TAKING)
        relay.take_over()
        relay.run_until_quiet(sweeping=True)
        after = relay.the_conversation()
        assert (after.outgoing, after.status, after.unanswered_since) == (None, Status.HANDED_OFF_TO_HUMAN, None)
        assert answers(relay)[0].status == Delivery.QUEUED

    def test_a_flag_set_from_outside_meanwhile_tells_a_human(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.WITHOUT_TAKING)
        relay.conversations.put(replace(relay.the_conversation(), handed_off=True))
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 1
        assert len(relay.handed_over) == 1
        assert relay.the_conversation().unanswered_since is None

    def test_who_wrote_meanwhile_is_answered_next(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.AFTER_TAKING)
        relay.hear(2)
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["an answer", "You said: message 2"]

    def test_a_provider_that_does_not_answer_is_asked_again(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.AFTER_TAKING)
        relay.provider.lists.append(TryAgain("down"))
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["an answer"]
        assert relay.the_conversation().outgoing is None

    def test_a_provider_that_refuses_to_say_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        in_doubt(relay, Silence.AFTER_TAKING)
        relay.provider.lists.append(Refused("20003"))
        settled(relay)
        after = relay.the_conversation()
        assert (after.handed_off_reason, after.outgoing) == ("send_unsettled:20003", None)

    def test_a_sender_that_died_after_its_claim_before_its_post_loses_nothing(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off(TURNS)
        relay.queues.waiting.clear()
        assert relay.conversations.claim(cast.KEY, claim="dead", at=relay.clock()).granted
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["You said: message 1"]

    def test_a_sender_that_comes_back_late_cannot_finish_an_answer_that_another_has_claimed(
        self, relay: TwinRelay
    ) -> None:
        """Its post went out after the list was read: nobody may say that the second claim is done."""
        in_doubt(relay, Silence.WITHOUT_TAKING)
        old = relay.the_conversation()
        settled(relay)
        assert relay.conversations.claim(cast.KEY, claim="second", at=relay.clock()).granted
        assert relay.conversations.finish(old, at=relay.clock()) is None


class TestLiveness:
    """Whatever single thing fails, everybody is answered or handed over in the end, and nobody twice."""

    CALLS = (
        ("conversations", "commit"),
        ("conversations", "claim"),
        ("conversations", "finish"),
        ("conversations", "get"),
        ("history", "write"),
        ("history", "begin"),
        ("history", "mark"),
        ("history", "latest"),
        ("queues", "wake_sender"),
        ("secrets", "current"),
    )

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize(("port", "method"), CALLS)
    def test_one_failed_call_is_repaired(self, relay: TwinRelay, port: str, method: str, after: bool) -> None:
        relay.hear(1)
        left = [1]

        class Failing:
            def __init__(self, real: Any) -> None:
                self._real = real

            def __getattr__(self, name: str) -> Any:
                real = getattr(self._real, name)
                if name != method:
                    return real

                def call(*args: Any, **options: Any) -> Any:
                    result = real(*args, **options) if after or not left[0] else None
                    if left[0]:
                        left[0] -= 1
                        raise TryAgain("busy")
                    return result

                return call

        relay.process = relay.process.through(lambda name, real: Failing(real) if name == port else real)
        relay.run_until_quiet(sweeping=True)
        assert left == [0]
        assert said(relay) == ["You said: message 1"]
        after_all = relay.the_conversation()
        assert (after_all.answered, after_all.outgoing, after_all.unanswered_since) == (1, None, None)
