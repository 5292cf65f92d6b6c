"""Steps that begin at the same instant: whoever keeps the records, each of them happens whole or not at all."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from chalicelib.model import Conversation, Delivery, Numbered
from tests.contract.shelves import Shelf
from tests.contract.test_conversations import claimed, heard, put, seen, texts
from tests.contract.test_other_ports import House, answer, cid, house, on_every_table
from tests.twins.cast import outgoing, waiting
from tests.twins.clock import START

__all__ = ["cid", "house"]


@pytest.fixture(params=range(3))
def attempt(request: pytest.FixtureRequest) -> int:
    """Not every run of a race is close, so each is run several times."""
    return int(request.param)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act returns, if all begin together."""
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def repeated(times: int, act: Callable[[int], Any]) -> Sequence[Callable[[], Any]]:
    return [lambda number=number: act(number) for number in range(times)]  # type: ignore[misc]


@pytest.mark.usefixtures("attempt")
class TestRecords:
    def test_of_many_turns_at_once_one_commits(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)

        def commit(number: int) -> Any:
            return shelf.port.commit(before, outgoing(0, 1, name=f"answer-{number}"), newer_may_wait=False)

        winners = [after for after in at_once(*repeated(4, commit)) if after is not None]
        assert len(winners) == 1
        assert seen(shelf, before.key) == winners[0]

    def test_a_takeover_and_a_commit_at_once_have_one_winner(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        hands = {"reason": "r", "status": "ai_failed", "drop_outgoing": False}
        committed, taken = at_once(
            lambda: shelf.port.commit(before, outgoing(0, 1), newer_may_wait=True),
            lambda: shelf.port.change_hands(before, to_human=True, **hands),
        )
        assert (committed is None) != (taken is None)
        after = seen(shelf, before.key)
        assert (after.handed_off, after.outgoing is None) == (taken is not None, committed is None)

    def test_of_many_claims_and_a_takeover_the_record_tells_who_won(self, shelf: Shelf) -> None:
        before = shelf.port.commit(heard(shelf, 1), outgoing(0, 1), newer_may_wait=False)
        assert before is not None
        hands = {"reason": "r", "status": "ai_failed", "drop_outgoing": True}
        *claims, taken = at_once(
            *repeated(3, lambda number: shelf.port.claim(before.key, claim=f"sender-{number}", at=START)),
            lambda: shelf.port.change_hands(before, to_human=True, **hands),
        )
        granted = [claim for claim in claims if claim.granted]
        assert len(granted) + (taken is not None) == 1
        assert (seen(shelf, before.key).outgoing is None) == (taken is not None)

    def test_a_message_that_comes_while_an_answer_is_finished_is_listed(self, shelf: Shelf) -> None:
        before = claimed(shelf, 1)
        finished, recorded = at_once(
            lambda: shelf.port.finish(before, at=START),
            lambda: shelf.port.record(before, waiting(2), opted_out=None),
        )
        assert finished is not None
        after = seen(shelf, before.key)
        assert (recorded.number, texts(after), after.outgoing) == (2, ["message 2"], None)
        assert after.unanswered_since is not None

    def test_a_message_that_comes_while_a_human_is_told_is_not_closed_with_the_others(self, shelf: Shelf) -> None:
        before = heard(shelf, 1, hand_off_to_human=True)
        closed, recorded = at_once(
            lambda: shelf.port.close(before),
            lambda: shelf.port.record(before, waiting(2), opted_out=None),
        )
        after = seen(shelf, before.key)
        assert recorded.number == 2
        assert texts(after) == (["message 1", "message 2"] if closed is None else ["message 2"])
        assert after.unanswered_since is not None

    def test_of_many_rescuers_at_once_one_counts(self, shelf: Shelf) -> None:
        before = heard(shelf, 1)
        counted = at_once(*repeated(4, lambda _: shelf.port.rescued(before, at=START)))
        assert [each is not None for each in counted].count(True) == 1
        assert seen(shelf, before.key).rescues == 1

    def test_of_many_who_open_the_same_record_one_does(self, shelf: Shelf) -> None:
        key = replace(put(shelf).key, conversation_id="not there yet")
        opened = at_once(*repeated(4, lambda _: shelf.port.open(Conversation(key=key, company_name="Cucumber"))))
        assert opened.count(True) == 1


@on_every_table
@pytest.mark.usefixtures("attempt")
class TestHistory:
    def test_of_callbacks_at_once_the_furthest_status_stays(self, house: House, cid: str) -> None:
        house.history.begin(answer(cid))
        order = (Delivery.SENT, Delivery.READ, Delivery.QUEUED, Delivery.DELIVERED)
        position = Numbered.answer(1, 0)

        def mark(number: int) -> Any:
            status = order[number]
            return house.history.mark(cid, position, status=status, provider_id="SM1", error_code=None, at=START)

        marked = at_once(*repeated(len(order), mark))
        assert [each.had_provider_id for each in marked if each.advanced].count(False) == 1
        assert house.history.latest(cid, limit=1)[0].status == Delivery.READ

    def test_what_is_begun_at_once_is_begun_once(self, house: House, cid: str) -> None:
        entries = [replace(answer(cid), text=f"by {number}") for number in range(4)]
        at_once(*repeated(4, lambda number: house.history.begin(entries[number])))
        (found,) = house.history.latest(cid, limit=10)
        house.history.begin(replace(answer(cid), text="by a late one"))
        assert list(house.history.latest(cid, limit=10)) == [found]

    def test_of_many_fallbacks_at_once_one_may_go_out(self, house: House, cid: str) -> None:
        day = timedelta(hours=24)
        may = at_once(*repeated(4, lambda _: house.fallbacks.may_send("whatsapp:+1", cid, at=START, window=day)))
        assert may.count(True) == 1
