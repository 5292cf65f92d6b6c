"""Idempotency records in memory, and an internet without any hosts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from chalicelib.model import ToolResult
from chalicelib.ports import Begun


@dataclass
class TwinIdempotencyRecords:
    """The port `IdempotencyRecords` over a dictionary; None stands for a deed of which nobody knows what came."""

    kept: dict[str, ToolResult | None] = field(default_factory=dict)
    at_hand: RLock = field(default_factory=RLock)

    def begin(self, key: str, *, at: datetime) -> Begun:
        with self.at_hand:
            again = key in self.kept
            return Begun(again, self.kept.setdefault(key, None))

    def complete(self, key: str, result: ToolResult) -> ToolResult:
        with self.at_hand:
            if self.kept.get(key) is None:
                self.kept[key] = result
            return self.kept[key] or result


def nobody(host: str, port: int) -> Sequence[str]:
    """Resolves no name."""
    raise OSError("there is no such host")
