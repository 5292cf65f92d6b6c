"""How a text is cut into messages that a provider takes: at a paragraph, a line, a sentence or a word."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = "```"
_SENTENCE_END = re.compile(r"[.!?…]['\")\]]*\s+|[。！？]\s*")
_WORD_END = re.compile(r"\s+")

#: Joins emoji into one picture; a cut beside it would show two.
_ZERO_WIDTH_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Format:
    """What a channel takes in one message; `longest` counts UTF-16 code units, as Twilio does."""

    longest: int

    def parts(self, text: str) -> Sequence[str]:
        """The whole text in order, cut at sensible places; no part is empty or too long."""
        return list(_parts(text.strip(), self.longest))


def _parts(text: str, longest: int) -> Iterator[str]:
    while _units(text) > longest:
        cut = _best_cut(text, _reach(text, longest))
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    if text:
        yield text


def _units(text: str) -> int:
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def _reach(text: str, longest: int) -> int:
    """How many characters from the beginning fit."""
    units = 0
    for index, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > longest:
            return index
    return len(text)


def _best_cut(text: str, reach: int) -> int:
    """The last good place within reach; a place that would leave a scrap is worse than the next kind of place."""
    window, least = text[: reach + 1], reach // 3
    for place in (_after_last(window, "\n\n", reach), _after_last(window, "\n", reach), _sentence(window, reach)):
        if place > least and not _inside_fence(text, place):
            return place
    fence = window.rfind(_FENCE)
    if fence > least and _inside_fence(text, reach):
        return fence
    word = _last_end(_WORD_END, window, reach)
    return word if word > least else _whole_character(text, reach)


def _after_last(window: str, mark: str, reach: int) -> int:
    found = window.rfind(mark, 0, reach)
    return found + len(mark) if found >= 0 else 0


def _sentence(window: str, reach: int) -> int:
    return _last_end(_SENTENCE_END, window, reach)


def _last_end(pattern: re.Pattern[str], window: str, reach: int) -> int:
    """Where the last match begins to be over; the blank itself may lie beyond what fits."""
    ends = (match.end() for match in pattern.finditer(window) if match.start() <= reach)
    return min(max(ends, default=0), reach)


def _inside_fence(text: str, place: int) -> bool:
    return text.count(_FENCE, 0, place) % 2 == 1


def _whole_character(text: str, place: int) -> int:
    """The nearest place before `place` that does not part what is read as one character."""
    earliest = max(place - 32, 1)
    for candidate in range(place, earliest, -1):
        if not _belongs_together(text[candidate - 1], text[candidate]):
            return candidate
    return place


def _belongs_together(before: str, after: str) -> bool:
    joined = _ZERO_WIDTH_JOINER in (before, after)
    return joined or unicodedata.combining(after) != 0 or unicodedata.category(after) in ("Mn", "Me", "Mc")
