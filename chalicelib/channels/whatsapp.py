"""WhatsApp through Twilio: 1,600 characters to a message, and WhatsApp's own marks for bold, italic and the rest."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum, auto

from chalicelib.channels.styled import BLOCK, BOLD, CODE, ITALIC, LINK, MARK, QUOTE, STRIKE, Styled

#: UTF-16 code units. Twilio refuses a longer body with error 21617 on every channel.
#: Source: Twilio error dictionary, 21617 and 21658.
LONGEST = 1_600

PREFIX = "whatsapp:"

#: A mark opens before a character that is no blank, closes behind one, and has no letter or digit on its other side;
#: both stand in one line. There is no way to escape one. Source: WhatsApp, "How to format your messages".
_SIGNS = {BOLD: "*", ITALIC: "_", STRIKE: "~"}
_TICK, _FENCE = "`", "```"
_FENCE_INSIDE = re.compile(r"\A`+|```+|`+\Z")

#: A blank that hardly shows, where a mark would touch a letter: Chinese has no other, and some words are half bold.
_HAIR = "\u200a"

#: What stands for an author's own sign where WhatsApp would take it as its mark.
_LOOKALIKES = {"*": "∗", "_": "ˍ", "~": "∼", "`": "ˋ"}
_LOOKALIKES_AT_START = {"*": "∗", "-": "‐", ">": "＞"}
_MEANS_LIST_OR_QUOTE = re.compile(r"[-*]\s|>")


def write(styled: Styled) -> str:
    """The text with WhatsApp's marks. It closes each that it opens, so every part of a text can be written alone."""
    written, done = [], 0
    for start, end in styled.stretches(BLOCK):
        written += [_lines(styled.part(done, start)), _block(styled.part(start, end))]
        done = end
    return "".join((*written, _lines(styled.part(done, len(styled.text)))))


def _block(styled: Styled) -> str:
    code = styled.text.strip("\n")
    return f"{_FENCE}{_without_fences(code)}{_FENCE}" if code.strip() else code


def _without_fences(code: str) -> str:
    """No backticks where they would end the code or stretch its fence."""
    return _FENCE_INSIDE.sub(lambda ticks: _LOOKALIKES[_TICK] * len(ticks[0]), code)


def _lines(styled: Styled) -> str:
    return "\n".join(_line(line) for line in styled.lines())


def _line(line: Styled) -> str:
    if not line.text.strip():
        return ""
    written = _spelled(_with_room(list(_pieces(_tight(line)))))
    if line.looks[0] & QUOTE:
        return f"> {written}"
    if not line.looks[0] & MARK and _MEANS_LIST_OR_QUOTE.match(written):
        return _LOOKALIKES_AT_START[written[0]] + written[1:]
    return written


def _tight(line: Styled) -> Styled:
    """No look begins or ends with a blank, as no mark of WhatsApp's may."""
    looks = bytearray(line.looks)
    for look in (*_SIGNS, CODE):
        for start, end in line.stretches(look):
            words = line.text[start:end]
            _clear(looks, look, start, end - len(words.lstrip()))
            _clear(looks, look, start + len(words.rstrip()), end)
    return Styled(line.text, bytes(looks))


def _clear(looks: bytearray, look: int, start: int, end: int) -> None:
    for index in range(start, end):
        looks[index] &= ~look


class _Kind(Enum):
    """What a piece of a line is: the author's words, an address or code, or a mark of ours."""

    WORDS = auto()
    ADDRESS = auto()
    CODE = auto()
    OPENING = auto()
    CLOSING = auto()


_Piece = tuple[_Kind, str]
_THE_AUTHORS = (_Kind.WORDS, _Kind.ADDRESS)


def _pieces(line: Styled) -> Iterator[_Piece]:
    """The line's characters and, properly nested, the marks around them."""
    runs = list(line.runs())
    stack: list[int] = []
    for index, run in enumerate(runs):
        look = run.looks[0]
        while any(not look & each for each in stack):
            yield _Kind.CLOSING, _SIGNS[stack.pop()]
        for each in sorted(_SIGNS, key=lambda sign: -_extent(runs, index, sign)):
            if look & each and each not in stack:
                stack.append(each)
                yield _Kind.OPENING, _SIGNS[each]
        yield _piece(run.text, look)
    for each in reversed(stack):
        yield _Kind.CLOSING, _SIGNS[each]


def _extent(runs: Sequence[Styled], index: int, look: int) -> int:
    """For how many runs a look goes on."""
    extent = 0
    while index + extent < len(runs) and runs[index + extent].looks[0] & look:
        extent += 1
    return extent


def _piece(text: str, look: int) -> _Piece:
    if look & CODE:
        mark = _FENCE if _TICK in text else _TICK
        return _Kind.CODE, f"{mark}{_without_fences(text)}{mark}"
    return (_Kind.ADDRESS if look & LINK else _Kind.WORDS), text


def _with_room(pieces: Sequence[_Piece]) -> list[_Piece]:
    """A hair where a mark would touch a letter."""
    spaced: list[_Piece] = []
    before = _Kind.OPENING
    for kind, text in pieces:
        opens = before in _THE_AUTHORS and kind in (_Kind.OPENING, _Kind.CODE) and not _is_border(spaced[-1][1][-1])
        closes = before in (_Kind.CLOSING, _Kind.CODE) and kind in _THE_AUTHORS and not _is_border(text[0])
        if opens or closes:
            spaced.append((_Kind.WORDS, _HAIR))
        spaced.append((kind, text))
        before = kind
    return spaced


def _is_border(character: str) -> bool:
    is_punctuation = unicodedata.category(character).startswith("P") and character not in _LOOKALIKES
    return is_punctuation or character.isspace()


def _spelled(pieces: Sequence[_Piece]) -> str:
    """All pieces in a row; where WhatsApp would take an author's sign as a mark stands one that looks like it."""
    whole = "".join(text for _, text in pieces)
    if not any(sign in text for kind, text in pieces if kind in _THE_AUTHORS for sign in _LOOKALIKES):
        return whole
    kinds = [kind for kind, text in pieces for _ in text]
    spelled = list(whole)
    for index in (index for sign in _LOOKALIKES for index in _mistakable(whole, kinds, sign)):
        is_address = kinds[index] is _Kind.ADDRESS
        spelled[index] = f"%{ord(whole[index]):02X}" if is_address else _LOOKALIKES[whole[index]]
    return "".join(spelled)


def _mistakable(whole: str, kinds: Sequence[_Kind], sign: str) -> list[int]:
    """Where the author's own signs could open or close something together with any other sign of the line."""
    places = [index for index, character in enumerate(whole) if character == sign]
    if sign == _TICK:
        return [index for index in places if kinds[index] in _THE_AUTHORS and len(places) > 1]
    opening = [index for index in places if _may_open(whole, index)]
    closing = [index for index in places if _may_close(whole, index)]
    if not opening or not closing:
        return []
    first, last = opening[0], closing[-1]
    found = [index for index in opening if index < last] + [index for index in closing if index > first]
    return [index for index in found if kinds[index] in _THE_AUTHORS]


def _may_open(whole: str, index: int) -> bool:
    return not _is_letter(whole[index - 1 : index]) and bool(whole[index + 1 : index + 2].strip())


def _may_close(whole: str, index: int) -> bool:
    return bool(whole[index - 1 : index].strip()) and not _is_letter(whole[index + 1 : index + 2])


def _is_letter(character: str) -> bool:
    """What is certainly no border: of other alphabets' letters nobody says so."""
    return character.isascii() and character.isalnum()
