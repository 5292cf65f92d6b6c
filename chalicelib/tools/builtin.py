"""The tools that every tenant's AI may use unless the tenant says otherwise."""

from pydantic import Field

from chalicelib.model import ToolResult
from chalicelib.tools.registry import Arguments, Call, as_json, tool

#: What a record keeps of the model's words, in characters.
LONGEST_WORDS = 200


class HandOff(Arguments):
    reason: str = Field(description="Why a human is needed, in a few words.")


@tool
def hand_off_to_human(arguments: HandOff, call: Call) -> ToolResult:
    """Gives the conversation to a human colleague, who answers instead of you. Use it when the person asks for a
    human or when you cannot help."""
    reason = arguments.reason.strip()[:LONGEST_WORDS]
    return ToolResult(output=as_json({"handed_off": True}), hand_off_reason=reason or "the AI asked for a human")
