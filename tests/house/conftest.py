"""What the house tests look at: the source files, and the stage of the edge tests."""

from tests.edge.conftest import stage, surroundings

__all__ = ["stage", "surroundings"]
