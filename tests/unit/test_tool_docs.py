"""The examples of `docs/adding-a-tool.md` do what the page says."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.model import AiSettings
from chalicelib.tools import TOOLS, ToolTable
from chalicelib.tools.outside import Outside
from chalicelib.tools.signing import keys_of, signed
from tests.tool_server import ToolServer, tool_server
from tests.twins import cast
from tests.twins.clock import TwinClock
from tests.twins.idempotency import TwinIdempotencyRecords, nobody
from tests.twins.journal import TwinJournal
from tests.twins.secrets import TwinSecrets
from tests.unit.test_webhook_tools import KEY, OTHER_KEY, SECRET, Bench

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding-a-tool.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/adding-a-tool.md", "exec"), names)  # noqa: S102 - our own page
    return names


@pytest.fixture
def server() -> Iterator[ToolServer]:
    with tool_server() as running:
        yield running


def test_the_function_of_the_page_can_be_used_by_a_tenant_that_names_it() -> None:
    function, _ = examples("python")
    clock = TwinClock()
    table = ToolTable(
        secrets=TwinSecrets(clock),
        records=TwinIdempotencyRecords(),
        clock=clock,
        journal=TwinJournal(),
        outside=Outside(resolve=nobody),
        functions=(*TOOLS, run(function)["opening_hours"]),
    )
    box = table.of(cast.turn(settings=AiSettings(tools=("opening_hours",))))
    assert [spec.name for spec in box.specs()] == ["opening_hours"]
    told = [
        box.use("opening_hours", json.dumps({"city": city, "day": "weekday"}), seconds_left=60).output
        for city in ("Leeds", "Rome")
    ]
    assert told == ['{"open": "8:30 to 16:30"}', '{"error": "there is no office in that city"}']


def test_the_tool_of_the_page_is_declared_as_tenants_declare_theirs(server: ToolServer) -> None:
    from chalicelib.aws.items import ai_settings_of

    declared = json.loads(examples("json")[0])
    bench = Bench(server.outside())
    turn = cast.turn(settings=ai_settings_of({**declared, "tools": []}))
    assert [spec.name for spec in bench.table.of(turn).specs()] == ["book_visit"]
    assert bench.journal.of("tool_left_out") == []


def test_the_servers_check_of_the_page_knows_what_is_ours(server: ToolServer) -> None:
    is_genuine = run(examples("python")[1])["is_genuine"]
    keys = keys_of([{"signing_secret": OTHER_KEY}, {"signing_secret": KEY}])
    headers = dict(signed("key", datetime.now(UTC), b"{}", keys))
    assert is_genuine(headers, b"{}", KEY)
    assert is_genuine(headers, b"{}", OTHER_KEY)
    assert not is_genuine(headers, b"{ }", KEY)
    assert not is_genuine(headers | {"webhook-id": "another"}, b"{}", KEY)
    assert not is_genuine(headers | {"webhook-timestamp": str(int(time.time()) - 100)}, b"{}", KEY)
    assert not is_genuine({}, b"{}", KEY)
    old = dict(signed("key", datetime.fromtimestamp(time.time() - 400, UTC), b"{}", keys))
    assert not is_genuine(old, b"{}", KEY)


def test_the_servers_check_of_the_page_takes_a_request_as_it_arrives(server: ToolServer) -> None:
    bench = Bench(server.outside())
    bench.clock.advance_to(datetime.now(UTC))
    bench.secrets.put(SECRET, {"signing_secret": KEY})
    bench.use()
    (request,) = server.requests
    assert run(examples("python")[1])["is_genuine"](request.headers, request.body, KEY)
