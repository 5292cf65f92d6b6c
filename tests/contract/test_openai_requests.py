"""Every request that an engine makes is one that OpenAI describes: the SDK's own types, with nothing more allowed.

The SDK does not check what it sends. Its parameter types are made from OpenAI's OpenAPI description, so a field that
they do not have, or a value that does not fit, is one that OpenAI does not know.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from openai.types import DecisionCreateParams, ModerationCreateParams
from openai.types.beta import ThreadCreateParams, ThreadUpdateParams
from openai.types.beta.threads.message_create_params import MessageCreateParams
from openai.types.beta.threads.run_create_params import RunCreateParamsNonStreaming
from openai.types.beta.threads.run_submit_tool_outputs_params import RunSubmitToolOutputsParamsNonStreaming
from openai.types.conversations import ConversationCreateParams, ConversationUpdateParams
from openai.types.conversations.item_create_params import ItemCreateParams
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from chalicelib.model import AiSettings, Author, Media, Moderation, Numbered, Spoken, Thread, Turn
from tests.engines.bench import ASSISTANT, Bench, Person, bench, turn

TYPES: Mapping[str, Any] = {
    "POST /responses": ResponseCreateParamsNonStreaming,
    "POST /responses/input_tokens": InputTokenCountParams,
    "POST /conversations": ConversationCreateParams,
    "POST /conversations/*": ConversationUpdateParams,
    "POST /conversations/*/items": ItemCreateParams,
    "POST /moderations": ModerationCreateParams,
    "POST /decisions": DecisionCreateParams,
    "POST /threads": ThreadCreateParams,
    "POST /threads/*": ThreadUpdateParams,
    "POST /threads/*/messages": MessageCreateParams,
    "POST /threads/*/runs": RunCreateParamsNonStreaming,
    "POST /threads/*/runs/*/submit_tool_outputs": RunSubmitToolOutputsParamsNonStreaming,
}
#: What the SDK puts into the path.
IN_PATH = {"POST /threads/*/runs/*/submit_tool_outputs": {"thread_id": "thread_1"}}
WITHOUT_BODY = {"POST /threads/*/runs/*/cancel"}

HISTORY = [
    Spoken(Author.AI, "Hello Ada"),
    Spoken(Author.USER, "Hi", Numbered.inbound(1)),
    Spoken(Author.HUMAN, "I am Grace", "0000000001#2-human#then#1"),
]
FILES = (Media("p", "image/jpeg"), Media("d", "application/pdf", "cv.pdf"), Media("v", "audio/ogg"))


@pytest.fixture(scope="module")
def seen() -> dict[str, list[Any]]:
    """Everything that was asked of OpenAI while every engine did everything that it can do, by method and path."""
    with bench() as openai:
        openai.files.kept |= {"p": b"\xff\xd8 a picture", "d": b"%PDF a document", "v": b"a voice"}
        for play in (_responses, _conversations, _checks, _assistants):
            play(openai)
        return {call: openai.bodies(call) for call in set(openai.calls())}


def _responses(openai: Bench) -> None:
    openai.order("call_unknown_tool")
    openai.answer(_with_files(history=HISTORY))
    long = [Spoken(Author.USER, "x" * 900, Numbered.inbound(number)) for number in range(1, 30)]
    openai.answer(turn("Hi", history=long, settings=AiSettings(history_tokens=2_000, model="gpt-6-sol")))


def _conversations(openai: Bench) -> None:
    openai.order("call_unknown_tool")
    openai.answer(_with_files(history=HISTORY, settings=AiSettings(engine="conversations")))
    made = openai.api("POST", "/conversations", items=[{"role": "user", "content": "Hi"}])
    person = Person(openai, AiSettings(), thread=Thread(id=made["id"]))
    person.writes("Hello")
    person.is_answered()


def _checks(openai: Bench) -> None:
    openai.answer(_with_files(settings=AiSettings(moderation=Moderation.BOTH, check_needs_human=True)))


def _assistants(openai: Bench) -> None:
    openai.switch_on_assistants(tools=[{"type": "file_search"}])
    openai.order("run_calls_unknown_tool")
    settings = AiSettings(engine="assistants", assistant_id=ASSISTANT, instructions="Be kind.", model="gpt-6-sol")
    openai.answer(_with_files(history=HISTORY, settings=settings))
    made = openai.api("POST", "/threads", messages=[{"role": "user", "content": "Hi"}])
    openai.order("run_calls_unknown_tool", times=9)
    with pytest.raises(Exception, match="without end"):
        openai.answer(turn("Hi", settings=AiSettings(assistant_id=ASSISTANT), thread=Thread(id=made["id"])))


def _with_files(**changes: Any) -> Turn:
    asked = turn("Look at this", **changes)
    [message] = asked.waiting
    return replace(asked, waiting=(replace(message, media=FILES),))


def test_every_kind_of_request_was_made_and_is_described(seen: dict[str, list[Any]]) -> None:
    assert {call for call in seen if call.startswith("POST")} == TYPES.keys() | WITHOUT_BODY


@pytest.mark.parametrize("call", TYPES)
def test_a_request_is_what_openai_describes(seen: dict[str, list[Any]], call: str) -> None:
    bodies = seen[call]
    assert bodies
    for body in bodies:
        fits(TYPES[call], {**(body or {}), **IN_PATH.get(call, {})})


def test_pictures_and_documents_are_among_what_was_sent(seen: dict[str, list[Any]]) -> None:
    kinds = {
        part["type"]
        for body in seen["POST /responses"]
        for item in body["input"]
        if isinstance(item.get("content"), list)
        for part in item["content"]
    }
    assert kinds == {"input_text", "input_image", "input_file"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"max_tokens": 5},
        {"input": [{"role": "robot", "content": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "url": "x", "detail": "auto"}]}]},
        {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True, "examples": []}]},
        {"truncation": "perhaps"},
        {"store": "no"},
    ],
    ids=str,
)
def test_the_check_itself_notices_what_is_wrong(seen: dict[str, list[Any]], spoil: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fits(TYPES["POST /responses"], {**seen["POST /responses"][0], **spoil})


def fits(kind: Any, body: Any) -> None:
    """Raises ValidationError unless `body` is of the SDK's type `kind`, field for field."""
    _read_to_the_end(adapter(kind).validate_python(body, strict=True))


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    _close_all()
    return TypeAdapter(kind)


def _close_all() -> None:
    """From now on a TypedDict of the SDK takes no other fields than its own."""
    for name in [name for name in sys.modules if name.startswith("openai.types")]:
        for each in vars(sys.modules[name]).values():
            if is_typeddict(each):
                each.__pydantic_config__ = {"extra": "forbid"}


def _read_to_the_end(value: Any) -> None:
    """An iterable is checked while it is read."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterator | list | tuple) or type(value).__name__ in ("dict_values", "ValidatorIterator"):
        for each in value:
            _read_to_the_end(each)
