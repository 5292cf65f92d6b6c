"""The moves of the stages: each function is one remote operation of the code, with everything that can come of it."""

from collections.abc import Iterator

from tests.model import routing, updates
from tests.model.routing import (
    KEEPS_FOR_HUMAN,
    Move,
    can_fail,
    goes_on,
    one_fault_less,
    passing_on,
    routed,
    starts,
    updated,
    waiting_in,
)
from tests.model.rules import (
    BUSY,
    DIES,
    EARLY_SWEEP,
    ENGINE_FAILS,
    LOST_WAKE,
    NOT_DELIVERED,
    REFUSED,
    REPEATED_WAKE,
    REPEATED_WEBHOOK,
    TIMEOUT,
    Rules,
)
from tests.model.world import (
    BEGUN,
    FAILED,
    FAILED_THOUGH_OUT,
    OUT,
    SENDER_WAKE,
    Answer,
    Entry,
    Post,
    Process,
    Record,
    World,
    entry_status,
    with_entry,
)

THINKS = "asks the engine and writes what waits into the history"
COMMITS = "commits its answer"
HANDS_OVER_SEEN = "hands over what it has read"
BEGINS = "writes the answer into the history"
POSTS = "posts the answer"
NOTES_PART = "notes the part that is out"
NOTES_IDS = "tells the history the provider's ids"
FINISHES = "finishes the answer"
RELEASES = "makes the answer READY again"
NOTES_FAILURE = "tells the history that the answer failed"
HANDS_OVER = "hands over"
DROPS = "drops the answer"
LOOKS_AT_ANSWER = "looks whether the reported answer is in doubt"
COUNTS_RESCUE = "counts a rescue"
REPEATS = "is repeated by the provider"


# --- the webhook


def person_writes(world: World, rules: Rules) -> Iterator[Move]:
    """RECORD of a new message. It is called by its number: which of two messages comes first makes no difference."""
    if world.left.messages:
        after = updates.record(world.record, rules)
        process = _heard(after, after.received, rules)
        left = world.left._replace(messages=world.left.messages - 1)
        yield f"message {after.received} comes in and is recorded", starts(world, process, record=after, left=left)


def webhook_repeats(world: World, rules: Rules) -> Iterator[Move]:
    """RECORD of a message that is known: nothing is recorded, but whoever must answer is woken again."""
    if can_fail(world, REPEATED_WEBHOOK, rules):
        for number in range(1, world.record.received + 1):
            process = _heard_again(world, number, rules)
            if process is not None:
                yield f"message {number} comes in again", starts(one_fault_less(world), process)


def repeats(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The provider delivers again what a webhook died of."""
    again = _heard_again(world, process.message, rules)
    yield f"message {process.message} comes in again", goes_on(world, process, again)


def _heard(after: Record, number: int, rules: Rules) -> Process | None:
    if number <= after.answered or not (rules.newest_wakes or number == 1):
        return None
    return routed(Process("webhook", ""), after, rules, message=number)


def _heard_again(world: World, number: int, rules: Rules) -> Process | None:
    return _heard(world.record, number, rules) if rules.duplicate_wakes else None


# --- the turn


def turn_starts(world: World, rules: Rules) -> Iterator[Move]:
    """TAKE: a wake-up is received and the record read; most wake-ups have nothing to answer."""
    for message in dict.fromkeys(world.turn_wakes):
        wakes = list(world.turn_wakes)
        wakes.remove(message)
        received = world._replace(turn_wakes=tuple(wakes))
        yield from _taken(received, Process("turn", "", queued=message), rules, "")
        if can_fail(world, REPEATED_WAKE, rules):
            repeated = one_fault_less(world)
            yield from _taken(repeated, Process("turn", "", queued=message), rules, ", which the queue will repeat")


def _taken(world: World, turn: Process, rules: Rules, how: str) -> Iterator[Move]:
    now, message = world.record, turn.queued
    label = f"a turn takes the wake-up for message {message}{how}"
    thinking = turn._replace(step=THINKS, seen=now)
    if not now.waits:
        yield f"{label}: nothing waits", world
    elif now.a_humans or (now.outgoing and rules.one_outgoing):
        why = "a human has it" if now.a_humans else "an answer is on its way"
        yield f"{label}: {why}", starts(world, routed(turn, now, rules))
    elif now.received == message:
        yield label, starts(world, thinking)
    else:
        yield f"{label}: a newer message waits", world
    may_answer = now.waits and not now.a_humans and not now.outgoing and now.received != message
    if may_answer and world.left.long_bursts:
        left = world.left._replace(long_bursts=world.left.long_bursts - 1)
        yield f"{label}: the longest burst is over", starts(world, thinking._replace(burst_over=True), left=left)


def thinks(world: World, turn: Process, rules: Rules) -> Iterator[Move]:
    """THINK, and the write to the history before COMMIT; or the engine fails, or asks for a human."""
    written = world.written | waiting_in(turn.seen) if rules.history_before_commit else world.written
    yield f"turn {turn.step}", goes_on(world, turn, turn._replace(step=COMMITS), written=written)
    gives_up = turn._replace(step=HANDS_OVER_SEEN)
    if world.left.handovers:
        left = world.left._replace(handovers=world.left.handovers - 1)
        yield "the engine asks for a human", goes_on(world, turn, gives_up, left=left)
    promising = turn._replace(step=COMMITS, promises=True)
    if can_fail(world, ENGINE_FAILS, rules):
        failed = one_fault_less(world)
        yield "the engine fails, the queue will try again", _back_on_queue(goes_on(failed, turn, None), turn)
        yield "the engine fails for good", goes_on(failed, turn, gives_up)
        if rules.promises:
            promised = goes_on(failed, turn, promising, written=written)
            yield "the engine fails for good, and the person shall hear that a human answers", promised


def commits(world: World, turn: Process, rules: Rules) -> Iterator[Move]:
    """COMMIT. Its token tells a lost response from a lost race, so there is nothing in between."""
    # a promise covers what the turn has read, and nothing newer
    may_wait = turn.burst_over and not turn.promises
    after = updates.commit(world.record, turn.seen, newer_may_wait=may_wait, promises=turn.promises, rules=rules)
    if after is None:
        yield f"turn {turn.step}: the record has moved", goes_on(world, turn, None)
    else:
        then = Process("turn", routing.WAKES_SENDER, queued=turn.queued)
        yield f"turn {turn.step}", goes_on(world, turn, then, record=after)


def hands_over_seen(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """HAND OVER by a turn or the sweep: only if the record is still what it has read; a READY answer is dropped."""
    ready = bool(process.seen.outgoing) and not process.seen.outgoing.claimed
    after = updates.hand_over(world.record, process.seen, drop_outgoing=ready, rules=rules)
    then = passing_on(process, after, routing.ENDS) if after else None
    yield from updated(world, process, process.step, after, then, None, rules)


# --- the sender


def sender_starts(world: World, rules: Rules) -> Iterator[Move]:
    """CLAIM: a wake-up is received and whatever answer is READY is claimed."""
    if not world.sender_wakes:
        return
    yield from _claimed(world._replace(sender_wakes=world.sender_wakes - 1), rules, "")
    if can_fail(world, REPEATED_WAKE, rules):
        yield from _claimed(one_fault_less(world), rules, ", woken by a message that the queue will repeat,")


def _claimed(world: World, rules: Rules, how: str) -> Iterator[Move]:
    now = world.record
    after = updates.claim(now, rules)
    sender = Process("sender", BEGINS, queued=SENDER_WAKE)
    if after is not None:
        claimed = sender._replace(answer=after.outgoing)
        yield f"a sender{how} claims the answer to {_covered(now.outgoing)}", starts(world, claimed, record=after)
    elif now.outgoing and not now.outgoing.claimed:
        leaving = sender._replace(step=DROPS, answer=now.outgoing)
        yield f"a sender{how} may not claim the answer to {_covered(now.outgoing)}", starts(world, leaving)
    else:
        yield f"a sender{how} finds nothing to claim", world


def begins(world: World, sender: Process, rules: Rules) -> Iterator[Move]:
    """The answer enters the history before it leaves."""
    yield (
        f"sender {sender.step}",
        goes_on(world, sender, sender._replace(step=POSTS), entries=_begun(world, sender, rules)),
    )


def _begun(world: World, sender: Process, rules: Rules) -> tuple[Entry, ...]:
    entries = world.entries
    for part in _unsent(sender.answer, rules):
        if rules.history_before_post and entry_status(world, sender.answer.to, part) is None:
            entries = with_entry(entries, sender.answer.to, part, BEGUN)
    return entries


def posts(world: World, sender: Process, rules: Rules) -> Iterator[Move]:
    """POST of the first part that is not out, and everything that a provider can say to it."""
    answer, part = sender.answer, _unsent(sender.answer, rules)[0]
    if sender.held_up and rules.post_looks_at_the_clock:
        yield "sender was held up too long to post", goes_on(world, sender, _not_sent(sender, rules))
        return
    out = answer._replace(out=tuple(sorted([*answer.out, part])))
    is_last = len(out.out) == rules.parts
    then = sender._replace(step=_after_post(is_last, rules), answer=out)
    taken = (*world.posts, Post(answer.after, answer.to, part, promises=answer.promises))
    label = f"sender posts the answer to {_covered(answer)}" + (f", part {part}" if rules.parts > 1 else "")
    yield label, goes_on(world, sender, then, posts=taken)
    failed = one_fault_less(world)
    if can_fail(world, TIMEOUT, rules):
        yield f"{label}; it is out, but the provider does not say so", goes_on(failed, sender, None, posts=taken)
        yield f"{label}; it is not out, and the provider does not say so", goes_on(failed, sender, None)
    if can_fail(world, BUSY, rules):
        yield f"{label}; the provider is busy", goes_on(failed, sender, _not_sent(sender, rules))
    if can_fail(world, REFUSED, rules):
        yield f"{label}; the provider refuses", goes_on(failed, sender, sender._replace(step=NOTES_FAILURE))


def _after_post(is_last: bool, rules: Rules) -> str:
    if not is_last:
        return NOTES_PART if rules.parts_are_noted else POSTS
    return _concluding(rules)


def _concluding(rules: Rules) -> str:
    """The first step of `outbound.conclude`."""
    return NOTES_IDS if rules.ids_before_finish else FINISHES


def _not_sent(sender: Process, rules: Rules) -> Process:
    exhausted = sender.answer.attempts >= rules.most_attempts
    return sender._replace(step=NOTES_FAILURE if exhausted else RELEASES, held_up=False)


def notes_part(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The record learns of a part that is out before the next one leaves; a sender stops if the answer is over."""
    answer, known = process.answer, world.record.outgoing
    part = next((each for each in answer.out if each not in known.out), answer.out[-1])
    after = updates.sent_part(world.record, answer, part, goes_on=process.who == "sender")
    if after is None:
        yield f"{process.who} {process.step}: the answer is over", goes_on(world, process, None)
        return
    then = None
    if process.who == "sender":
        then = process._replace(step=POSTS, answer=after.outgoing)
    elif process.who == "sweep":
        then = process._replace(step=process.then, then="")
    yield f"{process.who} {process.step}", goes_on(world, process, then, record=after)


def notes_ids(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """Each part that is out has its provider id in the history."""
    entries = world.entries
    for part in process.answer.out:
        if entry_status(world, process.answer.to, part) is not None:
            entries = with_entry(entries, process.answer.to, part, OUT)
    then = process._replace(step=FINISHES) if rules.ids_before_finish else None
    yield f"{process.who} {process.step}", goes_on(world, process, then, entries=entries)


def finishes(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """FINISH: the record forgets the answer, and whoever waits is woken."""
    after = updates.finish(world.record, process.answer, rules)
    then = routed(process, after, rules) if after and (after.waits or after.indexed) and rules.finish_wakes else None
    if not rules.ids_before_finish:
        then = process._replace(step=NOTES_IDS)
    yield from updated(world, process, process.step, after, then, None, rules)


def releases(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """CLAIMED becomes READY: the sender's queue message comes again, the sweep wakes a sender."""
    after = updates.release(world.record, process.answer, rules)
    if process.who == "sender":
        changes = {} if after is None else {"record": after}
        over = goes_on(world, process, None, **changes)
        yield (
            f"sender {process.step}" + (": the record has moved" if after is None else ""),
            _back_on_queue(over, process),
        )
        return
    then = routed(process, after, rules) if after else None
    yield from updated(world, process, process.step, after, then, None, rules)


def notes_failure(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The history learns that the rest of the answer failed, if it is still on its way; then a human gets it."""
    now, entries = world.record.outgoing, world.entries
    if now.claim_and_time == process.answer.claim_and_time:
        for part in range(rules.parts):
            status = entry_status(world, now.to, part)
            if part in now.out and status is not None:
                entries = with_entry(entries, now.to, part, OUT)
            elif status is not None:
                entries = with_entry(entries, now.to, part, FAILED if status in (BEGUN, FAILED) else FAILED_THOUGH_OUT)
    then = process._replace(step=DROPS if process.seen.a_humans else HANDS_OVER)
    yield f"{process.who} {process.step}", goes_on(world, process, then, entries=entries)


def drops(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """An answer that must not leave is removed, and whoever must act instead is told."""
    after = updates.drop(world.record, process.answer, rules)
    then = routed(process, after, rules) if after else None
    yield from updated(world, process, process.step, after, then, None, rules)


# --- callbacks


def callback_comes(world: World, rules: Rules) -> Iterator[Move]:
    """A delivery callback enters its status into the history; the first that brings an id may settle an answer."""
    for index, post in enumerate(world.posts):
        if post.reported or not world.left.callbacks:
            continue
        left = world.left._replace(callbacks=world.left.callbacks - 1)
        reported = world._replace(left=left, posts=_with_report(world.posts, index))
        label = f"a callback reports the answer to {post.after + 1}..{post.to}"
        status = entry_status(world, post.to, post.part)
        if status in (BEGUN, FAILED):
            entries = with_entry(world.entries, post.to, post.part, OUT)
            looking = Process("callback", LOOKS_AT_ANSWER, answer=Answer(post.after, post.to, out=(post.part,)))
            yield label, starts(reported, looking, entries=entries)
        if can_fail(world, NOT_DELIVERED, rules):
            failed = one_fault_less(reported)
            ours = Answer(post.after, post.to, out=(post.part,))
            handing = Process("callback", HANDS_OVER, answer=ours) if world.record.answered <= post.to else None
            yield f"{label} as undelivered", starts(failed, handing)


def _with_report(posts: tuple[Post, ...], index: int) -> tuple[Post, ...]:
    return (*posts[:index], posts[index]._replace(reported=True), *posts[index + 1 :])


def looks_at_answer(world: World, callback: Process, rules: Rules) -> Iterator[Move]:
    """The answer that the callback names is settled if the record still has it in doubt."""
    now, part = world.record.outgoing, callback.answer.out[0]
    if now.to != callback.answer.to or part in now.out:
        yield f"callback {callback.step}: it is not", goes_on(world, callback, None)
        return
    known = now._replace(out=tuple(sorted([*now.out, part])))
    step = _concluding(rules) if len(known.out) == rules.parts else NOTES_PART
    yield f"callback {callback.step}", goes_on(world, callback, callback._replace(step=step, answer=known))


# --- people, and others who write to the record


def desk_acts(world: World, rules: Rules) -> Iterator[Move]:
    """A human takes the conversation over, or gives it back."""
    if not world.left.handovers:
        return
    left = world.left._replace(handovers=world.left.handovers - 1)
    desk = Process("desk", HANDS_OVER)
    if world.record.human:
        yield (
            "a human wants to give the conversation back",
            starts(world, desk._replace(step=routing.GIVES_BACK), left=left),
        )
    else:
        yield "a human wants to take the conversation over", starts(world, desk, left=left)


def hands_over(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """HAND OVER; the read and the conditional update after it count as one step, because it is tried again."""
    now = world.record
    own_claim = process.answer.claimed and now.outgoing.claim == process.answer.claim
    may_drop = bool(now.outgoing) and (not now.outgoing.claimed or own_claim or not rules.hand_over_keeps_claimed)
    after = updates.hand_over(now, now, drop_outgoing=may_drop, rules=rules)
    assert after is not None
    then = passing_on(process, after, routing.ENDS)
    posts = _undelivered(world.posts, process.answer) if process.who == "callback" else world.posts
    yield f"{process.who} {process.step}", goes_on(world, process, then, record=after, posts=posts)


def _undelivered(posts: tuple[Post, ...], answer: Answer) -> tuple[Post, ...]:
    """From here on we act on the news that this answer did not arrive."""
    reported = (answer.to, answer.out[0])
    return tuple(each._replace(arrived=(each.to, each.part) != reported and each.arrived) for each in posts)


def others_set_flags(world: World, rules: Rules) -> Iterator[Move]:
    """The outbound engine gives the conversation to a human, or the person opts out elsewhere; no epoch changes."""
    if world.left.flips:
        left, now = world.left._replace(flips=world.left.flips - 1), world.record
        if not now.human:
            yield (
                "the outbound engine sets the flag for a human",
                world._replace(record=now._replace(human=True), left=left),
            )
        if not now.unwanted:
            yield "the person wants no messages any more", world._replace(record=now._replace(unwanted=True), left=left)


# --- the sweep


def sweep_starts(world: World, rules: Rules) -> Iterator[Move]:
    """SWEEP: reads a record of the index, and for an answer in doubt the provider's list and the history as well.

    It comes when nobody is at it any more; if it comes earlier, that is a fault. An answer in doubt is looked at when
    its sender may not post any more, so senders that hold this claim are held up from here on.
    """
    if not rules.sweeps or not world.record.indexed or any(each.who == "sweep" for each in world.processes):
        return
    if not world.processes and not world.turn_wakes and not world.sender_wakes:
        yield from _swept(world, rules, "")
    elif can_fail(world, EARLY_SWEEP, rules):
        yield from _swept(one_fault_less(world), rules, " while others are still at it")


def _swept(world: World, rules: Rules, how: str) -> Iterator[Move]:
    now, label = world.record, f"the sweep{how}"
    sweep = Process("sweep", "", seen=now, answer=now.outgoing)
    if now.outgoing.claimed:
        late = world._replace(processes=_held_up(world.processes, now.outgoing))
        yield _settled(late, sweep, rules, label)
    elif now.a_humans and now.outgoing:
        yield f"{label} finds an answer that must not leave", starts(world, sweep._replace(step=DROPS))
    elif now.a_humans:
        yield f"{label} finds somebody who waits for a human", starts(world, routed(sweep, now, rules))
    elif not now.waits and not now.outgoing:
        yield f"{label} finds an answer that was dropped", starts(world, passing_on(sweep, now, routing.ENDS))
    elif now.rescues >= rules.most_rescues:
        yield f"{label} has woken somebody too often", starts(world, sweep._replace(step=HANDS_OVER_SEEN))
    else:
        yield f"{label} finds somebody who waits too long", starts(world, sweep._replace(step=COUNTS_RESCUE))


def _held_up(processes: tuple[Process, ...], claimed: Answer) -> tuple[Process, ...]:
    def late(each: Process) -> bool:
        return each.step in (BEGINS, POSTS) and each.answer.claim_and_time == claimed.claim_and_time

    return tuple(sorted(each._replace(held_up=True) if late(each) else each for each in processes))


def _settled(world: World, sweep: Process, rules: Rules, label: str) -> Move:
    """SETTLE. All answers may have the same text: what is listed and not explained by the history stands for ours."""
    answer = sweep.answer
    ours = {(answer.to, part) for part in answer.out}
    known = _known_to_history(world) if rules.settle_reads_the_history else set()
    unexplained = [each for each in world.posts if (each.to, each.part) not in known | ours]
    out = set(answer.out)
    for part in _unsent(answer, rules):
        if (answer.to, part) in known:
            out.add(part)
        elif unexplained and rules.settle_reads_the_list:
            unexplained.pop(0)
            out.add(part)
    found = answer._replace(out=tuple(sorted(out)))
    if len(out) == rules.parts:
        concluding = sweep._replace(step=_concluding(rules), answer=found)
        return f"{label} finds that the answer is out", starts(world, concluding)
    then = _retried(sweep, rules)
    if found != answer and rules.parts_are_noted:
        noting = sweep._replace(step=NOTES_PART, answer=found, then=then.step)
        return f"{label} finds that a part of the answer is out", starts(world, noting)
    return f"{label} does not find the answer in the provider's list", starts(world, then)


def _known_to_history(world: World) -> set[tuple[int, int]]:
    return {(each.to, each.part) for each in world.entries if each.status == OUT}


def _retried(sweep: Process, rules: Rules) -> Process:
    exhausted = sweep.answer.attempts >= rules.most_attempts
    return sweep._replace(step=NOTES_FAILURE if sweep.seen.a_humans or exhausted else RELEASES)


def counts_rescue(world: World, sweep: Process, rules: Rules) -> Iterator[Move]:
    """The rescue is counted, then whoever must act is woken."""
    after = updates.rescued(world.record, sweep.seen)
    then = routed(sweep, after, rules) if after else None
    yield from updated(world, sweep, sweep.step, after, then, None, rules)


# --- what goes wrong


def somebody_dies(world: World, rules: Rules) -> Iterator[Move]:
    """A process dies before its next step; what woke it becomes visible on its queue again."""
    for process in dict.fromkeys(world.processes):
        yield from dies(world, process, rules)


def dies(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """This process dies. Where nobody sweeps, only webhooks do, and the provider repeats them."""
    if can_fail(world, DIES, rules) and (rules.sweeps or process.who == "webhook"):
        dead = goes_on(one_fault_less(world), process, None)
        if not rules.sweeps:
            dead = starts(dead, Process("webhook", REPEATS, message=process.message))
        yield f"{process.who} dies before it {process.step}", _back_on_queue(dead, process)


def wake_is_lost(world: World, rules: Rules) -> Iterator[Move]:
    """A queue message is lost, or ends in the dead-letter queue."""
    if can_fail(world, LOST_WAKE, rules):
        for message in dict.fromkeys(world.turn_wakes):
            wakes = list(world.turn_wakes)
            wakes.remove(message)
            yield f"the wake-up for message {message} is lost", one_fault_less(world)._replace(turn_wakes=tuple(wakes))
        if world.sender_wakes:
            fewer = world.sender_wakes - 1
            yield "a wake-up for the sender is lost", one_fault_less(world)._replace(sender_wakes=fewer)


def _back_on_queue(world: World, process: Process) -> World:
    if process.queued == SENDER_WAKE:
        return world._replace(sender_wakes=world.sender_wakes + 1)
    if process.queued:
        return world._replace(turn_wakes=tuple(sorted([*world.turn_wakes, process.queued])))
    return world


def _unsent(answer: Answer, rules: Rules) -> list[int]:
    return [part for part in range(rules.parts) if part not in answer.out]


def _covered(answer: Answer) -> str:
    return f"message {answer.to}" if answer.to - answer.after == 1 else f"messages {answer.after + 1} to {answer.to}"


#: What a process does at each step.
STEPS = {
    KEEPS_FOR_HUMAN: routing.keeps_for_human,
    routing.TELLS_HUMAN: routing.tells_human,
    routing.CLOSES: routing.closes,
    routing.READS_AGAIN: routing.reads_again,
    routing.WAKES_TURN: routing.wakes_turn,
    routing.WAKES_SENDER: routing.wakes_sender,
    routing.GIVES_BACK: routing.gives_back,
    REPEATS: repeats,
    THINKS: thinks,
    COMMITS: commits,
    HANDS_OVER_SEEN: hands_over_seen,
    BEGINS: begins,
    POSTS: posts,
    NOTES_PART: notes_part,
    NOTES_IDS: notes_ids,
    FINISHES: finishes,
    RELEASES: releases,
    NOTES_FAILURE: notes_failure,
    HANDS_OVER: hands_over,
    DROPS: drops,
    LOOKS_AT_ANSWER: looks_at_answer,
    COUNTS_RESCUE: counts_rescue,
}

#: What begins without a process.
BEGINNINGS = (turn_starts, sender_starts, sweep_starts, person_writes, webhook_repeats, callback_comes, desk_acts)

#: What happens whoever is running.
EVENTS = (somebody_dies, wake_is_lost, others_set_flags)


#: Steps that no other process can notice: they add to a queue or to the history what nobody looks for before.
UNNOTICED = frozenset({THINKS, BEGINS, KEEPS_FOR_HUMAN, routing.WAKES_TURN, routing.WAKES_SENDER})


def moves(world: World, rules: Rules) -> Iterator[Move]:
    """Everything that can happen next.

    A step that nobody can notice is taken at once, unless its process dies: whatever else can happen before it can as
    well happen after it. `every_order` takes it at any later moment too.
    """
    unnoticed = None if rules.every_order else _unnoticed(world)
    if unnoticed is not None:
        yield from STEPS[unnoticed.step](world, unnoticed, rules)
        yield from dies(world, unnoticed, rules)
        return
    for process in dict.fromkeys(world.processes):
        yield from STEPS[process.step](world, process, rules)
    if len(world.processes) < rules.at_once:
        for begin in BEGINNINGS:
            yield from begin(world, rules)
    for event in EVENTS:
        yield from event(world, rules)


def _unnoticed(world: World) -> Process | None:
    for process in world.processes:
        if process.step in UNNOTICED:
            return process
    return None
