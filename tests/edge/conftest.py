"""The stage that every test of the edge drives."""

from collections.abc import Iterator

import pytest

from tests.edge.stage import Stage, new_stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A fresh installation with its tenants and secrets and without any conversation."""
    with new_stage(monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def installation() -> Iterator[Stage]:
    """One installation for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch, new_stage(patch) as made:
        yield made


@pytest.fixture
def shared(installation: Stage) -> Stage:
    """The installation of the file, without any conversation; for tests that change no tenant and no secret."""
    installation.wipe()
    return installation
