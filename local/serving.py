"""Serves a Flask app on this machine only, for a person (`serve`) or for a test (`running`)."""

import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import Flask, Response, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

HOST = "127.0.0.1"
PORT_TAKEN = 2  # exit code
_POLL_SECONDS = 0.02  # how soon `running` notices that its block is over


class _SilentHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: request lines can carry personal data and drown what matters."""


def serve(app: Flask, name: str, port: int) -> int:
    """Serves until SIGINT or SIGTERM; prints `ready <name> <url>` when connections are accepted.

    Port 0 takes a free one. Returns the exit code: 0 after a signal, 2 when the port is taken.
    """
    try:
        server = _server(app, port)
    except OSError as error:
        print(f"{name}: cannot listen on {HOST}:{port}: {error.strerror}", file=sys.stderr)
        return PORT_TAKEN
    _stop_on_sigterm()
    try:
        print(f"ready {name} {_url(server)}", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
    return 0


@contextmanager
def running(app: Flask, port: int = 0) -> Iterator[str]:
    """Serves in a thread for as long as the block runs; yields the base URL.

    Raises OSError when the port is taken.
    """
    server = _server(app, port)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield _url(server)
    finally:
        server.shutdown()
        thread.join()


def hold(seconds: float) -> None:
    """Keeps the current request waiting for that long, or until its client has gone."""
    request.get_data()  # what is left to read after that is the end of the connection
    client = _client()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        readable, _, _ = select.select([client], [], [], min(left, 0.2))
        if readable and not client.recv(1, socket.MSG_PEEK):
            return
        if readable:
            time.sleep(min(left, 0.05))  # something more than a request: not ours to read


def hang_up() -> Response:
    """Drops the connection of the current request; the response that it returns never arrives."""
    with suppress(OSError):  # the client may have been quicker
        _client().shutdown(socket.SHUT_RDWR)
    return Response(status=204)


def _client() -> socket.socket:
    client = request.environ["werkzeug.socket"]
    assert isinstance(client, socket.socket)
    return client


def _server(app: Flask, port: int) -> BaseWSGIServer:
    # werkzeug ends the process when a port is taken, so the socket is bound here.
    with socket.create_server((HOST, port)) as listener:
        return make_server(HOST, port, app, threaded=True, request_handler=_SilentHandler, fd=listener.fileno())


def _url(server: BaseWSGIServer) -> str:
    return f"http://{HOST}:{server.port}"


def _stop_on_sigterm() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
