"""The way of a file: the collector, the turn that does not wait for ever, and what the history learns."""

from datetime import timedelta

import pytest

from chalicelib.attachments import LOOK_AGAIN
from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer, Author, Media, MediaKind, Quotation, Spoken, media_key
from chalicelib.reading import in_words
from tests.twins import cast
from tests.twins.queues import HANDOFF, MEDIA
from tests.twins.relay import TwinRelay, opened

IDLE = timedelta(seconds=30)


@pytest.fixture
def relay() -> TwinRelay:
    relay = TwinRelay()
    opened(relay)
    return relay


def voice(number: int, index: int = 0) -> dict[str, str]:
    return {
        "NumMedia": "1",
        "MessageType": "audio",
        f"MediaUrl{index}": f"https://x/{number}",
        f"MediaContentType{index}": "audio/ogg",
    }


def picture(number: int) -> dict[str, str]:
    return voice(number) | {"MessageType": "image", "MediaContentType0": "image/jpeg"}


def heard(number: int) -> Media:
    return Media(
        f"https://x/{number}",
        "audio/ogg",
        kind=MediaKind.VOICE,
        key=media_key("ref-1", cast.message_id(number), 0),
        words=f"heard https://x/{number}",
    )


def media_of_history(relay: TwinRelay) -> list[tuple[Media, ...]]:
    return [entry.media for entry in relay.history.of(cast.CONVERSATION_ID) if entry.media]


class TestTheCollector:
    def test_it_has_a_file_before_the_turn_begins(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        relay.work_off(MEDIA)
        relay.media_source.fails = [Refused("the turn must not ask")]
        relay.run_until_quiet()
        assert relay.engine.turns[0].waiting[0].media == (heard(1),)
        assert len(relay.transcriber.heard) == 1

    def test_what_it_found_goes_into_the_history_with_the_answer(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        relay.run_until_quiet()
        assert media_of_history(relay) == [(heard(1),)]

    def test_later_turns_read_what_a_voice_note_said(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        relay.run_until_quiet()
        relay.hear(2, "and now?")
        relay.run_until_quiet()
        assert relay.engine.turns[1].history[0].text == "[voice note: heard https://x/1]"
        assert relay.engine.turns[1].history[0].media == (heard(1),)

    def test_a_message_without_files_wakes_no_collector(self, relay: TwinRelay) -> None:
        relay.hear(1)
        assert relay.queues.of(MEDIA) == []

    def test_a_webhook_that_comes_again_has_the_files_collected_again_to_the_same_end(self, relay: TwinRelay) -> None:
        for _ in range(2):
            relay.hear(1, "", **voice(1))
        relay.run_until_quiet()
        assert len(relay.transcriber.heard) == 1
        assert media_of_history(relay) == [(heard(1),)]

    def test_a_provider_that_is_busy_is_asked_again_by_the_queue(self, relay: TwinRelay) -> None:
        relay.media_source.fails = [TryAgain("busy")]
        relay.hear(1, "", **voice(1))
        relay.work_off(MEDIA)
        assert [type(failure) for failure in relay.failures] == [TryAgain]
        assert len(relay.queues.of(MEDIA)) == 1

    def test_a_conversation_that_is_gone_is_left_alone(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        [message] = relay.queues.of(MEDIA)
        other = TwinRelay()
        other.process.collect(message.context)
        assert other.media_source.asked == []


class TestAHumansMessages:
    def test_a_file_that_comes_to_a_human_is_collected_and_the_history_learns_it(self, relay: TwinRelay) -> None:
        relay.take_over()
        relay.hear(1, "", **voice(1))
        relay.run_until_quiet()
        assert media_of_history(relay) == [(heard(1),)]

    def test_the_human_is_told_where_it_lies(self, relay: TwinRelay) -> None:
        relay.take_over()
        relay.hear(1, "", **voice(1))
        told = relay.queues.of(HANDOFF)[-1].context.model_dump(by_alias=True)["message"]
        assert told["media"] == [{"kind": "voice", "content_type": "audio/ogg", "key": heard(1).key}]
        assert told["body"] == "[voice note that could not be transcribed]"

    def test_files_of_a_burst_that_the_ai_hands_over_are_known_to_the_history(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(hand_off_reason="she asks for a human"))
        relay.hear(1, "", **voice(1))
        relay.run_until_quiet()
        assert relay.the_conversation().handed_off
        assert media_of_history(relay) == [(heard(1),)]

    def test_a_file_whose_collector_was_slow_is_known_to_the_history_in_the_end(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        slow = relay.queues.receive(MEDIA)
        assert slow is not None
        relay.take_over()
        assert media_of_history(relay)[0][0].key is None
        relay.process.work_off(slow)
        assert media_of_history(relay) == [(heard(1),)]


class TestTheTurn:
    def test_it_fetches_nothing_and_asks_with_no_secret_of_the_channel(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        relay.queues.waiting[MEDIA].clear()
        relay.run_until_quiet()
        assert relay.media_source.asked == []
        assert in_words(relay.engine.turns[0].waiting[0]) == "[voice note that could not be transcribed]"

    def test_it_puts_into_words_what_the_collector_kept_and_could_not(self, relay: TwinRelay) -> None:
        relay.transcriber.fails = [TryAgain("busy")]
        relay.hear(1, "", **voice(1))
        relay.work_off(MEDIA)
        relay.queues.waiting[MEDIA].clear()
        relay.run_until_quiet()
        assert relay.engine.turns[0].waiting[0].media == (heard(1),)
        assert len(relay.media_source.asked) == 1

    def test_it_looks_again_as_long_as_the_burst_lasts(self, relay: TwinRelay) -> None:
        relay.hear(1, "", **voice(1))
        late = relay.queues.receive(MEDIA)
        assert late is not None
        for wait in (IDLE, LOOK_AGAIN, LOOK_AGAIN):
            relay.clock.advance(wait)
            relay.work_off("whatsapp-replies")
            assert relay.engine.turns == []
        relay.process.work_off(late)
        relay.clock.advance(LOOK_AGAIN)
        relay.work_off("whatsapp-replies")
        assert relay.engine.turns[0].waiting[0].media == (heard(1),)

    def test_a_voice_note_that_cannot_be_heard_does_not_keep_the_person_waiting(self, relay: TwinRelay) -> None:
        relay.transcriber.fails = [TryAgain("busy")] * 100
        begun = relay.clock()
        relay.hear(1, "", **voice(1))
        relay.run_until_quiet(most=timedelta(minutes=3))
        [turn] = relay.engine.turns
        assert in_words(turn.waiting[0]) == "[voice note that could not be transcribed]"
        assert len(relay.provider.taken) == 1
        assert relay.provider.taken[0].at - begun <= timedelta(seconds=90) + LOOK_AGAIN

    def test_a_file_that_will_never_be_had_does_not_delay_the_answer(self, relay: TwinRelay) -> None:
        relay.media_source.fails = [Refused("gone")]
        relay.hear(1, "look", **picture(1))
        relay.clock.advance(IDLE)
        relay.work_off()
        [turn] = relay.engine.turns
        assert in_words(turn.waiting[0]) == "look\n[picture that could not be read: no longer at the provider]"

    def test_a_store_that_is_down_does_not_keep_the_person_waiting_for_ever(self, relay: TwinRelay) -> None:
        relay.media_store.is_down = True
        relay.hear(1, "look", **picture(1))
        relay.run_until_quiet(most=timedelta(minutes=3))
        assert len(relay.provider.taken) == 1

    def test_a_newer_message_makes_the_turn_that_waits_for_a_file_stale(self, relay: TwinRelay) -> None:
        relay.media_source.fails = [TryAgain("busy")]
        relay.hear(1, "", **voice(1))
        relay.queues.waiting[MEDIA].clear()
        relay.clock.advance(IDLE)
        relay.work_off()
        relay.hear(2, "hello?")
        relay.run_until_quiet()
        assert [len(turn.waiting) for turn in relay.engine.turns] == [2]

    def test_a_message_that_is_too_long_for_the_record_keeps_its_files(self, relay: TwinRelay) -> None:
        relay.hear(1, "x" * 5_000, **voice(1))
        relay.run_until_quiet()
        assert relay.engine.turns[0].waiting[0].media == (heard(1),)
        assert media_of_history(relay) == [(heard(1),)]


class TestQuotations:
    def test_the_ai_reads_what_a_message_replies_to(self, relay: TwinRelay) -> None:
        relay.hear(1, "Which days are free?")
        relay.run_until_quiet()
        [sent] = relay.provider.taken
        relay.hear(2, "that one", OriginalRepliedMessageSid=sent.provider_id)
        relay.run_until_quiet()
        assert in_words(relay.engine.turns[1].waiting[0]) == f"[in reply to: “{sent.text}”]\nthat one"

    def test_a_reply_to_the_opening_is_known_as_one(self) -> None:
        relay = TwinRelay()
        opened(relay, opening=(Spoken(Author.AI, "Shall we talk?", provider_id="SM-opening"),))
        relay.hear(1, "yes", OriginalRepliedMessageSid="SM-opening")
        relay.run_until_quiet()
        assert relay.engine.turns[0].waiting[0].extras == (Quotation("SM-opening", "Shall we talk?"),)

    def test_a_reply_within_one_burst_is_known_as_one(self, relay: TwinRelay) -> None:
        relay.hear(1, "Monday or Tuesday")
        relay.hear(2, "the latter", OriginalRepliedMessageSid=cast.message_id(1))
        relay.run_until_quiet()
        assert relay.engine.turns[0].waiting[1].extras == (Quotation(cast.message_id(1), "Monday or Tuesday"),)

    def test_a_reply_to_something_forgotten_says_so(self, relay: TwinRelay) -> None:
        relay.hear(1, "that one", OriginalRepliedMessageSid="SM-nobody-knows")
        relay.run_until_quiet()
        assert in_words(relay.engine.turns[0].waiting[0]) == "[in reply to an earlier message]\nthat one"
