"""Contact cards (vCard, RFC 6350) in words: who it is and how to reach them; pure."""

import re
from collections.abc import Iterator

#: What is read of a card, in bytes; a card may carry a picture of any size.
_LONGEST = 200_000

#: The properties that are told, in this order.
_TOLD = ("FN", "ORG", "TITLE", "TEL", "EMAIL", "ADR", "URL")

_ESCAPED = re.compile(r"\\([\\,;nN])")


def card_in_words(content: bytes) -> str:
    """The cards of a file, such as `Ada Lovelace, +447700900123; Charles Babbage, charles@example.com`."""
    text = content[:_LONGEST].decode("utf-8", "replace")
    return "; ".join(filter(None, (", ".join(card) for card in _cards(text))))


def _cards(text: str) -> Iterator[list[str]]:
    found: dict[str, list[str]] = {}
    for line in _unfolded(text):
        name, _, value = line.partition(":")
        # a property may have a group before it and parameters behind it: `item1.TEL;type=CELL`
        kind = name.partition(";")[0].rpartition(".")[2].strip().upper()
        if kind == "END" and found:
            yield _in_order(found)
            found = {}
        elif kind in _TOLD and (told := _plain(value)):
            found.setdefault(kind, []).append(told)
    if found:
        yield _in_order(found)


def _in_order(found: dict[str, list[str]]) -> list[str]:
    return [value for kind in _TOLD for value in dict.fromkeys(found.get(kind, []))]


def _unfolded(text: str) -> list[str]:
    """A line that begins with a blank goes on where the one before it ended."""
    return re.sub(r"\r?\n[ \t]", "", text).splitlines()


def _plain(value: str) -> str:
    """The value without escapes; the fields of a name or an address are told one after the other."""
    fields = (field.strip() for field in re.split(r"(?<!\\);", value))
    joined = " ".join(field for field in fields if field)
    return " ".join(_ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], joined).split())
