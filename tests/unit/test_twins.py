"""The manners of the twins that no contract covers: time, and a queue that repeats."""

from datetime import timedelta
from typing import Any

from chalicelib.context import context_of
from tests.twins.cast import conversation, waiting
from tests.twins.clock import START, CountingIdentifiers, TwinClock
from tests.twins.queues import TwinQueues


def context() -> Any:
    return context_of(conversation(), waiting(1), tenant=None, request_id="r", at=START)


def test_time_never_goes_back() -> None:
    clock = TwinClock()
    clock.advance(seconds=5)
    clock.advance_to(START)
    assert clock() == START + timedelta(seconds=5)


def test_no_two_identifiers_are_alike() -> None:
    identifiers = CountingIdentifiers("x")
    assert [identifiers(), identifiers()] == ["x-0001", "x-0002"]


class TestQueue:
    def test_a_delayed_message_comes_when_its_time_has_come(self) -> None:
        clock = TwinClock()
        queues = TwinQueues(clock)
        queues.wake_turn(context(), delay=timedelta(seconds=30))
        assert queues.receive("whatsapp-replies") is None
        clock.advance(seconds=30)
        assert queues.receive("whatsapp-replies") is not None

    def test_a_message_that_is_not_deleted_comes_again_after_the_visibility_timeout(self) -> None:
        clock = TwinClock()
        queues = TwinQueues(clock)
        queues.wake_sender(context())
        first = queues.receive("sender")
        assert first is not None
        assert queues.receive("sender") is None
        clock.advance(seconds=120)
        second = queues.receive("sender")
        assert second is not None
        assert second.attempt == 2

    def test_an_old_receipt_deletes_nothing(self) -> None:
        clock = TwinClock()
        queues = TwinQueues(clock)
        queues.wake_sender(context())
        first = queues.receive("sender")
        clock.advance(seconds=120)
        second = queues.receive("sender")
        assert first is not None
        assert second is not None
        queues.delete(first)
        assert len(queues.of("sender")) == 1
        queues.delete(second)
        assert queues.of("sender") == []

    def test_after_three_attempts_a_message_is_a_dead_letter(self) -> None:
        clock = TwinClock()
        queues = TwinQueues(clock)
        queues.wake_sender(context())
        attempts = []
        for _ in range(5):
            delivery = queues.receive("sender")
            attempts.append(delivery.attempt if delivery else None)
            clock.advance(seconds=120)
        assert attempts == [1, 2, 3, None, None]
        assert len(queues.dead_letters["sender"]) == 1

    def test_a_message_may_come_again_although_it_was_deleted(self) -> None:
        queues = TwinQueues(TwinClock())
        queues.wake_sender(context())
        delivery = queues.receive("sender")
        assert delivery is not None
        queues.delete(delivery)
        queues.repeat(delivery)
        assert queues.receive("sender") is not None
