"""How many segments an SMS is charged as, counted as Twilio counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.channels.sms import segments, share
from local.twilio.segments import segments_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("x" * 158 + "[", 1),
        ("x" * 159 + "[", 2),
        ("é" * 160, 1),
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("你" * 70, 1),
        ("你" * 71, 2),
        ("你" * 134, 2),
        ("你" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("’" + "x" * 69, 1),
        ("’" + "x" * 70, 2),
    ],
)
def test_a_text_is_counted_in_segments(text: str, expected: int) -> None:
    assert segments(text) == expected


def test_an_extension_character_is_never_cut_in_two() -> None:
    assert segments("x" * 152 + "x" + "x" * 153) == 2
    assert segments("x" * 152 + "€" + "x" * 152) == 3, "the last place of the first segment stays empty"


def test_a_pair_of_code_units_is_never_cut_in_two() -> None:
    assert segments("你" * 67 + "你" * 67) == 2
    assert segments("你" * 66 + "😀" + "你" * 66) == 3


ALPHABET = st.sampled_from([*"aZ0 @é\n", *"€[~^", "你", "😀", "ç"])


@given(st.lists(ALPHABET, max_size=700).map("".join))
def test_our_count_is_that_of_the_twilio_stand_in(text: str) -> None:
    assert segments(text) == segments_of(text, "+447700900001")


@given(st.lists(ALPHABET, max_size=700).map("".join), st.integers(min_value=1, max_value=8))
def test_a_text_fits_if_it_needs_no_more_segments_than_allowed(text: str, most: int) -> None:
    assert (share(text, most) <= 1) == (segments(text) <= most)
