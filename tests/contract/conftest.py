"""The walls behind which the adapters are tried.

moto in this process, the laptop's AWS in a process of its own, and AWS's own DynamoDB Local where it can be had.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.backends import dynamodb_local as aws_local
from tests.backends.locked_moto import locked_moto
from tests.contract.shelves import ROOT, Shelf, TableShelf, TwinShelf, build, create_tables, sdk

#: Where everything of AWS is that the adapters use, and where tables are.
REAL = ("moto", "stand-in")
TABLES = (*REAL, "dynamodb-local")


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
    with locked_moto():
        build(None)
        yield


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The endpoint of AWS's DynamoDB Local, with the template's tables in it."""
    try:
        with aws_local.running() as endpoint:
            dynamodb = aws_local.made_up_for(sdk("dynamodb", endpoint))
            create_tables(dynamodb)
            yield endpoint
    except aws_local.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=("twin", *TABLES))
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if request.param == "twin":
        yield TwinShelf()
    else:
        yield from _table(request)


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> Iterator[TableShelf]:
    yield from _table(request)


def _table(request: pytest.FixtureRequest) -> Iterator[TableShelf]:
    shelf = TableShelf(sdk("dynamodb", endpoint_of(request, request.param)))
    yield shelf
    shelf.forget()


def endpoint_of(request: pytest.FixtureRequest, backend: str) -> str | None:
    """Where this backend is; None for moto, which is in this process."""
    endpoint: str | None = request.getfixturevalue(backend.replace("-", "_"))
    return endpoint
