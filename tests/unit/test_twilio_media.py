"""Files come from Twilio only: every other address is refused before anybody is asked, and limits hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as some

from chalicelib.channels.twilio_media import LARGEST, TwilioMedia
from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Media
from chalicelib.ports import File

ACCOUNT = "AC" + "1" * 32
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{'2' * 32}/Media/ME{'3' * 32}"
URL = f"https://api.twilio.com{PATH}"
SECRET = {"twilio_account_sid": ACCOUNT, "twilio_auth_token": "token"}
CDN = "https://mms.twiliocdn.com/AC1/abc?Expires=1&Signature=x"
BUCKET = "https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC1/abc"


def answer(status: int = 200, body: bytes = b"content", **headers: str) -> urllib3.HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib3.HTTPResponse(BytesIO(body), named, status, preload_content=False)


@dataclass
class Wire:
    """The network as the source meets it: answers by URL, and everything that was asked."""

    answers: dict[str, list[urllib3.HTTPResponse | Exception]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def request(self, method: str, url: str, *, headers: Mapping[str, str], **options: Any) -> urllib3.HTTPResponse:
        assert (method, options["redirect"], options["preload_content"]) == ("GET", False, False)
        self.asked.append((url, headers))
        found = self.answers[url].pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.asked]

    @property
    def credentials(self) -> list[str | None]:
        return [headers.get("authorization") for _, headers in self.asked]


def fetch(
    wire: Wire, url: str = URL, *, base_url: str | None = None, secrets: list[dict[str, str]] | None = None, **more: Any
) -> File:
    source = TwilioMedia(base_url, more.get("monotonic", lambda: 0.0), wire)
    media = Media(url, more.get("content_type", "image/jpeg"))
    return source.fetch(media, [SECRET] if secrets is None else secrets, seconds=more.get("seconds", 10))


def refused(wire: Wire, url: str = URL, **more: Any) -> str:
    with pytest.raises(Refused) as refusal:
        fetch(wire, url, **more)
    return refusal.value.code


class TestTheWayOfAFile:
    def test_it_is_fetched_with_the_accounts_credentials(self) -> None:
        wire = Wire({URL: [answer(Content_Type="image/png")]})
        assert fetch(wire) == File(b"content", "image/png")
        assert wire.credentials == [urllib3.make_headers(basic_auth=f"{ACCOUNT}:token")["authorization"]]

    @pytest.mark.parametrize(
        "target", [CDN, BUCKET, "https://media.twiliocdn.com/x", "https://mms.twiliocdn.com:443/x"]
    )
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_where_twilio_keeps_it_nobody_sees_the_credentials(self, target: str, status: int) -> None:
        wire = Wire({URL: [answer(status, Location=target)], target: [answer(Content_Type="audio/ogg")]})
        assert fetch(wire) == File(b"content", "audio/ogg")
        assert wire.credentials[0] is not None
        assert wire.credentials[1] is None

    def test_an_api_key_speaks_for_the_account(self) -> None:
        wire = Wire({URL: [answer()]})
        fetch(wire, secrets=[{**SECRET, "api_key_sid": "SK1", "api_key_secret": "s"}])
        assert wire.credentials == [urllib3.make_headers(basic_auth="SK1:s")["authorization"]]

    def test_a_rotation_does_not_lose_a_file(self) -> None:
        wire = Wire({URL: [answer(401), answer()]})
        assert fetch(wire, secrets=[SECRET, {**SECRET, "twilio_auth_token": "old"}]).content == b"content"

    def test_the_type_that_the_webhook_named_stands_in_for_a_missing_one(self) -> None:
        assert fetch(Wire({URL: [answer()]}), content_type="audio/ogg").content_type == "audio/ogg"

    def test_a_stand_in_is_asked_instead_of_twilio_for_its_own_files_and_twilios(self) -> None:
        base = "http://127.0.0.1:4567"
        for url in (URL, f"{base}{PATH}"):
            wire = Wire({f"{base}{PATH}": [answer(307, Location="/_media/x")], f"{base}/_media/x": [answer()]})
            assert fetch(wire, url, base_url=base).content == b"content"
            assert wire.credentials[1] is None

    def test_what_a_url_has_beside_the_files_name_is_left_behind(self) -> None:
        wire = Wire({URL: [answer()]})
        fetch(wire, f"{URL}?x=1#y")
        assert wire.urls == [URL]


#: Addresses at which nothing of Twilio is, though some look as if it were.
ELSEWHERE = [
    f"http://api.twilio.com{PATH}",
    f"https://api.twilio.com.evil.example{PATH}",
    f"https://evil.example{PATH}",
    f"https://evil.example/api.twilio.com{PATH}",
    f"https://api.twilio.com@evil.example{PATH}",
    f"https://user:pass@api.twilio.com{PATH}",
    f"https://api.twilio.com:8443{PATH}",
    f"https://api.twilio.com:443@evil.example{PATH}",
    f"https://evil.example\\@api.twilio.com{PATH}",
    f"https://evil.example#@api.twilio.com{PATH}",
    f"https://api.twilio.com\t.evil.example{PATH}",
    f"https://api.twilio.com%2eevil.example{PATH}",
    f"https://xn--pi-twilio.com{PATH}",
    f"https://аpi.twilio.com{PATH}",  # a Cyrillic letter
    f"https://api.twilio.com.{PATH}",
    f"//api.twilio.com{PATH}",
    f"ftp://api.twilio.com{PATH}",
    f"file://{PATH}",
    f"https://127.0.0.1{PATH}",
    f"http://169.254.169.254{PATH}",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    f"https://[::1]{PATH}",
    f"https://[::ffff:169.254.169.254]{PATH}",
    f"https://[broken{PATH}",
    f"https://api.twilio.com:port{PATH}",
    f"https://api.twilio.com{PATH}/../../../Messages.json",
    f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
    f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}.json",
    f"https://api.twilio.com{PATH}.json",
    f"https://mms.twiliocdn.com{PATH}",
    "https://api.twilio.com",
    "",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_file_that_is_elsewhere_is_refused_before_anybody_is_asked(url: str) -> None:
    wire = Wire()
    assert refused(wire, url) == "not_the_provider"
    assert wire.asked == []


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:4567", "https://stand-in.example"])
@pytest.mark.parametrize("url", [*ELSEWHERE, f"http://127.0.0.1:4568{PATH}", f"http://127.0.0.1{PATH}"])
def test_neither_does_a_stand_in_open_any_other_door(base_url: str, url: str) -> None:
    wire = Wire()
    assert refused(wire, url, base_url=base_url) == "not_the_provider"
    assert wire.asked == []


@given(some.text(max_size=200))
def test_no_text_whatsoever_leads_elsewhere(url: str) -> None:
    assert refused(Wire(), url) == "not_the_provider"


@pytest.mark.parametrize(
    "target",
    [
        "http://mms.twiliocdn.com/x",
        "https://mms.twiliocdn.com.evil.example/x",
        "https://eviltwiliocdn.com/x",
        "https://twiliocdn.com.evil.example/x",
        "https://evil.example/x",
        "https://mms.twiliocdn.com@evil.example/x",
        "https://evil.example\\.twiliocdn.com/x",
        "https://mms.twiliocdn.com:8443/x",
        "https://s3.amazonaws.com/another-bucket/x",
        "https://s3.amazonaws.com/media.twiliocdn.com.evil/x",
        "https://media.twiliocdn.com.s3.amazonaws.com/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/x",
        "https://[::1]/x",
        "//evil.example/x",
        "file:///etc/passwd",
        "",
        "/2010-04-01/Accounts.json",
        "https://api.twilio.com/2010-04-01/Accounts.json",
    ],
)
def test_a_redirect_that_leads_elsewhere_is_not_followed(target: str) -> None:
    wire = Wire({URL: [answer(307, Location=target)]})
    assert refused(wire) == "not_the_provider"
    assert wire.urls == [URL]


def test_redirects_come_to_an_end() -> None:
    wire = Wire({URL: [answer(307, Location=CDN)], CDN: [answer(307, Location=CDN) for _ in range(10)]})
    assert refused(wire) == "not_the_provider"
    assert len(wire.asked) == 4


class TestLimits:
    def test_a_file_that_is_said_to_be_too_large_is_not_read(self) -> None:
        body = BytesIO(b"x" * 10)
        told = urllib3.HTTPResponse(body, {"Content-Length": str(LARGEST + 1)}, 200, preload_content=False)
        assert refused(Wire({URL: [told]})) == "too_large"
        assert body.closed or body.tell() == 0

    def test_a_file_that_turns_out_too_large_is_not_read_to_its_end(self) -> None:
        class Endless(BytesIO):
            given = 0

            def read(self, amount: int | None = -1, /) -> bytes:
                Endless.given += amount or 0
                return b"x" * (amount or 0)

        assert refused(Wire({URL: [urllib3.HTTPResponse(Endless(), {}, 200, preload_content=False)]})) == "too_large"
        assert Endless.given < LARGEST + 1_000_000

    def test_the_largest_file_that_is_kept_is_kept(self) -> None:
        assert len(fetch(Wire({URL: [answer(body=b"x" * LARGEST)]})).content) == LARGEST

    def test_a_file_that_comes_too_slowly_is_had_later(self) -> None:
        ticks: Iterator[int] = count()
        with pytest.raises(TryAgain):
            fetch(Wire({URL: [answer(body=b"x" * 2_000_000)]}), monotonic=lambda: float(next(ticks)), seconds=5)

    def test_without_time_nobody_is_asked(self) -> None:
        wire = Wire()
        with pytest.raises(TryAgain):
            fetch(wire, seconds=0)
        assert wire.asked == []


class TestWhatTheProviderSays:
    @pytest.mark.parametrize(("status", "code"), [(404, "gone"), (410, "gone"), (400, "http_400"), (204, "http_204")])
    def test_a_file_that_there_is_not_is_refused(self, status: int, code: str) -> None:
        assert refused(Wire({URL: [answer(status)]})) == code

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_busy_provider_is_asked_later(self, status: int) -> None:
        with pytest.raises(TryAgain):
            fetch(Wire({URL: [answer(status)]}))

    @pytest.mark.parametrize("status", [401, 403])
    def test_credentials_that_are_not_accepted_may_be_mended(self, status: int) -> None:
        with pytest.raises(TryAgain):
            fetch(Wire({URL: [answer(status)]}))

    @pytest.mark.parametrize("secrets", [[], [{}], [{"account_sid": ACCOUNT}]])
    def test_without_credentials_nobody_is_asked(self, secrets: list[dict[str, str]]) -> None:
        wire = Wire()
        with pytest.raises(TryAgain):
            fetch(wire, secrets=secrets)
        assert wire.asked == []

    @pytest.mark.parametrize(
        "failure",
        [
            urllib3.exceptions.ConnectTimeoutError(),
            urllib3.exceptions.ReadTimeoutError(None, "", ""),  # type: ignore[arg-type]
            urllib3.exceptions.ProtocolError("broken off"),
            urllib3.exceptions.SSLError("not who it says"),
        ],
        ids=lambda failure: type(failure).__name__,
    )
    def test_a_line_that_breaks_is_tried_later_and_tells_no_url(self, failure: Exception) -> None:
        with pytest.raises(TryAgain) as error:
            fetch(Wire({URL: [failure]}))
        assert ACCOUNT not in str(error.value)

    def test_a_file_that_breaks_off_is_not_taken_for_whole(self) -> None:
        cut = urllib3.HTTPResponse(BytesIO(b"half"), {"Content-Length": "8"}, 200, preload_content=False)
        with pytest.raises(TryAgain):
            fetch(Wire({URL: [cut]}))
