"""What may be reached on a tenant's word, and how little of the answer is taken for granted."""

import json
from collections.abc import Iterable, Iterator
from itertools import count

import pytest

from chalicelib.tools.addresses import is_public
from chalicelib.tools.outside import LARGEST_ANSWER, Outside, usable
from chalicelib.tools.registry import Failed
from tests.tool_server import HOST, PUBLIC, Request, ToolServer, answer, tool_server

URL = f"https://{HOST}/visits?x=1"


@pytest.fixture
def server() -> Iterator[ToolServer]:
    with tool_server() as running:
        yield running


def post(outside: Outside, url: str = URL, *, body: bytes = b"{}", seconds: float = 20) -> str:
    return outside.post(url, body, {"Idempotency-Key": "k"}, seconds=seconds)


def failure(outside: Outside, url: str = URL, *, seconds: float = 20) -> str:
    with pytest.raises(Failed) as failed:
        post(outside, url, seconds=seconds)
    return failed.value.code


NOT_PUBLIC = (
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:93.184.215.14",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not_reached(server: ToolServer, address: str) -> None:
    assert not is_public(address)
    server.addresses.append([address])
    assert failure(server.outside()) == "address_not_public"
    assert server.reached == []


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111"])
def test_a_public_address_is_reached(server: ToolServer, address: str) -> None:
    server.addresses.append([address])
    assert post(server.outside()) == "{}"
    assert server.reached == [address]


def test_one_private_address_among_public_ones_is_enough_to_refuse(server: ToolServer) -> None:
    server.addresses.append([PUBLIC, "10.0.0.1"])
    assert failure(server.outside()) == "address_not_public"


def test_a_name_is_resolved_once_and_what_it_says_later_does_not_count(server: ToolServer) -> None:
    server.addresses += [[PUBLIC], ["127.0.0.1"]]
    post(server.outside())
    assert (server.resolved, server.reached) == ([HOST], [PUBLIC])


def test_the_next_address_is_tried_when_the_first_does_not_answer(server: ToolServer) -> None:
    def connect(place: tuple[str, int], timeout: float) -> object:
        if place[0] == "8.8.8.8":
            raise OSError("unreachable")
        return server.connect(place, timeout)

    outside = Outside(
        resolve=lambda host, port: ["8.8.8.8", PUBLIC],
        connect=connect,  # type: ignore[arg-type]
        trust=server.outside().trust,
    )
    assert post(outside) == "{}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tools.example.com",
        "ftp://tools.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://user:pass@tools.example.com/",
        "https://tools.example.com@10.0.0.1/",
        "https://tools.example.com/#part",
        "https://tools.example.com/a b",
        "https://tools.example.com/\r\nHost: evil",
        "https://tools.example.com\t/",
        "https://tools.example.com:0/",
        "https://tools.example.com:99999/",
        "https://tools.example.com:x/",
        "https://[::1/",
        "https://tóols.example.com/",
    ],
)
def test_what_is_no_plain_url_is_not_used(server: ToolServer, url: str) -> None:
    assert not usable(url)
    assert failure(server.outside(), url) == "url"
    assert server.resolved == []


def test_plain_http_is_not_used(server: ToolServer) -> None:
    assert not usable(f"http://{HOST}/")
    assert failure(server.outside(), f"http://{HOST}/") == "address_not_public"
    assert server.reached == []


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]"])
def test_the_real_resolver_does_not_lead_to_this_machine(host: str) -> None:
    assert failure(Outside(), f"https://{host}/") in ("address_not_public", "unreachable:gaierror")


def test_names_and_paths_reach_the_server_as_they_are(server: ToolServer) -> None:
    server.answers.append(answer(b'{"ok": true}'))
    assert post(server.outside(), body=b'{"a": 1}') == '{"ok": true}'
    (request,) = server.requests
    assert (request.line, request.body) == ("POST /visits?x=1 HTTP/1.1", b'{"a": 1}')
    assert (request.headers["host"], request.headers["content-type"]) == (HOST, "application/json")


def test_a_port_of_its_own_is_named_to_the_server(server: ToolServer) -> None:
    post(server.outside(), f"https://{HOST}:8443/")
    assert server.requests[0].headers["host"] == f"{HOST}:8443"


def test_a_certificate_for_another_name_is_refused(server: ToolServer) -> None:
    assert failure(server.outside(), "https://other.example.com/") == "unreachable:SSLCertVerificationError"
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(server: ToolServer) -> None:
    outside = Outside(resolve=server.resolve, connect=server.connect)
    assert failure(outside) == "unreachable:SSLCertVerificationError"
    assert server.requests == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(server: ToolServer, status: str) -> None:
    server.answers.append(answer(b"", status, "text/html", "Location: https://169.254.169.254/"))
    assert failure(server.outside()) == f"http_{status[:3]}"
    assert (len(server.requests), server.resolved) == (1, [HOST])


def chunked(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(b"{}", "500 Oops"), "http_500"),
        (answer(b"{}", "404 Not Found"), "http_404"),
        (answer(b"<html>", kind="text/html"), "not_json"),
        (answer(b"{}", kind="text/html"), "not_json"),
        (answer(b"{"), "not_json"),
        (answer(b"\xff"), "not_json"),
        (answer(b"[" * 20_000), "not_json"),
        (answer(b'"' + b"x" * LARGEST_ANSWER + b'"'), "too_large"),
        (chunked(b'"', b"x" * LARGEST_ANSWER, b'"'), "too_large"),
        (chunked(b"{}"), "unreachable:IncompleteRead"),
        (answer(b"1234").replace(b"Content-Length: 4", b"Content-Length: 9"), "cut_off"),
        (b"", "unreachable:RemoteDisconnected"),
        (b"hello\r\n\r\n", "unreachable:BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "unreachable:HTTPException"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000, "unreachable:LineTooLong"),
    ],
)
def test_an_answer_that_is_not_what_it_must_be_is_a_failure(server: ToolServer, given: bytes, code: str) -> None:
    server.answers.append(given)
    assert failure(server.outside()) == code


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (answer(b""), "{}"),
        (answer(b"", "204 No Content", "text/plain"), "{}"),
        (answer(b' {"a": "\\ud800"} '), '{"a": "\\ud800"}'),
        (answer(b"[1]", kind="application/json; charset=utf-8"), "[1]"),
        (chunked(b"[1,", b"2]") + b"0\r\n\r\n", "[1,2]"),
        (b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[3]", "[3]"),
        (answer('"ÄÖ"'.encode()), '"ÄÖ"'),
        (answer(b'"' + b"x" * (LARGEST_ANSWER - 2) + b'"'), '"' + "x" * (LARGEST_ANSWER - 2) + '"'),
    ],
)
def test_an_answer_comes_back_as_it_is(server: ToolServer, given: bytes, text: str) -> None:
    server.answers.append(given)
    assert post(server.outside()) == text
    json.loads(text)


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", answer(b"1" * 900)[:-900]])
def test_an_answer_that_comes_in_drop_by_drop_ends_at_the_deadline(server: ToolServer, beginning: bytes) -> None:
    def drops(_: Request) -> Iterable[bytes]:
        yield beginning
        for _number in range(1_000):
            yield b"1"

    seconds = count()
    server.answers.append(drops)
    outside = Outside(
        resolve=server.resolve,
        connect=server.connect,
        trust=server.outside().trust,
        monotonic=lambda: float(next(seconds)),  # each look at the clock is a second later
    )
    assert failure(outside, seconds=8) == "timeout"


def test_a_server_that_says_nothing_is_waited_for_until_the_deadline(server: ToolServer) -> None:
    def silence(_: Request) -> Iterable[bytes]:
        server.listener.accept()
        yield b""

    server.answers.append(silence)
    assert failure(server.outside(), seconds=0.4) == "timeout"


def test_no_time_left_is_no_request(server: ToolServer) -> None:
    assert failure(server.outside(), seconds=0) == "timeout"
    assert server.requests == []


def test_a_laptop_may_reach_itself_and_nothing_else_that_is_private() -> None:
    with tool_server(tls=False) as server:
        laptop = Outside(loopback=True)
        assert post(laptop, f"http://127.0.0.1:{server.port}/") == "{}"
        assert failure(laptop, "http://10.0.0.1/") == "address_not_public"
        assert failure(laptop, "http://169.254.169.254/latest/meta-data") == "address_not_public"
        assert failure(Outside(), f"http://127.0.0.1:{server.port}/") == "address_not_public"
