"""The phone's page in a real browser, with a scripted feed and a small fake of the Twilio stand-in's control API."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from local.feed import Feed
from local.phone.server import Company, create_app
from local.recording import voice_note
from local.serving import running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OWN = "whatsapp:+447700900001"
ADA = "whatsapp:+447700900101"

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are needed to see the page"
)


@dataclass(frozen=True)
class Person:
    name: str
    number: str
    channel: str
    conversation: str


PEOPLE = (
    Person("Ada Obi", "+447700900101", "whatsapp", "ai"),
    Person("Ben Frost", "+447700900102", "sms", "ai"),
    Person("Cleo Marsh", "+447700900103", "whatsapp", "human"),
)
COMPANY = Company("Cucumber Recruitment", OWN, "+447700900001", "Clarify CV")


@dataclass
class World:
    """The fake of Twilio and the script of the feed: each method is one thing that happens."""

    feed: Feed = field(default_factory=Feed)
    messages: list[dict[str, Any]] = field(default_factory=list)
    webhook_status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def written(self, body: str, person: str = ADA) -> str:
        sid = f"SM{len(self.messages) + 1:032x}"
        own = OWN if person.startswith("whatsapp:") else OWN.removeprefix("whatsapp:")
        self._add(sid, "inbound", person, own, body, "received")
        self.twilio("inbound", sid=sid, **{"from": person, "to": own})
        return sid

    def taken(self, sid: str, number: int, delay: int = 6) -> None:
        self.app("message_recorded", message_id=sid, number=number)
        self.app("turn_woken", message_id=sid, queue="whatsapp-replies", delay_seconds=delay)
        self.twilio("webhook", sid=sid, status=self.webhook_status, milliseconds=31)

    def thought(self, sids: list[str], first: int, last: int) -> None:
        self.app("turn_started", message_ids=sids, first=first, last=last)

    def committed(self) -> None:
        self.app(
            "turn_committed",
            milliseconds=812,
            input_tokens=640,
            output_tokens=48,
            parts=1,
            model="gpt-6-luna",
        )

    def answered(self, body: str, person: str = ADA) -> str:
        sid = f"SM{len(self.messages) + 1:032x}"
        self._add(sid, "outbound-api", OWN, person, body, "queued")
        self.app("answer_claimed", attempt=1)
        self.twilio("accepted", sid=sid, **{"from": OWN, "to": person})
        self.app("part_posted", provider_id=sid, part=1)
        self.app("answer_sent", provider_ids=[sid])
        return sid

    def status(self, sid: str, status: str) -> None:
        next(message for message in self.messages if message["sid"] == sid)["status"] = status
        self.twilio("status", sid=sid, status=status)
        self.twilio("callback", sid=sid, message_status=status, status=204, milliseconds=9)
        self.app("status_received", provider_id=sid, status=status, advanced=True)

    def app(self, action: str, **facts: Any) -> None:
        self._happen({"source": "app", "action": action, "conversation": "c0ffee00c0ffee00", **facts})

    def twilio(self, kind: str, **facts: Any) -> None:
        self._happen({"source": "twilio", "kind": kind, **facts})

    def _happen(self, event: dict[str, Any]) -> None:
        """Ten milliseconds after the event before it, by the clocks of those who tell of it."""
        moment = self.began + timedelta(milliseconds=10 * self.feed.last)
        self.feed.publish({"at": moment.isoformat(timespec="milliseconds"), **event})

    def sent(self, person: str = ADA, **content: Any) -> str:
        """A person sends something beside text; `content` is what the page asked for."""
        sid = self.written(content.get("body") or "", person)
        self.messages[-1] |= {"params": _params_of(content), "media": _media_of(content)}
        self.asked.append(content)
        return sid

    def _add(self, sid: str, direction: str, sender: str, to: str, body: str, status: str) -> None:
        self.messages.append(
            {
                "sid": sid,
                "direction": direction,
                "from": sender,
                "to": to,
                "body": body,
                "status": status,
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "statuses": [],
                "error_code": None,
            }
        )

    def control_api(self) -> Flask:
        app = Flask(__name__)

        @app.get("/_people/messages")
        def messages() -> ResponseReturnValue:
            person = request.args["person"]
            return jsonify(messages=[m for m in self.messages if person in (m["from"], m["to"])])

        @app.post("/_people/messages")
        def write() -> ResponseReturnValue:
            body = request.get_json()
            return jsonify(sid=self.sent(body["from"], **body), webhook=None), 201

        @app.get("/_people/media/<sid>")
        def media(sid: str) -> ResponseReturnValue:
            content, content_type = FILES[sid]
            return Response(content, content_type=content_type)

        @app.post("/_people/messages/<sid>/repeat")
        def repeat(sid: str) -> ResponseReturnValue:
            self.app("message_duplicate", message_id=sid)
            self.twilio("webhook", sid=sid, status=200, milliseconds=12)
            return jsonify(webhook={"status": 200, "body": "", "milliseconds": 12})

        @app.post("/_people/forged")
        def forged() -> ResponseReturnValue:
            self._happen({"source": "app", "action": "webhook_rejected", "reason": "bad_signature"})
            return jsonify(webhook={"status": 403, "body": "", "milliseconds": 4})

        return app


def _params_of(content: dict[str, Any]) -> dict[str, str]:
    """The form fields that Twilio would send."""
    kinds = {"audio/ogg": "audio", "image/png": "image"}
    types = [_type_of(file) for file in content.get("files", [])]
    params = {f"MediaContentType{at}": each for at, each in enumerate(types)}
    if types:
        params["MessageType"] = kinds.get(types[0], "document")
    if place := content.get("location"):
        params |= {"Latitude": str(place["latitude"]), "Longitude": "0", "Label": place["label"]}
    if reaction := content.get("reaction"):
        params |= {"MessageType": "reaction", "OriginalRepliedMessageSid": reaction["to"]}
    if "reply_to" in content:
        params["OriginalRepliedMessageSid"] = content["reply_to"]
    if button := content.get("button"):
        params["ButtonPayload"] = button["payload"]
    return params


def _type_of(file: dict[str, str]) -> str:
    return file.get("content_type", "audio/ogg")


def _media_of(content: dict[str, Any]) -> list[str]:
    ids = {content_type: sid for sid, (_, content_type) in FILES.items()}
    return [f"https://api.twilio.com/x/Media/{ids[_type_of(file)]}" for file in content.get("files", [])]


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
FILES = {
    f"ME{1:032x}": (voice_note("Hello"), "audio/ogg"),
    f"ME{2:032x}": (PNG, "image/png"),
    f"ME{3:032x}": (b"<script>alert(1)</script>", "text/html"),
}


class Page:
    """The page as a person sees it."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, width: int = 1440, height: int = 900, person: str = "") -> "Page":
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get(f"{self.url}/#{person}")
        self.until(lambda: self.one("#link").text == "live")
        return self

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all that match, read in one go, as the page is alive."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        found: list[str] = self.driver.execute_script(script, selector)
        return found

    def until(self, true: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 10, poll_frequency=0.05).until(lambda _: true())

    def write(self, text: str) -> None:
        """Write and send; returns when the message's bubble is there."""
        before = len(self.bubbles())
        self.type(text)
        self.until(lambda: len(self.bubbles()) > before)

    def type(self, text: str) -> None:
        self.one("#text").send_keys(text, Keys.ENTER)

    def bubbles(self) -> list[str]:
        return self.texts(".bubble .text")

    def stages(self) -> list[str]:
        return self.texts(".card .name")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    browser = Chrome(options=_options(tmp_path_factory.mktemp("browser")), service=ChromeService(DRIVER))
    yield browser
    browser.quit()


def _options(profile: Path) -> ChromeOptions:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-proxy-server",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    return options


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def page(driver: Chrome, world: World) -> Iterator[Page]:
    """The page; afterwards it must have complained of nothing and asked nobody but its own server."""
    with running(world.control_api()) as twilio_url, running(_phone(world.feed, twilio_url)) as url:
        _logs(driver, "browser"), _logs(driver, "performance")
        yield Page(driver, url)
        driver.get("about:blank")
        complaints, hosts = _logs(driver, "browser"), _hosts(driver)
        world.feed.close()
    assert [entry["message"] for entry in complaints] == []
    assert hosts <= {urlsplit(url).netloc}


def _phone(feed: Feed, twilio_url: str) -> Flask:
    return create_app(feed, twilio_url, PEOPLE, COMPANY)


def _logs(driver: Chrome, kind: str) -> list[dict[str, Any]]:
    return driver.get_log(kind)  # type: ignore[no-any-return, no-untyped-call]


def _hosts(driver: Chrome) -> set[str]:
    """Every host that was asked for anything since the last look."""
    messages = [json.loads(entry["message"])["message"] for entry in _logs(driver, "performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {urlsplit(url).netloc for url in asked if urlsplit(url).scheme.startswith("http")}


def test_writing_a_message_shows_a_bubble_and_empties_the_field(page: Page, world: World) -> None:
    page.open().write("Is it still on Thursday?")
    page.until(lambda: page.bubbles() == ["Is it still on Thursday?"])
    assert page.one("#text").get_attribute("value") == ""
    assert [message["from"] for message in world.messages] == [ADA]


def test_ones_own_message_gets_its_tick_when_the_webhook_was_answered(page: Page, world: World) -> None:
    page.open().write("Hello")
    assert page.all(".mine .tick.clock")
    world.taken(world.messages[0]["sid"], number=1)
    page.until(lambda: page.all(".mine .tick.sent"))


def test_a_webhook_that_failed_is_shown_as_not_taken(page: Page, world: World) -> None:
    page.open().write("Hello")
    world.twilio("webhook", sid=world.messages[0]["sid"], status=500, milliseconds=9)
    page.until(lambda: page.all(".mine .tick.failed"))
    assert page.texts(".mine .word") == ["not taken (500)"]
    assert page.texts(".pill") == ["not taken"]


def test_the_status_of_an_answer_turns_its_ticks(page: Page, world: World) -> None:
    page.open()
    sid = world.written("Hello")
    world.taken(sid, number=1)
    world.thought([sid], 1, 1)
    world.committed()
    answer = world.answered("Hello Ada")
    for status in ("sent", "delivered", "read"):
        world.status(answer, status)
        page.until(partial(page.all, f".theirs .tick.{status}"))
        assert page.texts(".theirs .word") == [status]


def test_the_company_is_typing_from_the_turn_until_the_answer(page: Page, world: World) -> None:
    page.open()
    sid = world.written("Hello")
    world.taken(sid, number=1)
    assert not page.one("#typing").is_displayed()
    world.thought([sid], 1, 1)
    page.until(lambda: page.one("#typing").is_displayed())
    assert page.one("#typing").text == "Cucumber Recruitment is typing…"
    world.committed()
    world.answered("Hello Ada")
    page.until(lambda: not page.one("#typing").is_displayed())
    assert page.bubbles() == ["Hello", "Hello Ada"]


def test_typing_ends_when_a_person_takes_over(page: Page, world: World) -> None:
    page.open()
    sid = world.written("I want to talk to somebody")
    world.taken(sid, number=1)
    world.thought([sid], 1, 1)
    page.until(lambda: page.one("#typing").is_displayed())
    world.app("handed_off", reason="asked_for_a_person")
    page.until(lambda: not page.one("#typing").is_displayed())
    assert page.texts(".pill") == ["with a human"]


def test_the_stages_appear_in_order_with_ids_and_milliseconds(page: Page, world: World) -> None:
    page.open()
    sid = world.written("Hello")
    world.taken(sid, number=1)
    world.thought([sid], 1, 1)
    world.committed()
    answer = world.answered("Hello Ada")
    for status in ("sent", "delivered", "read"):
        world.status(answer, status)
    page.until(lambda: "Read" in page.stages())
    assert page.stages() == [
        "Webhook", "Recorded", "Waiting", "Turn", "Committed", "Claimed", "Posted", "Sent", "Delivered", "Read",
    ]  # fmt: skip
    assert page.one(".row[data-stage=webhook] .id").get_attribute("title") == sid
    assert page.one(".row[data-stage=posted] .id").get_attribute("title") == answer
    assert page.texts(".row .ms")[:3] == ["+0 ms", "+10 ms", "+20 ms"]
    assert page.texts(".pill") == ["read"]


def test_what_arrives_out_of_order_is_told_in_the_order_in_which_it_happened(page: Page, world: World) -> None:
    page.open()
    sid = world.written("Hello")
    happened = world.began + timedelta(milliseconds=25)
    world.feed.publish({"at": _iso(happened + timedelta(milliseconds=5)), **_app("turn_woken", sid)})
    world.feed.publish({"at": _iso(happened), **_app("message_recorded", sid)})
    page.until(lambda: page.stages() == ["Webhook", "Recorded", "Waiting"])


def _app(action: str, sid: str) -> dict[str, Any]:
    return {
        "source": "app",
        "action": action,
        "conversation": "c",
        "message_id": sid,
        "number": 1,
        "delay_seconds": 6,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def test_a_burst_is_one_card_with_a_countdown_that_starts_again(page: Page, world: World) -> None:
    page.open()
    for number in (1, 2, 3):
        world.taken(world.written(f"part {number}"), number=number, delay=60)
    page.until(lambda: page.texts(".card h3") == ["Messages 1 to 3"])
    assert page.stages().count("Waiting") == 1
    (first,) = page.texts(".left")
    page.until(lambda: page.texts(".left") != [first])
    assert page.texts(".left")[0].endswith(" s")


def test_a_message_that_came_while_an_answer_was_committed_waits_in_a_card_of_its_own(page: Page, world: World) -> None:
    page.open()
    one = world.written("one")
    world.taken(one, number=1)
    world.thought([one], 1, 1)
    world.taken(world.written("two"), number=2)
    world.committed()
    page.until(lambda: page.texts(".card h3") == ["Message 2", "Message 1"])
    assert page.texts(".pill") == ["waiting", "answer ready"]


def test_sending_the_same_webhook_again_shows_a_duplicate(page: Page, world: World) -> None:
    page.open().write("Hello")
    page.until(lambda: page.bubbles() == ["Hello"])
    world.taken(world.messages[0]["sid"], number=1)
    page.one("#repeat").click()
    page.until(lambda: "Duplicate" in page.stages())
    assert page.bubbles() == ["Hello"]
    assert "answered 200" in page.one("#toast").text


def test_a_forged_webhook_is_shown_as_refused_and_leaves_no_bubble(page: Page) -> None:
    page.open().one("#forged").click()
    page.until(lambda: page.texts(".pill") == ["refused"])
    assert page.bubbles() == []
    assert "answered 403" in page.one("#toast").text


def test_the_burst_button_writes_three_messages(page: Page, world: World) -> None:
    page.open().one("#burst").click()
    page.until(lambda: len(page.bubbles()) == 3)
    assert len(world.messages) == 3


def test_markup_in_a_message_is_only_text(page: Page) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    page.open().write(hostile)
    page.until(lambda: page.bubbles() == [hostile])
    assert page.all(".bubble script, .bubble img") == []
    assert page.driver.title == "Phone · Cucumber Recruitment"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold* _italic_ ~gone~ `x*y*z`", ["STRONG:bold", "EM:italic", "S:gone", "CODE:x*y*z"]),
        ("*bold and _both_*", ["STRONG:bold and both", "EM:both"]),
        ("```*not* bold```", ["PRE:*not* bold"]),
        ("> so _you_ said\n> that\nI did", ["BLOCKQUOTE:so you said\nthat", "EM:you"]),
        ("these:\n- *one*\n- two", ["UL:onetwo", "LI:one", "STRONG:one", "LI:two"]),
        ("3. three\n4. four", ["OL:threefour", "LI:three", "LI:four"]),
        ("a - b, -c, 1.5 > 1", []),
        ("2*3*4, snake_case_name, a * b * c", []),
        ("see https://example.com/a_b_c.", ["A:https://example.com/a_b_c"]),
        ("javascript:alert(1)", []),
    ],
)
def test_whatsapp_formatting_is_shown(page: Page, world: World, text: str, shown: list[str]) -> None:
    world.written(text)
    page.open()
    page.until(lambda: page.bubbles())
    assert (
        page.driver.execute_script(
            "return [...document.querySelectorAll('.text *')].map((e) => `${e.tagName}:${e.textContent}`)"
        )
        == shown
    )


def test_formatting_is_plain_text_in_an_sms(page: Page, world: World) -> None:
    world.written("*plain*", "+447700900102")
    page.open(person="%2B447700900102")
    page.until(lambda: page.bubbles() == ["*plain*"])
    assert page.all(".text strong") == []


def test_any_number_can_write_as_an_unknown_sender(page: Page, world: World) -> None:
    page.open().one("#stranger summary").click()
    page.one("#stranger-number").send_keys("+44 7700 900999", Keys.ENTER)
    page.write("Who are you?")
    page.until(lambda: page.bubbles() == ["Who are you?"])
    assert world.messages[0]["from"] == "whatsapp:+447700900999"
    world.app("unknown_sender", message_id=world.messages[0]["sid"], conversation=None)
    world.app("fallback_sent", message_id=world.messages[0]["sid"], conversation=None)
    page.until(lambda: page.texts(".pill") == ["fallback"])


def test_a_reload_shows_the_same_again(page: Page, world: World) -> None:
    page.open().write("Hello")
    world.taken(world.messages[0]["sid"], number=1)
    page.until(lambda: page.stages() == ["Webhook", "Recorded", "Waiting"])
    page.driver.refresh()
    page.until(lambda: page.stages() == ["Webhook", "Recorded", "Waiting"])
    assert page.bubbles() == ["Hello"]


def test_another_persons_messages_stay_in_their_own_chat(page: Page, world: World) -> None:
    world.taken(world.written("from Cleo", "whatsapp:+447700900103"), number=1)
    page.open()
    page.until(lambda: page.texts(".person b") == ["Ada Obi", "Ben Frost", "Cleo Marsh"])
    assert page.bubbles() == []
    assert page.stages() == []


def test_a_narrow_window_shows_one_thing_at_a_time_without_sideways_scrolling(page: Page, world: World) -> None:
    page.open(width=390, height=800).write("Hello")
    world.taken(world.messages[0]["sid"], number=1)
    page.until(lambda: page.bubbles() == ["Hello"])
    send, device = page.one("#send").rect, page.one("#device").rect
    assert send["x"] + send["width"] < device["x"] + device["width"] <= 390
    assert not page.one("#journey").is_displayed()
    page.one("#tab-journey").click()
    page.until(lambda: page.one(".card").is_displayed())
    assert not page.one("#phone").is_displayed()
    width = page.driver.execute_script("return document.documentElement.scrollWidth")
    assert width == 390


def test_the_keyboard_alone_is_enough(page: Page, world: World) -> None:
    page.open()
    page.one("#person-0").send_keys(Keys.ARROW_DOWN)
    page.until(lambda: page.one("#contact-channel").text == "SMS")
    page.one("#text").send_keys("line one", Keys.SHIFT, Keys.ENTER, Keys.SHIFT, "line two", Keys.ENTER)
    page.until(lambda: page.bubbles() == ["line one\nline two"])
    assert world.messages[0]["from"] == "+447700900102"


def test_every_control_has_a_name(page: Page) -> None:
    page.open()
    nameless = [
        control.get_attribute("outerHTML")
        for control in page.all("button, input, select, textarea, summary")
        if control.is_displayed() and not control.accessible_name
    ]
    assert nameless == []


def test_a_stand_in_that_is_gone_is_said_and_the_text_is_kept(driver: Chrome) -> None:
    feed = Feed()
    with running(_phone(feed, "http://127.0.0.1:9")) as url:
        page = Page(driver, url).open()
        page.type("Hello")
        page.until(lambda: "can't be reached" in page.one("#toast").text)
        assert page.one("#text").get_attribute("value") == "Hello"
        driver.get("about:blank")
        feed.close()


# --- what is not text


def attach(page: Page, what: str) -> None:
    before = len(page.all(".bubble"))
    page.one("#plus").click()
    page.one(f"#attach-{what}").click()
    page.until(lambda: len(page.all(".bubble")) > before)


def test_a_voice_note_says_what_is_written_and_can_be_played(page: Page, world: World) -> None:
    page.open().one("#text").send_keys("I am late")
    attach(page, "voice")
    assert world.asked[0]["files"] == [{"says": "I am late"}]
    audio = page.one(".bubble audio")
    page.until(lambda: page.driver.execute_script("return arguments[0].duration > 0", audio))
    assert page.one("#text").get_attribute("value") == ""
    assert not page.one("#attach").is_displayed()


def test_a_file_is_sent_with_its_caption_and_a_picture_is_shown(page: Page, world: World, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    page.open().one("#text").send_keys("my certificate")
    page.one("#file").send_keys(str(picture))
    image = page.until(lambda: page.one(".bubble img"))
    page.until(lambda: page.driver.execute_script("return arguments[0].complete", image))
    [sent] = world.asked
    assert (sent["body"], sent["files"][0]["content_type"]) == ("my certificate", "image/png")
    assert base64.b64decode(sent["files"][0]["content"]) == PNG


def test_what_a_browser_would_run_is_only_ever_saved(page: Page, world: World) -> None:
    page.open()
    world.sent(files=[{"content_type": "text/html"}], body="page.html")
    page.until(lambda: [text for text in page.texts(".bubble .files a") if text.endswith("page.html")])
    link = page.one(".bubble .files a")
    assert link.get_attribute("download") == "page.html"
    answer = requests.get(str(link.get_attribute("href")), timeout=5)
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("what", "shown"), [("location", ".place"), ("button", ".note")])
def test_places_and_buttons_are_sent_and_shown(page: Page, world: World, what: str, shown: str) -> None:
    attach(page.open(), what)
    assert what in world.asked[0]
    assert page.texts(f".bubble {shown}")


def test_a_contact_is_sent(page: Page, world: World) -> None:
    attach(page.open(), "contact")
    assert world.asked[0]["contact"]["number"].startswith("+447700900")


def test_a_reply_quotes_the_companys_message(page: Page, world: World) -> None:
    page.open()
    answer = world.answered("Which day?")
    page.until(lambda: page.all(".theirs .reply"))
    page.driver.execute_script("document.querySelector('.theirs .reply').click()")
    assert page.one("#replying-text").text == "Which day?"
    page.write("Monday")
    assert world.asked[-1]["reply_to"] == answer
    page.until(lambda: page.texts(".mine .quote") == ["Which day?"])
    assert not page.one("#replying").is_displayed()
    page.write("or Tuesday")
    assert "reply_to" not in world.asked[-1]


def test_a_reaction_sits_on_the_message_and_is_no_bubble(page: Page, world: World) -> None:
    page.open()
    answer = world.answered("See you on Monday")
    page.until(lambda: page.all(".theirs .react"))
    page.driver.execute_script("document.querySelector('.theirs .react').click()")
    page.until(lambda: world.asked)
    assert world.asked[0]["reaction"] == {"emoji": "\N{THUMBS UP SIGN}", "to": answer}
    world.messages[-1]["body"] = "\N{THUMBS UP SIGN}"
    world.app("reaction_kept", message_id=world.messages[-1]["sid"])
    page.until(lambda: page.texts(".theirs .reactions") == ["\N{THUMBS UP SIGN}"])
    assert page.bubbles() == ["See you on Monday"]


def test_the_journey_tells_of_files(page: Page, world: World) -> None:
    page.open()
    sid = world.sent(files=[{"says": "Hello"}])
    world.taken(sid, number=1)
    world.app("media_collected", message_id=sid, files=1, kept=1, refused=0, in_words=1)
    page.until(lambda: "Files" in page.stages())
    assert "1 file kept · 1 in words" in page.texts(".card .detail")


def test_by_sms_only_files_can_be_sent(page: Page) -> None:
    page.open(person="%2B447700900102").one("#plus").click()
    assert page.one("#attach-file").is_displayed()
    assert not page.one("#attach-voice").is_displayed()
