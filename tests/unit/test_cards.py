"""Contact cards in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chalicelib.cards import card_in_words

PHONE_CARD = """BEGIN:VCARD
VERSION:3.0
N:Lovelace;Ada;;;
FN:Ada Lovelace
item1.TEL;waid=447700900123:+44 7700 900123
item1.X-ABLabel:Mobile
ORG:Analytical Engines;Research;
EMAIL;TYPE=WORK:ada@example.com
END:VCARD
"""


def test_a_card_is_told_by_name_place_and_ways_to_reach_them() -> None:
    told = card_in_words(PHONE_CARD.encode())
    assert told == "Ada Lovelace, Analytical Engines Research, +44 7700 900123, ada@example.com"


def test_several_cards_in_one_file_are_told_one_after_the_other() -> None:
    second = PHONE_CARD.replace("Ada Lovelace", "Charles Babbage")
    told = card_in_words((PHONE_CARD + second).encode()).split("; ")
    assert [each.split(", ")[0] for each in told] == ["Ada Lovelace", "Charles Babbage"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("FN:Ada\r\n  Lovelace\r\nEND:VCARD", "Ada Lovelace"),  # a folded line
        ("FN:Smith\\, Ada\\nQueen\nEND:VCARD", "Smith, Ada Queen"),  # escapes
        ("FN:Ada\nTEL:1\nTEL:1\nEND:VCARD", "Ada, 1"),  # twice the same
        ("fn;charset=utf-8:Zoë\nend:vcard", "Zoë"),
        ("FN:no end", "no end"),
        ("PHOTO;ENCODING=b:AAAA\nFN:Ada\nEND:VCARD", "Ada"),
        ("FN:\nTEL:\nEND:VCARD", ""),
        ("not a card", ""),
        ("", ""),
    ],
)
def test_cards_as_phones_write_them(lines: str, told: str) -> None:
    assert card_in_words(lines.encode()) == told


@given(some.binary(max_size=2_000))
def test_any_bytes_are_read_calmly(content: bytes) -> None:
    assert isinstance(card_in_words(content), str)
