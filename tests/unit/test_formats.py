"""An answer is cut where a reader would cut it, and nothing of it is lost."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.channels import FORMATS, Splitter
from chalicelib.channels.formats import Format
from chalicelib.model import Channel

WHATSAPP = FORMATS[Channel.WHATSAPP]


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_a_short_text_is_one_part() -> None:
    assert WHATSAPP.parts("Hello") == ["Hello"]


@pytest.mark.parametrize("text", ["", "   ", "\n\n\t"])
def test_a_text_without_words_has_no_parts(text: str) -> None:
    assert list(WHATSAPP.parts(text)) == []


def test_a_text_that_just_fits_is_one_part() -> None:
    assert len(WHATSAPP.parts("x" * 1_600)) == 1
    assert len(WHATSAPP.parts("x" * 1_601)) == 2


def test_paragraphs_stay_whole() -> None:
    paragraphs = [letter * 700 for letter in "abc"]
    assert WHATSAPP.parts("\n\n".join(paragraphs)) == ["\n\n".join(paragraphs[:2]), paragraphs[2]]


def test_where_a_paragraph_does_not_fit_lines_stay_whole() -> None:
    lines = [letter * 700 for letter in "abc"]
    assert WHATSAPP.parts("\n".join(lines)) == ["\n".join(lines[:2]), lines[2]]


@pytest.mark.parametrize("end", [". ", "! ", "? ", "… ", '." ', ".) ", "。", "？"])
def test_where_a_line_does_not_fit_sentences_stay_whole(end: str) -> None:
    sentence = "word " * 140 + "end" + end
    parts = WHATSAPP.parts(sentence * 4)
    assert all(part.endswith(end.rstrip()) for part in parts)
    assert len(parts) == 2


def test_where_a_sentence_does_not_fit_words_stay_whole() -> None:
    parts = WHATSAPP.parts("wonderful " * 500)
    assert {word for part in parts for word in part.split()} == {"wonderful"}


def test_where_there_is_no_blank_the_text_is_cut_where_it_must_be() -> None:
    assert [len(part) for part in WHATSAPP.parts("x" * 5_000)] == [1_600, 1_600, 1_600, 200]


def test_links_stay_whole() -> None:
    link = "https://example.com/" + "path/" * 40 + "?a=b.c&d=e!f"
    parts = WHATSAPP.parts(f"See {link} and then. " * 20)
    assert sum(part.count(link) for part in parts) == 20


def test_length_is_counted_as_twilio_counts_it() -> None:
    assert [len(part) for part in WHATSAPP.parts("😀" * 1_000)] == [800, 200]


@pytest.mark.parametrize(
    "character",
    ["e\u0301\u0323", "👩\u200d👩\u200d👧\u200d👦", "❤\ufe0f", "1\ufe0f\u20e3", "👍🏽", "🇬🇧", "नि", "각"],
    ids=["combining", "family", "variation", "keycap", "skin", "flag", "devanagari", "jamo"],
)
def test_what_is_read_as_one_character_is_never_parted(character: str) -> None:
    parts = Format(longest=100).parts(character * 400)
    for part in parts:
        assert len(part) % len(character) == 0, "a character was parted"


@pytest.mark.parametrize("text", ["مرحبا بك في شركتنا. ", "שלום וברוכים הבאים. ", "这是一个很长的句子。", "สวัสดี"])
def test_every_script_is_cut_without_loss(text: str) -> None:
    long = text * 400
    parts = WHATSAPP.parts(long)
    assert all(0 < units(part) <= 1_600 for part in parts)
    assert without_blanks("".join(parts)) == without_blanks(long)


def test_a_code_block_stays_whole() -> None:
    block = "```\n" + "print('hello')\n\n" * 20 + "```"
    parts = WHATSAPP.parts("\n\n".join(["Some words. " * 60, block, "More words. " * 60, block, "The end."]))
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert sum(part.count(block) for part in parts) == 2


@pytest.mark.parametrize("before", range(1_000, 1_600, 7))
def test_a_code_block_stays_whole_wherever_it_stands(before: int) -> None:
    text = "w" * before + " ```a b c d. e f\n\ng``` " + "tail " * 100
    assert all(part.count("```") % 2 == 0 for part in WHATSAPP.parts(text))


def test_each_channel_has_its_own_format() -> None:
    assert Splitter(FORMATS).split(Channel.SMS, "x" * 1_601) == ["x" * 1_600, "x"]


PIECES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=3),
    st.sampled_from([*" \n\t.!?`x", "\n\n", "```", "😀", "👩\u200d👧", "e\u0301", "。", "م"]),
)
TEXTS = st.lists(PIECES, max_size=300).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, longest=st.integers(min_value=10, max_value=80))
@example(text="```" * 30, longest=10)
@example(text="\u0301" * 200, longest=10)
@example(text="😀" * 100, longest=11)
def test_nothing_but_blanks_is_lost_and_no_part_is_too_long_or_empty(text: str, longest: int) -> None:
    parts = Format(longest=longest).parts(text)
    assert without_blanks("".join(parts)) == without_blanks(text)
    assert all(part.strip() for part in parts)
    assert all(units(part) <= longest for part in parts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["word", "a sentence.", "```code x```", "line\n", "para\n\n", "😀"]), max_size=120))
def test_short_code_blocks_are_never_parted(pieces: list[str]) -> None:
    for part in Format(longest=60).parts(" ".join(pieces)):
        assert part.count("```") % 2 == 0
