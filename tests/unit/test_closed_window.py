"""WhatsApp's 24 hours are over: the tenant's template goes out instead, or a human acts; never the same text again."""

from datetime import timedelta

import pytest

from chalicelib.errors import Refused
from chalicelib.model import Author, Channel, Delivery, Refusal, Status, Template
from tests.twins import cast
from tests.twins.clock import START
from tests.twins.provider import Silence
from tests.twins.relay import TwinRelay, opened

CLOSED = Refused("63016", kind=Refusal.WINDOW_CLOSED)


@pytest.fixture
def relay() -> TwinRelay:
    template = Template("HX1", {"1": "{person_name}", "2": "{company_name}"})
    relay = TwinRelay(tenant=cast.tenant(closed_window=template))
    opened(relay, person_name="Ada")
    return relay


def without_template(relay: TwinRelay) -> None:
    relay.tenants.put(cast.tenant())


def templates(relay: TwinRelay) -> list[Template]:
    return [each.template for each in relay.provider.taken if each.template is not None]


FILLED = Template("HX1", {"1": "Ada", "2": "Cucumber Recruitment"})


class TestRefusedAtOnce:
    def test_the_template_goes_out_with_its_names(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED)
        relay.hear(1)
        relay.run_until_quiet()
        assert [each.template for each in relay.provider.taken] == [FILLED]
        after = relay.the_conversation()
        assert (after.handed_off, after.unanswered_since, after.outgoing) == (False, None, None)
        assert after.status == Status.AI_RESPONSE_SENT
        assert relay.handed_over == []

    def test_the_history_says_what_failed_and_what_went_out(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED)
        relay.hear(1)
        relay.run_until_quiet()
        _, answer, template = relay.history.of(cast.CONVERSATION_ID)
        assert (answer.status, answer.error_code) == (Delivery.FAILED, "63016")
        assert (template.author, template.text) == (Author.SYSTEM, "[template HX1]")
        assert template.provider_id == relay.provider.taken[0].provider_id

    def test_without_a_template_a_human_acts(self, relay: TwinRelay) -> None:
        without_template(relay)
        relay.provider.reacts(CLOSED)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.taken == []
        assert relay.the_conversation().handed_off_reason == "send_refused:63016"

    def test_a_template_that_is_refused_itself_is_a_humans_business(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED, CLOSED)
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.asked == 2
        assert len(relay.handed_over) == 1

    def test_a_human_who_takes_over_before_it_leaves_stops_it(self, relay: TwinRelay) -> None:
        def closed() -> None:
            relay.take_over()
            raise CLOSED

        relay.provider.reacts(closed)
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.taken == []
        assert relay.the_conversation().outgoing is None

    def test_who_has_written_since_is_a_humans_business(self, relay: TwinRelay) -> None:
        def closed() -> None:
            relay.hear(2)
            raise CLOSED

        relay.provider.reacts(closed)
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert templates(relay) == []
        assert relay.the_conversation().handed_off

    def test_a_template_in_doubt_is_settled_like_an_answer(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED, Silence.WITHOUT_TAKING)
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert templates(relay) == [FILLED]
        assert relay.the_conversation().unanswered_since is None

    def test_a_template_of_which_nobody_can_say_whether_it_is_out_is_not_repeated(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED, Silence.AFTER_TAKING)
        relay.hear(1)
        relay.run_until_quiet(sweeping=True)
        assert templates(relay) == [FILLED]


class TestReportedLater:
    def test_the_template_goes_out_once_however_often_it_is_reported(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        for _ in range(2):
            relay.report(relay.provider.taken[0], "undelivered", ErrorCode="63016")
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "failed", ErrorCode="63016")
        relay.run_until_quiet(sweeping=True)
        assert templates(relay) == [FILLED]
        after = relay.the_conversation()
        assert (after.handed_off, after.unanswered_since) == (False, None)

    def test_without_a_template_a_human_acts(self, relay: TwinRelay) -> None:
        without_template(relay)
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "undelivered", ErrorCode="63016")
        assert relay.the_conversation().handed_off_reason == "not_delivered:63016"

    def test_a_template_that_is_not_delivered_is_a_humans_business(self, relay: TwinRelay) -> None:
        relay.provider.reacts(CLOSED)
        relay.hear(1)
        relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "undelivered", ErrorCode="63016")
        relay.run_until_quiet(sweeping=True)
        assert len(templates(relay)) == 1
        assert len(relay.handed_over) == 1

    def test_who_has_been_answered_since_needs_no_template(self, relay: TwinRelay) -> None:
        for number in (1, 2):
            relay.hear(number)
            relay.run_until_quiet()
        relay.report(relay.provider.taken[0], "undelivered", ErrorCode="63016")
        relay.run_until_quiet()
        assert templates(relay) == []
        assert relay.handed_over == []


class TestKnownBefore:
    def late(self, relay: TwinRelay) -> None:
        """The answer is ready at once, and nobody sends it for more than a day."""
        relay.hear(1)
        relay.clock.advance(seconds=30)
        relay.work_off("whatsapp-replies")
        relay.queues.waiting.clear()
        relay.clock.advance(timedelta(hours=25))
        relay.run_until_quiet(sweeping=True)

    def test_a_text_is_not_even_tried(self, relay: TwinRelay) -> None:
        self.late(relay)
        assert [each.template for each in relay.provider.taken] == [FILLED]
        assert relay.provider.asked == 1

    def test_without_a_template_a_human_acts(self, relay: TwinRelay) -> None:
        without_template(relay)
        self.late(relay)
        assert relay.provider.asked == 0
        assert relay.the_conversation().handed_off_reason == "send_refused:window_closed"

    def test_an_sms_knows_no_window(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(channel=Channel.SMS))
        since = {"received": 1, "answered": 1, "unanswered_since": START, "last_inbound_at": START}
        answer = cast.outgoing(0, 1, channel=Channel.SMS)
        opened(relay, channel=Channel.SMS, outgoing=answer, status=Status.AI_RESPONSE_READY, **since)
        relay.clock.advance(timedelta(hours=25))
        relay.run_until_quiet(sweeping=True)
        assert relay.provider.texts == ["an answer"]


class TestTyping:
    def test_the_person_sees_that_somebody_is_writing(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(typing_indicator=True))
        relay.hear(1)
        relay.hear(2)
        relay.run_until_quiet()
        assert relay.provider.typed == [cast.message_id(2)]

    def test_nobody_sees_it_where_the_tenant_does_not_want_it(self, relay: TwinRelay) -> None:
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.typed == []

    def test_its_failure_does_not_matter(self, relay: TwinRelay) -> None:
        relay.tenants.put(cast.tenant(typing_indicator=True))
        relay.provider.lists.append(Refused("20003"))
        relay.hear(1)
        relay.run_until_quiet()
        assert relay.provider.texts == ["You said: message 1"]
        assert "typing_not_shown" in relay.journal.actions
