"""What OpenAI holds in a `conv_…` object is what was said, whatever dies in between."""

from typing import Any

import pytest

from chalicelib.errors import Refused, TryAgain, Unconfirmed
from chalicelib.model import AiSettings, Author, Numbered, Spoken, Thread
from tests.engines.bench import Bench, Person

SETTINGS = AiSettings(engine="conversations")
OPENING = [Spoken(Author.AI, "Hello Ada, may we ask about your CV?")]


@pytest.fixture
def ada(openai: Bench) -> Person:
    """Somebody whom the outbound engine has greeted, without any conversation at OpenAI."""
    return Person(openai, SETTINGS, opening=list(OPENING))


@pytest.fixture
def bob(openai: Bench) -> Person:
    """Somebody whose conversation the outbound engine has begun at OpenAI."""
    items = [{"role": "assistant", "content": OPENING[0].text}]
    made = openai.api("POST", "/conversations", items=items, metadata={"campaign": "spring"})
    return Person(openai, AiSettings(), thread=Thread(id=made["id"]), opening=list(OPENING))


def held(person: Person) -> list[tuple[str, str]]:
    assert person.thread is not None
    return person.bench.held(person.thread.id)


# --- what is said


def test_a_conversation_is_made_of_our_history_where_there_is_none(ada: Person) -> None:
    ada.writes("Hi", "about my CV")
    answer = ada.is_answered()
    assert "2 messages" in answer.text
    assert answer.thread is not None
    assert (answer.thread.id[:5], answer.thread.number) == ("conv_", 2)
    assert held(ada) == ada.said()


def test_each_turn_adds_to_it(ada: Person) -> None:
    for text in ("Hi", "thanks", "bye"):
        ada.writes(text)
        ada.is_answered()
    assert held(ada) == ada.said()
    assert [len(request["input"]) for request in ada.bench.requests()] == [1, 1, 1]


def test_a_turn_in_a_conversation_that_goes_on_makes_three_calls(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.bench.forget()
    ada.writes("thanks")
    ada.is_answered()
    listing = "GET /conversations/*/items"
    assert ada.bench.calls() == [listing, "POST /responses", listing]


def test_a_long_history_is_brought_in_twenty_items_at_a_time(ada: Person) -> None:
    ada.history = [Spoken(Author.USER, f"line {number}", Numbered.inbound(number)) for number in range(1, 46)]
    ada.answered = 45
    ada.writes("Hi")
    ada.is_answered()
    brought = ada.bench.bodies("POST /conversations/*/items")
    assert [len(body["items"]) for body in brought] == [20, 20, 6]
    assert held(ada) == ada.said()


def test_a_conversation_of_the_outbound_engine_is_continued(bob: Person) -> None:
    before = bob.thread
    bob.writes("Hi")
    bob.is_answered()
    assert bob.thread is not None
    assert before is not None
    assert bob.thread.id == before.id
    assert held(bob) == bob.said()


def test_what_others_noted_on_a_conversation_stays(bob: Person) -> None:
    bob.writes("Hi")
    bob.is_answered()
    assert bob.thread is not None
    assert bob.bench.api("GET", f"/conversations/{bob.thread.id}")["metadata"]["campaign"] == "spring"


def test_a_conversation_that_has_no_room_for_our_mark_is_made_anew(bob: Person) -> None:
    full = {str(number): "taken" for number in range(16)}
    made = bob.bench.api("POST", "/conversations", items=[{"role": "user", "content": "?"}], metadata=full)
    bob.thread = Thread(id=made["id"])
    bob.writes("Hi")
    goes_well(bob)
    assert bob.thread.id != made["id"]


def test_a_new_conversation_is_begun_with_no_more_than_the_model_may_be_shown(ada: Person) -> None:
    lines = [Spoken(Author.USER, "x" * 900, Numbered.inbound(number)) for number in range(1, 31)]
    ada.history, ada.answered = lines, 30
    ada.settings = AiSettings(engine="conversations", history_tokens=2_000)
    ada.writes("Hi")
    ada.is_answered()
    assert 5 < len(held(ada)) < 12


def test_what_a_human_said_meanwhile_is_heard(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("Are you real?")
    ada.is_answered_by_a_human("I am Grace, and I am.")
    ada.writes("Great")
    ada.is_answered()
    assert held(ada) == ada.said()


def test_an_answer_that_never_reached_the_person_is_not_in_it(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.history.pop()  # it failed to be delivered
    ada.is_answered_by_a_human("Sorry, here is Grace.")
    ada.writes("Hello Grace")
    ada.is_answered()
    assert held(ada) == ada.said()


def test_a_conversation_that_was_deleted_is_made_anew(bob: Person) -> None:
    assert bob.thread is not None
    bob.bench.api("DELETE", f"/conversations/{bob.thread.id}")
    gone = bob.thread.id
    bob.writes("Hi")
    bob.is_answered()
    assert bob.thread.id != gone
    assert held(bob) == bob.said()


def test_a_conversation_in_which_others_meddled_is_made_anew(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    assert ada.thread is not None
    ada.bench.api("DELETE", f"/conversations/{ada.thread.id}/items/{ada.thread.item}")
    ada.writes("thanks")
    ada.is_answered()
    assert held(ada) == ada.said()


def test_a_conversation_without_items_is_continued(ada: Person) -> None:
    ada.opening.clear()
    ada.thread = Thread(id=ada.bench.api("POST", "/conversations")["id"])
    ada.writes("Hi")
    ada.is_answered()
    assert held(ada) == ada.said()


# --- what dies


CALLS_OF_A_FIRST_TURN = 5  # create, add, list, respond, list
CALLS_OF_A_LATER_TURN = 3
CALLS_OF_A_BORROWED_TURN = 6  # list, read the mark, set it, list, respond, list
CALLS_OF_A_CLEANING_TURN = 7  # list, read the mark, list, delete twice, respond, list

crashes = pytest.mark.parametrize("handled", [False, True], ids=["before", "behind"])


def crash(person: Person, at: int, handled: bool) -> None:
    person.bench.saboteur.strikes(at, handled=handled)
    person.turn_fails()
    assert person.bench.saboteur.calls == at
    person.bench.saboteur.strikes(None)


def goes_well(person: Person) -> None:
    """The turn is repeated and the conversation goes on; nothing is there twice, nothing is missing."""
    person.is_answered()
    person.writes("And what then?")
    person.is_answered()
    assert held(person) == person.said()


@crashes
@pytest.mark.parametrize("at", range(1, CALLS_OF_A_FIRST_TURN + 1))
def test_a_first_turn_may_die_at_any_call(ada: Person, at: int, handled: bool) -> None:
    ada.writes("Hi")
    crash(ada, at, handled)
    goes_well(ada)


@crashes
@pytest.mark.parametrize("at", range(1, CALLS_OF_A_LATER_TURN + 1))
def test_a_later_turn_may_die_at_any_call(ada: Person, at: int, handled: bool) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    crash(ada, at, handled)
    goes_well(ada)


@crashes
@pytest.mark.parametrize("at", range(1, CALLS_OF_A_BORROWED_TURN + 1))
def test_a_first_turn_in_somebody_elses_conversation_may_die_at_any_call(bob: Person, at: int, handled: bool) -> None:
    bob.writes("Hi")
    crash(bob, at, handled)
    goes_well(bob)


@crashes
@pytest.mark.parametrize("at", range(1, CALLS_OF_A_CLEANING_TURN + 1))
def test_cleaning_up_may_die_as_well(bob: Person, at: int, handled: bool) -> None:
    bob.writes("Hi")
    bob.bench.answer(bob.turn())  # and its worker dies before the commit
    crash(bob, at, handled)
    goes_well(bob)


@pytest.mark.parametrize("times", [1, 3])
def test_an_answer_that_lost_its_commit_is_not_in_it(ada: Person, times: int) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("one")
    for _ in range(times):
        ada.bench.answer(ada.turn())
    ada.writes("two")
    goes_well(ada)


def test_messages_that_a_human_closed_after_a_turn_died_are_in_it_once(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("one")
    ada.bench.answer(ada.turn())
    ada.is_answered_by_a_human("This is Grace.")
    ada.writes("two")
    goes_well(ada)


def test_a_function_call_that_nobody_answered_does_not_poison_the_next_turn(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("a human please")
    handed_off = ada.bench.answer(ada.turn())
    assert handed_off.hand_off_reason == "the person asks for one"
    assert held(ada)[-1][0] == "function_call"
    ada.is_answered_by_a_human("Here is Grace.")
    ada.writes("thanks")
    goes_well(ada)


def test_a_function_call_that_others_left_makes_a_new_conversation(bob: Person) -> None:
    assert bob.thread is not None
    call = {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": "{}"}
    bob.bench.api("POST", f"/conversations/{bob.thread.id}/items", items=[call])
    bob.writes("Hi")
    goes_well(bob)


def test_the_outputs_of_tools_stay_where_they_were_asked_for(ada: Person) -> None:
    ada.bench.order("call_unknown_tool")
    ada.writes("Hi")
    ada.is_answered()
    kinds = [kind for kind, _ in held(ada)]
    assert kinds == ["assistant", "user", "function_call", "function_call_output", "assistant"]
    ada.writes("thanks")
    ada.is_answered()
    assert [line for line in held(ada) if line[1]] == ada.said()


# --- two at a time


def test_a_conversation_at_work_is_tried_again(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    ada.bench.order("conversation_locked")
    with pytest.raises(TryAgain):
        ada.bench.answer(ada.turn())
    goes_well(ada)


def test_two_turns_at_once_leave_one_of_them(ada: Person) -> None:
    """The slower one, which began before the quicker one's clean-up, finds the other's work in it and gives up."""
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    assert ada.thread is not None
    meddle = {"role": "user", "content": "thanks"}
    original = ada.bench.tools.use

    def use(name: str, arguments: str, *, seconds_left: float) -> Any:
        assert ada.thread is not None
        ada.bench.tools.use = original  # type: ignore[method-assign]
        path = f"/conversations/{ada.thread.id}/items"
        ada.bench.api("POST", path, items=[meddle, {"role": "assistant", "content": "You are welcome."}])
        return original(name, arguments, seconds_left=seconds_left)

    ada.bench.order("call_unknown_tool")
    ada.bench.tools.use = use  # type: ignore[method-assign]
    with pytest.raises(TryAgain):
        ada.bench.answer(ada.turn())
    goes_well(ada)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("insufficient_quota", Refused),
        ("incomplete", Refused),
        ("refusal", Refused),
        ("failed", TryAgain),
        ("http_500", TryAgain),
        ("garbage", TryAgain),
    ],
)
def test_what_goes_wrong_is_sorted_and_leaves_nothing(ada: Person, fault: str, error: type[Exception]) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    ada.bench.order(fault)
    with pytest.raises(error):
        ada.bench.answer(ada.turn())
    goes_well(ada)


def test_a_lost_answer_is_in_doubt_and_not_there_twice(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    ada.bench.order("answer_lost")
    with pytest.raises((TryAgain, Unconfirmed)):
        ada.bench.answer(ada.turn())
    goes_well(ada)
