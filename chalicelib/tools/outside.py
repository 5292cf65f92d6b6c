"""POSTs JSON to hosts on the public internet and to no others: one name, one resolution, one request, one deadline."""

import io
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult, urlsplit

from chalicelib.tools.addresses import is_loopback, is_public
from chalicelib.tools.registry import Failed

#: In bytes.
LARGEST_ANSWER = 32_768

Resolve = Callable[[str, int], Sequence[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, likeliest first. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@cache
def trust() -> ssl.SSLContext:
    """Certificates are verified against the machine's authorities, and so are names."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Outside:
    """`loopback`: this machine's own addresses may be reached too, by plain HTTP as well; for laptops."""

    loopback: bool = False
    resolve: Resolve = resolve
    connect: Connect = socket.create_connection
    trust: Callable[[], ssl.SSLContext] = trust
    monotonic: Callable[[], float] = time.monotonic

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> str:
        """The JSON that was answered, as text. Raises Failed for everything else, redirects included."""
        time_left = _TimeLeft(self.monotonic, self.monotonic() + seconds)
        try:
            connection = self._connection(_parsed(url), time_left)
            try:
                connection.request("POST", _path_of(url), body, {"Content-Type": "application/json", **headers})
                return _json_of(connection.getresponse())
            finally:
                connection.close()
        except TimeoutError:
            raise Failed("timeout", "the tool did not answer in time") from None
        except (OSError, UnicodeError, HTTPException) as error:
            raise Failed(f"unreachable:{type(error).__name__}", "the tool did not answer") from None

    def _connection(self, url: SplitResult, time_left: "_TimeLeft") -> HTTPConnection:
        assert url.hostname
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        addresses = self.resolve(url.hostname, port)
        if not addresses or not all(self._may_be_reached(each, secure=secure) for each in addresses):
            raise Failed("address_not_public", _UNUSABLE)
        tls = self.trust() if secure else None
        return _Pinned(url.hostname, port, addresses, self.connect, tls, time_left)

    def _may_be_reached(self, address: str, *, secure: bool) -> bool:
        return (secure and is_public(address)) or (self.loopback and is_loopback(address))


_UNUSABLE = "the tool cannot be used"


class _TimeLeft:
    """Seconds until the deadline. Raises TimeoutError when there are none."""

    def __init__(self, monotonic: Callable[[], float], ends: float) -> None:
        self._monotonic = monotonic
        self._ends = ends

    def __call__(self) -> float:
        left = self._ends - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Pinned(HTTPConnection):
    """A connection to addresses that were looked at before; the name is kept for the certificate and the server."""

    def __init__(
        self,
        host: str,
        port: int,
        addresses: Sequence[str],
        connect: Connect,
        tls: ssl.SSLContext | None,
        time_left: _TimeLeft,
    ) -> None:
        super().__init__(host, port)
        self.default_port = 443 if tls else 80
        self._addresses, self._connect, self._tls, self._time_left = addresses, connect, tls, time_left
        self.response_class: Any = self._response

    def connect(self) -> None:
        connected = self._connected()
        try:
            connected.settimeout(self._time_left())
            self.sock = self._tls.wrap_socket(connected, server_hostname=self.host) if self._tls else connected
        except BaseException:
            connected.close()
            raise

    def _connected(self) -> socket.socket:
        for address in self._addresses[:-1]:
            try:
                return self._connect((address, self.port), self._time_left() / 2)
            except OSError:
                continue
        return self._connect((self._addresses[-1], self.port), self._time_left())

    def _response(self, connected: socket.socket, **options: Any) -> HTTPResponse:
        return HTTPResponse(_Punctual(connected, self._time_left), **options)  # type: ignore[arg-type]


class _Punctual:
    """A socket of which each read ends at the deadline, so that an answer cannot come in drop by drop for ever."""

    def __init__(self, connected: socket.socket, time_left: _TimeLeft) -> None:
        self._connected = connected
        self._time_left = time_left

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_PunctualReader(self._connected, self._time_left))


class _PunctualReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, time_left: _TimeLeft) -> None:
        self._connected = connected
        self._file: Any = connected.makefile("rb", buffering=0)
        self._time_left = time_left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connected.settimeout(self._time_left())
        count: int = self._file.readinto(buffer)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def usable(url: str) -> bool:
    """Whether this is a URL that a tool may have, as far as one can see without resolving its name."""
    try:
        parts = _parsed(url)
    except Failed:
        return False
    return parts.scheme == "https"


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Failed("url", _UNUSABLE) from None
    plain = all("!" <= letter <= "~" for letter in url) and "@" not in parts.netloc and port != 0
    if not plain or parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment:
        raise Failed("url", _UNUSABLE)
    return parts


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _json_of(response: HTTPResponse) -> str:
    if not 200 <= response.status < 300:
        raise Failed(f"http_{response.status}", f"the tool answered with status {response.status}")
    content = response.read(LARGEST_ANSWER + 1)
    if len(content) > LARGEST_ANSWER:
        raise Failed("too_large", "the tool's answer is too long")
    if response.length:
        raise Failed("cut_off", "the tool's answer is not whole")
    if not content.strip():
        return "{}"
    if response.headers.get_content_type() != "application/json":
        raise Failed("not_json", "the tool's answer cannot be read")
    return _readable(content)


def _readable(content: bytes) -> str:
    try:
        text = content.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        raise Failed("not_json", "the tool's answer cannot be read") from None
    return text.strip()
