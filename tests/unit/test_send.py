"""Stage 3: an answer goes out at most once, and its outcome is recorded."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.context import Context
from chalicelib.errors import Refused, TryAgain
from chalicelib.model import (
    Answer,
    Channel,
    ConversationKey,
    Delivery,
    HistoryEntry,
    OutgoingState,
    Refusal,
    Status,
)
from tests.twins import cast
from tests.twins.provider import Silence
from tests.twins.relay import TwinRelay, opened

SENDER = "sender"


def committed(relay: TwinRelay, *parts: str) -> Context:
    """A message was heard and its answer is committed in these parts; the sender's wake-up."""
    texts = parts or ("an answer",)
    relay.engine.says(Answer(text="\n\n".join(f"{text} {'.' * 1_500}" if len(texts) > 1 else text for text in texts)))
    relay.hear(1)
    relay.clock.advance(seconds=30)
    relay.work_off("whatsapp-replies")
    (message,) = relay.queues.of(SENDER)
    return message.context


def said(relay: TwinRelay) -> list[str]:
    return [text.split(" .")[0] for text in relay.provider.texts]


def answers(relay: TwinRelay) -> list[HistoryEntry]:
    return [entry for entry in relay.history.of(cast.CONVERSATION_ID) if "-ai#" in entry.position]


def state_of(relay: TwinRelay) -> OutgoingState | None:
    outgoing = relay.the_conversation().outgoing
    return outgoing.state if outgoing else None


def failing(port: str, method: str, error: Exception, *, after: bool = False, times: int = 1) -> Callable[..., Any]:
    """Lets one method of one port fail, before or after it has had its effect."""
    left = [times]

    class Failing:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            real = getattr(self._real, name)
            return real if name != method else lambda *args, **options: self._fail(real, *args, **options)

        def _fail(self, real: Any, *args: Any, **options: Any) -> Any:
            if not left[0]:
                return real(*args, **options)
            left[0] -= 1
            if after:
                real(*args, **options)
            raise error

    return lambda name, real: Failing(real) if name == port else real


class TestAnAnswerThatIsTaken:
    def test_it_goes_to_the_person_from_the_address_that_the_person_wrote_to(self, relay: TwinRelay) -> None:
        relay.send(committed(relay))
        (taken,) = relay.provider.taken
        assert (taken.channel, taken.sender, taken.recipient) == (Channel.WHATSAPP, cast.OWN_ADDRESS, cast.PERSON)
        assert taken.text == "an answer"

    def test_the_record_forgets_it_and_nobody_waits_any_more(self, relay: TwinRelay) -> None:
        relay.send(committed(relay))
        after = relay.the_conversation()
        assert (after.outgoing, after.unanswered_since, after.status) == (None, None, Status.AI_RESPONSE_SENT)

    def test_the_history_has_it_with_its_id_and_cost(self, relay: TwinRelay) -> None:
        relay.send(committed(relay))
        (entry,) = answers(relay)
        assert (entry.text, entry.covers, entry.number) == ("an answer", (0, 1), 1)
        assert (entry.provider_id, entry.status) == (relay.provider.taken[0].provider_id, Delivery.QUEUED)
        assert entry.usage is not None

    def test_parts_go_out_in_order(self, relay: TwinRelay) -> None:
        relay.send(committed(relay, "one", "two", "three"))
        assert said(relay) == ["one", "two", "three"]
        assert [entry.position[-2:] for entry in answers(relay)] == ["00", "01", "02"]
        assert [entry.provider_id for entry in answers(relay)] == [each.provider_id for each in relay.provider.taken]

    def test_each_part_has_a_callback_of_its_own_that_shows_nothing(self, relay: TwinRelay) -> None:
        relay.send(committed(relay, "one", "two"))
        urls = [taken.callback_url or "" for taken in relay.provider.taken]
        assert len(set(urls)) == 2
        for url in urls:
            assert url.startswith("https://relay.example.com/status/")
            assert "447700900101" not in url

    def test_who_wrote_meanwhile_is_answered_next(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.hear(2)
        relay.send(context)
        assert relay.the_conversation().unanswered_since is not None
        relay.run_until_quiet()
        assert said(relay) == ["an answer", "You said: message 2"]

    def test_a_repeated_wake_up_sends_nothing(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.send(context)
        relay.send(context)
        assert relay.provider.asked == 1

    def test_an_old_wake_up_sends_what_is_ready_now_and_not_what_it_carries(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.run_until_quiet()
        relay.hear(2)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.send(context)
        assert said(relay) == ["an answer", "You said: message 2"]

    def test_the_log_names_ids_and_no_words(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="my secret answer"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.journal.of("answer_sent")[0]["provider_ids"] == [relay.provider.taken[0].provider_id]
        for secret in ("my secret answer", cast.PERSON, cast.OWN_ADDRESS, "twin-auth-token"):
            assert secret not in relay.journal.text()


class TestRefusal:
    def test_a_refused_answer_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        relay.provider.reacts(Refused("63016"))
        relay.send(committed(relay))
        after = relay.the_conversation()
        assert (after.status, after.handed_off, after.outgoing) == (Status.SEND_FAILED, True, None)
        assert after.handed_off_reason == "send_refused:63016"
        assert [message.reason for message in relay.handed_over] == ["send_refused:63016"]
        assert [(entry.status, entry.error_code) for entry in answers(relay)] == [(Delivery.FAILED, "63016")]

    def test_a_refusal_in_the_middle_keeps_what_went_out(self, relay: TwinRelay) -> None:
        relay.provider.reacts(None, Refused("21610"))
        relay.send(committed(relay, "one", "two", "three"))
        assert said(relay) == ["one"]
        assert [entry.status for entry in answers(relay)] == [Delivery.QUEUED, Delivery.FAILED, Delivery.FAILED]
        assert answers(relay)[0].provider_id == relay.provider.taken[0].provider_id
        assert relay.the_conversation().handed_off

    def test_without_credentials_a_human_must_act(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.secrets.put(cast.TWILIO_SECRET)
        relay.clock.advance(timedelta(minutes=6))
        relay.send(context)
        assert relay.the_conversation().handed_off_reason == "send_refused:no_channel_credentials"

    def test_a_rotated_credential_is_read_anew_before_anybody_gives_up(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.clock.advance(seconds=61)
        relay.secrets.put(cast.TWILIO_SECRET, {**cast.TWILIO_VALUE, "twilio_auth_token": "new"})
        relay.provider.reacts(Refused("20003"))
        with pytest.raises(TryAgain):
            relay.send(context)
        relay.send(context)
        assert said(relay) == ["an answer"]

    def test_a_wrong_credential_that_was_not_rotated_makes_it_a_humans_business(self, relay: TwinRelay) -> None:
        relay.provider.reacts(Refused("20003"))
        relay.send(committed(relay))
        assert relay.the_conversation().handed_off_reason == "send_refused:20003"


class TestNotNow:
    def test_a_busy_provider_is_tried_again_by_the_queue(self, relay: TwinRelay) -> None:
        relay.provider.reacts(TryAgain("429"))
        context = committed(relay)
        with pytest.raises(TryAgain):
            relay.send(context)
        assert state_of(relay) == OutgoingState.READY
        relay.send(context)
        assert said(relay) == ["an answer"]

    def test_a_part_that_went_out_does_not_go_out_again(self, relay: TwinRelay) -> None:
        relay.provider.reacts(None, TryAgain("429"))
        committed(relay, "one", "two", "three")
        relay.run_until_quiet()
        assert said(relay) == ["one", "two", "three"]
        assert len({entry.provider_id for entry in answers(relay)}) == 3

    def test_after_three_attempts_a_human_gets_it(self, relay: TwinRelay) -> None:
        relay.provider.reacts(*[TryAgain("429")] * 9)
        committed(relay)
        relay.run_until_quiet(sweeping=True)
        after = relay.the_conversation()
        assert (after.handed_off_reason, after.status) == ("send_failed:attempts", Status.SEND_FAILED)
        assert relay.provider.asked == 3
        assert [entry.status for entry in answers(relay)] == [Delivery.FAILED]
        assert relay.provider.taken == []

    def test_a_history_that_is_busy_before_the_post_means_that_nothing_happened(self, relay: TwinRelay) -> None:
        context = committed(relay)
        broken = relay.process.through(failing("history", "begin", TryAgain("busy")))
        with pytest.raises(TryAgain):
            broken.send(context)
        assert (relay.provider.asked, state_of(relay)) == (0, OutgoingState.READY)

    def test_a_sender_that_was_held_up_after_its_claim_sends_nothing(self, relay: TwinRelay) -> None:
        """By then the answer may be settled as not sent, and somebody else may be sending it."""
        context = committed(relay)

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(relay.history, name)

            def begin(self, entry: HistoryEntry) -> None:
                relay.clock.advance(seconds=60)
                relay.history.begin(entry)

        slow = relay.process.through(lambda name, port: Slow() if name == "history" else port)
        with pytest.raises(TryAgain):
            slow.send(context)
        assert relay.provider.asked == 0


class TestInDoubt:
    @pytest.mark.parametrize("silence", Silence)
    def test_an_answer_in_doubt_stays_claimed_and_nobody_posts_it_again(
        self, relay: TwinRelay, silence: Silence
    ) -> None:
        relay.provider.reacts(silence)
        context = committed(relay)
        relay.send(context)
        relay.send(context)
        assert (relay.provider.asked, state_of(relay)) == (1, OutgoingState.CLAIMED)
        assert relay.the_conversation().unanswered_since is not None

    @pytest.mark.parametrize("method", ["sent_part", "finish"])
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_store_that_fails_once_a_part_is_out_never_leads_to_a_second_post(
        self, relay: TwinRelay, method: str, after: bool
    ) -> None:
        committed(relay, "one", "two")
        relay.process = relay.process.through(failing("conversations", method, TryAgain("busy"), after=after))
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["one", "two"]
        assert relay.the_conversation().outgoing is None
        assert relay.the_conversation().unanswered_since is None
        assert [entry.status for entry in answers(relay)] == [Delivery.QUEUED] * 2

    def test_a_history_that_fails_once_everything_is_out_never_leads_to_a_second_post(self, relay: TwinRelay) -> None:
        committed(relay)
        relay.process = relay.process.through(failing("history", "mark", TryAgain("busy")))
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["an answer"]
        assert relay.the_conversation().outgoing is None

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_claim_whose_outcome_is_not_known_never_leads_to_two_posts(self, relay: TwinRelay, after: bool) -> None:
        committed(relay)
        relay.process = relay.process.through(failing("conversations", "claim", TryAgain("busy"), after=after))
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["an answer"]

    def test_two_senders_at_once_post_once(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.provider.reacts(lambda: relay.send(context))
        relay.send(context)
        assert said(relay) == ["an answer"]


class TestHumansInBetween:
    def test_an_answer_that_is_ready_when_a_human_takes_over_is_never_sent(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.take_over()
        relay.send(context)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 0
        assert len(relay.handed_over) == 1

    @pytest.mark.parametrize("flag", [{"handed_off": True}, {"opted_out": True}, {"consent": False}])
    def test_a_flag_set_from_outside_stops_the_answer_and_tells_a_human(
        self, relay: TwinRelay, flag: dict[str, bool]
    ) -> None:
        context = committed(relay)
        relay.conversations.put(replace(relay.the_conversation(), **flag))
        relay.send(context)
        assert len(relay.handed_over) == 1
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 0
        assert len(relay.handed_over) == 1
        after = relay.the_conversation()
        assert (after.outgoing, after.unanswered_since) == (None, None)
        assert "answer_suppressed" in relay.journal.actions

    def test_an_answer_of_before_a_human_had_it_is_not_sent_after_it_was_given_back(self, relay: TwinRelay) -> None:
        context = committed(relay)
        relay.take_over()
        relay.give_back()
        relay.send(context)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 0

    def test_a_takeover_during_the_post_keeps_the_conversation_the_humans(self, relay: TwinRelay) -> None:
        relay.provider.reacts(lambda: relay.take_over() and None)
        relay.send(committed(relay))
        after = relay.the_conversation()
        assert said(relay) == ["an answer"]
        assert (after.outgoing, after.handed_off, after.status) == (None, True, Status.HANDED_OFF_TO_HUMAN)

    def test_a_person_who_opts_out_during_the_post_of_the_first_part_gets_no_more_after_the_claim_ends(
        self, relay: TwinRelay
    ) -> None:
        relay.provider.reacts(lambda: relay.hear(2, "STOP", OptOutType="STOP") and None, TryAgain("429"))
        committed(relay, "one", "two")
        relay.run_until_quiet(sweeping=True)
        assert said(relay) == ["one"]
        assert relay.the_conversation().outgoing is None


def test_a_wake_up_for_a_conversation_that_is_gone_sends_nothing(relay: TwinRelay) -> None:
    context = committed(relay)
    relay.conversations._records.clear()
    relay.send(context)
    assert relay.provider.asked == 0


def test_without_a_public_address_messages_have_no_callback(relay: TwinRelay) -> None:
    relay.process = replace(relay.process, public_base_url=None)
    relay.send(committed(relay))
    assert relay.provider.taken[0].callback_url is None


def test_a_conversations_own_credentials_win(relay: TwinRelay) -> None:
    relay.secrets.put("own/secret", {"auth_token": "own", "account_sid": "AC9"})
    opened(relay, credentials={Channel.WHATSAPP: "own/secret"})
    relay.send(committed(relay))
    providers: Any = relay.process.ports.providers
    assert [secret["auth_token"] for secret in providers.secrets] == ["own"]


class TestFiles:
    def test_files_follow_the_text_each_as_a_message_of_its_own(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="Here they are.", media_urls=("https://a/1.pdf", "https://a/2.jpg")))
        relay.hear(1)
        relay.run_until_quiet()
        sent = [(each.text, each.media_url) for each in relay.provider.taken]
        assert sent == [("Here they are.", None), ("", "https://a/1.pdf"), ("", "https://a/2.jpg")]
        said = [each.text for each in relay.history.of(cast.CONVERSATION_ID)][1:]
        assert said == ["Here they are.", "[file: https://a/1.pdf]", "[file: https://a/2.jpg]"]
        assert relay.the_conversation().outgoing is None

    def test_a_file_in_doubt_is_settled_like_a_text(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="Here it is.", media_urls=("https://a/1.pdf",)))
        relay.provider.reacts(None, Silence.AFTER_TAKING)
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert [each.media_url for each in relay.provider.taken] == [None, "https://a/1.pdf"]
        assert relay.the_conversation().unanswered_since is None

    def test_no_more_than_ten_go_out(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="Many.", media_urls=tuple(f"https://a/{number}" for number in range(20))))
        relay.hear(1)
        relay.run_until_quiet()
        assert len(relay.provider.taken) == 11


class TestOptedOut:
    def test_what_only_the_provider_knew_is_known_everywhere_from_then_on(self, relay: TwinRelay) -> None:
        elsewhere = ConversationKey(cast.PERSON, "elsewhere")
        opened(relay, key=elsewhere, created_at="2026-11-01T09:00:00.000Z")
        relay.provider.reacts(Refused("21610", kind=Refusal.OPTED_OUT))
        relay.hear(1)
        relay.run_until_quiet()
        after = relay.the_conversation()
        assert (after.opted_out, after.status, after.handed_off) == (True, Status.OPTED_OUT, True)
        assert relay.the_conversation(elsewhere).opted_out
        assert relay.opt_outs.holds("company-1", cast.PERSON)
        assert len(relay.handed_over) == 1

    def test_so_is_what_the_provider_reports_later(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "undelivered", ErrorCode="21610")
        assert relay.the_conversation().opted_out
        assert relay.opt_outs.holds("company-1", cast.PERSON)
