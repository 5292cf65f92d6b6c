"""The processes of a laptop, with their application in a directory of its own, and what can be seen of them."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import boto3
import requests

from local.seed import MODEL
from local.serving import HOST
from local.stack import (
    CHALICE,
    PROJECT,
    STAGE,
    Child,
    Urls,
    child_environment,
    choose_ports,
    end_all,
    environment,
)
from tests.kill.plan import COMPANIES, Plan, Talk

QUEUES = ("whatsapp-replies", "sms-replies", "email-replies", "sender")
OPENAI_SECRET = "ai-credentials/kill/openai"
SWEEP_SECONDS = 2.0  # every schedule of a worker fires this often

#: What `chalice local`, the worker and the application read; the rest of the project is not needed.
_APPLICATION = ("app.py", "chalicelib")

Item = dict[str, Any]


@dataclass
class Installation:
    """What runs. `happened` is what was done to it: when, and what."""

    plan: Plan
    logs: Path
    application: Path
    urls: Urls
    children: dict[str, Child] = field(default_factory=dict)
    happened: list[tuple[datetime, str]] = field(default_factory=list)

    # --- processes

    def start(self, name: str) -> Child:
        """Starts a process, without waiting for it."""
        command = [sys.executable, *self._arguments(name)]
        in_project = name in ("aws", "twilio", "openai", "resources")
        child = Child(
            name, command, self._variables(), logs=self.logs, directory=PROJECT if in_project else self.application
        )
        self.children[name] = child
        return child

    def kill(self, name: str) -> None:
        """SIGKILL, and a new start at once. Raises StackFailed where the process has ended by itself."""
        self.children[name].kill()
        self.tell(f"{name} is killed")
        self.start(name)

    def tell(self, sentence: str) -> None:
        self.happened.append((datetime.now(UTC), sentence))

    def _arguments(self, name: str) -> tuple[str, ...]:
        if name == "app":
            return (
                *CHALICE,
                "local",
                "--stage",
                STAGE,
                "--host",
                HOST,
                "--port",
                _port(self.urls.app),
                "--no-autoreload",
            )
        if name.startswith("worker"):
            return ("-m", "local", "worker", "--stage", STAGE, "--schedule-seconds", f"{SWEEP_SECONDS:g}")
        if name == "twilio":
            config = self.logs / "twilio.json"
            config.write_text(json.dumps(asdict(self.plan.twilio(self.urls.app))))
            return ("-m", "local", "twilio", "--port", _port(self.urls.twilio), "--config", str(config))
        if name == "openai":
            return ("-m", "local", "openai", "--port", _port(self.urls.openai), "--think-seconds", "0.2")
        if name == "resources":
            return ("-m", "ops", "resources", "--stage", STAGE)
        return ("-m", "local", name, "--port", _port(self.urls.aws))

    def _variables(self) -> dict[str, str]:
        plan = self.plan
        bursts = {"burst_seconds": plan.burst_idle, "burst_max_seconds": plan.burst_max}
        return child_environment(
            {**environment(self.urls, **bursts), "PATIENCE": f"{plan.patience:g}", "PYTHONPATH": str(PROJECT)}
        )

    # --- the world outside

    def write(self, talk: Talk, text: str, *, delivered: bool) -> str:
        """A person writes; the provider's id of the message."""
        body = {"from": talk.address, "to": talk.own, "body": text, "profile_name": "Somebody", "deliver": delivered}
        return str(self.post(f"{self.urls.twilio}/_people/messages", body)["sid"])

    def post(self, url: str, body: Mapping[str, Any]) -> Item:
        answer = requests.post(url, json=dict(body), timeout=60)
        answer.raise_for_status()
        found: Item = answer.json() if answer.content else {}
        return found

    def get(self, url: str) -> Item:
        answer = requests.get(url, timeout=60)
        answer.raise_for_status()
        found: Item = answer.json()
        return found

    # --- tables and queues

    def items(self, variable: str) -> list[Item]:
        """Everything in a table, by the variable that names it."""
        table = self.resource("dynamodb").Table(environment(self.urls)[variable])
        found: list[Item] = []
        more: Item = {}
        while True:
            answer = table.scan(ConsistentRead=True, **more)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def queue(self, purpose: str, *, dead: bool = False) -> Any:
        return self.resource("sqs").get_queue_by_name(QueueName=_queue_name(purpose, dead=dead))

    def depth(self, purpose: str) -> int:
        """Messages in a queue, whether they can be seen or not."""
        attributes = self.queue(purpose).attributes
        kinds = ("", "Delayed", "NotVisible")
        return sum(int(attributes[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)

    def drained(self, purpose: str, *, dead: bool = False) -> list[Any]:
        """What lies in a queue, which is empty afterwards."""
        queue, found = self.queue(purpose, dead=dead), []
        while batch := queue.receive_messages(MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0):
            for message in batch:
                message.delete()
            found += batch
        return found

    def resource(self, service: str) -> Any:
        session: Any = boto3.Session("local", "local", region_name="eu-west-2")
        return session.resource(service, endpoint_url=self.urls.aws)


@contextmanager
def running(plan: Plan, source: Path, logs: Path) -> Iterator[Installation]:
    """Everything, ready; gone when the block is left. `source` is where the application is taken from."""
    ports, _ = choose_ports(dict.fromkeys(("phone", "app", "aws", "twilio", "openai"), 0))
    made = Installation(plan, logs, _application(plan, source, logs), Urls.at(ports))
    try:
        for name in ("aws", "twilio", "openai"):
            made.start(name)
        for name in ("aws", "twilio", "openai"):
            made.children[name].wait_until_ready()
        made.start("resources").wait_until_done()
        _furnish(made)
        app, workers = made.start("app"), [made.start(f"worker-{number + 1}") for number in range(plan.workers)]
        for worker in workers:
            worker.wait_until_ready()
        app.wait_until_answering(f"{made.urls.app}/health")
        yield made
    finally:
        end_all(list(made.children.values()))


def new_logs() -> Path:
    return Path(tempfile.mkdtemp(prefix="ai-multi-comms-kill-"))


def _application(plan: Plan, source: Path, logs: Path) -> Path:
    """A copy of the application whose functions have less time, as its queues and the relay itself do."""
    directory = logs / "application"
    directory.mkdir()
    shutil.copy(source / "app.py", directory)
    shutil.copytree(source / "chalicelib", directory / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    config = json.loads((source / ".chalice/config.json").read_text())
    (directory / ".chalice").mkdir()
    (directory / ".chalice/config.json").write_text(json.dumps(_hurried(config, plan.patience)))
    return directory


def _hurried(config: Any, factor: float) -> Any:
    if isinstance(config, dict):
        return {
            name: value * factor if name == "lambda_timeout" else _hurried(value, factor)
            for name, value in config.items()
        }
    return config


def _furnish(made: Installation) -> None:
    """Visibility timeouts, secrets, tenants and conversations."""
    for purpose in QUEUES:
        queue = made.queue(purpose)
        seconds = ceil(int(queue.attributes["VisibilityTimeout"]) * made.plan.patience)
        queue.set_attributes(Attributes={"VisibilityTimeout": str(seconds)})
    secrets: Any = boto3.Session("local", "local", region_name="eu-west-2").client(
        "secretsmanager", endpoint_url=made.urls.aws
    )
    secrets.create_secret(Name=OPENAI_SECRET, SecretString=json.dumps({"ai_api_key": "sk-not-a-real-key"}))
    names = environment(made.urls)
    tenants = made.resource("dynamodb").Table(names["TENANTS_TABLE"])
    for company in COMPANIES:
        value = {"twilio_account_sid": company.account.sid, "twilio_auth_token": company.account.auth_token}
        secrets.create_secret(Name=company.secret, SecretString=json.dumps(value))
        for own in company.addresses:
            address = own if own.startswith("whatsapp:") else f"sms:{own}"
            tenants.put_item(Item={"address": address, **_of_company(company.name, company.secret)})
    conversations = made.resource("dynamodb").Table(names["CONVERSATIONS_TABLE"])
    for talk in made.plan.talks():
        conversations.put_item(Item=_record(talk))


def _of_company(name: str, secret: str) -> Item:
    return {
        "company_id": name,
        "company_name": name.title(),
        "project_id": "jobs",
        "project_name": "Jobs",
        "credentials_reference": secret,
        "ai_config": {"model": MODEL, "api_key_reference": OPENAI_SECRET, "max_output_tokens": 4000},
    }


def _record(talk: Talk) -> Item:
    """As the outbound engine leaves it after its first message."""
    own = talk.own.removeprefix("whatsapp:")
    channel = "whatsapp" if talk.is_whatsapp else "sms"
    opening = {"message_id": f"m{talk.number}", "role": "assistant", "content": "Hello, may we ask about your CV?"}
    return {
        "primary_channel": talk.person,
        "conversation_id": talk.conversation_id,
        "channel_method": channel,
        "recipient_tel": talk.person,
        "project_status": "active",
        "allowed_channels": ["whatsapp", "sms"],
        "comms_consent": True,
        "conversation_status": "initial_message_sent",
        "channel_config": {f"company_{channel}_number": own},
        "hand_off_to_human": False,
        "messages": [opening],
        "created_at": "2026-11-20T09:00:00.000Z",
        "updated_at": "2026-11-20T09:00:00.000Z",
        **_of_company(talk.company.name, talk.company.secret),
    }


def _queue_name(purpose: str, *, dead: bool) -> str:
    return f"ai-multi-comms-{purpose}-queue-{'dlq-' if dead else ''}{STAGE}"


def _port(url: str) -> str:
    return url.removesuffix("/v1").rpartition(":")[2]


def until(holds: Any, seconds: float, pause: float = 0.5) -> bool:
    """Whether something holds within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
