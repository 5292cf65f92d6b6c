"""The tools that every tenant's AI may use unless the tenant says otherwise."""

from pydantic import Field

from chalicelib.model import ToolResult
from chalicelib.tools.registry import Arguments, Call, as_json, tool

#: What a record keeps of the model's words, in characters.
LONGEST_WORDS = 200

_NOT_SAID = "completed"


class HandOff(Arguments):
    reason: str = Field(description="Why a human is needed, in a few words.")


@tool(acts=False)
def hand_off_to_human(arguments: HandOff, call: Call) -> ToolResult:
    """Gives the conversation to a human colleague, who answers instead of you. Use it when the person asks for a
    human or when you cannot help."""
    reason = arguments.reason.strip()[:LONGEST_WORDS]
    return ToolResult(output=as_json({"handed_off": True}), hand_off_reason=reason or "the AI asked for a human")


class Completion(Arguments):
    outcome: str = Field(description="What was achieved, in a few words.")


@tool(acts=False)
def complete_task(arguments: Completion, call: Call) -> ToolResult:
    """Notes that the purpose of this conversation is fulfilled. Use it once, when everything that you were asked to
    find out or to arrange is settled; then answer the person as usual."""
    outcome = arguments.outcome.strip()[:LONGEST_WORDS]
    return ToolResult(output=as_json({"noted": True}), outcome=outcome or _NOT_SAID)
