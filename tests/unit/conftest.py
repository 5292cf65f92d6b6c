"""A world of twins for the stages."""

import pytest

from tests.twins.relay import TwinRelay, opened


@pytest.fixture
def relay() -> TwinRelay:
    """A relay in whose world one conversation is open."""
    made = TwinRelay()
    opened(made)
    return made
