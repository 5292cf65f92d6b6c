"""Tenants: which company speaks at each of our own addresses, and how; put from a file, shown, listed, checked."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from chalicelib import engines
from chalicelib.aws.items import from_wire, item_to_wire
from chalicelib.config import LONGEST_DELAY, Settings, SettingsError
from chalicelib.model import Moderation, OnNewMessage, ToolSpec, UnknownSender
from chalicelib.tools import TOOLS
from chalicelib.tools.outside import usable
from chalicelib.tools.registry import faults_of
from chalicelib.wiring import Relay
from ops.entries import EntryError, Place, from_file, listed, nearest, problems_of
from ops.policies import PoliciesError, SecretNames

#: Running functions read a tenant again after this many minutes.
KNOWN_AFTER = 5

#: What a fallback may name.
PLACEHOLDERS = ("company_name", "project_name")

Text = Annotated[str, StringConstraints(min_length=1)]
Seconds = Annotated[int, Field(ge=0, le=int(LONGEST_DELAY.total_seconds()))]


def readable(kind: str, name: str | None) -> str | None:
    """Raises ValueError for a secret that no function may read as what it is meant to be."""
    if name is not None:
        try:
            found = SecretNames.from_file().kind_of(f"secret:{name}-AbCdEf")
        except PoliciesError:
            found = "neither kind"
        if found != kind:
            patterns = ", ".join(SecretNames.from_file().kinds[kind])
            raise ValueError(f"no function may read this secret here; its name must fit one of {patterns}")
    return name


def _engine(name: str) -> str:
    if name not in engines.MODULES:
        raise ValueError("there is no such engine")
    return name


class WebhookTool(BaseModel):
    """A tool of the tenant's own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="1 to 64 letters, digits, _ and -"
    )
    description: Text = Field(description="what it does, in words for the model")
    parameters: dict[str, Any] = Field(description="a JSON schema of type object, as OpenAI's strict mode takes it")
    url: Text = Field(description="an https URL, such as https://tools.example.com/visits")
    secret_reference: Text = Field(description="the name of a secret, such as tool-credentials/acme/visits")

    _secret = field_validator("secret_reference")(lambda name: readable("tool", name))

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in (each.name for each in TOOLS):
            raise ValueError("a function has this name")
        return name

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        if not usable(url):
            raise ValueError("it is no https URL, or holds a user or a fragment")
        return url

    @field_validator("parameters")
    @classmethod
    def _strict(cls, schema: dict[str, Any]) -> dict[str, Any]:
        wrong = faults_of(ToolSpec("tool", "It does something.", schema))
        if wrong:
            raise ValueError("; ".join(wrong))
        return schema


class AiConfig(BaseModel):
    """How a tenant's AI answers, or a conversation's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    engine: Annotated[str, AfterValidator(_engine)] | None = Field(
        default=None, description=f"one of {', '.join(engines.MODULES)}"
    )
    model: Text | None = Field(default=None, description="a name of the engine's, such as gpt-6-luna")
    instructions: Text | None = Field(default=None, description="what the AI is told about its task")
    api_key_reference: Text | None = Field(
        default=None,
        validation_alias=AliasChoices("api_key_reference", "ai_api_key_reference"),
        description="the name of a secret, such as ai-credentials/acme/openai",
    )
    tools: list[Text] | None = Field(default=None, description="a list of names; left out, the built-in ones")
    webhook_tools: list[WebhookTool] | None = Field(default=None, description="a list of tools with their URLs")
    longest_answer: Annotated[int, Field(ge=20)] | None = Field(
        default=None, description="a number of characters, 20 or more, as the model is told"
    )
    max_output_tokens: Annotated[int, Field(ge=16)] | None = Field(default=None, description="a number, 16 or more")
    history_tokens: Annotated[int, Field(ge=1)] | None = Field(default=None, description="a number of tokens")
    assistant_id_replies: Text | None = Field(default=None, description="an assistant's id, such as asst_…")
    moderation: Annotated[Moderation, Field(strict=False)] | None = Field(
        default=None, description=f"one of {', '.join(Moderation)}"
    )
    check_needs_human: bool | None = Field(default=None, description="true or false")
    transcription_model: Text | None = Field(
        default=None, description="a model that transcribes, such as gpt-transcribe"
    )

    _secret = field_validator("api_key_reference")(lambda name: readable("engine", name))

    @field_validator("tools")
    @classmethod
    def _tools(cls, names: list[str] | None) -> list[str] | None:
        known = [each.name for each in TOOLS]
        for name in names or ():
            if name not in known:
                like = nearest(name, known)
                right = f"do you mean {like}?" if like else f"there are {', '.join(known)}"
                raise ValueError(f"there is no tool {name}; {right}")
        return names


class Template(BaseModel):
    """A text that WhatsApp has approved, with values for its variables."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content_sid: Annotated[str, StringConstraints(pattern="^HX[0-9a-f]{32}$")] = Field(
        description="HX and 32 hexadecimal digits"
    )
    variables: dict[str, str] | None = Field(default=None, description="names and texts, such as '1': '{person_name}'")


class LimitsEntry(BaseModel):
    """How much the tenant's AI may do before humans take over."""

    model_config = ConfigDict(extra="forbid", strict=True)

    turns_a_day: Annotated[int, Field(ge=0)] | None = Field(default=None, description="turns in one conversation")
    tokens_a_day: Annotated[int, Field(ge=0)] | None = Field(default=None, description="a number of tokens")
    tokens_a_month: Annotated[int, Field(ge=0)] | None = Field(default=None, description="a number of tokens")


class TenantItem(BaseModel):
    """An item of the tenants table, as `chalicelib.aws.items.tenant_of` reads it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    address: Annotated[
        str,
        StringConstraints(pattern=r"^((whatsapp|sms):(\+[1-9][0-9]{6,14}|MG[0-9a-f]{32})|email:[^@\s]+@[^@\s]+)$"),
    ] = Field(description="channel:address, such as whatsapp:+447700900001, sms:MG… or email:jobs@example.com")
    company_id: Text = Field(description="the company's id in the outbound engine")
    company_name: Text = Field(description="the name that people know the company by")
    project_id: Text | None = Field(default=None, description="the project's id in the outbound engine")
    project_name: Text | None = Field(default=None, description="the project's name")
    credentials_reference: Text | None = Field(
        default=None, description="the name of a secret, such as whatsapp-credentials/acme/jobs/twilio"
    )
    ai_config: AiConfig | None = Field(default=None, description="how the AI answers")
    burst_idle_seconds: Seconds | None = Field(default=None, description="whole seconds, 0 to 900")
    burst_max_seconds: Seconds | None = Field(default=None, description="whole seconds, 0 to 900")
    unknown_senders: Annotated[UnknownSender, Field(strict=False)] | None = Field(
        default=None, description=f"one of {', '.join(UnknownSender)}"
    )
    fallback_text: Annotated[str, StringConstraints(min_length=1, max_length=1_600)] | None = Field(
        default=None, description="at most 1,600 characters, with {company_name} and {project_name}"
    )
    fallback_window_seconds: Annotated[int, Field(ge=1)] | None = Field(default=None, description="whole seconds")
    apology_text: Annotated[str, StringConstraints(min_length=1, max_length=1_600)] | None = Field(
        default=None, description="at most 1,600 characters, with {company_name} and {project_name}"
    )
    limits: LimitsEntry | None = Field(default=None, description="how much the AI may do")
    on_new_message: Annotated[OnNewMessage, Field(strict=False)] | None = Field(
        default=None, description=f"one of {', '.join(OnNewMessage)}"
    )
    messaging_service_sid: Annotated[str, StringConstraints(pattern="^MG[0-9a-f]{32}$")] | None = Field(
        default=None, description="MG and 32 hexadecimal digits"
    )

    sms_max_segments: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None, description="a number of segments, 1 to 10"
    )

    closed_window_template: Template | None = Field(
        default=None, description="content_sid and variables of a template that WhatsApp has approved"
    )
    typing_indicator: bool | None = Field(default=None, description="true or false")

    _secret = field_validator("credentials_reference")(lambda name: readable("channel", name))

    @field_validator("fallback_text", "apology_text")
    @classmethod
    def _placeholders(cls, text: str | None) -> str | None:
        wrong = [each for each in re.findall(r"\{(.*?)\}", text or "") if each not in PLACEHOLDERS]
        if wrong:
            raise ValueError(f"{{{wrong[0]}}} is nothing that is filled in")
        return text

    @model_validator(mode="after")
    def _windows(self) -> "TenantItem":
        idle, longest = self.burst_idle_seconds, self.burst_max_seconds
        if idle is not None and longest is not None and idle > longest:
            raise ValueError("burst_max_seconds must not be less than burst_idle_seconds")
        return self

    def to_item(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class Shelf:
    """The tenants table of one stage."""

    def __init__(self, relay: Relay) -> None:
        self._dynamodb = relay.aws.of("dynamodb")
        self._table = relay.settings.tenants_table

    def get(self, address: str) -> dict[str, Any] | None:
        key = item_to_wire({"address": address})
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return plain(from_wire(found)) if found else None

    def put(self, item: Mapping[str, Any]) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=item_to_wire(item))

    def everything(self) -> Iterator[dict[str, Any]]:
        """Every item, by its address."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table)
        items = [plain(from_wire(item)) for page in pages for item in page["Items"]]
        yield from sorted(items, key=lambda item: str(item["address"]))


def plain(value: Any) -> Any:
    """The same without DynamoDB's decimals and sets."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | set):
        return [plain(each) for each in (sorted(value) if isinstance(value, set) else value)]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, meaning in (
        ("put", "writes the tenants of a YAML or JSON file; what a file does not say of a tenant is removed from it"),
        ("get", "shows one tenant as `put` takes it"),
        ("list", "one line for each address"),
        ("check", "what is wrong with the tenants of the table or of a file, and what putting the file would change"),
    ):
        action = actions.add_parser(name, help=meaning, description=meaning)
        action.add_argument("--stage", required=True, help="such as dev, prod or local")
        if name in ("put", "check"):
            action.add_argument("file", type=Path, nargs="?" if name == "check" else None, metavar="FILE")
        if name == "get":
            action.add_argument("address", help="such as whatsapp:+447700900001")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each tenant or problem. Returns 0; 1 if something is wrong, and then nothing was written."""
    os.environ["STAGE"] = arguments.stage
    try:
        return _ACTIONS[arguments.action](arguments, Shelf(Relay(Settings.from_env())))
    except EntryError as error:
        print(error, file=sys.stderr)
    except (PoliciesError, SettingsError, BotoCoreError, ClientError) as error:
        print(f"tenants: {error}", file=sys.stderr)
    return 1


def from_entries(path: Path) -> list[TenantItem]:
    """The tenants of a file. Raises EntryError with everything that is wrong with any of them."""
    found = listed(from_file(path), "tenants")
    problems = [f"{path}: {each}" for place, entry in found for each in problems_of(TenantItem, entry, place=place)]
    problems += [f"{path}: {each}" for each in _twins(found)]
    if problems or not found:
        raise EntryError(problems or [f"{path}: there is no tenant in it"])
    return [TenantItem.model_validate(entry) for _, entry in found]


def _twins(found: list[tuple[Place, Any]]) -> Iterator[str]:
    addresses = [entry.get("address") for _, entry in found if isinstance(entry, dict)]
    for address in sorted({str(each) for each in addresses if each and addresses.count(each) > 1}):
        yield f"{address}: is there {addresses.count(address)} times; an address belongs to one tenant"


def _put(arguments: argparse.Namespace, shelf: Shelf) -> int:
    for tenant in from_entries(arguments.file):
        change = _change(tenant, shelf)
        if change != "unchanged":
            shelf.put(tenant.to_item())
        print(f"{change} {tenant.address}")
    print(f"known to every function within {KNOWN_AFTER} minutes")
    return 0


def _change(tenant: TenantItem, shelf: Shelf) -> str:
    """What putting the tenant changes, in a word or two."""
    before, after = shelf.get(tenant.address), tenant.to_item()
    if before is None:
        return "created"
    fields = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"changed ({', '.join(fields)})" if fields else "unchanged"


def _get(arguments: argparse.Namespace, shelf: Shelf) -> int:
    found = shelf.get(arguments.address)
    if found is None:
        like = nearest(arguments.address, (str(item["address"]) for item in shelf.everything()))
        raise EntryError([f"{arguments.address}: there is no such tenant" + (f"; do you mean {like}?" if like else "")])
    print(as_yaml(in_order(found)), end="")
    return 0


def in_order(item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in the order of the schema, unknown ones last."""
    known = [name for name in TenantItem.model_fields if name in item]
    return {name: item[name] for name in (*known, *sorted(set(item) - set(known)))}


def as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _list(arguments: argparse.Namespace, shelf: Shelf) -> int:
    for item in shelf.everything():
        ai = item.get("ai_config") or {}
        words = (item.get("company_name"), item.get("project_name"), ai.get("engine"), item.get("unknown_senders"))
        print(f"{item['address']:40} {'  '.join(str(each) for each in words if each)}")
    return 0


def _check(arguments: argparse.Namespace, shelf: Shelf) -> int:
    if arguments.file is not None:
        for tenant in from_entries(arguments.file):
            print(
                f"{'would be ' if (change := _change(tenant, shelf)) != 'unchanged' else ''}{change} {tenant.address}"
            )
        return 0
    wrong = 0
    for item in shelf.everything():
        problems = problems_of(TenantItem, item)
        wrong += bool(problems)
        print(f"{'wrong' if problems else 'ok':5} {item['address']}")
        print("".join(f"      {each}\n" for each in problems), end="")
    return int(wrong > 0)


Action = Callable[[argparse.Namespace, Shelf], int]
_ACTIONS: Mapping[str, Action] = {"put": _put, "get": _get, "list": _list, "check": _check}
