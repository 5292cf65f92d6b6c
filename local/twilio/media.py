"""The files that people send: kept by the Twilio stand-in, and handed out as Twilio does, behind a redirect."""

import base64
import binascii
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from local import recording
from local.faults import Faults
from local.serving import hang_up, hold
from local.twilio import refusals
from local.twilio.config import Config
from local.twilio.messages import ACCOUNT_PATH, API_VERSION, new_sid, not_authenticated

FAULTS = frozenset({"media_gone", "media_500", "media_hangs", "media_elsewhere", "media_breaks_off"})
HOLD_SECONDS = 60.0
LARGEST = 16_000_000  # bytes; WhatsApp's own limit at Twilio

#: Twilio redirects from its API to a URL on its delivery network that is good for hours and needs no credentials.
#: Source: Twilio, "Protect Media Access with HTTP Basic Authentication".
DELIVERY_PATH = "/_media"


class UnusableFileError(ValueError):
    """What a person's file lacks; the text says what."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a message."""

    sid: str
    account_sid: str
    message_sid: str
    content: bytes
    content_type: str
    name: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def path(self) -> str:
        return f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{self.message_sid}/Media/{self.sid}"

    def as_json(self) -> dict[str, object]:
        """The Media resource. Source: Twilio, Media resource."""
        return {
            "account_sid": self.account_sid,
            "content_type": self.content_type,
            "date_created": format_datetime(self.at),
            "date_updated": format_datetime(self.at),
            "parent_sid": self.message_sid,
            "sid": self.sid,
            "uri": f"{self.path}.json",
        }


@dataclass(frozen=True)
class MediaApi:
    """The routes under `…/Messages/{MessageSid}/Media`, the delivery network's, and a door for the phone."""

    config: Config
    faults: Faults
    files: dict[str, StoredFile] = field(default_factory=dict)  # by sid
    links: dict[str, str] = field(default_factory=dict)  # short-lived names on the delivery network -> sid
    at_hand: threading.RLock = field(default_factory=threading.RLock)

    def routes(self) -> Blueprint:
        routes = Blueprint("media", __name__)
        messages = f"{ACCOUNT_PATH}/Messages/<message_sid>"
        routes.get(f"{messages}/Media.json")(self.list)
        routes.get(f"{messages}/Media/<sid>")(self.fetch)
        routes.delete(f"{messages}/Media/<sid>")(self.delete)
        routes.get(f"{DELIVERY_PATH}/<name>")(self.deliver)
        routes.get("/_people/media/<sid>")(self.show)
        return routes

    def keep(self, account_sid: str, message_sid: str, asked: Mapping[str, Any]) -> StoredFile:
        """Takes a file in: `{"content": base64, "content_type", "name"}`, or `{"says": words}` for a voice note.

        Raises UnusableFileError.
        """
        content, content_type = _content_of(asked)
        name = str(asked.get("name") or "")
        file = StoredFile(new_sid("ME"), account_sid, message_sid, content, content_type, name)
        with self.at_hand:
            self.files[file.sid] = file
        return file

    def forget(self) -> None:
        with self.at_hand:
            self.files.clear()
            self.links.clear()

    def list(self, account_sid: str, message_sid: str) -> ResponseReturnValue:
        if refusal := not_authenticated(self.config, account_sid):
            return refusal
        with self.at_hand:
            found = [it.as_json() for it in self.files.values() if it.message_sid == message_sid]
        return {"media_list": found, "page": 0, "page_size": 50, "start": 0, "end": len(found), "uri": request.path}

    def fetch(self, account_sid: str, message_sid: str, sid: str) -> ResponseReturnValue:
        if refusal := not_authenticated(self.config, account_sid):
            return refusal
        fault = self.faults.take(FAULTS - {"media_breaks_off"})
        kind = fault.kind if fault else ""
        if fault and kind == "media_hangs":
            hold(HOLD_SECONDS if fault.seconds is None else fault.seconds)
            return hang_up()
        if kind == "media_500":
            return refusals.SERVER_ERROR.as_response()
        file = self._file(account_sid, message_sid, sid.removesuffix(".json"))
        if file is None or kind == "media_gone":
            return refusals.not_found(request.path).as_response()
        if sid.endswith(".json"):
            return file.as_json()
        where = "http://media.example.com/x" if kind == "media_elsewhere" else self._link_to(file)
        return Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": where})

    def delete(self, account_sid: str, message_sid: str, sid: str) -> ResponseReturnValue:
        if refusal := not_authenticated(self.config, account_sid):
            return refusal
        file = self._file(account_sid, message_sid, sid.removesuffix(".json"))
        if file is None:
            return refusals.not_found(request.path).as_response()
        with self.at_hand:
            self.files.pop(file.sid, None)
        return "", HTTPStatus.NO_CONTENT

    def deliver(self, name: str) -> ResponseReturnValue:
        """The delivery network: whoever brings credentials along has two ways to authenticate, which it refuses."""
        if request.authorization:
            return Response("Only one auth mechanism allowed", HTTPStatus.BAD_REQUEST, mimetype="text/plain")
        with self.at_hand:
            file = self.files.get(self.links.get(name, ""))
        if file is None:
            return Response("Request has expired", HTTPStatus.FORBIDDEN, mimetype="text/plain")
        if self.faults.take({"media_breaks_off"}):
            half = Response(file.content[: len(file.content) // 2], mimetype=file.content_type)
            half.headers["Content-Length"] = str(len(file.content))
            return half
        return Response(file.content, content_type=file.content_type)

    def show(self, sid: str) -> ResponseReturnValue:
        """For the person's own phone, which has the file anyway."""
        with self.at_hand:
            file = self.files.get(sid)
        if file is None:
            return {"error": "no such file"}, HTTPStatus.NOT_FOUND
        return Response(file.content, content_type=file.content_type)

    def _file(self, account_sid: str, message_sid: str, sid: str) -> StoredFile | None:
        with self.at_hand:
            file = self.files.get(sid)
        belongs = file is not None and (file.account_sid, file.message_sid) == (account_sid, message_sid)
        return file if belongs else None

    def _link_to(self, file: StoredFile) -> str:
        name = secrets.token_urlsafe(24)
        with self.at_hand:
            self.links[name] = file.sid
        return f"{request.host_url}{DELIVERY_PATH.removeprefix('/')}/{name}"


def _content_of(asked: Mapping[str, Any]) -> tuple[bytes, str]:
    if asked.get("says"):
        return recording.voice_note(str(asked["says"])), recording.CONTENT_TYPE
    try:
        content = base64.b64decode(asked.get("content") or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise UnusableFileError("a file's content must be base64") from None
    content_type = str(asked.get("content_type") or "")
    if not content or not content_type:
        raise UnusableFileError("a file needs content and content_type")
    if len(content) > LARGEST:
        raise UnusableFileError(f"a file may have {LARGEST:,} bytes at most")
    return content, content_type
