"""The model's moves are the code's moves: every update that the model makes is made on the real store, and compared."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from moto import mock_aws

from chalicelib.model import Conversation
from tests.contract.shelves import Shelf, TableShelf, TwinShelf, build, sdk
from tests.model import concrete, stages, updates
from tests.model.explore import Exploration
from tests.model.routing import CLOSES, GIVES_BACK
from tests.model.rules import Rules
from tests.model.world import NO_ANSWER, NO_RECORD, Answer, Process, Record, World
from tests.twins.cast import KEY, waiting
from tests.twins.clock import START

#: Small runs that together reach every update, also in states in which it is refused.
RUNS = (
    Rules(messages=2, faults=1, handovers=0, long_bursts=1),
    Rules(messages=1, faults=1, handovers=2),
    Rules(messages=1, faults=0, handovers=1, flips=1),
    Rules(messages=1, faults=1, handovers=0, parts=2),
    Rules(messages=1, faults=1, handovers=1, promises=True),
)

RULES = Rules()

#: How many of them are tried on DynamoDB, which is slower than the twin.
ON_MOTO = 130


@dataclass(frozen=True, order=True)
class Update:
    """One update as the model makes it: what is in the table, and what the process that makes it has read."""

    name: str
    now: Record
    seen: Record = NO_RECORD
    answer: Answer = NO_ANSWER
    parts: int = 1
    promises: bool = False  #: COMMIT: of the promise that a human answers
    flag: bool = False  #: COMMIT: newer messages may wait; HAND OVER: the answer is dropped; a part: its sender goes on


def _made_by(process: Process, now: Record, rules: Rules) -> Iterator[Update]:
    step, seen, answer, parts = process.step, process.seen, process.answer, rules.parts
    if step == CLOSES:
        yield Update("close", now, seen, parts=parts)
    elif step == stages.COMMITS:
        may_wait = process.burst_over and not process.promises
        yield Update("commit", now, seen, flag=may_wait, promises=process.promises, parts=parts)
    elif step == stages.HANDS_OVER_SEEN:
        ready = bool(seen.outgoing) and not seen.outgoing.claimed
        yield Update("hand_over", now, seen, flag=ready, parts=parts)
    elif step == stages.HANDS_OVER:
        yield Update("hand_over", now, now, flag=bool(now.outgoing) and not now.outgoing.claimed, parts=parts)
    elif step == GIVES_BACK:
        yield Update("give_back", now, now, parts=parts)
    elif step == stages.FINISHES:
        yield Update("finish", now, answer=answer, parts=parts)
    elif step == stages.DROPS:
        yield Update("drop", now, answer=answer, parts=parts)
    elif step == stages.RELEASES:
        yield Update("release", now, answer=answer, parts=parts)
    elif step == stages.COUNTS_RESCUE:
        yield Update("rescued", now, seen, parts=parts)
    elif step == stages.NOTES_PART:
        yield Update("sent_part", now, answer=answer, parts=parts, flag=process.who == "sender")


def _made_in(world: World, rules: Rules) -> Iterator[Update]:
    for process in world.processes:
        yield from _made_by(process, world.record, rules)
    yield Update("claim", world.record, parts=rules.parts)
    yield Update("record", world.record, parts=rules.parts)
    yield Update("record_again", world.record, parts=rules.parts)


@pytest.fixture(scope="module")
def all_updates() -> list[Update]:
    """Every update that is made, or tried, in any state of the small runs."""
    found: set[Update] = set()
    for rules in RUNS:
        exploration = Exploration(rules)
        assert exploration.run().violation is None
        for world in exploration.states:
            found.update(_made_in(world, rules))
    return sorted(found)


def _by_model(update: Update, rules: Rules = RULES) -> Record | None:
    now, seen, answer = update.now, update.seen, update.answer
    made: dict[str, Callable[[], Record | None]] = {
        "record": lambda: updates.record(now, rules),
        "record_again": lambda: now,
        "close": lambda: updates.close(now, seen, rules),
        "commit": lambda: updates.commit(now, seen, newer_may_wait=update.flag, promises=update.promises, rules=rules),
        "claim": lambda: updates.claim(now, rules),
        "sent_part": lambda: updates.sent_part(now, answer, answer.out[-1], goes_on=update.flag),
        "finish": lambda: updates.finish(now, answer, rules),
        "drop": lambda: updates.drop(now, answer, rules),
        "release": lambda: updates.release(now, answer, rules),
        "hand_over": lambda: updates.hand_over(now, seen, drop_outgoing=update.flag, rules=rules),
        "give_back": lambda: updates.give_back(now, seen),
        "rescued": lambda: updates.rescued(now, seen),
    }
    return made[update.name]()


def _by_code(update: Update, shelf: Shelf) -> Conversation | None:
    port, now, answer = shelf.port, update.now, update.answer
    if update.seen != NO_RECORD or update.name in ("record", "record_again"):
        before = update.seen
    else:
        before = Record(received=answer.to, answered=answer.to, epoch=answer.epoch, outgoing=answer)
    seen = concrete.put(shelf, before, update.parts)
    concrete.put(shelf, now, update.parts)
    thought = Answer(seen.answered, seen.received, seen.epoch, promises=update.promises)
    answered = concrete.answer_of(thought, update.parts)
    committed = replace(answered, token="the token of another turn")

    def claim() -> Conversation | None:
        claimed = now.outgoing._replace(attempts=now.outgoing.attempts + 1, noted=0)
        claim = port.claim(KEY, claim=concrete.claim_of(claimed), at=concrete.claimed_at(claimed))
        return claim.conversation if claim.granted else None

    def sent_part() -> Conversation | None:
        part = answer.out[-1]
        token = seen.outgoing.token if seen.outgoing else ""
        claim = seen.outgoing.claim if seen.outgoing and update.flag else None
        return port.sent_part(KEY, token=token, part=part, provider_id=concrete.provider_id(answer, part), claim=claim)

    def change_hands(to_human: bool) -> Conversation | None:
        return port.change_hands(
            seen, to_human=to_human, reason="asked", status="handed_off_to_human", drop_outgoing=update.flag
        )

    made: dict[str, Callable[[], Conversation | None]] = {
        "record": lambda: port.record(seen, waiting(now.received + 1), opted_out=None).conversation,
        "record_again": lambda: _heard_again(shelf, seen, now),
        "close": lambda: port.close(seen),
        "commit": lambda: port.commit(seen, committed, newer_may_wait=update.flag),
        "claim": claim,
        "sent_part": sent_part,
        "finish": lambda: port.finish(seen, at=START),
        "drop": lambda: port.drop(seen),
        "release": lambda: port.release(seen),
        "hand_over": lambda: change_hands(True),
        "give_back": lambda: change_hands(False),
        "rescued": lambda: port.rescued(seen, at=START),
    }
    return made[update.name]()


def _heard_again(shelf: Shelf, seen: Conversation, now: Record) -> Conversation:
    """Every message comes in again, read before the first one was recorded."""
    for number in range(1, now.received + 1):
        recorded = shelf.port.record(seen, waiting(number), opted_out=None)
        assert (recorded.again, recorded.number) == (True, number)
    return concrete.read(shelf.port)


def _disagreement(update: Update, shelf: Shelf, rules: Rules = RULES) -> str | None:
    expected, after = _by_model(update, rules), _by_code(update, shelf)
    stands = concrete.read(shelf.port)
    returned = concrete.record_of(after) if after is not None else None
    if returned != expected:
        return f"{update}: the model says {expected}, the code {returned}"
    if concrete.record_of(stands) != (update.now if expected is None else expected):
        return f"{update}: the record is left as {concrete.record_of(stands)}"
    if list(concrete.waits(stands)) != list(range(stands.answered + 1, stands.received + 1)):
        return f"{update}: what waits is not what lies between answered and received"
    return None


def test_every_update_of_the_model_is_the_same_on_the_twin(all_updates: list[Update]) -> None:
    shelf = TwinShelf()
    assert [each for update in all_updates if (each := _disagreement(update, shelf))] == []


def test_updates_of_the_model_are_the_same_on_dynamodb(all_updates: list[Update]) -> None:
    with mock_aws():
        build(None)
        shelf = TableShelf(sdk("dynamodb", None))
        assert [each for update in _sample(all_updates) if (each := _disagreement(update, shelf))] == []


def test_every_kind_of_update_is_tried_and_both_granted_and_refused(all_updates: list[Update]) -> None:
    granted = {update.name for update in all_updates if _by_model(update) is not None}
    refused = {update.name for update in all_updates if _by_model(update) is None}
    always = {"record", "record_again", "give_back"}  # these read the record and try again
    assert (granted - refused, refused - granted) == (always, set())


def _sample(all_updates: list[Update]) -> list[Update]:
    """The same number of each kind, granted and refused."""
    kinds: dict[tuple[str, bool], list[Update]] = {}
    for update in random.Random(1).sample(all_updates, len(all_updates)):
        kinds.setdefault((update.name, _by_model(update) is None), []).append(update)
    return [update for kind in kinds.values() for update in kind[: ON_MOTO // len(kinds)]]


#: Protections that are conditions or effects of an update, so that the code has them or has not.
OF_UPDATES = (
    "commit_compares_answered",
    "commit_respects_humans",
    "commit_covers_the_burst",
    "claim_is_exclusive",
    "claim_compares_epoch",
    "claim_respects_humans",
    "claim_respects_the_person",
    "finish_compares_claim",
    "release_compares_claim",
    "close_compares_numbers",
    "hand_over_compares_numbers",
    "hand_over_indexes",
    "record_indexes",
    "drop_keeps_index",
    "finish_keeps_index",
    "finish_leaves_hand_over",
    "finish_hands_over",
)


@pytest.mark.parametrize("name", OF_UPDATES)
def test_a_model_without_a_protection_is_not_the_code(name: str, all_updates: list[Update]) -> None:
    shelf = TwinShelf()
    weaker = Rules().without(name)
    differing = [update for update in all_updates if _by_model(update, weaker) != _by_model(update)]
    assert _disagreement(differing[0], shelf, weaker) is not None
