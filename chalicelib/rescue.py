"""What no event will wake: stalled turns, answers nobody sent, and sends whose outcome is in doubt."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.errors import RelayError, TryAgain
from chalicelib.lifecycle import human_reason
from chalicelib.model import Bursts, Conversation, ConversationKey, OutgoingState, Patience
from chalicelib.picture import tenant_of
from chalicelib.ports import Clock, Conversations, GiveUp, Journal, PassOn, Route, Settle, Tenants

#: A conversation is rescued this often before a human gets it.
MOST_RESCUES = 3

#: How many conversations one sweep looks at, and for how long it settles; the next sweep follows in a minute.
SWEEP_LIMIT = 200
SETTLE_FOR = timedelta(seconds=60)


def sweep(
    *,
    conversations: Conversations,
    tenants: Tenants,
    route: Route,
    give_up: GiveUp,
    pass_on: PassOn,
    settle: Settle,
    clock: Clock,
    journal: Journal,
    bursts: Bursts,
    patience: Patience,
) -> int:
    """SWEEP: looks at everybody who has waited too long and does what is due; how many needed something.

    One conversation that fails does not keep the others waiting, nor does a provider that is down: settling comes last.
    What is our own bug is raised at the end.
    """
    run = _Sweep(conversations, tenants, route, give_up, pass_on, settle, clock, journal, bursts, patience, clock())
    overdue = conversations.overdue(run.began - patience.look_after, limit=SWEEP_LIMIT)
    in_doubt = [seen for seen in run.each(overdue) if not run.handled(seen)]
    run.settle_all(in_doubt)
    journal(
        "rescue_swept",
        "everybody who waits too long was looked at",
        waiting=len(overdue),
        rescued=run.done,
        oldest_seconds=run.oldest.total_seconds(),
    )
    if run.bugs:
        raise run.bugs[0]
    return run.done


@dataclass(slots=True)
class _Sweep:
    """One sweep, and what came of it."""

    conversations: Conversations
    tenants: Tenants
    route: Route
    give_up: GiveUp
    pass_on: PassOn
    settle: Settle
    clock: Clock
    journal: Journal
    bursts: Bursts
    patience: Patience
    began: datetime
    done: int = 0
    oldest: timedelta = timedelta(0)
    bugs: list[Exception] = field(default_factory=list)

    def each(self, keys: Iterable[ConversationKey]) -> Iterator[Conversation]:
        for key in keys:
            try:
                seen = self.conversations.get(key)
            except Exception as failure:
                self._failed(failure)
                continue
            if seen is not None:
                self.oldest = max(self.oldest, self._waited(seen))
                yield seen

    def _waited(self, seen: Conversation) -> timedelta:
        return self.began - seen.unanswered_since if seen.unanswered_since else timedelta(0)

    def handled(self, seen: Conversation) -> bool:
        """Does what is due, unless the answer must be settled first."""
        if seen.outgoing is not None and seen.outgoing.state == OutgoingState.CLAIMED:
            return False
        try:
            self.done += self._rescued(seen)
        except Exception as failure:
            self._failed(failure)
        return True

    def settle_all(self, in_doubt: list[Conversation]) -> None:
        """A provider that does not answer for one of our addresses is not asked again for it in this sweep."""
        silent: set[str] = set()
        for seen in in_doubt:
            own_address = seen.outgoing.sender if seen.outgoing else ""
            if not self._may_settle(seen) or self.clock() - self.began > SETTLE_FOR or own_address in silent:
                continue
            try:
                self.settle(seen)
                self.done += 1
            except TryAgain as failure:
                silent.add(own_address)
                self._failed(failure)
            except Exception as failure:
                self._failed(failure)

    def _rescued(self, seen: Conversation) -> bool:
        if human_reason(seen) is not None:
            current = self.conversations.drop(seen) if seen.outgoing is not None else seen
            return current is not None and self.route(current) == "human"
        if not seen.somebody_waits and seen.outgoing is None:
            # an answer was dropped, or a taking over died half way, and nobody was told
            return seen.unanswered_since is not None and self.pass_on(seen)
        return self._is_late(seen) and self._woken(seen)

    def _is_late(self, seen: Conversation) -> bool:
        """Whether whoever was woken last should have acted by now."""
        now = self.clock()
        if seen.outgoing is not None:
            since = max(seen.outgoing.committed_at, seen.rescued_at or seen.outgoing.committed_at)
            return now - since >= self.patience.sender_is_late
        moments = [at for at in (seen.unanswered_since, seen.last_inbound_at, seen.rescued_at) if at is not None]
        idle = self.bursts.idle_for(tenant_of(seen, self.tenants))
        return bool(moments) and now - max(moments) >= idle + self.patience.turn_is_late

    def _woken(self, seen: Conversation) -> bool:
        if seen.rescues >= MOST_RESCUES:
            return self.give_up(seen, reason="ai_failed:no_answer") is not None
        counted = self.conversations.rescued(seen, at=self.clock())
        if counted is None:
            return False
        what = self.route(counted)
        self.journal("rescue_woke", "somebody waited too long", conversation=seen.reference, what=what)
        return True

    def _may_settle(self, seen: Conversation) -> bool:
        outgoing = seen.outgoing
        since = (outgoing.claimed_at or outgoing.committed_at) if outgoing else None
        return since is not None and self.clock() - since >= self.patience.claim_is_late

    def _failed(self, failure: Exception) -> None:
        self.journal("rescue_failed", "the next sweep tries again", error=type(failure).__name__)
        if not isinstance(failure, RelayError):
            self.bugs.append(failure)
