"""The stage that every test of the edge drives."""

from collections.abc import Iterator

import pytest

from tests.edge.stage import Stage, installation
from tests.permissions.evaluator import policies_of


@pytest.fixture(scope="module")
def surroundings() -> Iterator[Stage]:
    """An AWS in memory and the stand-ins, once for a file."""
    with pytest.MonkeyPatch.context() as patch, installation(patch) as made:
        yield made


@pytest.fixture
def stage(surroundings: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An installation that has just started, with its tenants and secrets and without any conversation.

    Each function works under its own policy, and no test may need more.
    """
    surroundings.begin(monkeypatch)
    surroundings.policies = policies_of("dev")
    yield surroundings
    surroundings.end()
    assert surroundings.denied == []
