"""SMS through Twilio: plain text, 1,600 characters to a message, which Twilio sends and charges as segments."""

from collections.abc import Callable

from chalicelib.channels.styled import QUOTE, Styled

#: UTF-16 code units. Source: Twilio error dictionary, 21617.
LONGEST = 1_600

PREFIX = ""

#: What a segment holds alone and together with others, in 7-bit places of GSM-7 or code units of UCS-2.
#: Source: 3GPP TS 23.038 and 23.040; Twilio, "How long can a message be?".
_GSM_7_ALONE, _GSM_7_TOGETHER = 160, 153
_UCS_2_ALONE, _UCS_2_TOGETHER = 70, 67

_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Each of these takes two places, its own and an escape before it.
_GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")


def write(styled: Styled) -> str:
    """The characters as they are; a line that is a quote begins with `> `."""
    return "\n".join(_line(line) for line in styled.lines())


def _line(line: Styled) -> str:
    is_quote = line.text.strip() and line.looks[0] & QUOTE
    return f"> {line.text}" if is_quote else line.text


def segments(text: str) -> int:
    """How many segments Twilio sends a text in."""
    places, alone, together = _places(text)
    return 1 if places <= alone else -(-places // together)


def share(text: str, most_segments: int) -> float:
    """How much a text takes of what fits into so many segments; more than 1 does not fit."""
    places, alone, together = _places(text)
    return places / (alone if most_segments == 1 else most_segments * together)


def _places(text: str) -> tuple[int, int, int]:
    """The places that a text takes, and those of a segment alone and together with others."""
    if _GSM_7.union(_GSM_7_EXTENSION).issuperset(text):
        return _count(text, _GSM_7_EXTENSION.__contains__, _GSM_7_ALONE, _GSM_7_TOGETHER)
    return _count(text, "\uffff".__lt__, _UCS_2_ALONE, _UCS_2_TOGETHER)


def _count(text: str, is_double: Callable[[str], bool], alone: int, together: int) -> tuple[int, int, int]:
    """What takes two places is never parted between two segments: where one is left, it stays empty."""
    sizes = [1 + is_double(character) for character in text]
    places = sum(sizes)
    if places > alone:
        places = 0
        for size in sizes:
            places += size + (size == 2 and places % together == together - 1)
    return places, alone, together
