"""Records and history with a witness who compares before and after, and notes what really happened."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.lifecycle import RANK, may_follow
from chalicelib.model import (
    Author,
    Conversation,
    ConversationKey,
    Delivery,
    Numbered,
    Outgoing,
    Status,
    Thread,
    Waiting,
)
from chalicelib.ports import Claim, Marked, Recorded
from tests.simulation.clockwork import Process
from tests.simulation.stores import Entries, Records
from tests.simulation.truth import Committed, Said, Truth

if TYPE_CHECKING:
    from tests.simulation.world import World


class WitnessedConversations:
    """The records, with a witness who compares each record before and after a step."""

    def __init__(self, store: Records, truth: Truth, world: "World") -> None:
        self._store = store
        self._truth = truth
        self._world = world
        self.of_person = store.of_person
        self.overdue = store.overdue

    def get(self, key: ConversationKey) -> Conversation | None:
        process = self._acting()
        if process is not None:
            process.hands_read[key] = self._truth.hands[key]
        return self._store.get(key)

    def open(self, conversation: Conversation) -> bool:
        return self._store.open(conversation)

    def record(self, seen: Conversation, message: Waiting, *, opted_out: bool | None) -> Recorded:
        before = self._store.get(seen.key)
        recorded = self._store.record(seen, message, opted_out=opted_out)
        after = self._compared(before, seen.key)
        if not recorded.again and before is not None:
            self._recorded(before, message, after)
        return recorded

    def _recorded(self, before: Conversation, message: Waiting, after: Conversation) -> None:
        key = before.key
        truth, said = self._truth, self._truth.said[message.message_id]
        numbers = truth.numbers[key]
        numbers.append(message.message_id)
        if said.recorded is not None and self._is_kept(before, said):
            truth.broken("recorded_once", f"{message.message_id} is {said.recorded[1]} and {len(numbers)}")
        if len(numbers) != after.received:
            truth.broken("numbered", f"{len(numbers)} messages, but the record says {after.received}")
        said.recorded, said.recorded_at = (key, len(numbers)), self._world.now
        said.found_room = any(each.message_id == said.message_id for each in after.waiting)
        if (message.sender, message.recipient) != (said.person, said.own_address):
            truth.broken("tenants_apart", f"{message.message_id} is recorded for somebody else")

    def _is_kept(self, record: Conversation, said: Said) -> bool:
        """Whether anything of a message is left; one that found no room and whose webhook died may come again."""
        assert said.recorded is not None
        key, number = said.recorded
        waits = any(each.message_id == said.message_id for each in record.waiting)
        known = self._world.history.entry(key.conversation_id, Numbered.inbound(number)) is not None
        return waits or known or key != record.key

    def close(self, seen: Conversation) -> Conversation | None:
        before = self._store.get(seen.key)
        closed = self._store.close(seen)
        self._compared(before, seen.key)
        return closed

    def commit(
        self,
        seen: Conversation,
        outgoing: Outgoing,
        *,
        newer_may_wait: bool,
        outcome: str | None = None,
        thread: Thread | None = None,
    ) -> Conversation | None:
        before = self._store.get(seen.key)
        committed = self._store.commit(seen, outgoing, newer_may_wait=newer_may_wait, outcome=outcome, thread=thread)
        after = self._compared(before, seen.key)
        is_new = after.outgoing is not None and after.outgoing.token == outgoing.token
        if before is not None and is_new and outgoing.token not in self._truth.answers:
            self._committed(before, outgoing)
        return committed

    def _committed(self, before: Conversation, outgoing: Outgoing) -> None:
        truth, process, key = self._truth, self._acting(), before.key
        hands = truth.hands[key]
        covered = tuple(truth.numbers[key][outgoing.after : outgoing.to])
        truth.answers[outgoing.token] = Committed(
            key,
            outgoing.token,
            outgoing.after,
            outgoing.to,
            len(outgoing.parts),
            hands,
            self._world.now,
            promises=outgoing.hands_over is not None,
            apology=outgoing.author == Author.SYSTEM,
        )
        if before.handed_off:
            truth.broken("no_ai_after_a_takeover", f"an answer to {covered} is committed while a human owns")
        if process is None:
            return
        if process.hands_read.get(key) != hands:
            truth.broken("no_ai_after_a_takeover", f"an answer to {covered} was thought before hands changed")
        if outgoing.author == Author.SYSTEM:
            return
        if process.saw_mutilated:
            truth.broken("covers_what_was_shown", f"{process.saw_mutilated} was shown mutilated")
        if process.saw != covered:
            truth.broken("covers_what_was_shown", f"the engine saw {process.saw}, the answer covers {covered}")
        self._world.committed(before, outgoing)

    def claim(self, key: ConversationKey, *, claim: str, at: datetime) -> Claim:
        before = self._store.get(key)
        claimed = self._store.claim(key, claim=claim, at=at)
        self._compared(before, key)
        if claimed.granted and before is not None and before.outgoing is not None:
            self._claimed(before, before.outgoing, claim)
        return claimed

    def _claimed(self, before: Conversation, outgoing: Outgoing, claim: str) -> None:
        truth, answer = self._truth, self._truth.answers[outgoing.token]
        if outgoing.claim == claim:
            return
        if before.handed_off or before.opted_out or not before.consent:
            truth.broken("no_ai_after_a_takeover", f"({answer.after}, {answer.to}] is claimed while a human owns")
        elif answer.hands != truth.hands[before.key]:
            truth.broken("no_ai_after_a_takeover", f"({answer.after}, {answer.to}] is claimed after hands changed")

    def sent_part(self, key: ConversationKey, **what: Any) -> Conversation | None:
        before = self._store.get(key)
        noted = self._store.sent_part(key, **what)
        self._compared(before, key)
        return noted

    def finish(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        before = self._store.get(seen.key)
        finished = self._store.finish(seen, at=at)
        self._compared(before, seen.key)
        if finished is not None and before is not None and finished.epoch != before.epoch:
            self._truth.hands[seen.key] += 1
        process = self._acting()
        if process is not None:
            process.owes = seen.key if finished is not None and finished.somebody_waits else None
        return finished

    def release(self, seen: Conversation) -> Conversation | None:
        before = self._store.get(seen.key)
        released = self._store.release(seen)
        self._compared(before, seen.key)
        return released

    def drop(self, seen: Conversation) -> Conversation | None:
        before = self._store.get(seen.key)
        dropped = self._store.drop(seen)
        self._compared(before, seen.key)
        return dropped

    def change_hands(
        self, seen: Conversation, *, to_human: bool, reason: str | None, status: str, drop_outgoing: bool
    ) -> Conversation | None:
        before = self._store.get(seen.key)
        changed = self._store.change_hands(
            seen, to_human=to_human, reason=reason, status=status, drop_outgoing=drop_outgoing
        )
        self._compared(before, seen.key)
        if changed is not None:
            self._truth.hands[seen.key] += 1
        return changed

    def offer(self, seen: Conversation, outgoing: Outgoing) -> Conversation | None:
        return self._store.offer(seen, outgoing)

    def opt(self, key: ConversationKey, *, out: bool) -> None:
        self._store.opt(key, out=out)

    def rescued(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        before = self._store.get(seen.key)
        rescued = self._store.rescued(seen, at=at)
        self._compared(before, seen.key)
        self._truth.rescued += rescued is not None
        return rescued

    def _compared(self, before: Conversation | None, key: ConversationKey) -> Conversation:
        after = self._store.get(key)
        assert after is not None, "records do not vanish"
        if before is None or before == after:
            return after
        grows = (before.received, before.answered, before.epoch), (after.received, after.answered, after.epoch)
        if any(now < then for then, now in zip(*grows, strict=True)):
            self._truth.broken("numbers_only_grow", f"{grows[0]} became {grows[1]}")
        if after.answered > after.received:
            self._truth.broken("numbered", f"{after.answered} of {after.received} are answered")
        if not _may_follow(before, after):
            self._truth.broken("status_follows_its_table", f"{before.status} became {after.status}")
        return after

    def _acting(self) -> Process | None:
        process: Process | None = self._world.boundary.acting
        return process


_OF_HUMANS = frozenset({Status.HANDED_OFF_TO_HUMAN, Status.AI_FAILED, Status.SEND_FAILED})


def _may_follow(before: Conversation, after: Conversation) -> bool:
    """By the table; what other systems do to a record does not keep to it."""
    unflagged = before.status in _OF_HUMANS and not before.handed_off
    closed = before.status == Status.CLOSED
    return unflagged or closed or may_follow(Status(before.status), Status(after.status))


class WitnessedHistory:
    """The history, with a witness who looks at every status before and after."""

    def __init__(self, history: Entries, truth: Truth, world: "World") -> None:
        self._history = history
        self._truth = truth
        self._world = world
        self.begin = history.begin
        self.latest = history.latest
        self.holds = history.holds

    def write(self, entries: Sequence[Any]) -> None:
        """A batch is not one write: a part of it may get through."""
        if self._world.trouble() is None:
            self._history.write(entries)
            return
        self._history.write(entries[: len(entries) // 2])
        raise self._world.partly()

    def mark(self, conversation_id: str, position: str, **changes: Any) -> Marked:
        before = self._history.entry(conversation_id, position)
        marked = self._history.mark(conversation_id, position, **changes)
        after = self._history.entry(conversation_id, position)
        if before is not None and after is not None and before.status is not None and before.status != after.status:
            ours = before.provider_id is None and before.status == Delivery.FAILED
            if not ours and not _advances(before.status, after.status):
                self._truth.broken("status_never_goes_back", f"{before.status} became {after.status} at {position}")
        return marked


def _advances(before: Delivery, after: Delivery | None) -> bool:
    """In the order of a message's life; what did not arrive may have been sent, never delivered."""
    if after is None:
        return False
    order = (Delivery.QUEUED, Delivery.SENDING, Delivery.SENT, Delivery.DELIVERED, Delivery.READ)
    if before in order and after in order:
        return order.index(after) > order.index(before)
    return after in (Delivery.FAILED, Delivery.UNDELIVERED) and RANK[before] < RANK[Delivery.DELIVERED]
