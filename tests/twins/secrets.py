"""Secrets in memory, read through a cache of minutes as the real ones are."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.ports import Clock, Secret

_KEPT = timedelta(minutes=5)
_NOT_MORE_OFTEN_THAN = timedelta(minutes=1)


class TwinSecrets:
    """Secrets by reference. `reads` counts what would have been read from Secrets Manager."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[str, tuple[Secret, ...]] = {}
        self._known: dict[str, tuple[datetime, tuple[Secret, ...]]] = {}
        self.reads = 0

    def put(self, reference: str, *values: Secret) -> None:
        """What is valid from now on, newest first; readers learn of it when they read anew."""
        self._stored[reference] = values

    def current(self, reference: str) -> Sequence[Secret]:
        if not self._is_younger_than(_KEPT, reference):
            self._read(reference)
        return self._known[reference][1]

    def refreshed(self, reference: str) -> Sequence[Secret] | None:
        if self._is_younger_than(_NOT_MORE_OFTEN_THAN, reference):
            return None
        self._read(reference)
        return self._known[reference][1]

    def _is_younger_than(self, age: timedelta, reference: str) -> bool:
        known = self._known.get(reference)
        return known is not None and self._clock() - known[0] < age

    def _read(self, reference: str) -> None:
        self.reads += 1
        self._known[reference] = (self._clock(), self._stored.get(reference, ()))
