"""Values that are read again only after some minutes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chalicelib.ports import Clock

Value = TypeVar("Value")

#: More keys than this are forgotten all at once, so that made-up keys cannot fill the memory.
_MOST_KEYS = 2_000


class Cache(Generic[Value]):
    """Remembers what a key was worth and when that was read."""

    def __init__(self, clock: Clock, keep: timedelta) -> None:
        self._clock = clock
        self._keep = keep
        self._known: dict[str, tuple[datetime, Value]] = {}

    def get(self, key: str, read: Callable[[str], Value], *, younger_than: timedelta | None = None) -> Value:
        """The value of `key`: the known one if it is young enough, else what `read` returns."""
        known = self._known.get(key)
        if known is not None and self._clock() - known[0] < (younger_than or self._keep):
            return known[1]
        value = read(key)
        if len(self._known) >= _MOST_KEYS:
            self._known.clear()
        self._known[key] = (self._clock(), value)
        return value

    def read_at(self, key: str) -> datetime | None:
        known = self._known.get(key)
        return known[0] if known else None
