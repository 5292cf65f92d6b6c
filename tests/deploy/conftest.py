"""A copy of the project that is deployed to the laptop's AWS, with stand-ins for Twilio and OpenAI."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from local.demo_company import PEOPLE, Person
from local.openai import create_app as openai_stand_in
from local.seed import Cast, seed
from local.serving import running
from local.twilio import Config
from local.twilio import create_app as twilio_stand_in
from tests.local.conftest import REGION, ROOT, clients, environment, stand_in

STAGE = "dev"
SHIPPED = ("app.py", "chalicelib", "requirements.txt", ".chalice", "ops")
PATIENCE_SECONDS = 90.0
AMARA = PEOPLE[0]

Settings = dict[str, Any]

#: Where pyenv keeps the Pythons that it does not offer by name.
OTHER_PYTHONS = sorted(str(each) for each in Path.home().glob(".pyenv/versions/*/bin"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *OTHER_PYTHONS])


@dataclass
class Deployment:
    """A stage on the stand-in, and what an operator and a person can do with it."""

    project: Path
    endpoint: str
    openai: str
    cleanup: ExitStack
    twilio: str = ""
    outputs: list[str] = field(default_factory=list)

    def ops(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "ops", *arguments, "--stage", STAGE]
        env = environment(self.endpoint) | {"PYTHONPATH": str(self.project), "NO_PROXY": "127.0.0.1"}
        return subprocess.run(command, cwd=self.project, env=env, capture_output=True, text=True, timeout=600)

    def deploy(self, *arguments: str) -> list[str]:
        done = self.ops(
            "deploy", "--base-url", f"{self.endpoint}/restapis/{{rest_api_id}}/api/_user_request_", *arguments
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def configure(self, **variables: str) -> None:
        """Sets the environment of the stage's functions."""
        path = self.project / ".chalice/config.json"
        config = json.loads(path.read_text())
        config["stages"][STAGE]["environment_variables"] |= variables
        path.write_text(json.dumps(config))

    def client(self, service: str) -> Any:
        return clients(self.endpoint)(service)

    @property
    def recorded(self) -> list[Settings]:
        """What Chalice says it deployed."""
        found: list[Settings] = json.loads((self.project / f".chalice/deployed/{STAGE}.json").read_text())["resources"]
        return found

    @property
    def api_id(self) -> str:
        return str(next(each["rest_api_id"] for each in self.recorded if each["resource_type"] == "rest_api"))

    @property
    def url(self) -> str:
        return f"{self.endpoint}/restapis/{self.api_id}/api/_user_request_"

    def connect(self) -> None:
        """Twilio posts to the deployed API, and a company and its people are there."""
        self.twilio = self.cleanup.enter_context(running(twilio_stand_in(Config.demo(self.url))))
        session = boto3.Session("local", "local", region_name=REGION)
        tables = {name: f"ai-multi-comms-{name.split('_')[0].lower()}-{STAGE}" for name in TABLES}
        seed(session, self.endpoint, tables, Cast())

    def write(self, person: Person, text: str) -> int:
        """A person's message, signed and posted as Twilio does; the webhook's status."""
        own = {"from": person.address, "to": person.writes_to, "body": text, "wait": True}
        answer = requests.post(f"{self.twilio}/_people/messages", json=own, timeout=PATIENCE_SECONDS)
        return int(answer.json()["webhook"]["status"])

    def answers(self, person: Person) -> list[Settings]:
        query = {"person": person.address, "own": person.writes_to}
        found = requests.get(f"{self.twilio}/_people/messages", params=query, timeout=PATIENCE_SECONDS).json()
        return [message for message in found["messages"] if message["direction"] != "inbound"]

    def wait_for(self, holds: Callable[[], Any]) -> Any:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (found := holds()):
            assert time.monotonic() < until, "it did not happen"
            time.sleep(0.5)
        return found


MACHINE = "arm64" if platform.machine() == "aarch64" else "x86_64"
TABLES = ("CONVERSATIONS_TABLE", "TENANTS_TABLE")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deployed twice: once from nothing, and once more when it knows its own address, as an operator does."""
    project = tmp_path_factory.mktemp("project")
    copy_project(project)
    with ExitStack() as cleanup:
        endpoint = cleanup.enter_context(stand_in())
        openai = cleanup.enter_context(running(openai_stand_in(think_seconds=0)))
        made = Deployment(project, endpoint, openai, cleanup)
        made.configure(OPENAI_BASE_URL=f"{openai}/v1", BURST_IDLE_SECONDS="1", BURST_MAX_SECONDS="5")
        made.outputs = made.deploy()
        yield made


def copy_project(project: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=ignored)
        else:
            shutil.copy(source, project / name)
    configuration = project / ".chalice/config.json"
    config = json.loads(configuration.read_text())
    config["stages"][STAGE] |= {"lambda_architecture": MACHINE, "xray": False}  # what the stand-in can run, and trace
    configuration.write_text(json.dumps(config))
    (ROOT / "build").mkdir(exist_ok=True)
    os.symlink(ROOT / "build", project / "build")  # packed dependencies are kept from run to run
