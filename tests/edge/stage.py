"""A whole installation in one process: the real `app.py`, an AWS in memory, and stand-ins for Twilio and OpenAI."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import RLock, get_ident
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import boto3
import botocore.handlers
import botocore.loaders
import botocore.session
import pytest
import requests
from botocore.exceptions import ClientError
from chalice.local import LambdaContext
from chalice.test import Client
from flask import Flask, Response, request
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID

import app as front_door
from chalicelib.wiring import relay
from local.openai import create_app as openai_stand_in
from local.serving import running
from local.twilio import Account, Config, Number
from local.twilio import create_app as twilio_stand_in
from ops.permissions import Permission, permissions_of
from ops.policies import API
from tests import signing
from tests.permissions.evaluator import Policy

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = ROOT / "tests/payloads"
STAGE = "dev"
FORM = signing.FORM

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "not-a-real-token-of-the-first-company"
OTHER_ACCOUNT = "AC" + "fedcba9876543210" * 2
OTHER_TOKEN = "not-a-real-token-of-the-second-company"
SERVICE = "MG" + "0123456789abcdef" * 2
API_KEY = "sk-not-a-real-key"

OWN = "+447700900001"
OWN_AMERICAN = "+15550100001"
OTHER_OWN = "+447700900002"
PERSON = "+447700900101"
TEXTER = "+447700900103"
STRANGER = "+447700900199"

TWILIO_SECRET = "whatsapp-credentials/cucumber-recruitment/cv-analysis/twilio"
OTHER_TWILIO_SECRET = "whatsapp-credentials/other-company/jobs/twilio"
OPENAI_SECRET = "ai-credentials/cucumber-recruitment/openai"

TENANT: Mapping[str, Any] = {
    "company_id": "company-123",
    "company_name": "Cucumber Recruitment",
    "project_id": "project-456",
    "project_name": "Clarify CV",
    "credentials_reference": TWILIO_SECRET,
    "ai_config": {"api_key_reference": OPENAI_SECRET},
}
OTHER_TENANT: Mapping[str, Any] = {
    "company_id": "company-999",
    "company_name": "Other Company",
    "project_id": "project-999",
    "credentials_reference": OTHER_TWILIO_SECRET,
    "ai_config": {"api_key_reference": OPENAI_SECRET},
}
TENANTS: Mapping[str, Mapping[str, Any]] = {
    f"whatsapp:{OWN}": TENANT,
    f"sms:{OWN}": TENANT,
    f"sms:{OWN_AMERICAN}": TENANT,
    f"whatsapp:{OTHER_OWN}": OTHER_TENANT,
}
CONVERSATION = "ci-aaa-001#pi-aaa-001#req123#447700900101"

#: The queues that a handler works off, in the order in which messages walk.
HANDLERS: Mapping[str, str] = {
    "media": "collector",
    "whatsapp-replies": "whatsapp-reply-processor",
    "sms-replies": "sms-reply-processor",
    "email-replies": "email-reply-processor",
    "sender": "sender",
}

Item = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A request to AWS while a function of the application was working: its service, operation and parameters."""

    function: str
    service: str
    operation: str
    params: Mapping[str, Any]
    thread: int = field(default_factory=get_ident)

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


@dataclass
class Stage:
    """One stage of the application with its surroundings, as an outsider sees and drives it."""

    bridge_url: str
    twilio_url: str
    openai_url: str
    client: Client
    door: RLock
    aws: "AwsAsItWas"
    calls: list[Call] = field(default_factory=list)
    callback_paths: list[str] = field(default_factory=list)
    day: int = 0  #: grows with each test; what was meant for an earlier one is turned away
    denied: list[str] = field(default_factory=list)  #: what a function did that its policy does not allow
    policies: Mapping[str, Policy] = field(default_factory=dict)  #: by function; without one everything is allowed
    apart: bool = False  #: each function is a process of its own, as in AWS: it shares no cache with the others
    _working: list[tuple[str, int]] = field(default_factory=list)  #: functions, and the threads that they run in
    _last: str = ""

    @cached_property
    def http(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        return session

    @property
    def base_url(self) -> str:
        """What Twilio takes for our address."""
        return f"{self.bridge_url}/day{self.day}"

    def begin(self, patch: pytest.MonkeyPatch, **environment: str) -> None:
        """A new day: tenants and secrets as they were made, nothing else, and an application that has just started."""
        with self.door:
            self.day += 1
            self.calls.clear()
            self.denied.clear()
            self.callback_paths.clear()
            for name, value in {"PUBLIC_BASE_URL": self.base_url, **environment}.items():
                patch.setenv(name, value)
            for url in (f"{self.twilio_url}/_state", f"{self.twilio_url}/_faults"):
                self.http.delete(url, timeout=5)
            for url in (f"{self.openai_url}/_requests", f"{self.openai_url}/_faults"):
                self.http.delete(url, timeout=5)
            self.aws.restore()
            relay.cache_clear()

    def end(self) -> None:
        """Lets whoever is at the door finish and nobody else in."""
        with self.door:
            self.day += 1
            relay.cache_clear()

    # --- requests

    def post(
        self,
        path: str,
        body: bytes,
        *,
        token: str = TOKEN,
        url: str | None = None,
        spoil: signing.Spoil | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """A signed webhook; `url` is what its sender took for our address, `headers` come on top."""
        signed = signing.headers(url or f"{self.base_url}{path}", body, token, spoil=spoil)
        return self.request("POST", path, body, signed | dict(headers or {}))

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        with self.at_work(API):
            return self.client.http.request(method, path, headers=dict(headers or {}), body=body)

    def through_gateway(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        gateway_stage: str = "api",
        domain: str = "abc123.execute-api.eu-west-2.amazonaws.com",
        encoded: bool = False,
        query: Mapping[str, list[str]] | None = None,
        raw_body: str | None = None,
    ) -> Any:
        """The same as API Gateway hands it to the Lambda; the answer is the Lambda's own."""
        text = base64.b64encode(body).decode() if encoded else body.decode()
        event = {
            "resource": path,
            "path": path,
            "httpMethod": "POST",
            "headers": dict(headers),
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
            "multiValueQueryStringParameters": dict(query) if query else None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "resourceId": "x1y2z3",
                "resourcePath": path,
                "httpMethod": "POST",
                "path": f"/{gateway_stage}{path}" if gateway_stage else path,
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": gateway_stage or "api",
                "domainPrefix": domain.split(".")[0],
                "domainName": domain,
                "apiId": "abc123",
                "requestId": str(uuid4()),
                "identity": {"sourceIp": "203.0.113.7", "userAgent": "TwilioProxy/1.1"},
            },
            "body": raw_body if raw_body is not None else text,
            "isBase64Encoded": encoded,
        }
        with self.at_work(API):
            return front_door.app(event, LambdaContext("api_handler", 512))

    def payload(self, name: str, **options: Any) -> Any:
        """A payload of `tests/payloads`, to the route of its channel."""
        path = "/whatsapp" if name.startswith("whatsapp") else "/sms"
        return self.post(path, payload(name), **options)

    def write(self, text: str, *, person: str = PERSON, sms: bool = False, sid: str | None = None, **more: str) -> str:
        """A person writes; the webhook must be accepted. Returns the message's id."""
        sid = sid or new_sid()
        response = self.webhook(text, person=person, sms=sms, sid=sid, **more)
        assert response.status_code == 200, response.body
        return sid

    def webhook(
        self,
        text: str,
        *,
        person: str = PERSON,
        own: str = OWN,
        sms: bool = False,
        sid: str | None = None,
        token: str = TOKEN,
        **more: str,
    ) -> Any:
        path, body = form_of(text, person=person, own=own, sms=sms, sid=sid, **more)
        return self.post(path, body, token=token)

    def sends(self, **message: Any) -> str:
        """A person sends something at Twilio's stand-in, which keeps the files; the message's id."""
        asked = {"from": f"whatsapp:{PERSON}", "to": f"whatsapp:{OWN}", "deliver": False, **message}
        response = self.http.post(f"{self.twilio_url}/_people/messages", json=asked, timeout=30)
        assert response.status_code == 201, response.text
        sid = str(response.json()["sid"])
        [params] = [each["params"] for each in self._exchanged() if each["sid"] == sid]
        assert self.post("/whatsapp", urlencode(params).encode()).status_code == 200
        return sid

    # --- queues

    def work_off(self, *purposes: str) -> list[str]:
        """Lets the handlers empty these queues, or all of theirs; the purposes of what was handled, in order.

        A handler that fails leaves its message for the next attempt, up to the queue's limit.
        """
        handled: list[str] = []
        while True:
            batch = [(purpose, message) for purpose in purposes or HANDLERS for message in self._receive(purpose)]
            if not batch:
                return handled
            for purpose, message in batch:
                self._attempt(purpose, message)
                handled.append(purpose)

    def invoke(self, purpose: str, body: str, *, attempt: int = 1) -> None:
        """One message to the handler of a queue, as Lambda hands it over. Raises what the handler raises."""
        event = sqs_event(queue_name(purpose), body, attempt=attempt)
        with self.at_work(HANDLERS[purpose]):
            self.client.lambda_.invoke(HANDLERS[purpose], event)

    def fails(self, purpose: str, body: str, *, attempt: int = 1) -> bool:
        """Whether the handler leaves this message on its queue."""
        try:
            self.invoke(purpose, body, attempt=attempt)
        except front_door.web.StageFailed:
            return True
        return False

    def taken(self, purpose: str) -> list[Item]:
        """The context objects on a queue, which is empty afterwards."""
        return [json.loads(message["Body"]) for message in self._receive(purpose)]

    def taken_bodies(self, purpose: str) -> list[str]:
        return [message["Body"] for message in self._receive(purpose)]

    def sweep(self) -> None:
        """The schedule of the sweep fires."""
        self.fire("rescue")

    def fire(self, function: str) -> None:
        """A schedule fires."""
        event: Any = self.client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        with self.at_work(function):
            self.client.lambda_.invoke(function, event)

    def _attempt(self, purpose: str, message: Item) -> None:
        for attempt in range(1, 4):
            if not self.fails(purpose, message["Body"], attempt=attempt):
                return

    def _receive(self, purpose: str) -> list[Item]:
        url, found = self._queue_urls[purpose], []
        wanted = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        while batch := self._sqs.receive_message(**wanted).get("Messages"):
            for message in batch:
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found += batch
        return found

    @cached_property
    def _sqs(self) -> Any:
        return boto3.client("sqs")

    @cached_property
    def _dynamodb(self) -> Any:
        return boto3.resource("dynamodb")

    @cached_property
    def _queue_urls(self) -> dict[str, str]:
        purposes = (*HANDLERS, "handoff")
        return {each: self._sqs.get_queue_url(QueueName=queue_name(each))["QueueUrl"] for each in purposes}

    # --- tables and secrets

    def open(self, person: str = PERSON, conversation_id: str = CONVERSATION, **attributes: Any) -> None:
        """A conversation record as the outbound engine writes it; an attribute that is None is left out."""
        item = conversation_record(person, conversation_id) | attributes
        self.table("conversations").put_item(Item={name: value for name, value in item.items() if value is not None})

    def change(self, person: str = PERSON, conversation_id: str = CONVERSATION, **attributes: Any) -> None:
        """Somebody else writes to a record."""
        self.table("conversations").update_item(
            Key={"primary_channel": person, "conversation_id": conversation_id},
            UpdateExpression="SET " + ", ".join(f"#{at} = :{at}" for at in range(len(attributes))),
            ExpressionAttributeNames={f"#{at}": name for at, name in enumerate(attributes)},
            ExpressionAttributeValues={f":{at}": value for at, value in enumerate(attributes.values())},
        )

    def record(self, person: str = PERSON, conversation_id: str = CONVERSATION) -> Item:
        key = {"primary_channel": person, "conversation_id": conversation_id}
        found: Item = self.table("conversations").get_item(Key=key)["Item"]
        return found

    def records_of(self, person: str) -> list[Item]:
        return [item for item in self.everything("conversations") if item["primary_channel"] == person]

    def history(self, conversation_id: str = CONVERSATION) -> list[Item]:
        """The history in its order."""
        found = [item for item in self.everything("messages") if item["conversation_id"] == conversation_id]
        return sorted(found, key=lambda item: str(item["position"]))

    def everything(self, table: str) -> list[Item]:
        items: list[Item] = self.table(table).scan(ConsistentRead=True)["Items"]
        return items

    def all_that_is_written(self) -> str:
        """Every table and queue, to be compared with later."""
        tables = {name: self.everything(name) for name in ("conversations", "messages", "tenants")}
        return json.dumps([tables, self.queue_lengths()], sort_keys=True, default=str)

    def queue_lengths(self) -> dict[str, int]:
        """How many messages each queue holds, the delayed ones too."""
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        found = {
            purpose: self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
            for purpose, url in self._queue_urls.items()
        }
        return {purpose: sum(map(int, attributes.values())) for purpose, attributes in found.items()}

    def tenant(self, address: str = f"whatsapp:{OWN}", **attributes: Any) -> None:
        """Changes how a tenant wants to be spoken for; before the first message, because tenants are cached."""
        item = dict(TENANTS.get(address, {})) | {"address": address} | attributes
        self.table("tenants").put_item(Item={name: value for name, value in item.items() if value is not None})

    def secret(self, name: str, **fields: str) -> None:
        """A new secret, or a new value of one: what it held is then the previous value."""
        text = json.dumps(fields)
        try:
            self.secrets_manager.create_secret(Name=name, SecretString=text)
        except self.secrets_manager.exceptions.ResourceExistsException:
            self.secrets_manager.put_secret_value(SecretId=name, SecretString=text)

    @cached_property
    def secrets_manager(self) -> Any:
        return boto3.client("secretsmanager")

    def table(self, purpose: str) -> Any:
        return self._dynamodb.Table(f"ai-multi-comms-{purpose}-{STAGE}")

    def minutes_pass(self, minutes: int = 5, person: str = PERSON, conversation_id: str = CONVERSATION) -> None:
        """Every moment that the record holds lies further back, so that a sweep finds it late."""
        record = self.record(person, conversation_id)
        moved = {name: _earlier(value, timedelta(minutes=minutes)) for name, value in record.items()}
        self.table("conversations").put_item(Item=moved)

    def kept_files(self) -> dict[str, tuple[str, bytes]]:
        """What the media bucket holds: type and content by key."""
        bucket = boto3.resource("s3").Bucket(f"ai-multi-comms-media-{STAGE}-{ACCOUNT_ID}")
        found = {each.key: each.get() for each in bucket.objects.all()}
        return {key: (each["ContentType"], each["Body"].read()) for key, each in found.items()}

    # --- the world outside

    def twilio_fault(self, kind: str, **options: Any) -> None:
        self._order(self.twilio_url, kind, options)

    def openai_fault(self, kind: str, **options: Any) -> None:
        self._order(self.openai_url, kind, options)

    def _order(self, url: str, kind: str, options: Mapping[str, Any]) -> None:
        response = self.http.post(f"{url}/_faults", json={"kind": kind, **options}, timeout=5)
        assert response.status_code == 201, response.text

    def engine_requests(self) -> list[Item]:
        """What the engine was asked, in order."""
        found: list[Item] = self.http.get(f"{self.openai_url}/_requests", timeout=5).json()["requests"]
        return found

    def engine_calls(self) -> list[str]:
        """Every call to OpenAI by its method and path, in order."""
        found = self.http.get(f"{self.openai_url}/_requests", timeout=5).json()["calls"]
        return [f"{call['method']} {call['path']}" for call in found]

    def sent(self, person: str | None = None) -> list[Item]:
        """What Twilio took from us, in order."""
        return [
            each
            for each in self._exchanged()
            if each["direction"] == "outbound-api" and (person is None or each["to"].endswith(person))
        ]

    def _exchanged(self) -> list[Item]:
        found: list[Item] = self.http.get(f"{self.twilio_url}/_people/messages", timeout=5).json()["messages"]
        return found

    def texts_sent(self, person: str | None = None) -> list[str]:
        return [message["body"] for message in self.sent(person)]

    def await_callbacks(self, *statuses: str) -> None:
        """Waits until Twilio has called back with each of these statuses for the newest message that it took."""
        newest = self.sent()[-1]["sid"]
        self.until(lambda: set(statuses) <= self._called_back(newest), f"callbacks {statuses}")

    def _called_back(self, sid: str) -> set[str]:
        events = self.http.get(f"{self.twilio_url}/_events", timeout=5).json()["events"]
        return {event["message_status"] for event in events if event["kind"] == "callback" and event["sid"] == sid}

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits for something that a stand-in does by itself. Fails after ten seconds."""
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, f"{what} never came"
            time.sleep(0.005)

    # --- counting

    @contextmanager
    def counted(self) -> Iterator[list[Call]]:
        """The requests to AWS that the application makes meanwhile for this test, not for callbacks that come in."""
        before = len(self.calls)
        found: list[Call] = []
        yield found
        found += [call for call in self.calls[before:] if call.thread == get_ident()]

    def take_note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if self._working and self._working[-1][1] == get_ident():
            call = Call(self._working[-1][0], model.service_model.service_name, model.name, params)
            self.calls.append(call)
            self._demand_allowed(call)

    def _demand_allowed(self, call: Call) -> None:
        """Answers as AWS does where the function's policy does not allow the request."""
        policy = self.policies.get(call.function)
        missing = [each for each in permissions(call) if policy is not None and not policy.allows(each)]
        if missing:
            self.denied.append(f"{call.function} may not {missing[0].action} {missing[0].resource}")
            error = {"Code": "AccessDeniedException", "Message": self.denied[-1]}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}, call.operation)

    @contextmanager
    def at_work(self, function: str) -> Iterator[None]:
        """What happens meanwhile is done by this function of the application, with its rights."""
        with self.door:
            if self.apart and function != self._last:
                relay.cache_clear()
            self._last = function
            self._working.append((function, get_ident()))
            try:
                yield
            finally:
                self._working.pop()


def permissions(call: Call) -> list[Permission]:
    """What a request needs of IAM, here."""
    return permissions_of(call.service, call.operation, call.params, region="eu-west-2", account=ACCOUNT_ID)


@contextmanager
def installation(patch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage with its surroundings; each test begins a new day in it."""
    for name, value in _ENVIRONMENT.items():
        patch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "CONVERSATIONS_TABLE", "MESSAGES_TABLE", "TENANTS_TABLE"):
        patch.delenv(name, raising=False)
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        make_tables_and_queues()
        bridge = _Bridge()
        bridge_url = stack.enter_context(running(bridge.app))
        twilio = stack.enter_context(running(twilio_stand_in(_twilio_config(bridge_url))))
        openai = stack.enter_context(running(openai_stand_in(think_seconds=0)))
        patch.setenv("TWILIO_API_BASE_URL", twilio)
        patch.setenv("OPENAI_BASE_URL", f"{openai}/v1")
        client = Client(front_door.app, stage_name=STAGE, project_dir=str(ROOT))
        stage = bridge.stage = Stage(bridge_url, twilio, openai, client, RLock(), AwsAsItWas())
        make_tenants_and_secrets(stage)
        stage.aws.remember()
        hook = ("before-parameter-build", lambda params, model, **_: stage.take_note(params, model))
        patch.setattr(botocore.session, "create_loader", lambda *_: _LOADER)
        patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, hook])
        stack.callback(stage.end)
        yield stage


#: What AWS's services look like, read once and not for every client.
_LOADER = botocore.loaders.create_loader()

_ENVIRONMENT = {
    "STAGE": STAGE,
    "AWS_REGION": "eu-west-2",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "BURST_IDLE_SECONDS": "0",
    "BURST_MAX_SECONDS": "90",
}


class AwsAsItWas:
    """Brings tables, secrets and queues back to what they were, in the memory that holds them."""

    def remember(self) -> None:
        self._tables = deepcopy(self._backend("dynamodb").tables)
        self._secrets = deepcopy(self._backend("secretsmanager").secrets)

    def restore(self) -> None:
        for bucket in get_backend("s3")[ACCOUNT_ID]["aws"].buckets.values():
            bucket.keys.clear()
        self._backend("dynamodb").tables = deepcopy(self._tables)
        self._backend("secretsmanager").secrets = deepcopy(self._secrets)
        for queue in self._backend("sqs").queues.values():
            queue._messages = []
            queue._pending_messages = set()

    def _backend(self, service: str) -> Any:
        return get_backend(service)[ACCOUNT_ID]["eu-west-2"]


class _Bridge:
    """Lets HTTP in: whatever Twilio's stand-in posts goes to the front door."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        self.app = Flask(__name__)
        self.app.add_url_rule("/<path:path>", view_func=self._pass, methods=["POST"])

    def _pass(self, path: str) -> Response:
        stage = self.stage
        assert stage is not None
        with stage.door:
            day, _, rest = path.partition("/")
            if day != f"day{stage.day}":
                return Response(status=503)
            stage.callback_paths.append(f"/{rest}")
            response = stage.request("POST", f"/{rest}", request.get_data(), dict(request.headers.items()))
        return Response(response.body, response.status_code, mimetype="text/xml")


def tables_and_queues() -> dict[str, Any]:
    """The template without what watches: moto's CloudFormation makes no alarms."""
    template: dict[str, Any] = json.loads((ROOT / ".chalice/resources.json").read_text())
    kinds = ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::S3::Bucket")
    kept = {name: each for name, each in template["Resources"].items() if each["Type"] in kinds}
    return {**template, "Resources": kept}


def make_tables_and_queues() -> None:
    """Those of the template that is deployed."""
    boto3.client("cloudformation").create_stack(
        StackName="relay",
        TemplateBody=json.dumps(tables_and_queues()),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
    )


def make_tenants_and_secrets(stage: Stage) -> None:
    for address in TENANTS:
        stage.tenant(address)
    stage.secret(TWILIO_SECRET, twilio_account_sid=ACCOUNT, twilio_auth_token=TOKEN)
    stage.secret(OTHER_TWILIO_SECRET, account_sid=OTHER_ACCOUNT, auth_token=OTHER_TOKEN)
    stage.secret(OPENAI_SECRET, ai_api_key=API_KEY)


def conversation_record(person: str = PERSON, conversation_id: str = CONVERSATION) -> Item:
    """A record with everything that the outbound engine usually writes."""
    return {
        "primary_channel": person,
        "conversation_id": conversation_id,
        "channel_method": "whatsapp",
        "recipient_tel": person,
        "recipient_first_name": "Amara",
        "company_id": "company-123",
        "company_name": "Cucumber Recruitment",
        "project_id": "project-456",
        "project_name": "Clarify CV",
        "project_status": "active",
        "allowed_channels": ["whatsapp", "sms"],
        "comms_consent": True,
        "conversation_status": "initial_message_sent",
        "thread_id": "thread_abc123xyz",
        "credentials_reference": TWILIO_SECRET,
        "ai_config": {"assistant_id_replies": "asst_1", "api_key_reference": OPENAI_SECRET},
        "hand_off_to_human": False,
        "auto_queue_reply_message": False,
        "messages": [{"message_id": "SM0", "role": "assistant", "content": "Hello Amara, may we ask about your CV?"}],
        "task_complete": 0,
        "project_data": {"role": "Nurse", "score": 7},
        "created_at": "2026-11-20T09:00:00.000Z",
        "updated_at": "2026-11-20T09:00:00.000Z",
        "gsi_company": "company-123",
    }


def payload(name: str) -> bytes:
    """The body of a webhook as it came in."""
    return (PAYLOADS / f"{name}.form").read_bytes()


def names_of_payloads(prefix: Sequence[str]) -> list[str]:
    return sorted(path.stem for path in PAYLOADS.glob("*.form") if path.stem.startswith(tuple(prefix)))


def fields_of(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def new_sid() -> str:
    return f"SM{uuid4().hex}"


def form_of(
    text: str, *, person: str = PERSON, own: str = OWN, sms: bool = False, sid: str | None = None, **more: str
) -> tuple[str, bytes]:
    """The route and the body of a text message; `more` sets further parameters."""
    prefix = "" if sms else "whatsapp:"
    sid = sid or new_sid()
    fields = {
        "MessageSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": ACCOUNT,
        "From": prefix + person,
        "To": prefix + own,
        "Body": text,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
    }
    return ("/sms" if sms else "/whatsapp"), urlencode(fields | more).encode()


def sqs_event(queue: str, body: str, *, attempt: int = 1) -> Item:
    """One message as Lambda's event source mapping hands it over."""
    record = {
        "messageId": str(uuid4()),
        "receiptHandle": f"AQEB{uuid4().hex}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(attempt),
            "SentTimestamp": "1795368780000",
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": "1795368780500",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-2:123456789012:{queue}",
        "awsRegion": "eu-west-2",
    }
    return {"Records": [record]}


def queue_name(purpose: str) -> str:
    return f"ai-multi-comms-{purpose}-queue-{STAGE}"


def _twilio_config(base_url: str) -> Config:
    numbers = (f"whatsapp:{OWN}", OWN, OWN_AMERICAN)
    config = Config(
        accounts=(Account(ACCOUNT, TOKEN), Account(OTHER_ACCOUNT, OTHER_TOKEN)),
        numbers=(
            *(Number(address, ACCOUNT, "") for address in numbers),
            Number(f"whatsapp:{OTHER_OWN}", OTHER_ACCOUNT, ""),
        ),
    )
    return replace(config.with_app(base_url), step_seconds=0.002)


def _earlier(value: Any, by: timedelta) -> Any:
    """The same value with every moment in it moved back."""
    if isinstance(value, Mapping):
        return {name: _earlier(each, by) for name, each in value.items()}
    if isinstance(value, list):
        return [_earlier(each, by) for each in value]
    if isinstance(value, str) and len(value) == len("2026-11-22T17:33:00.000Z") and value.endswith("Z"):
        moved = datetime.fromisoformat(value).astimezone(UTC) - by
        return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
