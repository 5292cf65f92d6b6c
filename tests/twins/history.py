"""The history, the fallbacks, the opt-outs and the meters in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import RLock

from chalicelib.lifecycle import RANK, bare, replaces_below
from chalicelib.model import Delivery, HistoryEntry, Media
from chalicelib.ports import Clock, Marked

_Place = tuple[str, str]


class TwinHistory:
    """Entries by conversation and position; statuses are merged by rank.

    `lag` is how long the search by provider id lags behind what was written.
    """

    def __init__(self, clock: Clock, *, lag: timedelta = timedelta(0)) -> None:
        self._clock = clock
        self._lag = lag
        self._entries: dict[_Place, HistoryEntry] = {}
        self._searchable_from: dict[tuple[_Place, str], datetime] = {}
        self._at_hand = RLock()

    def write(self, entries: Sequence[HistoryEntry]) -> None:
        places = {(entry.conversation_id, entry.position) for entry in entries}
        assert len(places) == len(entries), "one request cannot write an entry twice"
        with self._at_hand:
            for entry in entries:
                self._put(_as_written(entry))

    def begin(self, entry: HistoryEntry) -> None:
        with self._at_hand:
            if (entry.conversation_id, entry.position) not in self._entries:
                self._put(_as_written(entry))

    def latest(self, conversation_id: str, *, limit: int) -> Sequence[HistoryEntry]:
        """As the real one, it does not read back what an answer cost, what it covers or a provider's parameters."""
        newest = self.of(conversation_id)[-limit:]
        return [replace(entry, usage=None, covers=None, raw={}) for entry in newest]

    def holds(self, provider_id: str) -> bool:
        with self._at_hand:
            named = [place for place, entry in self._entries.items() if entry.provider_id == provider_id]
            return any(self._searchable_from[place, provider_id] <= self._clock() for place in named)

    def mark(
        self,
        conversation_id: str,
        position: str,
        *,
        status: Delivery,
        provider_id: str | None,
        error_code: str | None,
        at: datetime,
    ) -> Marked:
        with self._at_hand:
            entry = self._entries.get((conversation_id, position))
            if entry is None:
                return Marked(False, known=False, had_provider_id=False)
            had_provider_id = entry.provider_id is not None
            advances = entry.status is None or RANK[entry.status] < replaces_below(status)
            beats_our_own_word = provider_id is not None and not had_provider_id
            if not advances and not beats_our_own_word:
                return Marked(False, known=True, had_provider_id=had_provider_id)
            self._put(
                replace(
                    entry,
                    status=status,
                    provider_id=provider_id if provider_id is not None else entry.provider_id,
                    error_code=error_code,
                )
            )
            return Marked(True, known=True, had_provider_id=had_provider_id)

    def attach(self, conversation_id: str, position: str, media: Sequence[Media]) -> None:
        with self._at_hand:
            entry = self._entries.get((conversation_id, position))
            if entry is not None:
                self._put(replace(entry, media=tuple(media)))

    def of(self, conversation_id: str) -> list[HistoryEntry]:
        """Every entry of a conversation, whole and in order; for tests."""
        with self._at_hand:
            found = [entry for (owner, _), entry in self._entries.items() if owner == conversation_id]
        return sorted(found, key=lambda entry: entry.position)

    def _put(self, entry: HistoryEntry) -> None:
        place = entry.conversation_id, entry.position
        self._entries[place] = entry
        if entry.provider_id is not None:
            self._searchable_from.setdefault((place, entry.provider_id), self._clock() + self._lag)


def _as_written(entry: HistoryEntry) -> HistoryEntry:
    """Without a status, which only `mark` brings; times are kept to the millisecond."""
    at = entry.at.replace(microsecond=entry.at.microsecond // 1_000 * 1_000)
    return replace(entry, at=at, status=None, error_code=None)


class TwinFallbacks:
    """Which fallbacks count as sent, and until when."""

    def __init__(self) -> None:
        self._ends: dict[_Place, int] = {}
        self._at_hand = RLock()

    def may_send(self, own_address: str, person: str, *, at: datetime, window: timedelta) -> bool:
        with self._at_hand:
            ends = self._ends.get((own_address, person))
            if ends is not None and ends > int(at.timestamp()):
                return False
            self._ends[own_address, person] = int((at + window).timestamp())
            return True


class TwinOptOuts:
    """Who wants no messages of which company."""

    def __init__(self) -> None:
        self._out: set[_Place] = set()
        self._at_hand = RLock()

    def note(self, company: str, people: Sequence[str], *, out: bool, at: datetime) -> None:
        with self._at_hand:
            named = {(company, bare(person)) for person in people}
            self._out = self._out | named if out else self._out - named

    def holds(self, company: str, person: str) -> bool:
        with self._at_hand:
            return (company, bare(person)) in self._out


class TwinMeters:
    """Counters by name."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self._at_hand = RLock()

    def add(self, name: str, amount: int, *, at_most: int | None, until: datetime) -> int | None:
        with self._at_hand:
            if at_most is not None and self.used.get(name, 0) >= at_most:
                return None
            self.used[name] = self.used.get(name, 0) + amount
            return self.used[name]
