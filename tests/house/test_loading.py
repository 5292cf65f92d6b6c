"""What the front door loads: nothing slow, and no environment, before somebody needs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests import signing
from tests.edge.stage import CONVERSATION, OWN, PERSON, TENANT, TOKEN, TWILIO_SECRET, conversation_record, form_of
from tests.house.source import ROOT

SLOW = (
    "openai",
    "twilio.rest",
    "requests",
    "cryptography",
    "httpx2",
    "aiohttp",
    "markdown_it",
    "jinja2",
    "moto",
    "flask",
)

_LOADED = f"print(__import__('json').dumps([name for name in {SLOW!r} if name in __import__('sys').modules]))"
_HANDLE = """
import json, sys, app
from chalice.local import LambdaContext
for event in json.load(sys.stdin):
    print(app.app(event, LambdaContext("api_handler", 512))["statusCode"], file=sys.stderr)
"""


def run(code: str, *, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python as a Lambda would: with nothing in its environment but what it is given."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=basics | {"PYTHONPATH": str(ROOT)} | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def loaded(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_app_is_imported_without_any_environment() -> None:
    done = run("import app; print(sorted(app.app.routes))")
    assert (done.returncode, done.stderr) == (0, "")
    assert "/whatsapp" in done.stdout


def test_importing_the_app_loads_nothing_slow() -> None:
    assert loaded(run(f"import app\n{_LOADED}")) == []


def test_importing_the_app_makes_no_client_and_reads_no_settings() -> None:
    done = run("import app\nfrom chalicelib.wiring import relay\nprint(relay.cache_info().currsize)")
    assert done.stdout.strip() == "0"


def test_importing_the_app_does_not_mind_settings_that_make_no_sense() -> None:
    assert run("import app", BURST_IDLE_SECONDS="soon", PUBLIC_BASE_URL="nowhere").returncode == 0


@pytest.fixture
def aws() -> Iterator[str]:
    """An AWS over HTTP with one tenant, one conversation and their queue."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    _fill(endpoint)
    yield endpoint
    server.stop()


def test_a_warm_webhook_has_loaded_nothing_slow(aws: str) -> None:
    events = json.dumps([_event("one"), _event("two")])
    done = run(
        _HANDLE + _LOADED,
        given=events,
        AWS_ENDPOINT_URL=aws,
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        PUBLIC_BASE_URL="https://relay.example.com",
    )
    assert loaded(done) == []
    assert done.stderr.split() == ["200", "200"]


def _event(text: str) -> dict[str, Any]:
    path, body = form_of(text)
    return {
        "headers": signing.headers(f"https://relay.example.com{path}", body, TOKEN),
        "requestContext": {"resourcePath": path, "httpMethod": "POST", "path": f"/api{path}"},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def _fill(endpoint: str) -> None:
    session: Any = boto3.Session("testing", "testing", region_name="eu-west-2")
    session.client("cloudformation", endpoint_url=endpoint).create_stack(
        StackName="relay",
        TemplateBody=(ROOT / ".chalice/resources.json").read_text(),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}],
    )
    tables = session.resource("dynamodb", endpoint_url=endpoint)
    tables.Table("ai-multi-comms-tenants-dev").put_item(Item={"address": f"whatsapp:{OWN}", **TENANT})
    tables.Table("ai-multi-comms-conversations-dev").put_item(Item=conversation_record(PERSON, CONVERSATION))
    secret = json.dumps({"twilio_auth_token": TOKEN})
    session.client("secretsmanager", endpoint_url=endpoint).create_secret(Name=TWILIO_SECRET, SecretString=secret)
