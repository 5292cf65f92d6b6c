"""Time that moves only when it is told to, and identifiers that count."""

from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class TwinClock:
    """A clock whose hands are moved by the test; never backwards."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._at_hand = Lock()

    def __call__(self) -> datetime:
        return self._now

    def advance(self, by: timedelta = timedelta(0), *, seconds: float = 0) -> datetime:
        return self.advance_to(self._now + by + timedelta(seconds=seconds))

    def advance_to(self, moment: datetime) -> datetime:
        with self._at_hand:
            self._now = max(self._now, moment)
            return self._now


class CountingIdentifiers:
    """`id-0001`, `id-0002` and so on: nobody can be surprised by them, and no two are alike."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def __call__(self) -> str:
        return f"{self._prefix}-{next(self._numbers):04d}"
