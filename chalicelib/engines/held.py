"""A conversation's state at OpenAI, brought back to what was committed before a turn adds to it.

What we hold is the truth, what OpenAI holds is a copy. A turn adds the person's messages and an answer to the copy, and
only COMMIT decides whether that turn counts; it then writes the copy's newest item into the record (`model.Thread`). So
the next turn knows where the copy should end. Whatever lies behind that item a discarded turn has left: the messages
and answer of a worker that died, a function call that nobody answered. It is removed. A copy that cannot be brought
back is replaced by a new one from our own history.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from chalicelib.engines.steps import words
from chalicelib.errors import TryAgain
from chalicelib.model import Author, Numbered, Spoken, Thread, Turn

#: A copy in which a discarded turn has left more than this is not cleaned but replaced.
MOST_LOOKED_AT = 200

#: Where a copy that others began ends before our first turn: a key of its metadata.
_MARK = "relay_begins_after"

_NOTHING = "nothing"

#: Source: OpenAI, `metadata` of conversations and threads.
MOST_PAIRS = 16


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the copy."""

    id: str
    is_persons: bool
    text: str


class Copy(Protocol):
    """A conversation or thread at OpenAI. Every method raises `openai_api.Gone` where it is no more."""

    def newest_first(self) -> Iterable[Item]:
        """Its items, read page by page as they are asked for."""
        ...

    def remove(self, item: Item) -> None: ...

    def metadata(self) -> Mapping[str, str]: ...

    def set_metadata(self, metadata: Mapping[str, str]) -> None: ...


def bring_back(copy: Copy, thread: Thread) -> str | None:
    """Removes what discarded turns left, and returns the item with which the copy ends then; empty for an empty copy.

    None if the copy does not hold the item with which it should end: nobody knows what is in it.
    """
    end = thread.item if thread.item is not None else _end_of_others(copy)
    surplus = after(copy, end) if end is not None else None
    if surplus is None:
        return None
    for item in surplus:
        copy.remove(item)
    return end


def after(copy: Copy, end: str) -> list[Item] | None:
    """The items behind `end`, newest first; None if there is no such item among the newest."""
    found: list[Item] = []
    for item in islice(copy.newest_first(), MOST_LOOKED_AT):
        if item.id == end:
            return found
        found.append(item)
    return found if not end and len(found) < MOST_LOOKED_AT else None


def newest_of_ours(copy: Copy, end: str, lines: Sequence[Spoken], answer: str) -> str:
    """The item with which the copy ends, once a turn has added `lines` and its answer behind `end`.

    Raises TryAgain if anything else of the person is there, or another answer: another turn was at work in the same
    copy, so one of the two was thought over the other's. The next attempt brings the copy back.
    """
    added = after(copy, end) or []
    said = next((words(item.text) for item in added if item.text and not item.is_persons), "")
    asked = sum(item.is_persons for item in added)
    if asked != sum(line.author == Author.USER for line in lines) or not said or not words(answer).endswith(said):
        raise TryAgain("another turn has written into the same conversation")
    return added[0].id


def unheard(turn: Turn, thread: Thread) -> list[Spoken]:
    """What was said since the copy's last answer and did not go through it: a human's turns, mostly."""
    return [line for line in turn.history if line.position > Numbered.last_of(thread.number)]


def was_said(turn: Turn, thread: Thread) -> bool:
    """Whether the answer with which the copy ends reached the person; one that was never said must not be in it."""
    ends = [Numbered.number_of(line.position) for line in turn.history if line.author == Author.AI and line.position]
    return thread.number == 0 or thread.number in ends


def _end_of_others(copy: Copy) -> str | None:
    """Where a copy ended that somebody else began, before any turn of ours; None if that cannot be noted on it.

    Looking first and reading the mark then is what makes two first turns agree: whoever finds no mark has looked before
    anybody added, because the mark is set before that.
    """
    newest = next(iter(copy.newest_first()), None)
    metadata = copy.metadata()
    if _MARK not in metadata and len(metadata) >= MOST_PAIRS:
        return None
    if _MARK not in metadata:
        metadata = {**metadata, _MARK: newest.id if newest else _NOTHING}
        copy.set_metadata(metadata)
    marked = metadata[_MARK]
    return "" if marked == _NOTHING else marked
