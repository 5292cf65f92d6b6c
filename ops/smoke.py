"""Looks whether what was deployed is awake and turns away what it must; changes nothing and writes nothing."""

import argparse
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops.harden import deployed, deployed_resources
from ops.resources import DEADLINES, ApplyError, session

TWILIO = {"User-Agent": "TwilioProxy/1.1", "Content-Type": "application/x-www-form-urlencoded"}
FORGED = {**TWILIO, "X-Twilio-Signature": "bm90IGEgc2lnbmF0dXJlIQ=="}
STRANGER = {**FORGED, "User-Agent": "somebody/1.0"}
FORM = urlencode(
    {
        "MessageSid": "SM" + 32 * "0",
        "From": "whatsapp:+447700900999",
        "To": "whatsapp:+447700900998",
        "Body": "smoke",
    }
).encode()
_SECONDS = 30  # the gateway itself gives up after 29
_TRIES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="such as dev or prod")
    parser.add_argument(
        "--base-url", help="where the API answers, if not where Chalice says; {rest_api_id} stands for its id"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each thing looked at. Returns 0 when all is well, else 1."""
    try:
        for line in smoke(arguments.stage, session(), arguments.base_url):
            print(line, flush=True)
    except (ApplyError, BotoCoreError, ClientError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    return 0


def smoke(stage: str, aws: boto3.Session, base_url: str | None = None) -> Iterator[str]:
    """Yields a line for each thing that is well. Raises ApplyError with everything that is not."""
    wrong: list[str] = []
    for look in looks(stage, aws, address(stage, base_url)):
        found = look.find()
        if found is None:
            yield f"ok {look.sentence}"
        else:
            wrong.append(f"  {look.sentence}: {found}")
    if wrong:
        raise ApplyError("\n".join(["not as it should be:", *wrong]))


def address(stage: str, base_url: str | None = None) -> str:
    """Where the API answers: as Chalice recorded it, or at `base_url`, in which {rest_api_id} stands for its id."""
    api = deployed(stage)
    return str(base_url.format(**api) if base_url else api["rest_api_url"]).rstrip("/")


@dataclass(frozen=True)
class Look:
    """What should hold, and how to find what does not: None, or a sentence for the operator."""

    sentence: str
    find: Callable[[], str | None]


def looks(stage: str, aws: boto3.Session, url: str) -> Iterator[Look]:
    resources = deployed_resources(stage)
    functions = [each["lambda_arn"] for each in resources if each["resource_type"] == "lambda_function"]
    sources = [each["event_uuid"] for each in resources if each["resource_type"] == "sqs_event"]
    client: Any = aws.client("lambda", config=DEADLINES)
    yield Look(f"{len(functions)} functions are active", lambda: _first(_inactive(client, each) for each in functions))
    yield Look(f"{len(sources)} queues wake them", lambda: _first(_disabled(client, each) for each in sources))
    yield Look("the API is awake", partial(_awake, f"{url}/health"))
    for path in ("/whatsapp", "/sms", "/status/none"):
        yield Look(f"{path} wants a signature", partial(_expect, 400, f"{url}{path}", FORM, TWILIO))
        yield Look(f"{path} is for Twilio", partial(_expect, 403, f"{url}{path}", FORM, STRANGER))
    for path in ("/whatsapp", "/sms"):
        yield Look(f"{path} sees a forgery", partial(_expect, 403, f"{url}{path}", FORM, FORGED))


def _first(found: Iterator[str | None]) -> str | None:
    return next((each for each in found if each), None)


def _inactive(client: Any, arn: str) -> str | None:
    found = client.get_function_configuration(FunctionName=arn)
    return None if found["State"] == "Active" else f"{found['FunctionName']} is {found['State']}"


def _disabled(client: Any, uuid: str) -> str | None:
    found = client.get_event_source_mapping(UUID=uuid)
    return None if found["State"] in ("Enabled", "Creating", "Updating", "Enabling") else f"{uuid} is {found['State']}"


def _awake(url: str) -> str | None:
    """The first request starts a function, and the gateway may give up before it has."""
    found: str | None = None
    for _ in range(_TRIES):
        found = _expect(200, url, None, {})
        if found is None:
            break
    return found


def _expect(status: int, url: str, body: bytes | None, headers: Mapping[str, str]) -> str | None:
    got = status_of(url, body, headers)
    return None if got == status else f"it answered {got} instead of {status}"


def status_of(url: str, body: bytes | None, headers: Mapping[str, str]) -> int | str:
    """The status that a request is answered with, or why it is not. Raises ApplyError for what is not an http URL."""
    if not url.startswith(("https://", "http://")):
        raise ApplyError(f"{url} is no address")
    request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310  # looked at above
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code
    except OSError as error:
        return f"nothing ({error})"
