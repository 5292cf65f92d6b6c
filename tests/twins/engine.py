"""A mind that says what the test has written for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib.errors import Refused
from chalicelib.model import Answer, Turn, Usage
from chalicelib.ports import Secret, Toolbox

Line = Answer | Exception | Callable[[Turn], Answer]

USAGE = Usage(model="twin-1", input_tokens=10, output_tokens=5, milliseconds=20)


def echo(turn: Turn) -> Answer:
    """An answer from which one can read what it answers."""
    return Answer(text="You said: " + " / ".join(message.text for message in turn.waiting), usage=USAGE)


@dataclass
class TwinEngine:
    """Says its `script` line by line, then echoes. `turns` holds everything that it was asked."""

    script: list[Line] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    secrets: list[Sequence[Secret]] = field(default_factory=list)
    tools: list[Toolbox] = field(default_factory=list)

    def answer(self, turn: Turn, secrets: Sequence[Secret], tools: Toolbox) -> Answer:
        self.turns.append(turn)
        self.tools.append(tools)
        self.secrets.append(secrets)
        line = self.script.pop(0) if self.script else echo
        if isinstance(line, Exception):
            raise line
        return line if isinstance(line, Answer) else line(turn)

    def says(self, *lines: Line) -> None:
        self.script.extend(lines)


@dataclass
class TwinEngines:
    """One engine under every known name."""

    engine: TwinEngine = field(default_factory=TwinEngine)
    names: tuple[str | None, ...] = (None, "responses")

    def of(self, turn: Turn) -> TwinEngine:
        if turn.settings.engine not in self.names:
            raise Refused("unknown_engine")
        return self.engine
