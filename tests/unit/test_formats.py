"""An answer is cut where a reader would cut it, and nothing of it is lost."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.channels import whatsapp
from chalicelib.channels.formats import FORMATS, Format, FormattedParts
from chalicelib.channels.sms import segments
from chalicelib.channels.styled import Styled
from chalicelib.model import Channel, Tenant
from tests.whatsapp_screen import MEANT, shown

WHATSAPP = FORMATS[Channel.WHATSAPP]
SMS = FORMATS[Channel.SMS]


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def narrow(longest: int) -> Format:
    """WhatsApp with smaller messages."""
    return Format(whatsapp.write, longest, lambda text, tenant: units(text) / longest)


def tenant(most_segments: int | None) -> Tenant:
    return Tenant(channel=Channel.SMS, address="+447700900001", sms_max_segments=most_segments)


def without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_a_short_text_is_one_part() -> None:
    assert WHATSAPP.parts("Hello") == ["Hello"]


@pytest.mark.parametrize("text", ["", "   ", "\n\n\t"], ids=repr)
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


CHARACTERS = {
    "combining": "e\u0301\u0323",
    "family": "👩\u200d👩\u200d👧\u200d👦",
    "variation": "❤\ufe0f",
    "keycap": "1\ufe0f\u20e3",
    "skin": "👍🏽",
    "flag": "🇬🇧",
    "region": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "devanagari": "नि",
    "conjunct": "क्ष",
    "syllable": "각",
    "jamo": "\u1100\u1161\u11a8",
}


@pytest.mark.parametrize("longest", [97, 100, 101])
@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())
def test_what_is_read_as_one_character_is_never_parted(character: str, longest: int) -> None:
    parts = narrow(longest).parts(character * 400)
    assert all(part == character * (len(part) // len(character)) for part in parts)
    assert sum(map(len, parts)) == 400 * len(character)


@pytest.mark.parametrize("text", ["مرحبا بك في شركتنا. ", "שלום וברוכים הבאים. ", "这是一个很长的句子。", "สวัสดี"])
@pytest.mark.parametrize("format_", [WHATSAPP, SMS], ids=["whatsapp", "sms"])
def test_every_script_is_cut_without_loss(text: str, format_: Format) -> None:
    long = text * 400
    parts = format_.parts(long)
    assert all(0 < units(part) <= 1_600 for part in parts)
    assert without_blanks("".join(parts)) == without_blanks(long)


def test_chinese_is_cut_behind_its_full_stop() -> None:
    assert all(part.endswith("。") for part in WHATSAPP.parts("这是一个很长的句子。" * 400))


def test_a_title_stays_with_what_it_is_the_title_of() -> None:
    first, second = WHATSAPP.parts(f"{'a' * 1_200}\n\n**Title**\n\n{'b ' * 700}")
    assert first == "a" * 1_200
    assert second.startswith("*Title*\n\nb b")


def test_a_code_block_stays_whole() -> None:
    block = "```\n" + "print('hello')\n\n" * 20 + "```"
    parts = WHATSAPP.parts("\n\n".join(["Some words. " * 60, block, "More words. " * 60, block, "The end."]))
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert sum(part.count("print('hello')\n\n" * 19 + "print('hello')```") for part in parts) == 2


@pytest.mark.parametrize("before", range(1_000, 1_600, 7))
def test_code_stays_whole_wherever_it_stands(before: int) -> None:
    text = "w" * before + " `a b c d. e f  g` " + "tail " * 100
    assert sum("`a b c d. e f  g`" in part for part in WHATSAPP.parts(text)) == 1


def test_a_code_block_that_must_be_cut_is_closed_and_opened_again_between_two_lines() -> None:
    lines = [f"    line_{number} = '*{number}*'" for number in range(200)]
    parts = WHATSAPP.parts("```python\n" + "\n".join(lines) + "\n```")
    assert len(parts) > 2
    assert all(part.startswith("```    line_") and part.endswith("'```") for part in parts)
    assert "\n".join(part.removeprefix("```").removesuffix("```") for part in parts) == "\n".join(lines)


@pytest.mark.parametrize(("opens", "closes"), [("**", "*"), ("*", "_"), ("~~", "~")])
def test_a_look_that_is_cut_is_closed_and_opened_again(opens: str, closes: str) -> None:
    parts = WHATSAPP.parts(f"{opens}{'wonderful ' * 400}end{opens}")
    assert len(parts) == 3
    assert all(part.startswith(closes) and part.endswith(closes) and part.count(closes) == 2 for part in parts)


def test_a_quote_that_is_cut_is_a_quote_in_both_parts() -> None:
    assert all(part.startswith("> wonderful ") for part in WHATSAPP.parts("> " + "wonderful " * 400))


def test_a_part_never_begins_as_a_list_or_quote_that_the_text_has_not() -> None:
    for sign in ("-", ">", "*"):
        for part in narrow(60).parts(f"some words {sign} and more " * 40):
            assert not re.match(r"[-*>] ", part)
            assert "•" not in "".join(character for character, _ in shown(part))


def test_an_address_stays_whole_wherever_it_stands() -> None:
    address = "https://example.com/" + "path_/" * 40 + "?a=b.c&d=e!f"
    for before in range(900, 1_600, 23):
        parts = WHATSAPP.parts(f"{'w ' * (before // 2)}{address} and more " + "tail " * 100)
        assert sum(address in part for part in parts) == 1


def test_each_channel_has_its_own_format() -> None:
    split = FormattedParts(FORMATS).split
    assert split(Channel.SMS, "**x**", tenant=None) == ["x"]
    assert split(Channel.WHATSAPP, "**x**", tenant=None) == ["*x*"]


def test_a_tenant_limits_the_segments_of_one_sms() -> None:
    split = FormattedParts(FORMATS).split
    text = "A sentence of exactly forty characters. " * 40
    assert [segments(part) for part in split(Channel.SMS, text, tenant=tenant(None))] == [11]
    assert {segments(part) for part in split(Channel.SMS, text, tenant=tenant(1))} == {1}
    assert max(segments(part) for part in split(Channel.SMS, text, tenant=tenant(3))) == 3
    assert len(split(Channel.SMS, text, tenant=tenant(3))) == 4


def test_segments_do_not_concern_whatsapp() -> None:
    assert len(FormattedParts(FORMATS).split(Channel.WHATSAPP, "x" * 1_600, tenant=tenant(1))) == 1


@pytest.mark.parametrize("sign", ["x", "你", "😀", "€"])
def test_without_blanks_too_each_sms_keeps_to_its_segments(sign: str) -> None:
    parts = SMS.parts(sign * 1_000, tenant=tenant(1))
    assert "".join(parts) == sign * 1_000
    assert {len(part) for part in parts[:-1]} == {{"x": 160, "你": 70, "😀": 35, "€": 80}[sign]}


@pytest.mark.parametrize("text", ["<!-- nothing -->", "[a]: https://example.com", "#", "```\n```"])
def test_markdown_that_shows_nothing_is_sent_as_it_stands(text: str) -> None:
    assert without_blanks("".join(WHATSAPP.parts(text))).replace("ˋ", "`") == without_blanks(text)


def test_half_a_character_is_replaced() -> None:
    assert WHATSAPP.parts("a\ud83d b") == ["a\ufffd b"]


def test_what_is_nested_too_deep_to_mean_anything_is_sent_as_it_stands() -> None:
    assert SMS.parts(">" * 60 + " deep") == [">" * 60 + " deep"]


PIECES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=3),
    st.sampled_from([*" \n\t.!?`x", "\n\n", "```", "😀", "👩\u200d👧", "e\u0301", "。", "م"]),
)
TEXTS = st.lists(PIECES, max_size=300).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, longest=st.integers(min_value=20, max_value=80))
@example(text="```" * 30, longest=20)
@example(text="\u0301" * 200, longest=20)
@example(text="😀" * 100, longest=21)
def test_no_part_is_too_long_or_empty_whatever_the_text(text: str, longest: int) -> None:
    parts = narrow(longest).parts(text)
    assert bool(parts) == bool(text.strip())
    assert all(part.strip() for part in parts)
    assert all(units(part) <= longest for part in parts)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, most=st.sampled_from([None, 1, 2, 3]))
def test_nothing_that_is_seen_is_lost_between_parts(text: str, most: int | None) -> None:
    whole = Format(SMS.write, 10**6, lambda written, tenant: 0).parts(text)
    assert without_blanks("".join(SMS.parts(text, tenant=tenant(most)))) == without_blanks("".join(whole))


LOOKS = st.lists(
    st.sampled_from(
        ["word", "**bold words** ", "_so so_ ", "~~gone~~ ", "`co de` ", "end. ", "\n", "\n\n", "😀 ", "a*b* "]
    ),
    max_size=60,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=LOOKS, longest=st.integers(min_value=20, max_value=80))
def test_parts_look_as_the_whole_does(text: str, longest: int) -> None:
    def seen(*parts: str) -> list[object]:
        each_in_each = (each for part in parts for each in shown(part))
        return [(each.translate(MEANT), looks) for each, looks in each_in_each if not each.isspace()]

    whole = narrow(10**6).parts(text)
    assert seen(*narrow(longest).parts(text)) == seen(*whole)


@given(st.lists(st.sampled_from(["word", "end.", "né", "重要。", "👍", "\n\n", "\n"]), min_size=1).map(" ".join))
def test_plain_words_are_left_alone_and_a_part_is_a_part_again(text: str) -> None:
    for format_ in (narrow(40), SMS):
        parts = format_.parts(text)
        assert [again for part in parts for again in format_.parts(part)] == parts
        assert without_blanks("".join(parts)) == without_blanks(text)


HOSTILE = [
    ">",
    "- ",
    "1) ",
    "[",
    "![",
    "[a](",
    "*a ",
    "*a_ ",
    "**a*b",
    "`",
    "<a ",
    "<!--",
    "\\",
    "(",
    "&a",
    "x",
    "\u0301",
    "🇬🇧",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_grows_as_the_text_does_and_no_faster(piece: str) -> None:
    """Counts the characters that are written while the cuts are looked for."""

    def work(length: int) -> int:
        written: list[int] = []

        def write(styled: Styled) -> str:
            written.append(len(styled.text))
            return whatsapp.write(styled)

        Format(write, 1_600, WHATSAPP.share).parts(piece * (length // len(piece)))
        return sum(written)

    assert work(16_000) <= 12 * 16_000


@pytest.mark.parametrize("piece", ["[", "*a ", ">"])
def test_a_hundred_thousand_hostile_characters_are_all_there(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert without_blanks("".join(SMS.parts(text))) == without_blanks(text)
