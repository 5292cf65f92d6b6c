"""Tools from a person's message to the record: built in, declared by a tenant, and out of reach."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.context import Context
from chalicelib.wiring import Relay
from tests.edge.stage import OPENAI_SECRET, Stage
from tests.tool_server import ToolServer, answer, tool_server

SECRET = "tool-credentials/cucumber-recruitment/visits"
KEY = "whsec_bm9ib2R5IGVsc2Uga25vd3MgdGhpcyBrZXkh"


def tool_at(url: str, **changes: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {"day": {"type": "string"}, "hour": {"type": "integer", "minimum": 0}},
        "required": ["day", "hour"],
        "additionalProperties": False,
    }
    known = {"name": "book_visit", "description": "Books a visit.", "parameters": parameters}
    return {**known, "url": url, "secret_reference": SECRET, **changes}


def opened(stage: Stage, *tools: dict[str, Any], **settings: Any) -> None:
    stage.secret(SECRET, signing_secret=KEY)
    config = {"api_key_reference": OPENAI_SECRET, "webhook_tools": list(tools), **settings}
    stage.tenant(ai_config=config)
    stage.open(ai_config=None)


@pytest.fixture
def visits() -> Iterator[ToolServer]:
    with tool_server(tls=False) as server:
        server.answers.append(answer(b'{"booked": "Monday, 9:00"}'))
        yield server


def on_a_laptop(stage: Stage, body: str) -> None:
    """A turn of the whole application, as it is wired, in a process that may reach its own machine."""
    settings = replace(Settings.from_env(), tools_on_loopback=True)
    with stage.at_work("whatsapp-reply-processor"):
        Relay(settings).reply(Context.from_json(body), last_attempt=False)


def test_the_record_learns_that_the_conversations_purpose_is_fulfilled(stage: Stage) -> None:
    stage.open()
    stage.write("You can complete_task now")
    stage.work_off()
    record = stage.record()
    assert record["task_complete"] == 1
    assert "complete_task now" in record["task_outcome"]
    assert len(stage.sent()) == 1


def test_a_declared_tool_does_its_work_before_the_person_is_answered(stage: Stage, visits: ToolServer) -> None:
    opened(stage, tool_at(f"http://127.0.0.1:{visits.port}/visits"))
    stage.write("Please book_visit for me")
    [body] = stage.taken_bodies("whatsapp-replies")
    on_a_laptop(stage, body)
    stage.work_off()
    (request,) = visits.requests
    assert json.loads(request.body)["tool"] == "book_visit"
    (sent,) = stage.sent()
    assert "Monday, 9:00" in sent["body"]


def test_a_turn_that_fails_after_the_deed_does_not_do_it_again(stage: Stage, visits: ToolServer) -> None:
    opened(stage, tool_at(f"http://127.0.0.1:{visits.port}/visits"))
    stage.write("Please book_visit for me")
    [body] = stage.taken_bodies("whatsapp-replies")
    on_a_laptop(stage, body)
    stage.change(outgoing=None, answered=0)  # as if the turn had died before its commit
    stage.table("conversations").update_item(Key=_key(stage), UpdateExpression="REMOVE outgoing")
    on_a_laptop(stage, body)
    assert len(visits.requests) == 1


def test_a_deployed_application_does_not_reach_its_own_machine(stage: Stage, visits: ToolServer) -> None:
    port = visits.port
    opened(stage, tool_at(f"https://127.0.0.1:{port}/"), tool_at(f"http://127.0.0.1:{port}/", name="by_http"))
    stage.write("Please book_visit for me")
    stage.work_off()
    assert visits.requests == []
    assert [tool["name"] for tool in stage.engine_requests()[0]["tools"]][-1] == "book_visit"
    output = stage.engine_requests()[-1]["input"][-1]["output"]
    assert json.loads(output) == {"error": "the tool cannot be used"}
    assert len(stage.sent()) == 1


def test_a_tool_costs_a_turn_two_calls(stage: Stage, visits: ToolServer) -> None:
    opened(stage, tool_at(f"http://127.0.0.1:{visits.port}/visits"))
    stage.write("Please book_visit for me")
    [body] = stage.taken_bodies("whatsapp-replies")
    with stage.counted() as calls:
        on_a_laptop(stage, body)
    assert [str(call) for call in calls if "secretsmanager" not in str(call)] == [
        "dynamodb:GetItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:UpdateItem",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
    ]


def test_nothing_of_a_tool_is_logged_but_its_name(
    stage: Stage, visits: ToolServer, caplog: pytest.LogCaptureFixture
) -> None:
    opened(stage, tool_at(f"http://127.0.0.1:{visits.port}/visits"))
    stage.write("Please book_visit for me")
    [body] = stage.taken_bodies("whatsapp-replies")
    on_a_laptop(stage, body)
    lines = [vars(record) for record in caplog.records]
    assert [line["tool"] for line in lines if line["action"] == "tool_used"] == ["book_visit"]
    for secret in ("Monday", "Please", KEY):
        assert secret not in str(lines)


def _key(stage: Stage) -> dict[str, Any]:
    record = stage.record()
    return {name: record[name] for name in ("primary_channel", "conversation_id")}
