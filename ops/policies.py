"""Writes the IAM policy of each function and stage, from what the code calls when the tests' own scenarios drive it."""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chalice.config import Config

import app as front_door
from chalicelib.config import Settings, SettingsError, bucket_name, queue_name
from ops.permissions import Permission

ROOT = Path(__file__).resolve().parent.parent
CHALICE = ROOT / ".chalice"

#: All routes are one function, which Chalice calls by this name.
API = "api_handler"

#: What Lambda asks a queue for on behalf of the function that works it off.
#: Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", execution role permissions.
POLLING = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")

#: What a function needs to write its log; its log group is made by Chalice.
LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")

#: What active tracing sends. X-Ray knows no resources: it cannot be scoped.
#: Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS X-Ray".
TRACING = ("xray:PutTelemetryRecords", "xray:PutTraceSegments")

#: IAM takes this many characters for all inline policies of a role. Source: IAM User Guide, "IAM and AWS STS quotas".
LONGEST_POLICY = 10_240

#: What each function was seen to do, by its name, in the names of one stage.
Recorded = Mapping[str, Sequence[Permission]]


class PoliciesError(Exception):
    """The policies cannot be made; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not what it should be")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each file that was written, or that is stale. Returns 0, or 1 and the reason."""
    try:
        changes = list(changes_to(policies(recorded())))
    except (PoliciesError, SettingsError) as error:
        print(f"policies: {error}", file=sys.stderr)
        return 1
    for path, text in changes:
        print(f"stale {path.name}: run `python -m ops policies`" if arguments.check else _made(path, text))
    return int(arguments.check and bool(changes))


def _made(path: Path, text: str | None) -> str:
    """Brings one file up to date; what was done, for the operator."""
    if text is None:
        path.unlink()
        return f"removed {path.name}"
    path.write_text(text)
    return f"wrote {path.name}"


def recorded() -> Recorded:
    """What each function does, as it happens: the scenarios run in a process of their own."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "recorded.json")
        command = [sys.executable, "-m", "tests.permissions", str(path)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode != 0:
            raise PoliciesError("the scenarios failed; above is why. They need what requirements-dev.txt lists")
        found = json.loads(path.read_text())
    return {name: [Permission(*each) for each in permissions] for name, permissions in found.items()}


def policies(done: Recorded) -> dict[Path, str]:
    """Every policy file with its text, for each stage and function of `.chalice/config.json`."""
    secrets, wanted = SecretNames.from_file(), dict[Path, str]()
    for stage in json.loads((CHALICE / "config.json").read_text())["stages"]:
        for function in functions():
            config = configuration(stage, function)
            document = policy(config, function, done[function], secrets)
            text = json.dumps(document, indent=2) + "\n"
            if len(json.dumps(document, separators=(",", ":"))) > LONGEST_POLICY:
                raise PoliciesError(
                    f"the policy of {function} is longer than IAM takes: name fewer patterns of secrets"
                )
            wanted[CHALICE / (config.iam_policy_file or f"policy-{stage}.json")] = text
    return wanted


def functions() -> list[str]:
    """The functions of the application, as Chalice's configuration calls them."""
    app = front_door.app
    return [API, *(each.name for each in (*app.event_sources, *app.pure_lambda_functions))]


def configuration(stage: str, function: str) -> Config:
    """Chalice's own reading of `.chalice/config.json` for one function of one stage."""
    on_disk = json.loads((CHALICE / "config.json").read_text())
    return Config(chalice_stage=stage, function_name=function, config_from_disk=on_disk)


def policy(config: Config, function: str, done: Iterable[Permission], secrets: "SecretNames") -> dict[str, Any]:
    """The policy of one function in one stage: what it was seen to do, its queue, its log and its traces."""
    names = Names(config.environment_variables)
    needed = {Permission(each.action, names.of_this_stage(each.resource, secrets)) for each in done}
    needed |= {Permission(action, names.queue(purpose)) for purpose in _queues_of(function) for action in POLLING}
    log = f"/aws/lambda/{lambda_name(config, function)}"
    needed |= {Permission(action, f"arn:aws:logs:*:*:log-group:{log}:*") for action in LOGGING}
    if config.xray_enabled:
        needed |= {Permission(action, "*") for action in TRACING}
    return {"Version": "2012-10-17", "Statement": list(_statements(needed, secrets))}


def lambda_name(config: Config, function: str) -> str:
    """What Chalice calls the Lambda function: that of the API carries no name of its own."""
    own = "" if function == API else f"-{function}"
    return f"{config.app_name}-{config.chalice_stage}{own}"


def _queues_of(function: str) -> Iterator[str]:
    """The purposes of the queues that a function works off."""
    purposes = {queue_name(each): each for each in Names.QUEUES}
    for source in front_door.app.event_sources:
        if source.name == function and hasattr(source, "queue"):
            yield purposes[source.queue]


def _statements(needed: set[Permission], secrets: "SecretNames") -> Iterator[dict[str, Any]]:
    """One statement for all resources on which the same is done; a kind of secret stands for all names of its kind."""
    actions: dict[str, list[str]] = defaultdict(list)
    for each in sorted(needed):
        actions[each.resource].append(each.action)
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for resource, done in sorted(actions.items()):
        alike[tuple(done)] += secrets.patterns(resource)
    for done_there, resources in sorted(alike.items()):
        yield {"Effect": "Allow", "Action": list(done_there), "Resource": resources}


class Names:
    """Names of resources in one stage; the account and the Region stay open, the name does not."""

    _PURPOSES = ("conversations", "messages", "tenants")
    QUEUES = ("whatsapp-replies", "sms-replies", "email-replies", "sender", "handoff", "media")

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is that of the stage. Raises SettingsError."""
        self._environment = environment
        self._here = self._tables(Settings.from_env(environment))

    @property
    def _bucket(self) -> str:
        """The media bucket: its name ends in the number of the account, which stays open."""
        return Settings.from_env(self._environment).media_bucket or bucket_name("?" * 12, self._environment)

    def queue(self, purpose: str) -> str:
        return f"arn:aws:sqs:*:*:{queue_name(purpose, self._environment)}"

    def of_this_stage(self, resource: str, secrets: "SecretNames") -> str:
        """A resource that was seen in the recording as this stage has it."""
        *_, service, _, _, name = resource.split(":", 5)
        if service == "secretsmanager":
            return secrets.kind_of(name)
        if service == "sqs":
            [purpose] = [each for each in self.QUEUES if queue_name(each, {}) == name]
            return self.queue(purpose)
        if service == "s3":
            _, *objects = name.split("/")
            return "/".join((f"arn:aws:s3:::{self._bucket}", *objects))
        kind, table, *index = name.split("/")
        [purpose] = [each for each, there in self._tables(Settings.from_env({})).items() if there == table]
        return "/".join((f"arn:aws:dynamodb:*:*:{kind}", self._here[purpose], *index))

    def _tables(self, settings: Settings) -> dict[str, str]:
        tables = (settings.conversations_table, settings.messages_table, settings.tenants_table)
        return dict(zip(self._PURPOSES, tables, strict=True))


@dataclass(frozen=True)
class SecretNames:
    """How secrets are told apart: patterns of the names of each kind, with IAM's `*` and `?`."""

    kinds: Mapping[str, Sequence[str]]

    KINDS = ("channel", "engine", "tool")
    FILE = CHALICE / "secret-names.json"

    @classmethod
    def from_file(cls, path: Path = FILE) -> "SecretNames":
        """Raises PoliciesError if a kind is missing, a pattern fits everything, or two kinds could share a secret."""
        kinds = json.loads(path.read_text())
        if set(kinds) != set(cls.KINDS) or not all(kinds.values()):
            raise PoliciesError(
                f"{path.name} must name patterns for each of {', '.join(cls.KINDS)}, and for nothing else"
            )
        for pattern in (each for patterns in kinds.values() for each in patterns):
            if not re.match(r"[\w/+=.@-]{3}", pattern):
                raise PoliciesError(f"{path.name}: {pattern!r} fits too much: begin it with three characters or more")
        for kind, another in combinations(cls.KINDS, 2):
            for one, other in product(kinds[kind], kinds[another]):
                if _may_overlap(one, other):
                    raise PoliciesError(f"{path.name}: {one!r} and {other!r} may name the same secret")
        return cls(kinds)

    def kind_of(self, resource: str) -> str:
        """The kind of the secret that a resource (`secret:<name>-AbCdEf`) names. Raises PoliciesError for no kind."""
        name = resource.removeprefix("secret:")
        for kind, patterns in self.kinds.items():
            if any(re.fullmatch(_expression(pattern), name) for pattern in patterns):
                return kind
        raise PoliciesError(f"no pattern of {self.FILE.name} fits the secret {name!r}")

    def patterns(self, resource: str) -> list[str]:
        """The resources that a kind stands for; any other resource stands for itself."""
        if resource not in self.kinds:
            return [resource]
        return [f"arn:aws:secretsmanager:*:*:secret:{_open_end(each)}" for each in self.kinds[resource]]


def _open_end(pattern: str) -> str:
    """A whole name gets the six characters that Secrets Manager adds."""
    return pattern if pattern.endswith("*") else f"{pattern}-??????"


def _expression(pattern: str) -> str:
    return re.escape(_open_end(pattern)).replace(r"\*", ".*").replace(r"\?", ".")


def _may_overlap(one: str, other: str) -> bool:
    """Whether what stands before the first wildcard of one pattern begins what stands there in the other."""
    first, second = (re.split(r"[*?]", each)[0] for each in (one, other))
    return first.startswith(second) or second.startswith(first)


def changes_to(wanted: Mapping[Path, str], directory: Path = CHALICE) -> Iterator[tuple[Path, str | None]]:
    """The files that are not as they should be, with their text; None for a file that nothing needs any more."""
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            yield path, text
    for path in sorted(directory.glob("policy-*.json")):
        if path not in wanted:
            yield path, None
