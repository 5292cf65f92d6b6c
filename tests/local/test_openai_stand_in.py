"""The OpenAI stand-in, seen by the real SDK."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import requests
from openai import OpenAI
from openai.types.responses import Response, ResponseFunctionToolCall

from local.demo_company import OPENAI_API_KEY
from local.mind import HAND_OFF, Call, Say, think
from local.openai import create_app
from local.recording import voice_note
from local.serving import running

MODEL = "gpt-6-luna"
HAND_OFF_TOOL: dict[str, Any] = {
    "type": "function",
    "name": HAND_OFF,
    "description": "Pass the conversation to a human colleague.",
    "parameters": {
        "type": "object",
        "properties": {"reason": {"type": "string"}},
        "required": ["reason"],
        "additionalProperties": False,
    },
    "strict": True,
}


@dataclass
class World:
    """The stand-in at an address, with a real client and the hands of a test on it."""

    url: str

    def client(self, timeout: float = 5, key: str = OPENAI_API_KEY) -> OpenAI:
        return OpenAI(api_key=key, base_url=f"{self.url}/v1", timeout=timeout, max_retries=0)

    def ask(self, given: Any = "Hello", timeout: float = 5, **more: Any) -> Response:
        with self.client(timeout) as client:
            response = client.responses.create(**{"model": MODEL, "input": given} | more)
        assert isinstance(response, Response)
        return response

    def order(self, kind: str, **more: Any) -> None:
        assert requests.post(f"{self.url}/_faults", json={"kind": kind, **more}, timeout=5).status_code == 201

    def received(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.url}/_requests", timeout=5).json()["requests"])

    def post(self, body: Any, **headers: str) -> requests.Response:
        headers = {"Authorization": "Bearer sk-x"} | headers
        return requests.post(f"{self.url}/v1/responses", json=body, headers=headers, timeout=5)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(create_app(think_seconds=0)) as url:
        yield url


@pytest.fixture
def mind(address: str) -> World:
    for path in ("/_faults", "/_requests"):
        requests.delete(address + path, timeout=5)
    return World(address)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


# --- answers


def test_an_answer_is_a_complete_response(mind: World) -> None:
    response = mind.ask(instructions="Be kind.", metadata={"tenant": "t1"}, store=False, max_output_tokens=500)

    assert response.id.startswith("resp_")
    assert (response.object, response.status, response.model) == ("response", "completed", MODEL)
    assert (response.instructions, response.metadata) == ("Be kind.", {"tenant": "t1"})
    assert (response.store, response.max_output_tokens) == (False, 500)  # type: ignore[attr-defined]
    assert (response.error, response.incomplete_details) == (None, None)
    assert abs(response.created_at - time.time()) < 5
    assert "Hello" in response.output_text
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0


def test_an_answer_satisfies_every_field_of_the_sdk(mind: World) -> None:
    for response in (mind.ask(), mind.ask("a human please", tools=[HAND_OFF_TOOL])):
        assert Response.model_validate(response.to_dict(), strict=False)


def test_the_same_request_gets_the_same_words(mind: World) -> None:
    assert mind.ask("What about my CV?").output_text == mind.ask("What about my CV?").output_text


def test_a_burst_is_answered_once_and_whole(mind: World) -> None:
    response = mind.ask(
        [user("old question"), assistant("old answer"), user("Hi"), user("about my CV"), user("thanks!")]
    )

    assert "3 messages" in response.output_text
    for text in ("“Hi”", "“about my CV”", "“thanks!”"):
        assert text in response.output_text
    assert "old question" not in response.output_text


def test_pictures_and_documents_are_accepted_and_mentioned(mind: World) -> None:
    picture = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}
    document = {"type": "input_file", "filename": "cv.pdf", "file_data": "data:application/pdf;base64,AA=="}
    text = {"type": "input_text", "text": "Here it is"}

    response = mind.ask([{"role": "user", "content": [text, picture, document]}])

    assert "Here it is (a picture) (a document: cv.pdf)" in response.output_text


def test_everything_is_a_long_answer_in_paragraphs(mind: World) -> None:
    response = mind.ask("please tell me everything")

    assert 3600 < len(response.output_text) < 4200
    assert response.output_text.count("\n\n") > 10


def test_an_answer_longer_than_the_limit_is_cut_off(mind: World) -> None:
    response = mind.ask("tell me everything", max_output_tokens=100)

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert 0 < len(response.output_text) <= 450
    assert response.usage is not None
    assert response.usage.output_tokens <= 100


@pytest.mark.parametrize(
    "text",
    ["I want a HUMAN", "let me talk to a real person", "agent!", "is someone real there?", "Person please"],
)
def test_who_asks_for_a_human_is_handed_off(mind: World, text: str) -> None:
    (call,) = mind.ask([user("hi"), user(text)], tools=[HAND_OFF_TOOL]).output

    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, call.status) == (HAND_OFF, "completed")
    assert text in json.loads(call.arguments)["reason"]


@pytest.mark.parametrize("text", ["personal data?", "which agency?", "humane resources"])
def test_similar_words_do_not_hand_off(mind: World, text: str) -> None:
    assert mind.ask(text, tools=[HAND_OFF_TOOL]).output_text


def test_nobody_is_handed_off_without_the_tool(mind: World) -> None:
    assert "cannot pass you" in mind.ask("a human please").output_text
    assert "cannot pass you" in mind.ask("a human please", tools=[HAND_OFF_TOOL], tool_choice="none").output_text


def test_the_loop_of_a_function_call_ends_in_an_answer(mind: World) -> None:
    asked: list[Any] = [user("a human please")]
    (call,) = mind.ask(asked, tools=[HAND_OFF_TOOL]).output
    assert isinstance(call, ResponseFunctionToolCall)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "done"}

    response = mind.ask([*asked, call.to_dict(), output], tools=[HAND_OFF_TOOL])

    assert "colleague" in response.output_text


def test_any_function_can_be_demanded_and_its_output_is_told(mind: World) -> None:
    properties = {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}}
    schema = {"type": "object", "properties": properties, "required": ["city", "days", "unit"]}
    weather = {"type": "function", "name": "weather", "parameters": schema, "strict": False}
    (call,) = mind.ask(tools=[weather], tool_choice={"type": "function", "name": "weather"}).output
    assert isinstance(call, ResponseFunctionToolCall)
    assert json.loads(call.arguments).keys() == properties.keys()

    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    assert "sunny" in mind.ask([user("Hello"), call.to_dict(), output], tools=[weather]).output_text


def test_the_mind_needs_nothing_but_the_request() -> None:
    assert think({"input": "hello"}) == think({"input": "hello"})
    assert isinstance(think({"input": "hello"}), Say)
    assert isinstance(think({"input": "a human", "tools": [HAND_OFF_TOOL]}), Call)
    assert isinstance(think({"input": []}), Say)


def test_thinking_takes_the_configured_time() -> None:
    with running(create_app(think_seconds=0.2)) as url:
        began = time.monotonic()
        World(url).ask()
        assert time.monotonic() - began >= 0.2


# --- requests that are refused


BAD_REQUESTS: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"model": None}, "model", "missing_required_parameter"),
    ({"model": "gpt-3"}, "model", "model_not_found"),
    ({"input": None}, "input", "missing_required_parameter"),
    ({"max_tokens": 5}, "max_tokens", "unknown_parameter"),
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
    ({"safety_identifier": "x" * 129}, "safety_identifier", "string_above_max_length"),
    ({"stream": True}, "stream", "unsupported_parameter"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "invalid_type"),
    ({"input": {"role": "user"}}, "input", "invalid_type"),
    ({"input": ["hello"]}, "input[0]", "invalid_type"),
    ({"input": [{"type": "telepathy"}]}, "input[0].type", "invalid_value"),
    ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
    ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role", "invalid_value"),
    (
        {"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]},
        "input[0].content[0].type",
        "invalid_value",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].image_url",
        "missing_required_parameter",
    ),
    ({"input": [{"type": "function_call_output", "call_id": "call_1", "output": ""}]}, "input", None),
    (
        {"input": [{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}]},
        "input",
        None,
    ),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
    ({"tools": [{"type": "function", "name": "two words"}]}, "tools[0].name", "invalid_value"),
    ({"tools": [{"type": "crystal_ball"}]}, "tools[0].type", "invalid_value"),
    (
        {"tools": [{"type": "function", "name": "f", "strict": True, "parameters": {"type": "object"}}]},
        "tools[0].parameters",
        "invalid_function_parameters",
    ),
    ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", None),
]


@pytest.mark.parametrize(("change", "param", "code"), BAD_REQUESTS)
def test_a_bad_request_is_refused_with_what_is_wrong(
    mind: World, change: dict[str, Any], param: str | None, code: str | None
) -> None:
    body = {name: it for name, it in ({"model": MODEL, "input": "hi"} | change).items() if it is not None}
    answer = mind.post(body)
    error = answer.json()["error"]

    assert answer.status_code == 400
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert error["message"]


def test_the_sdk_understands_the_refusal(mind: World) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        mind.ask(model="gpt-3")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_what_is_not_json_is_refused(mind: World) -> None:
    answer = requests.post(f"{mind.url}/v1/responses", data="{", headers={"Authorization": "Bearer x"}, timeout=5)

    assert answer.status_code == 400


def test_without_a_key_nothing_is_answered(mind: World) -> None:
    for header in ("", "Bearer ", "Basic abc"):
        answer = mind.post({"model": MODEL, "input": "hi"}, Authorization=header)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert mind.received() == []


def test_the_assistants_api_is_gone(mind: World) -> None:
    announced = pytest.warns(DeprecationWarning, match="deprecated")
    with mind.client() as client, announced, pytest.raises(openai.NotFoundError):
        client.beta.threads.create()


def test_models_can_be_listed_and_looked_up(mind: World) -> None:
    with mind.client() as client:
        assert MODEL in [model.id for model in client.models.list()]
        assert client.models.retrieve("gpt-4o").shutdown_date == "2027-01-14"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-3")


def test_received_requests_can_be_read_and_forgotten(mind: World) -> None:
    mind.ask("one")
    mind.ask("two")
    assert [body["input"] for body in mind.received()] == ["one", "two"]

    requests.delete(f"{mind.url}/_requests", timeout=5)

    assert mind.received() == []


# --- faults


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("http_401", openai.AuthenticationError, "invalid_api_key"),
        ("http_429", openai.RateLimitError, "rate_limit_exceeded"),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("http_500", openai.InternalServerError, None),
        ("conversation_locked", openai.BadRequestError, "conversation_locked"),
    ],
)
def test_ordered_errors_reach_the_sdk_as_often_as_ordered(
    mind: World, kind: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    mind.order(kind, times=2)

    for _ in range(2):
        with pytest.raises(error) as caught:
            mind.ask()
        assert caught.value.code == code
    assert mind.ask().output_text


def test_a_rate_limit_says_when_to_come_back(mind: World) -> None:
    mind.order("http_429")

    assert mind.post({"model": MODEL, "input": "hi"}).headers["retry-after"] == "1"


def test_a_timeout_ends_when_the_client_goes_away(mind: World) -> None:
    mind.order("timeout", seconds=30)

    with pytest.raises(openai.APITimeoutError):
        mind.ask(timeout=0.2)
    assert mind.ask().output_text


def test_the_connection_can_break(mind: World) -> None:
    mind.order("timeout", seconds=0)

    with pytest.raises(openai.APIConnectionError):
        mind.ask()


def test_a_slow_answer_arrives(mind: World) -> None:
    mind.order("slow", seconds=0.2)
    began = time.monotonic()

    assert mind.ask().output_text
    assert time.monotonic() - began >= 0.2


def test_an_incomplete_answer_says_so(mind: World) -> None:
    mind.order("incomplete")
    response = mind.ask()

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_failed_answer_is_not_an_http_error(mind: World) -> None:
    mind.order("failed")
    response = mind.ask()

    assert (response.status, response.output) == ("failed", [])
    assert response.error is not None
    assert response.error.code == "server_error"


def test_a_refusal_has_no_text(mind: World) -> None:
    mind.order("refusal")
    response = mind.ask()

    assert response.output_text == ""
    assert response.output[0].type == "message"
    assert response.output[0].content[0].type == "refusal"


def test_an_answer_can_be_empty(mind: World) -> None:
    mind.order("empty")
    response = mind.ask()

    assert (response.status, response.output_text) == ("completed", "")


def test_an_answer_can_be_garbage(mind: World) -> None:
    mind.order("garbage")

    with pytest.raises(json.JSONDecodeError):
        mind.ask()


def test_a_function_that_nobody_offered_can_be_called(mind: World) -> None:
    mind.order("call_unknown_tool")
    (call,) = mind.ask(tools=[HAND_OFF_TOOL]).output

    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name != HAND_OFF


def test_an_unknown_order_is_refused(mind: World) -> None:
    answer = requests.post(f"{mind.url}/_faults", json={"kind": "answer"}, timeout=5)

    assert answer.status_code == 400


def test_many_can_ask_at_once(mind: World) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(mind.ask().output_text)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts) == len(mind.received()) == 5


# --- recordings


def heard(mind: World, recording: bytes, name: str = "voice.ogg", model: str = "gpt-transcribe") -> str:
    return str(mind.client().audio.transcriptions.create(model=model, file=(name, recording, "audio/ogg")).text)


@pytest.mark.parametrize("words", ["Hello", "Grüße, 你好 👋", "word " * 3_000])
def test_the_words_of_a_voice_note_of_ours_are_heard(mind: World, words: str) -> None:
    assert heard(mind, voice_note(words)).strip() == words.strip()


def test_another_recording_is_heard_as_what_it_is(mind: World) -> None:
    assert heard(mind, b"OggS" * 10) == "A recording of 40 bytes."


@pytest.mark.parametrize(
    ("recording", "name", "model"),
    [(b"", "voice.ogg", "gpt-transcribe"), (b"x", "voice.exe", "gpt-transcribe"), (b"x", "voice.ogg", "gpt-6-luna")],
)
def test_what_openai_does_not_take_is_refused(mind: World, recording: bytes, name: str, model: str) -> None:
    with pytest.raises(openai.APIStatusError):
        heard(mind, recording, name, model)


@pytest.mark.parametrize(("kind", "status"), [("transcription_fails", 500), ("transcription_empty", None)])
def test_a_transcription_fails_as_it_was_ordered(mind: World, kind: str, status: int | None) -> None:
    mind.order(kind)
    if status is None:
        assert heard(mind, voice_note("Hello")) == ""
    else:
        with pytest.raises(openai.APIStatusError) as error:
            heard(mind, voice_note("Hello"))
        assert error.value.status_code == status
    assert heard(mind, voice_note("Hello")) == "Hello"


def test_a_voice_note_lasts_as_long_as_its_words_take() -> None:
    pages = voice_note(" ".join(["word"] * 50)).split(b"OggS")[1:]
    samples = int.from_bytes(pages[-1][2:10], "little")
    assert samples / 48_000 == 20
