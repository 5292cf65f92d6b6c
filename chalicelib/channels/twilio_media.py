"""The files that people send, fetched from Twilio and from nobody else, with limits on time and size."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from chalicelib.config import MEDIA_DEADLINE
from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Media
from chalicelib.ports import File, Secret

#: A larger file is not kept, in bytes. What reaches Twilio through WhatsApp is at most 16 MB, and OpenAI transcribes
#: files of at most 25 MB. Source: Twilio, "Media messages on WhatsApp"; OpenAI, "Speech to text".
LARGEST = 20_000_000

#: The only place that gets credentials, and what a file is called there. Source: Twilio, Media resource.
API = "https://api.twilio.com"
_MEDIA_PATH = re.compile(r"/2010-04-01/Accounts/AC[0-9a-f]{32}/Messages/[SM]M[0-9a-f]{32}/Media/ME[0-9a-f]{32}", re.I)

#: Where Twilio redirects to: its delivery network, and a bucket for accounts that do not protect their media.
#: Source: Twilio, "Protect Media Access with HTTP Basic Authentication".
_NETWORK = ".twiliocdn.com"
_BUCKETS = frozenset({"s3-external-1.amazonaws.com", "s3.amazonaws.com"})
_BUCKET_PATH = "/media.twiliocdn.com/"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REQUESTS = 4
_CHUNK = 64 * 1024


def build(*, base_url: str | None) -> "TwilioMedia":
    return TwilioMedia(base_url, time.monotonic)


@dataclass(frozen=True, slots=True)
class TwilioMedia:
    """Fetches the media of any account; `base_url` stands in for Twilio's own address."""

    base_url: str | None
    monotonic: Callable[[], float]
    pool: Any = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def fetch(self, media: Media, secrets: Sequence[Secret], *, seconds: float) -> File:
        """Raises Refused (`not_the_provider`, `gone`, `too_large`, `http_…`) or TryAgain."""
        until = self.monotonic() + seconds
        url = self._at_provider(media.url)
        try:
            for credentials in _credentials(secrets):
                file = self._followed(url, credentials, media.content_type, until)
                if file is not None:
                    return file
        except HTTPError as error:
            raise TryAgain(f"the provider's file cannot be read: {type(error).__name__}") from None
        raise TryAgain("the provider does not accept our credentials")

    def _followed(self, url: str, headers: Mapping[str, str], content_type: str, until: float) -> File | None:
        """The file that a URL leads to, whose first host alone sees `headers`; None if they are not accepted."""
        for _ in range(_MOST_REQUESTS):
            answer = self._asked(url, headers, until)
            try:
                if answer.status in (401, 403):
                    return None
                if answer.status not in _REDIRECTS:
                    return self._file(answer, content_type, until)
                url, headers = self._target(urljoin(url, answer.headers.get("Location", ""))), {}
            finally:
                answer.close()
        raise Refused("not_the_provider", "redirected without end")

    def _asked(self, url: str, headers: Mapping[str, str], until: float) -> Any:
        left = min(self._left(until), MEDIA_DEADLINE.total_seconds())
        return self.pool.request(
            "GET",
            url,
            headers={"Accept-Encoding": "identity", **headers},
            timeout=urllib3.Timeout(connect=left, read=left),
            redirect=False,
            preload_content=False,
        )

    def _file(self, answer: Any, content_type: str, until: float) -> File:
        _demand_success(answer.status)
        if int(answer.headers.get("Content-Length") or 0) > LARGEST:
            raise Refused("too_large", "the file is too large")
        content = bytearray()
        for chunk in answer.stream(_CHUNK):
            content += chunk
            if len(content) > LARGEST:
                raise Refused("too_large", "the file is too large")
            self._left(until)
        return File(bytes(content), answer.headers.get("Content-Type") or content_type)

    def _left(self, until: float) -> float:
        """Seconds that are left. Raises TryAgain when there are none."""
        left = until - self.monotonic()
        if left <= 0:
            raise TryAgain("there is no time left for the file")
        return left

    def _at_provider(self, url: str) -> str:
        """The URL, made of nothing but the provider's address and the file's name. Raises Refused for any other."""
        origin, _, path = _parted(url)
        if origin not in (API, self._stand_in) or not _MEDIA_PATH.fullmatch(path):
            raise _not_the_provider()
        return f"{self.base_url or API}{path}"

    def _target(self, url: str) -> str:
        """Where we are redirected to. Raises Refused if the provider keeps no files there."""
        origin, host, path = _parted(url)
        in_bucket = host in _BUCKETS and path.startswith(_BUCKET_PATH)
        is_kept_there = host.endswith(_NETWORK) or in_bucket
        if (origin == f"https://{host}" and is_kept_there) or (origin == self._stand_in and origin):
            return url
        raise _not_the_provider()

    @property
    def _stand_in(self) -> str:
        return _parted(self.base_url)[0] if self.base_url else ""


def _parted(url: str) -> tuple[str, str, str]:
    """Origin, host and path of a URL. Raises Refused for one with a user in it or that cannot be read."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _not_the_provider() from None
    host = parts.hostname or ""
    if not url.isascii() or not url.isprintable() or set(url) & set("\\ @"):
        raise _not_the_provider()
    named = f":{port}" if port is not None and (parts.scheme, port) not in (("https", 443), ("http", 80)) else ""
    return f"{parts.scheme}://{host}{named}", host, parts.path


def _not_the_provider() -> Refused:
    return Refused("not_the_provider", "the file is not at the provider")


def _demand_success(status: int) -> None:
    if status == 429 or status >= 500:
        raise TryAgain(f"the provider is busy: {status}")
    if status in (404, 410):
        raise Refused("gone", "the provider does not have the file any more")
    if status != 200:
        raise Refused(f"http_{status}", "the provider does not hand the file out")


def _credentials(secrets: Sequence[Secret]) -> Iterator[Mapping[str, str]]:
    """Ways to authenticate, of every secret that is valid now: an API key where there is one, else the auth token."""
    for secret in secrets:
        account = secret.get("twilio_account_sid") or secret.get("account_sid")
        token = secret.get("twilio_auth_token") or secret.get("auth_token")
        key, key_secret = secret.get("api_key_sid"), secret.get("api_key_secret")
        user, password = (key, key_secret) if key and key_secret else (account, token)
        if user and password:
            yield urllib3.make_headers(basic_auth=f"{user}:{password}")
