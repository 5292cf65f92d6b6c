"""Whose accounts and numbers the Twilio stand-in plays."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from local import demo_company


@dataclass(frozen=True)
class Account:
    """A Twilio account; webhooks are signed with `auth_token`, requests may use any of its credentials."""

    sid: str
    auth_token: str
    secondary_auth_tokens: tuple[str, ...] = ()
    api_keys: Mapping[str, str] = field(default_factory=dict)  # key sid -> secret

    def admits(self, username: str, password: str) -> bool:
        """Whether these Basic credentials are one of the auth tokens or an API key of the account."""
        return any(
            secrets.compare_digest(f"{username}:{password}".encode(), f"{name}:{secret}".encode())
            for name, secret in self._credentials()
        )

    def _credentials(self) -> list[tuple[str, str]]:
        tokens = (self.auth_token, *self.secondary_auth_tokens)
        return [(self.sid, token) for token in tokens] + list(self.api_keys.items())


@dataclass(frozen=True)
class Number:
    """An address of an account, and the webhook (maybe with overrides in its fragment) of what comes in."""

    address: str
    account_sid: str
    webhook_url: str


@dataclass(frozen=True)
class Config:
    """Everything that the stand-in needs to know beforehand."""

    accounts: tuple[Account, ...]
    numbers: tuple[Number, ...]
    step_seconds: float = 0.4  # between two statuses of an outgoing message

    @classmethod
    def demo(cls, app_url: str) -> Self:
        """The demonstration company, with the application at this base URL."""
        account = Account(demo_company.ACCOUNT_SID, demo_company.AUTH_TOKEN)
        addresses = (demo_company.WHATSAPP_ADDRESS, demo_company.SMS_ADDRESS)
        return cls((account,), tuple(Number(it, account.sid, "") for it in addresses)).with_app(app_url)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads JSON with the fields of this class. Raises OSError, ValueError, KeyError or TypeError."""
        return cls.from_json(json.loads(path.read_text()))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        return cls(
            **document
            | {
                "accounts": tuple(Account(**account) for account in document["accounts"]),
                "numbers": tuple(Number(**number) for number in document["numbers"]),
            }
        )

    def with_app(self, app_url: str) -> Self:
        """The same, with every webhook at `app_url` plus `/whatsapp` or `/sms`; its fragment is kept."""
        return replace(
            self,
            numbers=tuple(
                replace(number, webhook_url=_with_path(app_url, channel_of(number.address))) for number in self.numbers
            ),
        )

    def account(self, sid: str) -> Account | None:
        return next((account for account in self.accounts if account.sid == sid), None)

    def number(self, address: str) -> Number | None:
        return next((number for number in self.numbers if number.address == address), None)

    def sender_for(self, account_sid: str, recipient: str) -> Number | None:
        """The number that a Messaging Service of the account would send from to reach this recipient."""
        channel = channel_of(recipient)
        return next(
            (it for it in self.numbers if it.account_sid == account_sid and channel_of(it.address) == channel),
            None,
        )


def channel_of(address: str) -> str:
    """`whatsapp` for `whatsapp:+44…`, `sms` for an address without a prefix."""
    channel, prefixed, _ = address.partition(":")
    return channel if prefixed else "sms"


def _with_path(app_url: str, segment: str) -> str:
    url = urlsplit(app_url)
    return url._replace(path=f"{url.path.rstrip('/')}/{segment}").geturl()
