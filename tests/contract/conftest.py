"""The walls behind which the adapters are tried: moto in this process, and the laptop's AWS in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.contract.shelves import ROOT, Shelf, TableShelf, TwinShelf, build, sdk

REAL = ("moto", "stand-in")
ALL = ("twin", *REAL)


@pytest.fixture(scope="session")
def stand_in() -> Iterator[str]:
    """The endpoint of the laptop's AWS, with the template's tables and queues in it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.aws", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith("ready aws "), "the laptop's AWS does not start"
        endpoint = line.split()[-1]
        build(endpoint)
        yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@pytest.fixture(scope="module")
def moto() -> Iterator[None]:
    with mock_aws():
        build(None)
        yield


@pytest.fixture(params=ALL)
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if request.param == "twin":
        yield TwinShelf()
    else:
        yield from _table(request)


@pytest.fixture(params=REAL)
def table(request: pytest.FixtureRequest) -> Iterator[TableShelf]:
    yield from _table(request)


def _table(request: pytest.FixtureRequest) -> Iterator[TableShelf]:
    endpoint = request.getfixturevalue("stand_in") if request.param == "stand-in" else None
    if endpoint is None:
        request.getfixturevalue("moto")
    shelf = TableShelf(sdk("dynamodb", endpoint))
    yield shelf
    shelf.forget()
