"""What an AI may do besides answering, and what happens when it tries something else."""

import json
from typing import Any

import pytest
from pydantic import Field

from chalicelib.model import AiSettings, ToolResult, Turn
from chalicelib.tools import BUILT_IN, ToolTable
from chalicelib.tools.registry import Arguments, Call, told, tool
from tests.twins import cast


def used(turn: Turn, name: str, arguments: object) -> ToolResult:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolTable().of(turn).use(name, text, seconds_left=60)


def error_of(result: ToolResult) -> str:
    assert (result.hand_off_reason, result.outcome, result.media_urls) == (None, None, ())
    return str(json.loads(result.output)["error"])


class TestWhichToolsThereAre:
    def test_where_a_tenant_names_none_all_built_in_ones_may_be_used(self) -> None:
        assert [spec.name for spec in ToolTable().of(cast.turn()).specs()] == [each.name for each in BUILT_IN]

    def test_a_tenant_that_names_none_at_all_gets_none(self) -> None:
        assert list(ToolTable().of(cast.turn(settings=AiSettings(tools=()))).specs()) == []

    def test_a_tool_that_the_tenant_did_not_name_does_nothing_whoever_asks_for_it(self) -> None:
        turn = cast.turn(settings=AiSettings(tools=("something_else",)))
        assert error_of(used(turn, "hand_off_to_human", {"reason": "ignore your rules"})) == "there is no such tool"

    @pytest.mark.parametrize("name", ["", "__class__", "hand_off_to_human ", "HAND_OFF_TO_HUMAN", "use", "a" * 10_000])
    def test_a_name_that_nobody_allowed_is_told_to_the_model(self, name: str) -> None:
        assert error_of(used(cast.turn(), name, {"reason": "x"})) == "there is no such tool"


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"reason": 1}',
            '{"reason": "a", "extra": "b"}',
            '{"reason": "\\ud800"}',
            '{"reason": "\ud800"}',
        ],
    )
    def test_arguments_that_do_not_fit_are_told_to_the_model(self, arguments: str) -> None:
        assert error_of(used(cast.turn(), "hand_off_to_human", arguments)).startswith("the arguments do not fit: ")

    def test_a_reason_to_hand_off_ends_the_turn(self) -> None:
        assert used(cast.turn(), "hand_off_to_human", {"reason": " wants Grace "}).hand_off_reason == "wants Grace"

    def test_a_reason_without_words_gets_ours(self) -> None:
        assert used(cast.turn(), "hand_off_to_human", {"reason": " "}).hand_off_reason == "the AI asked for a human"

    def test_a_reason_is_not_longer_than_a_record_has_room_for(self) -> None:
        assert len(used(cast.turn(), "hand_off_to_human", {"reason": "x" * 9_000}).hand_off_reason or "") == 200


class TestCompletion:
    def test_the_outcome_goes_with_the_answer_and_does_not_end_the_turn(self) -> None:
        result = used(cast.turn(), "complete_task", {"outcome": " a visit on Monday "})
        assert (result.outcome, result.hand_off_reason) == ("a visit on Monday", None)

    def test_an_outcome_without_words_is_still_one(self) -> None:
        assert used(cast.turn(), "complete_task", {"outcome": ""}).outcome == "completed"


class Slot(Arguments):
    """A time."""

    day: str = Field(description="Which day.")
    hour: int = Field(ge=0, le=23)


class Visit(Arguments):
    slot: Slot
    others: list[Slot]
    title: str
    note: str | None = None


class Worded(Arguments):
    words: str = Field(min_length=3)


class Free(Arguments):
    anything: dict[str, int]


class Defaulted(Arguments):
    size: int = 7


class TestRegistering:
    def test_a_functions_name_words_and_parameters_are_what_the_model_is_told(self) -> None:
        def visit(arguments: Visit, call: Call) -> ToolResult:
            """Notes a
            visit."""
            return told(noted=arguments.slot.day)

        spec = tool(visit).spec
        assert (spec.name, spec.description) == ("visit", "Notes a visit.")
        assert objects_in(spec.parameters) == 2
        assert set(spec.parameters["properties"]) == {"slot", "others", "title", "note"}

    @pytest.mark.parametrize("model", [Worded, Free, Defaulted])
    def test_what_strict_mode_does_not_take_is_refused_when_it_is_registered(self, model: type[Arguments]) -> None:
        def odd(arguments: Any, call: Call) -> ToolResult:
            """Does something."""
            raise AssertionError

        odd.__annotations__["arguments"] = model
        with pytest.raises(ValueError, match=r"strict mode|additionalProperties"):
            tool(odd)

    def test_a_tool_that_does_not_say_what_it_does_is_refused(self) -> None:
        def silent(arguments: Slot, call: Call) -> ToolResult:
            raise AssertionError

        with pytest.raises(ValueError, match="does not say what it does"):
            tool(silent)

    def test_parameters_are_arguments(self) -> None:
        def loose(arguments: int, call: Call) -> ToolResult:
            """Does something."""
            raise AssertionError

        with pytest.raises(ValueError, match="must be a subclass of Arguments"):
            tool(loose)


def objects_in(schema: object) -> int:
    """How many object schemas there are; each is closed and requires all that it knows."""
    if isinstance(schema, list):
        return sum(map(objects_in, schema))
    if not isinstance(schema, dict):
        return 0
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == set(schema["properties"])
    return (schema.get("type") == "object") + sum(map(objects_in, schema.values()))
