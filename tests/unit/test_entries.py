"""The history and what a record holds in flight."""

from dataclasses import replace
from typing import Any

from chalicelib.entries import all_waiting, entries_of_answer, keep_waiting, spoken_before
from chalicelib.model import Author, Conversation, Delivery, HistoryEntry, Media, Numbered, Part, Spoken
from tests.twins import cast
from tests.twins.clock import START, TwinClock
from tests.twins.history import TwinHistory


def entry(number: int, text: str, author: Author = Author.USER, **changes: Any) -> HistoryEntry:
    position = Numbered.inbound(number) if author == Author.USER else Numbered.answer(number, 0)
    known: dict[str, Any] = {
        "conversation_id": cast.CONVERSATION_ID,
        "position": position,
        "author": author,
        "text": text,
        "at": START,
        "channel": cast.waiting(1).channel,
        "number": number,
        "provider_id": f"SM-{position}",
    }
    return HistoryEntry(**known | changes)


def holding(*numbers: int, **changes: Any) -> Conversation:
    answered = numbers[0] - 1
    waits = tuple(cast.waiting(number) for number in numbers)
    return cast.conversation(**{"waiting": waits, "answered": answered, "received": numbers[-1], **changes})


class TestWhatWaits:
    def test_it_is_written_under_its_own_numbers(self) -> None:
        history = TwinHistory(TwinClock())
        keep_waiting(holding(4, 5), history)
        assert [(each.number, each.text) for each in history.of(cast.CONVERSATION_ID)] == [
            (4, "message 4"),
            (5, "message 5"),
        ]

    def test_everything_that_is_known_of_it_is_written(self) -> None:
        history = TwinHistory(TwinClock())
        media = (Media("https://x/1", "image/png"),)
        waits = (cast.waiting(1, media=media, raw={"ProfileName": "Ada"}),)
        keep_waiting(holding(1, waiting=waits), history)
        (written,) = history.of(cast.CONVERSATION_ID)
        assert (written.author, written.provider_id) == (Author.USER, cast.message_id(1))
        assert (written.media, written.raw) == (media, {"ProfileName": "Ada"})

    def test_a_clipped_message_does_not_replace_the_whole_one(self) -> None:
        history = TwinHistory(TwinClock())
        history.write([entry(1, "the whole text")])
        keep_waiting(holding(1, waiting=(cast.waiting(1, "the", clipped=True),)), history)
        assert [each.text for each in history.of(cast.CONVERSATION_ID)] == ["the whole text"]

    def test_of_a_clipped_message_whose_whole_was_never_written_the_rest_is_kept(self) -> None:
        history = TwinHistory(TwinClock())
        keep_waiting(holding(1, waiting=(cast.waiting(1, "the", clipped=True),)), history)
        assert [each.text for each in history.of(cast.CONVERSATION_ID)] == ["the"]

    def test_the_whole_text_is_read_where_the_record_has_a_part(self) -> None:
        conversation = holding(1, 2, waiting=(cast.waiting(1, "the", clipped=True), cast.waiting(2)))
        whole = all_waiting(conversation, [entry(1, "the whole text")])
        assert [message.text for message in whole] == ["the whole text", "message 2"]

    def test_what_the_record_has_no_room_for_is_read(self) -> None:
        conversation = replace(holding(1, 2), received=4, overflowing=True)
        whole = all_waiting(conversation, [entry(3, "three"), entry(4, "four")])
        assert [message.text for message in whole] == ["message 1", "message 2", "three", "four"]

    def test_what_was_answered_before_does_not_wait(self) -> None:
        assert [each.text for each in all_waiting(holding(3), [entry(1, "one"), entry(2, "two")])] == ["message 3"]

    def test_the_answer_under_the_same_number_is_no_message_of_the_person(self) -> None:
        conversation = replace(holding(1), received=2, overflowing=True)
        assert [each.text for each in all_waiting(conversation, [entry(2, "an answer", Author.AI)])] == ["message 1"]


class TestWhatWasSaid:
    def test_it_begins_with_the_opening_and_ends_before_what_waits(self) -> None:
        conversation = holding(3, opening=(Spoken(Author.AI, "Hello"),))
        latest = [entry(1, "one"), entry(1, "answer", Author.AI), entry(2, "two"), entry(3, "waits")]
        assert [spoken.text for spoken in spoken_before(conversation, latest)] == ["Hello", "one", "answer", "two"]

    def test_what_did_not_arrive_was_not_said(self) -> None:
        failed = entry(1, "answer", Author.AI, status=Delivery.UNDELIVERED)
        assert spoken_before(holding(2), [failed]) == []

    def test_what_was_begun_and_never_sent_was_not_said(self) -> None:
        assert spoken_before(holding(2), [entry(1, "answer", Author.AI, provider_id=None)]) == []

    def test_what_a_person_said_was_said_whatever_its_id(self) -> None:
        said = spoken_before(holding(2), [entry(1, "one", provider_id=None)])
        assert [(each.author, each.text) for each in said] == [(Author.USER, "one")]

    def test_each_line_knows_where_in_the_history_it_stands(self) -> None:
        conversation = holding(2, opening=(Spoken(Author.AI, "Hello"),))
        said = spoken_before(conversation, [entry(1, "one"), entry(1, "answer", Author.AI)])
        assert [each.position for each in said] == ["", Numbered.inbound(1), Numbered.answer(1, 0)]


def test_only_the_unsent_parts_of_an_answer_enter_the_history() -> None:
    answer = cast.outgoing(0, 2, "one", "two", claimed_at=START)
    answer = replace(answer, parts=(Part("one", "SM1"), Part("two")))
    (written,) = entries_of_answer(cast.conversation(), answer)
    assert (written.position, written.text, written.covers) == (Numbered.answer(2, 1), "two", (0, 2))
    assert written.author == Author.AI
