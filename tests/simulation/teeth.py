"""The protections of the protocol, each removed in turn: a simulation that does not notice is blind there."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any

from greenlet import getcurrent  # type: ignore[import-untyped]

from chalicelib import entries, handoff, receive, reply, rescue, send, settle, track
from chalicelib.errors import TryAgain, Unconfirmed
from chalicelib.lifecycle import human_reason
from chalicelib.model import Conversation, ConversationKey, Outgoing, OutgoingState, Status
from chalicelib.outbound import conclude, note_failure
from tests.simulation.provider import Sender
from tests.simulation.scenario import drawn
from tests.simulation.simulation import run
from tests.twins.history import TwinHistory
from tests.twins.store import TwinConversations

#: A protection that no seed of so many misses is not seen by the simulation.
MOST_SEEDS = 20_000


@dataclass(frozen=True, slots=True)
class Protection:
    """Something without which an invariant breaks; `remove` takes it away for a while."""

    name: str
    sentence: str
    remove: Callable[[], Any]
    breaks: str  #: the invariants that must be seen to break, one of them at least


@dataclass(frozen=True, slots=True)
class Found:
    """How the simulation noticed that a protection was missing."""

    name: str
    seeds: int | None  #: how many it took; None if none noticed
    seed: int | None
    invariants: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        took = f"{self.seeds:>6} seeds" if self.seeds else "   NOT FOUND"
        return f"{self.name:<36} {took} {self.seconds:>7.1f} s  {', '.join(self.invariants)}"


@contextmanager
def _swapped(owner: Any, **changes: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in changes}
    for name, value in changes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def _store(**changes: Callable[..., Any]) -> Callable[[], Any]:
    """Steps of the record's twin, each made of the original one."""
    originals = {name: getattr(TwinConversations, name) for name in changes}
    weak = {name: _bound(change, originals[name]) for name, change in changes.items()}
    return lambda: _swapped(TwinConversations, **weak)


def _bound(change: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: TwinConversations, *arguments: Any, **named: Any) -> Any:
        return change(self, original, *arguments, **named)

    return method


def _pretending(store: TwinConversations, key: ConversationKey, step: Callable[[], Any], **lies: Any) -> Any:
    """A step that sees the record with these values; what it does not change is as it was."""
    before = store.get(key)
    if before is None:
        return step()
    truth = {name: getattr(before, name) for name in lies}
    lie = store.put(replace(before, **lies))
    result = step()
    after = store.get(key)
    assert after is not None
    if after is lie:
        store.put(before)
    else:
        unchanged = {name: value for name, value in truth.items() if getattr(after, name) == lies[name]}
        store.put(replace(after, **unchanged))
    return result


def _now(store: TwinConversations, seen: Conversation) -> Conversation:
    return store.get(seen.key) or seen


# the record


def _record_known_ids(store: Any, original: Any, seen: Any, message: Any, **named: Any) -> Any:
    now = _now(store, seen)
    ids = tuple("-" if each == message.message_id else each for each in now.recent_message_ids)
    store.put(replace(now, recent_message_ids=ids))
    return original(store, seen, message, **named)


def _record_into_a_closed_one(store: Any, original: Any, seen: Any, message: Any, **named: Any) -> Any:
    closed = _now(store, seen).status == Status.CLOSED
    lies = {"status": Status.USER_REPLY_RECEIVED.value} if closed else {}
    return _pretending(store, seen.key, lambda: original(store, seen, message, **named), **lies)


def _commit_whatever_is_answered(store: Any, original: Any, seen: Any, *arguments: Any, **named: Any) -> Any:
    return original(store, replace(seen, answered=_now(store, seen).answered), *arguments, **named)


def _commit_in_any_epoch(store: Any, original: Any, seen: Any, *arguments: Any, **named: Any) -> Any:
    return original(store, replace(seen, epoch=_now(store, seen).epoch), *arguments, **named)


def _commit_whoever_owns(store: Any, original: Any, seen: Any, *arguments: Any, **named: Any) -> Any:
    return _pretending(store, seen.key, lambda: original(store, seen, *arguments, **named), handed_off=False)


def _commit_over_another(store: Any, original: Any, seen: Any, outgoing: Any, **named: Any) -> Any:
    now = _now(store, seen)
    if now.outgoing is not None and now.outgoing.token != outgoing.token:
        store.put(replace(now, outgoing=None))
        committed = original(store, seen, outgoing, **named)
        if committed is None:
            store.put(now)
        return committed
    return original(store, seen, outgoing, **named)


def _commit_although_newer_waits(store: Any, original: Any, *arguments: Any, newer_may_wait: bool) -> Any:
    return original(store, *arguments, newer_may_wait=True)


def _claim_in_any_epoch(store: Any, original: Any, key: Any, **named: Any) -> Any:
    now = store.get(key)
    if now is not None and now.outgoing is not None:
        store.put(replace(now, outgoing=replace(now.outgoing, epoch=now.epoch)))
    return original(store, key, **named)


def _claim_whoever_owns(store: Any, original: Any, key: Any, **named: Any) -> Any:
    lies = {"handed_off": False, "opted_out": False, "consent": True}
    return _pretending(store, key, lambda: original(store, key, **named), **lies)


def _claim_what_is_claimed(store: Any, original: Any, key: Any, **named: Any) -> Any:
    now = store.get(key)
    if now is not None and now.outgoing is not None:
        store.put(replace(now, outgoing=replace(now.outgoing, state=OutgoingState.READY)))
    return original(store, key, **named)


def _close_whatever_came_in(store: Any, original: Any, seen: Any) -> Any:
    return original(store, _now(store, seen))


def _finish_anybodys(store: Any, original: Any, seen: Any, **named: Any) -> Any:
    now = _now(store, seen)
    return original(store, now if now.outgoing is not None else seen, **named)


def _release_anybodys(store: Any, original: Any, seen: Any) -> Any:
    now = _now(store, seen)
    return original(store, now if now.outgoing is not None else seen)


def _drop_and_forget(store: Any, original: Any, seen: Any) -> Any:
    dropped = original(store, seen)
    if dropped is not None and not dropped.somebody_waits:
        return store.put(replace(dropped, unanswered_since=None))
    return dropped


def _finish_without_a_promise(store: Any, original: Any, seen: Any, **named: Any) -> Any:
    now = _now(store, seen)
    if now.outgoing is not None:
        store.put(replace(now, outgoing=replace(now.outgoing, hands_over=None)))
    return original(store, seen, **named)


def _commit_and_forget_the_apology(store: Any, original: Any, seen: Any, *arguments: Any, **named: Any) -> Any:
    after = original(store, seen, *arguments, **named)
    return store.put(replace(after, apologised=False)) if after is not None else None


def _forget_when_finished(store: Any, original: Any, seen: Any, **named: Any) -> Any:
    finished = original(store, seen, **named)
    if finished is not None and not finished.somebody_waits:
        return store.put(replace(finished, unanswered_since=None))
    return finished


def _note_parts_of_anybody(store: Any, original: Any, key: Any, **named: Any) -> Any:
    now = store.get(key)
    if "claim" in named and now is not None and now.outgoing is not None:
        named["claim"] = now.outgoing.claim
    return original(store, key, **named)


def _change_hands_within_an_epoch(store: Any, original: Any, seen: Any, **named: Any) -> Any:
    changed = original(store, seen, **named)
    return store.put(replace(changed, epoch=changed.epoch - 1)) if changed is not None else None


# the stages


def _without_waking_for_duplicates() -> Any:
    original = receive._record

    def weak(*arguments: Any, **named: Any) -> Any:
        recorded = original(*arguments, **named)
        return replace(recorded, number=0) if recorded.again else recorded

    return _swapped(receive, _record=weak)


def _without_waiting_for_the_newest() -> Any:
    original = reply._reason_to_drop

    def weak(*arguments: Any) -> Any:
        reason = original(*arguments)
        return None if reason == "newer_message" else reason

    return _swapped(reply, _reason_to_drop=weak)


def _without_one_at_a_time() -> list[Any]:
    """COMMIT alone need not look: an answer on its way that TAKE did not see has moved what is answered."""
    original = reply._reason_to_drop

    def weak(*arguments: Any) -> Any:
        reason = original(*arguments)
        return None if reason == "answer_on_its_way" else reason

    return [_swapped(reply, _reason_to_drop=weak), _store(commit=_commit_over_another)()]


def _without_history_before_commit() -> Any:
    """The history is written after COMMIT, if the process lives so long."""
    keep, go_on, pending = entries.keep_waiting, reply._with_status, dict[Any, Any]()

    def later(*arguments: Any) -> None:
        pending[getcurrent()] = arguments

    def then(*arguments: Any) -> Any:
        keep(*pending.pop(getcurrent()))
        return go_on(*arguments)

    return _swapped(reply, keep_waiting=later, _with_status=then)


def _without_waking_after_finish() -> list[Any]:
    def weak(sent: Any, **named: Any) -> None:
        conclude(sent, **{**named, "route": lambda *_, **__: "nobody"})

    return [_swapped(stage, conclude=weak) for stage in (send, track, settle)]


def _without_settling() -> Any:
    def weak(seen: Conversation, *, conversations: Any, route: Any) -> None:
        released = conversations.release(seen)
        if released is not None:
            route(released)

    return _swapped(settle, settle=weak)


def _without_leftovers() -> Any:
    original = settle._matched
    return _swapped(settle, _matched=lambda *arguments: (original(*arguments)[0], []))


def _without_telling_a_human() -> Any:
    def weak(claimed: Any, refusal: Any, conversations: Any, history: Any, take_over: Any, clock: Any, _: Any) -> None:
        note_failure(claimed, refusal.code, conversations=conversations, history=history, clock=clock)
        conversations.finish(claimed, at=clock())

    return _swapped(send, _refused=weak)


def _without_looking_for_the_newest() -> Any:
    original = handoff.pass_on

    @wraps(original)
    def weak(conversation: Conversation, *, context: Any = None, **named: Any) -> bool:
        ids = (*conversation.recent_message_ids, context.message.message_id) if context else ()
        told = replace(conversation, recent_message_ids=ids) if context else conversation
        return original(told, context=context, **named)

    return _swapped(handoff, pass_on=weak)


def _without_telling_of_what_was_dropped() -> Any:
    original = rescue._Sweep._rescued

    def weak(self: Any, seen: Conversation) -> bool:
        if human_reason(seen) is None and not seen.somebody_waits and seen.outgoing is None:
            return self.conversations.close(seen) is not None
        return original(self, seen)

    return _swapped(rescue._Sweep, _rescued=weak)


def _without_doubt() -> Any:
    original = Sender.post

    def weak(self: Sender, outgoing: Outgoing, part: int, *, callback_url: str | None) -> str:
        try:
            return original(self, outgoing, part, callback_url=callback_url)
        except Unconfirmed as failure:
            raise TryAgain("a 5xx or a timeout is tried again") from failure

    return _swapped(Sender, post=weak)


def _nothing(*_: Any, **__: Any) -> None:
    """Does nothing."""


PROTECTIONS: Sequence[Protection] = (
    Protection("recorded once", "RECORD knows the ids of messages.", _store(record=_record_known_ids), "recorded_once"),
    Protection(
        "old ids are looked up",
        "An id that the record has forgotten is looked for in the history.",
        lambda: _swapped(receive, _is_old=lambda *_: False),
        "recorded_once",
    ),
    Protection(
        "a closed record takes no message",
        "RECORD looks whether the conversation is over.",
        _store(record=_record_into_a_closed_one),
        "recorded_once",
    ),
    Protection(
        "a duplicate wakes again",
        "A repeated webhook wakes, too.",
        _without_waking_for_duplicates,
        "acknowledged_means_woken",
    ),
    Protection(
        "the newest message wakes",
        "A wake-up of an older message is dropped.",
        _without_waiting_for_the_newest,
        "people_may_finish",
    ),
    Protection(
        "the longest burst",
        "Who never stops writing is answered all the same.",
        lambda: _swapped(reply, _waited=lambda *_: 0.0),
        "quick_without_trouble",
    ),
    Protection(
        "a turn takes everything",
        "A turn waits for what is not in the history yet.",
        lambda: _swapped(reply, _demand_complete=_nothing),
        "covers_what_was_shown no_bug_of_ours",
    ),
    Protection(
        "history before the record forgets",
        "What waits is written before COMMIT.",
        _without_history_before_commit,
        "history_is_complete",
    ),
    Protection(
        "commit compares what is answered",
        "COMMIT moves `answered` only from what TAKE read.",
        _store(commit=_commit_whatever_is_answered),
        "no_message_answered_twice",
    ),
    Protection(
        "commit compares the epoch",
        "COMMIT knows of takeovers.",
        _store(commit=_commit_in_any_epoch),
        "no_ai_after_a_takeover",
    ),
    Protection(
        "commit looks at the owner",
        "COMMIT sees the flag.",
        _store(commit=_commit_whoever_owns),
        "no_ai_after_a_takeover",
    ),
    Protection(
        "one answer at a time",
        "Neither TAKE nor COMMIT goes on while an answer is on its way.",
        _without_one_at_a_time,
        "answered_or_handed_over in_order",
    ),
    Protection(
        "nothing newer at commit",
        "COMMIT fails if something newer waits.",
        _store(commit=_commit_although_newer_waits),
        "people_may_finish",
    ),
    Protection(
        "claim compares the epoch",
        "CLAIM knows of takeovers.",
        _store(claim=_claim_in_any_epoch),
        "no_ai_after_a_takeover",
    ),
    Protection(
        "claim looks at the owner",
        "CLAIM sees flag and consent.",
        _store(claim=_claim_whoever_owns),
        "no_ai_after_a_takeover",
    ),
    Protection(
        "claim is exclusive",
        "CLAIM takes only what is READY.",
        _store(claim=_claim_what_is_claimed),
        "no_part_posted_twice posted_under_a_claim",
    ),
    Protection(
        "a sender that lost its claim stops",
        "A part is noted only under the claim.",
        _store(sent_part=_note_parts_of_anybody),
        "no_part_posted_twice posted_under_a_claim",
    ),
    Protection(
        "a part leaves in time or not at all",
        "A sender looks at the clock before each post.",
        lambda: _swapped(send, _demand_in_time=_nothing),
        "no_part_posted_twice posted_under_a_claim",
    ),
    Protection(
        "a 5xx is in doubt",
        "Only a clear no is tried again at once.",
        _without_doubt,
        "no_part_posted_twice posted_under_a_claim",
    ),
    Protection(
        "settle before resend",
        "What was claimed is looked for before it is sent again.",
        _without_settling,
        "no_part_posted_twice",
    ),
    Protection(
        "settle asks the history",
        "An id that we know already is no proof for another message, and one of ours is.",
        lambda: _swapped(settle, _known_to_history=lambda *_: {}),
        "answered_or_handed_over no_part_posted_twice history_is_true",
    ),
    Protection(
        "leftovers are a human's",
        "A listed message that nobody can explain.",
        _without_leftovers,
        "no_part_posted_twice",
    ),
    Protection(
        "clocks and whole seconds are allowed for",
        "A listed message may be ours although it seems a little older than the claim.",
        lambda: _swapped(settle, MAY_BE_OURS=timedelta(0)),
        "no_part_posted_twice",
    ),
    Protection(
        "finish needs the claim",
        "FINISH ends only its own answer.",
        _store(finish=_finish_anybodys),
        "answered_or_handed_over posted_under_a_claim",
    ),
    Protection(
        "release needs the claim",
        "Only what was settled is READY again.",
        _store(release=_release_anybodys),
        "no_part_posted_twice posted_under_a_claim",
    ),
    Protection(
        "finish keeps the index after a takeover",
        "A human who has not been told yet must be.",
        _store(finish=_forget_when_finished),
        "failure_reaches_a_human answered_or_handed_over",
    ),
    Protection(
        "finish wakes the next turn",
        "Who wrote meanwhile is answered next.",
        _without_waking_after_finish,
        "finish_means_woken",
    ),
    Protection(
        "the sweep", "Somebody looks at those who wait.", lambda: _swapped(rescue, sweep=_nothing), "nothing_waits"
    ),
    Protection(
        "close only what was passed on",
        "CLOSE needs the record unmoved.",
        _store(close=_close_whatever_came_in),
        "answered_or_handed_over",
    ),
    Protection(
        "drop keeps the index",
        "Whose answer is dropped still waits.",
        _store(drop=_drop_and_forget),
        "answered_or_handed_over",
    ),
    Protection(
        "what was dropped is told",
        "Where the index says that somebody waits, and nobody does, a human is told.",
        _without_telling_of_what_was_dropped,
        "answered_or_handed_over failure_reaches_a_human",
    ),
    Protection(
        "a human hears of the newest message",
        "A late duplicate must not stand for what came after it.",
        _without_looking_for_the_newest,
        "answered_or_handed_over",
    ),
    Protection(
        "changing hands begins an epoch",
        "What was thought before is worth nothing.",
        _store(change_hands=_change_hands_within_an_epoch),
        "no_ai_after_a_takeover",
    ),
    Protection(
        "a promised human comes",
        "Whoever brings out an answer that promises a human hands over.",
        _store(finish=_finish_without_a_promise),
        "answered_or_handed_over",
    ),
    Protection(
        "one apology is enough",
        "COMMIT notes that an apology was made.",
        _store(commit=_commit_and_forget_the_apology),
        "one_apology",
    ),
    Protection(
        "a refusal reaches a human",
        "The provider's no is told to a human.",
        _without_telling_a_human,
        "answered_or_handed_over",
    ),
    Protection(
        "a failed delivery reaches a human",
        "A callback of failure is told to a human.",
        lambda: _swapped(track, _not_delivered=_nothing),
        "failure_reaches_a_human",
    ),
    Protection(
        "an answer is begun once",
        "An entry that callbacks have changed is left alone.",
        lambda: _swapped(TwinHistory, begin=lambda self, entry: self.write([entry])),
        "history_is_complete status_never_goes_back",
    ),
)


@contextmanager
def removed(protection: Protection) -> Iterator[None]:
    """The world without this protection."""
    managers = protection.remove()
    managers = managers if isinstance(managers, list) else [managers]
    with _all_of(managers):
        yield


@contextmanager
def _all_of(managers: Sequence[Any]) -> Iterator[None]:
    if not managers:
        yield
        return
    with managers[0], _all_of(managers[1:]):
        yield


def search(protection: Protection, *, most: int = MOST_SEEDS, start: int = 0) -> Found:
    """The first seed that fails without the protection, and holds with it."""
    began = time.perf_counter()
    for seed in range(start, start + most):
        scenario = drawn(seed)
        with removed(protection):
            broken = run(scenario).broken
        if broken & set(protection.breaks.split()) and not run(scenario).broken:
            seconds = time.perf_counter() - began
            return Found(protection.name, seed - start + 1, seed, tuple(sorted(broken)), seconds)
    return Found(protection.name, None, None, (), time.perf_counter() - began)


def search_all(*, jobs: int = 1, most: int = MOST_SEEDS) -> Iterator[Found]:
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_search, [(number, most) for number in range(len(PROTECTIONS))])


def _search(what: tuple[int, int]) -> Found:
    number, most = what
    return search(PROTECTIONS[number], most=most)
