"""A message as a reader finds it: the text, and in square brackets whatever else the message is; pure."""

from collections.abc import Iterator, Mapping, Sequence

from chalicelib.model import (
    Choice,
    Extra,
    Forwarded,
    HistoryEntry,
    Location,
    Media,
    MediaKind,
    Quotation,
    Reaction,
    Referral,
    Waiting,
)

#: How much of a message that is replied or reacted to is quoted, in characters.
LONGEST_QUOTATION = 300

_NAMES: Mapping[MediaKind, str] = {
    MediaKind.PICTURE: "picture",
    MediaKind.STICKER: "sticker",
    MediaKind.VOICE: "voice note",
    MediaKind.VIDEO: "video",
    MediaKind.CONTACT: "contact card",
    MediaKind.DOCUMENT: "document",
}

#: Why a file is not there, by the code in `Media.problem`; any other code needs no words.
_PROBLEMS: Mapping[str, str] = {
    "too_large": "too large",
    "type_not_kept": "of a type that is not accepted",
    "gone": "no longer at the provider",
    "erased": "erased",
}


def in_words(message: Waiting | HistoryEntry) -> str:
    """Everything that a message is, one line for each thing; empty only for a message that is nothing."""
    return "\n".join(line for line in _lines(message.text, message.media, message.extras) if line)


def _lines(text: str, media: Sequence[Media], extras: Sequence[Extra]) -> Iterator[str]:
    yield from (line_of(extra) for extra in extras if isinstance(extra, Forwarded | Quotation | Referral))
    said_by_extra = {extra.title for extra in extras if isinstance(extra, Choice)}
    said_by_extra |= {extra.emoji for extra in extras if isinstance(extra, Reaction)}
    if text not in said_by_extra:
        yield text
    yield from (line_of(extra) for extra in extras if not isinstance(extra, Forwarded | Quotation | Referral))
    yield from (line_of_file(each) for each in media)


def line_of(extra: Extra) -> str:
    """One of the things that a message may be beside text and files."""
    match extra:
        case Location():
            place = ", ".join(filter(None, (extra.latitude, extra.longitude, extra.label, extra.address)))
            return f"[location: {place}]"
        case Choice():
            identifier = f" (id: {extra.identifier})" if extra.identifier else ""
            return f"[chose: {', '.join(filter(None, (extra.title, extra.description)))}{identifier}]"
        case Reaction():
            done = f"reacted {extra.emoji} to" if extra.emoji else "took back the reaction to"
            return f"[{done}{_quoted(extra.text)}]"
        case Quotation():
            return f"[in reply to{_quoted(extra.text)}]"
        case Forwarded():
            return "[forwarded many times]" if extra.often else "[forwarded]"
        case Referral():
            told = ", ".join(filter(None, (extra.headline, extra.body, extra.url)))
            return f"[came through the {extra.source or 'link'}: {told}]"


def line_of_file(media: Media) -> str:
    """A file: what it says, where that is known, else what it is."""
    named = f"{_NAMES[media.kind]} {media.name}".strip()
    if media.words:
        return f"[{named}: {media.words}]"
    if media.kind == MediaKind.VOICE:
        return f"[{named} that could not be transcribed]"
    if media.problem:
        reason = _PROBLEMS.get(media.problem)
        return f"[{named} that could not be read{': ' + reason if reason else ''}]"
    return f"[{named}]"


def _quoted(text: str) -> str:
    if not text:
        return " an earlier message"
    shown = " ".join(text.split())
    return f": “{shown[:LONGEST_QUOTATION]}{'…' if len(shown) > LONGEST_QUOTATION else ''}”"
