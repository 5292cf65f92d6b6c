"""When a human must answer, the AI is silent and the handoff queue holds the whole picture."""

import json
from typing import Any

import pytest

from chalicelib import handoff
from chalicelib.model import ConversationKey
from chalicelib.wiring import relay
from tests.edge.stage import CONVERSATION, PERSON, TEXTER, Stage, fields_of, payload
from tests.edge.test_exchange import EXAMPLE, keys_of

KEY = ConversationKey(PERSON, CONVERSATION)

REASONS: dict[str, dict[str, Any]] = {
    "hand_off_to_human": {"hand_off_to_human": True},
    "handoff_to_human alone": {"hand_off_to_human": None, "handoff_to_human": True},
    "every answer is queued": {"auto_queue_reply_message": True},
    "this number is queued": {"auto_queue_reply_message_from_number": ["+447700900188", PERSON]},
    "this number is queued, written otherwise": {"auto_queue_reply_message_from_number": ["whatsapp:447700900101"]},
    "the project is over": {"project_status": "completed"},
    "no consent": {"comms_consent": False},
    "the channel is not allowed": {"allowed_channels": ["email"]},
}


@pytest.mark.parametrize("attributes", REASONS.values(), ids=REASONS)
def test_each_reason_routes_to_the_handoff_queue_and_the_ai_is_silent(stage: Stage, attributes: dict[str, Any]) -> None:
    stage.open(**attributes)
    sid = stage.write("I want to speak with somebody")
    [context] = stage.taken("handoff")
    assert keys_of(context) == keys_of(json.loads(EXAMPLE))
    assert (context["message"]["message_id"], context["message"]["body"]) == (sid, "I want to speak with somebody")
    assert context["conversation"]["hand_off_to_human"] is bool(
        attributes.get("hand_off_to_human") or attributes.get("handoff_to_human")
    )
    stage.work_off()
    assert (stage.engine_requests(), stage.sent()) == ([], [])


@pytest.mark.parametrize(
    "attributes",
    [
        {"hand_off_to_human": False, "auto_queue_reply_message": False},
        {"project_status": "active"},
        {"project_status": "Active"},
        {"project_status": None},
        {"comms_consent": None},
        {"allowed_channels": []},
        {"allowed_channels": None},
        {"auto_queue_reply_message_from_number": ["+447700900188"]},
        {"auto_queue_reply_message_from_number": []},
    ],
    ids=str,
)
def test_without_a_reason_the_ai_answers(stage: Stage, attributes: dict[str, Any]) -> None:
    stage.open(**attributes)
    stage.write("Hello")
    stage.work_off()
    assert len(stage.sent()) == 1


def test_a_message_for_a_human_is_in_the_history_and_closed(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.write("Hello")
    record = stage.record()
    assert (record["received"], record["answered"], record.get("waiting", [])) == (1, 1, [])
    assert [entry["text"] for entry in stage.history()] == ["Hello"]


def test_a_message_for_a_human_that_comes_twice_is_passed_on_once(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    sid = stage.write("Hello")
    stage.write("Hello", sid=sid)
    assert len(stage.taken("handoff")) == 1


# --- taking over at the worst moment


@pytest.mark.parametrize("how", ["by us", "by another writer"])
def test_a_human_takes_over_between_the_webhook_and_the_turn(stage: Stage, how: str) -> None:
    stage.open()
    stage.write("Hello")
    _take_over(stage, how)
    stage.work_off()
    assert (stage.engine_requests(), stage.sent()) == ([], [])
    assert [context["message"]["body"] for context in stage.taken("handoff")] == ["Hello"]


@pytest.mark.parametrize("how", ["by us", "by another writer"])
def test_a_human_takes_over_between_the_turn_and_the_sender(stage: Stage, how: str) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off("whatsapp-replies")
    _take_over(stage, how)
    stage.work_off()
    assert stage.sent() == []
    assert "outgoing" not in stage.record()


def test_a_human_who_takes_over_after_the_turn_still_gets_the_message(stage: Stage) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off("whatsapp-replies")
    _take_over(stage, "by us")
    assert [context["message"]["body"] for context in stage.taken("handoff")] == ["Hello"]


def test_after_giving_back_the_ai_answers_only_what_is_new(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.write("before")
    stage.taken("handoff")
    handoff.give_back(KEY, conversations=relay().conversations, pass_on=relay().pass_on, journal=relay().journal)
    stage.write("after")
    stage.work_off()
    [answer] = [entry for entry in stage.history() if entry["author"] == "ai"]
    assert (answer["covers"], len(stage.sent())) == ({"from": 1, "to": 2}, 1)


def test_the_ai_itself_asks_for_a_human_and_its_reason_reaches_the_human(stage: Stage) -> None:
    stage.open()
    stage.write("Can I speak with a human?")
    stage.work_off("whatsapp-replies")
    record = stage.record()
    assert record["hand_off_to_human"] is True
    assert record["hand_off_to_human_reason"] == "The person asked for a human: “Can I speak with a human?”"
    assert record["conversation_status"] == "handed_off_to_human"
    [context] = stage.taken("handoff")
    assert context["conversation"]["hand_off_to_human"] is True
    assert stage.sent() == []


# --- opting out


def test_stop_ends_all_sending(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms")
    stage.payload("sms_stop")
    stage.write("Are you there?", person=TEXTER, sms=True)
    stage.work_off()
    assert stage.record(TEXTER)["opted_out"] is True
    assert (stage.engine_requests(), stage.sent()) == ([], [])
    assert [context["message"]["body"] for context in stage.taken("handoff")] == ["STOP", "Are you there?"]


def test_stop_ends_an_answer_that_is_ready(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms")
    stage.write("Hello", person=TEXTER, sms=True)
    stage.work_off("sms-replies")
    stage.payload("sms_stop")
    stage.work_off()
    assert stage.sent() == []


def test_start_lets_the_ai_answer_again(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms")
    stage.payload("sms_stop")
    stage.payload("sms_start")
    stage.work_off()
    stage.write("Are you open on Monday?", person=TEXTER, sms=True)
    stage.work_off()
    assert "Monday to Friday" in stage.texts_sent(TEXTER)[-1]


def test_the_word_stop_alone_is_enough_where_twilio_does_not_recognise_it(stage: Stage) -> None:
    stage.open()
    stage.open(conversation_id="another", created_at="2026-11-19T09:00:00.000Z")
    stage.write("STOP")
    stage.work_off()
    assert [each["opted_out"] for each in stage.records_of(PERSON)] == [True, True]
    assert stage.sent() == []
    stage.write("START")
    assert [each["opted_out"] for each in stage.records_of(PERSON)] == [False, False]


def test_an_opt_out_of_a_payload_is_twilios_word(stage: Stage) -> None:
    assert fields_of(payload("sms_stop"))["OptOutType"] == "STOP"


def _take_over(stage: Stage, how: str) -> None:
    if how == "by us":
        relay().take_over(KEY, reason="taken")
    else:
        stage.change(hand_off_to_human=True)
