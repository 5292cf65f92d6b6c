"""What Twilio posts to us: its signature, its messages, its delivery callbacks, and the TwiML that it reads."""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from twilio.request_validator import RequestValidator, add_port, get_signature_algorithm, remove_port

from chalicelib.channels import sms, whatsapp
from chalicelib.channels.opt_out import opt_out_of
from chalicelib.channels.twilio_codes import refusal_of
from chalicelib.errors import Rejected
from chalicelib.model import (
    Channel,
    Choice,
    Delivery,
    Extra,
    Forwarded,
    Inbound,
    Location,
    Media,
    MediaKind,
    OptOut,
    Quotation,
    Reaction,
    Referral,
    StatusUpdate,
)
from chalicelib.ports import Request, Secret

#: The secret's fields that may sign a webhook. Source: the outbound engine's secrets; Twilio, "Webhooks security".
_SIGNING_FIELDS = ("twilio_auth_token", "auth_token", "shared_key_secret")

#: What is kept of each field of an extra, in characters; the whole is in `raw`.
_LONGEST_TOLD = 1_000

#: A form with more fields than this is not Twilio's.
_MOST_FIELDS = 1_000

#: Characters of an identifier. Twilio signs names and values joined without a mark between them, so whoever moves a
#: border of a captured form keeps its signature; a longer identifier is one that has swallowed the next parameter.
#: Source: Twilio glossary, "String Identifier (SID)".
_LONGEST_SID = 34

#: Characters of an address, business-scoped user ids included. Source: Twilio changelog of 2026-07-20.
_LONGEST_ADDRESS = 140

#: Characters of an error code that are kept; Twilio's have five.
_LONGEST_CODE = 10

#: Twilio's words for what becomes of a message. Source: Messages resource, "Message status values".
_DELIVERY = {
    "accepted": Delivery.QUEUED,  # taken, no sender chosen yet (Messaging Services)
    "scheduled": Delivery.QUEUED,  # waits for its time
    "queued": Delivery.QUEUED,
    "sending": Delivery.SENDING,
    "sent": Delivery.SENT,  # the carrier or WhatsApp has it
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,  # WhatsApp only, where the person allows it
    "failed": Delivery.FAILED,  # Twilio could not send it
    "undelivered": Delivery.UNDELIVERED,  # the carrier or WhatsApp could not deliver it
    "canceled": Delivery.FAILED,  # a scheduled message was taken back
}


class _Form(dict[str, list[str]]):
    """Form fields with every value, as `RequestValidator` reads them."""

    def getlist(self, name: str) -> list[str]:
        return self[name]

    def first(self, name: str) -> str:
        values = self.get(name)
        return values[0] if values else ""

    def sid(self, name: str) -> str:
        """Raises Rejected (400) for what is longer than any identifier of Twilio's."""
        found = self.first(name)
        if len(found) > _LONGEST_SID:
            raise Rejected(400, "identifier_too_long", "the form holds an identifier that is not Twilio's")
        return found

    def flat(self) -> dict[str, str]:
        return {name: values[0] if len(values) == 1 else "\n".join(values) for name, values in self.items()}


@dataclass(frozen=True, slots=True)
class TwilioWebhook:
    """Twilio's webhooks for one channel."""

    channel: Channel

    def is_signed(self, request: Request) -> bool:
        return bool(request.headers.get("x-twilio-signature"))

    def verify(self, request: Request, secrets: Sequence[Secret]) -> bool:
        signature = request.headers.get("x-twilio-signature", "")
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(each.encode(), given) for each in _signatures(request, secrets))

    def parse(self, request: Request, *, at: datetime) -> Inbound:
        """Raises Rejected: 400 for a body that is not a message, 403 for one that names nobody we could believe."""
        form = _form(request.body)
        sender, recipient = _ends(form)
        message_id = form.sid("MessageSid") or form.sid("SmsMessageSid") or form.sid("SmsSid")
        if not message_id:
            raise Rejected(400, "message_id_missing", "the form has no MessageSid")
        text = _text(form)
        return Inbound(
            channel=self.channel,
            message_id=message_id,
            sender=sender,
            recipient=recipient,
            text=text,
            received_at=at,
            media=tuple(_media(form)),
            extras=tuple(_extras(form)),
            other_addresses=tuple(_other_addresses(form, sender)),
            sender_pool=form.sid("MessagingServiceSid") or None,
            opt_out=_opt_out(form, self.channel, text),
            raw={name: value for name, value in form.flat().items() if name != "Body" or value != text},
        )

    def parse_status(self, request: Request) -> StatusUpdate:
        """Raises Rejected: 400 for a body that is not a delivery callback, 403 for one that names nobody."""
        form = _form(request.body)
        provider_id = form.sid("MessageSid") or form.sid("SmsSid")
        word = form.first("MessageStatus") or form.first("SmsStatus")
        if not provider_id or not word:
            raise Rejected(400, "status_missing", "the form has no MessageSid or no MessageStatus")
        own_address, person = _ends(form)
        code = form.first("ErrorCode")[:_LONGEST_CODE]
        is_whatsapp = whatsapp.PREFIX in (form.first("From") + form.first("To"))
        return StatusUpdate(
            channel=Channel.WHATSAPP if is_whatsapp else Channel.SMS,
            provider_id=provider_id,
            status=_DELIVERY.get(word.lower(), Delivery.UNKNOWN),
            own_address=own_address,
            person=person,
            sender_pool=form.sid("MessagingServiceSid") or None,
            error_code=code or None,
            refusal=refusal_of(int(code)) if code.isascii() and code.isdecimal() else None,
        )

    def acknowledgement(self, text: str | None) -> str:
        """TwiML. Source: Twilio, "TwiML for Programmable Messaging"."""
        message = f"<Message>{escape(text)}</Message>" if text else ""
        return f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'


def _form(body: bytes) -> _Form:
    """The fields, blank ones too, because Twilio signs them. Raises Rejected (400) for what is not a form."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Rejected(400, "unreadable_body", "the body is not a form") from None
    if not pairs:
        raise Rejected(400, "empty_body", "the form is empty")
    form = _Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def _signatures(request: Request, secrets: Sequence[Secret]) -> Iterator[str]:
    """Every signature that we would accept, for each token and each way of writing the URL.

    Twilio signs the URL with or without its default port. Source: `twilio.request_validator`.
    """
    algorithm = get_signature_algorithm(request.headers.get("x-twilio-webhooks-signature-settings", ""))
    form = _form(request.body)
    tokens = {secret[name] for secret in secrets for name in _SIGNING_FIELDS if secret.get(name)}
    for token in tokens:
        validator = RequestValidator(token)
        for url in _spellings(request.urls):
            try:
                yield validator.compute_signature(url, form, algorithm)
            except ValueError:  # an algorithm that nobody knows
                return


def _spellings(urls: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*urls, *(spelling for url in urls for spelling in _with_port_or_without(url))]))


def _with_port_or_without(url: str) -> Sequence[str]:
    try:
        return remove_port(urlsplit(url)), add_port(urlsplit(url))
    except ValueError:  # a Host header may hold anything
        return ()


def _ends(form: _Form) -> tuple[str, str]:
    """Who sent it and to whom. Raises Rejected (403) without the two, and for what no address is as long as."""
    ends = _bare(form.first("From")), _bare(form.first("To"))
    if not all(0 < len(each) <= _LONGEST_ADDRESS for each in ends):
        raise Rejected(403, "addresses_missing", "the signature is missing or wrong")
    return ends


def _bare(address: str) -> str:
    return address.strip().removeprefix(whatsapp.PREFIX).removeprefix(sms.PREFIX).strip()


def _other_addresses(form: _Form, sender: str) -> Iterator[str]:
    """A business-scoped user id beside the phone number. Source: Twilio changelog of 2026-07-20."""
    other = _bare(form.first("ExternalUserId"))
    if other != sender and 0 < len(other) <= _LONGEST_ADDRESS:
        yield other


def _opt_out(form: _Form, channel: Channel, text: str) -> OptOut | None:
    """What Twilio has recognised, else what the message says when it says nothing else."""
    recognised = form.first("OptOutType").upper()
    if recognised in set(OptOut):
        return OptOut(recognised)
    return opt_out_of(channel, text)


def _text(form: _Form) -> str:
    """What the person wrote or chose. The body of a document is its file's name."""
    kind, body = form.first("MessageType"), form.first("Body")
    if kind == "document":
        return ""
    return body or form.first("ButtonText") or form.first("ListTitle")


def _extras(form: _Form) -> Iterator[Extra]:
    """What a message is beside text and files. Source: Twilio, "Twilio's request to your incoming message webhook"."""
    if _is_set(form, "Forwarded") or _is_set(form, "FrequentlyForwarded"):
        yield Forwarded(often=_is_set(form, "FrequentlyForwarded"))
    yield from _referral(form)
    replied_to = _told(form, "OriginalRepliedMessageSid")
    if form.first("MessageType") == "reaction":
        yield Reaction(_told(form, "Body"), replied_to)
    elif replied_to:
        yield Quotation(replied_to)
    yield from _choice(form)
    if form.first("Latitude") and form.first("Longitude"):
        yield Location(*(_told(form, name) for name in ("Latitude", "Longitude", "Label", "Address")))


def _choice(form: _Form) -> Iterator[Choice]:
    if form.first("ButtonText") or form.first("ButtonPayload"):
        yield Choice(_told(form, "ButtonText") or _told(form, "Body"), _told(form, "ButtonPayload"))
    elif form.first("ListTitle") or form.first("ListId"):
        yield Choice(*(_told(form, name) for name in ("ListTitle", "ListId", "Description")))


def _referral(form: _Form) -> Iterator[Referral]:
    names = ("ReferralHeadline", "ReferralBody", "ReferralSourceUrl", "ReferralSourceType")
    if any(form.first(name) for name in names):
        yield Referral(*(_told(form, name) for name in names))


def _told(form: _Form, name: str) -> str:
    return form.first(name)[:_LONGEST_TOLD]


def _is_set(form: _Form, name: str) -> bool:
    return form.first(name).lower() == "true"


def _media(form: _Form) -> Iterator[Media]:
    """Source: Twilio, "Webhook request": `MediaUrl0`, `MediaContentType0` and so on, `NumMedia` of them."""
    count = form.first("NumMedia")
    name = form.first("Body") if form.first("MessageType") == "document" else ""
    for index in range(min(int(count), 10) if count.isdecimal() and len(count) <= 2 else 0):
        url = form.first(f"MediaUrl{index}")
        content_type = form.first(f"MediaContentType{index}")
        if url:
            is_sticker = form.first("MessageType") == "sticker"
            yield Media(url, content_type, name, MediaKind.STICKER if is_sticker else MediaKind.of(content_type))
