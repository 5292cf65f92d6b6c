"""The files of messages, while nobody waits for them: collected, and made known to the history."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.context import Context
from chalicelib.entries import is_message, message_of
from chalicelib.errors import TryAgain
from chalicelib.model import Media
from chalicelib.ports import Clock, Conversations, Gather, History, Journal

#: How long one run may take over files.
COLLECT_WITHIN = timedelta(seconds=75)

#: How many messages of the history are looked at.
_LOOK_BACK = 60


def collect(
    context: Context,
    *,
    conversations: Conversations,
    history: History,
    gather: Gather,
    clock: Clock,
    journal: Journal,
) -> None:
    """Collects whatever files of the conversation have not been collected yet; `context` only says which it is.

    What waits is told of them by its turn; what is in the history already is told here. Raises TryAgain where a file
    may be had later.
    """
    seen = conversations.get(context.key)
    if seen is None:
        journal("media_ignored", "the conversation is gone", message_id=context.message.message_id)
        return
    until = clock() + COLLECT_WITHIN
    found = [gather(seen, each, seconds=_left(until, clock)) for each in seen.waiting if each.media]
    # read last: what left the record while files were fetched is in the history by now
    for entry in history.latest(seen.key.conversation_id, limit=_LOOK_BACK):
        if is_message(entry) and not all(each.is_collected for each in entry.media):
            media = gather(seen, message_of(entry), seconds=_left(until, clock))
            found.append(media)
            if media != entry.media:
                history.attach(seen.key.conversation_id, entry.position, media)
    files = [each for media in found for each in media]
    ids = {"conversation": seen.reference, "message_id": context.message.message_id}
    journal("media_collected", "files were collected", **ids, **_counts(files))
    if not all(each.is_collected for each in files):
        raise TryAgain("a file could not be collected")


def _left(until: datetime, clock: Clock) -> float:
    return (until - clock()).total_seconds()


def _counts(files: Sequence[Media]) -> dict[str, int]:
    return {
        "files": len(files),
        "kept": sum(each.key is not None for each in files),
        "refused": sum(each.problem is not None for each in files),
        "in_words": sum(each.words is not None for each in files),
    }
