"""What must hold in every state, at every step, and when everything is quiet; each with its sentence."""

from collections.abc import Callable
from itertools import pairwise

from tests.model.rules import Rules
from tests.model.world import FAILED_THOUGH_OUT, World


def nobody_is_forgotten(world: World, rules: Rules) -> bool:
    """Every message that came in is answered, handed over, or its person is in the index of those who wait."""
    return world.record.indexed or _unanswered(world, rules) == 0


def nothing_is_answered_twice(world: World, rules: Rules) -> bool:
    """No message is covered by two answers, and no part of an answer leaves twice."""
    posts = [(each.to, each.part) for each in world.posts]
    intervals = sorted({(each.after, each.to) for each in world.posts})
    apart = all(first[1] <= second[0] for first, second in pairwise(intervals))
    return apart and len(posts) == len(set(posts))


def answers_leave_in_order(world: World, rules: Rules) -> bool:
    """An answer leaves after those to earlier messages, and its parts in their order."""
    order = [(each.to, each.part) for each in world.posts]
    return order == sorted(order)


def the_history_is_complete(world: World, rules: Rules) -> bool:
    """What the record has closed is in the history, and so is every answer that is out."""
    closed = all(number in world.written for number in range(1, world.record.answered + 1))
    entries = {(each.to, each.part) for each in world.entries}
    return closed and all((each.to, each.part) in entries for each in world.posts)


def no_status_goes_back(world: World, rules: Rules) -> bool:
    """The history never says that a message failed which the provider has named to it."""
    return all(each.status != FAILED_THOUGH_OUT for each in world.entries)


def nobody_is_talked_over(before: World, after: World, rules: Rules) -> bool:
    """No answer is committed or claimed for a human's conversation, or in another epoch than its turn began in."""
    now, then = after.record.outgoing, before.record.outgoing
    if now.claimed and now.claim != then.claim:
        return not before.record.a_humans and now.epoch == before.record.epoch
    if now and now.name != then.name:
        return not before.record.human and now.epoch == before.record.epoch
    return True


def one_answer_at_a_time(before: World, after: World, rules: Rules) -> bool:
    """An answer begins where the last one ended, and never in the place of another one."""
    now, then = after.record.outgoing, before.record.outgoing
    if not now or now.name == then.name:
        return True
    return not then and now.after == before.record.answered


def answers_cover_the_burst(before: World, after: World, rules: Rules) -> bool:
    """An answer covers everything that has come in, unless the longest burst is over."""
    now, then = after.record.outgoing, before.record.outgoing
    begun = bool(now) and now.name != then.name
    return not begun or bool(rules.long_bursts) or now.to == before.record.received


def numbers_only_grow(before: World, after: World, rules: Rules) -> bool:
    """What is closed stays closed, nothing is closed that did not come in, and epochs follow each other."""
    now, then = after.record, before.record
    grown = now.answered >= then.answered and now.epoch >= then.epoch and now.received >= then.received
    return grown and now.answered <= now.received


def nobody_is_left(world: World, rules: Rules) -> bool:
    """When everything is quiet, everybody is answered or handed over and no answer is on its way."""
    return _unanswered(world, rules) == 0 and not world.record.outgoing and not world.record.indexed


#: Checked in every state.
ALWAYS: tuple[Callable[[World, Rules], bool], ...] = (
    nobody_is_forgotten,
    nothing_is_answered_twice,
    answers_leave_in_order,
    the_history_is_complete,
    no_status_goes_back,
)

#: Checked at every step.
STEPWISE: tuple[Callable[[World, World, Rules], bool], ...] = (
    nobody_is_talked_over,
    one_answer_at_a_time,
    answers_cover_the_burst,
    numbers_only_grow,
)


def _unanswered(world: World, rules: Rules) -> int:
    """How many messages are neither answered whole nor known to a human."""
    parts: dict[int, int] = {}
    covered: set[int] = set()
    for post in world.posts:
        parts[post.to] = parts.get(post.to, 0) + post.arrived
        if parts[post.to] >= rules.parts and not post.promises:
            covered.update(range(post.after + 1, post.to + 1))
    return sum(number not in covered for number in range(world.handed + 1, world.record.received + 1))
