"""What a mind may do besides answering: the table of tools, and the box of those that one turn may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.model import ToolResult, ToolSpec, Turn
from chalicelib.tools.builtin import complete_task, hand_off_to_human
from chalicelib.tools.registry import BadArguments, Call, Tool, refusal

BUILT_IN: Sequence[Tool] = (hand_off_to_human, complete_task)


@dataclass(frozen=True, slots=True)
class ToolTable:
    """The tools that there are; see `ports.Tools`."""

    built_in: Sequence[Tool] = BUILT_IN

    def of(self, turn: Turn) -> "TurnTools":
        names = turn.settings.tools
        allowed = (each for each in self.built_in if names is None or each.name in names)
        return TurnTools(turn, {each.name: each for each in allowed})


@dataclass(frozen=True, slots=True)
class TurnTools:
    """The tools of one turn; see `ports.Toolbox`."""

    turn: Turn
    tools: Mapping[str, Tool]

    def specs(self) -> Sequence[ToolSpec]:
        return [each.spec for each in self.tools.values()]

    def use(self, name: str, arguments: str, *, seconds_left: float) -> ToolResult:
        tool = self.tools.get(name)
        if tool is None:
            return refusal("there is no such tool")
        try:
            given = tool.read(arguments)
        except BadArguments as wrong:
            return refusal(f"the arguments do not fit: {wrong}")
        return tool.function(given, Call(turn=self.turn, seconds_left=seconds_left))
