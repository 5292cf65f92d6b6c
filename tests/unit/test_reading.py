"""A message in words, as the AI and people read it."""

import pytest

from chalicelib.model import (
    Choice,
    Extra,
    Forwarded,
    Location,
    Media,
    MediaKind,
    Quotation,
    Reaction,
    Referral,
    Waiting,
)
from chalicelib.reading import LONGEST_QUOTATION, in_words
from tests.twins import cast


def message(text: str, *extras: Extra, media: tuple[Media, ...] = ()) -> Waiting:
    return cast.waiting(1, text, extras=extras, media=media)


def file(kind: MediaKind, **more: str | None) -> Media:
    return Media("https://x/1", "x/y", kind=kind, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (Location("51.5", "-0.1"), "[location: 51.5, -0.1]"),
        (Location("51.5", "-0.1", "Office", "1 High St"), "[location: 51.5, -0.1, Office, 1 High St]"),
        (Choice("Yes", "yes-1"), "[chose: Yes (id: yes-1)]"),
        (Choice("10:30", "", "with Priya"), "[chose: 10:30, with Priya]"),
        (Reaction("👍", "SM1", "See you on Monday"), "[reacted 👍 to: “See you on Monday”]"),
        (Reaction("👍", "SM1"), "[reacted 👍 to an earlier message]"),
        (Reaction("", "SM1", "See you"), "[took back the reaction to: “See you”]"),
        (Quotation("SM1", "Which day?"), "[in reply to: “Which day?”]"),
        (Quotation("SM1"), "[in reply to an earlier message]"),
        (Forwarded(), "[forwarded]"),
        (Forwarded(often=True), "[forwarded many times]"),
        (
            Referral("Jobs", "Apply now", "https://fb.me/1", "ad"),
            "[came through the ad: Jobs, Apply now, https://fb.me/1]",
        ),
    ],
    ids=str,
)
def test_everything_that_a_message_may_be_has_its_line(extra: Extra, line: str) -> None:
    assert in_words(message("", extra)) == line


@pytest.mark.parametrize(
    ("media", "line"),
    [
        (file(MediaKind.PICTURE), "[picture]"),
        (file(MediaKind.STICKER), "[sticker]"),
        (file(MediaKind.VIDEO), "[video]"),
        (file(MediaKind.DOCUMENT, name="cv.pdf"), "[document cv.pdf]"),
        (file(MediaKind.VOICE, words="I am late"), "[voice note: I am late]"),
        (file(MediaKind.VOICE), "[voice note that could not be transcribed]"),
        (file(MediaKind.VOICE, problem="gone"), "[voice note that could not be transcribed]"),
        (file(MediaKind.CONTACT, words="Ada, +44"), "[contact card: Ada, +44]"),
        (file(MediaKind.CONTACT), "[contact card]"),
        (file(MediaKind.PICTURE, problem="too_large"), "[picture that could not be read: too large]"),
        (file(MediaKind.PICTURE, problem="gone"), "[picture that could not be read: no longer at the provider]"),
        (
            file(MediaKind.DOCUMENT, name="a.exe", problem="type_not_kept"),
            "[document a.exe that could not be read: of a type that is not accepted]",
        ),
        (file(MediaKind.PICTURE, problem="http_418"), "[picture that could not be read]"),
    ],
    ids=str,
)
def test_a_file_is_told_by_what_it_says_or_else_by_what_it_is(media: Media, line: str) -> None:
    assert in_words(message("", media=(media,))) == line


def test_a_text_stands_alone() -> None:
    assert in_words(message("Hello\nthere")) == "Hello\nthere"


def test_what_a_text_answers_stands_before_it_and_what_came_with_it_after() -> None:
    whole = message("that one", Forwarded(), Quotation("SM1", "Which?"), media=(file(MediaKind.PICTURE),))
    assert in_words(whole).split("\n") == ["[forwarded]", "[in reply to: “Which?”]", "that one", "[picture]"]


@pytest.mark.parametrize("extra", [Choice("Yes", "y"), Reaction("Yes")])
def test_what_was_chosen_is_not_said_twice(extra: Extra) -> None:
    assert in_words(message("Yes", extra)).count("Yes") == 1


def test_a_long_quotation_is_cut_and_stays_in_one_line() -> None:
    told = in_words(message("", Quotation("SM1", "a\nb " * 500)))
    assert "\n" not in told
    assert len(told) < LONGEST_QUOTATION + 30
    assert told.endswith("…”]")


def test_a_message_that_is_nothing_has_no_words() -> None:
    assert in_words(message("")) == ""
