"""Signed requests as Twilio makes them."""

from collections.abc import Mapping
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from chalicelib.ports import Request

BASE_URL = "https://relay.example.com"
AUTH_TOKEN = "twin-auth-token"
ACCOUNT_SID = "AC" + "1" * 32


def signed(path: str, form: Mapping[str, str], *, token: str = AUTH_TOKEN) -> Request:
    """A form with the signature that `token` makes for it."""
    url = f"{BASE_URL}{path}"
    signature = RequestValidator(token).compute_signature(url, dict(form))
    return Request(
        urls=(url,),
        headers={"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature},
        body=urlencode(form).encode(),
    )


def message_form(message_id: str, text: str, *, sender: str, recipient: str, **more: str) -> dict[str, str]:
    """A message of a person; `sender` and `recipient` as Twilio writes them, prefix and all."""
    form = {
        "MessageSid": message_id,
        "SmsMessageSid": message_id,
        "SmsSid": message_id,
        "AccountSid": ACCOUNT_SID,
        "From": sender,
        "To": recipient,
        "Body": text,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
    }
    return form | more


def status_form(provider_id: str, status: str, *, sender: str, recipient: str, **more: str) -> dict[str, str]:
    """A delivery callback for a message of ours; `sender` is our own address here."""
    form = {
        "MessageSid": provider_id,
        "SmsSid": provider_id,
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": ACCOUNT_SID,
        "From": sender,
        "To": recipient,
        "ApiVersion": "2010-04-01",
    }
    return form | more
