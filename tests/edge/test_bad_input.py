"""Any bytes at the door give 200, 400, 403, 404 or 413, never 500, and never a forged log line or a harmed record."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.channels import INCOMING
from chalicelib.channels.references import SealedReferences
from chalicelib.context import Context
from chalicelib.errors import Rejected
from chalicelib.model import Channel
from chalicelib.ports import Request
from chalicelib.wiring import now, relay
from tests import signing
from tests.edge.stage import FORM, OWN, PERSON, TOKEN, Stage

CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QUIET = settings(max_examples=500, deadline=None)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
FIELDS = st.dictionaries(TEXTS, TEXTS, max_size=8)
ANSWERS = (200, 400, 403, 413)


def request_of(body: bytes) -> Request:
    return Request(urls=("https://relay.example.com/whatsapp",), headers={"x-twilio-signature": "?"}, body=body)


def status_of(parse: Callable[[], object]) -> int:
    """The HTTP status that parsing would lead to. Anything but Rejected is our own bug and is raised."""
    try:
        parse()
    except Rejected as rejection:
        return rejection.status
    return 200


@CALM
@given(body=st.binary(max_size=300), path=st.sampled_from(["/whatsapp", "/sms"]))
def test_any_bytes_are_answered_calmly(stage: Stage, body: bytes, path: str) -> None:
    headers = {"Content-Type": FORM, "X-Twilio-Signature": "bm90IGEgc2lnbmF0dXJl"}
    assert stage.request("POST", path, body, headers).status_code in ANSWERS


@CALM
@given(fields=FIELDS)
def test_any_signed_form_is_answered_calmly(stage: Stage, fields: dict[str, str]) -> None:
    form = {"From": f"whatsapp:{PERSON}", "To": f"whatsapp:{OWN}", "MessageSid": "SM" + "0" * 32} | fields
    assert stage.post("/whatsapp", urlencode(form).encode()).status_code in ANSWERS


@CALM
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_text_is_recorded_as_it_is_and_reaches_the_queue(stage: Stage, text: str) -> None:
    stage.open()
    stage.write(text)
    assert stage.record()["waiting"][-1]["text"] == text
    assert stage.taken("whatsapp-replies")[-1]["message"]["body"] == text


@CALM
@given(fields=FIELDS, reference=st.text("abcdefXYZ019-_", min_size=1, max_size=80))
def test_any_signed_callback_is_answered_calmly(stage: Stage, fields: dict[str, str], reference: str) -> None:
    form = {"From": f"whatsapp:{OWN}", "To": f"whatsapp:{PERSON}", "MessageSid": "SM1", "MessageStatus": "sent"}
    answer = stage.post(f"/status/{reference}", urlencode(form | fields).encode())
    assert answer.status_code in (*ANSWERS, 404)


@QUIET
@given(body=st.binary(max_size=400))
def test_the_parsers_take_any_bytes_or_say_no(body: bytes) -> None:
    incoming = INCOMING[Channel.WHATSAPP]
    for parse in (lambda: incoming.parse(request_of(body), at=now()), lambda: incoming.parse_status(request_of(body))):
        assert status_of(parse) in (200, 400, 403)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@QUIET
@given(value=JSON)
def test_the_context_object_takes_any_json_or_says_no(value: Any) -> None:
    with pytest.raises(Rejected, match="not a context object"):
        Context.from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", '{"meta": ' * 5_000])
def test_the_context_object_says_no_to_what_is_no_json(text: str) -> None:
    with pytest.raises(Rejected):
        Context.from_json(text)


@QUIET
@given(reference=st.text(max_size=120))
def test_any_reference_is_opened_or_not(reference: str) -> None:
    assert SealedReferences().unseal(reference, [{"twilio_auth_token": TOKEN}]) is None


def test_ten_thousand_parameters_are_turned_away(stage: Stage) -> None:
    body = "&".join(f"p{number}=1" for number in range(10_000)).encode()
    assert stage.request("POST", "/whatsapp", body, signing.headers("x", b"", TOKEN)).status_code == 400


def test_ten_megabytes_are_turned_away(stage: Stage) -> None:
    headers = {"Content-Type": FORM, "X-Twilio-Signature": "?"}
    assert stage.request("POST", "/whatsapp", b"Body=" + b"a" * 10_000_000, headers).status_code == 413


@pytest.mark.parametrize("end_of_line", ["\n", "\r", "\r\n", "\x85", "\u2028", "\x0b", "\x1e"], ids=ascii)
def test_an_end_of_line_forges_no_log_line(stage: Stage, capsys: pytest.CaptureFixture[str], end_of_line: str) -> None:
    stage.open()
    forged = f'x{end_of_line}{{"level":"INFO","action":"answer_sent"}}'
    stage.write(forged, sid=f"SM1{end_of_line}{{}}", ProfileName=forged, MessagingServiceSid=f"MG{end_of_line}")
    status = {"From": f"whatsapp:{OWN}", "To": f"whatsapp:{PERSON}", "MessageSid": "SM1", "MessageStatus": forged}
    stage.post("/status/abc", urlencode(status | {"ErrorCode": forged}).encode())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]
    assert "answer_sent" not in [line.get("action") for line in lines]


# --- what no key of a table can hold

TOO_LONG = "7" * 3_000  # a key of DynamoDB holds 2,048 bytes, its sort key 1,024
ENDS = {"From": f"whatsapp:{PERSON}", "To": f"whatsapp:{OWN}"}
MESSAGE = {**ENDS, "MessageSid": "SM" + "0" * 32, "Body": "hello"}
CALLBACK = {"From": ENDS["To"], "To": ENDS["From"], "MessageSid": "SM" + "0" * 32, "MessageStatus": "sent"}


@pytest.mark.parametrize("name", ["From", "To", "MessageSid", "MessagingServiceSid", "ExternalUserId", "NumMedia"])
@pytest.mark.parametrize("token", [TOKEN, "made up"], ids=["signed", "forged"])
def test_a_value_that_no_key_can_hold_is_answered_calmly(stage: Stage, name: str, token: str) -> None:
    body = urlencode(MESSAGE | {name: TOO_LONG}).encode()
    assert stage.post("/whatsapp", body, token=token).status_code in (200, 400, 403)


@pytest.mark.parametrize("name", ["From", "To", "MessageSid", "MessagingServiceSid", "ErrorCode"])
@pytest.mark.parametrize("value", ["", TOO_LONG], ids=["empty", "too long"])
@pytest.mark.parametrize("token", [TOKEN, "made up"], ids=["signed", "forged"])
def test_a_callback_with_a_value_that_no_key_can_hold_is_answered_calmly(
    stage: Stage, name: str, value: str, token: str
) -> None:
    body = urlencode(CALLBACK | {name: value}).encode()
    assert stage.post("/status/abc", body, token=token).status_code in (400, 403, 404)


def test_a_number_of_files_in_five_thousand_digits_is_no_number(stage: Stage) -> None:
    stage.open()
    assert stage.post("/whatsapp", urlencode(MESSAGE | {"NumMedia": "9" * 5_000}).encode()).status_code == 200
    assert stage.record()["waiting"][-1].get("media", []) == []


@pytest.mark.parametrize("host", ["[::1", "a:b", "a:99999999", "a:", "]", "\u00e9:1", "a/b?c#d"])
def test_any_host_is_answered_calmly_where_nothing_else_tells_our_address(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("PUBLIC_BASE_URL")
    relay.cache_clear()
    stage.open()
    assert stage.post("/whatsapp", urlencode(MESSAGE).encode(), headers={"Host": host}).status_code in (400, 403)


NO_TEXTS = [
    "%00",
    "a%00b",
    "%FF%FE",
    "%C3%28",
    "%ED%A0%80",
    "%F0%9F%98",
    "%",
    "%zz",
    "%u0041",
    "+" * 1_000,
    "%EF%BF%BE",
]


def test_null_bytes_and_what_is_no_utf_8_are_taken_in_as_well_as_they_can_be(stage: Stage) -> None:
    stage.open()
    for number, text in enumerate(NO_TEXTS):
        body = urlencode(MESSAGE | {"MessageSid": f"SM{number:032}"}).encode().replace(b"hello", text.encode())
        assert stage.post("/whatsapp", body).status_code == 200
    assert stage.record()["received"] == len(NO_TEXTS)
    stage.work_off()
    assert len(stage.sent()) == 1


@pytest.mark.parametrize("body", [b"\xff\xfe", b"Body=\xff", b"\x00", b"\xed\xa0\x80=1", b"=&=&=", b"&&&", b""])
def test_a_body_that_is_no_form_is_turned_away(stage: Stage, body: bytes) -> None:
    headers = {"Content-Type": FORM, "X-Twilio-Signature": "?"}
    assert stage.request("POST", "/whatsapp", body, headers).status_code in (400, 403)
    assert stage.request("POST", "/status/abc", body, headers).status_code in (400, 403)


def test_a_queue_message_that_nobody_can_read_goes_to_the_dead_letters_without_a_word_of_it(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.fails("whatsapp-replies", '{"meta": {"request_id": "a secret text"}}')
    assert "secret text" not in capsys.readouterr().out
