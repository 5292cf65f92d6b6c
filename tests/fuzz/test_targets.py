"""Any bytes are taken in or turned away: the targets with what Hypothesis makes of forms and context objects."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import NAMES, _words, seeds
from tests.fuzz.targets import TARGETS, context, form, status

SOME = settings(max_examples=300, deadline=None)

WORDS = st.sampled_from(_words())
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"0", b"9" * 5_000, b"STOP", b"failed", b"read", b"document", b"\xff\xfe", b"\x00", b"SM1"]),
)
PAIRS = st.lists(st.tuples(WORDS | st.text(max_size=5), VALUES), max_size=8)


def body_of(pairs: list[tuple[str, bytes]]) -> bytes:
    encoded = (
        f"{quote_from_bytes(name.encode('utf-8', 'replace'))}={quote_from_bytes(value)}" for name, value in pairs
    )
    return "&".join(encoded).encode()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_fuzzer_begins_with_is_handled(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@SOME
@given(data=st.binary(max_size=200))
def test_any_bytes_are_handled(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)


@SOME
@given(pairs=PAIRS)
def test_any_parameters_over_a_good_message_are_handled(pairs: list[tuple[str, bytes]]) -> None:
    form(b"&" + body_of(pairs))


@SOME
@given(pairs=PAIRS)
def test_any_parameters_over_a_good_callback_are_handled(pairs: list[tuple[str, bytes]]) -> None:
    status(b"\n&" + body_of(pairs))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@SOME
@given(data=st.data(), value=JSON, gone=st.booleans())
def test_a_context_object_with_anything_in_any_of_its_places_is_handled(data: Any, value: Any, gone: bool) -> None:
    whole = json.loads(next(iter(seeds("context"))))
    section = data.draw(st.sampled_from(sorted(whole)))
    name = data.draw(st.sampled_from(sorted(whole[section])) | st.text(max_size=8))
    whole[section][name] = value
    if gone:
        del whole[section][name]
    context(json.dumps(whole).encode())


@pytest.mark.parametrize("depth", [10, 150, 5_000, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_a_context_object_of_any_depth_is_handled(depth: int, opens: str, closes: str) -> None:
    [whole] = seeds("context")
    deep = opens * depth + "1" + closes * depth
    context(whole.replace(b'"request_id": "r"', f'"request_id": "r", "deep": {deep}'.encode()))


@pytest.mark.parametrize("value", ['"\\ud800"', '"\\u0000"', "1e999", "-0", "9" * 5_000, "NaN", '"\\u2028"'])
def test_a_context_object_with_what_json_can_only_just_hold_is_handled(value: str) -> None:
    [whole] = seeds("context")
    context(whole.replace(b'"request_id": "r"', f'"request_id": "r", "odd": {value}'.encode()))
    context(whole.replace(b'"body": "b"', f'"body": {value}'.encode()))


def test_without_atheris_the_command_says_so_plainly() -> None:
    program = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'atheris' else find(name, *rest)\n"
        "from tests.fuzz.__main__ import main\n"
        "sys.exit(main(['form']))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "requirements-fuzz.txt" in run.stderr
