"""Scenarios that bring every function to everything it does in AWS, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.model import Channel, ConversationKey, ToolResult
from chalicelib.tools import ToolTable
from chalicelib.wiring import Relay, relay
from ops.permissions import Permission
from ops.policies import functions
from tests.edge.stage import (
    CONVERSATION,
    HANDLERS,
    OPENAI_SECRET,
    OWN,
    PERSON,
    STRANGER,
    TEXTER,
    Stage,
    installation,
    new_sid,
    permissions,
)

Scenario = Callable[[Stage], None]

#: Messages that need more than one that is short and without files.
WAITING: Sequence[dict[str, Any]] = ({}, {"clipped": True}, {"media": [{"url": "https://x", "content_type": "a/b"}]})
KEY = ConversationKey(PERSON, CONVERSATION)

TEMPLATE = {"content_sid": f"HX{'1' * 32}", "variables": {"1": "{company_name}"}}
TOOL_SECRET = "tool-credentials/cucumber-recruitment/visits"
TOOL = {
    "name": "book_visit",
    "description": "Books a visit.",
    "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    "url": "https://127.0.0.1/visits",
    "secret_reference": TOOL_SECRET,
}

#: The functions that take turns.
TURNS = [each for purpose, each in HANDLERS.items() if purpose.endswith("-replies")]


def recorded() -> dict[str, set[Permission]]:
    """What each function did in all scenarios, by its name."""
    done: dict[str, set[Permission]] = {each: set() for each in functions()}
    with pytest.MonkeyPatch.context() as outer, installation(outer) as stage:
        stage.apart = True
        for scenario in scenarios():
            with pytest.MonkeyPatch.context() as patch:
                stage.begin(patch)
                scenario(stage)
                for call in stage.calls:
                    done[call.function] |= set(permissions(call))
                stage.end()
    return done


def scenarios() -> Iterator[Scenario]:
    yield from (_exchange, _exchange_by_sms, _long_message, _message_for_a_human, _stranger, _newcomer)
    yield from (_conversation_of_many_messages, _callback_of_a_failure, _callback_after_doubt, _refusal, _rotation)
    yield from (_typing, _closed_window, _closed_window_later, _opting_out)
    yield from (_limited(function) for function in TURNS)
    yield from (_stopped_answer, _doubt, _stalled_turn, _lost_message)
    yield from (_file, _file_for_a_human)
    for function in TURNS:
        yield _turn_of(function)
        yield _turn_with_a_file(function)
        yield _turn_that_asks_for_a_human(function)
        yield _turn_that_uses_a_tool(function)
    for function in functions():
        if function == "collector":  # it wakes nobody
            continue
        yield from (_waking_a_turn(function, channel) for channel in Channel)
        yield from (_waking_the_sender(function), *(_passing_on(function, **each) for each in WAITING))


# --- what comes in and goes out


def _exchange(stage: Stage) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("read")


def _exchange_by_sms(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms")
    stage.write("Hello", person=TEXTER, sms=True)
    stage.work_off()
    stage.await_callbacks("delivered")


def _long_message(stage: Stage) -> None:
    stage.open()
    stage.write("Hello " * 500)
    stage.work_off()


def _message_for_a_human(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.write("Hello")


def _stranger(stage: Stage) -> None:
    stage.webhook("Hello?", person=STRANGER)


def _newcomer(stage: Stage) -> None:
    stage.tenant(unknown_senders="open_conversation")
    stage.write("Hello", person=STRANGER)


def _conversation_of_many_messages(stage: Stage) -> None:
    stage.open(recent_message_ids=[new_sid() for _ in range(64)], received=100, answered=100)
    stage.write("Hello")


def _callback_of_a_failure(stage: Stage) -> None:
    stage.open()
    stage.twilio_fault("fail_later", code=63016)
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("failed")


def _callback_after_doubt(stage: Stage) -> None:
    stage.open()
    stage.twilio_fault("accept_then_timeout", seconds=0.01)
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("read")


def _refusal(stage: Stage) -> None:
    stage.open()
    stage.twilio_fault("refuse", code=21610)
    stage.write("Hello")
    stage.work_off()


def _rotation(stage: Stage) -> None:
    stage.open()
    stage.twilio_fault("refuse", code=20003)
    stage.write("Hello")
    stage.work_off()


def _typing(stage: Stage) -> None:
    stage.tenant(typing_indicator=True)
    stage.open()
    stage.write("Hello")
    stage.work_off("whatsapp-replies")


def _closed_window(stage: Stage) -> None:
    stage.tenant(closed_window_template=TEMPLATE)
    stage.open()
    stage.twilio_fault("refuse", code=63016)
    stage.write("Hello")
    stage.work_off()


def _closed_window_later(stage: Stage) -> None:
    stage.tenant(closed_window_template=TEMPLATE)
    stage.open()
    stage.twilio_fault("fail_later", code=63016)
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("failed")
    stage.work_off()


def _limited(function: str) -> Scenario:
    def scenario(stage: Stage) -> None:
        stage.tenant(limits={"turns_a_day": 1, "tokens_a_day": 1, "tokens_a_month": 1_000_000})
        _turn_of(function)(stage)

    return scenario


def _opting_out(stage: Stage) -> None:
    """By a word in one of two conversations, and of a third one that is opened later."""
    stage.open()
    stage.open(conversation_id="another", created_at="2026-11-19T09:00:00.000Z")
    stage.write("STOP")
    stage.open(conversation_id="later", created_at="2026-11-22T09:00:00.000Z")
    stage.write("Hello")
    stage.work_off()


def _stopped_answer(stage: Stage) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off("whatsapp-replies")
    stage.change(hand_off_to_human=True)
    stage.work_off()


PICTURE = {"content": "iVBORw0KGgo=", "content_type": "image/png"}


def _file(stage: Stage) -> None:
    stage.open()
    stage.sends(files=[{"says": "Hello"}, PICTURE])
    stage.work_off()


def _file_for_a_human(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.sends(files=[{"says": "Hello"}])
    stage.work_off()


# --- what no event wakes


def _doubt(stage: Stage) -> None:
    stage.open()
    stage.twilio_fault("accept_then_timeout", seconds=0.01)
    stage.twilio_fault("lose_callbacks")
    stage.write("Hello")
    stage.work_off()
    stage.minutes_pass()
    stage.sweep()


def _stalled_turn(stage: Stage) -> None:
    stage.open()
    stage.write("Hello")
    for _ in range(4):
        stage.minutes_pass(10)
        stage.sweep()


def _lost_message(stage: Stage) -> None:
    """Some were lost of people who have a conversation, had many messages, or none; the job comes minutes later."""
    stage.open()
    stage.tenant(unknown_senders="open_conversation")
    ids = [new_sid() for _ in range(64)]
    stage.open(TEXTER, recent_message_ids=ids, received=100, answered=100)
    for person in (PERSON, TEXTER, STRANGER):
        message = {"from": f"whatsapp:{person}", "to": f"whatsapp:{OWN}", "body": "Hello", "deliver": False}
        stage.http.post(f"{stage.twilio_url}/_people/messages", json=message, timeout=5)
    stage.fire("reconcile")
    with stage.at_work("reconcile"):
        Relay(relay().settings, clock=lambda: datetime.now(UTC) + timedelta(minutes=2)).reconcile()


# --- turns, by the function of each channel


def _turn_of(function: str) -> Scenario:
    def scenario(stage: Stage) -> None:
        _take_turn(stage, function, "Hello")

    return scenario


def _turn_with_a_file(function: str) -> Scenario:
    """It was kept and could not be heard, so that the turn puts it into words; and it shows the picture to the AI."""

    def scenario(stage: Stage) -> None:
        [purpose] = [purpose for purpose, name in HANDLERS.items() if name == function]
        stage.open()
        stage.openai_fault("transcription_fails", times=3)
        stage.sends(files=[{"says": "Hello"}, PICTURE])
        stage.work_off("media")
        [body] = stage.taken_bodies("whatsapp-replies")
        stage.invoke(purpose, body)

    return scenario


def _turn_that_asks_for_a_human(function: str) -> Scenario:
    def scenario(stage: Stage) -> None:
        _take_turn(stage, function, "Can I speak with a human?")

    return scenario


def _turn_that_uses_a_tool(function: str) -> Scenario:
    """The tool's server is one that nobody may reach, so that what came of it is written here."""

    def scenario(stage: Stage) -> None:
        stage.secret(TOOL_SECRET, signing_secret="whsec_bm9ib2R5IGVsc2Uga25vd3MgdGhpcyBrZXkh")
        stage.tenant(ai_config={"api_key_reference": OPENAI_SECRET, "webhook_tools": [TOOL]})
        _take_turn(stage, function, "Please book_visit for me")
        with stage.at_work(function):
            tools = relay().tools
            assert isinstance(tools, ToolTable)
            tools.records.complete("a-deed", ToolResult(output="{}"))

    return scenario


def _take_turn(stage: Stage, function: str, text: str) -> None:
    [purpose] = [purpose for purpose, name in HANDLERS.items() if name == function]
    stage.open()
    stage.write(text)
    [body] = stage.taken_bodies("whatsapp-replies")
    stage.invoke(purpose, body)


# --- steps that every function comes to, some of them only when it loses a race


def _waking_a_turn(function: str, channel: Channel) -> Scenario:
    def scenario(stage: Stage) -> None:
        stage.open(allowed_channels=None, **_waiting(channel))
        _route(stage, function)

    return scenario


def _waking_the_sender(function: str) -> Scenario:
    """Nothing waits any more, so that the picture is drawn from the history."""

    def scenario(stage: Stage) -> None:
        stage.open()
        stage.write("Hello")
        stage.work_off("whatsapp-replies")
        _route(stage, function)

    return scenario


def _passing_on(function: str, **waits: Any) -> Scenario:
    def scenario(stage: Stage) -> None:
        stage.open(hand_off_to_human=True, **_waiting(Channel.WHATSAPP, **waits))
        _route(stage, function)

    return scenario


def _route(stage: Stage, function: str) -> None:
    with stage.at_work(function):
        found = relay().conversations.get(KEY)
        assert found is not None
        assert relay().route(found) != "nobody"


def _waiting(channel: Channel, **more: Any) -> dict[str, Any]:
    """The attributes of a record in which a message waits."""
    at = "2026-11-22T17:33:00.000Z"
    message = {"message_id": "SM1", "text": "Hello", "received_at": at, "from": PERSON, "to": OWN, "channel": channel}
    return {
        "received": 1,
        "answered": 0,
        "waiting": [{**message, "channel": str(channel), **more}],
        "recent_message_ids": ["SM1"],
        "unanswered_since": at,
        "last_inbound_at": at,
        "rescue_shard": "0",
    }
