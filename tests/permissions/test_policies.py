"""Each function may do what it does, in its own stage, and nothing else."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.models import FileBasedIAMPolicy, ManagedIAMRole, RestAPI

import app as front_door
from chalicelib.config import queue_name
from ops.permissions import Permission, UnknownRequestError, permissions_of
from ops.policies import (
    CHALICE,
    LONGEST_POLICY,
    POLLING,
    ROOT,
    PoliciesError,
    Recorded,
    SecretNames,
    changes_to,
    configuration,
    functions,
    lambda_name,
    policies,
    recorded,
)
from tests.edge.stage import HANDLERS, OPENAI_SECRET, OTHER_TWILIO_SECRET, TWILIO_SECRET, Stage
from tests.house.source import modules
from tests.permissions.evaluator import Policy, is_resource, policies_of
from tests.permissions.reach import ADAPTERS, CLIENTS, ENTRIES, adapters, operations, port_uses
from tests.permissions.walk import TOOL_SECRET

Document = dict[str, Any]

STAGES = tuple(json.loads((CHALICE / "config.json").read_text())["stages"])
WORKS_OFF = {function: purpose for purpose, function in HANDLERS.items()}
KINDS = {TWILIO_SECRET: "channel", OTHER_TWILIO_SECRET: "channel", OPENAI_SECRET: "engine", TOOL_SECRET: "tool"}
TRACED = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")

each_function = pytest.mark.parametrize("function", functions())
each_stage = pytest.mark.parametrize("name", STAGES)


@pytest.fixture(scope="module")
def done() -> Recorded:
    """What each function was seen to do in all scenarios."""
    return recorded()


# --- in step with the code


def test_the_files_are_what_the_command_writes(done: Recorded) -> None:
    stale = [path.name for path, _ in changes_to(policies(done))]
    assert stale == [], "run `python -m ops policies`"


@each_function
def test_no_function_can_come_to_a_request_that_no_scenario_makes(done: Recorded, function: str) -> None:
    seen = {(_operation(each), _owner(each)) for each in done[function]}
    missing = {
        (port, method, operation)
        for port, method in port_uses(function)
        for operation in operations(port, method) - _FREE
        if not any((operation, owner) in seen for owner in _OWNERS[port])
    }
    assert missing == set(), "tests/permissions/walk.py needs a scenario for these"


def test_what_is_looked_for_in_the_source_are_all_functions() -> None:
    assert set(ENTRIES) == set(functions())


def test_what_is_looked_for_in_the_source_are_all_adapters_and_clients() -> None:
    assert set(ADAPTERS.values()) == adapters()
    clients = {node for module in modules() for node in re.findall(r"aws\.of\(\"(\w+)\"\)", module.path.read_text())}
    assert clients == set(CLIENTS.values())


@each_stage
def test_chalice_gives_each_function_its_own_policy(name: str) -> None:
    on_disk = json.loads((CHALICE / "config.json").read_text())
    given = {"chalice_app": front_door.app, "project_dir": str(ROOT)}
    config = Config(chalice_stage=name, config_from_disk=on_disk, user_provided_params=given)
    resources = ApplicationGraphBuilder().build(config, name).resources
    lambdas = [each.lambda_function for each in resources if hasattr(each, "lambda_function")]
    assert any(isinstance(each, RestAPI) for each in resources)
    files = {}
    for each in lambdas:
        assert isinstance(each.role, ManagedIAMRole)
        assert isinstance(each.role.policy, FileBasedIAMPolicy)
        files[each.function_name] = Path(each.role.policy.filename).name
    assert files == {lambda_name(configuration(name, each), each): f"policy-{name}-{each}.json" for each in functions()}


# --- neither too narrow nor too wide


@each_stage
@each_function
def test_a_function_may_do_what_it_does_and_nothing_else(done: Recorded, name: str, function: str) -> None:
    assert problems(document(name, function), needs(done, name, function)) == []


@each_function
def test_any_change_of_any_statement_is_a_problem(done: Recorded, function: str) -> None:
    needed = needs(done, "dev", function)
    unnoticed = [what for what, changed in mutants(document("dev", function)) if not problems(changed, needed)]
    assert unnoticed == []


def test_what_a_policy_does_not_allow_fails_as_in_aws(stage: Stage) -> None:
    stage.open()
    stage.policies = policies_of("dev") | {"sender": Policy({"Statement": []})}
    stage.write("Hello")
    stage.work_off()
    assert stage.sent() == []
    assert set(stage.denied) == {
        "sender may not dynamodb:UpdateItem "
        "arn:aws:dynamodb:eu-west-2:123456789012:table/ai-multi-comms-conversations-dev"
    }
    stage.denied.clear()


@each_stage
@each_function
def test_no_policy_is_longer_than_iam_takes(name: str, function: str) -> None:
    assert len(json.dumps(document(name, function), separators=(",", ":"))) <= LONGEST_POLICY


# --- what matters most, in words

SECRETS = {"channel": TWILIO_SECRET, "engine": OPENAI_SECRET}
READERS: dict[str, set[str]] = {
    "api_handler": {"channel"},
    "whatsapp-reply-processor": {"engine", "channel"},  # it shows the person that somebody is writing
    "sms-reply-processor": {"engine"},
    "email-reply-processor": {"engine"},
    "collector": {"channel", "engine"},  # it fetches files from the channel and has them heard by the engine
    "sender": {"channel"},
    "rescue": {"channel"},
    "reconcile": {"channel"},
}


@each_stage
@each_function
def test_a_function_reads_the_secrets_that_it_needs_and_no_others(name: str, function: str) -> None:
    policy = policies_of(name)[function]
    readable = {
        kind
        for kind, secret in SECRETS.items()
        if policy.allows(
            Permission("secretsmanager:GetSecretValue", there("secretsmanager", f"secret:{secret}-x1Y2z3"))
        )
    }
    assert readable == READERS[function]


@each_stage
@each_function
def test_no_function_deletes_creates_or_purges_anything_but_its_own_messages_and_log(name: str, function: str) -> None:
    actions = {action for _, action, _ in grants(document(name, function))}
    heavy = {each for each in actions if each.split(":")[1].startswith(("Delete", "Create", "Purge", "Update", "Put"))}
    harmless = {"dynamodb:UpdateItem", "dynamodb:PutItem", "sqs:DeleteMessage", "s3:PutObject", "logs:CreateLogStream"}
    assert heavy - harmless - {"logs:PutLogEvents", *TRACED} == set()


@each_function
def test_one_stage_cannot_touch_another(done: Recorded, function: str) -> None:
    policy = policies_of("dev")[function]
    elsewhere = [each for each in needs(done, "prod", function) if "-prod" in each.resource]
    assert elsewhere
    assert [each for each in elsewhere if policy.allows(each)] == []


# --- what a request needs


def test_a_query_of_an_index_needs_the_index_and_a_batch_needs_every_table() -> None:
    asked = {"TableName": "t", "IndexName": "i"}
    assert needed_by("dynamodb", "Query", asked) == [("dynamodb:Query", "table/t/index/i")]
    batch = {"RequestItems": {"a": [], "b": []}}
    assert [resource for _, resource in needed_by("dynamodb", "BatchWriteItem", batch)] == ["table/a", "table/b"]


def test_an_operation_may_have_another_name_in_iam() -> None:
    url = {"QueueUrl": "https://sqs.eu-west-2.amazonaws.com/123456789012/q"}
    assert needed_by("sqs", "SendMessageBatch", url) == [("sqs:SendMessage", "q")]


def test_a_service_that_is_new_here_is_not_guessed() -> None:
    with pytest.raises(UnknownRequestError, match=r"ops/permissions\.py"):
        needed_by("sns", "Publish", {"TopicArn": "t"})


# --- the names of secrets


@pytest.fixture
def names(tmp_path: Path) -> Callable[..., SecretNames]:
    def made(**kinds: list[str]) -> SecretNames:
        path = tmp_path / "secret-names.json"
        path.write_text(json.dumps({"channel": ["twilio/*"], "engine": ["openai/*"], "tool": ["tools/*"]} | kinds))
        return SecretNames.from_file(path)

    return made


def test_further_patterns_become_further_resources(names: Callable[..., SecretNames]) -> None:
    made = names(channel=["twilio/*", "acme-twilio"])
    assert made.kind_of("secret:acme-twilio-x1Y2z3") == "channel"
    assert made.patterns("channel") == [
        "arn:aws:secretsmanager:*:*:secret:twilio/*",
        "arn:aws:secretsmanager:*:*:secret:acme-twilio-??????",
    ]


@pytest.mark.parametrize(
    "kinds",
    [
        {"engine": []},
        {"engine": ["*"]},
        {"engine": ["a*"]},
        {"engine": ["twilio/openai/*"]},
        {"engine": ["openai/*"], "channel": ["openai/*"]},
        {"tool": []},
        {"tool": ["openai/tools/*"]},
        {"other": ["x/*"]},
    ],
    ids=str,
)
def test_patterns_that_fit_too_much_are_refused(names: Callable[..., SecretNames], kinds: dict[str, list[str]]) -> None:
    with pytest.raises(PoliciesError, match="secret-names"):
        names(**kinds)


def test_a_secret_that_no_pattern_fits_is_an_error(names: Callable[..., SecretNames]) -> None:
    with pytest.raises(PoliciesError, match="no pattern"):
        names().kind_of("secret:somewhere/else-x1Y2z3")


# --- the evaluator itself


def allows(action: str, resource: str, *statements: Mapping[str, Any]) -> bool:
    return Policy({"Statement": [*statements]}).allows(Permission(action, resource))


def allow(action: Any, resource: Any, **more: Any) -> Document:
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


ARN = "arn:aws:dynamodb:eu-west-2:123456789012:table/t"


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("dynamodb:Query", ARN, True),
        ("DynamoDB:query", ARN, True),
        (["dynamodb:GetItem", "dynamodb:Query"], ["x", ARN], True),
        ("dynamodb:*", "*", True),
        ("dynamodb:Query", "arn:aws:dynamodb:*:*:table/?", True),
        ("dynamodb:Query", "arn:aws:dynamodb:*:table/t", False),
        ("dynamodb:Query", "arn:aws:dynamodb:*:*:table/[t]", False),
        ("dynamodb:Query", "arn:aws:dynamodb:*:*:table/tt", False),
        ("dynamodb:GetItem", ARN, False),
    ],
    ids=str,
)
def test_the_evaluator_reads_wildcards_as_iam_does(action: Any, resource: Any, expected: bool) -> None:
    assert allows("dynamodb:Query", ARN, allow(action, resource)) is expected


def test_the_evaluator_lets_a_denial_win() -> None:
    assert not allows("dynamodb:Query", ARN, allow("dynamodb:Query", ARN), allow("*", "*", Effect="Deny"))


@pytest.mark.parametrize("more", [{"Condition": {}}, {"NotAction": "x"}, {"Effect": "Maybe"}], ids=str)
def test_the_evaluator_overlooks_nothing(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not know"):
        allows("dynamodb:Query", ARN, allow("dynamodb:Query", ARN, **more))


# --- how it is judged


def problems(document: Document, needed: set[Permission]) -> list[str]:
    """What a policy lacks, and what it grants that nobody needs or that is not named in full."""
    policy = Policy(document)
    narrow = [f"lacks {each.action} on {each.resource}" for each in sorted(needed) if not policy.allows(each)]
    wide = [
        f"grants {action} on {resource}"
        for _, action, resource in grants(document)
        if _is_vague(action, resource)
        or not any(each.action == action and is_resource(resource, each.resource) for each in needed)
    ]
    return narrow + wide


def _is_vague(action: str, resource: str) -> bool:
    """Only the account, the Region, names of secrets and log streams may stay open, and what X-Ray cannot scope."""
    if "*" in action or "?" in action:
        return True
    if resource == "*":
        return action not in TRACED
    name = resource.split(":", 5)[-1].removesuffix(":*" if action.startswith("logs:") else "")
    known = [each for kind in SecretNames.from_file().kinds for each in SecretNames.from_file().patterns(kind)]
    known += [f"arn:aws:s3:::ai-multi-comms-media-{stage}-{'?' * 12}{rest}" for stage in STAGES for rest in ("", "/*")]
    return ("*" in name or "?" in name) and resource not in known


def grants(document: Document) -> Iterator[tuple[int, str, str]]:
    for at, statement in enumerate(document["Statement"]):
        assert statement["Effect"] == "Allow"
        yield from ((at, action, resource) for action in statement["Action"] for resource in statement["Resource"])


def needs(done: Recorded, name: str, function: str) -> set[Permission]:
    """What a function does in a stage: what was seen in `dev`, its queue, its log, its traces, every kind of secret."""
    needed = {Permission(each.action, each.resource.replace("-dev", f"-{name}")) for each in done[function]}
    for action, resource in [(each.action, each.resource) for each in needed if "secretsmanager" in each.action]:
        [kind] = {kind for secret, kind in KINDS.items() if secret in resource}
        examples = (each.replace("*", "x") for each in SecretNames.from_file().kinds[kind])
        needed |= {Permission(action, there("secretsmanager", f"secret:{each}-x1Y2z3")) for each in examples}
    if function in WORKS_OFF:
        queue = queue_name(WORKS_OFF[function], {"STAGE": name})
        needed |= {Permission(action, there("sqs", queue)) for action in POLLING}
    own = "" if function == "api_handler" else f"-{function}"
    log = f"log-group:/aws/lambda/ai-multi-comms-{name}{own}:log-stream:2026/11/22/[$LATEST]abc"
    needed |= {Permission(action, there("logs", log)) for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    return needed | ({Permission(each, "*") for each in TRACED} if name != "local" else set())


def mutants(document: Document) -> Iterator[tuple[str, Document]]:
    """The policy with one thing removed, added or widened, for each thing in it."""
    for at, statement in enumerate(document["Statement"]):
        less = deepcopy(document)
        del less["Statement"][at]
        yield f"without statement {at}", less
        for part in ("Action", "Resource"):
            for index, value in enumerate(statement[part]):
                for changed in (None, *_widened(value)):
                    mutant = deepcopy(document)
                    values = mutant["Statement"][at][part]
                    values[index : index + 1] = [] if changed is None else [changed]
                    yield f"{value} in statement {at} becomes {changed}", mutant
        for more in ("dynamodb:DeleteTable", "secretsmanager:PutSecretValue", "sqs:PurgeQueue", "kms:Decrypt"):
            mutant = deepcopy(document)
            mutant["Statement"][at]["Action"].append(more)
            yield f"{more} in statement {at}", mutant
        mutant = deepcopy(document)
        mutant["Statement"].append(statement | {"Resource": ["arn:aws:sqs:*:*:somebody-elses-queue"]})
        yield f"statement {at} on another resource", mutant


def _widened(value: str) -> Iterator[str]:
    if value == "*":
        return
    yield "*"
    if ":" in value and not value.startswith("arn:"):
        yield f"{value.split(':')[0]}:*"
        yield f"{value[:-1]}*"
    elif value.endswith("*"):
        yield f"{value[:-2]}*"
    else:
        yield f"{value[:-1]}*"
        yield value.replace("-dev", "-prod")


def document(name: str, function: str) -> Document:
    found: Document = json.loads((CHALICE / f"policy-{name}-{function}.json").read_text())
    return found


def there(service: str, name: str) -> str:
    return f"arn:aws:{service}:eu-west-2:123456789012:{name}"


def needed_by(service: str, operation: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = permissions_of(service, operation, parameters, region="eu-west-2", account="123456789012")
    return [(each.action, each.resource.removeprefix(there(service, ""))) for each in found]


_OWNERS = {
    "conversations": ("conversations",),
    "history": ("messages",),
    "fallbacks": ("messages",),
    "opt_outs": ("messages",),
    "records": ("messages",),
    "meters": ("messages",),
    "tenants": ("tenants",),
    "secrets": ("secret",),
    "queues": ("queue",),
    "media_store": ("media",),
}

#: What AWS lets everybody do. Source: AWS STS API reference, GetCallerIdentity.
_FREE = {"sts:GetCallerIdentity"}


def _owner(permission: Permission) -> str:
    """Whose a resource is: a table's purpose, a queue or a secret."""
    _, _, service, _, _, name = permission.resource.split(":", 5)
    if service == "dynamodb":
        return name.split("/")[1].removeprefix("ai-multi-comms-").removesuffix("-dev")
    return {"sqs": "queue", "secretsmanager": "secret", "s3": "media"}[service]


def _operation(permission: Permission) -> str:
    return permission.action
