"""Which state may follow which, walked through in full, and who owns a conversation."""

from itertools import pairwise, product

import pytest

from chalicelib.lifecycle import (
    FAILURES,
    NEXT,
    RANK,
    bare,
    human_reason,
    is_open,
    may_follow,
    nothing_may_be_sent,
    replaces_below,
)
from chalicelib.model import Channel, Delivery, Status
from tests.twins import cast
from tests.twins.relay import TwinRelay


def test_every_status_says_what_may_follow() -> None:
    assert set(NEXT) == set(Status)


def test_every_status_can_be_reached_from_the_beginning() -> None:
    reached, edge = {Status.INITIAL_MESSAGE_SENT}, [Status.INITIAL_MESSAGE_SENT]
    while edge:
        for following in NEXT[edge.pop()] - reached:
            reached.add(following)
            edge.append(following)
    assert reached == set(Status)


def test_a_person_may_write_whatever_the_status_is() -> None:
    assert all(may_follow(status, Status.USER_REPLY_RECEIVED) for status in Status)


def test_a_human_may_take_over_whatever_the_status_is_unless_it_is_over() -> None:
    assert {status for status in Status if not may_follow(status, Status.HANDED_OFF_TO_HUMAN)} == {Status.CLOSED}


def test_the_same_status_may_always_be_written_again() -> None:
    assert all(may_follow(status, status) for status in Status)


def test_no_answer_is_sent_that_was_not_ready() -> None:
    before = {status for status in Status if may_follow(status, Status.AI_RESPONSE_SENT)}
    assert before == {Status.AI_RESPONSE_READY, Status.AI_RESPONSE_SENT}


def test_the_stages_walk_only_along_the_table(relay: TwinRelay) -> None:
    """A conversation with answers, a failure, a human, an opt-out: every step is in the table."""
    seen = [relay.the_conversation().status]

    def look() -> None:
        seen.append(relay.the_conversation().status)

    class Looking:
        def __getattr__(self, name: str) -> object:
            real = getattr(relay.conversations, name)

            def call(*args: object, **options: object) -> object:
                result = real(*args, **options)
                look()
                return result

            return call

    looking = Looking()
    relay.process = relay.process.through(lambda name, port: looking if name == "conversations" else port)
    relay.hear(1)
    relay.run_until_quiet()
    relay.hear(2)
    relay.run_until_quiet()
    relay.report(relay.provider.taken[-1], "failed", ErrorCode="30008")
    relay.hear(3)
    relay.give_back()
    relay.hear(4, "STOP", OptOutType="STOP")
    relay.hear(5, "START", OptOutType="START")
    relay.run_until_quiet()
    relay.take_over()
    steps = {(Status(before), Status(after)) for before, after in pairwise(seen)}
    assert {step for step in steps if not may_follow(*step)} == set()
    assert {Status.AI_RESPONSE_SENT, Status.SEND_FAILED, Status.OPTED_OUT} <= {after for _, after in steps}


def test_every_delivery_status_that_is_recorded_has_a_rank() -> None:
    assert set(RANK) == set(Delivery) - {Delivery.UNKNOWN}


@pytest.mark.parametrize(("before", "after"), list(product(RANK, RANK)))
def test_a_delivery_status_never_goes_back(before: Delivery, after: Delivery) -> None:
    gives_way = RANK[before] < replaces_below(after)
    if before in FAILURES or before == after:
        assert not gives_way
    if before in (Delivery.DELIVERED, Delivery.READ):
        assert gives_way == (before == Delivery.DELIVERED and after == Delivery.READ)


def test_the_first_reason_for_a_human_is_told() -> None:
    assert human_reason(cast.conversation()) is None
    assert human_reason(cast.conversation(handed_off=True, opted_out=True)) == "handed_off"


@pytest.mark.parametrize("status", [None, "", "active", "Active", "ACTIVE"])
def test_a_project_without_a_status_is_active(status: str | None) -> None:
    assert human_reason(cast.conversation(project_status=status)) is None


def test_the_channel_that_an_answer_would_take_decides_whether_it_is_allowed() -> None:
    allowed = {"allowed_channels": ("sms",), "channel": Channel.WHATSAPP}
    assert human_reason(cast.conversation(**allowed)) == "channel_not_allowed"
    by_sms = (cast.waiting(1, channel=Channel.SMS),)
    assert human_reason(cast.conversation(**allowed, waiting=by_sms)) is None


def test_a_sender_on_the_list_is_found_by_the_address_that_was_written_from() -> None:
    waiting = (cast.waiting(1, sender="US.ABC"),)
    assert human_reason(cast.conversation(auto_queue_senders=("whatsapp:US.ABC",), waiting=waiting)) == "auto_queue"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"status": "closed"}, False),
        ({"status": "CLOSED"}, False),
        ({"status": "anything"}, True),
        ({"expires_at": 999}, False),
        ({"expires_at": 1_000}, False),
        ({"expires_at": 1_001}, True),
    ],
)
def test_a_conversation_is_open_until_it_is_closed_or_expired(changes: dict[str, object], expected: bool) -> None:
    assert is_open(cast.conversation(**changes), 1_000) == expected


def test_who_opted_out_or_never_consented_gets_nothing() -> None:
    assert nothing_may_be_sent(cast.conversation(opted_out=True))
    assert nothing_may_be_sent(cast.conversation(consent=False))
    assert not nothing_may_be_sent(cast.conversation(handed_off=True))


@pytest.mark.parametrize(
    "spelling",
    ["+447700900101", "whatsapp:+447700900101", "447700900101", " +44 7700 900 101", "whatsapp: +447700900101"],
)
def test_an_address_is_the_same_however_it_is_spelled(spelling: str) -> None:
    assert bare(spelling) == "447700900101"


def test_a_business_scoped_id_is_an_address_too() -> None:
    assert bare("whatsapp:US.ABC123") == bare("us.abc123")
