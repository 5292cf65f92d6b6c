"""What each door answers, what it does with input that is not a message, and that nothing is lost when AWS fails."""

import json
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest

from tests import signing
from tests.edge.stage import OWN, PERSON, TOKEN, Stage, form_of, new_sid, queue_name

LARGEST = 128 * 1024


@pytest.fixture
def conversation(stage: Stage) -> Stage:
    stage.open()
    return stage


def said(response: Any) -> str:
    return response.body.decode() + json.dumps(dict(response.headers))


def test_health_names_the_stage(stage: Stage) -> None:
    response = stage.request("GET", "/health")
    assert (response.status_code, response.json_body) == (200, {"status": "ok", "stage": "dev"})


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json", "text/plain"])
def test_email_is_not_supported_yet_and_says_so(stage: Stage, content_type: str) -> None:
    response = stage.request("POST", "/email", b"{}", {"Content-Type": content_type})
    assert response.status_code == 501
    assert response.json_body == {
        "error": "channel_not_supported",
        "message": "the channel email is not supported yet",
    }


@pytest.mark.parametrize("path", ["/whatsapp", "/sms", "/status/abc"])
def test_only_forms_are_taken_in(stage: Stage, path: str) -> None:
    others = ({"Content-Type": each} for each in ("application/json", "text/xml", "multipart/form-data"))
    assert {stage.request("POST", path, b"{}", headers).status_code for headers in (*others, {})} == {415}


def test_a_page_that_there_is_not_is_not_found(stage: Stage) -> None:
    assert stage.request("POST", "/whatsap", b"", {"Content-Type": signing.FORM}).status_code in (403, 404)


def test_webhooks_are_posted(stage: Stage) -> None:
    assert stage.request("GET", "/whatsapp").status_code == 405


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"\xff\xfe\x00", "unreadable_body"),
        (b"&".join(b"a%d=1" % number for number in range(1_200)), "unreadable_body"),
    ],
    ids=["empty", "not UTF-8", "a thousand fields"],
)
def test_a_body_that_is_no_form_is_unreadable(conversation: Stage, body: bytes, reason: str) -> None:
    headers = {"Content-Type": signing.FORM, signing.HEADER: "c2lnbmF0dXJl"}
    answer = conversation.through_gateway("/whatsapp", body, headers, encoded=True)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (400, reason)


def test_a_body_that_is_not_base64_is_unreadable(conversation: Stage) -> None:
    headers = {"Content-Type": signing.FORM, signing.HEADER: "c2lnbmF0dXJl"}
    answer = conversation.through_gateway("/whatsapp", b"", headers, encoded=True, raw_body="abc=d=ef")
    assert answer["statusCode"] == 400


def test_a_signed_form_without_a_message_id_is_unreadable(conversation: Stage) -> None:
    body = urlencode({"From": f"whatsapp:{PERSON}", "To": f"whatsapp:{OWN}", "Body": "hello"}).encode()
    assert conversation.post("/whatsapp", body).status_code == 400


@pytest.mark.parametrize("missing", ["From", "To"])
def test_a_form_that_names_nobody_cannot_be_believed(conversation: Stage, missing: str) -> None:
    fields = {"MessageSid": "SM1", "From": f"whatsapp:{PERSON}", "To": f"whatsapp:{OWN}", "Body": "hello"}
    body = urlencode({name: value for name, value in fields.items() if name != missing}).encode()
    assert conversation.post("/whatsapp", body).status_code == 403


def test_a_body_that_is_too_large_is_not_read(conversation: Stage) -> None:
    _, body = form_of("x" * LARGEST)
    with conversation.counted() as calls:
        response = conversation.post("/whatsapp", body)
    assert (response.status_code, calls) == (413, [])


def test_a_text_far_beyond_what_twilio_sends_is_still_kept_whole(conversation: Stage) -> None:
    text = "long " * 6_000
    conversation.write(text.strip())
    [entry] = conversation.history()
    assert entry["text"] == text.strip()


STRANGE = (
    "<script>alert(1)</script>",
    "a\r\nb\0c",
    "'; DROP TABLE messages; --",
    "{{7*7}} %s %n ${jndi:x}",
    "\u202egnp.exe",
)


def test_strange_texts_are_texts(conversation: Stage) -> None:
    for text in STRANGE:
        conversation.write(text)
    assert [each["text"] for each in conversation.record()["waiting"]] == list(STRANGE)


def test_a_strange_number_of_files_is_survived(conversation: Stage) -> None:
    for count in ("-1", "99999999999", "two", "", "1.5", "٣"):
        assert conversation.webhook("hello", NumMedia=count).status_code == 200


# --- when AWS fails


def test_a_queue_that_is_away_makes_the_provider_deliver_again(conversation: Stage) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue_name("whatsapp-replies"))["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    sqs.delete_queue(QueueUrl=url)
    sid = new_sid()
    try:
        first = conversation.webhook("are you there?", sid=sid)
    finally:
        sqs.create_queue(QueueName=queue_name("whatsapp-replies"), Attributes=attributes)
    second = conversation.webhook("are you there?", sid=sid)
    assert (first.status_code // 100, second.status_code) == (5, 200)
    assert conversation.record()["received"] == 1
    assert [context["message"]["message_id"] for context in conversation.taken("whatsapp-replies")] == [sid]


def test_a_table_that_is_away_shows_the_caller_no_stack_trace(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.policies = {}
    stage.begin(monkeypatch, CONVERSATIONS_TABLE="there-is-no-such-table")
    response = stage.webhook("hello")
    assert response.status_code == 500
    assert response.json_body == {"error": "internal_error", "message": "something went wrong on our side"}
    for word in ("Traceback", "Exception", "botocore", ".py", "table"):
        assert word not in said(response)


def test_settings_that_make_no_sense_are_an_error_and_not_a_stack_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.begin(monkeypatch, BURST_IDLE_SECONDS="soon")
    response = stage.webhook("hello")
    assert response.status_code == 500
    assert "Traceback" not in said(response)


def test_a_silent_aws_makes_the_provider_deliver_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.begin(monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert stage.webhook("hello").status_code == 503


def test_an_answer_of_refusal_is_json_and_names_the_reason(conversation: Stage) -> None:
    _, body = form_of("hello")
    response = conversation.post("/whatsapp", body, spoil=signing.SPOILED["missing"])
    assert response.json_body == {"error": "signature_missing", "message": "the signature is missing or wrong"}
    assert TOKEN not in said(response)


@pytest.mark.parametrize("purpose", ["whatsapp-replies", "sms-replies", "email-replies", "sender"])
def test_a_queue_message_that_is_no_context_object_stays_on_its_queue(stage: Stage, purpose: str) -> None:
    before = stage.all_that_is_written()
    bodies = ("", "{}", "not json", "[]", '{"meta": {"version": "9.0"}}')
    assert all(stage.fails(purpose, body) for body in bodies)
    assert stage.all_that_is_written() == before
