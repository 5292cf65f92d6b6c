"""What every store of conversation records promises: the steps of the protocol, each atomic, none of them lossy."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from chalicelib.aws.items import waiting_item_of
from chalicelib.context import iso
from chalicelib.errors import TryAgain
from chalicelib.model import (
    AiSettings,
    Author,
    Channel,
    Conversation,
    ConversationKey,
    Media,
    Outgoing,
    OutgoingState,
    Part,
    Status,
    Template,
    Thread,
    Usage,
    Waiting,
)
from tests.contract.shelves import Record, Shelf, TableShelf, TwinShelf
from tests.twins.cast import OWN_ADDRESS, message_id, outgoing, waiting
from tests.twins.clock import START

_people = count(1)

#: What the outbound engine may leave out, or fill with something that nobody expects.
OPTIONAL = (
    "channel_method",
    "channel_config",
    "ai_config",
    "allowed_channels",
    "messages",
    "project_data",
    "thread_id",
    "company_id",
    "company_rep",
    "project_status",
    "conversation_status",
    "credentials_reference",
    "recipient_first_name",
    "hand_off_to_human_reason",
    "auto_queue_reply_message",
    "auto_queue_reply_message_from_number",
    "task_complete",
    "comms_consent",
    "created_at",
    "updated_at",
    "ttl",
)


def record_of(**attributes: Any) -> Record:
    """A new person's record, as the outbound engine writes it."""
    person = f"+4477009{next(_people):05d}"
    known: Record = {
        "primary_channel": person,
        "conversation_id": f"company-1#project-1#{person[1:]}",
        "channel_method": "whatsapp",
        "channel_config": {"company_whatsapp_number": OWN_ADDRESS},
        "company_id": "company-1",
        "conversation_status": "initial_message_sent",
        "created_at": "2026-11-20T09:00:00.000Z",
    }
    return known | attributes


def seen(shelf: Shelf, key: ConversationKey) -> Conversation:
    found = shelf.port.get(key)
    assert found is not None
    return found


def put(shelf: Shelf, **attributes: Any) -> Conversation:
    return seen(shelf, shelf.put(record_of(**attributes)))


def hear(shelf: Shelf, key: ConversationKey, *numbers: int, **changes: Any) -> Conversation:
    """Records these messages, a second apart."""
    current = seen(shelf, key)
    for number in numbers:
        message = waiting(number, at=START + timedelta(seconds=number), **changes)
        current = shelf.port.record(current, message, opted_out=None).conversation
    return current


def heard(shelf: Shelf, *numbers: int, **attributes: Any) -> Conversation:
    return hear(shelf, put(shelf, **attributes).key, *numbers)


def committed(shelf: Shelf, *numbers: int, parts: tuple[str, ...] = ("an answer",)) -> Conversation:
    before = heard(shelf, *(numbers or (1,)))
    after = shelf.port.commit(before, outgoing(0, before.received, *parts), newer_may_wait=False)
    assert after is not None
    return after


def apologised(shelf: Shelf, author: Author = Author.SYSTEM) -> Conversation:
    """An answer that promises a human, claimed by a sender."""
    before = heard(shelf, 1)
    answer = outgoing(0, 1, "A colleague will answer.", author=author, hands_over="ai_failed:quota")
    assert shelf.port.commit(before, answer, newer_may_wait=False) is not None
    claim = shelf.port.claim(before.key, claim="sender-1", at=START)
    assert claim.conversation is not None
    return claim.conversation


def claimed(shelf: Shelf, *numbers: int, parts: tuple[str, ...] = ("an answer",)) -> Conversation:
    claim = shelf.port.claim(committed(shelf, *numbers, parts=parts).key, claim="sender-1", at=START)
    assert claim.granted
    assert claim.conversation is not None
    return claim.conversation


def crowded(shelf: Shelf, received: int, **attributes: Any) -> Conversation:
    """A record that holds this many unanswered messages, as it looks after they were recorded one by one."""
    waits = [waiting(number, at=START + timedelta(seconds=number)) for number in range(1, min(received, 20) + 1)]
    record = {
        "received": received,
        "waiting": [waiting_item_of(message) for message in waits],
        "recent_message_ids": [message_id(number) for number in range(max(1, received - 63), received + 1)],
        "unanswered_since": iso(waits[0].received_at),
        "rescue_shard": "0",
        "last_inbound_at": iso(START + timedelta(seconds=received)),
        **({"overflowing": True} if received > 20 else {}),
    }
    return put(shelf, **record, **attributes)


def texts(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.waiting]


class TestReading:
    def test_a_person_without_records_has_none(self, shelf: Shelf) -> None:
        assert list(shelf.port.of_person("+440000000000")) == []

    def test_all_records_of_a_person_are_found(self, shelf: Shelf) -> None:
        first = record_of()
        keys = {shelf.put(first), shelf.put({**first, "conversation_id": "another#one"})}
        shelf.put(record_of())
        assert {each.key for each in shelf.port.of_person(first["primary_channel"])} == keys

    def test_more_records_than_fit_into_one_answer_are_found(self, shelf: Shelf) -> None:
        first = record_of(project_data={"long": "x" * 300_000})
        for number in range(5):
            shelf.put({**first, "conversation_id": f"long-{number}"})
        assert len(shelf.port.of_person(first["primary_channel"])) == 5

    def test_a_record_that_is_not_there_is_none(self, shelf: Shelf) -> None:
        assert shelf.port.get(ConversationKey("+440000000000", "none")) is None

    def test_a_record_is_read_in_the_words_of_the_model(self, shelf: Shelf) -> None:
        found = put(
            shelf,
            company_name="Cucumber Recruitment",
            project_id="project-1",
            project_name="Clarify CV",
            project_status="active",
            allowed_channels=["whatsapp", "email"],
            comms_consent=True,
            thread_id="thread_abc",
            credentials_reference="whatsapp-credentials/a/b/twilio",
            ai_config={"api_key_reference": "keys/openai", "model": "gpt-x", "instructions": "Be kind."},
            recipient_first_name="Ada",
            project_data={"role": "engineer"},
            ttl=Decimal(1_900_000_000),
            messages=[
                {
                    "role": "assistant",
                    "content": "Hello",
                    "timestamp": "2026-11-20T09:00:00Z",
                    "total_tokens": Decimal(3),
                },
                {"role": "user", "content": "Hi"},
            ],
        )
        assert found.channel == Channel.WHATSAPP
        assert found.own_addresses == {Channel.WHATSAPP: OWN_ADDRESS}
        assert found.credentials == {Channel.WHATSAPP: "whatsapp-credentials/a/b/twilio"}
        assert found.ai == AiSettings(api_key_reference="keys/openai", model="gpt-x", instructions="Be kind.")
        assert (found.person_name, found.thread_id) == ("Ada", "thread_abc")
        assert found.allowed_channels == ("whatsapp", "email")
        assert found.expires_at == 1_900_000_000
        assert [spoken.text for spoken in found.opening] == ["Hello", "Hi"]
        assert found.project_data == {"role": "engineer"}

    def test_older_names_of_attributes_are_understood(self, shelf: Shelf) -> None:
        found = put(
            shelf,
            handoff_to_human=True,
            channel_config={
                "company_whatsapp_number": OWN_ADDRESS,
                "whatsapp_credentials_id": "old/whatsapp",
                "company_sms_number": "+447700900002",
                "sms_credentials_id": "old/sms",
            },
            ai_config={"ai_api_key_reference": "old/openai"},
        )
        assert found.handed_off
        assert found.credentials == {Channel.WHATSAPP: "old/whatsapp", Channel.SMS: "old/sms"}
        assert found.ai.api_key_reference == "old/openai"

    def test_a_record_with_nothing_but_its_key_is_accepted(self, shelf: Shelf) -> None:
        key = shelf.put({"primary_channel": f"+4477008{next(_people):05d}", "conversation_id": "bare"})
        found = seen(shelf, key)
        assert (found.received, found.answered, found.epoch, found.waiting, found.outgoing) == (0, 0, 0, (), None)
        assert found.consent
        assert not found.handed_off

    @pytest.mark.parametrize("odd", [None, True, Decimal("1.5"), "text", [], ["a", 1, None], {}, {"a": {"b": [1]}}])
    def test_attributes_of_odd_types_do_not_keep_a_record_from_being_read_and_recorded_to(
        self, shelf: Shelf, odd: object
    ) -> None:
        found = put(shelf, **dict.fromkeys(OPTIONAL, odd))
        recorded = shelf.port.record(found, waiting(1), opted_out=None)
        assert (recorded.number, seen(shelf, found.key).received) == (1, 1)


class TestOpen:
    def test_a_record_is_opened_once(self, shelf: Shelf) -> None:
        key = ConversationKey(f"+4477007{next(_people):05d}", "inbound#whatsapp#1")
        opening = Conversation(
            key=key,
            channel=Channel.WHATSAPP,
            own_addresses={Channel.WHATSAPP: OWN_ADDRESS},
            company_id="company-1",
            company_name="Cucumber",
            status=Status.USER_REPLY_RECEIVED,
            reference="ref-9",
        )
        assert shelf.port.open(opening)
        assert not shelf.port.open(replace(opening, company_name="Other"))
        found = seen(shelf, key)
        assert (found.channel, found.company_id, found.company_name) == (Channel.WHATSAPP, "company-1", "Cucumber")
        assert (found.own_addresses, found.reference) == ({Channel.WHATSAPP: OWN_ADDRESS}, "ref-9")
        assert (found.status, found.project_status) == ("user_reply_received", "active")
        assert found.created_at == iso(shelf.clock())

    def test_a_new_record_holds_what_the_outbound_engine_would_have_written(self, shelf: Shelf) -> None:
        key = ConversationKey(f"+4477007{next(_people):05d}", "inbound#sms#1")
        assert shelf.port.open(Conversation(key=key, person_name="Ada", thread_id="thread_1", opted_out=True))
        found = seen(shelf, key)
        assert (found.channel, found.own_addresses, found.project_status) == (Channel.WHATSAPP, {}, "active")
        assert (found.person_name, found.thread_id, found.opted_out) == ("", None, False)


class TestRecord:
    def test_a_message_is_recorded_with_everything_that_is_known_of_it(self, shelf: Shelf) -> None:
        before = put(shelf)
        message = waiting(
            1,
            "hello",
            media=(Media("https://api.twilio.com/m/1", "image/png"), Media("https://x/2", "application/pdf", "cv.pdf")),
            raw={"ProfileName": "Ada", "Blank": ""},
            clipped=True,
        )
        recorded = shelf.port.record(before, message, opted_out=None)
        after = recorded.conversation
        assert (recorded.number, recorded.again) == (1, False)
        assert after == seen(shelf, before.key) or after.waiting == (message,)
        assert seen(shelf, before.key).waiting == (message,)

    def test_a_recorded_message_counts_and_makes_somebody_wait(self, shelf: Shelf) -> None:
        after = heard(shelf, 1, 2)
        assert (after.received, after.answered, after.somebody_waits) == (2, 0, True)
        assert texts(after) == ["message 1", "message 2"]
        assert after.recent_message_ids == (message_id(1), message_id(2))
        assert after.status == Status.USER_REPLY_RECEIVED
        assert after.unanswered_since == START + timedelta(seconds=1)
        assert after.last_inbound_at == START + timedelta(seconds=2)

    def test_the_first_message_gives_the_conversation_a_reference_that_stays(self, shelf: Shelf) -> None:
        before = put(shelf)
        first = hear(shelf, before.key, 1).reference
        assert before.reference == ""
        assert first
        assert hear(shelf, before.key, 2).reference == first

    def test_a_message_is_recorded_once_and_its_repetition_has_its_number(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, 2, 3)
        recorded = shelf.port.record(before, waiting(2), opted_out=None)
        assert (recorded.number, recorded.again, recorded.conversation.received) == (2, True, 3)
        assert texts(seen(shelf, before.key)) == ["message 1", "message 2", "message 3"]

    def test_a_repetition_seen_before_the_first_is_recorded_is_still_known(self, shelf: Shelf) -> None:
        early = put(shelf)
        hear(shelf, early.key, 1)
        recorded = shelf.port.record(early, waiting(1), opted_out=None)
        assert (recorded.number, recorded.again) == (1, True)

    def test_a_repetition_changes_nothing_even_when_it_says_stop(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        shelf.clock.advance(seconds=5)
        shelf.port.record(before, waiting(1), opted_out=True)
        assert seen(shelf, before.key) == before

    def test_the_record_after_it_is_returned_however_old_the_reading_was(self, shelf: Shelf) -> None:
        early = heard(shelf, 1)
        owned = shelf.port.change_hands(
            early, to_human=True, reason="asked", status="handed_off_to_human", drop_outgoing=False
        )
        assert owned is not None
        assert shelf.port.close(owned) is not None
        recorded = shelf.port.record(early, waiting(2), opted_out=None)
        assert recorded.conversation == seen(shelf, early.key)

    def test_stop_and_start_are_remembered(self, shelf: Shelf) -> None:
        before = put(shelf)
        shelf.port.record(before, waiting(1), opted_out=True)
        assert seen(shelf, before.key).opted_out
        shelf.port.record(seen(shelf, before.key), waiting(2), opted_out=None)
        assert seen(shelf, before.key).opted_out
        recorded = shelf.port.record(seen(shelf, before.key), waiting(3), opted_out=False)
        assert not recorded.conversation.opted_out
        assert not seen(shelf, before.key).opted_out

    def test_a_record_lives_on_for_a_day_after_a_message(self, shelf: Shelf) -> None:
        at = int(START.timestamp())
        soon, later = put(shelf, ttl=Decimal(at + 5)), put(shelf, ttl=Decimal(at + 500_000))
        for before in (soon, later):
            shelf.port.record(before, waiting(1), opted_out=None)
        assert seen(shelf, soon.key).expires_at == at + 86_400
        assert seen(shelf, later.key).expires_at == at + 500_000

    def test_an_end_that_somebody_else_has_set_moved_or_removed_meanwhile_is_theirs(self, shelf: Shelf) -> None:
        at = int(START.timestamp())
        without, soon = put(shelf), put(shelf, ttl=Decimal(at + 5))
        shelf.change(without.key, ttl=Decimal(at + 7))
        shelf.change(soon.key, ttl=Decimal(at + 500_000))
        for before in (without, soon):
            shelf.port.record(before, waiting(1), opted_out=None)
        assert seen(shelf, without.key).expires_at == at + 86_400
        assert seen(shelf, soon.key).expires_at == at + 500_000
        shelf.change(soon.key, ttl=None)
        shelf.port.record(soon, waiting(2), opted_out=None)
        assert seen(shelf, soon.key).expires_at is None

    def test_a_record_whose_end_is_not_a_whole_second_is_recorded_to(self, shelf: Shelf) -> None:
        before = put(shelf, ttl=Decimal("1795338003.5"))
        assert shelf.port.record(before, waiting(1), opted_out=None).number == 1

    def test_a_record_that_is_gone_is_tried_again_and_not_made_anew(self, shelf: Shelf) -> None:
        gone = replace(put(shelf), key=ConversationKey(f"+4477006{next(_people):05d}", "gone"))
        with pytest.raises(TryAgain):
            shelf.port.record(gone, waiting(1), opted_out=None)
        assert shelf.port.get(gone.key) is None

    def test_beyond_twenty_waiting_messages_the_record_keeps_the_first_and_says_so(self, shelf: Shelf) -> None:
        after = hear(shelf, crowded(shelf, 18).key, *range(19, 24))
        assert texts(after) == [f"message {number}" for number in range(1, 21)]
        assert (after.received, after.overflowing) == (23, True)
        assert after.number_of(message_id(23)) == 23

    def test_once_a_message_overflowed_later_ones_do_not_overtake_it(self, shelf: Shelf) -> None:
        """A burst that is answered in part makes room, but the messages behind it are in the history alone."""
        full = crowded(shelf, 22)
        hear(shelf, full.key, 23)
        committed = shelf.port.commit(full, outgoing(0, 22), newer_may_wait=True)
        assert committed is not None
        after = hear(shelf, full.key, 24)
        assert (after.answered, after.received, after.overflowing, after.waiting) == (22, 24, True, ())

    def test_a_message_does_not_overtake_one_that_overflowed_since_the_record_was_read(self, shelf: Shelf) -> None:
        early = put(shelf)
        shelf.change(early.key, overflowing=True)
        after = shelf.port.record(early, waiting(1), opted_out=None).conversation
        assert (after.received, after.waiting, after.overflowing) == (1, (), True)

    def test_a_message_finds_room_that_was_made_since_the_record_was_read(self, shelf: Shelf) -> None:
        early = crowded(shelf, 22)
        assert shelf.port.close(early) is not None
        after = shelf.port.record(early, waiting(23), opted_out=None).conversation
        assert (texts(after), after.overflowing) == (["message 23"], False)

    def test_the_record_does_not_grow_beyond_twenty_when_others_came_since_it_was_read(self, shelf: Shelf) -> None:
        early = crowded(shelf, 19)
        hear(shelf, early.key, 20)
        after = shelf.port.record(early, waiting(21), opted_out=None).conversation
        assert (after.received, len(after.waiting), after.overflowing) == (21, 20, True)

    def test_the_number_of_every_message_is_right_after_old_ids_were_forgotten(self, shelf: Shelf) -> None:
        after = hear(shelf, crowded(shelf, 63).key, *range(64, 68))
        assert 32 <= len(after.recent_message_ids) <= 64
        kept = range(68 - len(after.recent_message_ids), 68)
        assert [after.number_of(message_id(number)) for number in kept] == list(kept)

    def test_the_repetition_of_a_kept_id_is_known_after_old_ids_were_forgotten(self, shelf: Shelf) -> None:
        after = hear(shelf, crowded(shelf, 63).key, *range(64, 68))
        recorded = shelf.port.record(after, waiting(60), opted_out=None)
        assert (recorded.number, recorded.again) == (60, True)

    def test_ids_that_others_added_are_not_lost_when_old_ones_are_forgotten(self, shelf: Shelf) -> None:
        early = crowded(shelf, 64)
        hear(shelf, early.key, 65)
        shelf.port.record(early, waiting(66), opted_out=None)
        after = seen(shelf, early.key)
        assert after.number_of(message_id(65)) == 65
        assert after.number_of(message_id(66)) == 66

    def test_a_record_keeps_no_more_ids_than_it_may_when_others_came_since_it_was_read(self, shelf: Shelf) -> None:
        early = crowded(shelf, 63)
        hear(shelf, early.key, 64)
        after = shelf.port.record(early, waiting(65), opted_out=None).conversation
        assert [after.number_of(message_id(number)) for number in (64, 65)] == [64, 65]
        assert len(after.recent_message_ids) <= 64

    def test_messages_that_come_at_once_are_all_recorded_once(self, shelf: Shelf) -> None:
        before = put(shelf)
        said = [waiting(number) for number in range(1, 6)] * 2

        def record(message: Waiting) -> int:
            while True:
                try:
                    return shelf.port.record(before, message, opted_out=None).number
                except TryAgain:
                    continue

        with ThreadPoolExecutor(5) as pool:
            numbers = list(pool.map(record, said))
        after = seen(shelf, before.key)
        assert sorted(numbers) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert sorted(message.message_id for message in after.waiting) == [message_id(n) for n in range(1, 6)]


class TestCommit:
    def test_an_answer_is_committed_whole(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, 2)
        answer = outgoing(0, 2, "one", "two", usage=Usage(model="m", input_tokens=1, output_tokens=2, milliseconds=3))
        after = shelf.port.commit(before, answer, newer_may_wait=False)
        assert after is not None
        assert after == seen(shelf, before.key)
        assert (after.answered, after.waiting, after.status) == (2, (), Status.AI_RESPONSE_READY)
        assert after.outgoing == answer

    def test_a_part_may_be_a_file(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        answer = replace(outgoing(0, 1), parts=(Part("a text"), Part("", media_url="https://a/1.pdf")))
        after = shelf.port.commit(before, answer, newer_may_wait=False)
        assert after is not None
        assert after.outgoing == answer
        noted = shelf.port.sent_part(before.key, token="answer-1", part=1, provider_id="SM1")
        assert noted is not None
        assert noted.outgoing is not None
        assert noted.outgoing.parts[1] == Part("", "SM1", "https://a/1.pdf")

    @pytest.mark.parametrize("author", [Author.AI, Author.SYSTEM])
    def test_it_says_whose_words_it_holds_and_whether_an_apology_was_made(self, shelf: Shelf, author: Author) -> None:
        before = heard(shelf, 1)
        answer = outgoing(0, 1, author=author, hands_over="ai_failed:quota")
        after = shelf.port.commit(before, answer, newer_may_wait=False)
        assert after is not None
        assert after == seen(shelf, before.key)
        assert after.outgoing == answer
        assert (before.apologised, after.apologised) == (False, author == Author.SYSTEM)

    def test_the_outcome_of_the_conversation_is_written_with_the_answer(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        after = shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, outcome="a visit on Monday")
        assert after is not None
        assert (before.task_complete, before.task_outcome) == (False, None)
        assert (after.task_complete, after.task_outcome) == (True, "a visit on Monday")
        assert after == seen(shelf, before.key)

    def test_a_later_answer_leaves_the_outcome_alone(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, outcome="a visit") is not None
        claimed = shelf.port.claim(before.key, claim="s", at=START).conversation
        assert claimed is not None
        assert shelf.port.finish(claimed, at=START) is not None
        again = hear(shelf, before.key, 2)
        after = shelf.port.commit(again, outgoing(1, 2, name="answer-2"), newer_may_wait=False)
        assert after is not None
        assert (after.task_complete, after.task_outcome) == (True, "a visit")

    def test_an_answer_that_is_lost_takes_its_outcome_with_it(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        hear(shelf, before.key, 2)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, outcome="too early") is None
        after = seen(shelf, before.key)
        assert (after.task_complete, after.task_outcome) == (False, None)

    def test_somebody_still_waits_until_the_answer_is_out(self, shelf: Shelf) -> None:
        assert committed(shelf).unanswered_since is not None

    def test_it_is_lost_when_the_messages_were_answered_meanwhile(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        first = shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False)
        assert first is not None
        claim = shelf.port.claim(before.key, claim="s", at=START).conversation
        assert claim is not None
        assert shelf.port.finish(claim, at=START) is not None
        assert shelf.port.commit(before, outgoing(0, 1, name="answer-2"), newer_may_wait=True) is None

    def test_it_is_lost_when_the_conversation_changed_hands_there_and_back(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        owned = shelf.port.change_hands(
            before, to_human=True, reason="r", status="handed_off_to_human", drop_outgoing=False
        )
        assert owned is not None
        shelf.change(before.key, hand_off_to_human=False)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=True) is None

    @pytest.mark.parametrize("flag", ["hand_off_to_human", "handoff_to_human"])
    def test_it_is_lost_when_a_human_flag_was_set_from_outside(self, shelf: Shelf, flag: str) -> None:
        before = heard(shelf, 1)
        shelf.change(before.key, **{flag: True})
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=True) is None
        assert seen(shelf, before.key).waiting == before.waiting

    @pytest.mark.parametrize(
        "change", [{"conversation_status": "closed"}, {"opted_out": True}, {"comms_consent": False}], ids=str
    )
    def test_it_is_lost_when_nothing_may_be_sent_any_more(self, shelf: Shelf, change: dict[str, Any]) -> None:
        before = heard(shelf, 1)
        shelf.change(before.key, **change)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=True) is None

    def test_it_is_lost_while_another_answer_is_on_its_way(self, shelf: Shelf) -> None:
        before = committed(shelf)
        after = hear(shelf, before.key, 2)
        assert shelf.port.commit(after, outgoing(1, 2, name="answer-2"), newer_may_wait=True) is None
        assert seen(shelf, before.key).outgoing == before.outgoing

    def test_it_is_lost_when_a_newer_message_came_in(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        hear(shelf, before.key, 2)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False) is None
        assert texts(seen(shelf, before.key)) == ["message 1", "message 2"]

    def test_a_newer_message_goes_on_waiting_where_it_may(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, 2)
        hear(shelf, before.key, 3)
        after = shelf.port.commit(before, outgoing(0, 2), newer_may_wait=True)
        assert after is not None
        assert (after.answered, after.received, texts(after)) == (2, 3, ["message 3"])

    def test_its_own_repetition_after_a_lost_response_succeeds(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False) is not None
        again = shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False)
        assert again is not None
        assert again.outgoing is not None
        assert again.outgoing.token == "answer-1"

    def test_an_overflow_that_is_answered_makes_room_again(self, shelf: Shelf) -> None:
        before = crowded(shelf, 25)
        after = shelf.port.commit(before, outgoing(0, 25), newer_may_wait=False)
        assert after is not None
        assert (after.overflowing, after.waiting) == (False, ())
        assert texts(hear(shelf, before.key, 26)) == ["message 26"]

    def test_what_the_provider_holds_is_remembered_with_the_answer(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        thread = Thread(id="conv_1", item="msg_9", number=1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, thread=thread) is not None
        after = seen(shelf, before.key)
        assert (after.thread_id, after.thread) == ("conv_1", thread)

    def test_a_thread_that_is_left_behind_keeps_its_name(self, shelf: Shelf) -> None:
        before = hear(shelf, put(shelf, thread_id="thread_abc").key, 1)
        assert before.thread == Thread(id="thread_abc")
        thread = Thread(id="thread_abc", migrated=True)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, thread=thread) is not None
        assert seen(shelf, before.key).thread == thread

    def test_an_answer_without_news_of_the_thread_leaves_it_alone(self, shelf: Shelf) -> None:
        state = {"id": "conv_1", "item": "msg_1", "number": Decimal(7)}
        before = hear(shelf, put(shelf, thread_id="conv_1", thread_state=state).key, 1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False) is not None
        assert seen(shelf, before.key).thread == Thread(id="conv_1", item="msg_1", number=7)

    def test_what_is_known_of_another_thread_does_not_count(self, shelf: Shelf) -> None:
        state = {"id": "conv_1", "item": "msg_1", "number": Decimal(7)}
        assert put(shelf, thread_id="conv_2", thread_state=state).thread == Thread(id="conv_2")
        assert put(shelf, thread_id=None, thread_state=state).thread is None

    def test_a_commit_that_is_lost_says_nothing_of_the_thread(self, shelf: Shelf) -> None:
        before = hear(shelf, put(shelf, thread_id="conv_1").key, 1)
        hear(shelf, before.key, 2)
        thread = Thread(id="conv_2", item="msg_9", number=1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False, thread=thread) is None
        assert seen(shelf, before.key).thread == Thread(id="conv_1")

    def test_it_forgets_the_attempts_to_rescue(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        rescued = shelf.port.rescued(before, at=START)
        assert rescued is not None
        after = shelf.port.commit(rescued, outgoing(0, 1), newer_may_wait=False)
        assert after is not None
        assert (after.rescues, after.rescued_at) == (0, None)


class TestClaim:
    def test_a_claimed_answer_says_who_claimed_it_and_when(self, shelf: Shelf) -> None:
        key = committed(shelf).key
        claim = shelf.port.claim(key, claim="sender-1", at=START)
        assert claim.granted
        found = seen(shelf, key).outgoing
        assert found is not None
        assert claim.conversation == seen(shelf, key)
        assert (found.state, found.attempts, found.claim) == (OutgoingState.CLAIMED, 1, "sender-1")
        assert (found.claimed_at, found.first_claimed_at) == (START, START)

    def test_it_is_exclusive(self, shelf: Shelf) -> None:
        key = claimed(shelf).key
        second = shelf.port.claim(key, claim="sender-2", at=START)
        assert not second.granted
        assert second.conversation == seen(shelf, key)
        found = seen(shelf, key).outgoing
        assert found is not None
        assert (found.claim, found.attempts) == ("sender-1", 1)

    def test_its_own_repetition_after_a_lost_response_is_granted(self, shelf: Shelf) -> None:
        key = claimed(shelf).key
        again = shelf.port.claim(key, claim="sender-1", at=START)
        assert again.granted
        assert again.conversation is not None
        assert again.conversation.outgoing is not None
        assert again.conversation.outgoing.attempts == 1

    def test_without_an_answer_nothing_is_granted(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        claim = shelf.port.claim(before.key, claim="sender-1", at=START)
        assert (claim.granted, claim.conversation) == (False, before)

    def test_without_a_record_nothing_is_granted_and_none_is_made(self, shelf: Shelf) -> None:
        key = ConversationKey("+440000000000", "none")
        claim = shelf.port.claim(key, claim="sender-1", at=START)
        assert (claim.granted, claim.conversation) == (False, None)
        assert shelf.port.get(key) is None

    def test_an_answer_of_an_earlier_epoch_is_not_granted(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        owned = shelf.port.change_hands(
            before, to_human=True, reason="r", status="handed_off_to_human", drop_outgoing=False
        )
        assert owned is not None
        returned = shelf.port.change_hands(
            owned, to_human=False, reason=None, status="handed_off_to_human", drop_outgoing=False
        )
        assert returned is not None
        assert shelf.port.release(returned) is not None
        assert not shelf.port.claim(before.key, claim="sender-2", at=START).granted

    @pytest.mark.parametrize(
        "flag",
        [
            {"hand_off_to_human": True},
            {"handoff_to_human": True},
            {"opted_out": True},
            {"comms_consent": False},
            {"conversation_status": "closed"},
        ],
        ids=lambda flag: next(iter(flag)),
    )
    def test_nothing_is_granted_when_the_record_says_no(self, shelf: Shelf, flag: dict[str, bool]) -> None:
        key = committed(shelf).key
        shelf.change(key, **flag)
        claim = shelf.port.claim(key, claim="sender-1", at=START)
        assert not claim.granted
        assert claim.conversation == seen(shelf, key)

    def test_a_second_claim_counts_and_remembers_when_the_first_one_was(self, shelf: Shelf) -> None:
        released = shelf.port.release(claimed(shelf))
        assert released is not None
        later = START + timedelta(minutes=3)
        claim = shelf.port.claim(released.key, claim="sender-2", at=later)
        assert claim.conversation is not None
        found = claim.conversation.outgoing
        assert found is not None
        assert (found.attempts, found.claimed_at, found.first_claimed_at) == (2, later, START)

    def test_of_many_senders_at_once_one_gets_it(self, shelf: Shelf) -> None:
        key = committed(shelf).key
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(lambda n: shelf.port.claim(key, claim=f"sender-{n}", at=START), range(8)))
        assert [claim.granted for claim in claims].count(True) == 1


class TestParts:
    def test_a_part_that_went_out_is_remembered(self, shelf: Shelf) -> None:
        before = claimed(shelf, parts=("one", "two", "three"))
        shelf.clock.advance(seconds=7)
        after = shelf.port.sent_part(before.key, token="answer-1", part=1, provider_id="SM1", claim="sender-1")
        assert after is not None
        assert after == seen(shelf, before.key)
        assert after.outgoing is not None
        assert [part.provider_id for part in after.outgoing.parts] == [None, "SM1", None]
        assert after.outgoing.unsent == [0, 2]
        assert after.outgoing.claimed_at == shelf.clock()

    def test_a_sender_that_has_lost_its_claim_cannot_go_on(self, shelf: Shelf) -> None:
        before = claimed(shelf, parts=("one", "two"))
        assert shelf.port.release(before) is not None
        assert shelf.port.claim(before.key, claim="sender-2", at=START).granted
        lost = shelf.port.sent_part(before.key, token="answer-1", part=0, provider_id="SM1", claim="sender-1")
        assert lost is None

    def test_a_part_of_which_somebody_else_tells_leaves_the_time_of_the_claim_alone(self, shelf: Shelf) -> None:
        before = claimed(shelf, parts=("one", "two"))
        shelf.clock.advance(seconds=7)
        after = shelf.port.sent_part(before.key, token="answer-1", part=0, provider_id="SM1")
        assert after is not None
        assert after.outgoing is not None
        assert (after.outgoing.claimed_at, after.outgoing.unsent) == (START, [1])

    def test_an_answer_of_which_a_part_went_out_meanwhile_is_not_released_by_who_does_not_know(
        self, shelf: Shelf
    ) -> None:
        before = claimed(shelf, parts=("one", "two"))
        shelf.clock.advance(seconds=7)
        assert shelf.port.sent_part(before.key, token="answer-1", part=0, provider_id="SM1", claim="sender-1")
        assert shelf.port.release(before) is None

    def test_the_part_of_another_answer_is_not(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        assert shelf.port.sent_part(before.key, token="answer-0", part=0, provider_id="SM1") is None
        assert seen(shelf, before.key) == before

    def test_the_part_of_an_answer_that_is_gone_is_not(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        assert shelf.port.finish(before, at=START) is not None
        assert shelf.port.sent_part(before.key, token="answer-1", part=0, provider_id="SM1") is None
        assert seen(shelf, before.key).outgoing is None


class TestOffer:
    TEMPLATE = Template("HX1", {"1": "Ada"})

    def template(self, after: int, to: int) -> Outgoing:
        return outgoing(after, to, "[template]", name="template-1", author=Author.SYSTEM, template=self.TEMPLATE)

    def test_what_is_offered_where_nothing_was_ever_answered_may_be_claimed(self, shelf: Shelf) -> None:
        offered = shelf.port.offer(put(shelf), self.template(0, 0))
        assert offered is not None
        assert shelf.port.claim(offered.key, claim="sender-1", at=START).granted

    def test_it_takes_the_place_of_an_answer_that_was_claimed(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        after = shelf.port.offer(before, self.template(0, 1))
        assert after is not None
        assert after == seen(shelf, before.key)
        assert after.outgoing == self.template(0, 1)
        assert (after.answered, after.apologised, after.status) == (1, False, Status.AI_RESPONSE_READY)
        assert shelf.port.claim(before.key, claim="sender-2", at=START).granted

    def test_it_comes_after_an_answer_that_was_finished_and_is_listed(self, shelf: Shelf) -> None:
        finished = shelf.port.finish(claimed(shelf, 1), at=START)
        assert finished is not None
        after = shelf.port.offer(finished, self.template(1, 1))
        assert after is not None
        assert after.outgoing == self.template(1, 1)
        assert after.unanswered_since is not None
        assert list(shelf.port.overdue(START + timedelta(days=1), limit=10)).count(after.key) == 1

    @pytest.mark.parametrize(
        "change",
        [{"hand_off_to_human": True}, {"opted_out": True}, {"comms_consent": False}, {"conversation_status": "closed"}],
        ids=str,
    )
    def test_it_is_lost_when_nothing_may_be_sent(self, shelf: Shelf, change: dict[str, Any]) -> None:
        before = claimed(shelf, 1)
        shelf.change(before.key, **change)
        assert shelf.port.offer(before, self.template(0, 1)) is None

    def test_it_is_lost_when_the_record_moved(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        hear(shelf, before.key, 2)
        assert shelf.port.offer(before, self.template(0, 1)) is None

    def test_it_is_lost_when_another_one_was_offered(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        assert shelf.port.offer(before, self.template(0, 1)) is not None
        assert shelf.port.offer(before, self.template(0, 1)) is None


class TestOptingOut:
    def test_a_record_hears_of_it_whatever_else_it_holds(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        hear(shelf, before.key, 2)
        for out in (True, False, False, True):
            shelf.port.opt(before.key, out=out)
            after = seen(shelf, before.key)
            assert after.opted_out == out
            assert (after.received, after.answered, after.outgoing) == (2, 1, before.outgoing)

    def test_a_record_that_is_gone_is_not_made_anew(self, shelf: Shelf) -> None:
        gone = ConversationKey("+449", "gone")
        shelf.port.opt(gone, out=True)
        assert shelf.port.get(gone) is None


class TestFinish:
    def test_when_nobody_waits_the_person_is_no_longer_listed(self, shelf: Shelf) -> None:
        after = shelf.port.finish(claimed(shelf), at=START)
        assert after is not None
        assert after == seen(shelf, after.key)
        assert (after.outgoing, after.unanswered_since, after.status) == (None, None, Status.AI_RESPONSE_SENT)

    def test_when_somebody_waits_the_waiting_begins_with_the_oldest_message_that_does(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        hear(shelf, before.key, 5, 6)
        after = shelf.port.finish(before, at=START + timedelta(minutes=1))
        assert after is not None
        assert (after.outgoing, after.somebody_waits) == (None, True)
        assert after.unanswered_since == START + timedelta(seconds=5)
        assert after.status == Status.USER_REPLY_RECEIVED

    def test_a_message_that_came_in_since_is_not_forgotten(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        hear(shelf, before.key, 2)
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert texts(after) == ["message 2"]

    def test_a_hand_over_in_between_keeps_its_status(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        owned = shelf.port.change_hands(
            before, to_human=True, reason="r", status="handed_off_to_human", drop_outgoing=False
        )
        assert owned is not None
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert (after.outgoing, after.handed_off, after.status) == (None, True, Status.HANDED_OFF_TO_HUMAN)
        assert after.unanswered_since is not None

    @pytest.mark.parametrize(
        ("author", "status"), [(Author.SYSTEM, Status.AI_FAILED), (Author.AI, Status.HANDED_OFF_TO_HUMAN)]
    )
    @pytest.mark.parametrize("newer", [(), (2,)])
    def test_an_answer_that_promises_a_human_hands_over(
        self, shelf: Shelf, author: Author, status: Status, newer: tuple[int, ...]
    ) -> None:
        before = apologised(shelf, author)
        hear(shelf, before.key, *newer)
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert after == seen(shelf, after.key)
        assert (after.outgoing, after.handed_off, after.handed_off_reason) == (None, True, "ai_failed:quota")
        assert (after.epoch, after.untold, after.status) == (before.epoch + 1, True, status)
        assert after.unanswered_since is not None
        assert len(after.waiting) == len(newer)

    def test_an_answer_that_promises_a_human_does_not_hand_over_twice(self, shelf: Shelf) -> None:
        before = apologised(shelf)
        owned = shelf.port.change_hands(
            before, to_human=True, reason="r", status="handed_off_to_human", drop_outgoing=False
        )
        assert owned is not None
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert (after.epoch, after.handed_off_reason, after.status) == (
            owned.epoch,
            "r",
            Status.HANDED_OFF_TO_HUMAN,
        )

    def test_a_flag_of_another_system_keeps_its_reason_when_an_answer_hands_over(self, shelf: Shelf) -> None:
        before = apologised(shelf)
        shelf.change(before.key, hand_off_to_human=True, hand_off_to_human_reason="theirs")
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert (after.handed_off, after.handed_off_reason) == (True, "theirs")

    def test_a_closed_conversation_stays_closed_whatever_the_answer_promised(self, shelf: Shelf) -> None:
        before = apologised(shelf)
        shelf.change(before.key, conversation_status="closed")
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert (after.outgoing, after.status) == (None, Status.CLOSED)

    def test_a_closed_conversation_stays_closed(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        shelf.change(before.key, conversation_status="closed")
        after = shelf.port.finish(before, at=START)
        assert after is not None
        assert (after.outgoing, after.status) == (None, Status.CLOSED)

    def test_a_status_that_was_set_back_meanwhile_counts_as_it_is_now(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        shelf.change(before.key, conversation_status="something else")
        early = seen(shelf, before.key)
        shelf.change(before.key, conversation_status="ai_response_ready")
        after = shelf.port.finish(early, at=START)
        assert after is not None
        assert after.status == Status.AI_RESPONSE_SENT

    def test_who_was_told_meanwhile_is_no_longer_listed(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        shelf.change(before.key, untold=True)
        early = seen(shelf, before.key)
        assert shelf.port.close(early) is not None
        after = shelf.port.finish(early, at=START)
        assert after is not None
        assert after.unanswered_since is None

    def test_an_answer_is_finished_once(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        assert shelf.port.finish(before, at=START) is not None
        assert shelf.port.finish(before, at=START) is None

    def test_an_answer_that_somebody_else_claimed_since_is_not_finished(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        assert shelf.port.release(before) is not None
        assert shelf.port.claim(before.key, claim="sender-2", at=START).granted
        assert shelf.port.finish(before, at=START) is None

    def test_it_forgets_the_attempts_to_rescue(self, shelf: Shelf) -> None:
        rescued = shelf.port.rescued(claimed(shelf), at=START)
        assert rescued is not None
        after = shelf.port.finish(rescued, at=START)
        assert after is not None
        assert (after.rescues, after.rescued_at) == (0, None)


class TestReleaseAndDrop:
    def test_a_released_answer_is_ready_again_with_what_is_out_of_it(self, shelf: Shelf) -> None:
        before = claimed(shelf, parts=("one", "two"))
        sent = shelf.port.sent_part(before.key, token="answer-1", part=0, provider_id="SM1", claim="sender-1")
        assert sent is not None
        after = shelf.port.release(sent)
        assert after is not None
        assert after.outgoing is not None
        assert (after.outgoing.state, after.outgoing.claim, after.outgoing.attempts) == (OutgoingState.READY, None, 1)
        assert after.outgoing.unsent == [1]

    def test_a_claim_of_somebody_else_is_not_released(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        assert shelf.port.release(before) is not None
        assert shelf.port.claim(before.key, claim="sender-2", at=START).granted
        assert shelf.port.release(before) is None

    def test_messages_that_come_in_do_not_keep_an_answer_from_being_released(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        hear(shelf, before.key, 2)
        assert shelf.port.release(before) is not None

    def test_a_dropped_answer_is_gone_and_its_status_stays(self, shelf: Shelf) -> None:
        before = committed(shelf)
        after = shelf.port.drop(before)
        assert after is not None
        assert after == seen(shelf, before.key)
        assert (after.outgoing, after.status) == (None, before.status)

    def test_an_answer_that_a_sender_has_claimed_since_is_not_dropped(self, shelf: Shelf) -> None:
        before = committed(shelf)
        assert shelf.port.claim(before.key, claim="sender-1", at=START).granted
        assert shelf.port.drop(before) is None
        assert seen(shelf, before.key).outgoing is not None

    def test_whoever_was_to_get_a_dropped_answer_is_still_listed(self, shelf: Shelf) -> None:
        before = committed(shelf)
        after = shelf.port.drop(before)
        assert after is not None
        assert after.unanswered_since == before.unanswered_since

    def test_dropping_keeps_what_waits(self, shelf: Shelf) -> None:
        before = committed(shelf)
        hear(shelf, before.key, 2)
        after = shelf.port.drop(before)
        assert after is not None
        assert texts(after) == ["message 2"]
        assert after.unanswered_since is not None


class TestChangeOfHands:
    def test_a_human_takes_over_and_the_next_epoch_begins(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        after = shelf.port.change_hands(
            before, to_human=True, reason="asked", status="handed_off_to_human", drop_outgoing=False
        )
        assert after is not None
        assert after == seen(shelf, before.key)
        assert (after.handed_off, after.handed_off_reason, after.epoch) == (True, "asked", before.epoch + 1)
        assert after.status == Status.HANDED_OFF_TO_HUMAN
        assert texts(after) == ["message 1"]

    def test_who_is_handed_over_is_listed_as_waiting_until_that_is_closed(self, shelf: Shelf) -> None:
        before = put(shelf)
        after = shelf.port.change_hands(
            before, to_human=True, reason="asked", status="handed_off_to_human", drop_outgoing=False
        )
        assert after is not None
        assert after.unanswered_since == shelf.clock()

    def test_the_answer_on_its_way_is_dropped_only_where_that_is_said(self, shelf: Shelf) -> None:
        kept, dropped = committed(shelf), committed(shelf)
        for before, drop in ((kept, False), (dropped, True)):
            after = shelf.port.change_hands(before, to_human=True, reason="r", status="ai_failed", drop_outgoing=drop)
            assert after is not None
            assert (after.outgoing is None) == drop

    def test_giving_back_closes_everything_and_clears_the_flag_under_both_names(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, 2, handoff_to_human=True, hand_off_to_human_reason="asked")
        after = shelf.port.change_hands(
            before, to_human=False, reason=None, status="handed_off_to_human", drop_outgoing=False
        )
        assert after is not None
        assert after == seen(shelf, before.key)
        assert (after.handed_off, after.handed_off_reason, after.epoch) == (False, None, before.epoch + 1)
        assert (after.answered, after.received, after.waiting, after.unanswered_since) == (2, 2, (), None)

    def test_giving_back_while_an_answer_is_in_doubt_keeps_the_person_listed(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        after = shelf.port.change_hands(
            before, to_human=False, reason=None, status="handed_off_to_human", drop_outgoing=False
        )
        assert after is not None
        assert after.outgoing is not None
        assert after.unanswered_since is not None

    @pytest.mark.parametrize("to_human", [True, False])
    def test_it_is_lost_when_a_message_came_in(self, shelf: Shelf, to_human: bool) -> None:
        before = heard(shelf, 1)
        now = hear(shelf, before.key, 2)
        change = shelf.port.change_hands(before, to_human=to_human, reason="r", status="ai_failed", drop_outgoing=False)
        assert change is None
        assert seen(shelf, before.key) == now

    @pytest.mark.parametrize("to_human", [True, False])
    def test_it_is_lost_when_an_answer_was_committed_or_claimed(self, shelf: Shelf, to_human: bool) -> None:
        before = heard(shelf, 1)
        ready = shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False)
        assert ready is not None
        assert shelf.port.claim(before.key, claim="s", at=START).granted
        for stale in (before, ready):
            change = shelf.port.change_hands(
                stale, to_human=to_human, reason="r", status="ai_failed", drop_outgoing=True
            )
            assert change is None

    def test_it_is_lost_when_hands_were_changed_meanwhile(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        for expected in (True, False):
            change = shelf.port.change_hands(before, to_human=True, reason="r", status="ai_failed", drop_outgoing=False)
            assert (change is not None) == expected


class TestClose:
    def test_it_is_lost_when_the_messages_were_answered_meanwhile(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        assert shelf.port.commit(before, outgoing(0, 1), newer_may_wait=False) is not None
        claim = shelf.port.claim(before.key, claim="s", at=START).conversation
        assert claim is not None
        assert shelf.port.finish(claim, at=START) is not None
        assert shelf.port.close(before) is None
        hands = {"reason": "r", "status": "ai_failed", "drop_outgoing": False}
        assert shelf.port.change_hands(before, to_human=True, **hands) is None

    def test_everything_that_waits_is_closed(self, shelf: Shelf) -> None:
        after = shelf.port.close(crowded(shelf, 23, hand_off_to_human=True))
        assert after is not None
        assert after == seen(shelf, after.key)
        assert (after.answered, after.received, after.waiting, after.overflowing) == (23, 23, (), False)
        assert after.unanswered_since is None
        assert after.handed_off

    def test_it_is_lost_when_a_message_came_in(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, hand_off_to_human=True)
        now = hear(shelf, before.key, 2)
        assert shelf.port.close(before) is None
        assert seen(shelf, before.key) == now

    def test_it_is_lost_when_hands_were_changed(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        change = shelf.port.change_hands(before, to_human=True, reason="r", status="ai_failed", drop_outgoing=False)
        assert change is not None
        assert shelf.port.close(before) is None

    def test_an_answer_in_doubt_keeps_the_person_listed(self, shelf: Shelf) -> None:
        before = claimed(shelf)
        after = shelf.port.close(before)
        assert after is not None
        assert after.unanswered_since is not None
        assert after.outgoing == before.outgoing


class TestRescue:
    def test_who_has_waited_longest_comes_first_and_no_more_than_asked_for(self, shelf: Shelf) -> None:
        keys = [shelf.put(record_of()) for _ in range(9)]
        for number, key in enumerate(keys):
            shelf.port.record(seen(shelf, key), waiting(1, at=START - timedelta(minutes=number)), opted_out=None)
        assert list(shelf.port.overdue(START, limit=100)) == keys[:0:-1]
        assert list(shelf.port.overdue(START, limit=3)) == keys[:-4:-1]

    def test_only_those_who_wait_are_listed(self, shelf: Shelf) -> None:
        late = START + timedelta(days=1)
        put(shelf)
        done = claimed(shelf)
        assert shelf.port.finish(done, at=START) is not None
        closed = heard(shelf, 1, hand_off_to_human=True)
        assert shelf.port.close(closed) is not None
        assert list(shelf.port.overdue(late, limit=100)) == []
        one = heard(shelf, 1)
        assert list(shelf.port.overdue(late, limit=100)) == [one.key]

    def test_an_attempt_to_rescue_is_counted(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        after = shelf.port.rescued(before, at=START)
        assert after is not None
        assert after == seen(shelf, before.key)
        assert (after.rescues, after.rescued_at) == (1, START)

    def test_of_two_attempts_one_counts(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        assert shelf.port.rescued(before, at=START) is not None
        assert shelf.port.rescued(before, at=START) is None

    def test_an_attempt_does_not_count_when_the_record_moved(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        hear(shelf, before.key, 2)
        assert shelf.port.rescued(before, at=START) is None


class TestGone:
    """A record can be deleted at any moment: by its time to live, or because the person wants to be forgotten."""

    @pytest.mark.parametrize("step", ["commit", "close", "take_over", "give_back", "rescued", "claim", "sent_part"])
    def test_a_step_on_a_record_that_is_gone_is_a_lost_race_and_makes_none(self, shelf: Shelf, step: str) -> None:
        gone = replace(put(shelf), key=ConversationKey(f"+4477005{next(_people):05d}", "gone"))
        hands = {"reason": "r", "status": "ai_failed", "drop_outgoing": False}
        outcome = {
            "commit": lambda: shelf.port.commit(gone, outgoing(0, 0), newer_may_wait=True),
            "close": lambda: shelf.port.close(gone),
            "take_over": lambda: shelf.port.change_hands(gone, to_human=True, **hands),
            "give_back": lambda: shelf.port.change_hands(gone, to_human=False, **hands),
            "rescued": lambda: shelf.port.rescued(gone, at=START),
            "claim": lambda: shelf.port.claim(gone.key, claim="sender-1", at=START).conversation,
            "sent_part": lambda: shelf.port.sent_part(gone.key, token="answer-1", part=0, provider_id="SM1"),
        }[step]()
        assert outcome is None
        assert shelf.port.get(gone.key) is None

    @pytest.mark.parametrize("step", ["finish", "drop", "release"])
    def test_an_answer_whose_record_is_gone_has_ended(self, shelf: Shelf, step: str) -> None:
        gone = replace(claimed(shelf), key=ConversationKey(f"+4477004{next(_people):05d}", "gone"))
        ends = {
            "finish": lambda: shelf.port.finish(gone, at=START),
            "drop": lambda: shelf.port.drop(gone),
            "release": lambda: shelf.port.release(gone),
        }
        assert ends[step]() is None
        assert shelf.port.get(gone.key) is None


class TestUnknownAttributes:
    """What the outbound engine keeps in a record is its own: no step may drop or change it."""

    def test_they_survive_every_step(self, table: TableShelf) -> None:
        own = {
            "gsi_company_pk": "company-1",
            "gsi_status_sk": "active#2026",
            "company_rep": {"company_rep_1": "Grace", "nested": {"list": [Decimal("1.5"), None, True]}},
            "messages": [{"role": "assistant", "content": "Hello", "ai_prompt_tokens": Decimal(7)}],
            "ai_config": {"assistant_id_replies": "asst_1", "future": ["x"]},
            "task_complete": Decimal(0),
            "project_data": {"anything": {"goes": [Decimal(1)]}},
            "a-name.with [odd] characters": "kept",
            "ttl": Decimal(2_900_000_000),
            "tags": {"a", "b"},
            "blob": b"\x00\x01",
        }
        key = table.put(record_of(**own))

        def still_there(after: object) -> None:
            assert after
            record = table.raw(key)
            kept = {name: getattr(record[name], "value", record[name]) for name in own}
            assert kept == own

        port = table.port
        still_there(hear(table, key, 1))
        still_there(port.rescued(seen(table, key), at=START))
        still_there(port.commit(seen(table, key), outgoing(0, 1, "one", "two"), newer_may_wait=False))
        still_there(port.claim(key, claim="sender-1", at=START))
        still_there(port.sent_part(key, token="answer-1", part=0, provider_id="SM1"))
        still_there(port.release(seen(table, key)))
        still_there(port.claim(key, claim="sender-2", at=START))
        still_there(port.finish(seen(table, key), at=START))
        still_there(hear(table, key, 2))
        still_there(port.commit(seen(table, key), outgoing(1, 2), newer_may_wait=False))
        still_there(port.drop(seen(table, key)))
        still_there(hear(table, key, 3))
        taken = port.change_hands(seen(table, key), to_human=True, reason="r", status="ai_failed", drop_outgoing=False)
        still_there(taken)
        still_there(port.close(seen(table, key)))
        back = port.change_hands(seen(table, key), to_human=False, reason=None, status="ai_failed", drop_outgoing=False)
        still_there(back)

    def test_the_index_of_those_who_wait_is_sparse(self, table: TableShelf) -> None:
        before, silent = claimed(table), put(table)
        assert before.key in table.indexed()
        assert silent.key not in table.indexed()
        assert table.port.finish(before, at=START) is not None
        assert before.key not in table.indexed()

    def test_a_record_of_which_a_step_says_nothing_is_not_touched(self, table: TableShelf) -> None:
        one, other = heard(table, 1), heard(table, 1)
        before = table.raw(other.key)
        assert table.port.commit(one, outgoing(0, 1), newer_may_wait=False) is not None
        assert table.raw(other.key) == before

    def test_what_a_record_keeps_of_a_message_is_what_the_model_knows_of_it(self, table: TableShelf) -> None:
        before = heard(table, 1)
        assert table.raw(before.key)["waiting"] == [waiting_item_of(before.waiting[0])]


def test_times_are_kept_to_the_millisecond(shelf: Shelf) -> None:
    at, kept = (datetime(2026, 11, 22, 9, 0, 1, fraction, tzinfo=UTC) for fraction in (234_987, 234_000))
    before = put(shelf)
    shelf.port.record(before, waiting(1, at=at), opted_out=None)
    shelf.port.commit(seen(shelf, before.key), outgoing(0, 1, committed_at=at, newest_at=at), newer_may_wait=False)
    shelf.port.claim(before.key, claim="sender-1", at=at)
    after = seen(shelf, before.key)
    assert after.outgoing is not None
    assert (after.last_inbound_at, after.unanswered_since) == (kept, kept)
    assert (after.outgoing.committed_at, after.outgoing.newest_at, after.outgoing.claimed_at) == (kept, kept, kept)


def test_every_step_says_when_it_was(shelf: Shelf) -> None:
    key = committed(shelf, parts=("one", "two")).key
    shelf.clock.advance(seconds=5)
    shelf.port.claim(key, claim="sender-1", at=START)
    assert seen(shelf, key).updated_at == iso(shelf.clock())
    shelf.clock.advance(seconds=5)
    shelf.port.sent_part(key, token="answer-1", part=0, provider_id="SM1")
    assert seen(shelf, key).updated_at == iso(shelf.clock())


def test_the_twin_is_put_as_a_whole() -> None:
    shelf = TwinShelf()
    key = shelf.put(record_of())
    assert [each.key for each in shelf.twin.all()] == [key]
