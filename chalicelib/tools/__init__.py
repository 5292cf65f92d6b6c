"""What a mind may do besides answering: the table of tools, and the box of those that one turn may use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.model import ToolResult, ToolSpec, Turn
from chalicelib.ports import Clock, IdempotencyRecords, Journal, Secrets
from chalicelib.tools.builtin import complete_task, hand_off_to_human
from chalicelib.tools.outside import Outside
from chalicelib.tools.registry import Call, Failed, Tool, refusal
from chalicelib.tools.webhook import Webhooks

#: Every function that an AI may use if its tenant names it.
TOOLS: Sequence[Tool] = (
    hand_off_to_human,
    complete_task,
)

#: What an AI may use where its tenant names nothing.
BUILT_IN = frozenset({"hand_off_to_human", "complete_task"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTable:
    """The tools that there are; see `ports.Tools`."""

    secrets: Secrets
    records: IdempotencyRecords
    clock: Clock
    journal: Journal
    outside: Outside
    functions: Sequence[Tool] = TOOLS

    def of(self, turn: Turn) -> "TurnTools":
        allowed = BUILT_IN if turn.settings.tools is None else turn.settings.tools
        tools = {each.name: each for each in self.functions if each.name in allowed}
        for declared in self._declared(turn):
            tools.setdefault(declared.name, declared)
        return TurnTools(turn, tools, self.records, self.clock, self.journal)

    def _declared(self, turn: Turn) -> Iterator[Tool]:
        """The tenant's own tools. One that cannot be offered, or has the name of a function of ours, is left out."""
        webhooks = Webhooks(self.secrets, self.outside, self.clock)
        taken = {each.name for each in self.functions}
        for declared in turn.settings.webhook_tools or ():
            try:
                if declared.spec.name in taken:
                    raise Failed("name_taken")
                yield webhooks.tool_of(declared)
            except Failed as failure:
                self.journal(
                    "tool_left_out",
                    "a tool that the tenant declares cannot be offered",
                    conversation=turn.reference,
                    tool=declared.spec.name,
                    reason=failure.code,
                )


@dataclass(frozen=True, slots=True)
class TurnTools:
    """The tools of one turn; see `ports.Toolbox`."""

    turn: Turn
    tools: Mapping[str, Tool]
    records: IdempotencyRecords
    clock: Clock
    journal: Journal

    def specs(self) -> Sequence[ToolSpec]:
        return [each.spec for each in self.tools.values()]

    def use(self, name: str, arguments: str, *, seconds_left: float) -> ToolResult:
        tool = self.tools.get(name)
        try:
            if tool is None:
                raise Failed("no_such_tool", "there is no such tool")
            result = self._done(tool, tool.read(arguments), seconds_left)
        except Failed as failure:
            # a name that we do not know is the model's word, and belongs in no log
            self._note("tool_failed", "a tool could not be used", tool, reason=failure.code)
            return refusal(str(failure))
        self._note("tool_used", "a tool was used", tool)
        return result

    def _done(self, tool: Tool, given: object, seconds_left: float) -> ToolResult:
        call = Call(turn=self.turn, seconds_left=seconds_left, idempotency_key=tool.key_of(given, self.turn))
        if not tool.acts:
            return tool.function(given, call)
        begun = self.records.begin(call.idempotency_key, at=self.clock())
        if begun.result is not None:
            return begun.result
        # dying from here on leaves a record that says only that it was begun: the next turn uses the same key
        result = tool.function(given, replace(call, again=begun.again))
        return self.records.complete(call.idempotency_key, result)

    def _note(self, action: str, message: str, tool: Tool | None, **fields: str) -> None:
        name = tool.name if tool else None
        self.journal(action, message, conversation=self.turn.reference, tool=name, **fields)
