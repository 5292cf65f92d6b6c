"""Threads and runs for servers that still speak them, and what becomes of a turn where nobody does any more."""

import pytest

from chalicelib.errors import Refused, TryAgain, Unconfirmed
from chalicelib.model import AiSettings, Author, Spoken, Thread, ToolResult
from tests.engines.bench import ASSISTANT, Bench, Person, turn

SETTINGS = AiSettings(assistant_id=ASSISTANT)
OPENING = [Spoken(Author.AI, "Hello Ada, may we ask about your CV?")]
GONE = Thread(id="thread_abc123xyz")


@pytest.fixture
def ada(openai: Bench) -> Person:
    """Somebody whose thread the outbound engine has begun, at a server that speaks the old API."""
    openai.switch_on_assistants(instructions="Be kind.")
    made = openai.api("POST", "/threads", messages=[{"role": "assistant", "content": OPENING[0].text}])
    return Person(openai, SETTINGS, thread=Thread(id=made["id"]), opening=list(OPENING))


def held(person: Person) -> list[tuple[str, str]]:
    assert person.thread is not None
    return person.bench.held(person.thread.id)


def goes_well(person: Person) -> None:
    person.is_answered()
    person.writes("And what then?")
    person.is_answered()
    assert held(person) == person.said()


# --- what is said


def test_messages_are_added_and_the_assistant_runs_on_the_thread(ada: Person) -> None:
    before = ada.thread
    ada.writes("Hi", "about my CV")
    answer = ada.is_answered()
    assert "2 messages" in answer.text
    assert before is not None
    assert ada.thread is not None
    assert (ada.thread.id, ada.thread.number, ada.thread.migrated) == (before.id, 2, False)
    assert held(ada) == ada.said()
    assert ada.bench.calls().count("POST /responses") == 0


def test_what_it_cost_is_known(ada: Person) -> None:
    ada.writes("Hi")
    usage = ada.is_answered().usage
    assert usage.model == "gpt-4o"
    assert min(usage.input_tokens, usage.output_tokens) > 0


def test_the_assistants_own_tools_stay_and_ours_are_added(ada: Person) -> None:
    ada.bench.switch_on_assistants(tools=[{"type": "file_search"}])
    ada.writes("Hi")
    ada.is_answered()
    [run] = ada.bench.bodies("POST /threads/*/runs")
    names = [tool.get("function", {}).get("name", tool["type"]) for tool in run["tools"]]
    assert names == ["file_search", "hand_off_to_human"]


def test_the_assistants_own_instructions_stay_unless_the_tenant_has_some(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.settings = AiSettings(assistant_id=ASSISTANT, instructions="Speak like a pirate.", model="gpt-6-sol")
    ada.writes("thanks")
    ada.is_answered()
    first, second = ada.bench.bodies("POST /threads/*/runs")
    assert ("instructions" in first, second["instructions"], second["model"]) == (
        False,
        "Speak like a pirate.",
        "gpt-6-sol",
    )
    assert "Cucumber Recruitment" in first["additional_instructions"]


def test_a_run_is_looked_at_with_pauses(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    assert ada.bench.waits == [0.5, 1.0]


def test_a_tool_that_the_run_wants_is_used_and_its_output_submitted(ada: Person) -> None:
    ada.bench.tools.results["launch_the_rocket"] = ToolResult(output='{"launched": true}', outcome="launched")
    ada.bench.order("run_calls_unknown_tool")
    ada.writes("Hi")
    answer = ada.is_answered()
    assert ada.bench.tools.used == [("launch_the_rocket", "{}")]
    assert "launched" in answer.text
    assert answer.outcome == "launched"
    assert held(ada) == ada.said()


def test_a_run_that_hands_over_leaves_the_thread_free(ada: Person) -> None:
    ada.writes("a human please")
    assert ada.bench.answer(ada.turn()).hand_off_reason == "the person asks for one"
    ada.is_answered_by_a_human("Here is Grace.")
    ada.writes("thanks")
    goes_well(ada)


def test_the_marks_of_citations_are_left_out(ada: Person) -> None:
    from openai.types.beta.threads import FileCitationAnnotation, Message

    from chalicelib.engines.assistants import _text_of

    mark = {"type": "file_citation", "text": "【4:0†cv.pdf】", "file_citation": {"file_id": "f"}}
    annotation = FileCitationAnnotation.model_validate({**mark, "start_index": 0, "end_index": 0})
    text = {"type": "text", "text": {"value": "Nine to five【4:0†cv.pdf】.", "annotations": [annotation.to_dict()]}}
    assert _text_of(Message.construct(content=[text])) == "Nine to five."


def test_a_thread_is_made_of_our_history_where_there_is_none(ada: Person) -> None:
    ada.thread, ada.settings = None, AiSettings(engine="assistants", assistant_id=ASSISTANT)
    ada.writes("Hi")
    goes_well(ada)


def test_what_a_human_said_meanwhile_is_heard(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("Are you real?")
    ada.is_answered_by_a_human("I am Grace, and I am.")
    ada.writes("Great")
    goes_well(ada)


# --- what dies


CALLS_OF_A_TURN = 10  # assistant, list, read the mark, set it, list, add, run, look twice, messages (and then list)


@pytest.mark.parametrize("handled", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("at", range(1, CALLS_OF_A_TURN + 2))
def test_a_turn_may_die_at_any_call(ada: Person, at: int, handled: bool) -> None:
    ada.writes("Hi")
    ada.bench.saboteur.strikes(at, handled=handled)
    ada.turn_fails()
    assert ada.bench.saboteur.calls >= at
    ada.bench.saboteur.strikes(None)
    goes_well(ada)


def test_an_answer_that_lost_its_commit_is_not_in_the_thread(ada: Person) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("one")
    ada.bench.answer(ada.turn())
    ada.writes("two")
    goes_well(ada)


def test_a_run_that_a_dead_turn_left_is_ended_and_the_turn_goes_on(ada: Person) -> None:
    assert ada.thread is not None
    ada.bench.api("POST", f"/threads/{ada.thread.id}/runs", assistant_id=ASSISTANT)
    ada.writes("Hi")
    goes_well(ada)
    assert "POST /threads/*/runs/*/cancel" in ada.bench.calls()


def test_a_run_that_does_not_end_in_time_is_cancelled(ada: Person) -> None:
    ada.bench.order("run_stuck")
    ada.writes("Hi")
    session = ada.bench.table.of(ada.turn()).means.openai  # type: ignore[attr-defined]
    object.__setattr__(session, "monotonic", lambda: sum(ada.bench.waits))
    try:
        with pytest.raises(Unconfirmed):
            ada.bench.answer(ada.turn())
        assert 65 < sum(ada.bench.waits) < 75
        assert ada.bench.calls()[-1] == "POST /threads/*/runs/*/cancel"
        ada.bench.waits.clear()
        goes_well(ada)
    finally:
        ada.bench.table.built.clear()


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("run_failed", TryAgain, "server_error"),
        ("run_refused", Refused, "invalid_prompt"),
        ("run_expired", TryAgain, "expired"),
        ("run_cancelled", TryAgain, "cancelled"),
        ("run_incomplete", Refused, "incomplete:max_completion_tokens"),
    ],
)
def test_a_run_that_ends_without_an_answer_is_sorted(
    ada: Person, fault: str, error: type[Exception], says: str
) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    ada.bench.order(fault)
    with pytest.raises(error, match=says):
        ada.bench.answer(ada.turn())
    goes_well(ada)


def test_an_assistant_that_calls_tools_without_end_is_stopped(ada: Person) -> None:
    ada.bench.order("run_calls_unknown_tool", times=20)
    ada.writes("Hi")
    with pytest.raises(Refused, match="calls tools without end"):
        ada.bench.answer(ada.turn())
    ada.bench.forget_faults()
    goes_well(ada)


# --- what is no more


def test_where_the_api_is_gone_the_turn_goes_on_with_our_history(openai: Bench) -> None:
    ada = Person(openai, SETTINGS, thread=GONE, opening=list(OPENING))
    ada.writes("Hi")
    answer = ada.is_answered()
    assert "Hi" in answer.text
    assert answer.thread == Thread(id=GONE.id, migrated=True)
    [request] = openai.requests()
    assert [item["content"] for item in request["input"]] == [OPENING[0].text, "Hi"]


def test_a_thread_that_was_left_behind_is_never_asked_again(openai: Bench) -> None:
    ada = Person(openai, SETTINGS, thread=GONE, opening=list(OPENING))
    ada.writes("Hi")
    ada.is_answered()
    openai.forget()
    openai.switch_on_assistants()
    for engine in (None, "assistants"):
        ada.settings = AiSettings(assistant_id=ASSISTANT, engine=engine)
        ada.writes("thanks")
        ada.is_answered()
    assert openai.calls() == ["POST /responses"] * 2
    assert ada.thread == Thread(id=GONE.id, migrated=True)


@pytest.mark.parametrize("fault", ["thread_gone", "thread_gone_410"])
def test_a_thread_that_is_gone_is_left_behind(ada: Person, fault: str) -> None:
    ada.writes("Hi")
    ada.is_answered()
    ada.writes("thanks")
    ada.bench.order(fault)
    answer = ada.is_answered()
    assert answer.thread is not None
    assert answer.thread.migrated


def test_an_assistant_that_is_gone_is_left_behind_too(ada: Person) -> None:
    ada.settings = AiSettings(assistant_id="asst_other")
    ada.writes("Hi")
    answer = ada.is_answered()
    assert answer.thread is not None
    assert answer.thread.migrated


def test_where_nobody_answers_the_thread_is_not_left_behind(openai: Bench) -> None:
    openai.order("insufficient_quota")
    with pytest.raises(Refused, match="insufficient_quota"):
        openai.answer(turn("Hi", settings=SETTINGS, thread=GONE))


def test_a_thread_without_an_assistant_is_answered_from_our_history(openai: Bench) -> None:
    answer = openai.answer(turn("Hi", thread=GONE))
    assert (answer.thread, openai.calls()) == (None, ["POST /responses"])
