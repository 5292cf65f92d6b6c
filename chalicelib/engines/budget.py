"""How much of what was said fits into a number of tokens: the newest lines, counted by OpenAI where it is close."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from chalicelib.errors import RelayError
from chalicelib.model import Spoken

#: Of the conversation, where a tenant names no other number.
DEFAULT_TOKENS = 16_000

#: A message costs some tokens besides its text.
PER_LINE = 8

#: More bytes than this for each token are not even counted: hardly any text that people write has so many.
MOST_BYTES_PER_TOKEN = 8

#: How often a selection is counted before the bound that needs no counting decides.
MOST_COUNTS = 3

_ROOM_FOR_ERROR = 0.95

Count = Callable[[Sequence[Spoken]], int]


def newest_within(spoken: Sequence[Spoken], tokens: int, count: Count) -> list[Spoken]:
    """The newest lines, in order, that are at most `tokens` together; at least the newest one, cut if it must be.

    A token holds at least one byte of UTF-8, whatever the language, so what is not longer in bytes needs no counting.
    Anything longer is counted by OpenAI (`count`), and shortened until it fits; if it cannot be counted, bytes decide.
    """
    lines = [line for line in spoken if line.text]
    if _bytes_of(lines) <= tokens:
        return lines
    return _counted(lines, tokens, count) or _within_bytes(lines, tokens) or _cut(lines[-1:], tokens)


def _counted(lines: Sequence[Spoken], tokens: int, count: Count) -> list[Spoken]:
    room = tokens * MOST_BYTES_PER_TOKEN
    try:
        for _ in range(MOST_COUNTS):
            chosen = _within_bytes(lines, room)
            counted = count(chosen) if chosen else 0
            if counted <= tokens:
                return chosen
            room = int(_bytes_of(chosen) * tokens / counted * _ROOM_FOR_ERROR)
    except RelayError:
        return []
    return []


def _within_bytes(lines: Sequence[Spoken], room: int) -> list[Spoken]:
    return list(_newest(lines, room))[::-1]


def _newest(lines: Sequence[Spoken], room: int) -> Iterator[Spoken]:
    for line in reversed(lines):
        room -= _bytes_of([line])
        if room < 0:
            return
        yield line


def _cut(lines: Sequence[Spoken], tokens: int) -> list[Spoken]:
    """The line, shortened to that many bytes."""
    room = max(tokens - PER_LINE, 0)
    return [replace(line, text=line.text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")) for line in lines]


def _bytes_of(lines: Sequence[Spoken]) -> int:
    return sum(PER_LINE + len(line.text.encode("utf-8", "replace")) for line in lines)
