"""Pictures and documents as parts of a request: which can be shown to a model, and how many of them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.model import Media, Spoken
from chalicelib.ports import Files

#: What a model can look at. Source: OpenAI, "Images and vision".
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})

#: What a model can read, with the ending that a file without a name gets. Source: OpenAI, "File inputs".
DOCUMENTS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/rtf": "rtf",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xls",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/json": "json",
}

#: A request carries at most this many files and bytes; the newest come first.
MOST_FILES = 5
MOST_BYTES = 10_000_000

Part = dict[str, Any]


def shown(lines: Sequence[Spoken], files: Files) -> list[list[Part]]:
    """For each line the parts that show its files; empty where there are none, or none that fit or can be had."""
    found: list[list[Part]] = [[] for _ in lines]
    room, left = MOST_BYTES, MOST_FILES
    for at in reversed(range(len(lines))):
        for media in lines[at].media:
            if left and is_shown(media):
                left -= 1
                content = files.content(media)
                if content and len(content) <= room:
                    room -= len(content)
                    found[at].append(part_of(media, content))
    return found


def is_shown(media: Media) -> bool:
    """Whether files of this type can be shown to a model."""
    return _type_of(media) in PICTURES or _type_of(media) in DOCUMENTS


def part_of(media: Media, content: bytes) -> Part:
    """A file as the Responses API takes it, in the request itself."""
    kind = _type_of(media)
    data = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    if kind in PICTURES:
        return {"type": "input_image", "detail": "auto", "image_url": data}
    return {"type": "input_file", "filename": media.name or f"document.{DOCUMENTS[kind]}", "file_data": data}


def _type_of(media: Media) -> str:
    return media.content_type.partition(";")[0].strip().lower()
