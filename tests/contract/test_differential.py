"""The same random steps on the twins and on the adapters."""

import pytest

from tests.contract import differential
from tests.contract.conftest import TABLES, endpoint_of
from tests.contract.shelves import sdk

#: How many sequences of steps each backend has time for.
EXAMPLES = {"moto": 6, "stand-in": 8, "dynamodb-local": 40}


@pytest.mark.parametrize("backend", TABLES)
def test_the_twins_do_what_the_adapters_do(request: pytest.FixtureRequest, backend: str) -> None:
    done = differential.compare(
        sdk("dynamodb", endpoint_of(request, backend)), examples=EXAMPLES[backend], shrink=False
    )
    assert done.keys() == differential.OPERATIONS
