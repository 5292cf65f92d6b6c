"""The webhook of an incoming message: its parameters, and what the TwiML in the answer asks for."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from local.twilio.config import channel_of
from local.twilio.media import StoredFile
from local.twilio.segments import segments_of
from local.twilio.webhooks import BROKEN_TWIML, NOT_TWIML, Answer, Form

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})
_COUNTRIES = {"+44": "GB", "+1": "US", "+353": "IE"}


@dataclass(frozen=True)
class Instructions:
    """What the application's answer asks Twilio to do: texts to send back, or a warning in its debugger."""

    replies: tuple[str, ...] = ()
    warning: int | None = None


def webhook_form(*, sid: str, account_sid: str, sender: str, recipient: str, body: str, profile_name: str) -> Form:
    """The form fields of a text message; blank values are present, as Twilio sends them."""
    common = {
        "MessageSid": sid,
        "SmsMessageSid": sid,
        "SmsSid": sid,
        "SmsStatus": "received",
        "AccountSid": account_sid,
        "From": sender,
        "To": recipient,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": str(segments_of(body, recipient)),
        "ApiVersion": "2010-04-01",
    }
    if channel_of(recipient) == "whatsapp":
        return common | _whatsapp_fields(sender, profile_name)
    return common | _places("From", sender) | _places("To", recipient)


def fields_of_files(files: Sequence[StoredFile], host_url: str, recipient: str) -> Form:
    """How a webhook tells of files; the text of a document on WhatsApp is its name."""
    if not files:
        return {}
    form = {"NumMedia": str(len(files))}
    for at, file in enumerate(files):
        form[f"MediaUrl{at}"] = f"{host_url.rstrip('/')}{file.path}"
        form[f"MediaContentType{at}"] = file.content_type
    if channel_of(recipient) == "whatsapp":
        form["MessageType"] = _message_type(files[0])
        if form["MessageType"] == "document":
            form["Body"] = files[0].name
    return form


def _message_type(file: StoredFile) -> str:
    """WhatsApp's word for a file; a webp picture is a sticker there."""
    if file.content_type == "image/webp":
        return "sticker"
    if "vcard" in file.content_type:
        return "contacts"
    kind = file.content_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def fields_of_extras(asked: Mapping[str, Any], recipient: str) -> Form:
    """What a WhatsApp message may be beside text: `location`, `button`, `choice`, `reaction`, `reply_to`, `forwarded`.

    Source: Twilio, "Twilio's request to your incoming message webhook".
    """
    form: dict[str, object] = {}
    if place := asked.get("location"):
        names = ("latitude", "longitude", "label", "address")
        form |= {"MessageType": "location"} | {name.capitalize(): place[name] for name in names if place.get(name)}
    if button := asked.get("button"):
        form |= {"MessageType": "button", "Body": button["text"], "ButtonText": button["text"]}
        form |= {"ButtonPayload": button.get("payload") or button["text"]}
    if choice := asked.get("choice"):
        form |= {"MessageType": "interactive", "ListId": choice["id"], "ListTitle": choice["title"]}
    if reaction := asked.get("reaction"):
        form |= {"MessageType": "reaction", "Body": reaction.get("emoji", "")}
        form |= _replied(reaction["to"], recipient)
    if replied_to := asked.get("reply_to"):
        form |= _replied(replied_to, recipient)
    if asked.get("forwarded"):
        form["Forwarded"] = "true"
    return {name: str(value) for name, value in form.items()}


def _replied(sid: str, recipient: str) -> Form:
    return {"OriginalRepliedMessageSid": sid, "OriginalRepliedMessageSender": recipient}


def contact_card(contact: Mapping[str, str]) -> str:
    """A contact as WhatsApp sends it: `name` and `number` in a vCard, in base64."""
    digits = contact["number"].removeprefix("+")
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:;{contact['name']};;;",
        f"FN:{contact['name']}",
        f"item1.TEL;waid={digits}:{contact['number']}",
        "item1.X-ABLabel:Mobile",
        "END:VCARD",
        "",
    )
    return base64.b64encode("\r\n".join(lines).encode()).decode()


def instructions_in(answer: Answer) -> Instructions:
    """Reads the answer to a webhook; XML is TwiML, plain text is a reply, anything else is warned of."""
    mimetype = answer.content_type.partition(";")[0].strip().lower()
    if not answer.body.strip() and mimetype in _TWIML_TYPES | {"", "text/plain"}:
        return Instructions()
    if mimetype == "text/plain":
        return Instructions(replies=(answer.body,))
    if mimetype not in _TWIML_TYPES:
        return Instructions(warning=NOT_TWIML)
    return _twiml(answer.body)


def _twiml(document: str) -> Instructions:
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 (the application wrote it)
    except ElementTree.ParseError:
        return Instructions(warning=BROKEN_TWIML)
    if root.tag != "Response":
        return Instructions(warning=BROKEN_TWIML)
    texts = (_text_of(message) for message in root.findall("Message"))
    return Instructions(replies=tuple(text for text in texts if text))


def _text_of(message: ElementTree.Element) -> str:
    """`<Message>text</Message>` or `<Message><Body>text</Body></Message>`."""
    bodies = [body.text or "" for body in message.findall("Body")]
    return ("".join(bodies) if bodies else message.text or "").strip()


def _whatsapp_fields(sender: str, profile_name: str) -> Form:
    address = sender.partition(":")[2]
    person = {"ProfileName": profile_name}
    if address.startswith("+"):
        person["WaId"] = address.removeprefix("+")
    context = {"type": "whatsapp", "data": {"context": person}}
    return {
        **person,
        "MessageType": "text",
        "ReferralNumMedia": "0",
        "ChannelMetadata": json.dumps(context, separators=(",", ":")),
        "ExternalUserId": _business_scoped_id(address),
    }


def _business_scoped_id(address: str) -> str:
    """The identity of a person towards one business; the sender itself where no number is shown."""
    if not address.startswith("+"):
        return f"whatsapp:{address}"
    digits = int(hashlib.sha256(address.encode()).hexdigest(), 16) % 10**16
    return f"whatsapp:{_country_of(address) or 'GB'}.{digits:016}"


def _places(end: str, address: str) -> Form:
    return {
        f"{end}City": "",
        f"{end}State": "",
        f"{end}Zip": "",
        f"{end}Country": _country_of(address),
    }


def _country_of(number: str) -> str:
    return next((country for prefix, country in _COUNTRIES.items() if number.startswith(prefix)), "")
