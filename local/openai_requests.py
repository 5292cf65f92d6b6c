"""Which requests for a response OpenAI accepts, and what it says about the others."""

import re
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

# Models that can be asked for, with the day on which each is shut down, if announced.
MODELS: dict[str, str | None] = {
    "gpt-6-luna": None,
    "gpt-6-sol": None,
    "gpt-6-astra": None,
    "gpt-6.1-sol": None,
    "gpt-6.1-terra": None,
    "gpt-6.2-sol": None,
    "gpt-6.2-astra": None,
    "gpt-5.6-luna": None,
    "gpt-5.6-sol": None,
    "gpt-5.6-terra": None,
    "gpt-5.5": None,
    "gpt-5.1": "2027-04-01",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
}

# Parameters of POST /v1/responses; source: the official Python SDK 3.54, ResponseCreateParams.
PARAMETERS = frozenset(
    {
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
NOT_PLAYED = ("previous_response_id", "prompt", "stream", "background")
FEWEST_OUTPUT_TOKENS = 16
MOST_METADATA = 16
LONGEST_IDENTIFIERS = {"safety_identifier": 128, "prompt_cache_key": 64}

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class RequestError(Exception):
    """A request that is answered with an error document; the fields are those of the document."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",
        status: int = HTTPStatus.BAD_REQUEST,
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.type, self.status = message, param, code, type, status

    def as_json(self) -> Json:
        document = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": document}


def checked(body: object, before: Sequence[Json] = ()) -> Json:
    """The body, when it is a request that the stand-in can answer after the items `before`, which a conversation holds.

    Raises RequestError otherwise.
    """
    if not isinstance(body, dict):
        raise RequestError("We could not parse the JSON body of your request.")
    for check in (_parameters, _model, _played, _limits, _identifiers, _tools, _tool_choice):
        check(body)
    items = checked_items(body["input"], "input") if not isinstance(body["input"], str) else []
    _calls_are_answered([*before, *items])
    return body


def only(body: object, *names: str) -> Json:
    """The body, when it is an object with no other fields."""
    for name in _object(body, "body"):
        if name not in names:
            raise RequestError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    return _object(body, "body")


def checked_items(items: object, where: str) -> list[Json]:
    found = _array(items, where)
    for at, item in enumerate(found):
        _item(_object(item, f"{where}[{at}]"), f"{where}[{at}]")
    return found


def checked_metadata(body: Json) -> Json:
    metadata = body.get("metadata") or {}
    fits = isinstance(metadata, dict) and len(metadata) <= MOST_METADATA
    if not fits or any(len(name) > 64 or len(str(value)) > 512 for name, value in metadata.items()):
        said = f"Invalid 'metadata': expected an object of at most {MOST_METADATA} pairs."
        raise RequestError(said, param="metadata", code="invalid_type")
    return dict(metadata)


def _parameters(body: Json) -> None:
    for name in body:
        if name not in PARAMETERS:
            raise RequestError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in ("model", "input"):
        if not body.get(name):
            raise _missing(name)


def _model(body: Json) -> None:
    if not isinstance(body["model"], str) or body["model"] not in MODELS:
        said = f"The requested model '{body['model']}' does not exist."
        raise RequestError(said, param="model", code="model_not_found")


def _played(body: Json) -> None:
    for name in NOT_PLAYED:
        if body.get(name):
            raise RequestError(f"This stand-in does not play '{name}'.", param=name, code="unsupported_parameter")


def _limits(body: Json) -> None:
    limit = body.get("max_output_tokens")
    if limit is not None and (type(limit) is not int or limit < FEWEST_OUTPUT_TOKENS):
        said = f"Invalid 'max_output_tokens': expected an integer of at least {FEWEST_OUTPUT_TOKENS}."
        raise RequestError(said, param="max_output_tokens", code="integer_below_min_value")
    checked_metadata(body)


def _identifiers(body: Json) -> None:
    for name, longest in LONGEST_IDENTIFIERS.items():
        if len(body.get(name) or "") > longest:
            said = f"Invalid '{name}': string too long. Expected at most {longest} characters."
            raise RequestError(said, param=name, code="string_above_max_length")


def _tools(body: Json) -> None:
    for at, tool in enumerate(_array(body.get("tools") or [], "tools")):
        where = f"tools[{at}]"
        if _object(tool, where).get("type") != "function":
            raise _invalid_value(tool.get("type"), f"{where}.type", ["function"])
        _require(tool, where, "name")
        if not _TOOL_NAME.fullmatch(str(tool["name"])):
            said = f"Invalid '{where}.name': expected letters, digits, '_' and '-', at most 64."
            raise RequestError(said, param=f"{where}.name", code="invalid_value")
        _strict(tool, f"{where}.parameters")


def _strict(tool: Json, where: str) -> None:
    """A strict function's schema is closed and requires every property."""
    if not tool.get("strict"):
        return
    schema = _object(tool.get("parameters"), where)
    if schema.get("additionalProperties") is not False:
        problem = "'additionalProperties' is required to be supplied and to be false"
    elif set(schema.get("required", ())) != set(schema.get("properties", ())):
        problem = "'required' is required to be supplied and to include every key in properties"
    else:
        return
    said = f"Invalid schema for function '{tool['name']}': {problem}."
    raise RequestError(said, param=where, code="invalid_function_parameters")


def _tool_choice(body: Json) -> None:
    choice = body.get("tool_choice", "auto")
    names = [tool["name"] for tool in body.get("tools") or ()]
    if isinstance(choice, dict):
        if choice.get("name") not in names:
            said = f"Tool choice '{choice.get('name')}' not found in 'tools' parameter."
            raise RequestError(said, param="tool_choice")
    elif choice not in ("none", "auto", "required"):
        raise _invalid_value(choice, "tool_choice", ["none", "auto", "required"])


def _item(item: Json, where: str) -> None:
    kind = item.get("type", "message")
    if kind not in _ITEMS:
        raise _invalid_value(kind, f"{where}.type", _ITEMS)
    _ITEMS[kind](item, where)


def _message(item: Json, where: str) -> None:
    _require(item, where, "role", "content")
    role = item["role"]
    if role not in _PARTS:
        raise _invalid_value(role, f"{where}.role", _PARTS)
    if not isinstance(item["content"], str):
        _parts(item["content"], f"{where}.content", _PARTS[role])


def _parts(parts: object, where: str, kinds: dict[str, tuple[str, ...]]) -> None:
    for at, part in enumerate(_array(parts, where)):
        kind = _object(part, f"{where}[{at}]").get("type")
        if kind not in kinds:
            raise _invalid_value(kind, f"{where}[{at}].type", kinds)
        if not any(isinstance(part.get(name), str) for name in kinds[kind]):
            raise _missing(f"{where}[{at}].{kinds[kind][0]}")


def _function_call(item: Json, where: str) -> None:
    _require(item, where, "call_id", "name", "arguments")


def _function_call_output(item: Json, where: str) -> None:
    _require(item, where, "call_id")
    if "output" not in item:
        raise _missing(f"{where}.output")
    if not isinstance(item["output"], str):
        _parts(item["output"], f"{where}.output", _PARTS["user"])


def _reasoning(item: Json, where: str) -> None:
    _require(item, where, "id")


def _calls_are_answered(items: list[Json]) -> None:
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    outputs = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    for call_id in outputs:
        if call_id not in calls:
            raise RequestError(f"No tool call found for function call output with call_id {call_id}.", param="input")
    for call_id in calls:
        if call_id not in outputs:
            raise RequestError(f"No tool output found for function call {call_id}.", param="input")


# The parts that a message may have, by role, each with the fields of which it needs one.
_TEXT = {"input_text": ("text",)}
_ASKED = _TEXT | {
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_id", "file_url"),
}
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "user": _ASKED,
    "system": _ASKED,
    "developer": _ASKED,
    "assistant": {"output_text": ("text",), "refusal": ("refusal",)},
}
_ITEMS: dict[str, Callable[[Json, str], None]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "reasoning": _reasoning,
}


def _require(item: Json, where: str, *names: str) -> None:
    for name in names:
        if item.get(name) is None:
            raise _missing(f"{where}.{name}")


def _missing(param: str) -> RequestError:
    said = f"Missing required parameter: '{param}'."
    return RequestError(said, param=param, code="missing_required_parameter")


def _invalid_value(value: object, param: str, supported: Iterable[str]) -> RequestError:
    listed = ", ".join(f"'{one}'" for one in supported)
    said = f"Invalid value: '{value}'. Supported values are: {listed}."
    return RequestError(said, param=param, code="invalid_value")


def _array(value: object, param: str) -> list[Any]:
    if isinstance(value, list):
        return value
    said = f"Invalid type for '{param}': expected an array."
    raise RequestError(said, param=param, code="invalid_type")


def _object(value: object, param: str) -> Json:
    if isinstance(value, dict):
        return value
    raise RequestError(f"Invalid type for '{param}': expected an object.", param=param, code="invalid_type")
