"""What every file has: a sentence at the top, a name that says what it is, and words for those who call it."""

import ast
import re

import pytest

import chalicelib
from tests.house.source import ROOT, Module, modules
from tests.house.test_imports import STAGES, STEPS

EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base", "core", "lib", "shared"}

each_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


@each_module
def test_a_module_opens_with_one_paragraph_that_says_what_it_is(module: Module) -> None:
    doc = ast.get_docstring(module.tree) or ""
    first, _, _ = doc.partition("\n\n")
    assert first.strip().endswith((".", ":", "?")), module.name
    assert "\n" not in first.strip(), "the first paragraph is one line"


@each_module
def test_no_file_has_an_empty_name(module: Module) -> None:
    names = set(re.split(r"[._]", module.name.removeprefix("chalicelib")))
    assert not names & EMPTY_NAMES


def test_the_map_names_exactly_the_modules_there_are() -> None:
    doc = chalicelib.__doc__ or ""
    listed = set(re.findall(r"^    (\w+) ", doc, re.MULTILINE)) | set(re.findall(r"`(\w+)`", doc))
    entries = {path.stem for path in (ROOT / "chalicelib").iterdir() if path.suffix == ".py"}
    packages = {path.parent.name for path in (ROOT / "chalicelib").glob("*/__init__.py")}
    assert listed == (entries | packages) - {"__init__"}


def test_the_map_lists_stages_and_steps_as_the_imports_are_held() -> None:
    doc = chalicelib.__doc__ or ""
    stages = doc.split("Stages,")[1].split("Steps")[0]
    steps = doc.split("Steps that")[1].split("The language")[0]
    assert set(re.findall(r"^    (\w+) ", stages, re.MULTILINE)) == STAGES
    assert set(re.findall(r"^    (\w+) ", steps, re.MULTILINE)) == STEPS


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_has_a_public_function_and_each_says_what_it_does(name: str) -> None:
    [module] = [each for each in modules() if each.name == f"chalicelib.{name}"]
    public = [each for each in module.tree.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")]
    assert public
    assert [each.name for each in public if not ast.get_docstring(each)] == []


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stages_ports_are_keyword_only(name: str) -> None:
    [module] = [each for each in modules() if each.name == f"chalicelib.{name}"]
    entry = [each for each in module.tree.body if isinstance(each, ast.FunctionDef) and each.name == name]
    for function in entry:
        assert len(function.args.args) <= 2
        assert function.args.kwonlyargs


def test_every_port_says_what_it_promises() -> None:
    [ports] = [module for module in modules() if module.name == "chalicelib.ports"]
    silent = [
        f"{port.name}.{method.name}"
        for port in ports.tree.body
        if isinstance(port, ast.ClassDef) and not ast.get_docstring(port)
        for method in port.body
        if isinstance(method, ast.FunctionDef) and not ast.get_docstring(method)
    ]
    assert silent == []


@each_module
def test_functions_are_typed(module: Module) -> None:
    untyped = [
        node.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and (node.returns is None or _has_untyped_argument(node))
    ]
    assert untyped == []


def _has_untyped_argument(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(each.annotation is None for each in arguments if each.arg not in ("self", "cls"))
