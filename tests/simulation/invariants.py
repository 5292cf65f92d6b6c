"""What must hold, each with a name and a sentence. What is about a moment is watched in `truth` and `world`."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from chalicelib.model import Author, Conversation, ConversationKey, HistoryEntry, Numbered
from tests.simulation.cast import BURSTS, FALLBACK_WINDOW
from tests.simulation.scenario import Act
from tests.simulation.truth import Committed, Said, Violation
from tests.simulation.world import World

SENTENCES: Mapping[str, str] = {
    "answered_or_handed_over": "Every message that we took in is answered by one complete answer or passed to a human.",
    "nothing_waits": "When everything has come to rest, nobody waits: no record and no queue holds unfinished work.",
    "taken_in": "Every message that we acknowledged, and every one that the provider lists, is recorded.",
    "recorded_once": "No message is recorded twice.",
    "numbered": "Messages are numbered without a gap, and no more are answered than came in.",
    "numbers_only_grow": "What was received, what was answered and the epoch only grow.",
    "no_message_answered_twice": "The intervals of the answers that went out do not overlap.",
    "no_part_posted_twice": "The provider takes each part of an answer at most once.",
    "posted_under_a_claim": "A part leaves only while its sender still holds the claim on the answer.",
    "no_ai_after_a_takeover": "Nothing is committed or claimed after a human took over, or after hands changed.",
    "in_order": "Answers and their parts leave in the order of the messages that they answer.",
    "covers_what_was_shown": "An answer covers exactly what the engine was shown, every message whole.",
    "people_may_finish": "Nobody is answered while they write, unless they have written for the longest burst.",
    "status_never_goes_back": "The delivery status of a message only moves forward.",
    "status_follows_its_table": "A conversation's status changes only as the table allows.",
    "history_is_complete": "The history holds every message in and out once, at its number, with its whole text.",
    "history_is_true": "Nothing is told as said that the provider never took, and nothing out of order.",
    "tenants_apart": "No tenant's data, key or credentials are used for another's conversation.",
    "one_apology": "A person hears the apology at most once in a conversation.",
    "one_fallback": "A stranger gets the fallback at most once in its window.",
    "failure_reaches_a_human": "An answer that did not reach the person is passed to a human.",
    "dead_letters_explained": "What a dead letter was about has been answered or passed to a human.",
    "quick_without_trouble": "Where nothing goes wrong nobody need be rescued, and an answer comes in time.",
    "acknowledged_means_woken": "When the provider is told 200, somebody was woken for the message, or it is closed.",
    "finish_means_woken": "Whoever finishes an answer wakes somebody for those who wait.",
    "no_bug_of_ours": "No stage fails in a way that it did not foresee.",
}

#: Longest burst, the engine's longest thought, and a little.
IN_TIME = BURSTS.longest.total_seconds() + BURSTS.idle.total_seconds() + 60.0

#: Clocks of two machines differ by less than this, in seconds.
_CLOCKS = 30.0

#: A message older than this when faults stop may not be listed any more by the time that the list is read.
_LISTED_FOR = 14 * 60.0


def violations(world: World, *, at_rest: bool) -> list[Violation]:
    """Everything that does not hold at the end of a run."""
    found = list(world.truth.violations)
    if not at_rest:
        found.append(Violation("nothing_waits", "the relay does not come to rest"))
    for name, check in _CHECKS.items():
        found += [Violation(name, detail) for detail in check(world)]
    unknown = {each.invariant for each in found} - SENTENCES.keys()
    assert not unknown, f"invariants without a sentence: {unknown}"
    return found


def _recorded(world: World) -> Iterator[tuple[Said, ConversationKey, int]]:
    for said in world.truth.said.values():
        if said.recorded is not None:
            yield said, *said.recorded


def _is_closed_well(world: World, key: ConversationKey, number: int) -> bool:
    answered = any(each.is_out and not each.promises for each in world.truth.covering(key, number))
    return answered or world.truth.passed_up_to(key) >= number or _was_passed_without_a_name(world, key, number)


def _was_passed_without_a_name(world: World, key: ConversationKey, number: int) -> bool:
    """Where the record had no room the human hears of the message before and finds this one in the history."""
    said = world.truth.said[world.truth.numbers[key][number - 1]]
    told = any(at >= said.recorded_at for at, _ in world.truth.passed[key])
    return (
        not said.found_room and told and world.history.entry(key.conversation_id, Numbered.inbound(number)) is not None
    )


def _answered_or_handed_over(world: World) -> Iterator[str]:
    for said, key, number in _recorded(world):
        if not _is_closed_well(world, key, number) and not _is_lost_unpromised(world, said, key, number):
            yield f"{said.message_id}, number {number} of {key.conversation_id}, is neither"


def _is_lost_unpromised(world: World, said: Said, key: ConversationKey, number: int) -> bool:
    """The provider gave up on a message for which the record had no room: a human hears only of the one before."""
    return not said.acknowledged and world.history.entry(key.conversation_id, Numbered.inbound(number)) is None


def _nothing_waits(world: World) -> Iterator[str]:
    for record in world.records.all():
        if record.unanswered_since is not None:
            yield f"{record.key.conversation_id} is in the index of those who wait"
        elif record.somebody_waits or record.outgoing is not None or record.waiting:
            yield f"{record.key.conversation_id} waits, and no index knows"
    for name, messages in world.queues.waiting.items():
        if name != "handoff" and messages:
            yield f"{len(messages)} messages are left on the queue {name}"


def _taken_in(world: World) -> Iterator[str]:
    for said in world.truth.said.values():
        known = _has_conversation(world, said)
        if said.recorded is None and known and (said.acknowledged or said.at > world.scenario.until - _LISTED_FOR):
            yield f"{said.message_id} was never recorded, acknowledged: {said.acknowledged}"


def _has_conversation(world: World, said: Said) -> bool:
    """Whether a reply belongs somewhere; where the outbound engine closes conversations nobody can say."""
    if any(event.act == Act.CLOSES for event in world.scenario.events):
        return False
    return any(
        record.key.person == said.person and said.own_address in record.own_addresses.values()
        for record in world.records.all()
    )


def _no_message_answered_twice(world: World) -> Iterator[str]:
    for key, answers in world.truth.out.items():
        in_order = sorted(answers, key=lambda each: (each.after, each.to))
        for one, other in pairwise(in_order):
            if other.after < one.to:
                yield f"{key.conversation_id}: ({one.after}, {one.to}] and ({other.after}, {other.to}]"


def _history_is_complete(world: World) -> Iterator[str]:
    by_conversation: dict[str, dict[str, HistoryEntry]] = {}
    for record in world.records.all():
        conversation_id = record.key.conversation_id
        by_conversation[conversation_id] = {each.position: each for each in world.history.of(conversation_id)}
    for said, key, number in _recorded(world):
        entry = by_conversation[key.conversation_id].pop(Numbered.inbound(number), None)
        problem = _entry_problem(said, entry)
        if problem:
            yield f"{said.message_id}, number {number} of {key.conversation_id}: {problem}"
    for answer in world.truth.answers.values():
        for part, provider_id in answer.posted.items():
            entry = by_conversation[answer.key.conversation_id].get(Numbered.answer(answer.to, part))
            if _id_of(entry) != provider_id and not _is_left_to_a_human(world, answer, entry):
                where = f"part {part} of ({answer.after}, {answer.to}]"
                yield f"{where} is out as {provider_id}, the history has {_id_of(entry)}"
    for conversation_id, left in by_conversation.items():
        strange = [each.position for each in left.values() if each.author == Author.USER]
        if strange:
            yield f"{conversation_id} has messages that nobody wrote: {strange}"


def _is_left_to_a_human(world: World, answer: Committed, entry: HistoryEntry | None) -> bool:
    """Whether nobody could find out what became of an answer, so that a human was told."""
    unknown = entry is not None and entry.provider_id is None
    return unknown and world.truth.passed_up_to(answer.key) >= answer.to


def _id_of(entry: HistoryEntry | None) -> str:
    return "no such entry" if entry is None else str(entry.provider_id)


def _entry_problem(said: Said, entry: HistoryEntry | None) -> str | None:
    """What nobody has acknowledged in time may have been lost as far as the record had no room for it."""
    if entry is None:
        return "is not in the history" if said.acknowledged else None
    if entry.provider_id != said.message_id:
        return f"{entry.provider_id} stands in its place"
    in_time = said.acknowledged and not said.forgotten
    whole = entry.text == said.text or (not in_time and said.text.startswith(entry.text))
    return None if whole else "is not whole in the history"


def _history_is_true(world: World) -> Iterator[str]:
    out = {provider_id for answer in world.truth.answers.values() for provider_id in answer.posted.values()}
    for record in world.records.all():
        for entry in world.history.of(record.key.conversation_id):
            ours = entry.author in (Author.AI, Author.SYSTEM)
            if ours and entry.provider_id is not None and entry.provider_id not in out:
                yield f"{entry.position} names {entry.provider_id}, which was never taken"


def _one_fallback(world: World) -> Iterator[str]:
    for (_, person), moments in world.truth.fallbacks.items():
        for one, other in pairwise(moments):
            if other - one < FALLBACK_WINDOW.total_seconds() - _CLOCKS - 60.0 * world.scenario.pace:
                yield f"{person} got it at {one:.0f} s and at {other:.0f} s"


def _one_apology(world: World) -> Iterator[str]:
    for key, answers in world.truth.out.items():
        apologies = [each for each in answers if each.apology]
        if len(apologies) > 1:
            yield f"{key.conversation_id} hears it {len(apologies)} times"


def _failure_reaches_a_human(world: World) -> Iterator[str]:
    for answer in world.truth.answers.values():
        if answer.failed and not _is_somebodys(world, answer):
            yield f"({answer.after}, {answer.to}] of {answer.key.conversation_id} did not arrive, and nobody knows"


def _is_somebodys(world: World, answer: Committed) -> bool:
    """A human was told of the newest message that anything is left of, or the person has been answered since."""
    newest = answer.to
    while newest > answer.after and not _has_a_name(world, answer.key, newest):
        newest -= 1
    told = any(up_to >= newest for _, up_to in world.truth.passed[answer.key])
    record = world.records.get(answer.key)
    return told or (record is not None and record.answered > answer.to)


def _has_a_name(world: World, key: ConversationKey, number: int) -> bool:
    """Where the record had no room the human hears of the message before and finds this one in the history."""
    known = world.history.entry(key.conversation_id, Numbered.inbound(number)) is not None
    return known and world.truth.said[world.truth.numbers[key][number - 1]].found_room


def _dead_letters_explained(world: World) -> Iterator[str]:
    for name, letters in world.queues.dead_letters.items():
        for letter in letters:
            context = letter.context
            number = world.truth.number(context.key, context.message.message_id)
            if number and not _is_closed_well(world, context.key, number):
                yield f"a dead letter of {name} is about {context.message.message_id}, which is not closed"


def _quick_without_trouble(world: World) -> Iterator[str]:
    if not world.is_calm:
        return
    if world.truth.rescued:
        yield f"somebody had to be rescued {world.truth.rescued} times"
    for said, key, number in _recorded(world):
        answers = [each for each in world.truth.covering(key, number) if each.is_out]
        waited = answers[0].posted_at - said.at if answers else float("inf")
        if waited > IN_TIME and not _may_be_a_humans(world, key):
            yield f"{said.message_id} was answered after {waited:.0f} s"


def _may_be_a_humans(world: World, key: ConversationKey) -> bool:
    record: Conversation | None = world.records.get(key)
    return record is not None and record.handed_off


def _no_bug_of_ours(world: World) -> Iterator[str]:
    for bug in world.bugs:
        if str(bug) != "nobody has expected this":
            yield f"{type(bug).__name__}: {bug}"


_CHECKS: Mapping[str, Callable[[World], Iterator[str]]] = {
    "answered_or_handed_over": _answered_or_handed_over,
    "nothing_waits": _nothing_waits,
    "taken_in": _taken_in,
    "no_message_answered_twice": _no_message_answered_twice,
    "history_is_complete": _history_is_complete,
    "history_is_true": _history_is_true,
    "one_apology": _one_apology,
    "one_fallback": _one_fallback,
    "failure_reaches_a_human": _failure_reaches_a_human,
    "dead_letters_explained": _dead_letters_explained,
    "quick_without_trouble": _quick_without_trouble,
    "no_bug_of_ours": _no_bug_of_ours,
}
