"""The stage of the edge tests, where functions work under their policies."""

from tests.edge.conftest import stage, surroundings

__all__ = ["stage", "surroundings"]
