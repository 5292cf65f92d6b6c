"""A journal that keeps its lines."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    action: str
    message: str
    fields: dict[str, Any]


@dataclass
class TwinJournal:
    """Collects what the stages say of themselves."""

    lines: list[Line] = field(default_factory=list)

    def __call__(self, action: str, message: str, **fields: object) -> None:
        self.lines.append(Line(action, message, dict(fields)))

    @property
    def actions(self) -> list[str]:
        return [line.action for line in self.lines]

    def of(self, action: str) -> list[dict[str, Any]]:
        """The fields of every line of this action, oldest first."""
        return [line.fields for line in self.lines if line.action == action]

    def text(self) -> str:
        """Everything that was written, for looking whether something is in it that must not be."""
        return "\n".join(repr(line) for line in self.lines)
