"""Voice notes of a laptop: Ogg Opus files of silence that say what they are told to in their comment.

A browser plays them, and the stand-in for OpenAI hears the words. Source: RFC 3533 (Ogg), RFC 7845 (Ogg Opus).
"""

import struct
from collections.abc import Iterator, Sequence

CONTENT_TYPE = "audio/ogg"
WORDS_PER_SECOND = 2.5

_COMMENT = b"TRANSCRIPT="
_SERIAL = 0x766F6963
_SILENCE = b"\xf8\xff\xfe"  # one Opus frame of 20 ms
_FRAMES_PER_SECOND = 50
_SAMPLES_PER_FRAME = 960  # at 48 kHz
_MOST_FRAMES_OF_A_PAGE = 255
_FIRST, _LAST = 2, 4  # flags of a page


def voice_note(words: str) -> bytes:
    """A recording in which somebody says `words`, at the pace of a person."""
    seconds = max(1, round(len(words.split()) / WORDS_PER_SECOND))
    return b"".join(_pages([_head(), _tags(words)], seconds * _FRAMES_PER_SECOND))


def words_in(recording: bytes) -> str | None:
    """What is said in a voice note that `voice_note` made; None for any other recording."""
    at = recording.find(_COMMENT)
    if at < 4:
        return None
    (length,) = struct.unpack("<I", recording[at - 4 : at])
    return recording[at + len(_COMMENT) : at + length].decode("utf-8", "replace")


def _head() -> bytes:
    """One channel, no pre-skip, 48 kHz, no gain, one stream."""
    return b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)


def _tags(words: str) -> bytes:
    vendor, comment = b"local", _COMMENT + words.encode()[:40_000]
    counted = (struct.pack("<I", len(vendor)), vendor, struct.pack("<II", 1, len(comment)), comment)
    return b"OpusTags" + b"".join(counted)


def _pages(headers: Sequence[bytes], frames: int) -> Iterator[bytes]:
    for number, header in enumerate(headers):
        yield _page(number, 0, [header], _FIRST if number == 0 else 0)
    done, number = 0, len(headers)
    while done < frames:
        now = min(frames - done, _MOST_FRAMES_OF_A_PAGE)
        done += now
        yield _page(number, done * _SAMPLES_PER_FRAME, [_SILENCE] * now, _LAST if done == frames else 0)
        number += 1


def _page(number: int, samples: int, packets: Sequence[bytes], flags: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBQIIIB", b"OggS", 0, flags, samples, _SERIAL, number, 0, len(lacing))
    page = head + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(page: bytes) -> int:
    """CRC-32 with the polynomial 0x04c11db7, not reflected, as RFC 3533 has it."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ 0x04C11DB7 if register & 0x80000000 else register << 1
        register &= 0xFFFFFFFF
    return register
