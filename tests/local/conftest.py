"""Starts the laptop's AWS as a developer does, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-west-2"
Client = Callable[[str], Any]


def environment(endpoint: str | None = None) -> dict[str, str]:
    """What a process of ours gets: this machine's basics, the stand-in's address, and nobody's real credentials."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    aws = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    aws |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    return kept | aws | {"PYTHONPATH": str(ROOT)} | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})


@contextmanager
def stand_in(**options: Any) -> Iterator[str]:
    """Yields the endpoint; afterwards the process must end by itself, with code 0."""
    command = [sys.executable, "-m", "local.aws", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, **{"cwd": ROOT, "env": environment(), **options}
    )
    assert process.stdout
    line = process.stdout.readline()
    try:
        assert line.startswith("ready aws http://127.0.0.1:"), line
        yield line.split()[-1]
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(timeout=10) == 0


def clients(endpoint: str) -> Client:
    """Makes SDK clients for that AWS."""
    session: Any = boto3.Session("local", "local", region_name=REGION)
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    return lambda service: session.client(service, endpoint_url=endpoint, config=config)


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    with stand_in() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def client(aws_endpoint: str) -> Client:
    return clients(aws_endpoint)
