"""The conversation records in memory: each step of the protocol is one atomic change of one record."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

from chalicelib.context import iso
from chalicelib.errors import TryAgain
from chalicelib.lifecycle import ends_with
from chalicelib.model import (
    Channel,
    Conversation,
    ConversationKey,
    Outgoing,
    OutgoingState,
    Status,
    Thread,
    Waiting,
)
from chalicelib.ports import Claim, Clock, Identifiers, Recorded

MOST_WAITING = 20
IDS_KEPT = 32
MOST_IDS = 64
LIVES_ON = timedelta(days=1)


class TwinConversations:
    """The port `Conversations` over a dictionary; thread-safe, one lock for everything."""

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        self._clock = clock
        self._identifiers = identifiers
        self._records: dict[ConversationKey, Conversation] = {}
        self._at_hand = RLock()

    def put(self, conversation: Conversation) -> Conversation:
        """Writes a record as the outbound engine does, whatever it held before; for tests."""
        with self._at_hand:
            self._records[conversation.key] = conversation
            return conversation

    def remove(self, key: ConversationKey) -> None:
        """Forgets a record, as its time to live does; for tests."""
        with self._at_hand:
            self._records.pop(key, None)

    def all(self) -> list[Conversation]:
        """Every record; for tests."""
        with self._at_hand:
            return sorted(self._records.values(), key=lambda each: (each.key.person, each.key.conversation_id))

    def of_person(self, address: str) -> Sequence[Conversation]:
        with self._at_hand:
            found = [each for key, each in self._records.items() if key.person == address]
        return sorted(found, key=lambda each: each.key.conversation_id)

    def get(self, key: ConversationKey) -> Conversation | None:
        with self._at_hand:
            return self._records.get(key)

    def open(self, conversation: Conversation) -> bool:
        with self._at_hand:
            if conversation.key in self._records:
                return False
            self.put(_as_opened(conversation, iso(self._clock())))
            return True

    def record(self, seen: Conversation, message: Waiting, *, opted_out: bool | None) -> Recorded:
        message = replace(message, received_at=_kept(message.received_at))
        with self._at_hand:
            now = self.get(seen.key)
            if now is None:
                raise TryAgain("the record is gone")
            number = now.number_of(message.message_id)
            if number is not None:
                return Recorded(now, number, again=True)
            if _is_closed(now) and not _is_closed(seen):
                raise TryAgain("the record is closed")
            after = self._change(
                now,
                received=now.received + 1,
                recent_message_ids=_with_id(now.recent_message_ids, message.message_id),
                last_inbound_at=message.received_at,
                unanswered_since=now.unanswered_since or message.received_at,
                status=(Status.OPTED_OUT if opted_out else Status.USER_REPLY_RECEIVED).value,
                expires_at=_lives_on(now.expires_at, message.received_at),
                reference=now.reference or self._identifiers(),
                opted_out=now.opted_out if opted_out is None else opted_out,
                **_with_room_for(now, message),
            )
            return Recorded(after, after.received)

    def close(self, seen: Conversation) -> Conversation | None:
        with self._at_hand:
            now = self._unmoved(seen)
            if now is None:
                return None
            nobody_waits = {} if now.outgoing else {"unanswered_since": None}
            return self._change(
                now, answered=now.received, untold=False, **_NOTHING_WAITS, **_NO_RESCUES, **nobody_waits
            )

    def commit(
        self,
        seen: Conversation,
        outgoing: Outgoing,
        *,
        newer_may_wait: bool,
        outcome: str | None = None,
        thread: Thread | None = None,
    ) -> Conversation | None:
        with self._at_hand:
            now = self.get(seen.key)
            if now is None:
                return None
            if now.outgoing is not None:
                return now if now.outgoing.token == outgoing.token else None
            moved = (now.answered, now.epoch) != (seen.answered, seen.epoch)
            newer_waits = now.received != outgoing.to and not newer_may_wait
            if moved or newer_waits or not _may_be_sent(now):
                return None
            return self._change(
                now,
                answered=outgoing.to,
                outgoing=_as_committed(outgoing),
                status=Status.AI_RESPONSE_READY.value,
                waiting=now.waiting[len(seen.waiting) :],
                overflowing=now.overflowing and newer_may_wait,
                apologised=now.apologised or outgoing.is_apology,
                task_complete=now.task_complete or outcome is not None,
                task_outcome=now.task_outcome if outcome is None else outcome,
                **({"thread_id": thread.id, "thread_state": thread} if thread else {}),
                **_NO_RESCUES,
            )

    def claim(self, key: ConversationKey, *, claim: str, at: datetime) -> Claim:
        with self._at_hand:
            now = self.get(key)
            if now is None or now.outgoing is None:
                return Claim(False, now)
            outgoing = now.outgoing
            if outgoing.state != OutgoingState.READY or outgoing.epoch != now.epoch or not _may_be_sent(now):
                return Claim(outgoing.claim == claim, now)
            claimed = replace(
                outgoing,
                state=OutgoingState.CLAIMED,
                attempts=outgoing.attempts + 1,
                claim=claim,
                claimed_at=_kept(at),
                first_claimed_at=outgoing.first_claimed_at or _kept(at),
            )
            return Claim(True, self._change(now, outgoing=claimed))

    def sent_part(
        self, key: ConversationKey, *, token: str, part: int, provider_id: str, claim: str | None = None
    ) -> Conversation | None:
        with self._at_hand:
            now = self.get(key)
            if now is None or now.outgoing is None or now.outgoing.token != token:
                return None
            if claim is not None and now.outgoing.claim != claim:
                return None
            parts = list(now.outgoing.parts)
            parts[part] = replace(parts[part], provider_id=provider_id)
            claimed_at = _kept(self._clock()) if claim is not None else now.outgoing.claimed_at
            return self._change(now, outgoing=replace(now.outgoing, parts=tuple(parts), claimed_at=claimed_at))

    def finish(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        return self._end_outgoing(seen, is_out=True)

    def drop(self, seen: Conversation) -> Conversation | None:
        return self._end_outgoing(seen, is_out=False)

    def release(self, seen: Conversation) -> Conversation | None:
        with self._at_hand:
            now = self.get(seen.key)
            if now is None or now.outgoing is None or not _same_outgoing(now, seen):
                return None
            return self._change(now, outgoing=replace(now.outgoing, state=OutgoingState.READY, claim=None))

    def change_hands(
        self, seen: Conversation, *, to_human: bool, reason: str | None, status: str, drop_outgoing: bool
    ) -> Conversation | None:
        with self._at_hand:
            now = self._unmoved(seen)
            if now is None:
                return None
            changes: dict[str, Any] = {"handed_off": to_human, "epoch": now.epoch + 1, "status": str(status)}
            if to_human:
                changes |= {"handed_off_reason": reason or None, "untold": True}
                changes |= {"unanswered_since": now.unanswered_since or _kept(self._clock())}
            else:
                changes |= {"handed_off_reason": None, "answered": now.received, **_NOTHING_WAITS}
                changes |= {} if now.outgoing else {"unanswered_since": None}
            if drop_outgoing:
                changes |= {"outgoing": None}
            return self._change(now, **changes)

    def offer(self, seen: Conversation, outgoing: Outgoing) -> Conversation | None:
        with self._at_hand:
            now = self._unmoved(seen)
            if now is None or not _may_be_sent(now):
                return None
            return self._change(
                now,
                outgoing=_as_committed(outgoing),
                status=Status.AI_RESPONSE_READY.value,
                unanswered_since=now.unanswered_since or _kept(self._clock()),
            )

    def opt(self, key: ConversationKey, *, out: bool) -> None:
        with self._at_hand:
            now = self.get(key)
            if now is not None:
                self._change(now, opted_out=out)

    def overdue(self, before: datetime, *, limit: int) -> Sequence[ConversationKey]:
        with self._at_hand:
            waiting = [(each.unanswered_since, each.key) for each in self._records.values() if each.unanswered_since]
        late = [(since, key) for since, key in waiting if since < _kept(before)]
        return [key for _, key in sorted(late, key=lambda each: each[0])[:limit]]

    def rescued(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        with self._at_hand:
            now = self._unmoved(seen)
            if now is None or now.rescues != seen.rescues:
                return None
            return self._change(now, rescues=now.rescues + 1, rescued_at=_kept(at))

    def _end_outgoing(self, seen: Conversation, *, is_out: bool) -> Conversation | None:
        assert seen.outgoing is not None, "only an answer on its way can end"
        with self._at_hand:
            now = self.get(seen.key)
            if now is None or now.outgoing is None or not _same_outgoing(now, seen):
                return None
            changes: dict[str, Any] = {"outgoing": None}
            same_hands = now.epoch == now.outgoing.epoch
            hands_over = now.outgoing.hands_over if is_out and same_hands else None
            if hands_over:
                reason = now.handed_off_reason or hands_over
                changes |= {"handed_off": True, "handed_off_reason": reason, "epoch": now.epoch + 1}
            if not is_out or hands_over:
                changes["untold"] = True
            if not is_out or hands_over or now.untold or not same_hands:
                changes["unanswered_since"] = now.unanswered_since or _kept(self._clock())
            else:
                changes["unanswered_since"] = self._oldest_waits_since(now)
            if is_out and same_hands:
                changes["status"] = ends_with(now.outgoing).get(now.status, now.status)
            return self._change(now, **changes, **_NO_RESCUES)

    def _oldest_waits_since(self, now: Conversation) -> datetime | None:
        if not now.somebody_waits:
            return None
        return now.waiting[0].received_at if now.waiting else now.last_inbound_at or _kept(self._clock())

    def _unmoved(self, seen: Conversation) -> Conversation | None:
        """The record, if nothing came in, was answered, was claimed or changed hands since `seen`."""
        now = self.get(seen.key)
        if now is None or not _same_outgoing(now, seen):
            return None
        same = (now.received, now.answered, now.epoch) == (seen.received, seen.answered, seen.epoch)
        return now if same else None

    def _change(self, now: Conversation, **changes: Any) -> Conversation:
        return self.put(replace(now, updated_at=iso(self._clock()), **changes))


def _kept(moment: datetime) -> datetime:
    """A time as a record keeps it: to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _as_opened(new: Conversation, now: str) -> Conversation:
    """What a record holds that was opened by us."""
    channel = new.channel or Channel.WHATSAPP
    own = new.own_addresses.get(channel)
    return Conversation(
        key=new.key,
        channel=channel,
        own_addresses={channel: own} if own else {},
        company_id=new.company_id,
        company_name=new.company_name,
        project_id=new.project_id,
        project_name=new.project_name,
        project_status="active",
        status=new.status,
        reference=new.reference,
        created_at=now,
        updated_at=now,
    )


_NOTHING_WAITS: dict[str, Any] = {"waiting": (), "overflowing": False}
_NO_RESCUES: dict[str, Any] = {"rescues": 0, "rescued_at": None}


def _lives_on(expires_at: int | None, received_at: datetime) -> int | None:
    return max(expires_at, int((received_at + LIVES_ON).timestamp())) if expires_at is not None else None


def _with_id(known: tuple[str, ...], message_id: str) -> tuple[str, ...]:
    kept = known if len(known) < MOST_IDS else known[-(IDS_KEPT - 1) :]
    return (*kept, message_id)


def _with_room_for(now: Conversation, message: Waiting) -> dict[str, Any]:
    if now.overflowing or len(now.waiting) >= MOST_WAITING:
        return {"overflowing": True}
    return {"waiting": (*now.waiting, message)}


def _as_committed(outgoing: Outgoing) -> Outgoing:
    parts = tuple(replace(part, provider_id=None) for part in outgoing.parts)
    return replace(
        outgoing,
        parts=parts,
        claim=None,
        claimed_at=None,
        first_claimed_at=None,
        committed_at=_kept(outgoing.committed_at),
        newest_at=_kept(outgoing.newest_at),
    )


def _may_be_sent(now: Conversation) -> bool:
    return not now.handed_off and not now.opted_out and now.consent and not _is_closed(now)


def _is_closed(now: Conversation) -> bool:
    return now.status in ("closed", "Closed", "CLOSED")


def _same_outgoing(now: Conversation, seen: Conversation) -> bool:
    if now.outgoing is None or seen.outgoing is None:
        return now.outgoing is seen.outgoing
    return now.outgoing.is_same_claim_as(seen.outgoing)
