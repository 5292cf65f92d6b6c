"""Why Twilio refuses to create a message: its documented error codes, in the order in which it looks."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response
from werkzeug.datastructures import MultiDict

from local.twilio.config import Config, channel_of

LONGEST_BODY = 1600  # characters, on every channel; source: Twilio, errors 21617 and 21658
LONGEST_ADDRESS = 140
MOST_MEDIA = 10

_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_BUSINESS_SCOPED_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
_SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT_SID = re.compile(r"HX[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class Refusal:
    """An error of Twilio's REST API, as its clients see it."""

    code: int
    message: str
    status: int = HTTPStatus.BAD_REQUEST

    def as_response(self) -> Response:
        document = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": int(self.status),
        }
        return Response(json.dumps(document), int(self.status), mimetype="application/json")


NOT_AUTHENTICATED = Refusal(20003, "Authenticate", HTTPStatus.UNAUTHORIZED)
TOO_MANY_REQUESTS = Refusal(20429, "Too Many Requests", HTTPStatus.TOO_MANY_REQUESTS)
SERVER_ERROR = Refusal(20500, "An internal server error has occurred", HTTPStatus.INTERNAL_SERVER_ERROR)

_SAID = {
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    63016: "Failed to send freeform message because you are outside the allowed window",
}


def ordered(code: int) -> Refusal:
    """The refusal that a fault asked for."""
    return Refusal(code, _SAID.get(code, f"The message was refused with error {code}"))


def not_found(path: str) -> Refusal:
    return Refusal(20404, f"The requested resource {path} was not found", HTTPStatus.NOT_FOUND)


def refusal_of(form: MultiDict[str, str], account_sid: str, config: Config) -> Refusal | None:
    """The first thing that is wrong with this request for a new message; None when Twilio would accept it."""
    return (
        _missing(form)
        or _bad_recipient(form["To"])
        or _bad_sender(form, account_sid, config)
        or _bad_pair(form.get("From", ""), form["To"])
        or _bad_content(form)
        or _bad_callback(form.get("StatusCallback", ""))
    )


def _missing(form: MultiDict[str, str]) -> Refusal | None:
    if not form.get("To"):
        return Refusal(21604, "A 'To' phone number is required.")
    if not (form.get("From") or form.get("MessagingServiceSid")):
        return Refusal(21603, "A 'From' phone number is required.")
    if form.get("ContentVariables") and not form.get("ContentSid"):
        return Refusal(21654, "ContentSid Required")
    if not any(form.get(name) for name in ("Body", "MediaUrl", "ContentSid")):
        return Refusal(21602, "Message body is required.")
    return None


def _bad_recipient(recipient: str) -> Refusal | None:
    channel, _, rest = recipient.rpartition(":")
    is_number = channel in ("", "whatsapp") and _NUMBER.fullmatch(rest)
    is_scoped_id = channel == "whatsapp" and _BUSINESS_SCOPED_ID.fullmatch(rest)
    if (is_number or is_scoped_id) and len(recipient) <= LONGEST_ADDRESS:
        return None
    return Refusal(21211, f"Invalid 'To' Phone Number: {recipient}")


def _bad_sender(form: MultiDict[str, str], account_sid: str, config: Config) -> Refusal | None:
    sender, recipient = form.get("From"), form["To"]
    if not sender:
        return _bad_service(form["MessagingServiceSid"], account_sid, recipient, config)
    number = config.number(sender)
    if number and number.account_sid == account_sid:
        return None
    if "whatsapp" in (channel_of(sender), channel_of(recipient)):
        return Refusal(63007, "Twilio could not find a Channel with the specified From address")
    return Refusal(21659, f"'From' {sender} is not a Twilio phone number or Short Code country mismatch")


def _bad_service(sid: str, account_sid: str, recipient: str, config: Config) -> Refusal | None:
    if not _SERVICE_SID.fullmatch(sid):
        return Refusal(21705, "The Messaging Service Sid is invalid.")
    if not config.sender_for(account_sid, recipient):
        return Refusal(21703, "The Messaging Service does not have a phone number available to send a message.")
    return None


def _bad_pair(sender: str, recipient: str) -> Refusal | None:
    if not sender:
        return None
    if channel_of(sender) != channel_of(recipient):
        return _wrong_channel(sender)
    if sender == recipient and channel_of(sender) == "sms":
        return Refusal(21266, "'To' and 'From' numbers cannot be the same")
    if sender == recipient:
        return Refusal(63031, "Channels message cannot have same 'From' and 'To'")
    return None


def _wrong_channel(sender: str) -> Refusal:
    if channel_of(sender) == "sms":
        return Refusal(63007, "Twilio could not find a Channel with the specified From address")
    return Refusal(21910, "Invalid 'From' and 'To' pair. 'From' and 'To' should be of the same channel")


def _bad_content(form: MultiDict[str, str]) -> Refusal | None:
    if len(form.get("Body", "")) > LONGEST_BODY:
        return Refusal(21617, "The concatenated message body exceeds the 1600 character limit")
    if len(form.getlist("MediaUrl")) > MOST_MEDIA:
        return Refusal(21623, "Number of media files exceeds allowed limit")
    if not all(_is_web_address(url) for url in form.getlist("MediaUrl")):
        return Refusal(21620, "Invalid media URL(s)")
    if form.get("ContentSid") and not _CONTENT_SID.fullmatch(form["ContentSid"]):
        return Refusal(21655, "The ContentSid is Invalid")
    return _bad_variables(form.get("ContentVariables", ""))


def _bad_variables(text: str) -> Refusal | None:
    try:
        is_object = not text or isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    return None if is_object else Refusal(21656, "The ContentVariables Parameter is Invalid")


def _bad_callback(url: str) -> Refusal | None:
    if url and not _is_web_address(url):
        return Refusal(21609, f"The 'StatusCallback' URL {url} is not a valid URL.")
    return None


def _is_web_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)
