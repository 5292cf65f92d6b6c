"""What we post to Twilio: messages, through its own SDK with a deadline, and the list of what it took."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from urllib3.exceptions import NameResolutionError, NewConnectionError

from chalicelib.channels import sms, whatsapp
from chalicelib.channels.twilio_codes import Kind, kind_of, refusal_of
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.model import Channel, Inbound, Media, MediaKind, Outgoing, Tenant
from chalicelib.ports import Posted, Secret

#: How Twilio writes an address of each channel.
PREFIXES: Mapping[Channel, str] = {Channel.WHATSAPP: whatsapp.PREFIX, Channel.SMS: sms.PREFIX}

#: How many of the newest messages to one of our addresses are read at once.
_MOST_RECEIVED = 1_000

#: How many of the newest messages to a person are looked through for one that is in doubt.
_LISTED = 100

#: The SDK writes the URLs and forms of its requests to this logger; they hold addresses and texts.
logging.getLogger("twilio.http_client").setLevel(logging.WARNING)


def client(secret: Secret, *, base_url: str | None, deadline: timedelta) -> Client:
    """A client for one account. Its deadline is ours: the SDK has none of its own.

    With `api_key_sid` and `api_key_secret` the key speaks for the account, else the auth token does. Raises Refused
    for a secret that names no account.
    """
    account = secret.get("twilio_account_sid") or secret.get("account_sid")
    token = secret.get("twilio_auth_token") or secret.get("auth_token")
    key, key_secret = secret.get("api_key_sid"), secret.get("api_key_secret")
    user, password = (key, key_secret) if key and key_secret else (account, token)
    if not account or not user or not password:
        raise Refused("no_channel_credentials", "the secret names no Twilio account or no way to speak for it")
    http_client = TwilioHttpClient(timeout=deadline.total_seconds(), max_retries=0)
    made = Client(user, password, account_sid=account, http_client=http_client)
    if base_url:
        made.api.base_url = made.messaging.base_url = base_url
    return made


@dataclass(frozen=True, slots=True)
class TwilioSender:
    """Sends on one channel with one account."""

    client: Any
    channel: Channel
    messaging_service: str | None = None

    def post(self, outgoing: Outgoing, part: int, *, callback_url: str | None) -> str:
        """Source: Twilio, Messages resource, "Create a Message". There is no idempotency key."""
        options: dict[str, Any] = {"status_callback": callback_url} if callback_url else {}
        if self.messaging_service:
            options["messaging_service_sid"] = self.messaging_service
        with _translated(sending=True):
            message = self.client.messages.create(
                to=self._address(outgoing.recipient),
                from_=self._address(outgoing.sender),
                **_content(outgoing, part),
                **options,
            )
        if not message.sid:
            raise Unconfirmed("Twilio's answer names no message")
        return str(message.sid)

    def typing(self, message_id: str) -> None:
        """Also marks the message as read. WhatsApp alone has it. Source: Twilio, "Typing Indicators resource"."""
        with _translated(sending=False):
            self.client.messaging.v2.typing_indicator.create(channel=str(self.channel), message_id=message_id)

    def posted_since(self, outgoing: Outgoing, since: datetime) -> Sequence[Posted]:
        """Twilio's own list. Its filter looks at `DateSent`, which is empty until a message has left, so we filter."""
        with _translated(sending=False):
            listed = self.client.messages.list(
                to=self._address(outgoing.recipient), from_=self._address(outgoing.sender), limit=_LISTED
            )
        return [
            Posted(provider_id=each.sid, text=each.body or "", at=each.date_created)
            for each in listed
            if each.direction == "outbound-api" and (each.date_created is None or each.date_created >= since)
        ]

    def _address(self, bare: str) -> str:
        return f"{PREFIXES[self.channel]}{bare}"


def _content(outgoing: Outgoing, part: int) -> dict[str, Any]:
    """A text, a file or a template. Source: Twilio, Messages resource; "Send templates", Content Template Builder."""
    template, sent = outgoing.template, outgoing.parts[part]
    if template is not None:
        return {"content_sid": template.content_sid, "content_variables": json.dumps(template.variables)}
    return {"media_url": [sent.media_url]} if sent.media_url else {"body": sent.text}


@dataclass(frozen=True, slots=True)
class TwilioInbox:
    """Reads what came in on one channel of one account."""

    client: Any
    channel: Channel

    def received_since(self, own_address: str, since: datetime) -> Sequence[Inbound]:
        """Source: Twilio, Messages resource, "Read multiple Message resources"; the newest 1,000 at most."""
        own = f"{PREFIXES[self.channel]}{own_address}"
        with _translated(sending=False):
            listed = self.client.messages.list(to=own, date_sent_after=since, limit=_MOST_RECEIVED)
            return [self._inbound(each, own_address) for each in listed if each.direction == "inbound"]

    def _inbound(self, message: Any, own_address: str) -> Inbound:
        return Inbound(
            channel=self.channel,
            message_id=message.sid,
            sender=message.from_.removeprefix(PREFIXES[self.channel]),
            recipient=own_address,
            text=message.body or "",
            received_at=message.date_created or message.date_sent,
            media=tuple(self._media(message)),
            sender_pool=message.messaging_service_sid,
        )

    def _media(self, message: Any) -> Iterator[Media]:
        if int(message.num_media or 0):
            for each in message.media.list(limit=10):
                url = self.client.api.absolute_url(each.uri.removesuffix(".json"))
                yield Media(url, each.content_type, kind=MediaKind.of(each.content_type or ""))


@dataclass(frozen=True, slots=True)
class TwilioProviders:
    """Makes senders, and keeps one client for each account."""

    base_url: str | None
    deadline: timedelta
    clients: dict[tuple[str, ...], Any]

    def sender(self, channel: Channel, secret: Secret, *, tenant: Tenant | None) -> TwilioSender:
        return TwilioSender(self._client(secret), channel, tenant.messaging_service if tenant else None)

    def inbox(self, channel: Channel, secret: Secret) -> TwilioInbox:
        return TwilioInbox(self._client(secret), channel)

    def _client(self, secret: Secret) -> Any:
        known = tuple(sorted(f"{name}={value}" for name, value in secret.items()))
        if known not in self.clients:
            self.clients[known] = client(secret, base_url=self.base_url, deadline=self.deadline)
        return self.clients[known]


@contextmanager
def _translated(*, sending: bool) -> Iterator[None]:
    try:
        yield
    except TwilioException as error:
        raise of_twilio(error, sending=sending) from None
    except requests.RequestException as error:
        raise of_transport(error, sending=sending) from None
    except ValueError:
        raise Unconfirmed("Twilio's answer could not be read") if sending else TryAgain("unreadable list") from None


def of_twilio(error: TwilioException, *, sending: bool) -> RelayError:
    """What an error answer of Twilio means. A 5xx may hide a message that was taken."""
    if not isinstance(error, TwilioRestException | TwilioServiceException):
        return Refused("twilio", f"Twilio's SDK refuses: {type(error).__name__}")
    if error.status == 429 or kind_of(error.code) == Kind.BUSY:
        return TryAgain(f"Twilio is busy: {error.code}")
    if error.status >= 500:
        return Unconfirmed(f"Twilio failed: {error.status}") if sending else TryAgain(f"Twilio failed: {error.status}")
    return Refused(str(error.code), f"Twilio refuses: {error.code}", kind=refusal_of(error.code))


def of_transport(error: requests.RequestException, *, sending: bool) -> RelayError:
    """What it means that no answer came: nothing happened if no connection was made, else it may have."""
    name = type(error).__name__
    if not sending or isinstance(error, requests.ConnectTimeout) or _never_connected(error):
        return TryAgain(f"Twilio cannot be reached: {name}")
    return Unconfirmed(f"Twilio did not answer: {name}")


def _never_connected(error: BaseException | None) -> bool:
    """Whether the socket could not be opened: requests wraps urllib3's reason several layers deep."""
    reason: object = error
    for _ in range(5):
        if isinstance(reason, NewConnectionError | NameResolutionError):
            return True
        arguments = getattr(reason, "args", ())
        reason = getattr(reason, "reason", None) or (arguments[0] if arguments else None)
    return False
