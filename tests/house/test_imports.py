"""Who may know whom. The table is the architecture diagram: left may import right, and nothing else of ours."""

from collections.abc import Callable

import pytest

from tests.house.source import Module, modules

LANGUAGE = {"model", "lifecycle", "context", "errors", "ports", "reading", "cards"}
STEPS = {
    "authenticity",
    "lookup",
    "consent",
    "entries",
    "restraint",
    "picture",
    "outbound",
    "attachments",
    "reactions",
}
STAGES = {"receive", "reply", "send", "track", "handoff", "route", "rescue", "reconcile", "settle", "collect"}
EDGES = {"channels", "engines", "tools", "aws", "folder", "journal"}

MAY_IMPORT: dict[str, set[str]] = {
    "app": {"wiring", "web", "config", "model", "ports"},
    "wiring": STAGES | STEPS | EDGES | LANGUAGE | {"config"},
    "web": {"config", "context", "errors", "ports", "journal"},
    **dict.fromkeys(STAGES, LANGUAGE | STEPS),
    **dict.fromkeys(STEPS, LANGUAGE | STEPS),
    **{edge: LANGUAGE | {"config", edge} for edge in EDGES},
    "config": set(),
    "model": set(),
    "errors": set(),
    "lifecycle": {"model", "errors"},
    "context": {"model", "errors", "reading"},
    "reading": {"model"},
    "cards": set(),
    "ports": {"model", "errors", "context"},
    "chalicelib": set(),
}

#: What only one place may know.
ONLY_IN = {
    "boto3": {"aws"},
    "botocore": {"aws"},
    "openai": {"engines"},
    "twilio": {"channels"},
    "requests": {"channels"},
    "markdown_it": {"channels"},
    "urllib3": {"channels"},
    "cryptography": {"channels"},
    "aws_lambda_powertools": {"journal"},
    "chalice": {"app", "web"},
    "pydantic": {"context", "tools"},
    "uuid": {"wiring"},
    "random": {"wiring"},
    "secrets": {"wiring"},
    "os": {"config"},
    "subprocess": set(),
    "threading": {"journal"},
    "asyncio": set(),
}

#: Wherever these are used, a stage cannot be repeated with the same outcome.
WALL_CLOCK = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
}

each_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


def ours(module: Module) -> set[str]:
    """The places of `chalicelib` that a module imports."""
    parts = (name.split(".") for name in module.imports() if name.split(".")[0] == "chalicelib")
    return {names[1] for names in parts if len(names) > 1}


@each_module
def test_a_module_knows_only_what_the_table_allows(module: Module) -> None:
    assert ours(module) - MAY_IMPORT[module.place] == set()


def test_the_table_names_every_place_and_no_other() -> None:
    assert set(MAY_IMPORT) == {module.place for module in modules()}


@each_module
def test_what_ships_knows_nothing_that_does_not(module: Module) -> None:
    assert not {"local", "ops", "tests", "bench", "app"} & {name.split(".")[0] for name in module.imports()}


@pytest.mark.parametrize(("library", "places"), ONLY_IN.items(), ids=list(ONLY_IN))
def test_a_library_is_known_in_its_place_only(library: str, places: set[str]) -> None:
    users = {module.place for module in modules() if library in {name.split(".")[0] for name in module.imports()}}
    assert users - places == set()


@pytest.mark.parametrize(
    ("what", "is_used", "places"),
    [
        ("the wall clock", lambda module: bool(module.names_used() & WALL_CLOCK), {"wiring"}),
        ("random ids", lambda module: bool(module.names_used() & {"uuid4", "uuid.uuid4", "os.urandom"}), {"wiring"}),
        ("the environment", lambda module: bool(module.names_used() & {"os.environ", "os.getenv"}), {"config"}),
        ("sleep", lambda module: bool(module.names_used() & {"time.sleep", "sleep"}), {"wiring"}),
        ("print", lambda module: "print" in module.names_used(), set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_repeated_is_used_in_one_place(
    what: str, is_used: Callable[[Module], bool], places: set[str]
) -> None:
    assert {module.place for module in modules() if is_used(module)} - places == set(), what


def test_slow_libraries_are_imported_inside_the_factory_that_needs_them() -> None:
    [wiring] = [module for module in modules() if module.name == "chalicelib.wiring"]
    at_top = {getattr(node, "module", "") or "" for node in wiring.tree.body if type(node).__name__ == "ImportFrom"}
    edges = {f"chalicelib.channels.{name}" for name in ("twilio_rest", "references", "formats")}
    assert not edges & at_top
    assert not {name for name in at_top if name.startswith(("chalicelib.engines.", "chalicelib.tools"))}
