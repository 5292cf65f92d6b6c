"""Signatures by which a tool's server knows that a request is ours, as Standard Webhooks 1.0 has them.

Source: the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`, base64, one signature for each key.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from hmac import digest

from chalicelib.ports import Secret

PREFIX = "whsec_"

#: In bytes. Source: Standard Webhooks, symmetric keys.
SHORTEST_KEY = 24


def keys_of(secrets: Sequence[Secret]) -> list[bytes]:
    """The keys that these secrets hold as `signing_secret`, the one to sign with first; none that is no key."""
    found = (_key_of(secret.get("signing_secret", "")) for secret in secrets)
    return [key for key in found if key is not None]


def signed(identifier: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The headers that show who sent this body and when; every key signs, so that a rotation rejects nothing."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((identifier.encode(), timestamp.encode(), body))
    signatures = (b64encode(digest(key, content, sha256)).decode() for key in keys)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _key_of(text: str) -> bytes | None:
    if not text.startswith(PREFIX):
        return None
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except Error:
        return None
    return key if len(key) >= SHORTEST_KEY else None
