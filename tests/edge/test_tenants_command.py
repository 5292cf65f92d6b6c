"""The operator puts tenants from a file; what is wrong in it is told with its place, and then nothing is written."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.model import AiSettings, Channel, Tenant
from chalicelib.wiring import relay
from ops.__main__ import main
from ops.tenants import AiConfig, TenantItem
from tests.edge.stage import OPENAI_SECRET, OWN, STAGE, TWILIO_SECRET, Stage

ADDRESS = f"whatsapp:{OWN}"

#: Every field that a tenant can have, with a value that no default has.
EXAMPLE: dict[str, Any] = {
    "address": "whatsapp:+447700900111",
    "company_id": "company-7",
    "company_name": "Pickle Recruitment",
    "project_id": "project-7",
    "project_name": "Second round",
    "credentials_reference": TWILIO_SECRET,
    "ai_config": {
        "engine": "responses",
        "model": "gpt-6-luna",
        "instructions": "Be brief.\nAsk one question at a time.",
        "api_key_reference": OPENAI_SECRET,
        "tools": ["hand_off_to_human"],
        "webhook_tools": [
            {
                "name": "book_visit",
                "description": "Books a visit.",
                "parameters": {
                    "type": "object",
                    "properties": {"hour": {"type": "integer", "minimum": 8}},
                    "required": ["hour"],
                    "additionalProperties": False,
                },
                "url": "https://tools.example.com/visits",
                "secret_reference": "tool-credentials/pickle-recruitment/visits",
            }
        ],
        "longest_answer": 600,
        "max_output_tokens": 400,
        "history_tokens": 4_000,
        "assistant_id_replies": "asst_7",
        "moderation": "both",
        "check_needs_human": True,
        "transcription_model": "gpt-transcribe",
    },
    "burst_idle_seconds": 20,
    "burst_max_seconds": 60,
    "unknown_senders": "open_conversation",
    "fallback_text": "Please call {company_name}.",
    "fallback_window_seconds": 600,
    "apology_text": "Sorry, {company_name} will call you.",
    "on_new_message": "send_then_continue",
    "sms_max_segments": 3,
    "closed_window_template": {"content_sid": "HX" + "0123456789abcdef" * 2, "variables": {"1": "{person_name}"}},
    "typing_indicator": True,
    "limits": {"turns_a_day": 20, "tokens_a_day": 100_000, "tokens_a_month": 1_000_000},
    "messaging_service_sid": "MG" + "0123456789abcdef" * 2,
}

YAML = f"""
tenants:
  - address: {ADDRESS}
    company_id: company-123
    company_name: Cucumber Recruitment
    credentials_reference: {TWILIO_SECRET}
    unknown_senders: ignore
"""


def tenants(action: str, *more: str) -> int:
    return main(["tenants", action, "--stage", STAGE, *more])


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Any], str]:
    """A file with this content: YAML as it is, anything else as JSON."""

    def made(content: Any) -> str:
        path = tmp_path / ("tenants.yaml" if isinstance(content, str) else "tenants.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return made


# --- the code and the schema agree


def test_the_example_has_every_field_of_the_schema() -> None:
    assert (set(EXAMPLE), set(EXAMPLE["ai_config"])) == (set(TenantItem.model_fields), set(AiConfig.model_fields)), (
        "give EXAMPLE above a value for each field of ops/tenants.py"
    )


def test_a_tenant_comes_back_as_it_was_put(stage: Stage, file: Callable[[Any], str], capsys: Any) -> None:
    assert tenants("put", file(EXAMPLE)) == 0
    capsys.readouterr()
    assert tenants("get", EXAMPLE["address"]) == 0
    shown = capsys.readouterr().out
    assert tenants("put", file(shown)) == 0
    assert f"unchanged {EXAMPLE['address']}" in capsys.readouterr().out


def test_every_setting_of_a_tenant_reaches_the_application(stage: Stage, file: Callable[[Any], str]) -> None:
    assert tenants("put", file(EXAMPLE)) == 0
    found = relay().tenants.at(Channel.WHATSAPP, EXAMPLE["address"].partition(":")[2])
    assert found is not None
    plain = Tenant(channel=Channel.SMS, address="")
    untouched = [
        each.name for each in dataclasses.fields(Tenant) if getattr(found, each.name) == getattr(plain, each.name)
    ]
    untouched += [each.name for each in dataclasses.fields(AiSettings) if getattr(found.ai, each.name) is None]
    assert untouched == [], "ops/tenants.py cannot put these, or EXAMPLE above gives them their default"


# --- putting


def test_a_file_in_yaml_is_written_and_says_what_changed(stage: Stage, file: Callable[[Any], str], capsys: Any) -> None:
    assert tenants("put", file(YAML)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"changed (ai_config, project_id, project_name, unknown_senders) {ADDRESS}"
    assert stage.table("tenants").get_item(Key={"address": ADDRESS})["Item"]["unknown_senders"] == "ignore"


def test_checking_a_file_says_what_putting_it_would_change_and_writes_nothing(
    stage: Stage, file: Callable[[Any], str], capsys: Any
) -> None:
    before = stage.all_that_is_written()
    assert tenants("check", file(YAML)) == 0
    assert capsys.readouterr().out.startswith("would be changed (")
    assert stage.all_that_is_written() == before


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: {"tenants": [one]}], ids="abc")
def test_one_tenant_a_list_or_a_list_by_name_is_accepted(
    stage: Stage, file: Callable[[Any], str], wrap: Callable[[Any], Any]
) -> None:
    assert tenants("put", file(wrap(EXAMPLE))) == 0


# --- what is wrong


def _with_tool(**changes: Any) -> dict[str, Any]:
    """The example with something else in its tool."""
    config = EXAMPLE["ai_config"]
    return EXAMPLE | {"ai_config": config | {"webhook_tools": [config["webhook_tools"][0] | changes]}}


WRONG: dict[str, tuple[Any, str]] = {
    "a misspelt field": (
        EXAMPLE | {"compny_name": "x"},
        "compny_name: there is no such field; do you mean company_name?",
    ),
    "a misspelt field inside": (
        EXAMPLE | {"ai_config": {"modle": "x"}},
        "ai_config.modle: there is no such field; do you mean model?",
    ),
    "a field that is like none": (EXAMPLE | {"zzz": 1}, "zzz: there is no such field; there are address, company_id"),
    "a missing field": (
        {name: value for name, value in EXAMPLE.items() if name != "company_id"},
        "company_id: is missing; it must be the company's id in the outbound engine",
    ),
    "a number for a text": (EXAMPLE | {"company_id": 7}, "company_id: is not a text; put it in quotes"),
    "a text for a number": (
        EXAMPLE | {"burst_idle_seconds": "20"},
        "burst_idle_seconds ('20'): input should be a valid integer; it must be whole seconds, 0 to 900",
    ),
    "too many seconds": (EXAMPLE | {"burst_max_seconds": 901}, "burst_max_seconds (901): input should be less than"),
    "windows the wrong way round": (EXAMPLE | {"burst_max_seconds": 5}, "burst_max_seconds must not be less than"),
    "an address without channel": (
        EXAMPLE | {"address": OWN},
        f"address ('{OWN}'): string should match pattern",
    ),
    "an unknown wish": (EXAMPLE | {"unknown_senders": "drop"}, "it must be one of fallback, open_conversation, ignore"),
    "an unknown engine": (EXAMPLE | {"ai_config": {"engine": "gpt"}}, "there is no such engine; it must be one of"),
    "an unknown tool": (
        EXAMPLE | {"ai_config": {"tools": ["hand_of_to_human"]}},
        "ai_config.tools: there is no tool hand_of_to_human; do you mean hand_off_to_human?",
    ),
    "a tool over plain http": (
        _with_tool(url="http://tools.example.com/"),
        "it is no https URL, or holds a user or a fragment",
    ),
    "a tool's schema that is open": (_with_tool(parameters={"type": "object"}), "must say additionalProperties: false"),
    "a tool by the name of a function": (_with_tool(name="complete_task"), "a function has this name"),
    "a tool's secret that nobody may read": (
        _with_tool(secret_reference="openai/key"),
        "no function may read this secret here; its name must fit one of tool-credentials/*",
    ),
    "an unknown placeholder": (EXAMPLE | {"fallback_text": "{name}"}, "{name} is nothing that is filled in"),
    "a secret of the other kind": (
        EXAMPLE | {"credentials_reference": OPENAI_SECRET},
        "no function may read this secret here; its name must fit one of whatsapp-credentials/*",
    ),
    "an address twice": ([EXAMPLE, EXAMPLE], f"{EXAMPLE['address']}: is there 2 times"),
    "nothing at all": ({"tenants": []}, "there is no tenant in it"),
    "a name twice in yaml": ("address: a\naddress: b\n", "address is there twice"),
    "no yaml": ("{[", "cannot be read: expected the node content, but found '<stream end>' in line 1"),
    "no mapping": ("- just a text\n", "[0] ('just a text'): input should be a valid dictionary"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_written(
    stage: Stage, file: Callable[[Any], str], capsys: Any, content: Any, words: str
) -> None:
    before, path = stage.all_that_is_written(), file(content)
    assert tenants("put", path) == 1
    problems = capsys.readouterr().err
    assert words in problems
    assert all(line.startswith(f"{path}: ") for line in problems.splitlines())
    assert stage.all_that_is_written() == before


def test_all_problems_of_a_file_are_told_at_once_with_their_entries(
    stage: Stage, file: Callable[[Any], str], capsys: Any
) -> None:
    other = EXAMPLE | {"address": "sms:+447700900111", "company_id": "", "modle": "x"}
    assert tenants("put", file({"tenants": [EXAMPLE | {"compny": 1}, other]})) == 1
    places = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert places == ["tenants[0].compny", "tenants[1].company_id ('')", "tenants[1].modle"]


def test_a_file_that_is_not_there_is_told(stage: Stage, capsys: Any) -> None:
    assert tenants("put", "no-such-file.yaml") == 1
    assert "no-such-file.yaml: there is no such file" in capsys.readouterr().err


# --- looking


def test_every_address_is_listed(stage: Stage, capsys: Any) -> None:
    assert tenants("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(ADDRESS) and "Cucumber Recruitment" in line for line in lines)
    assert lines == sorted(lines)


def test_an_address_that_is_not_there_is_told_with_the_nearest(stage: Stage, capsys: Any) -> None:
    assert tenants("get", ADDRESS.replace("whatsapp", "whatsap")) == 1
    assert f"do you mean {ADDRESS}?" in capsys.readouterr().err


def test_a_tenant_that_somebody_else_wrote_wrongly_is_found(stage: Stage, capsys: Any) -> None:
    stage.tenant(ADDRESS, unknown_senders="drop", modle="x")
    assert tenants("check") == 1
    out = capsys.readouterr().out
    assert f"wrong {ADDRESS}" in out
    assert "modle: there is no such field; do you mean model" not in out
    assert "unknown_senders ('drop')" in out
