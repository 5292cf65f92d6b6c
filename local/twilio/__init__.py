"""A stand-in for Twilio: its REST API for messages, its signed webhooks and callbacks, people who write."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from flask import Flask

from local.faults import Faults, fault_routes
from local.serving import serve
from local.twilio import delivery, media, messages, refusals
from local.twilio.config import Account, Config, Number
from local.twilio.delivery import Delivery
from local.twilio.ledger import Ledger
from local.twilio.media import MediaApi
from local.twilio.messages import MessagesApi
from local.twilio.people import People
from local.twilio.typing import TypingApi

__all__ = ["Account", "Config", "Number", "create_app", "main"]

PORT = 4567
APP_URL = "http://127.0.0.1:8000"
BAD_CONFIG = 2  # exit code


def create_app(config: Config) -> Flask:
    """The stand-in as a Flask app with a memory of its own."""
    app = Flask(__name__)
    ledger = Ledger()
    faults = Faults(messages.FAULTS | delivery.FAULTS | media.FAULTS)
    courier = Delivery(config, ledger)
    app.register_blueprint(MessagesApi(config, ledger, faults, courier).routes())
    app.register_blueprint(TypingApi(config, ledger).routes())
    files = MediaApi(config, faults)
    app.register_blueprint(files.routes())
    app.register_blueprint(People(config, ledger, courier, files).routes())
    app.register_blueprint(fault_routes(faults))
    app.register_error_handler(404, lambda _: refusals.not_found("").as_response())
    return app


def main(argv: list[str]) -> int:
    """`python -m local twilio`: serves until a signal. Returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = _config(options.config, options.app)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"twilio: cannot use {options.config}: {error!r}", file=sys.stderr)
        return BAD_CONFIG
    if options.step_seconds is not None:
        config = replace(config, step_seconds=options.step_seconds)
    return serve(create_app(config), "twilio", options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local twilio", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--config", type=Path, help="JSON with accounts and numbers instead of the demo company")
    parser.add_argument(
        "--app",
        help=f"base URL of the application: webhooks go to /whatsapp and /sms below it "
        f"(default without --config: {APP_URL})",
    )
    parser.add_argument("--step-seconds", type=float, help="time between two statuses (default: 0.4)")
    return parser


def _config(path: Path | None, app_url: str | None) -> Config:
    if path is None:
        return Config.demo(app_url or APP_URL)
    config = Config.from_file(path)
    return config.with_app(app_url) if app_url else config
