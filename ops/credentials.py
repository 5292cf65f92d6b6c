"""Secrets: stored, rotated, and checked to be there and well-formed, without showing what they hold."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chalicelib.config import Settings, SettingsError
from chalicelib.errors import RelayError
from chalicelib.tools.signing import keys_of
from chalicelib.wiring import Relay
from ops import entries
from ops.policies import PoliciesError, SecretNames

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"

#: The caches of all running functions know a new value after this many minutes: a value is kept for five.
EVERYBODY_KNOWS_AFTER = 6

#: What follows a step of a rotation, in words for the operator.
NEXT = {
    PENDING: f"wait {EVERYBODY_KNOWS_AFTER} minutes, then `promote`: from then on we speak with it",
    CURRENT: f"wait {EVERYBODY_KNOWS_AFTER} minutes before the old value ends at its provider; both are accepted",
    PREVIOUS: f"in {EVERYBODY_KNOWS_AFTER} minutes the old value is accepted by nobody",
}

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^\S+$")]


class CredentialsError(Exception):
    """Something about a secret is wrong; the message says what, without showing any of it."""


class _Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Twilio(_Secret):
    """What a channel's secret holds: an account and its token, and maybe an API key to send with."""

    account: Annotated[str, StringConstraints(strip_whitespace=True, pattern="^AC[0-9a-f]{32}$")] = Field(
        validation_alias=AliasChoices("twilio_account_sid", "account_sid"),
        description="AC and 32 hexadecimal digits",
    )
    token: Word = Field(
        validation_alias=AliasChoices("twilio_auth_token", "auth_token"), description="a text without blanks"
    )
    api_key_sid: Annotated[str, StringConstraints(strip_whitespace=True, pattern="^SK[0-9a-f]{32}$")] | None = Field(
        default=None, description="SK and 32 hexadecimal digits"
    )
    api_key_secret: Word | None = Field(default=None, description="a text without blanks")
    shared_key_secret: Word | None = Field(default=None, description="a text without blanks")

    @model_validator(mode="after")
    def _whole_key(self) -> "Twilio":
        if (self.api_key_sid is None) != (self.api_key_secret is None):
            raise ValueError("api_key_sid and api_key_secret come together")
        return self


def _signing(text: str) -> str:
    if not keys_of([{"signing_secret": text}]):
        raise ValueError("it is not whsec_ and base64")
    return text


class OpenAi(_Secret):
    """What an engine's secret holds."""

    key: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^sk-\S+$")] = Field(
        validation_alias=AliasChoices("ai_api_key", "api_key"),
        description="a text that begins with sk- and has no blanks",
    )


class ToolKey(_Secret):
    """What a webhook tool's secret holds: the key that our requests to it are signed with."""

    signing_secret: Annotated[str, AfterValidator(_signing)] = Field(
        description="whsec_ and the base64 of 24 random bytes or more"
    )


class Email(_Secret):
    """An email channel's secret; its shape is its provider's."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


#: What the operator is asked for where no JSON comes in.
PROMPTS: Mapping[type[_Secret], Sequence[str]] = {
    Twilio: ("twilio_account_sid", "twilio_auth_token"),
    OpenAi: ("ai_api_key",),
    ToolKey: ("signing_secret",),
}


def shape_of(name: str) -> type[_Secret]:
    """The shape that a secret of this name has. Raises PoliciesError for a name that no function may read."""
    kind = SecretNames.from_file().kind_of(f"secret:{name}-AbCdEf")
    if kind != "channel":
        return OpenAi if kind == "engine" else ToolKey
    return Email if name.startswith("email-credentials/") else Twilio


def problems_of(text: str | None, shape: type[_Secret]) -> list[str]:
    """What is wrong with the text of a secret, naming fields and never what they hold."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return ["it is not JSON"]
    if not isinstance(value, dict):
        return ["it is not a JSON object"]
    return entries.problems_of(shape, value, shown=False)


@dataclass(frozen=True)
class Vault:
    """The secrets of one account and Region."""

    client: Any

    def value(self, name: str, label: str = CURRENT) -> str | None:
        """The text of a version; None if there is no such secret or version."""
        try:
            found = self.client.get_secret_value(SecretId=name, VersionStage=label)
        except self.client.exceptions.ResourceNotFoundException:
            return None
        return str(found.get("SecretString") or "")

    def put(self, name: str, text: str, label: str) -> str:
        """Stores a new version; how, in one word."""
        if self.labels(name) is None:
            self.client.create_secret(Name=name, SecretString=text)
            return "created"
        self.client.put_secret_value(SecretId=name, SecretString=text, VersionStages=[label])
        return "stored"

    def labels(self, name: str) -> dict[str, str] | None:
        """The version that carries each label; None if there is no such secret."""
        try:
            found = self.client.describe_secret(SecretId=name)
        except self.client.exceptions.ResourceNotFoundException:
            return None
        if found.get("DeletedDate"):
            raise CredentialsError(
                f"{name} is about to be deleted: restore it first (aws secretsmanager restore-secret)"
            )
        versions: Mapping[str, Sequence[str]] = found.get("VersionIdsToStages") or {}
        return {label: version for version, labels in versions.items() for label in labels}

    def promote(self, name: str) -> None:
        """The pending version becomes the current one, and the current one the previous one."""
        labels = self._known(name)
        if PENDING not in labels:
            raise CredentialsError(f"{name} has no pending value: `put --pending` it first")
        if labels[PENDING] != labels.get(CURRENT):
            moved = {"MoveToVersionId": labels[PENDING], "RemoveFromVersionId": labels[CURRENT]}
            self.client.update_secret_version_stage(SecretId=name, VersionStage=CURRENT, **moved)
        self._remove(name, PENDING, labels[PENDING])

    def retire(self, name: str) -> None:
        """The previous version is accepted no longer."""
        labels = self._known(name)
        if PREVIOUS not in labels:
            raise CredentialsError(f"{name} has no previous value")
        self._remove(name, PREVIOUS, labels[PREVIOUS])

    def _known(self, name: str) -> dict[str, str]:
        labels = self.labels(name)
        if labels is None:
            raise CredentialsError(f"there is no secret {name}: `put` it first")
        return labels

    def _remove(self, name: str, label: str, version: str) -> None:
        self.client.update_secret_version_stage(SecretId=name, VersionStage=label, RemoveFromVersionId=version)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, meaning in (
        ("put", "stores a value: JSON from standard input, or asked for; what is not given stays as it is"),
        ("promote", "the pending value becomes the current one"),
        ("retire", "the previous value is accepted no longer"),
        ("check", "every secret that the stage's tenants name, or those that are named here, is there and well-formed"),
    ):
        action = actions.add_parser(name, help=meaning, description=meaning)
        action.add_argument("--stage", required=True, help="such as dev, prod or local")
        if name == "check":
            action.add_argument(
                "names", nargs="*", metavar="NAME", help="such as whatsapp-credentials/acme/jobs/twilio"
            )
        else:
            action.add_argument("name", metavar="NAME", help="such as whatsapp-credentials/acme/jobs/twilio")
        if name == "put":
            action.add_argument("--pending", action="store_true", help="accept it, but do not speak with it yet")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each thing done or found; never a value. Returns 0, or 1 and the reason."""
    os.environ["STAGE"] = arguments.stage
    try:
        relay = Relay(Settings.from_env())
        return _ACTIONS[arguments.action](arguments, relay, Vault(relay.aws.of("secretsmanager")))
    except (CredentialsError, PoliciesError, SettingsError, RelayError, BotoCoreError, ClientError) as error:
        print(f"secrets: {error}", file=sys.stderr)
        return 1


def _put(arguments: argparse.Namespace, relay: Relay, vault: Vault) -> int:
    name, label = arguments.name, PENDING if arguments.pending else CURRENT
    shape = shape_of(name)
    before = vault.value(name)
    if before is None and arguments.pending:
        raise CredentialsError(f"there is no secret {name} yet: the first value cannot be pending")
    given = _given(shape)
    value = _merged(before, given, shape)
    problems = problems_of(json.dumps(value), shape)
    if problems:
        raise CredentialsError(f"nothing was stored in {name}:" + "".join(f"\n  {each}" for each in problems))
    if before is not None and json.loads(before or "{}") == value and not arguments.pending:
        print(f"unchanged {name}")
        return 0
    print(f"{vault.put(name, json.dumps(value), label)} {name} ({', '.join(sorted(given))})")
    print(NEXT[label] if before is not None else _who_uses(name, relay))
    return 0


def _given(shape: type[_Secret]) -> dict[str, Any]:
    """What the operator enters: JSON that is piped in, or fields that are asked for one by one and not shown."""
    if sys.stdin.isatty():
        fields = {each: getpass.getpass(f"{each} (empty: leave as it is): ") for each in PROMPTS.get(shape, ())}
        given: Any = {name: value for name, value in fields.items() if value}
    else:
        try:
            given = json.load(sys.stdin)
        except ValueError:
            raise CredentialsError("what came in is not JSON, so nothing was stored") from None
    if not isinstance(given, dict) or not given:
        raise CredentialsError("a JSON object with at least one field is needed, so nothing was stored")
    return given


def _merged(before: str | None, given: Mapping[str, Any], shape: type[_Secret]) -> dict[str, Any]:
    """The value that was there, with what is new; a field by another of its names replaces it."""
    if before is None or problems_of(before, shape):
        return dict(given)
    replaced = {alias for name in given for alias in _same_field(shape, name)}
    kept = {name: value for name, value in json.loads(before).items() if name not in replaced}
    return kept | dict(given)


def _same_field(shape: type[_Secret], name: str) -> Sequence[str]:
    """All names of the field that has this one."""
    every = (entries.names_for(field, info) for field, info in shape.model_fields.items())
    return next((names for names in every if name in names), (name,))


def _promote(arguments: argparse.Namespace, relay: Relay, vault: Vault) -> int:
    vault.promote(arguments.name)
    print(f"promoted {arguments.name}: {NEXT[CURRENT]}")
    return 0


def _retire(arguments: argparse.Namespace, relay: Relay, vault: Vault) -> int:
    vault.retire(arguments.name)
    print(f"retired {arguments.name}: {NEXT[PREVIOUS]}")
    return 0


def _check(arguments: argparse.Namespace, relay: Relay, vault: Vault) -> int:
    users = references(relay)
    names = arguments.names or sorted(users)
    if not names:
        print("no tenant names a secret yet")
    found = [(name, *_state_of(name, vault)) for name in names]
    for name, problems, labels in found:
        count = len(users.get(name, ()))
        print(f"{'wrong' if problems else 'ok':5} {name}  {labels}  {count} address{'' if count == 1 else 'es'}")
        print("".join(f"      {each}\n" for each in problems), end="")
    return int(any(problems for _, problems, _ in found))


def _state_of(name: str, vault: Vault) -> tuple[list[str], str]:
    """What is wrong with a secret, and which of its versions there are."""
    try:
        shape, labels = shape_of(name), vault.labels(name)
    except (PoliciesError, CredentialsError) as error:
        return [str(error)], "-"
    if labels is None:
        return ["there is no such secret: `put` it"], "-"
    wrong = [
        f"{label}: {problem}"
        for label in (CURRENT, PENDING, PREVIOUS)
        if label in labels
        for problem in problems_of(vault.value(name, label), shape)
    ]
    missing = [] if CURRENT in labels else ["it has no current value: `put` one"]
    return missing + wrong, ", ".join(sorted(each.removeprefix("AWS").lower() for each in labels))


def references(relay: Relay) -> dict[str, list[str]]:
    """Every secret that the stage's tenants name, with their addresses."""
    found: dict[str, list[str]] = {}
    for tenant in relay.tenants.addresses():
        tools = (each.secret_reference for each in tenant.ai.webhook_tools or ())
        for name in (tenant.credentials_reference, tenant.ai.api_key_reference, *tools):
            if name:
                found.setdefault(name, []).append(f"{tenant.channel}:{tenant.address}")
    return found


def _who_uses(name: str, relay: Relay) -> str:
    users = references(relay).get(name)
    return f"used by {', '.join(users)}" if users else "no tenant of this stage names it yet"


Action = Callable[[argparse.Namespace, Relay, Vault], int]
_ACTIONS: Mapping[str, Action] = {"put": _put, "promote": _promote, "retire": _retire, "check": _check}
