"""What becomes of an answer once Twilio has it, or may have it, or does not want it."""

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest

from chalicelib.model import ConversationKey
from chalicelib.wiring import relay
from tests.edge.stage import CONVERSATION, OWN, PERSON, SERVICE, TEXTER, TOKEN, Stage, fields_of, payload


@pytest.fixture
def conversation(stage: Stage) -> Stage:
    stage.open()
    return stage


def answered(stage: Stage, text: str = "Hello") -> None:
    stage.write(text)
    stage.work_off()


def answer_in_history(stage: Stage) -> dict[str, Any]:
    return next(entry for entry in stage.history() if entry["author"] == "ai")


# --- callbacks


def test_a_delivered_answer_is_read_in_the_end(conversation: Stage) -> None:
    answered(conversation)
    conversation.await_callbacks("sent", "delivered", "read")
    assert answer_in_history(conversation)["status"] == "read"


@pytest.mark.parametrize("fault", ["reorder_callbacks", "repeat_callbacks"])
def test_callbacks_in_another_order_or_twice_end_alike(conversation: Stage, fault: str) -> None:
    conversation.twilio_fault(fault)
    answered(conversation)
    conversation.await_callbacks("sent", "delivered", "read")
    assert answer_in_history(conversation)["status"] == "read"


STATUSES = {
    "status_whatsapp_sent": ("sent", None),
    "status_whatsapp_delivered": ("delivered", None),
    "status_whatsapp_read": ("read", None),
    "status_whatsapp_undelivered_63016": ("undelivered", "63016"),
    "status_sms_delivered": ("delivered", None),
    "status_messaging_service_queued": ("queued", None),
}


@pytest.mark.parametrize(("name", "expected"), STATUSES.items())
def test_every_shape_of_callback_is_understood(stage: Stage, name: str, expected: tuple[str, str | None]) -> None:
    fields = fields_of(payload(name))
    stage.open(fields["To"].removeprefix("whatsapp:"))
    stage.twilio_fault("lose_callbacks")
    stage.write("Hello", person=fields["To"].removeprefix("whatsapp:"), sms="whatsapp" not in name)
    stage.work_off()
    key = ConversationKey(fields["To"].removeprefix("whatsapp:"), CONVERSATION)
    secret = {"twilio_auth_token": TOKEN}
    url = relay().callback_url(key, answer_in_history(stage)["position"], secret) or ""
    assert stage.post(url.removeprefix(stage.base_url), payload(name)).status_code == 200
    entry = answer_in_history(stage)
    assert (entry["status"], entry.get("error_code")) == expected


def test_an_answer_without_callbacks_stays_queued(conversation: Stage) -> None:
    conversation.twilio_fault("lose_callbacks")
    answered(conversation)
    assert answer_in_history(conversation)["status"] == "queued"


def test_an_answer_that_fails_later_is_marked_with_its_code(conversation: Stage) -> None:
    conversation.twilio_fault("fail_later", code=63016)
    answered(conversation)
    conversation.await_callbacks("failed")
    entry = answer_in_history(conversation)
    assert (entry["status"], entry["error_code"]) == ("failed", "63016")
    assert conversation.record()["conversation_status"] == "send_failed"


def test_a_failure_after_newer_messages_does_not_change_the_conversations_status(conversation: Stage) -> None:
    conversation.twilio_fault("lose_callbacks")
    answered(conversation)
    conversation.write("something newer")
    assert conversation.record()["conversation_status"] == "user_reply_received"


def test_the_url_that_twilio_calls_back_names_nobody(conversation: Stage) -> None:
    answered(conversation)
    conversation.await_callbacks("read")
    [path] = set(conversation.callback_paths)
    reference = unquote(path.removeprefix("/status/"))
    padded = reference + "=" * (-len(reference) % 4)
    seen = reference + base64.urlsafe_b64decode(padded).decode("latin-1")
    for word in ("447700900", "7700900101", PERSON, OWN, "@", CONVERSATION, "pi-aaa-001", "req123", "company"):
        assert word not in seen


def test_each_part_of_an_answer_has_a_url_of_its_own(conversation: Stage) -> None:
    answered(conversation, "Please tell me everything")
    conversation.await_callbacks("read")
    assert len(set(conversation.callback_paths)) == len(conversation.sent()) > 1


def test_a_tenants_messaging_service_sends(stage: Stage) -> None:
    stage.tenant(f"sms:{OWN}", messaging_service_sid=SERVICE)
    stage.open(TEXTER, channel_method="sms")
    stage.write("Hello", person=TEXTER, sms=True)
    stage.work_off()
    stage.await_callbacks("queued", "sent", "delivered")
    assert answer_in_history(stage)["status"] == "delivered"


# --- refused


@pytest.mark.parametrize("code", [21610, 63016, 21614, 21408, 99999])
def test_a_refused_answer_goes_to_a_human(conversation: Stage, code: int) -> None:
    conversation.twilio_fault("refuse", code=code)
    answered(conversation)
    record = conversation.record()
    status = "opted_out" if code == 21610 else "send_failed"
    assert (record["conversation_status"], record["hand_off_to_human"]) == (status, True)
    assert record.get("opted_out", False) == (code == 21610)
    assert record["hand_off_to_human_reason"] == f"send_refused:{code}"
    assert "outgoing" not in record
    [context] = conversation.taken("handoff")
    assert context["message"]["body"] == "Hello"


def test_the_history_says_why_an_answer_was_refused(conversation: Stage) -> None:
    conversation.twilio_fault("refuse", code=21614)
    answered(conversation)
    entry = answer_in_history(conversation)
    assert (entry["status"], entry["error_code"]) == ("failed", "21614")


def test_a_refused_second_part_leaves_the_first_one_known(conversation: Stage) -> None:
    conversation.write("Please tell me everything")
    conversation.work_off("whatsapp-replies")
    [body] = conversation.taken_bodies("sender")
    parts = conversation.record()["outgoing"]["parts"]
    parts[0]["provider_id"] = "SM" + "7" * 32
    conversation.change(outgoing=conversation.record()["outgoing"] | {"parts": parts})
    conversation.twilio_fault("refuse", code=21610)
    conversation.invoke("sender", body)
    assert conversation.record()["hand_off_to_human"] is True
    assert conversation.sent() == []


def test_credentials_that_are_gone_hand_the_conversation_over(stage: Stage) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off("whatsapp-replies")
    stage.change(credentials_reference="whatsapp-credentials/no/such/twilio")
    stage.work_off("sender")
    assert stage.record()["hand_off_to_human_reason"] == "send_refused:no_channel_credentials"


# --- busy


def test_a_busy_provider_gets_the_answer_at_the_next_attempt(conversation: Stage) -> None:
    conversation.twilio_fault("http_429", times=2)
    answered(conversation)
    assert len(conversation.sent()) == 1
    assert conversation.record()["conversation_status"] == "ai_response_sent"


def test_a_provider_that_stays_busy_hands_the_conversation_over(conversation: Stage) -> None:
    conversation.twilio_fault("http_429", times=3)
    answered(conversation)
    assert conversation.sent() == []
    assert conversation.record()["hand_off_to_human_reason"] == "send_failed:attempts"
    assert len(conversation.taken("handoff")) == 1


# --- in doubt


def in_doubt(stage: Stage, *faults: str) -> None:
    for fault in faults:
        stage.twilio_fault(fault, **({"seconds": 0.01} if "timeout" in fault else {}))
    answered(stage)


def test_an_answer_in_doubt_is_not_sent_again_by_anybody(conversation: Stage) -> None:
    in_doubt(conversation, "accept_then_timeout", "lose_callbacks")
    body = json.dumps(context_of(conversation))
    for _ in range(3):
        conversation.invoke("sender", body)
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 1
    assert conversation.record()["outgoing"]["state"] == "CLAIMED"


def test_an_answer_in_doubt_is_settled_by_the_first_callback(conversation: Stage) -> None:
    in_doubt(conversation, "accept_then_timeout")
    conversation.await_callbacks("read")
    record = conversation.record()
    assert (record["conversation_status"], "outgoing" in record) == ("ai_response_sent", False)
    assert answer_in_history(conversation)["provider_message_id"] == conversation.sent()[0]["sid"]


def test_an_answer_in_doubt_is_settled_by_the_providers_list(conversation: Stage) -> None:
    in_doubt(conversation, "accept_then_timeout", "lose_callbacks")
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 1
    assert conversation.record()["conversation_status"] == "ai_response_sent"
    assert answer_in_history(conversation)["provider_message_id"] == conversation.sent()[0]["sid"]


@pytest.mark.parametrize("fault", ["timeout", "http_500"])
def test_an_answer_that_the_provider_does_not_list_is_sent_again(conversation: Stage, fault: str) -> None:
    in_doubt(conversation, fault)
    assert conversation.sent() == []
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 1
    assert conversation.record()["conversation_status"] == "ai_response_sent"


def test_after_three_attempts_in_vain_a_human_gets_it(conversation: Stage) -> None:
    conversation.twilio_fault("http_500", times=9)
    answered(conversation)
    for _ in range(3):
        conversation.minutes_pass()
        conversation.sweep()
        conversation.work_off()
    assert conversation.sent() == []
    record = conversation.record()
    assert (record["hand_off_to_human"], record["conversation_status"]) == (True, "send_failed")
    assert len(conversation.taken("handoff")) == 1


def test_a_part_in_doubt_is_not_sent_again_and_the_rest_goes_out(conversation: Stage) -> None:
    in_doubt_text = "Please tell me everything"
    conversation.twilio_fault("accept_then_timeout", seconds=0.01)
    conversation.twilio_fault("lose_callbacks")
    answered(conversation, in_doubt_text)
    parts = [part["text"] for part in conversation.record()["outgoing"]["parts"]]
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert conversation.texts_sent() == parts
    assert conversation.record()["conversation_status"] == "ai_response_sent"


def test_the_same_answer_twice_in_a_row_is_not_mistaken_for_one(conversation: Stage) -> None:
    answered(conversation, "Hello")
    conversation.await_callbacks("read")
    in_doubt(conversation, "timeout")
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    first, second = conversation.texts_sent()
    assert first == second


def test_a_message_that_came_meanwhile_is_answered_after_the_doubt_is_over(conversation: Stage) -> None:
    in_doubt(conversation, "accept_then_timeout", "lose_callbacks")
    conversation.write("Thanks")
    conversation.work_off()
    assert len(conversation.sent()) == 1
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 2


def context_of(stage: Stage) -> dict[str, Any]:
    """A wake-up for the sender, as it may come again at any time."""
    record = stage.record()
    return {
        "meta": {"request_id": "x", "channel_type": "whatsapp", "timestamp": "", "version": "1.0"},
        "conversation": {
            "conversation_id": record["conversation_id"],
            "primary_channel": record["primary_channel"],
            "conversation_status": record["conversation_status"],
            "hand_off_to_human": False,
            "thread_id": None,
        },
        "message": {"from": PERSON, "to": OWN, "body": "", "message_id": "SM1", "timestamp": ""},
        "company": {},
        "processing": {},
    }


# --- WhatsApp's closed window, and who is writing

TEMPLATE = {"content_sid": f"HX{'1' * 32}", "variables": {"1": "{company_name}"}}


def test_a_template_goes_out_where_twilio_says_that_the_window_is_closed(conversation: Stage) -> None:
    conversation.tenant(closed_window_template=TEMPLATE)
    conversation.twilio_fault("refuse", code=63016)
    answered(conversation)
    conversation.work_off()
    [sent] = conversation.sent()
    assert TEMPLATE["content_sid"] in sent["body"]
    assert "Cucumber" in sent["body"]
    assert not conversation.record()["hand_off_to_human"]


def test_a_template_goes_out_where_the_closed_window_is_reported_later(conversation: Stage) -> None:
    conversation.tenant(closed_window_template=TEMPLATE)
    conversation.twilio_fault("fail_later", code=63016)
    answered(conversation)
    conversation.until(lambda: conversation.record()["conversation_status"] == "ai_response_ready", "the template")
    conversation.work_off()
    assert len(conversation.sent()) == 2
    assert TEMPLATE["content_sid"] in conversation.sent()[1]["body"]


def test_the_person_sees_that_somebody_is_writing(conversation: Stage) -> None:
    conversation.tenant(typing_indicator=True)
    message = {"from": f"whatsapp:{PERSON}", "to": f"whatsapp:{OWN}", "body": "Hello"}
    sid = conversation.http.post(f"{conversation.twilio_url}/_people/messages", json=message, timeout=5).json()["sid"]
    conversation.write("Hello", sid=sid)
    conversation.work_off()
    events = conversation.http.get(f"{conversation.twilio_url}/_events", timeout=5).json()["events"]
    assert [event["sid"] for event in events if event["kind"] == "typing"] == [sid]
    assert conversation.texts_sent()
