"""Twilio's request signature, written from its description: every valid one and every spoiled one of the tests."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"

Spoil = Callable[[str], str | None]


def signature(url: str, body: bytes, token: str, *, algorithm: str = "sha1") -> str:
    """The base64 HMAC of the URL and, sorted by name, each name with its different values, sorted too."""
    values: dict[str, set[str]] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), algorithm)).decode()


def headers(
    url: str, body: bytes, token: str, *, header: str = HEADER, spoil: Spoil | None = None, algorithm: str = "sha1"
) -> dict[str, str]:
    """The headers of a webhook. `spoil` changes the signature; where it returns None the header is left out."""
    made: str | None = signature(url, body, token, algorithm=algorithm)
    made = spoil(made) if spoil and made else made
    return {"Content-Type": FORM, "User-Agent": "TwilioProxy/1.1"} | ({header: made} if made is not None else {})


def _last_changed(made: str) -> str:
    return made[:-2] + ("A" if made[-2] != "A" else "E") + made[-1]


#: Signatures that nobody may accept, by what is wrong with them.
SPOILED: Mapping[str, Spoil] = {
    "missing": lambda made: None,
    "empty": lambda made: "",
    "one character changed": _last_changed,
    "cut off": lambda made: made[:-1],
    "with a blank line behind": lambda made: made + "\n",
    "twice": lambda made: f"{made},{made}",
    "in another case": str.swapcase,
    "reversed": lambda made: made[::-1],
    "of another length": lambda made: base64.b64encode(hashlib.sha256(made.encode()).digest()).decode(),
    "as hexadecimal digits": lambda made: base64.b64decode(made).hex(),
    "not base64": lambda made: "§ not a signature §",
    "a word that databases know": lambda made: "' OR '1'='1",
}
