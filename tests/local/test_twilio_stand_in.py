"""The Twilio stand-in, seen by the real SDK, by an application with webhooks, and by a person."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask, Response, request
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from local.demo_company import ACCOUNT_SID, AUTH_TOKEN, PEOPLE, SMS_ADDRESS, WHATSAPP_ADDRESS
from local.serving import running
from local.twilio import Account, Config, Number, create_app

AMARA = "whatsapp:+447700900101"
CHLOE = "+447700900103"
PATIENCE_SECONDS = 5.0
SOON = 0.01


@dataclass
class Receiver:
    """An application that takes webhooks: it keeps what it got and answers what it is told to."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[], Response] = lambda: Response("", mimetype="text/xml")

    def app(self) -> Flask:
        app = Flask("receiver")
        app.add_url_rule("/<path:path>", view_func=self.take, methods=["POST"])
        return app

    def take(self, path: str) -> Response:
        form = request.form.to_dict()
        signature = request.headers.get("X-Twilio-Signature", "")
        genuine = RequestValidator(AUTH_TOKEN).validate(request.url, form, signature)
        self.got.append({"path": path, "form": form, "genuine": genuine, "headers": dict(request.headers)})
        return self.answer()

    def forms(self, path: str) -> list[dict[str, str]]:
        return [it["form"] for it in self.got if it["path"] == path]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with running(receiver.app()) as receiver.url:
        yield receiver


@dataclass
class World:
    """The stand-in at an address, with the hands of a person and of a test on it."""

    url: str

    def client(self, username: str = ACCOUNT_SID, password: str = AUTH_TOKEN, timeout: float = 5) -> Client:
        client = Client(username, password, ACCOUNT_SID, http_client=TwilioHttpClient(timeout=timeout))
        client.api.base_url = self.url
        return client

    def send(self, body: str = "Hello", to: str = AMARA, **more: Any) -> Any:
        sender = WHATSAPP_ADDRESS if to.startswith("whatsapp:") else SMS_ADDRESS
        return self.client().messages.create(to=to, from_=sender, body=body, **more)

    def write(self, body: str = "Hi", sender: str = AMARA, **more: Any) -> dict[str, Any]:
        to = WHATSAPP_ADDRESS if sender.startswith("whatsapp:") else SMS_ADDRESS
        written = self.post("/_people/messages", {"from": sender, "to": to, "body": body, "wait": True} | more)
        assert written.status_code == 201, written.text
        return dict(written.json())

    def order(self, kind: str, **more: Any) -> None:
        assert self.post("/_faults", {"kind": kind, **more}).status_code == 201

    def post(self, path: str, document: Any = None) -> requests.Response:
        return requests.post(self.url + path, json=document, timeout=PATIENCE_SECONDS)

    def messages(self, **ends: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/_people/messages", ends, timeout=PATIENCE_SECONDS)
        return list(answer.json()["messages"])

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/_events", timeout=PATIENCE_SECONDS).json()
        return [event for event in answer["events"] if kind in (None, event["kind"])]


@pytest.fixture
def twilio(receiver: Receiver) -> Iterator[World]:
    config = replace(Config.demo(receiver.url), step_seconds=SOON)
    with running(create_app(config)) as url:
        yield World(url)


def world_with_webhook(url: str) -> Any:
    """A stand-in whose WhatsApp number has exactly this webhook."""
    number = Number(WHATSAPP_ADDRESS, ACCOUNT_SID, url)
    return running(create_app(Config((Account(ACCOUNT_SID, AUTH_TOKEN),), (number,), SOON)))


def eventually(holds: Callable[[], Any]) -> Any:
    """The first truthy value; fails when there is none within the patience of a test."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (value := holds()):
        assert time.monotonic() < until, "this never came true"
        time.sleep(0.01)
    return value


def refused(send: Callable[[], Any]) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        send()
    return caught.value


# --- the REST API


def test_a_new_message_comes_back_as_a_full_resource(twilio: World) -> None:
    message = twilio.send("Hello Amara")

    assert message.sid.startswith("SM")
    assert len(message.sid) == 34
    assert (message.status, message.direction, message.body) == ("queued", "outbound-api", "Hello Amara")
    assert (message.from_, message.to) == (WHATSAPP_ADDRESS, AMARA)
    assert (message.account_sid, message.api_version) == (ACCOUNT_SID, "2010-04-01")
    assert (message.num_media, message.num_segments, message.price, message.price_unit) == (
        "0",
        "1",
        None,
        "USD",
    )
    assert (message.error_code, message.error_message, message.date_sent) == (None, None, None)
    assert abs(message.date_created - datetime.now(UTC)) < timedelta(seconds=5)
    assert message.uri == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message.sid}.json"


def test_a_message_can_be_fetched_and_shows_how_far_it_has_come(twilio: World) -> None:
    message = twilio.send()

    read = eventually(lambda: (it := message.fetch()).status == "read" and it)

    assert read.date_sent is not None
    assert read.body == "Hello"


def test_an_unknown_message_is_not_found(twilio: World) -> None:
    error = refused(twilio.client().messages("SM" + "0" * 32).fetch)

    assert (error.status, error.code) == (404, 20404)


def test_a_list_is_newest_first_and_filtered_by_both_ends(twilio: World) -> None:
    for to, body in ((AMARA, "one"), (CHLOE, "other"), (AMARA, "two")):
        twilio.send(body, to)
    messages = twilio.client().messages

    assert [it.body for it in messages.list()] == ["two", "other", "one"]
    assert [it.body for it in messages.list(to=AMARA, from_=WHATSAPP_ADDRESS)] == ["two", "one"]
    assert [it.body for it in messages.list(to=AMARA, limit=1)] == ["two"]


def test_a_list_finds_messages_by_the_time_they_were_sent(twilio: World) -> None:
    message = twilio.send()
    eventually(lambda: message.fetch().date_sent)
    messages, now = twilio.client().messages, datetime.now(UTC)

    def found(**when: datetime) -> int:
        return len(messages.list(**when))

    assert found(date_sent_after=now - timedelta(minutes=1)) == 1
    assert found(date_sent_after=now + timedelta(minutes=1)) == 0
    assert found(date_sent_before=now + timedelta(minutes=1)) == 1
    assert found(date_sent_before=now - timedelta(minutes=1)) == 0
    assert found(date_sent_after=message.fetch().date_sent, date_sent_before=message.fetch().date_sent) == 1
    assert found(date_sent=now - timedelta(days=2)) == 0


def test_a_whole_day_can_be_asked_for(twilio: World) -> None:
    twilio.write()
    today = datetime.now(UTC).date()

    def found(**query: str) -> int:
        path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
        answer = requests.get(twilio.url + path, query, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=5)
        return len(answer.json()["messages"])

    assert found(DateSent=today.isoformat()) == 1
    assert found(**{"DateSent>": (today + timedelta(days=1)).isoformat()}) == 0
    assert found(**{"DateSent<": (today - timedelta(days=1)).isoformat()}) == 0


def test_a_message_still_in_the_queue_has_no_date_to_be_found_by(receiver: Receiver) -> None:
    slow = replace(Config.demo(receiver.url), step_seconds=60.0)
    with running(create_app(slow)) as url:
        World(url).send()
        messages = World(url).client().messages

        assert messages.list(date_sent_after=datetime.now(UTC) - timedelta(hours=1)) == []
        assert len(messages.list()) == 1


def test_pages_follow_each_other_without_loss_though_messages_arrive(twilio: World) -> None:
    for number in range(5):
        twilio.send(str(number))
    stream = twilio.client().messages.stream(page_size=2)

    first = next(stream)
    twilio.send("late")

    assert [first.body, *(it.body for it in stream)] == ["4", "3", "2", "1", "0"]


def test_incoming_messages_are_in_the_list_too(twilio: World) -> None:
    twilio.write("Is anybody there?")

    (message,) = twilio.client().messages.list(to=WHATSAPP_ADDRESS)

    assert (message.direction, message.status) == ("inbound", "received")
    assert message.date_sent is not None


@pytest.mark.parametrize(
    ("username", "password"),
    [(ACCOUNT_SID, "wrong"), ("SK" + "0" * 32, AUTH_TOKEN), ("AC" + "f" * 32, AUTH_TOKEN)],
)
def test_wrong_credentials_are_turned_away(twilio: World, username: str, password: str) -> None:
    error = refused(lambda: twilio.client(username, password).messages.create(to=AMARA, from_="x", body="x"))

    assert (error.status, error.code) == (401, 20003)


def test_secondary_tokens_and_api_keys_are_admitted() -> None:
    key = "SK" + "1" * 32
    account = Account(ACCOUNT_SID, AUTH_TOKEN, ("second",), {key: "secret"})
    with running(create_app(Config((account,), ()))) as url:
        for username, password in ((ACCOUNT_SID, "second"), (key, "secret")):
            assert World(url).client(username, password).messages.list() == []


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"To": "whatsapp:hello"}, 21211),
        ({"To": "+44"}, 21211),
        ({"To": "whatsapp:GB." + "1" * 129}, 21211),
        ({"To": WHATSAPP_ADDRESS}, 63031),
        ({"To": SMS_ADDRESS, "From": SMS_ADDRESS}, 21266),
        ({"To": CHLOE}, 21910),
        ({"From": SMS_ADDRESS}, 63007),
        ({"From": "whatsapp:+447700900999"}, 63007),
        ({"To": CHLOE, "From": "+447700900999"}, 21659),
        ({"From": "", "MessagingServiceSid": "MG1"}, 21705),
        ({"MediaUrl": "not a url"}, 21620),
        ({"MediaUrl": ["https://example.com/a.png"] * 11}, 21623),
        ({"ContentSid": "HX1"}, 21655),
        ({"ContentVariables": "{}"}, 21654),
        ({"ContentSid": "HX" + "0" * 32, "ContentVariables": "[]"}, 21656),
        ({"StatusCallback": "/status"}, 21609),
    ],
)
def test_a_bad_request_is_refused_with_its_documented_code(twilio: World, form: dict[str, Any], code: int) -> None:
    answer = requests.post(
        f"{twilio.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        data={"To": AMARA, "From": WHATSAPP_ADDRESS, "Body": "Hello"} | form,
        auth=(ACCOUNT_SID, AUTH_TOKEN),
        timeout=PATIENCE_SECONDS,
    )

    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert set(answer.json()) == {"code", "message", "more_info", "status"}
    assert twilio.messages() == []
    assert [event["code"] for event in twilio.events("refused")] == [code]


def test_a_business_scoped_identity_can_be_written_to(twilio: World) -> None:
    assert twilio.send(to="whatsapp:GB.1234567890123456").sid


def test_the_longest_body_is_accepted(twilio: World) -> None:
    assert len(twilio.send("x" * 1600).body) == 1600


def test_a_template_or_media_can_take_the_place_of_a_body(twilio: World) -> None:
    messages = twilio.client().messages
    content = "HX" + "a" * 32
    template = messages.create(to=AMARA, from_=WHATSAPP_ADDRESS, content_sid=content, content_variables='{"1":"x"}')
    media = ["https://example.com/1.png", "https://example.com/2.png"]
    picture = messages.create(to=CHLOE, from_=SMS_ADDRESS, media_url=media)

    assert content in template.body
    assert (picture.num_media, picture.sid[:2]) == ("2", "MM")


def test_a_messaging_service_finds_the_sender_later(twilio: World) -> None:
    message = twilio.client().messages.create(to=AMARA, messaging_service_sid="MG" + "0" * 32, body="Hello")

    assert (message.status, message.from_) == ("accepted", None)
    eventually(lambda: message.fetch().status == "read")
    assert message.fetch().from_ == WHATSAPP_ADDRESS
    assert [it["status"] for it in twilio.messages()[0]["statuses"]][:3] == ["accepted", "queued", "sent"]


@pytest.mark.parametrize(
    ("body", "segments"),
    [("x" * 160, "1"), ("x" * 161, "2"), ("€" * 80, "1"), ("€" * 81, "2"), ("ж" * 70, "1"), ("ж" * 71, "2")],
)
def test_sms_segments_are_counted_by_alphabet(twilio: World, body: str, segments: str) -> None:
    assert twilio.send(body, CHLOE).num_segments == segments


# --- status callbacks


def statuses(forms: list[dict[str, str]]) -> list[str]:
    return [form["MessageStatus"] for form in forms]


def test_callbacks_come_in_order_signed_and_complete(twilio: World, receiver: Receiver) -> None:
    message = twilio.send(status_callback=f"{receiver.url}/status/abc")
    eventually(lambda: len(receiver.got) == 3)
    sent, delivered, read = receiver.forms("status/abc")

    assert statuses([sent, delivered, read]) == ["sent", "delivered", "read"]
    assert all(it["genuine"] for it in receiver.got)
    assert sent == {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": "sent",
        "SmsStatus": "sent",
        "AccountSid": ACCOUNT_SID,
        "From": WHATSAPP_ADDRESS,
        "To": AMARA,
        "ApiVersion": "2010-04-01",
        "ChannelInstallSid": sent["ChannelInstallSid"],
        "ChannelPrefix": "whatsapp",
        "ChannelToAddress": "+447700900XXX",
        "StructuredMessage": "false",
    }
    assert (delivered["EventType"], read["EventType"]) == ("DELIVERED", "READ")
    assert "ErrorCode" not in read


def test_an_sms_is_delivered_but_never_read(twilio: World, receiver: Receiver) -> None:
    message = twilio.send(to=CHLOE, status_callback=f"{receiver.url}/status")
    eventually(lambda: statuses(receiver.forms("status")) == ["sent", "delivered"])
    time.sleep(5 * SOON)

    assert message.fetch().status == "delivered"
    assert receiver.forms("status")[1]["RawDlrDoneDate"].isdigit()
    assert "ChannelPrefix" not in receiver.forms("status")[1]


def test_callbacks_can_be_lost(twilio: World, receiver: Receiver) -> None:
    twilio.order("lose_callbacks")
    message = twilio.send(status_callback=f"{receiver.url}/status")
    eventually(lambda: message.fetch().status == "read")

    assert receiver.got == []


def test_callbacks_can_be_repeated(twilio: World, receiver: Receiver) -> None:
    twilio.order("repeat_callbacks")
    twilio.send(status_callback=f"{receiver.url}/status")
    eventually(lambda: len(receiver.got) == 6)

    assert statuses(receiver.forms("status")) == ["sent", "sent", "delivered", "delivered", "read", "read"]
    tokens = [it["headers"]["I-Twilio-Idempotency-Token"] for it in receiver.got]
    assert tokens[0] == tokens[1] != tokens[2]


def test_callbacks_can_come_in_the_wrong_order(twilio: World, receiver: Receiver) -> None:
    twilio.order("reorder_callbacks")
    twilio.send(status_callback=f"{receiver.url}/status")
    eventually(lambda: len(receiver.got) == 3)

    assert statuses(receiver.forms("status")) == ["read", "delivered", "sent"]


@pytest.mark.parametrize(
    ("order", "expected", "code"),
    [
        ({}, ["failed"], "63016"),
        ({"code": 63016}, ["failed"], "63016"),
        ({"code": 63024}, ["sent", "undelivered"], "63024"),
        ({"code": 30008}, ["sent", "undelivered"], "30008"),
    ],
)
def test_a_message_can_fail_after_it_was_accepted(
    twilio: World, receiver: Receiver, order: dict[str, int], expected: list[str], code: str
) -> None:
    twilio.order("fail_later", **order)
    message = twilio.send(status_callback=f"{receiver.url}/status")
    eventually(lambda: statuses(receiver.forms("status")) == expected)
    last = receiver.forms("status")[-1]

    assert last["ErrorCode"] == code
    assert last["ChannelStatusMessage"] == last["ErrorMessage"] == message.fetch().error_message
    assert (message.fetch().status, message.fetch().error_code) == (expected[-1], int(code))


# --- faults of the REST API


def test_a_timeout_does_not_accept_the_message(twilio: World) -> None:
    twilio.order("timeout", seconds=30)

    with pytest.raises(requests.ReadTimeout):
        twilio.client(timeout=0.2).messages.create(to=AMARA, from_=WHATSAPP_ADDRESS, body="lost")

    assert twilio.messages() == []
    assert twilio.send().sid, "one order is for one request"


def test_a_message_can_be_accepted_though_the_client_never_hears_it(twilio: World) -> None:
    twilio.order("accept_then_timeout", seconds=30)

    with pytest.raises(requests.ReadTimeout):
        twilio.client(timeout=0.2).messages.create(to=AMARA, from_=WHATSAPP_ADDRESS, body="ambiguous")

    eventually(lambda: twilio.messages()[0]["status"] == "read")
    assert [it.body for it in twilio.client().messages.list(to=AMARA)] == ["ambiguous"]


@pytest.mark.parametrize("kind", ["timeout", "accept_then_timeout"])
def test_the_connection_can_break_instead(twilio: World, kind: str) -> None:
    twilio.order(kind, seconds=0)

    with pytest.raises(requests.ConnectionError):
        twilio.send()


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"kind": "http_500"}, 500, 20500),
        ({"kind": "http_429"}, 429, 20429),
        ({"kind": "refuse"}, 400, 21610),
        ({"kind": "refuse", "code": 63024}, 400, 63024),
    ],
)
def test_ordered_errors_come_as_often_as_ordered(twilio: World, order: dict[str, Any], status: int, code: int) -> None:
    twilio.order(**order, times=2)

    for _ in range(2):
        error = refused(twilio.send)
        assert (error.status, error.code) == (status, code)
    assert twilio.send().sid
    assert len(twilio.messages()) == 1


def test_orders_can_be_listed_and_cancelled(twilio: World) -> None:
    twilio.order("http_500")
    assert [it["kind"] for it in requests.get(f"{twilio.url}/_faults", timeout=5).json()["faults"]] == ["http_500"]

    requests.delete(f"{twilio.url}/_faults", timeout=5)

    assert twilio.send().sid


@pytest.mark.parametrize("order", [{"kind": "earthquake"}, {"kind": "timeout", "times": 0}, {"sort": "timeout"}])
def test_an_order_that_makes_no_sense_is_refused(twilio: World, order: dict[str, Any]) -> None:
    assert twilio.post("/_faults", order).status_code == 400


# --- people


def test_a_whatsapp_message_arrives_as_a_signed_webhook_with_all_its_fields(twilio: World, receiver: Receiver) -> None:
    written = twilio.write("Hello\nthere & “you” 👋")
    (got,) = receiver.got
    form = got["form"]

    assert got["path"] == "whatsapp"
    assert got["genuine"]
    assert len(form) == 17
    assert form["MessageSid"] == form["SmsMessageSid"] == form["SmsSid"] == written["sid"]
    assert (form["From"], form["To"], form["WaId"]) == (AMARA, WHATSAPP_ADDRESS, "447700900101")
    assert (form["Body"], form["MessageType"], form["SmsStatus"]) == (
        "Hello\nthere & “you” 👋",
        "text",
        "received",
    )
    assert form["ProfileName"] == PEOPLE[0].name
    assert json.loads(form["ChannelMetadata"])["data"]["context"]["WaId"] == "447700900101"
    assert form["ExternalUserId"].startswith("whatsapp:GB.")
    assert got["headers"]["User-Agent"] == "TwilioProxy/1.1"
    assert got["headers"]["I-Twilio-Idempotency-Token"]
    assert got["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert written["webhook"]["status"] == 200


def test_an_sms_arrives_with_blank_places(twilio: World, receiver: Receiver) -> None:
    twilio.write("x" * 161, CHLOE)
    (got,) = receiver.got

    assert got["path"] == "sms"
    assert got["genuine"]
    assert (got["form"]["FromCity"], got["form"]["FromCountry"], got["form"]["NumSegments"]) == (
        "",
        "GB",
        "2",
    )
    assert "WaId" not in got["form"]


def test_parameters_can_be_added_changed_and_left_out(twilio: World, receiver: Receiver) -> None:
    media = {"NumMedia": 1, "MediaUrl0": "https://example.com/cv.pdf", "MediaContentType0": "application/pdf"}
    twilio.write("cv.pdf", params={**media, "MessageType": "document", "ExternalUserId": None})
    form = receiver.forms("whatsapp")[0]

    assert (form["NumMedia"], form["MessageType"], form["Body"]) == ("1", "document", "cv.pdf")
    assert "ExternalUserId" not in form
    assert receiver.got[0]["genuine"]
    assert twilio.messages()[0]["media"] == ["https://example.com/cv.pdf"]


def test_a_person_without_a_visible_number_has_no_wa_id(twilio: World, receiver: Receiver) -> None:
    twilio.write(sender="whatsapp:GB.42")
    form = receiver.forms("whatsapp")[0]

    assert form["From"] == form["ExternalUserId"] == "whatsapp:GB.42"
    assert "WaId" not in form


def test_without_waiting_the_webhook_follows_in_the_background(twilio: World, receiver: Receiver) -> None:
    assert twilio.write(wait=False)["webhook"] is None
    eventually(lambda: receiver.got)
    eventually(lambda: twilio.events("webhook"))


def test_a_webhook_can_be_lost_while_the_message_stays_in_the_log(twilio: World, receiver: Receiver) -> None:
    twilio.write("never delivered", deliver=False)

    assert [it.body for it in twilio.client().messages.list(to=WHATSAPP_ADDRESS)] == ["never delivered"]
    assert receiver.got == []


def test_a_repeated_webhook_is_the_same_to_the_letter(twilio: World, receiver: Receiver) -> None:
    sid = twilio.write()["sid"]
    answer = twilio.post(f"/_people/messages/{sid}/repeat").json()
    first, second = receiver.got

    assert answer["webhook"]["status"] == 200
    assert first["form"] == second["form"]
    assert first["headers"]["I-Twilio-Idempotency-Token"] == second["headers"]["I-Twilio-Idempotency-Token"]
    assert len(twilio.messages()) == 1


def test_only_incoming_messages_can_be_repeated(twilio: World) -> None:
    for sid in (twilio.send().sid, "SM" + "0" * 32):
        assert twilio.post(f"/_people/messages/{sid}/repeat").status_code == 404


def test_a_forged_webhook_does_not_verify_and_leaves_no_trace(twilio: World, receiver: Receiver) -> None:
    forged = {"from": AMARA, "to": WHATSAPP_ADDRESS, "body": "trust me"}
    answer = twilio.post("/_people/forged", forged).json()

    assert answer["webhook"]["status"] == 200
    assert [it["genuine"] for it in receiver.got] == [False]
    assert twilio.messages() == []


@pytest.mark.parametrize("wrong", [{"to": "+447700900555"}, {"from": ""}])
def test_a_message_to_or_from_nobody_is_refused(twilio: World, wrong: dict[str, str]) -> None:
    written = {"from": AMARA, "to": WHATSAPP_ADDRESS, "body": "?"} | wrong

    assert twilio.post("/_people/messages", written).status_code == 400


def test_the_exchange_with_a_person_is_in_the_order_of_its_creation(twilio: World) -> None:
    twilio.write("one")
    twilio.send("two")
    twilio.write("elsewhere", CHLOE)
    exchanged = twilio.messages(person=AMARA, own=WHATSAPP_ADDRESS)

    assert [(it["direction"], it["body"]) for it in exchanged] == [
        ("inbound", "one"),
        ("outbound-api", "two"),
    ]
    assert datetime.fromisoformat(exchanged[0]["created_at"]) <= datetime.fromisoformat(exchanged[1]["created_at"])
    assert len(twilio.messages(own=SMS_ADDRESS)) == 1


def test_forgetting_empties_messages_and_events_but_not_their_numbering(twilio: World) -> None:
    twilio.write()
    last = twilio.events()[-1]["id"]

    requests.delete(f"{twilio.url}/_state", timeout=PATIENCE_SECONDS)

    assert twilio.messages() == twilio.events() == []
    twilio.write()
    assert twilio.events()[0]["id"] == last + 1


def test_events_can_be_followed_as_a_stream(twilio: World) -> None:
    twilio.write("before")
    last = twilio.events()[-1]["id"]
    url = f"{twilio.url}/_events/stream?after={last}"
    with requests.get(url, stream=True, timeout=PATIENCE_SECONDS) as stream:
        threading.Timer(0.05, twilio.write, ["after"]).start()
        data = (it.removeprefix("data: ") for it in stream.iter_lines(decode_unicode=True) if it[:5] == "data:")
        event = json.loads(next(data))

    assert (event["id"], event["kind"], event["body"]) == (last + 1, "inbound", "after")


# --- what the application answers to a webhook


def twiml(document: str, mimetype: str = "text/xml") -> Callable[[], Response]:
    return lambda: Response(document, mimetype=mimetype)


@pytest.mark.parametrize(
    ("answer", "replies"),
    [
        (twiml("<Response><Message>Hi &amp; bye</Message></Response>"), ["Hi & bye"]),
        (
            twiml("<Response><Message><Body>One</Body></Message><Message>Two</Message></Response>"),
            ["One", "Two"],
        ),
        (twiml("<Response/>", "application/xml"), []),
        (twiml("Plain", "text/plain"), ["Plain"]),
        (lambda: Response(status=204), []),
    ],
)
def test_twiml_in_the_answer_becomes_messages_to_the_person(
    twilio: World, receiver: Receiver, answer: Callable[[], Response], replies: list[str]
) -> None:
    receiver.answer = answer
    twilio.write()
    sent = [it for it in twilio.messages(person=AMARA) if it["direction"] == "outbound-reply"]

    assert [it["body"] for it in sent] == replies
    assert all((it["from"], it["to"]) == (WHATSAPP_ADDRESS, AMARA) for it in sent)
    assert twilio.events("webhook")[0]["warning"] is None
    eventually(lambda: all(it["status"] == "read" for it in twilio.messages() if it["direction"] != "inbound"))


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        (twiml('{"ok": true}', "application/json"), 12300),
        (twiml("", "application/json"), 12300),
        (twiml("<Response>"), 12100),
        (twiml("<html></html>", "text/html"), 12100),
    ],
)
def test_an_answer_that_is_not_twiml_is_warned_of(
    twilio: World, receiver: Receiver, answer: Callable[[], Response], warning: int
) -> None:
    receiver.answer = answer
    twilio.write()

    assert [event["warning"] for event in twilio.events("webhook")] == [warning]
    assert len(twilio.messages()) == 1


def test_twiml_in_an_error_is_not_acted_on(twilio: World, receiver: Receiver) -> None:
    receiver.answer = lambda: Response("<Response><Message>no</Message></Response>", 403, mimetype="text/xml")

    assert twilio.write()["webhook"]["status"] == 403
    assert len(twilio.messages()) == 1


# --- Twilio's manners when a webhook fails


def failing(times: int, status: int) -> Callable[[], Response]:
    left = iter(range(times))
    return lambda: Response(status=200 if next(left, None) is None else status)


@pytest.mark.parametrize(
    ("fragment", "status", "attempts", "arrives"),
    [
        ("", 503, 1, False),
        ("#rc=3", 503, 1, False),
        ("#rc=3&rp=5xx", 503, 3, True),
        ("#rc=1&rp=5xx", 503, 2, False),
        ("#rc=3&rp=ct,rt,5xx", 503, 3, True),
        ("#rc=3&rp=5xx", 404, 1, False),
        ("#rc=3&rp=4xx", 404, 3, True),
        ("#rc=3&rp=all", 404, 3, True),
        ("#rc=0&rp=all", 503, 1, False),
    ],
)
def test_errors_are_retried_as_the_fragment_says(
    receiver: Receiver, fragment: str, status: int, attempts: int, arrives: bool
) -> None:
    receiver.answer = failing(2, status)
    with world_with_webhook(f"{receiver.url}/whatsapp{fragment}") as url:
        answer = World(url).write()
        events = World(url).events("webhook")

    assert len(receiver.got) == attempts
    assert all(it["genuine"] for it in receiver.got), "the fragment is not signed"
    assert len({it["headers"]["I-Twilio-Idempotency-Token"] for it in receiver.got}) == 1
    assert answer["webhook"]["status"] == (200 if arrives else status)
    assert [event["attempt"] for event in events] == list(range(1, attempts + 1))
    assert events[-1]["error_code"] == (None if arrives else 11200)


@pytest.mark.parametrize(("fragment", "attempts"), [("", 2), ("#rc=0", 1), ("#rc=3&rp=ct", 4), ("#rc=2&rp=5xx", 1)])
def test_a_failed_connect_is_retried_once_unless_the_fragment_says_otherwise(fragment: str, attempts: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        with world_with_webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/whatsapp{fragment}") as url:
            answer = World(url).write()
            events = World(url).events("webhook")

    assert answer["webhook"]["status"] is None
    assert [event["error_code"] for event in events] == [11205] * attempts


@pytest.mark.parametrize(
    ("fragment", "attempts"), [("#rt=100", 1), ("#rt=100&rc=2&rp=rt", 3), ("#rt=150&tt=100&rc=5&rp=rt", 1)]
)
def test_a_slow_answer_ends_after_the_read_timeout(receiver: Receiver, fragment: str, attempts: int) -> None:
    release = threading.Event()

    def late() -> Response:
        release.wait(PATIENCE_SECONDS)
        return Response(status=200)

    receiver.answer = late
    with world_with_webhook(f"{receiver.url}/whatsapp{fragment}") as url:
        answer = World(url).write()
        events = World(url).events("webhook")
    release.set()

    assert answer["webhook"]["status"] is None
    assert [event["error_code"] for event in events] == [11200] * attempts


# --- as a program


def test_the_program_says_when_it_is_ready_and_ends_cleanly() -> None:
    code = "import sys; from local.twilio import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--port", "0", "--app", "http://127.0.0.1:9#rc=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, url = process.stdout.readline().split()[1:]
        port = url.rpartition(":")[2]
        second = subprocess.run([*command[:4], port], capture_output=True, text=True, check=False)
        answered = World(url).messages()
        process.terminate()
        code_of_first, errors = process.wait(PATIENCE_SECONDS), process.stderr and process.stderr.read()

    assert (name, answered, code_of_first, errors) == ("twilio", [], 0, "")
    assert second.returncode == 2
    assert len(second.stderr.splitlines()) == 1
    assert port in second.stderr


def test_a_configuration_file_names_accounts_and_numbers(tmp_path: Any) -> None:
    file = tmp_path / "twilio.json"
    document = {
        "accounts": [{"sid": ACCOUNT_SID, "auth_token": "t", "api_keys": {"SK1": "s"}}],
        "numbers": [{"address": SMS_ADDRESS, "account_sid": ACCOUNT_SID, "webhook_url": "http://a/sms"}],
        "step_seconds": 2,
    }
    file.write_text(json.dumps(document))
    config = Config.from_file(file)

    assert config.account(ACCOUNT_SID).admits("SK1", "s")  # type: ignore[union-attr]
    assert config.number(SMS_ADDRESS).webhook_url == "http://a/sms"  # type: ignore[union-attr]
    assert config.with_app("https://b/api/#rc=3").numbers[0].webhook_url == "https://b/api/sms#rc=3"


# --- what people send beside text


PICTURE = {"content": "iVBORw0KGgo=", "content_type": "image/png"}
ADMITTED = (ACCOUNT_SID, AUTH_TOKEN)


def fetched(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=PATIENCE_SECONDS, **options)


def url_of_file(twilio: World, receiver: Receiver, **content: Any) -> str:
    twilio.write("", **({"files": [PICTURE]} | content))
    return str(receiver.forms("whatsapp")[-1]["MediaUrl0"])


def test_a_file_comes_with_type_and_url_and_lies_behind_a_redirect(twilio: World, receiver: Receiver) -> None:
    url = url_of_file(twilio, receiver)
    form = receiver.forms("whatsapp")[-1]
    assert (form["NumMedia"], form["MediaContentType0"], form["MessageType"]) == ("1", "image/png", "image")
    redirect = fetched(url, auth=ADMITTED, allow_redirects=False)
    assert redirect.status_code == 307
    file = fetched(redirect.headers["Location"])
    assert (file.content, file.headers["Content-Type"]) == (b"\x89PNG\r\n\x1a\n", "image/png")


def test_where_a_file_lies_credentials_are_refused(twilio: World, receiver: Receiver) -> None:
    target = fetched(url_of_file(twilio, receiver), auth=ADMITTED, allow_redirects=False).headers["Location"]
    assert fetched(target, auth=ADMITTED).status_code == 400


@pytest.mark.parametrize("auth", [None, (ACCOUNT_SID, "wrong"), ("AC" + "9" * 32, AUTH_TOKEN)])
def test_a_file_is_handed_out_to_its_account_only(twilio: World, receiver: Receiver, auth: Any) -> None:
    assert fetched(url_of_file(twilio, receiver), auth=auth).status_code == 401


def test_a_file_that_was_deleted_is_gone(twilio: World, receiver: Receiver) -> None:
    url = url_of_file(twilio, receiver)
    assert requests.delete(url, auth=ADMITTED, timeout=PATIENCE_SECONDS).status_code == 204
    assert fetched(url, auth=ADMITTED).status_code == 404


def test_the_sdk_lists_a_messages_files(twilio: World, receiver: Receiver) -> None:
    url_of_file(twilio, receiver)
    sid = receiver.forms("whatsapp")[-1]["MessageSid"]
    [media] = twilio.client().messages(sid).media.list()
    assert (media.content_type, media.parent_sid) == ("image/png", sid)


@pytest.mark.parametrize(
    ("kind", "status"), [("media_gone", 404), ("media_500", 500), ("media_elsewhere", 307), ("media_breaks_off", 307)]
)
def test_a_file_fails_as_it_was_ordered_and_then_comes(
    twilio: World, receiver: Receiver, kind: str, status: int
) -> None:
    url = url_of_file(twilio, receiver)
    twilio.order(kind)
    answer = fetched(url, auth=ADMITTED, allow_redirects=False)
    assert answer.status_code == status
    if kind == "media_elsewhere":
        assert not answer.headers["Location"].startswith(twilio.url)
    if kind == "media_breaks_off":
        with pytest.raises(requests.RequestException):
            fetched(answer.headers["Location"])
    target = fetched(url, auth=ADMITTED, allow_redirects=False).headers["Location"]
    assert fetched(target).content == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"files": [{"says": "Hello"}]}, {"MessageType": "audio", "MediaContentType0": "audio/ogg", "Body": ""}),
        (
            {"files": [{**PICTURE, "content_type": "application/pdf", "name": "cv.pdf"}]},
            {"MessageType": "document", "Body": "cv.pdf"},
        ),
        ({"files": [{**PICTURE, "content_type": "image/webp"}]}, {"MessageType": "sticker"}),
        (
            {"contact": {"name": "Ada", "number": "+447700900155"}},
            {"MessageType": "contacts", "MediaContentType0": "text/vcard"},
        ),
        (
            {"location": {"latitude": 51.5, "longitude": -0.1, "label": "Office"}},
            {"MessageType": "location", "Latitude": "51.5", "Longitude": "-0.1", "Label": "Office", "NumMedia": "0"},
        ),
        ({"button": {"text": "Yes", "payload": "y"}}, {"ButtonText": "Yes", "ButtonPayload": "y", "Body": "Yes"}),
        ({"choice": {"id": "1", "title": "Monday"}}, {"MessageType": "interactive", "ListTitle": "Monday"}),
        (
            {"reaction": {"emoji": "👍", "to": "SM1"}},
            {"MessageType": "reaction", "Body": "👍", "OriginalRepliedMessageSid": "SM1"},
        ),
        ({"reply_to": "SM1"}, {"OriginalRepliedMessageSid": "SM1", "OriginalRepliedMessageSender": WHATSAPP_ADDRESS}),
        ({"forwarded": True}, {"Forwarded": "true"}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_every_kind_of_message_is_told_as_twilio_tells_it(
    twilio: World, receiver: Receiver, content: dict[str, Any], fields: dict[str, str]
) -> None:
    twilio.write("", **content)
    form = receiver.forms("whatsapp")[-1]
    assert {name: form.get(name) for name in fields} == fields
    assert receiver.got[-1]["genuine"]


def test_pictures_by_sms_are_an_mms_and_keep_their_text(twilio: World, receiver: Receiver) -> None:
    twilio.write("two pages", sender=CHLOE, files=[PICTURE, PICTURE])
    form = receiver.forms("sms")[-1]
    assert (form["MessageSid"][:2], form["NumMedia"], form["Body"]) == ("MM", "2", "two pages")
    assert "MessageType" not in form


@pytest.mark.parametrize("file", [{}, {"content": "?", "content_type": "a/b"}, {"content": "aGk="}])
def test_a_file_that_makes_no_sense_is_refused(twilio: World, file: dict[str, str]) -> None:
    written = twilio.post("/_people/messages", {"from": AMARA, "to": WHATSAPP_ADDRESS, "body": "", "files": [file]})
    assert written.status_code == 400
