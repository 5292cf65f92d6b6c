"""A server of a tenant's tool: real TLS on a socket of this machine, and answers that a test writes byte by byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.tools.outside import Outside

HOST = "tools.example.com"

#: Somewhere on the public internet, as far as the code under test can tell.
PUBLIC = "93.184.215.14"


@dataclass(frozen=True)
class Request:
    line: str
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


Answer = bytes | Callable[[Request], Iterable[bytes]]


def answer(body: bytes = b"{}", status: str = "200 OK", kind: str = "application/json", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class ToolServer:
    """Answers each connection with the next of `answers`, then closes; `requests` holds what it was asked."""

    tls: ssl.SSLContext | None
    listener: socket.socket
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)  #: the names that were looked up
    reached: list[str] = field(default_factory=list)  #: the addresses that were connected to
    addresses: list[Sequence[str]] = field(default_factory=list)  #: what each resolution says; then the public one

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with suppress(OSError), connection:
                    self._one(connection)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved.append(host)
        return self.addresses.pop(0) if self.addresses else [PUBLIC]

    def connect(self, place: tuple[str, int], timeout: float) -> socket.socket:
        """Leads to this server, whatever the address."""
        self.reached.append(place[0])
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def outside(self) -> Outside:
        """The way out to an internet in which this server is the only one."""
        return Outside(resolve=self.resolve, connect=self.connect, trust=trusting)

    def _one(self, connection: socket.socket) -> None:
        stream = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
        with suppress(OSError), stream:
            request = _read(stream)
            self.requests.append(request)
            given = self.answers.pop(0) if self.answers else answer()
            for piece in [given] if isinstance(given, bytes) else given(request):
                stream.sendall(piece)


@contextmanager
def tool_server(*, tls: bool = True) -> Iterator[ToolServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = ToolServer(_serving() if tls else None, listener)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def trusting() -> ssl.SSLContext:
    """Verifies as the real one does, with the authority of these tests in place of the machine's."""
    certificate, _ = _certificate()
    return ssl.create_default_context(cadata=certificate.decode())


@cache
def _serving() -> ssl.SSLContext:
    certificate, key = _certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    return context


@cache
def _certificate() -> tuple[bytes, bytes]:
    """A certificate for the server that is its own authority, and its key; both PEM."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), _name(), datetime.now(UTC)
    names = [x509.DNSName(HOST), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), private


def _name() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])


def _read(stream: socket.socket) -> Request:
    file = stream.makefile("rb")
    line = file.readline().decode().strip()
    head = b""
    while (each := file.readline()).strip():
        head += each
    headers = {name.lower(): value for name, value in BytesParser().parsebytes(head).items()}
    return Request(line, headers, file.read(int(headers.get("content-length", 0))))
