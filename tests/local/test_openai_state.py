"""The parts of the OpenAI stand-in that remember: conversations, threads and runs; and what it says of texts."""

import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import openai
import pytest
import requests
from openai import OpenAI
from openai.types import Decision, ModerationCreateResponse, beta
from openai.types.beta.threads import Message, Run
from openai.types.conversations import Conversation, ConversationItemList

from local.demo_company import OPENAI_API_KEY
from local.openai import create_app
from local.serving import running

MODEL = "gpt-6-luna"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(create_app(think_seconds=0)) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    for path in ("/_faults", "/_requests", "/_assistants"):
        requests.delete(address + path, timeout=5)
    with OpenAI(api_key=OPENAI_API_KEY, base_url=f"{address}/v1", timeout=5, max_retries=0) as made:
        yield made


@pytest.fixture
def old(client: OpenAI, address: str) -> Iterator[OpenAI]:
    """A client of a server that still speaks the Assistants API."""
    requests.post(f"{address}/_assistants", json={"id": "asst_1"}, timeout=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield client


def order(address: str, kind: str) -> None:
    assert requests.post(f"{address}/_faults", json={"kind": kind}, timeout=5).status_code == 201


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def say(client: OpenAI, conversation: str, text: str = "Hi", **more: Any) -> Any:
    return client.responses.create(model=MODEL, conversation=conversation, input=text, **more)


def items(client: OpenAI, conversation: str) -> list[Any]:
    return list(client.conversations.items.list(conversation, order="asc"))


# --- conversations


def test_a_conversation_remembers_what_it_was_made_of(client: OpenAI) -> None:
    made = client.conversations.create(items=[user("one")], metadata={"tenant": "t1"})
    assert Conversation.model_validate(made.to_dict())
    assert client.conversations.retrieve(made.id).metadata == {"tenant": "t1"}
    assert [item.content[0].text for item in items(client, made.id)] == ["one"]


def test_a_response_adds_what_it_was_given_and_what_came_of_it(client: OpenAI) -> None:
    made = client.conversations.create(items=[user("one")])
    response = say(client, made.id, "two")
    found = items(client, made.id)
    assert [(item.role, item.content[0].text) for item in found] == [
        ("user", "one"),
        ("user", "two"),
        ("assistant", response.output_text),
    ]
    assert found[-1].id == response.output[-1].id


def test_the_mind_hears_what_the_conversation_holds(client: OpenAI) -> None:
    made = client.conversations.create(items=[user("one")])
    assert "2 messages" in say(client, made.id, "two").output_text


def test_its_lists_are_what_the_sdk_expects(client: OpenAI, address: str) -> None:
    made = client.conversations.create(items=[user(str(number)) for number in range(20)])
    client.conversations.items.create(made.id, items=[user(str(number)) for number in range(20, 30)])
    raw = requests.get(
        f"{address}/v1/conversations/{made.id}/items", headers={"Authorization": "Bearer x"}, timeout=5
    ).json()
    assert ConversationItemList.model_validate(raw)
    assert (len(raw["data"]), raw["has_more"]) == (20, True)
    newest_first = [item.content[0].text for item in client.conversations.items.list(made.id, limit=7)]
    assert newest_first == [str(number) for number in reversed(range(30))]


def test_twenty_items_are_added_at_a_time_and_no_more(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="array too long"):
        client.conversations.create(items=[user("x")] * 21)


def test_an_item_can_be_removed_and_so_can_the_conversation(client: OpenAI) -> None:
    made = client.conversations.create(items=[user("one"), user("two")])
    [first, _] = items(client, made.id)
    client.conversations.items.delete(first.id, conversation_id=made.id)
    assert [item.content[0].text for item in items(client, made.id)] == ["two"]
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.delete(first.id, conversation_id=made.id)
    client.conversations.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        say(client, made.id)


def test_a_function_call_without_an_output_poisons_what_follows(client: OpenAI) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    made = client.conversations.create(items=[call])
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call call_1"):
        say(client, made.id)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    assert say(client, made.id, [output]).output_text  # type: ignore[arg-type]


def test_only_one_response_at_a_time_may_add() -> None:
    with running(create_app(think_seconds=1.0)) as url:
        slow = OpenAI(api_key="sk-x", base_url=f"{url}/v1", timeout=5, max_retries=0)
        made = slow.conversations.create()
        first = Thread(target=lambda: say(slow, made.id))
        first.start()
        with pytest.raises(openai.BadRequestError) as refused:
            _add_until_refused(slow, made.id)
        assert refused.value.code == "conversation_locked"
        first.join()
        assert slow.conversations.items.create(made.id, items=[user("now")])  # type: ignore[list-item]


def _add_until_refused(client: OpenAI, conversation: str) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        client.conversations.items.create(conversation, items=[user("meanwhile")])  # type: ignore[list-item]


@pytest.mark.parametrize(("kind", "adds"), [("failed", False), ("http_500", False), ("incomplete", True)])
def test_what_fails_adds_nothing(client: OpenAI, address: str, kind: str, adds: bool) -> None:
    made = client.conversations.create()
    order(address, kind)
    with suppress(openai.InternalServerError):
        say(client, made.id)
    assert bool(items(client, made.id)) is adds


def test_an_answer_can_be_lost_on_its_way_back(client: OpenAI, address: str) -> None:
    made = client.conversations.create()
    order(address, "answer_lost")
    with pytest.raises(openai.APIConnectionError):
        say(client, made.id)
    assert [item.role for item in items(client, made.id)] == ["user", "assistant"]


# --- assistants


def test_a_run_walks_through_its_states_while_it_is_looked_at(old: OpenAI) -> None:
    thread = old.beta.threads.create(messages=[user("Hello")])  # type: ignore[list-item]
    run = old.beta.threads.runs.create(thread.id, assistant_id="asst_1")
    seen = [run.status]
    while run.status in ("queued", "in_progress"):
        run = old.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
        seen.append(run.status)
    assert seen == ["queued", "in_progress", "completed"]
    [answer, asked] = old.beta.threads.messages.list(thread.id).data
    assert (asked.role, answer.role, answer.run_id) == ("user", "assistant", run.id)
    for kind, document in ((Run, run), (beta.Thread, thread), (Message, answer)):
        assert kind.model_validate(document.to_dict())
    assert beta.Assistant.model_validate(old.beta.assistants.retrieve("asst_1").to_dict())


def test_a_thread_at_work_takes_no_messages_and_no_second_run(old: OpenAI) -> None:
    thread = old.beta.threads.create(messages=[user("Hello")])  # type: ignore[list-item]
    run = old.beta.threads.runs.create(thread.id, assistant_id="asst_1")
    with pytest.raises(openai.BadRequestError, match=f"while a run {run.id} is active"):
        old.beta.threads.messages.create(thread.id, role="user", content="more")
    with pytest.raises(openai.BadRequestError, match="already has an active run"):
        old.beta.threads.runs.create(thread.id, assistant_id="asst_1")
    old.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    assert old.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "cancelled"
    assert old.beta.threads.messages.create(thread.id, role="user", content="more").id


def test_outputs_are_taken_for_the_calls_that_were_made(old: OpenAI, address: str) -> None:
    order(address, "run_calls_unknown_tool")
    thread = old.beta.threads.create(messages=[user("Hello")])  # type: ignore[list-item]
    run = old.beta.threads.runs.create(thread.id, assistant_id="asst_1")
    while run.status != "requires_action":
        run = old.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    with pytest.raises(openai.BadRequestError, match="Expected tool outputs"):
        old.beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": "x"}])
    assert run.required_action is not None
    [call] = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": call.id, "output": "sunny"}]
    run = old.beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=outputs)  # type: ignore
    while run.status != "completed":
        run = old.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert "sunny" in old.beta.threads.messages.list(thread.id).data[0].content[0].text.value  # type: ignore


# --- what it says of texts


def test_a_threat_is_flagged_and_a_greeting_is_not(client: OpenAI) -> None:
    found = client.moderations.create(model="omni-moderation-latest", input=["Hello", "I will hurt you"])
    assert [result.flagged for result in found.results] == [False, True]
    assert ModerationCreateResponse.model_validate(found.to_dict())


def test_a_decision_has_an_answer_for_each_question(client: OpenAI) -> None:
    questions: Any = [{"type": "predicate", "name": "needs_human", "instructions": "A human is asked for."}]
    for text, likely in (("Hello", False), ("a human please", True)):
        found = client.decisions.create(model=MODEL, input=text, questions=questions)
        assert Decision.model_validate(found.to_dict())
        [answer] = found.answers
        assert answer.type == "predicate"
        assert (answer.probability > 0.5) is likely


def test_tokens_are_counted_by_script(client: OpenAI) -> None:
    count = client.responses.input_tokens.count
    english = count(model=MODEL, input=[user("x" * 90)]).input_tokens  # type: ignore[list-item]
    chinese = count(model=MODEL, input=[user("请" * 90)]).input_tokens  # type: ignore[list-item]
    assert (english, chinese) == (24, 94)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("moderations", {"input": "x", "model": "gpt-6-luna"}),
        ("moderations", {"text": "x"}),
        ("decisions", {"model": "gpt-6-sol", "input": "x", "questions": [{"type": "predicate", "instructions": "y"}]}),
        ("decisions", {"model": MODEL, "input": "x", "questions": []}),
        ("responses/input_tokens", {"model": "gpt-3", "input": []}),
        ("conversations", {"instructions": "x"}),
        ("conversations", {"items": [{"type": "telepathy"}]}),
    ],
)
def test_what_openai_would_refuse_is_refused(client: OpenAI, address: str, path: str, body: dict[str, Any]) -> None:
    response = requests.post(f"{address}/v1/{path}", json=body, headers={"Authorization": "Bearer x"}, timeout=5)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
