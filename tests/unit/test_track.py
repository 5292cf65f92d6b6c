"""Stage 4: what the provider says of a message moves forward only, and settles what was in doubt."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import Rejected, TryAgain
from chalicelib.model import Answer, Channel, Delivery, HistoryEntry, OutgoingState, Status
from tests.twins import cast, webhooks
from tests.twins.provider import Silence, Taken
from tests.twins.relay import TwinRelay, opened


def answered(relay: TwinRelay, number: int = 1) -> Taken:
    relay.hear(number)
    relay.run_until_quiet()
    return relay.provider.taken[-1]


def in_doubt(relay: TwinRelay, silence: Silence = Silence.AFTER_TAKING, *, parts: int = 1) -> list[Taken]:
    """An answer whose last part went out without an answer from the provider."""
    relay.engine.says(Answer(text="\n\n".join(f"part {part} {'.' * 1_500}" for part in range(parts))))
    relay.provider.reacts(*[None] * (parts - 1), silence)
    relay.hear(1)
    relay.run_until_quiet()
    outgoing = relay.the_conversation().outgoing
    assert outgoing is not None
    assert outgoing.state == OutgoingState.CLAIMED
    return relay.provider.taken


def entry(relay: TwinRelay, part: int = 0) -> HistoryEntry:
    return [each for each in relay.history.of(cast.CONVERSATION_ID) if "-ai#" in each.position][part]


class TestStatuses:
    def test_they_move_forward_in_whatever_order_they_come(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        for status in ("delivered", "sent", "queued", "read", "delivered"):
            relay.report(taken, status)
        assert entry(relay).status == Delivery.READ
        advanced = [line["advanced"] for line in relay.journal.of("status_received")]
        assert advanced == [True, False, False, True, False]

    def test_a_repeated_callback_changes_nothing(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        relay.report(taken, "sent")
        before = (entry(relay), relay.the_conversation())
        relay.report(taken, "sent")
        assert (entry(relay), relay.the_conversation()) == before

    def test_a_word_that_nobody_knows_is_logged_and_recorded_nowhere(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        before = entry(relay)
        relay.report(taken, "teleported")
        assert entry(relay) == before
        assert "status_unknown" in relay.journal.actions

    def test_each_part_has_a_status_of_its_own(self, relay: TwinRelay) -> None:
        relay.engine.says(Answer(text="word " * 600))
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[1], "read")
        assert [entry(relay, part).status for part in (0, 1)] == [Delivery.QUEUED, Delivery.READ]

    def test_a_message_of_which_the_history_says_nothing_is_no_error(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        relay.history._entries.clear()
        relay.report(taken, "delivered")
        assert relay.history.of(cast.CONVERSATION_ID) == []


class TestFailures:
    def test_an_answer_that_did_not_arrive_is_a_humans_business(self, relay: TwinRelay) -> None:
        relay.report(answered(relay), "undelivered", ErrorCode="63016")
        after = relay.the_conversation()
        assert (after.status, after.handed_off, after.handed_off_reason) == (
            Status.SEND_FAILED,
            True,
            "not_delivered:63016",
        )
        assert [message.context.message.body for message in relay.handed_over] == ["message 1"]
        assert (entry(relay).status, entry(relay).error_code) == (Delivery.UNDELIVERED, "63016")

    def test_a_repeated_failure_tells_the_human_once(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        for _ in range(3):
            relay.report(taken, "failed", ErrorCode="30008")
        assert len(relay.handed_over) == 1

    def test_a_failure_of_an_answer_that_a_later_one_has_followed_changes_no_hands(self, relay: TwinRelay) -> None:
        first = answered(relay, 1)
        answered(relay, 2)
        relay.report(first, "failed", ErrorCode="30008")
        assert not relay.the_conversation().handed_off
        assert entry(relay, 0).status == Delivery.FAILED

    def test_a_failure_before_everything_is_written_is_repeated_by_the_next_callback(self, relay: TwinRelay) -> None:
        taken, process = answered(relay), relay.process

        class Broken:
            def __getattr__(self, name: str) -> Any:
                if name == "hand_to_human":
                    raise TryAgain("busy")
                return getattr(relay.queues, name)

        relay.process = process.through(lambda name, port: Broken() if name == "queues" else port)
        with pytest.raises(TryAgain):
            relay.report(taken, "failed", ErrorCode="30008")
        relay.process = process
        relay.report(taken, "failed", ErrorCode="30008")
        relay.run_until_quiet(sweeping=True)
        assert len(relay.handed_over) == 1
        assert entry(relay).status == Delivery.FAILED


class TestSettling:
    @pytest.mark.parametrize("status", ["queued", "sent", "delivered", "read"])
    def test_the_first_callback_settles_an_answer_in_doubt(self, relay: TwinRelay, status: str) -> None:
        (taken,) = in_doubt(relay)
        relay.report(taken, status)
        after = relay.the_conversation()
        assert (after.outgoing, after.unanswered_since, after.status) == (None, None, Status.AI_RESPONSE_SENT)
        assert entry(relay).provider_id == taken.provider_id

    def test_who_wrote_meanwhile_is_answered_next(self, relay: TwinRelay) -> None:
        (taken,) = in_doubt(relay)
        relay.hear(2)
        relay.run_until_quiet()
        relay.report(taken, "sent")
        relay.run_until_quiet()
        assert relay.provider.texts[1:] == ["You said: message 2"]

    def test_the_callback_of_an_earlier_part_does_not_settle_the_rest(self, relay: TwinRelay) -> None:
        taken = in_doubt(relay, parts=2)
        relay.report(taken[0], "delivered")
        outgoing = relay.the_conversation().outgoing
        assert outgoing is not None
        assert outgoing.unsent == [1]
        relay.report(taken[1], "delivered")
        assert relay.the_conversation().outgoing is None

    def test_a_callback_that_overtakes_finish_leads_to_one_end(self, relay: TwinRelay) -> None:
        class Quick:
            """Calls back before the record forgets the answer."""

            def __getattr__(self, name: str) -> Any:
                return getattr(relay.conversations, name)

            def finish(self, *args: Any, **options: Any) -> Any:
                relay.report(relay.provider.taken[0], "sent")
                return relay.conversations.finish(*args, **options)

        quick = relay.process.through(lambda name, port: Quick() if name == "conversations" else port)
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        quick.send(relay.queues.of("sender")[0].context)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["You said: message 1"]
        assert relay.the_conversation().outgoing is None
        assert entry(relay).status == Delivery.SENT

    def test_a_late_callback_saves_an_answer_that_was_to_be_sent_again(self, relay: TwinRelay) -> None:
        """The list did not show it, so it became READY; then the callback came."""
        (taken,) = in_doubt(relay)
        listed, relay.provider.taken = relay.provider.taken, []
        relay.clock.advance(seconds=200)
        relay.sweep()
        relay.provider.taken = listed
        relay.report(taken, "delivered")
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.asked == 1
        assert relay.the_conversation().outgoing is None

    def test_the_callback_of_another_answer_settles_nothing(self, relay: TwinRelay) -> None:
        before = answered(relay)
        relay.provider.reacts(Silence.WITHOUT_TAKING)
        relay.hear(2)
        relay.run_until_quiet()
        relay.report(before, "read")
        assert relay.the_conversation().outgoing is not None


class TestAuthenticity:
    def test_a_wrong_signature_changes_nothing(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        before = entry(relay)
        with pytest.raises(Rejected) as rejected:
            relay.report(taken, "failed", token="wrong")
        assert rejected.value.status == 403
        assert entry(relay) == before

    def test_a_reference_that_these_credentials_did_not_make_is_unknown(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        form = webhooks.status_form(
            taken.provider_id, "read", sender=f"whatsapp:{taken.sender}", recipient="whatsapp:+1"
        )
        with pytest.raises(Rejected) as rejected:
            relay.track(webhooks.signed("/status/nonsense", form), "nonsense")
        assert rejected.value.status == 404

    def test_a_tenant_cannot_report_on_the_messages_of_another(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        relay.tenants.put(cast.tenant(address="+447700900666", credentials_reference="other"))
        relay.secrets.put("other", {"auth_token": "other-token"})
        with pytest.raises(Rejected) as rejected:
            relay.report(replace(taken, sender="+447700900666"), "failed", token="other-token")
        assert rejected.value.status == 404
        assert entry(relay).status == Delivery.QUEUED

    def test_a_conversations_own_credentials_are_believed(self, relay: TwinRelay) -> None:
        relay.secrets.put("own/secret", {"auth_token": "own-token"})
        opened(relay, credentials={Channel.WHATSAPP: "own/secret"})
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "delivered", token="own-token")
        assert entry(relay).status == Delivery.DELIVERED

    def test_a_callback_that_was_sealed_before_a_rotation_is_still_understood(self, relay: TwinRelay) -> None:
        taken = answered(relay)
        relay.clock.advance(seconds=61)
        relay.secrets.put(cast.TWILIO_SECRET, {"auth_token": "new-token"}, cast.TWILIO_VALUE)
        relay.report(taken, "delivered", token="new-token")
        assert entry(relay).status == Delivery.DELIVERED

    @pytest.mark.parametrize("missing", ["MessageSid", "MessageStatus"])
    def test_a_body_that_is_no_callback_is_unreadable(self, relay: TwinRelay, missing: str) -> None:
        form = webhooks.status_form("SM1", "sent", sender="whatsapp:+1", recipient="whatsapp:+2")
        without = {
            name: value for name, value in form.items() if name not in (missing, missing.replace("Message", "Sms"))
        }
        with pytest.raises(Rejected) as rejected:
            relay.track(webhooks.signed("/status/x", without), "x")
        assert rejected.value.status == 400


def test_the_log_of_a_callback_holds_nothing_personal(relay: TwinRelay) -> None:
    relay.report(answered(relay), "failed", ErrorCode="63016")
    for secret in (cast.PERSON, cast.OWN_ADDRESS, "message 1'"):
        assert secret not in relay.journal.text()
