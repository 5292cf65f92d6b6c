"""What a phone shows of a WhatsApp message: an independent reading of WhatsApp's rules, one character at a time.

A mark opens at the beginning of a line or behind anything but a letter or digit, and before a character that is no
blank; it closes behind a character that is no blank and not before a letter or digit. Nothing opens twice, nothing goes
on over the end of a line but three backticks, and in code nothing is a mark. A line that begins with `- `, `* ` or a
number is an item, one that begins with `> ` a quote.
"""

import re
from collections.abc import Iterator

Shown = tuple[str, frozenset[str]]

#: Which of WhatsApp's signs an author meant by one that only looks like it.
MEANT = str.maketrans("∗ˍ∼ˋ‐＞", "*_~`->")

_MARKS = {"*": "bold", "_": "italic", "~": "strike"}
_FENCED = re.compile(r"```(.+?)```", re.DOTALL)
_TICKED = re.compile(r"`([^`\n]+)`")
_ITEM = re.compile(r"(\s*)([-*]|\d+\.) ")


def shown(message: str) -> list[Shown]:
    """Every character that is seen and how it looks, without the marks; a bullet is shown as `•`."""
    found: list[Shown] = []
    done = 0
    for fence in _FENCED.finditer(message):
        found += _lines(message[done : fence.start()], begins_line=message[: fence.start()].endswith("\n") or not done)
        found += [(character, frozenset({"code"})) for character in fence[1]]
        done = fence.end()
    return found + _lines(message[done:], begins_line=not done)


def _lines(text: str, *, begins_line: bool) -> list[Shown]:
    found: list[Shown] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            found.append(("\n", frozenset()))
        found += _line(line) if number or begins_line else _inside(line, frozenset())
    return found


def _line(line: str) -> list[Shown]:
    if line.startswith("> "):
        return _inside(line[2:], frozenset({"quote"}))
    item = _ITEM.match(line)
    if item is None:
        return _inside(line, frozenset())
    mark = "•" if item[2] in "-*" else item[2]
    return [(each, frozenset()) for each in item[1] + mark + " "] + _inside(line[item.end() :], frozenset())


def _inside(text: str, looks: frozenset[str]) -> list[Shown]:
    found: list[Shown] = []
    at = 0
    while at < len(text):
        code = _TICKED.match(text, at)
        end = _closing(text, at, looks)
        if code is not None:
            found += [(each, looks | {"code"}) for each in code[1]]
            at = code.end()
        elif end is not None:
            found += _inside(text[at + 1 : end], looks | {_MARKS[text[at]]})
            at = end + 1
        else:
            found.append((text[at], looks))
            at += 1
    return found


def _closing(text: str, at: int, looks: frozenset[str]) -> int | None:
    mark = text[at]
    if mark not in _MARKS or _MARKS[mark] in looks or not _opens(text, at):
        return None
    return next((end for end in _outside_code(text, at + 2) if text[end] == mark and _closes(text, end)), None)


def _outside_code(text: str, start: int) -> Iterator[int]:
    codes = [code.span() for code in _TICKED.finditer(text)]
    return (at for at in range(start, len(text)) if not any(begin <= at < end for begin, end in codes))


def _opens(text: str, at: int) -> bool:
    before, after = text[:at][-1:], text[at + 1 :][:1]
    return not before.isalnum() and bool(after) and not after.isspace()


def _closes(text: str, at: int) -> bool:
    before, after = text[:at][-1:], text[at + 1 :][:1]
    return not before.isspace() and not after.isalnum()
