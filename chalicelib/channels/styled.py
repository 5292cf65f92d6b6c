"""A text and how each of its characters is meant to look: what an answer is between its Markdown and its channel."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

PLAIN = 0
BOLD = 1
ITALIC = 2
STRIKE = 4
CODE = 8  #: inside a line
BLOCK = 16  #: a block of code, whole lines of it
QUOTE = 32  #: lines that somebody else wrote
LINK = 64  #: an address on the web, which carries no other look
MARK = 128  #: a list's own bullet, number or indentation, not a character that the author wrote

#: What is cut only where it does not fit into one message.
WHOLE = CODE | BLOCK | LINK


@dataclass(frozen=True, slots=True)
class Styled:
    """`looks` has one byte for each character of `text`, a sum of the looks above."""

    text: str
    looks: bytes

    @classmethod
    def plain(cls, text: str) -> "Styled":
        return cls(text, bytes(len(text)))

    def part(self, start: int, end: int) -> "Styled":
        return Styled(self.text[start:end], self.looks[start:end])

    def lines(self) -> Iterator["Styled"]:
        """The lines without their ends."""
        start = 0
        for line in self.text.split("\n"):
            yield self.part(start, start + len(line))
            start += len(line) + 1

    def runs(self) -> Iterator["Styled"]:
        """The longest pieces of one look."""
        return (self.part(*run.span()) for run in _RUN.finditer(self.looks))

    def stretches(self, look: int) -> Iterator[tuple[int, int]]:
        """Where characters that have a look, among others, begin and end."""
        return (stretch.span() for stretch in _having(look).finditer(self.looks))


_RUN = re.compile(rb"(.)\1*", re.DOTALL)


@cache
def _having(look: int) -> re.Pattern[bytes]:
    return re.compile(b"[%s]+" % b"".join(b"\\x%02x" % each for each in range(256) if each & look))
