"""No test reaches the world outside this machine, and none speaks with anybody's real credentials."""

import os
import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

_DUMMY = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-west-2",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_UNWANTED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")


class OutsideWorldError(Exception):
    """A test tried to connect to something that is not on this machine."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Whatever was not tried is counted, with the reason."""
    skipped = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, times in skipped.items():
        terminalreporter.write_line(f"{times} tests not run. {reason}", yellow=True)


@pytest.fixture(scope="session", autouse=True)
def _on_this_machine_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _nobodys_credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _DUMMY.items():
            patch.setenv(name, value)
        for name in _UNWANTED:
            patch.delenv(name, raising=False)
        yield


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX and not _is_loopback(str(address[0])):
            raise OutsideWorldError(f"a test must not connect to {address[0]}")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
