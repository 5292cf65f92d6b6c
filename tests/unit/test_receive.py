"""Stage 1: a message is recorded once, and whoever must answer is woken every time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.channels.opt_out import opt_out_of
from chalicelib.context import iso
from chalicelib.errors import Rejected, TryAgain
from chalicelib.model import Channel, ConversationKey, Numbered, OptOut, Status, UnknownSender
from tests.twins import cast, webhooks
from tests.twins.clock import START
from tests.twins.relay import TwinRelay, opened, stamps

EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
TURNS = "whatsapp-replies"


def turns(relay: TwinRelay) -> int:
    return len(relay.queues.of(TURNS))


class Broken:
    """A port one of whose methods fails as many times as told."""

    def __init__(self, port: Any, method: str, error: Exception, times: int = 1) -> None:
        self._port, self._method, self._error, self._times = port, method, error, times

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self._times:
            self._times -= 1
            return self._fail
        return getattr(self._port, name)

    def _fail(self, *_: Any, **__: Any) -> None:
        raise self._error


def breaking(port: str, method: str, error: Exception) -> Callable[[str, Any], Any]:
    return lambda name, real: Broken(real, method, error) if name == port else real


class TestAMessageOfAKnownPerson:
    def test_it_is_recorded_and_a_turn_is_woken_after_the_burst_window(self, relay: TwinRelay) -> None:
        assert relay.hear(1, "hello") == EMPTY
        after = relay.the_conversation()
        assert [message.text for message in after.waiting] == ["hello"]
        assert after.status == Status.USER_REPLY_RECEIVED
        assert relay.queues.next_visible_at([TURNS]) == START + timedelta(seconds=30)

    def test_the_context_on_the_queue_is_complete(self, relay: TwinRelay) -> None:
        opened(relay, thread_id="thread_1")
        relay.hear(1, "hello")
        (message,) = relay.queues.of(TURNS)
        context = message.context
        assert context.meta.channel_type == "whatsapp"
        assert context.key == cast.KEY
        assert context.conversation.conversation_status == "user_reply_received"
        assert context.conversation.thread_id == "thread_1"
        assert (context.message.body, context.message.message_id) == ("hello", cast.message_id(1))
        assert (context.message.sender, context.message.to) == (cast.PERSON, cast.OWN_ADDRESS)
        assert context.company.company_name == "Cucumber Recruitment"
        assert context.company.credentials_reference == cast.TWILIO_SECRET
        assert stamps(message) == dict.fromkeys(("received", "validated", "queued"), iso(START))

    def test_the_tenants_own_burst_window_wins(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(burst_idle=timedelta(seconds=5)))
        relay.hear(1)
        assert relay.queues.next_visible_at([TURNS]) == START + timedelta(seconds=5)

    def test_a_repetition_is_not_recorded_but_wakes_again(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.hear(1)
        assert relay.the_conversation().received == 1
        assert turns(relay) == 2
        assert relay.journal.actions.count("message_duplicate") == 1

    def test_a_repetition_wakes_where_the_first_delivery_died_between_the_two(self, relay: TwinRelay) -> None:
        process, relay.process = relay.process, relay.process.through(breaking("queues", "wake_turn", TryAgain("busy")))
        with pytest.raises(TryAgain):
            relay.hear(1)
        assert (relay.the_conversation().received, turns(relay)) == (1, 0)
        relay.process = process
        relay.hear(1)
        assert (relay.the_conversation().received, turns(relay)) == (1, 1)

    def test_a_repetition_of_an_answered_message_wakes_nobody(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        relay.hear(1)
        assert (relay.the_conversation().received, turns(relay)) == (1, 0)

    def test_a_repetition_waits_only_for_the_rest_of_the_burst_window(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=10)
        relay.hear(1)
        assert [message.visible_at for message in relay.queues.of(TURNS)] == [START + timedelta(seconds=30)] * 2

    def test_it_wakes_a_turn_also_while_an_answer_is_on_its_way(self, relay: TwinRelay) -> None:
        """By the time the wake-up comes the answer may be out, and FINISH may not have seen the message."""
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off(TURNS)
        relay.hear(2)
        assert [message.context.message.body for message in relay.queues.of(TURNS)] == ["message 2"]

    def test_nothing_is_recorded_when_the_record_cannot_be_written(self, relay: TwinRelay) -> None:
        relay.process = relay.process.through(breaking("conversations", "record", TryAgain("busy")))
        with pytest.raises(TryAgain):
            relay.hear(1)
        assert turns(relay) == 0

    def test_the_log_holds_ids_but_nothing_personal(self, relay: TwinRelay) -> None:
        relay.hear(1, "my secret words")
        relay.run_until_quiet()
        text = relay.journal.text()
        assert "my secret words" not in text
        assert cast.PERSON not in text
        assert cast.OWN_ADDRESS not in text
        assert cast.message_id(1) in text
        assert "ref-1" in text


class TestOldRepetitions:
    def test_a_message_whose_id_was_forgotten_is_not_taken_in_again(self, relay: TwinRelay) -> None:
        for number in range(1, 71):
            relay.hear(number)
        relay.run_until_quiet()
        received, answers = relay.the_conversation().received, len(relay.provider.taken)
        assert cast.message_id(1) not in relay.the_conversation().recent_message_ids
        assert relay.hear(1) == EMPTY
        relay.run_until_quiet()
        assert (relay.the_conversation().received, len(relay.provider.taken)) == (received, answers)

    def test_a_message_that_still_waits_is_not_taken_in_again_though_its_id_was_forgotten(
        self, relay: TwinRelay
    ) -> None:
        for number in range(1, 71):
            relay.hear(number)
        relay.hear(1)
        assert relay.the_conversation().received == 70

    def test_as_long_as_every_id_is_remembered_the_history_is_not_asked(self, relay: TwinRelay) -> None:
        relay.process = relay.process.through(breaking("history", "holds", AssertionError("asked")))
        for number in range(1, 10):
            relay.hear(number)


class TestLongMessages:
    TEXT = "word " * 1_000

    def test_the_record_keeps_the_beginning_and_the_history_the_whole(self, relay: TwinRelay) -> None:
        relay.hear(1, self.TEXT)
        (kept,) = relay.the_conversation().waiting
        assert kept.clipped
        assert len(kept.text) == 2_000
        (whole,) = relay.history.of(cast.CONVERSATION_ID)
        assert (whole.text, whole.number) == (self.TEXT, 1)

    def test_the_queue_carries_the_whole(self, relay: TwinRelay) -> None:
        relay.hear(1, self.TEXT)
        assert relay.queues.of(TURNS)[0].context.message.body == self.TEXT

    def test_a_repetition_writes_the_whole_where_the_first_delivery_died_before(self, relay: TwinRelay) -> None:
        process, relay.process = relay.process, relay.process.through(breaking("history", "write", TryAgain("busy")))
        with pytest.raises(TryAgain):
            relay.hear(1, self.TEXT)
        relay.process = process
        relay.hear(1, self.TEXT)
        assert relay.history.of(cast.CONVERSATION_ID)[0].text == self.TEXT

    def test_what_the_record_has_no_room_for_is_in_the_history(self, relay: TwinRelay) -> None:
        for number in range(1, 24):
            relay.hear(number)
        assert [each.number for each in relay.history.of(cast.CONVERSATION_ID)] == [21, 22, 23]


HUMAN_REASONS: dict[str, dict[str, Any]] = {
    "handed_off": {"handed_off": True},
    "opted_out": {"opted_out": True},
    "no_consent": {"consent": False},
    "project_not_active": {"project_status": "paused"},
    "channel_not_allowed": {"allowed_channels": ("email", "sms")},
    "auto_queue": {"auto_queue": True},
}


class TestMessagesForHumans:
    @pytest.mark.parametrize("reason", HUMAN_REASONS)
    def test_each_reason_sends_the_message_to_a_human_and_closes_it(self, relay: TwinRelay, reason: str) -> None:
        opened(relay, **HUMAN_REASONS[reason])
        relay.hear(1, "hello")
        (message,) = relay.handed_over
        assert (message.context.message.body, message.reason) == ("hello", reason)
        after = relay.the_conversation()
        assert (after.answered, after.waiting, after.unanswered_since) == (1, (), None)
        assert [each.text for each in relay.history.of(cast.CONVERSATION_ID)] == ["hello"]
        assert turns(relay) == 0

    @pytest.mark.parametrize("listed", ["+447700900101", "447700900101", "whatsapp:+447700900101", "+44 7700 900101"])
    def test_senders_on_the_list_go_to_a_human_however_they_are_spelled(self, relay: TwinRelay, listed: str) -> None:
        opened(relay, auto_queue_senders=("+440000000000", listed))
        relay.hear(1)
        assert [message.reason for message in relay.handed_over] == ["auto_queue"]

    def test_others_than_those_on_the_list_are_answered_by_the_ai(self, relay: TwinRelay) -> None:
        opened(relay, auto_queue_senders=("+440000000000",), project_status="Active", allowed_channels=("WhatsApp",))
        relay.hear(1)
        assert (len(relay.handed_over), turns(relay)) == (0, 1)

    def test_the_reason_that_the_record_gives_is_told(self, relay: TwinRelay) -> None:
        opened(relay, handed_off=True, handed_off_reason="wants a call")
        relay.hear(1)
        assert relay.handed_over[0].reason == "wants a call"

    def test_the_handed_over_context_says_so(self, relay: TwinRelay) -> None:
        opened(relay, handed_off=True)
        relay.hear(1)
        context = relay.handed_over[0].context
        assert context.conversation.hand_off_to_human
        assert set(stamps(relay.handed_over[0])) == {"received", "validated", "queued"}

    def test_a_repetition_is_passed_on_where_the_first_delivery_died_before_the_queue(self, relay: TwinRelay) -> None:
        opened(relay, handed_off=True)
        broken = relay.process.through(breaking("queues", "hand_to_human", TryAgain("busy")))
        process, relay.process = relay.process, broken
        with pytest.raises(TryAgain):
            relay.hear(1)
        assert relay.the_conversation().unanswered_since is not None
        relay.process = process
        relay.hear(1)
        assert len(relay.handed_over) == 1
        assert relay.the_conversation().unanswered_since is None

    def test_messages_that_come_at_once_are_all_in_the_history_under_their_own_numbers(self, relay: TwinRelay) -> None:
        """The second webhook reads the record before the first one has closed its message."""
        opened(relay, handed_off=True)
        other = relay.process

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def record(self, *args: Any, **options: Any) -> Any:
                relay.process = other
                relay.hear(1)
                return relay.conversations.record(*args, **options)

        relay.process = relay.process.through(lambda name, port: Slow() if name == "conversations" else port)
        relay.hear(2)
        entries = relay.history.of(cast.CONVERSATION_ID)
        assert [(each.number, each.text) for each in entries] == [(1, "message 1"), (2, "message 2")]
        assert relay.the_conversation().answered == 2


class TestOptingOut:
    def test_stop_silences_the_ai_until_start(self, relay: TwinRelay) -> None:
        relay.hear(1, "STOP", OptOutType="STOP")
        assert relay.the_conversation().opted_out
        assert relay.the_conversation().status == Status.OPTED_OUT
        relay.hear(2, "are you there?")
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.taken == []
        assert [message.reason for message in relay.handed_over] == ["opted_out"] * 2
        relay.hear(3, "START", OptOutType="START")
        relay.run_until_quiet()
        assert not relay.the_conversation().opted_out
        assert relay.provider.texts == ["You said: START"]

    def test_help_changes_nothing(self, relay: TwinRelay) -> None:
        relay.hear(1, "HELP", OptOutType="HELP")
        assert not relay.the_conversation().opted_out
        assert turns(relay) == 1

    @pytest.mark.parametrize(
        ("text", "out"),
        [
            ("STOP", True),
            (" stop! ", True),
            ("Unsubscribe.", True),
            ("please stop", False),
            ("quit", False),
            ("", False),
        ],
    )
    def test_the_word_alone_is_enough(self, relay: TwinRelay, text: str, out: bool) -> None:
        relay.hear(1, text)
        assert relay.the_conversation().opted_out == out

    @pytest.mark.parametrize("word", ["CANCEL", "End", "QUIT"])
    def test_what_stops_an_sms_is_an_answer_elsewhere(self, word: str) -> None:
        assert opt_out_of(Channel.SMS, word) == OptOut.STOP
        assert opt_out_of(Channel.WHATSAPP, word) is None

    def test_it_holds_for_every_conversation_with_the_company_on_any_channel(self, relay: TwinRelay) -> None:
        by_sms = ConversationKey(cast.PERSON, "by-sms")
        other_company = ConversationKey(cast.PERSON, "other")
        opened(relay, key=by_sms, channel=Channel.SMS, own_addresses={Channel.SMS: "+447700900009"})
        opened(relay, key=other_company, company_id="company-2", own_addresses={Channel.WHATSAPP: "+447700900008"})
        relay.hear(1, "STOP")
        assert relay.the_conversation(by_sms).opted_out
        assert not relay.the_conversation(other_company).opted_out
        relay.hear(2, "START")
        assert not relay.the_conversation(by_sms).opted_out

    def test_an_answer_on_its_way_in_another_conversation_does_not_leave(self, relay: TwinRelay) -> None:
        by_sms = ConversationKey(cast.PERSON, "by-sms")
        waits = cast.outgoing(0, 1, channel=Channel.SMS)
        since = {"received": 1, "answered": 1, "unanswered_since": START}
        sms = {"channel": Channel.SMS, "own_addresses": {Channel.SMS: cast.OWN_ADDRESS}}
        opened(relay, key=by_sms, outgoing=waits, status=Status.AI_RESPONSE_READY, **sms, **since)
        relay.hear(1, "STOP")
        relay.clock.advance(seconds=300)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == []

    def test_it_holds_for_a_conversation_that_is_opened_later(self, relay: TwinRelay) -> None:
        relay.hear(1, "STOP")
        later = ConversationKey(cast.PERSON, "later")
        opened(relay, key=later, created_at="2026-11-21T09:00:00.000Z")
        relay.hear(2, "and now?")
        relay.run_until_quiet(sweeping=True)
        assert relay.engine.turns == []
        assert relay.provider.texts == []
        assert relay.the_conversation(later).opted_out
        assert [message.reason for message in relay.handed_over] == ["opted_out"] * 2

    def test_who_opts_out_without_a_conversation_gets_no_fallback_later(self, relay: TwinRelay) -> None:
        assert relay.hear(1, "STOP", sender=STRANGER) == EMPTY
        assert relay.hear(2, "hello?", sender=STRANGER) == EMPTY

    def test_an_old_stop_that_comes_again_after_start_changes_nothing(self, relay: TwinRelay) -> None:
        relay.hear(1, "STOP")
        relay.hear(2, "START")
        relay.hear(1, "STOP")
        relay.run_until_quiet()
        assert not relay.opt_outs.holds("company-1", cast.PERSON)
        assert not relay.the_conversation().opted_out

    def test_a_stop_that_died_half_way_is_finished_when_it_comes_again(self, relay: TwinRelay) -> None:
        form = webhooks.message_form(
            cast.message_id(1), "STOP", sender=f"whatsapp:{cast.PERSON}", recipient=f"whatsapp:{cast.OWN_ADDRESS}"
        )
        request = webhooks.signed("/whatsapp", form)
        by_sms = ConversationKey(cast.PERSON, "by-sms")
        opened(relay, key=by_sms, channel=Channel.SMS, own_addresses={Channel.SMS: "+447700900009"})
        dying = relay.process.through(breaking("conversations", "opt", TryAgain("busy")))
        with pytest.raises(TryAgain):
            dying.receive(request)
        relay.receive(request)
        assert relay.the_conversation(by_sms).opted_out
        assert relay.the_conversation().opted_out


STRANGER = "+447700900999"


class TestUnknownSenders:
    def test_a_stranger_is_told_once_in_the_window(self, relay: TwinRelay) -> None:
        told = relay.hear(1, sender=STRANGER)
        assert "no longer active" in told
        assert "Cucumber Recruitment" in told
        assert relay.hear(2, sender=STRANGER) == EMPTY
        relay.clock.advance(timedelta(hours=24))
        assert relay.hear(3, sender=STRANGER) == told

    def test_the_tenants_own_words_and_window_are_used(self, relay: TwinRelay) -> None:
        text = "Bye from {company_name} & {project_name} {unknown}"
        relay.tenants.put(cast.tenant(fallback_text=text, fallback_window=timedelta(minutes=5)))
        told = relay.hear(1, sender=STRANGER)
        assert "<Message>Bye from Cucumber Recruitment &amp; Clarify CV {unknown}</Message>" in told
        relay.clock.advance(timedelta(minutes=5))
        assert relay.hear(2, sender=STRANGER) == told

    def test_nothing_is_recorded_and_nobody_is_woken(self, relay: TwinRelay) -> None:
        relay.hear(1, sender=STRANGER)
        assert list(relay.conversations.of_person(STRANGER)) == []
        assert (turns(relay), len(relay.handed_over)) == (0, 0)

    def test_a_tenant_may_ignore_strangers(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(unknown_senders=UnknownSender.IGNORE))
        assert relay.hear(1, sender=STRANGER) == EMPTY

    def test_whoever_has_opted_out_is_told_nothing(self, relay: TwinRelay) -> None:
        assert relay.hear(1, "STOP", sender=STRANGER, OptOutType="STOP") == EMPTY
        closed = {"key": ConversationKey(STRANGER, "old"), "status": "closed", "opted_out": True}
        opened(relay, **closed)
        assert relay.hear(2, sender=STRANGER) == EMPTY

    def test_a_reply_to_a_closed_conversation_is_a_strangers(self, relay: TwinRelay) -> None:
        opened(relay, status="closed")
        assert "no longer active" in relay.hear(1)
        assert relay.the_conversation().received == 0

    def test_a_forged_request_of_a_stranger_is_told_nothing(self, relay: TwinRelay) -> None:
        with pytest.raises(Rejected) as rejected:
            relay.hear(1, sender=STRANGER, token="wrong")
        assert rejected.value.status == 403
        assert "fallback_sent" not in relay.journal.actions


class TestOpeningAConversation:
    @pytest.fixture(autouse=True)
    def _open_door(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(unknown_senders=UnknownSender.OPEN_CONVERSATION))

    def test_a_stranger_opens_a_conversation_and_is_answered(self, relay: TwinRelay) -> None:
        relay.hear(1, "hi", sender=STRANGER)
        relay.run_until_quiet()
        (made,) = relay.conversations.of_person(STRANGER)
        assert (made.company_id, made.project_id, made.channel) == ("company-1", "project-1", Channel.WHATSAPP)
        assert made.own_addresses == {Channel.WHATSAPP: cast.OWN_ADDRESS}
        assert relay.provider.texts == ["You said: hi"]
        assert relay.provider.taken[0].recipient == STRANGER

    def test_the_next_message_belongs_to_it(self, relay: TwinRelay) -> None:
        for number in (1, 2):
            relay.hear(number, sender=STRANGER)
        (made,) = relay.conversations.of_person(STRANGER)
        assert made.received == 2

    def test_two_strangers_have_two_histories(self, relay: TwinRelay) -> None:
        for number, stranger in enumerate((STRANGER, "+447700900998"), start=1):
            relay.hear(number, sender=stranger)
        relay.run_until_quiet()
        ids = {each.key.conversation_id for each in relay.conversations.all() if each.key != cast.KEY}
        assert len(ids) == 2
        for conversation_id in ids:
            assert len(relay.history.of(conversation_id)) == 2

    def test_stop_opens_nothing(self, relay: TwinRelay) -> None:
        assert relay.hear(1, "STOP", sender=STRANGER, OptOutType="STOP") == EMPTY
        assert list(relay.conversations.of_person(STRANGER)) == []


class TestAuthenticity:
    def test_a_wrong_signature_reads_no_record_and_writes_nothing(self, relay: TwinRelay) -> None:
        with pytest.raises(Rejected) as rejected:
            relay.hear(1, token="wrong")
        assert (rejected.value.status, rejected.value.reason) == (403, "signature_wrong")
        assert relay.the_conversation().received == 0

    def test_a_missing_signature_reads_nothing_at_all(self, relay: TwinRelay) -> None:
        everything = {"tenants", "secrets", "conversations", "history"}
        form = webhooks.message_form("SM1", "x", sender="whatsapp:+1", recipient="whatsapp:+2")
        request = replace(webhooks.signed("/whatsapp", form), headers={})
        relay.process = relay.process.through(lambda name, port: None if name in everything else port)
        with pytest.raises(Rejected) as rejected:
            relay.receive(request)
        assert (rejected.value.status, rejected.value.reason) == (403, "signature_missing")

    def test_a_body_that_is_too_large_is_turned_away(self, relay: TwinRelay) -> None:
        form = webhooks.message_form("SM1", "x" * 200_000, sender="whatsapp:+1", recipient="whatsapp:+2")
        with pytest.raises(Rejected) as rejected:
            relay.receive(webhooks.signed("/whatsapp", form))
        assert rejected.value.status == 413

    def test_a_conversations_own_credentials_are_believed_for_it(self, relay: TwinRelay) -> None:
        relay.secrets.put("own/secret", {"auth_token": "own-token"})
        opened(relay, credentials={Channel.WHATSAPP: "own/secret"})
        relay.hear(1, token="own-token")
        assert relay.the_conversation().received == 1

    def test_and_not_for_another_conversation_of_the_person(self, relay: TwinRelay) -> None:
        relay.secrets.put("own/secret", {"auth_token": "own-token"})
        other = ConversationKey(cast.PERSON, "other")
        own = {Channel.WHATSAPP: "+447700900777"}
        opened(relay, key=other, own_addresses=own, credentials={Channel.WHATSAPP: "own/secret"})
        with pytest.raises(Rejected):
            relay.hear(1, token="own-token")
        assert (relay.the_conversation().received, relay.the_conversation(other).received) == (0, 0)

    def test_a_rotated_token_is_believed_within_a_minute_of_the_first_one_that_failed(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=61)
        relay.secrets.put(cast.TWILIO_SECRET, {"auth_token": "new-token"}, cast.TWILIO_VALUE)
        relay.hear(2, token="new-token")
        assert relay.the_conversation().received == 2

    def test_forged_requests_buy_no_secret_reads(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.clock.advance(seconds=61)
        reads = relay.secrets.reads
        for number in range(2, 10):
            with pytest.raises(Rejected):
                relay.hear(number, token="wrong")
        assert relay.secrets.reads == reads + 1


class TestLookup:
    def test_the_newest_open_conversation_with_this_address_gets_the_message(self, relay: TwinRelay) -> None:
        newer = ConversationKey(cast.PERSON, "newer")
        elsewhere = ConversationKey(cast.PERSON, "elsewhere")
        opened(relay, key=newer, created_at="2026-11-21T09:00:00.000Z")
        own = {Channel.WHATSAPP: "+447700900777"}
        opened(relay, key=elsewhere, own_addresses=own, created_at="2026-11-22T09:00:00.000Z")
        relay.hear(1)
        received = {each.key.conversation_id: each.received for each in relay.conversations.all()}
        assert received == {"newer": 1, "elsewhere": 0, cast.CONVERSATION_ID: 0}

    def test_a_person_is_found_by_either_of_two_addresses(self, relay: TwinRelay) -> None:
        relay.hear(1, sender="US.ABC123", ExternalUserId=f"whatsapp:{cast.PERSON}")
        assert relay.the_conversation().received == 1
        relay.run_until_quiet()
        assert relay.provider.taken[0].recipient == "US.ABC123"

    def test_a_tenant_is_found_by_its_messaging_service(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(address="MG1"))
        opened(relay, own_addresses={Channel.WHATSAPP: "MG1"})
        relay.hear(1, recipient="+447700900555", MessagingServiceSid="MG1")
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1"]

    def test_a_repetition_goes_where_the_message_went_although_a_newer_conversation_was_opened(
        self, relay: TwinRelay
    ) -> None:
        relay.hear(1)
        newer = ConversationKey(cast.PERSON, "newer")
        opened(relay, key=newer, created_at="2026-11-22T09:00:00.000Z")
        relay.hear(1)
        assert (relay.the_conversation().received, relay.the_conversation(newer).received) == (1, 0)


def test_positions_in_the_history_sort_in_the_order_of_the_conversation() -> None:
    in_order = [
        Numbered.inbound(9),
        Numbered.answer(9, 0),
        Numbered.answer(9, 10),
        Numbered.human(9, START, "a"),
        Numbered.human(9, START + timedelta(seconds=1), "a"),
        Numbered.inbound(10),
        Numbered.inbound(1_000_000),
    ]
    assert sorted(in_order) == in_order
    assert [Numbered.number_of(position) for position in in_order] == [9, 9, 9, 9, 9, 10, 1_000_000]
