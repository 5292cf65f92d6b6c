"""OpenAI's Responses API. History and instructions are ours; OpenAI keeps nothing (`store` is off)."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from chalicelib.engines.budget import DEFAULT_TOKENS, newest_within
from chalicelib.engines.openai_api import PASSING_CODES, OpenAi, Session
from chalicelib.engines.openai_engine import Means, OpenAiEngine
from chalicelib.engines.parts import shown
from chalicelib.engines.prompt import instructions, waiting_lines
from chalicelib.engines.steps import Call, Output, Said, until_answered
from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer, Author, Spoken, ToolSpec, Turn
from chalicelib.ports import Files, Toolbox

DEFAULT_MODEL = "gpt-6-luna"
DEFAULT_OUTPUT_TOKENS = 1_200

#: Counting must not cost the turn its time.
COUNT_WITHIN = 5.0

_ROLES = {Author.USER: "user", Author.SYSTEM: "system"}

Item = dict[str, Any]


def build(*, base_url: str | None, files: Files, wait: Callable[[float], None]) -> OpenAiEngine:
    return OpenAiEngine(Means(OpenAi(base_url), files, wait), think)


def think(turn: Turn, session: Session, tools: Toolbox, means: Means) -> Answer:
    """Sends the newest of what was said, what waits at its end, and answers the model's calls until there is a text."""
    heard = items_of(fitting([*turn.history, *waiting_lines(turn)], turn, session), means.files)

    def ask(outputs: Sequence[Output]) -> Said:
        heard.extend(answered_calls(outputs))
        return create(session, turn, tools, input=list(heard), store=False)

    return until_answered(ask, tools, session.seconds_left)


def create(session: Session, turn: Turn, tools: Toolbox, **request: Any) -> Said:
    """One response. Raises Refused or TryAgain where there is no answer in it."""
    settings = turn.settings
    offered = [as_function(spec) for spec in tools.specs()]
    request |= {"tools": offered, "parallel_tool_calls": False} if offered else {}
    response = session.call(
        "responses.create",
        model=settings.model or DEFAULT_MODEL,
        instructions=instructions(turn),
        max_output_tokens=settings.max_output_tokens or DEFAULT_OUTPUT_TOKENS,
        safety_identifier=turn.reference,
        prompt_cache_key=cache_key(turn),
        **request,
    )
    usage = response.usage
    session.spent(response.model, usage.input_tokens if usage else 0, usage.output_tokens if usage else 0)
    _demand_completed(response)
    messages = [item for item in response.output if item.type == "message"]
    if any(part.type == "refusal" for message in messages for part in message.content):
        raise Refused("refusal", "the model refuses to answer")
    return Said("".join(map(text_of, messages)), tuple(_calls_of(response)))


def cache_key(turn: Turn) -> str:
    """The same for all conversations that begin with the same words; nothing of a person is in it."""
    shared = "\n".join((turn.company_name, turn.project_name, turn.settings.instructions or ""))
    return sha256(shared.encode("utf-8", "replace")).hexdigest()[:32]


def items_of(lines: Sequence[Spoken], files: Files) -> list[Item]:
    """Lines of the conversation as the Responses API takes them, files shown where they can be."""
    return [
        {"role": _ROLES.get(line.author, "assistant"), "content": _content_of(line, parts)}
        for line, parts in zip(lines, shown(lines, files), strict=True)
    ]


def answered_calls(outputs: Sequence[Output]) -> list[Item]:
    """Each call and its output. Without ids they stand for themselves, so OpenAI need not have kept anything."""
    return [
        item
        for each in outputs
        for item in (
            {
                "type": "function_call",
                "call_id": each.call.id,
                "name": each.call.name,
                "arguments": each.call.arguments,
            },
            output_item(each),
        )
    ]


def output_item(output: Output) -> Item:
    return {"type": "function_call_output", "call_id": output.call.id, "output": output.text}


def as_function(spec: ToolSpec) -> Item:
    named = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", **named, "strict": True}


def fitting(lines: Sequence[Spoken], turn: Turn, session: Session) -> list[Spoken]:
    """The newest of these lines, within the tenant's number of tokens."""

    def count(lines: Sequence[Spoken]) -> int:
        items = [{"role": _ROLES.get(line.author, "assistant"), "content": line.text} for line in lines]
        model = turn.settings.model or DEFAULT_MODEL
        counted = session.call("responses.input_tokens.count", model=model, input=items, at_most=COUNT_WITHIN)
        return int(counted.input_tokens)

    tokens = turn.settings.history_tokens or DEFAULT_TOKENS
    return newest_within(lines, tokens, count)


def _content_of(line: Spoken, parts: Sequence[Item]) -> str | list[Item]:
    if not parts or line.author != Author.USER:
        return line.text
    return [{"type": "input_text", "text": line.text}, *parts]


def _demand_completed(response: Any) -> None:
    """A 200 may still say that there is no answer. Source: Responses API, `status` and `incomplete_details`."""
    if response.status == "failed":
        code = response.error.code if response.error else "failed"
        raise TryAgain(f"OpenAI: {code}") if code in PASSING_CODES else Refused(str(code))
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        raise Refused(f"incomplete:{reason or 'unknown'}")
    if response.status in ("cancelled", "queued", "in_progress"):
        raise TryAgain(f"OpenAI: the response is {response.status}")


def _calls_of(response: Any) -> list[Call]:
    return [Call(item.call_id, item.name, item.arguments) for item in response.output if item.type == "function_call"]


def text_of(message: Any) -> str:
    """What a message item says."""
    return "".join(part.text for part in message.content if part.type == "output_text")
