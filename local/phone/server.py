"""The phone's small web server: the page, its events, and a door to the Twilio stand-in's control API."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from flask import Flask, Response, jsonify, request, send_from_directory

from local.feed import Event, Feed

STATIC = Path(__file__).parent / "static"
HEARTBEAT_SECONDS = 15.0
CONTROL_TIMEOUT_SECONDS = 60.0
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


class Person(Protocol):
    """Somebody who can be chosen on the phone."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> str:
        """E.164, without the channel's prefix."""

    @property
    def channel(self) -> str:
        """`whatsapp` or `sms`."""

    @property
    def conversation(self) -> str:
        """Who answers: `ai`, `human`, or `none` where there is no conversation."""


@dataclass(frozen=True)
class Company:
    """Who the person writes to."""

    name: str
    whatsapp_address: str
    """As Twilio writes it, `whatsapp:+44…`."""
    sms_address: str
    """As Twilio writes it, `+44…`."""
    project_name: str = ""

    def own_address(self, channel: str) -> str:
        """The address that a person on `channel` writes to."""
        return self.whatsapp_address if channel == "whatsapp" else self.sms_address


class ControlFailed(Exception):
    """The Twilio stand-in could not be asked, or did not understand."""


def create_app(feed: Feed, twilio_url: str, people: Sequence[Person], company: Company) -> Flask:
    """The phone as a Flask app.

    `GET /` the page, `GET /events` the feed as server-sent events, `GET /api/people`, `GET /api/messages`,
    `GET /api/media/{sid}`, `POST /api/messages`, `POST /api/repeat` and `POST /api/forged`; the last five ask the
    Twilio stand-in at `twilio_url` and answer what it answers, or 502 with `{"error": …}` when it can't be reached.
    """
    app = Flask(__name__, static_folder=None)
    name = secrets.token_hex(8)
    _page(app)
    _events(app, feed, name)
    _control(app, twilio_url.rstrip("/"))

    @app.get("/api/people")
    def list_people() -> Response:
        return jsonify(_people(people, company))

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def _page(app: Flask) -> None:
    @app.get("/")
    def index() -> Response:
        return send_from_directory(STATIC, "index.html")

    @app.get("/static/<path:name>")
    def static_file(name: str) -> Response:
        return send_from_directory(STATIC, name)


def _events(app: Flask, feed: Feed, feed_name: str) -> None:
    @app.get("/events")
    def events() -> Response:
        return Response(_stream(feed, feed_name, _resume_after(feed)), mimetype="text/event-stream")


def _resume_after(feed: Feed) -> int:
    """The last event the browser has; 0 when it has none, or has them from a feed that is gone."""
    try:
        after = int(request.headers.get("Last-Event-ID") or request.args.get("after") or 0)
    except ValueError:
        return 0
    return after if 0 <= after <= feed.last else 0


def _stream(feed: Feed, feed_name: str, after: int) -> Iterator[str]:
    """First a `hello` with the feed's name (a page that knew another one starts afresh), then event after event."""
    yield f"event: hello\ndata: {json.dumps({'feed': feed_name})}\n\n"
    while not feed.closed:
        events = feed.wait(after, HEARTBEAT_SECONDS)
        if not events:
            yield ": still here\n\n"
        for event in events:
            after = event["id"]
            yield f"id: {after}\ndata: {json.dumps(event)}\n\n"


def _people(people: Sequence[Person], company: Company) -> dict[str, Any]:
    return {
        "now": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "company": {
            "name": company.name,
            "project": company.project_name,
            "own": {channel: company.own_address(channel) for channel in ("whatsapp", "sms")},
        },
        "people": [_person(person) for person in people],
    }


def _person(person: Person) -> dict[str, str]:
    return {
        "name": person.name,
        "number": person.number,
        "channel": person.channel,
        "conversation": person.conversation,
    }


def _control(app: Flask, twilio_url: str) -> None:
    @app.errorhandler(ControlFailed)
    def failed(error: ControlFailed) -> tuple[Response, int]:
        return jsonify({"error": str(error)}), 502

    @app.get("/api/messages")
    def messages() -> Response:
        wanted = {key: request.args[key] for key in ("person", "own") if request.args.get(key)}
        return _forward("GET", f"{twilio_url}/_people/messages?{urlencode(wanted)}")

    @app.get("/api/media/<sid>")
    def file(sid: str) -> Response:
        return _as_file(_forward("GET", f"{twilio_url}/_people/media/{quote(sid)}"))

    @app.post("/api/messages")
    def write() -> Response:
        return _forward("POST", f"{twilio_url}/_people/messages", _body())

    @app.post("/api/forged")
    def forge() -> Response:
        return _forward("POST", f"{twilio_url}/_people/forged", _body())

    @app.post("/api/repeat")
    def repeat() -> tuple[Response, int] | Response:
        sid = _body().get("sid")
        if not isinstance(sid, str) or not sid.isalnum():
            return jsonify({"error": "sid is missing"}), 400
        return _forward("POST", f"{twilio_url}/_people/messages/{quote(sid)}/repeat", {})


def _body() -> Event:
    """The request's JSON object; anything else, and any other content type, is refused by Flask with 415 or 400."""
    body = request.get_json()
    return body if isinstance(body, dict) else {}


def _forward(method: str, url: str, body: Event | None = None) -> Response:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=CONTROL_TIMEOUT_SECONDS) as answer:
            return Response(answer.read(), answer.status, content_type=answer.headers.get("Content-Type"))
    except urllib.error.HTTPError as refusal:
        return _json_response(refusal.read(), refusal.code)
    except OSError as error:
        raise ControlFailed("The Twilio stand-in can't be reached.") from error


def _as_file(response: Response) -> Response:
    """Shown in the page if the page can show it; whatever else it is, a browser saves it and opens nothing."""
    if (response.mimetype or "").partition("/")[0] not in ("image", "audio", "video"):
        response.headers["Content-Disposition"] = "attachment"
    return response


def _json_response(body: bytes, status: int) -> Response:
    return Response(body, status, mimetype="application/json")
