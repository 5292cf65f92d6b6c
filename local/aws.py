"""The AWS of a laptop: tables, queues, secrets and stacks in the memory of one process, on 127.0.0.1 only.

It is ministack, served by ourselves so that it says when it is ready and ends when it is told to, with the
differences to AWS that this application meets corrected in `local.aws_gaps` and `local.gateway_gaps`.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

HOST = "127.0.0.1"
PORT = 4566
PORT_TAKEN = 2  # exit code
REGION = "eu-west-2"
SERVICES = (
    "apigateway",
    "cloudformation",
    "cloudwatch",
    "dynamodb",
    "events",
    "iam",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "ses",
    "sns",
    "sqs",
    "sts",
    "wafv2",
)

#: ministack reads its settings from the environment as it is imported. These keep it in memory and to itself.
QUIET_AND_IN_MEMORY = {
    "AUTH": "false",
    "BIND_HOST": HOST,
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    "EDGE_PORT": "",
    "IOT_MTLS_ENABLED": "0",
    "LOCALSTACK_PERSISTENCE": "0",
    "LOG_LEVEL": "ERROR",
    "MINISTACK_HOST": HOST,
    "PERSIST_STATE": "0",
    "S3_PERSIST": "0",
    "SERVICES": ",".join(SERVICES),
    "SFTP_ENABLED": "0",
    "USE_SSL": "0",
}
_GRACE_SECONDS = 0.5  # for requests under way; a long poll may not hold up the end

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def main(argv: list[str]) -> int:
    """Serves until SIGINT or SIGTERM. Returns 0 after a signal, 2 when the port is taken."""
    port = _parser().parse_args(argv).port
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        print(f"aws: cannot listen on {HOST}:{port}: {error.strerror}", file=sys.stderr)
        return PORT_TAKEN
    with listener:
        asyncio.run(_serve(listener))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local aws", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default %(default)s)")
    return parser


async def _serve(listener: socket.socket) -> None:
    port: int = listener.getsockname()[1]
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    application = _announced(_ministack(port), f"ready aws http://{HOST}:{port}")
    serving = asyncio.create_task(_hypercorn(application, _config(listener), stopped))
    await asyncio.wait({serving, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    logging.getLogger("asyncio").disabled = True  # it would report every client that is cut off now
    await asyncio.wait({serving}, timeout=2 * _GRACE_SECONDS)
    if serving.done():
        serving.result()  # raises what went wrong
    else:  # from Python 3.12 on, closing a server waits for the clients to go; they need not
        serving.cancel()


async def _hypercorn(application: Application, config: Config, stopped: asyncio.Event) -> None:
    await serve(application, config, shutdown_trigger=stopped.wait)  # type: ignore[arg-type]


def _ministack(port: int) -> Application:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    os.environ.update(QUIET_AND_IN_MEMORY, GATEWAY_PORT=str(port), MINISTACK_REGION=region)
    from ministack.app import app

    from local import aws_gaps, gateway_gaps

    aws_gaps.fill()
    gateway_gaps.fill()
    application: Application = app
    return application


def _config(listener: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.errorlog = None
    config.graceful_timeout = _GRACE_SECONDS
    config.shutdown_timeout = _GRACE_SECONDS
    return config


def _announced(application: Application, line: str) -> Application:
    """The same application, which prints `line` when it has started."""

    async def announcing(scope: Message, receive: Receive, send: Send) -> None:
        async def watching(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                print(line, flush=True)

        await application(scope, receive, watching)

    return announcing


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
