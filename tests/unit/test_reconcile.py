"""Messages that the provider took and could not deliver to us."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Channel, Inbound, Numbered, UnknownSender
from tests.twins import cast
from tests.twins.relay import TwinRelay

STRANGER = "+447700900999"


def received(relay: TwinRelay, number: int, **changes: Any) -> None:
    """The provider has this message; our webhook never got it."""
    known: dict[str, Any] = {
        "channel": Channel.WHATSAPP,
        "message_id": cast.message_id(number),
        "sender": cast.PERSON,
        "recipient": cast.OWN_ADDRESS,
        "text": f"message {number}",
        "received_at": relay.clock(),
    }
    relay.provider.received.append(Inbound(**known | changes))


def later(relay: TwinRelay, minutes: int = 5) -> int:
    relay.clock.advance(timedelta(minutes=minutes))
    return relay.reconcile()


def test_a_message_that_we_never_got_is_taken_in_and_answered(relay: TwinRelay) -> None:
    received(relay, 1)
    assert later(relay) == 1
    relay.run_until_quiet()
    assert relay.provider.texts == ["You said: message 1"]
    assert len(relay.journal.of("message_reconciled")) == 1


def test_a_message_that_we_got_is_not_taken_in_again(relay: TwinRelay) -> None:
    relay.hear(1)
    relay.run_until_quiet()
    received(relay, 1)
    assert later(relay) == 0
    assert relay.the_conversation().received == 1


def test_several_runs_take_a_message_in_once(relay: TwinRelay) -> None:
    received(relay, 1)
    assert [later(relay) for _ in range(3)] == [1, 0, 0]
    relay.run_until_quiet()
    assert relay.provider.texts == ["You said: message 1"]


def test_messages_are_taken_in_in_the_order_in_which_they_were_written(relay: TwinRelay) -> None:
    for number in (1, 2, 3):
        received(relay, number)
        relay.clock.advance(seconds=1)
    later(relay)
    assert [message.text for message in relay.the_conversation().waiting] == ["message 1", "message 2", "message 3"]


def test_a_message_that_is_still_on_its_way_is_left_to_the_webhook(relay: TwinRelay) -> None:
    received(relay, 1)
    relay.clock.advance(seconds=30)
    assert relay.reconcile() == 0


def test_a_message_for_a_human_goes_to_the_human(relay: TwinRelay) -> None:
    relay.take_over()
    received(relay, 1)
    later(relay)
    assert relay.handed_over[-1].context.message.body == "message 1"


def test_a_stranger_is_not_told_anything_so_late(relay: TwinRelay) -> None:
    received(relay, 1, sender=STRANGER)
    assert later(relay) == 0
    assert relay.provider.taken == []


def test_a_stranger_who_may_open_a_conversation_does(relay: TwinRelay) -> None:
    relay.tenants.put(cast.tenant(unknown_senders=UnknownSender.OPEN_CONVERSATION))
    received(relay, 1, sender=STRANGER)
    assert later(relay) == 1
    assert len(relay.conversations.of_person(STRANGER)) == 1


@pytest.mark.parametrize("failure", [TryAgain("down"), Refused("20003")])
def test_a_tenant_whose_provider_fails_does_not_keep_the_others_waiting(relay: TwinRelay, failure: Exception) -> None:
    relay.tenants.put(cast.tenant(address="+447700900002"))
    received(relay, 1)
    relay.provider.received.append(relay.provider.received[0])
    relay.provider.lists.append(failure)
    later(relay)
    assert "reconcile_failed" in relay.journal.actions
    assert later(relay) == 1


def test_a_tenant_without_credentials_is_passed_over(relay: TwinRelay) -> None:
    relay.tenants.put(cast.tenant(credentials_reference=None))
    received(relay, 1)
    assert later(relay) == 0


def test_what_a_taking_over_closed_before_the_history_had_it_is_found_again(relay: TwinRelay) -> None:
    for number in range(1, 22):
        relay.hear(number)
    del relay.history._entries[cast.CONVERSATION_ID, Numbered.inbound(21)]
    relay.take_over()
    received(relay, 21)
    later(relay)
    found = relay.history.of(cast.CONVERSATION_ID)[-1]
    assert (found.number, found.text) == (21, "message 21")
    assert relay.the_conversation().received == 21
