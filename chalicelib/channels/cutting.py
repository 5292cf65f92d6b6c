"""Where a text is cut into messages that a provider takes: at a paragraph, a line, a sentence or a word."""

import re
import unicodedata
from collections.abc import Callable, Iterator

from chalicelib.channels.styled import BOLD, WHOLE, Styled

_PARAGRAPH_END = re.compile(r"\n\s*\n")
_LINE_END = re.compile(r"\n")
_SENTENCE_END = re.compile(r"[.!?…؟۔।]['\"’”)\]]*\s+|[。！？][」』”’）]*\s*")
_WORD_END = re.compile(r"\s+")

#: How far back a character is looked for that is whole; none is longer, unless somebody made it so.
_LONGEST_CHARACTER = 32

_ZERO_WIDTH_JOINER = "\u200d"

#: How much of one message a text fills; more than 1 does not fit.
Share = Callable[[Styled], float]

#: A part may be this much shorter than it could be, as measuring it exactly means writing it often.
_CLOSE_ENOUGH = 1 / 50


def cut(styled: Styled, share: Share, longest: int) -> Iterator[Styled]:
    """The whole text in order, in parts that fit; blanks between two parts are left out.

    `longest`: more characters never fit, whatever they are. A single character is a part even if it does not fit.
    """
    start, end = 0, len(styled.text.rstrip())
    while (start := _next_start(styled, start, end)) < end:
        reach = _reach(styled, start, end, share, longest)
        stop = end if reach == end else _place(styled, start, reach, share)
        yield styled.part(start, start + len(styled.text[start:stop].rstrip()))
        start = stop


def _next_start(styled: Styled, start: int, end: int) -> int:
    """Behind the blanks, but what indents a line of code is code."""
    begins = start
    while begins < end and styled.text[begins].isspace():
        begins += 1
    line = styled.text.rfind("\n", max(start - 1, 0), begins) + 1
    is_indented_code = start <= line < begins < end and styled.looks[begins] & styled.looks[line] & WHOLE
    return line if is_indented_code else begins


def _reach(styled: Styled, start: int, end: int, share: Share, longest: int) -> int:
    """How far a part from `start` can go: guessed from how much of a message the last guess filled."""
    low, high = start + 1, min(end, start + longest)
    guess, filled = high, share(styled.part(start, high))
    if filled <= 1:
        return high
    while high - low > 1 + (high - start) * _CLOSE_ENOUGH:
        guess = min(max(start + int((guess - start) / filled), low + 1), high - 1)
        filled = share(styled.part(start, guess))
        low, high = (guess, high) if filled <= 1 else (low, guess)
    return low


def _place(styled: Styled, start: int, reach: int, share: Share) -> int:
    """The last good place within reach; a place that would leave a scrap is worse than the next kind of place."""
    least = start + (reach - start) // 3
    for pattern in (_PARAGRAPH_END, _LINE_END, _SENTENCE_END):
        place = _last_end(pattern, styled, start, reach, keep_whole=True)
        if place > least:
            return place
    begins, ends = _whole_around(styled, start, reach)
    if least < begins < reach or (start < begins < reach and share(styled.part(begins, ends)) <= 1):
        return begins
    for pattern in (_LINE_END, _WORD_END):
        place = _last_end(pattern, styled, start, reach, keep_whole=False)
        if place > least:
            return place
    return _whole_character(styled.text, start, reach)


def _last_end(pattern: re.Pattern[str], styled: Styled, start: int, reach: int, *, keep_whole: bool) -> int:
    """Where the last good match ends; the blanks at its end may lie beyond what fits."""
    found = start
    for match in pattern.finditer(styled.text, start, reach + 1):
        place = min(match.end(), reach)
        if not (keep_whole and (_is_inside(styled, place) or _is_behind_title(styled, match.start()))):
            found = place
    return found


def _is_inside(styled: Styled, place: int) -> bool:
    return bool(styled.looks[place - 1] & styled.looks[place] & WHOLE)


def _is_behind_title(styled: Styled, end: int) -> bool:
    """A bold line belongs to what it is the title of."""
    begins = styled.text.rfind("\n", 0, end) + 1
    return styled.text[end] == "\n" and begins < end and all(look & BOLD for look in styled.looks[begins:end])


def _whole_around(styled: Styled, start: int, reach: int) -> tuple[int, int]:
    """Where the code or address around `reach` begins and ends; `reach` twice if there is none."""
    kind = styled.looks[reach - 1] & styled.looks[reach] & WHOLE
    begins = ends = reach
    while kind and begins > start and styled.looks[begins - 1] & kind:
        begins -= 1
    while kind and ends < len(styled.looks) and styled.looks[ends] & kind:
        ends += 1
    return begins, ends


def _whole_character(text: str, start: int, place: int) -> int:
    """The nearest place that does not part what is read as one character."""
    for candidate in range(place, max(place - _LONGEST_CHARACTER, start), -1):
        if not _belongs_together(text, start, candidate):
            return candidate
    return place


def _belongs_together(text: str, start: int, place: int) -> bool:
    """Source: Unicode, UAX #29, the rules that matter in messages."""
    before, after = text[place - 1], text[place]
    return (
        _ZERO_WIDTH_JOINER in (before, after)
        or unicodedata.category(after) in ("Mn", "Me", "Mc")
        or unicodedata.combining(before) == 9  # a virama, which joins two consonants
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # the colour of a skin
        or "\U000e0020" <= after <= "\U000e007f"  # what follows a black flag
        or ("\u1100" <= before <= "\u11ff" and "\u1160" <= after <= "\u11ff")  # the letters of a Korean syllable
        or ("\uac00" <= before <= "\ud7a3" and "\u1160" <= after <= "\u11ff")
        or (_is_half_flag(before) and _is_half_flag(after) and _halves_before(text, start, place) % 2 == 1)
    )


def _is_half_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _halves_before(text: str, start: int, place: int) -> int:
    begins = place
    while begins > start and _is_half_flag(text[begins - 1]):
        begins -= 1
    return place - begins
