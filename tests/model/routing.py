"""Who must act next, and what a human is told: the decisions of `route` and the steps of `handoff.pass_on`."""

from collections.abc import Iterator

from tests.model import updates
from tests.model.rules import LOST_RESPONSE, Rules
from tests.model.world import Process, Record, World

Move = tuple[str, World]

KEEPS_FOR_HUMAN = "writes what waits into the history, for a human"
TELLS_HUMAN = "puts the context on the handoff queue"
CLOSES = "closes what waits"
READS_AGAIN = "reads the record again"
WAKES_TURN = "wakes a turn"
WAKES_SENDER = "wakes the sender"
GIVES_BACK = "gives the conversation back"
ENDS = ""

_GIVE_BACK_ATTEMPTS = 3


def goes_on(world: World, process: Process, then: Process | None, **changes: object) -> World:
    """The world after a step of this process, which goes on as `then` or is over."""
    running = list(world.processes)
    running.remove(process)
    if then is not None:
        running.append(then)
        running.sort()
    return world._replace(processes=tuple(running), **changes)  # type: ignore[arg-type]


def starts(world: World, process: Process | None, **changes: object) -> World:
    """The world after the first step of a process that may go on."""
    if process is not None:
        changes["processes"] = tuple(sorted([*world.processes, process]))
    return world._replace(**changes)  # type: ignore[arg-type]


def can_fail(world: World, fault: str, rules: Rules) -> bool:
    return world.left.faults > 0 and fault in rules.possible


def one_fault_less(world: World) -> World:
    return world._replace(left=world.left._replace(faults=world.left.faults - 1))


def updated(
    world: World,
    process: Process,
    what: str,
    after: Record | None,
    then: Process | None,
    otherwise: Process | None,
    rules: Rules,
    **changes: object,
) -> Iterator[Move]:
    """A conditional update: done, refused, or done although its repetition says that it was refused."""
    if after is None:
        yield f"{process.who} {what}: the record has moved", goes_on(world, process, otherwise)
        return
    yield f"{process.who} {what}", goes_on(world, process, then, record=after, **changes)
    if can_fail(world, LOST_RESPONSE, rules):
        lost = goes_on(one_fault_less(world), process, otherwise, record=after, **changes)
        yield f"{process.who} {what}, but believes that the record has moved", lost


def routed(process: Process, seen: Record, rules: Rules, *, message: int = 0, tries: int = 0) -> Process | None:
    """`route`: what this process does next, given the record that it has seen; pure."""
    if seen.a_humans and tries < rules.route_attempts:
        return passing_on(process, seen, READS_AGAIN, message=message, tries=tries) if seen.unanswered else None
    if not seen.unanswered:
        return None
    if seen.outgoing and not message:
        ready = not seen.outgoing.claimed
        return Process(process.who, WAKES_SENDER, queued=process.queued) if ready else None
    if not seen.waits:
        return None
    return Process(process.who, WAKES_TURN, message=message or seen.received, queued=process.queued)


def passing_on(process: Process, seen: Record, then: str, *, message: int = 0, tries: int = 0) -> Process:
    """`pass_on`: the process that tells a human what waits in `seen`."""
    return Process(
        process.who, KEEPS_FOR_HUMAN, seen=seen, message=message, queued=process.queued, tries=tries, then=then
    )


def keeps_for_human(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """What waits is written into the history before a human is told."""
    then = process._replace(step=TELLS_HUMAN if rules.queue_before_close else CLOSES)
    written = world.written | waiting_in(process.seen) if rules.history_before_close else world.written
    yield f"{process.who} {process.step}", goes_on(world, process, then, written=written)


def tells_human(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The handoff queue gets the context: a human knows of everything that was received when the record was read."""
    then = process._replace(step=CLOSES) if rules.queue_before_close else None
    handed = max(world.handed, process.seen.received)
    yield f"{process.who} {process.step}", goes_on(world, process, then, handed=handed)


def closes(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """CLOSE, and what follows if the record moved: `route` decides again, giving back goes on anyway."""
    after = updates.close(world.record, process.seen, rules)
    then = again = None
    if process.then == GIVES_BACK:
        then = again = Process(process.who, GIVES_BACK, tries=process.tries)
    elif process.then == READS_AGAIN:
        again = process._replace(step=READS_AGAIN, tries=process.tries + 1)
    if not rules.queue_before_close:
        then = process._replace(step=TELLS_HUMAN)
    yield from updated(world, process, process.step, after, then, again, rules)


def reads_again(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """`route` decides again from a fresh record."""
    then = routed(process, world.record, rules, message=process.message, tries=process.tries)
    yield f"{process.who} {process.step}", goes_on(world, process, then)


def wakes_turn(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The replies queue gets a wake-up that names a message."""
    wakes = tuple(sorted([*world.turn_wakes, process.message]))
    yield f"{process.who} wakes a turn for message {process.message}", goes_on(world, process, None, turn_wakes=wakes)


def wakes_sender(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """The sender's queue gets a wake-up."""
    yield f"{process.who} {process.step}", goes_on(world, process, None, sender_wakes=world.sender_wakes + 1)


def gives_back(world: World, process: Process, rules: Rules) -> Iterator[Move]:
    """GIVE BACK: who is unanswered is passed on first. The read and the conditional update after it are one step."""
    now = world.record
    if not now.human or process.tries >= _GIVE_BACK_ATTEMPTS:
        yield f"{process.who} has nothing to give back", goes_on(world, process, None)
    elif rules.give_back_passes_on and (now.waits or (now.indexed and not process.tries)):
        passing = passing_on(process, now, GIVES_BACK, tries=process.tries + 1)
        yield f"{process.who} passes on what waits before giving back", goes_on(world, process, passing)
    else:
        yield f"{process.who} {process.step}", goes_on(world, process, None, record=updates.give_back(now, now))


def waiting_in(seen: Record) -> frozenset[int]:
    return frozenset(range(seen.answered + 1, seen.received + 1))
