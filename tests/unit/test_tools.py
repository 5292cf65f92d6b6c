"""What an AI may do besides answering, and what happens when it tries something else."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import Field

from chalicelib.errors import TryAgain
from chalicelib.model import AiSettings, ToolResult, Turn
from chalicelib.tools import BUILT_IN, TOOLS, ToolTable
from chalicelib.tools.outside import Outside
from chalicelib.tools.registry import Arguments, Call, Failed, Tool, told, tool
from tests.twins import cast
from tests.twins.clock import TwinClock
from tests.twins.idempotency import TwinIdempotencyRecords, nobody
from tests.twins.journal import TwinJournal
from tests.twins.secrets import TwinSecrets

ONE, OTHER = "hand_off_to_human", "complete_task"


class Question(Arguments):
    about: str


@tool(acts=False)
def look_up(arguments: Question, call: Call) -> ToolResult:
    """Looks something up."""
    return told(found=arguments.about)


@dataclass
class Bench:
    """The real tools, with twins around them."""

    clock: TwinClock = field(default_factory=TwinClock)
    journal: TwinJournal = field(default_factory=TwinJournal)
    records: TwinIdempotencyRecords = field(default_factory=TwinIdempotencyRecords)
    functions: Sequence[Tool] = TOOLS

    def table(self) -> ToolTable:
        return ToolTable(
            secrets=TwinSecrets(self.clock),
            records=self.records,
            clock=self.clock,
            journal=self.journal,
            outside=Outside(resolve=nobody),
            functions=self.functions,
        )

    def use(self, turn: Turn, name: str, arguments: object) -> ToolResult:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return self.table().of(turn).use(name, text, seconds_left=60)

    def names(self, turn: Turn) -> list[str]:
        return [spec.name for spec in self.table().of(turn).specs()]


def used(turn: Turn, name: str, arguments: object) -> ToolResult:
    return Bench().use(turn, name, arguments)


def error_of(result: ToolResult) -> str:
    assert (result.hand_off_reason, result.outcome, result.media_urls) == (None, None, ())
    return str(json.loads(result.output)["error"])


class TestWhichToolsThereAre:
    def test_where_a_tenant_names_none_all_built_in_ones_may_be_used(self) -> None:
        assert set(Bench().names(cast.turn())) == BUILT_IN

    def test_a_tenant_that_names_none_at_all_gets_none(self) -> None:
        assert Bench().names(cast.turn(settings=AiSettings(tools=()))) == []

    def test_they_are_always_in_the_same_order_so_that_a_prompt_can_be_cached(self) -> None:
        turns = (cast.turn(settings=AiSettings(tools=names)) for names in ((ONE, OTHER), (OTHER, ONE)))
        assert [Bench().names(turn) for turn in turns] == [[ONE, OTHER], [ONE, OTHER]]

    def test_a_companys_own_function_is_offered_only_if_the_tenant_names_it(self) -> None:
        bench = Bench(functions=(*TOOLS, look_up))
        assert "look_up" not in bench.names(cast.turn())
        assert bench.names(cast.turn(settings=AiSettings(tools=("look_up",)))) == ["look_up"]

    def test_no_two_have_the_same_name(self) -> None:
        assert len({each.name for each in TOOLS}) == len(TOOLS)

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
        @tool(acts=True)
        def visit(arguments: Visit, call: Call) -> ToolResult:
            """Notes a
            visit."""
            return told(noted=arguments.slot.day)

        spec = visit.spec
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
            tool(acts=False)(odd)

    def test_a_tool_that_does_not_say_what_it_does_is_refused(self) -> None:
        def silent(arguments: Slot, call: Call) -> ToolResult:
            raise AssertionError

        with pytest.raises(ValueError, match="does not say what it does"):
            tool(acts=False)(silent)

    def test_parameters_are_arguments(self) -> None:
        def loose(arguments: int, call: Call) -> ToolResult:
            """Does something."""
            raise AssertionError

        with pytest.raises(ValueError, match="must be a subclass of Arguments"):
            tool(acts=False)(loose)


class Booking(Arguments):
    hour: int
    note: str | None = None


@dataclass
class Calendar:
    """A world that a tool acts on; a failure is raised once, before or after the deed."""

    booked: list[tuple[int, str, bool]] = field(default_factory=list)  #: hour, key, and whether it was begun before
    before: list[Exception] = field(default_factory=list)
    after: list[Exception] = field(default_factory=list)

    def tool(self) -> Tool:
        @tool(acts=True)
        def book(arguments: Booking, call: Call) -> ToolResult:
            """Books an hour."""
            _raise(self.before)
            self.booked.append((arguments.hour, call.idempotency_key, call.again))
            _raise(self.after)
            return told(booked=arguments.hour, as_number=len(self.booked))

        return book


def _raise(failures: list[Exception]) -> None:
    if failures:
        raise failures.pop()


Book = Callable[..., ToolResult]


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def book(calendar: Calendar) -> Book:
    bench = Bench(functions=(calendar.tool(),))

    def use(arguments: object, **turn: Any) -> ToolResult:
        return bench.use(cast.turn(settings=AiSettings(tools=("book",)), **turn), "book", arguments)

    return use


class TestDeeds:
    def test_a_turn_that_is_repeated_gets_the_recorded_result(self, calendar: Calendar, book: Book) -> None:
        assert book({"hour": 9}) == book({"hour": 9})
        assert len(calendar.booked) == 1

    def test_the_same_arguments_in_another_spelling_are_the_same(self, calendar: Calendar, book: Book) -> None:
        assert book('{"hour": 9, "note": null}') == book('{ "note":null,"hour":9 }') == book({"hour": 9})
        assert len(calendar.booked) == 1

    def test_other_arguments_are_another_deed(self, calendar: Calendar, book: Book) -> None:
        book({"hour": 9})
        book({"hour": 10})
        assert [hour for hour, _, _ in calendar.booked] == [9, 10]

    def test_the_turn_of_a_person_who_went_on_writing_does_not_act_again(self, calendar: Calendar, book: Book) -> None:
        assert book({"hour": 9}, after=3, number=4) == book({"hour": 9}, after=3, number=5)
        assert len(calendar.booked) == 1

    def test_what_is_asked_after_an_answer_is_done_anew(self, calendar: Calendar, book: Book) -> None:
        book({"hour": 9}, after=3, number=4)
        book({"hour": 9}, after=4, number=5)
        assert len(calendar.booked) == 2

    def test_another_conversation_is_another_deed(self, calendar: Calendar, book: Book) -> None:
        book({"hour": 9})
        book({"hour": 9}, reference="ref-2")
        assert len({key for _, key, _ in calendar.booked}) == 2

    def test_after_a_crash_between_deed_and_record_the_same_key_is_used(self, calendar: Calendar, book: Book) -> None:
        calendar.after.append(TryAgain("the table is busy"))
        with pytest.raises(TryAgain):
            book({"hour": 9})
        book({"hour": 9})
        (first, second) = calendar.booked
        assert first[1] == second[1]
        assert (first[2], second[2]) == (False, True)

    def test_a_tool_that_failed_may_be_used_again(self, calendar: Calendar, book: Book) -> None:
        calendar.before.append(Failed("timeout", "the calendar did not answer"))
        assert error_of(book({"hour": 9})) == "the calendar did not answer"
        assert json.loads(book({"hour": 9}).output) == {"booked": 9, "as_number": 1}

    def test_bad_arguments_do_nothing(self, calendar: Calendar, book: Book) -> None:
        assert error_of(book({"hour": "nine"})).startswith("the arguments do not fit")
        assert calendar.booked == []

    def test_a_bug_in_a_function_is_a_bug(self, calendar: Calendar, book: Book) -> None:
        calendar.before.append(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            book({"hour": 9})

    def test_a_key_says_nothing_of_what_it_stands_for(self, calendar: Calendar, book: Book) -> None:
        book({"hour": 9, "note": "call +447700900101"})
        ((_, key, _),) = calendar.booked
        assert len(key) == 64
        assert int(key, 16)


class TestTheJournal:
    def test_uses_are_counted_without_arguments_or_results(self) -> None:
        bench = Bench(functions=(look_up,))
        bench.use(cast.turn(settings=AiSettings(tools=("look_up",))), "look_up", {"about": "my secret"})
        assert [line["tool"] for line in bench.journal.of("tool_used")] == ["look_up"]
        assert "secret" not in bench.journal.text()

    def test_failures_are_counted_and_a_name_that_we_do_not_know_is_not_logged(self) -> None:
        bench = Bench()
        bench.use(cast.turn(), "my_secret_tool", {})
        bench.use(cast.turn(), "complete_task", {"my secret": 1})
        assert [line["reason"] for line in bench.journal.of("tool_failed")] == ["no_such_tool", "bad_arguments"]
        assert "secret" not in bench.journal.text()


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
