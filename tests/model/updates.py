"""The conditional updates of the conversation record, one function each, with the names of the port `Conversations`.

Each returns the record after it, or None where its condition does not hold.
"""

from tests.model.rules import Rules
from tests.model.world import NO_ANSWER, Answer, Record


def record(now: Record, rules: Rules) -> Record:
    """RECORD: one more message waits, whoever owns the conversation."""
    return now._replace(received=now.received + 1, indexed=now.indexed or rules.record_indexes)


def commit(now: Record, seen: Record, *, newer_may_wait: bool, rules: Rules, promises: bool = False) -> Record | None:
    """COMMIT: closes what was read and makes its answer the one on its way."""
    if rules.commit_compares_answered and now.answered != seen.answered:
        return None
    if rules.commit_compares_epoch and now.epoch != seen.epoch:
        return None
    if rules.commit_respects_humans and (now.human or now.unwanted):
        return None
    if rules.one_outgoing and now.outgoing:
        return None
    if rules.commit_covers_the_burst and not newer_may_wait and now.received != seen.received:
        return None
    answer = Answer(seen.answered, seen.received, seen.epoch, promises=promises)
    return now._replace(answered=seen.received, epoch=seen.epoch, rescues=0, outgoing=answer)


def claim(now: Record, rules: Rules) -> Record | None:
    """CLAIM: READY becomes CLAIMED, if the AI still owns the conversation and the person wants messages."""
    answer = now.outgoing
    if not answer or (rules.claim_is_exclusive and answer.claimed):
        return None
    if rules.claim_compares_epoch and answer.epoch != now.epoch:
        return None
    if (rules.claim_respects_humans and now.human) or (rules.claim_respects_the_person and now.unwanted):
        return None
    return now._replace(outgoing=answer._replace(claimed=True, attempts=answer.attempts + 1, noted=0))


def sent_part(now: Record, answer: Answer, part: int, *, goes_on: bool) -> Record | None:
    """Notes that a part is out, if the answer is still the same one.

    A sender that goes on must still have its claim, and the time of the claim counts anew.
    """
    if now.outgoing.name != answer.name or (goes_on and now.outgoing.claim != answer.claim):
        return None
    out = tuple(sorted({*now.outgoing.out, part}))
    return now._replace(outgoing=now.outgoing._replace(out=out, noted=now.outgoing.noted + goes_on))


def finish(now: Record, answer: Answer, rules: Rules) -> Record | None:
    """FINISH: forgets an answer that is out. Who still waits, or is with a human since, stays in the index.

    The promise that a human answers is kept in the same update.
    """
    if not _is_still(now, answer, rules.finish_compares_claim):
        return None
    if rules.finish_hands_over and now.outgoing.promises and now.epoch == answer.epoch:
        return now._replace(outgoing=NO_ANSWER, rescues=0, human=True, epoch=now.epoch + 1, indexed=True)
    waits = now.waits and rules.finish_keeps_index
    handed_over = now.epoch != answer.epoch and rules.finish_leaves_hand_over
    return now._replace(outgoing=NO_ANSWER, rescues=0, indexed=waits or handed_over)


def drop(now: Record, answer: Answer, rules: Rules) -> Record | None:
    """Removes an answer that must not leave any more. The person stays in the index."""
    if not _is_still(now, answer, rules.finish_compares_claim):
        return None
    return now._replace(outgoing=NO_ANSWER, rescues=0, indexed=rules.drop_keeps_index or now.waits)


def release(now: Record, answer: Answer, rules: Rules) -> Record | None:
    """CLAIMED becomes READY again."""
    if not _is_still(now, answer, rules.release_compares_claim):
        return None
    return now._replace(outgoing=now.outgoing._replace(claimed=False))


def close(now: Record, seen: Record, rules: Rules) -> Record | None:
    """CLOSE: nothing waits any more, because a human has it."""
    if rules.close_compares_numbers and not _unmoved(now, seen):
        return None
    indexed = now.indexed and bool(seen.outgoing)
    return now._replace(answered=seen.received, rescues=0, indexed=indexed)


def hand_over(now: Record, seen: Record, *, drop_outgoing: bool, rules: Rules) -> Record | None:
    """HAND OVER: a human has it from now on; the record says that somebody waits until the queue knows."""
    if rules.hand_over_compares_numbers and not _unmoved(now, seen):
        return None
    kept = NO_ANSWER if drop_outgoing else now.outgoing
    indexed = now.indexed or rules.hand_over_indexes
    return now._replace(human=True, epoch=seen.epoch + 1, indexed=indexed, outgoing=kept)


def give_back(now: Record, seen: Record) -> Record | None:
    """GIVE BACK: the AI answers what is written from now on."""
    if not _unmoved(now, seen):
        return None
    indexed = now.indexed and bool(seen.outgoing)
    return now._replace(human=False, epoch=seen.epoch + 1, answered=seen.received, indexed=indexed)


def rescued(now: Record, seen: Record) -> Record | None:
    """Counts that the sweep had to wake somebody."""
    if not _unmoved(now, seen) or now.rescues != seen.rescues:
        return None
    return now._replace(rescues=now.rescues + 1)


def _is_still(now: Record, answer: Answer, compares_claim: bool) -> bool:
    return bool(now.outgoing) and (not compares_claim or now.outgoing.claim_and_time == answer.claim_and_time)


def _unmoved(now: Record, seen: Record) -> bool:
    """Nothing came in, was answered, changed hands, was claimed or left since the record was read."""
    numbers = now.received == seen.received and now.answered == seen.answered and now.epoch == seen.epoch
    return numbers and now.outgoing.claim_and_time == seen.outgoing.claim_and_time
