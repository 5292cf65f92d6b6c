"""What a model is shown of a conversation is bounded in tokens, in every language."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engines.budget import MOST_COUNTS, newest_within
from chalicelib.errors import RelayError, TryAgain
from chalicelib.model import AiSettings, Author, Spoken
from tests.engines.bench import Bench, turn

#: One sentence in several scripts, emoji with joiners and flags among them.
SENTENCES = (
    "Could you tell me when the interview is? ",
    "请问面试是什么时候？我想带上我的推荐信。",
    "متى ستكون المقابلة من فضلك؟ ",
    "साक्षात्कार कब है? ",
    "👩🏽‍🚀👨‍👩‍👧‍👦🏳️‍🌈🇿🇦",
)


def line(text: str) -> Spoken:
    return Spoken(Author.USER, text)


def a_token_a_byte(lines: Sequence[Spoken]) -> int:
    """The worst tokenizer there can be: none makes more tokens than there are bytes."""
    return sum(len(each.text.encode("utf-8", "replace")) for each in lines)


def a_token_for_four(lines: Sequence[Spoken]) -> int:
    return -(-a_token_a_byte(lines) // 4)


def nobody(lines: Sequence[Spoken]) -> int:
    raise TryAgain("no count today")


def never(lines: Sequence[Spoken]) -> int:
    raise AssertionError("what is short needs no counting")


texts = st.lists(st.text(max_size=200) | st.sampled_from(SENTENCES), max_size=30)


@given(texts, st.integers(50, 5_000), st.sampled_from([a_token_a_byte, a_token_for_four, nobody]))
def test_the_bound_holds_and_the_newest_are_kept(said: list[str], tokens: int, count: object) -> None:
    lines = [line(text) for text in said]
    shown = newest_within(lines, tokens, count)  # type: ignore[arg-type]
    exact = a_token_a_byte if count is nobody else count
    assert exact(shown) <= tokens  # type: ignore[operator]
    wordy = [each for each in lines if each.text]
    if a_token_a_byte(wordy[-1:]) <= tokens - 8:
        assert shown == wordy[len(wordy) - len(shown) :]
    assert bool(shown) == bool(wordy)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_has_fewer_bytes_than_tokens_needs_no_counting(sentence: str) -> None:
    lines = [line(sentence)] * 5
    assert newest_within(lines, 1_000, never) == lines


def test_a_long_history_is_counted_and_uses_its_room() -> None:
    lines = [line(f"{number:03d}" + "x" * 97) for number in range(200)]
    counts: list[int] = []

    def count(chosen: Sequence[Spoken]) -> int:
        counts.append(len(chosen))
        return a_token_for_four(chosen)

    shown = newest_within(lines, 1_000, count)
    assert 900 <= a_token_for_four(shown) <= 1_000
    assert len(counts) <= MOST_COUNTS
    assert shown[-1] is lines[-1]


def test_a_message_that_alone_is_too_long_is_cut_and_not_dropped() -> None:
    [shown] = newest_within([line("before"), line("请" * 1_000)], 100, a_token_a_byte)
    assert set(shown.text) == {"请"}
    assert len(shown.text.encode()) <= 100


# --- with OpenAI's own count


def test_a_short_conversation_is_not_counted(openai: Bench) -> None:
    openai.answer(turn("Hi", history=[line("before")]))
    assert openai.calls() == ["POST /responses"]


def test_a_long_one_is_counted_by_openai_and_cut(openai: Bench) -> None:
    history = [line(f"{number} {SENTENCES[0] * 10}") for number in range(60)]
    openai.answer(turn("Hi", history=history, settings=AiSettings(history_tokens=1_000)))
    [request] = openai.requests()
    contents = [item["content"] for item in request["input"]]
    assert contents[-1] == "Hi"
    assert 5 < len(contents) < 20
    count = openai.api("POST", "/responses/input_tokens", model="gpt-6-luna", input=request["input"])["input_tokens"]
    assert 700 < count <= 1_000


def test_where_it_cannot_be_counted_the_answer_comes_all_the_same(openai: Bench) -> None:
    openai.order("count_fails", times=9)
    history = [line(f"{number} {SENTENCES[1] * 10}") for number in range(60)]
    try:
        assert openai.answer(turn("Hi", history=history, settings=AiSettings(history_tokens=2_000))).text
    except RelayError:
        pytest.fail("a count must not cost an answer")
    [request] = openai.requests()
    assert sum(len(item["content"].encode()) for item in request["input"]) <= 2_000
