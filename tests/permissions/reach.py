"""What each function could ask of AWS by its source, whether a scenario drives it there or not.

Names decide: a port is known by the name of its parameter, which every stage uses alike. Branches are not looked at, so
that this may find more than can happen, and nothing less.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial

from chalicelib.config import Settings
from chalicelib.wiring import Relay
from ops.policies import API
from tests.house.source import modules

#: What a function of the application runs, as the front door wires it.
ENTRIES: Mapping[str, tuple[str, ...]] = {
    API: ("receive", "track"),
    "whatsapp-reply-processor": ("reply",),
    "sms-reply-processor": ("reply",),
    "email-reply-processor": ("reply",),
    "collector": ("collect",),
    "sender": ("send",),
    "rescue": ("rescue",),
    "reconcile": ("reconcile",),
}

#: The adapter behind each port that speaks to AWS.
ADAPTERS: Mapping[str, str] = {
    "conversations": "DynamoConversations",
    "history": "DynamoHistory",
    "fallbacks": "DynamoFallbacks",
    "opt_outs": "DynamoOptOuts",
    "meters": "DynamoMeters",
    "tenants": "DynamoTenants",
    "secrets": "SecretsManager",
    "records": "DynamoIdempotencyRecords",
    "queues": "SqsQueues",
    "media_store": "S3Media",
}

#: The ports that are objects of our own and ask further ports; settings have fields of the same names.
OBJECTS: Mapping[str, "Place"] = {"tools": ("chalicelib.tools", "ToolTable")}

CLIENTS = {"_dynamodb": "dynamodb", "_sqs": "sqs", "_secretsmanager": "secretsmanager", "_s3": "s3", "_sts": "sts"}

#: A function or class of the application: its module and its name.
Place = tuple[str, str]


def port_uses(function: str) -> set[tuple[str, str]]:
    """The ports and methods that a function may come to, such as `("history", "mark")`."""
    seen: set[Place] = set()
    found: set[tuple[str, str]] = set()
    open_ends = [_entry(stage) for stage in ENTRIES[function]]
    while open_ends:
        place = open_ends.pop()
        if place not in seen:
            seen.add(place)
            found |= set(_ports_used(_definitions()[place]))
            open_ends += _leads_to(place)
    return found


def operations(port: str, method: str) -> set[str]:
    """The operations behind a method of a port, such as `dynamodb:Query`."""
    adapter = next(each for (_, name), each in _definitions().items() if name == ADAPTERS[port])
    methods = {each.name: each for each in adapter.body if isinstance(each, ast.FunctionDef)}
    seen: set[str] = set()
    found: set[str] = set()
    open_ends = [method]
    while open_ends:
        name = open_ends.pop()
        if name in methods and name not in seen:
            seen.add(name)
            for node in ast.walk(methods[name]):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                    if node.value.attr in CLIENTS:
                        found.add(f"{CLIENTS[node.value.attr]}:{_camel(node.attr)}")
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                    open_ends.append(node.attr)
    return found


def adapters() -> set[str]:
    """Every class that speaks to AWS through a client of its own."""
    return {
        name
        for (module, name), each in _definitions().items()
        if module.startswith("chalicelib.aws.") and isinstance(each, ast.ClassDef) and _has_client(each)
    }


def _has_client(definition: ast.ClassDef) -> bool:
    named = (node.attr for node in ast.walk(definition) if isinstance(node, ast.Attribute))
    return any(each in CLIENTS for each in named)


def _entry(stage: str) -> Place:
    name = {"rescue": "sweep"}.get(stage, stage)
    return (f"chalicelib.{stage}", name)


def _ports_used(definition: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if name in ADAPTERS:
                yield (name, node.attr)


def _leads_to(place: Place) -> Iterator[Place]:
    """Whatever a definition names: functions and classes of ours, and ports that a stage's function fills."""
    module, _ = place
    names = _imported(module)
    for node in ast.walk(_definitions()[place]):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if name is None:
            continue
        yield from (each for each in ((module, name), names.get(name), _filled().get(name)) if each in _definitions())
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and name in OBJECTS:
            yield OBJECTS[name]


@cache
def _filled() -> Mapping[str, Place]:
    """The ports that are functions of other stages, as the wiring fills them."""
    relay = Relay(Settings.from_env({"AWS_REGION": "eu-west-2"}))
    ports = ("draw", "pass_on", "take_over", "take_in", "settle", "route")
    filled: dict[str, Place] = dict.fromkeys(("gather", "look_up"), ("chalicelib.attachments", "gathered"))
    for name in ports:
        port = getattr(relay, name)
        assert isinstance(port, partial)
        filled[name] = (port.func.__module__, port.func.__name__)
    return filled


@cache
def _definitions() -> Mapping[Place, ast.FunctionDef | ast.ClassDef]:
    return {(module.name, each.name): each for module in modules() for each in _defined(module.tree.body)}


def _defined(body: Iterable[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    return (each for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef))


@cache
def _imported(name: str) -> Mapping[str, Place]:
    [module] = [each for each in modules() if each.name == name]
    return {alias: place for node in module.tree.body if isinstance(node, ast.ImportFrom) for alias, place in _of(node)}


def _of(node: ast.ImportFrom) -> Iterator[tuple[str, Place]]:
    return ((alias.asname or alias.name, (node.module or "", alias.name)) for alias in node.names)


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
