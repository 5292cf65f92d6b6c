"""The context object of the high-level design, field for field."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chalicelib.context import Context, context_of, iso
from chalicelib.errors import Rejected
from chalicelib.model import Channel, ConversationKey
from tests.twins import cast
from tests.twins.clock import START

#: Section 4 of the high-level design.
EXAMPLE: dict[str, Any] = {
    "meta": {
        "request_id": "uuid-here",
        "channel_type": "whatsapp",
        "timestamp": "2023-06-01T12:34:56.789Z",
        "version": "1.0",
    },
    "conversation": {
        "conversation_id": "conversation-uuid",
        "primary_channel": "+1234567890",
        "conversation_status": "user_reply_received",
        "hand_off_to_human": False,
        "thread_id": "thread_abc123xyz",
    },
    "message": {
        "from": "+1234567890",
        "to": "+0987654321",
        "body": "Hello there",
        "message_id": "twilio-message-id",
        "timestamp": "2023-06-01T12:34:50.123Z",
    },
    "company": {
        "company_id": "company-123",
        "project_id": "project-456",
        "company_name": "Cucumber Recruitment",
        "credentials_reference": "whatsapp-credentials/cucumber-recruitment/cv-analysis/twilio",
    },
    "processing": {
        "validation_status": "valid",
        "ai_response": None,
        "sent_response": None,
        "processing_timestamps": {
            "received": "2023-06-01T12:34:56.789Z",
            "validated": "2023-06-01T12:34:57.123Z",
            "queued": "2023-06-01T12:34:57.456Z",
        },
    },
}


def changed(section: str, **fields: Any) -> str:
    return json.dumps({**EXAMPLE, section: {**EXAMPLE[section], **fields}})


def ours() -> Context:
    return context_of(cast.conversation(), cast.waiting(1), tenant=cast.tenant(), request_id="r-1", at=START)


def test_the_example_is_read_and_written_without_a_difference() -> None:
    assert json.loads(Context.from_json(json.dumps(EXAMPLE)).to_json()) == EXAMPLE


def test_what_we_make_has_exactly_the_fields_of_the_example() -> None:
    made = json.loads(ours().stamped(received=START, validated=START, queued=START).to_json())
    assert {section: set(fields) for section, fields in made.items()} == {
        section: set(fields) for section, fields in EXAMPLE.items()
    }
    assert set(made["processing"]["processing_timestamps"]) == {"received", "validated", "queued"}


def test_what_we_make_says_what_the_record_and_the_message_say() -> None:
    made = json.loads(ours().to_json())
    assert made["meta"] == {
        "request_id": "r-1",
        "channel_type": "whatsapp",
        "timestamp": "2026-11-22T09:00:00.000Z",
        "version": "1.0",
    }
    assert made["message"] == {
        "from": cast.PERSON,
        "to": cast.OWN_ADDRESS,
        "body": "message 1",
        "message_id": cast.message_id(1),
        "timestamp": "2026-11-22T09:00:00.000Z",
    }
    assert made["company"]["credentials_reference"] == cast.TWILIO_SECRET


def test_a_conversations_own_values_win_over_its_tenants() -> None:
    conversation = cast.conversation(company_name="Own", company_id="", credentials={Channel.WHATSAPP: "own/secret"})
    made = context_of(conversation, cast.waiting(1), tenant=cast.tenant(), request_id="r", at=START)
    assert (made.company.company_name, made.company.company_id) == ("Own", "company-1")
    assert made.company.credentials_reference == "own/secret"


def test_without_a_tenant_what_is_missing_is_empty() -> None:
    bare = cast.conversation(company_name="", project_id="")
    made = context_of(bare, cast.waiting(1), tenant=None, request_id="r", at=START)
    assert (made.company.company_name, made.company.credentials_reference) == ("", None)


def test_fields_that_we_do_not_know_are_carried_on() -> None:
    text = json.dumps({**json.loads(changed("message", future={"a": [1]})), "extra": {"x": 1}})
    made = json.loads(Context.from_json(text).stamped(ai_started=START).to_json())
    assert (made["extra"], made["message"]["future"]) == ({"x": 1}, {"a": [1]})


@pytest.mark.parametrize("version", ["2.0", "1", 1.0, None, ""])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(Rejected) as rejected:
        Context.from_json(changed("meta", version=version))
    assert rejected.value.status == 400
    assert "meta.version" in str(rejected.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "body"),
        ("not json", "body"),
        ("[]", "body"),
        ("{}", "meta"),
        (changed("conversation", conversation_id=""), "conversation.conversation_id"),
        (changed("conversation", primary_channel=None), "conversation.primary_channel"),
        (changed("meta", channel_type="pigeon"), "meta.channel_type"),
        (changed("processing", processing_timestamps=[1]), "processing.processing_timestamps"),
    ],
)
def test_what_is_not_a_context_object_is_refused_by_the_name_of_the_field(text: str, place: str) -> None:
    with pytest.raises(Rejected) as rejected:
        Context.from_json(text)
    assert place in str(rejected.value)


def test_a_refusal_quotes_no_values() -> None:
    with pytest.raises(Rejected) as rejected:
        Context.from_json(changed("message", body={"secret": "words"}))
    assert "words" not in str(rejected.value)
    assert "message.body" in str(rejected.value)


def test_it_names_its_conversation() -> None:
    assert Context.from_json(json.dumps(EXAMPLE)).key == ConversationKey("+1234567890", "conversation-uuid")


def test_stamps_are_added_and_earlier_ones_stay() -> None:
    before = Context.from_json(json.dumps(EXAMPLE))
    after = before.stamped(ai_started=START).stamped(ai_completed=START)
    assert set(after.processing.processing_timestamps) == {
        "received",
        "validated",
        "queued",
        "ai_started",
        "ai_completed",
    }
    assert set(before.processing.processing_timestamps) == {"received", "validated", "queued"}


def test_an_answer_is_put_in() -> None:
    assert json.loads(ours().with_processing(ai_response="Hi").to_json())["processing"]["ai_response"] == "Hi"


@pytest.mark.parametrize("text", ["\ufffe\uffff\x00", "😀 e\u0301 مرحبا"])
def test_the_json_is_ascii_and_loses_nothing(text: str) -> None:
    made = context_of(cast.conversation(), cast.waiting(1, text), tenant=None, request_id="r", at=START).to_json()
    assert made.isascii()
    assert Context.from_json(made).message.body == text


def test_times_are_utc_to_the_millisecond() -> None:
    assert iso(datetime(2023, 6, 1, 12, 34, 56, 789_999, tzinfo=UTC)) == "2023-06-01T12:34:56.789Z"
    assert iso(datetime(2023, 6, 1, 14, 34, 56, tzinfo=timezone(timedelta(hours=2)))) == "2023-06-01T12:34:56.000Z"
