"""The bench at which every engine is tested."""

from collections.abc import Iterator

import pytest

from tests.engines.bench import Bench, Files, Tools, bench


@pytest.fixture(scope="module")
def made() -> Iterator[Bench]:
    with bench() as each:
        yield each


@pytest.fixture
def openai(made: Bench) -> Bench:
    made.forget()
    made.saboteur.strikes(None)
    made.waits.clear()
    made.files.kept.clear()
    made.tools.used.clear()
    made.tools.results.clear()
    made.tools.offered = Tools().offered
    assert isinstance(made.files, Files)
    return made
