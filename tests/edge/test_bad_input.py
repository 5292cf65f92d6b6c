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
from chalicelib.wiring import now
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


def test_a_newline_forges_no_log_line(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.open()
    forged = 'x\n{"level":"INFO","action":"answer_sent"}'
    stage.write(forged, sid=f"SM1{forged}")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert "answer_sent" not in [line.get("action") for line in lines]


def test_a_queue_message_that_nobody_can_read_goes_to_the_dead_letters_without_a_word_of_it(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.fails("whatsapp-replies", '{"meta": {"request_id": "a secret text"}}')
    assert "secret text" not in capsys.readouterr().out
