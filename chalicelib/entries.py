"""The history and what a record holds in flight: entries made of the one, messages read from the other."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.lifecycle import FAILURES
from chalicelib.model import (
    Author,
    Conversation,
    HistoryEntry,
    Inbound,
    Numbered,
    Outgoing,
    Spoken,
    Waiting,
)
from chalicelib.ports import History

#: What a record keeps of one waiting message, in characters; the whole text is in the history then.
LONGEST_WAITING_TEXT = 2_000

#: And of the provider's parameters, in characters.
LONGEST_WAITING_RAW = 3_000


def whole(message: Inbound) -> Waiting:
    """A message that came in, as one that waits."""
    return Waiting(
        message_id=message.message_id,
        text=message.text,
        received_at=message.received_at,
        sender=message.sender,
        recipient=message.recipient,
        channel=message.channel,
        sender_pool=message.sender_pool,
        media=message.media,
        raw=message.raw,
    )


def clipped(message: Waiting) -> Waiting:
    """The message as the record keeps it: not longer than the record has room for."""
    too_much = sum(map(len, message.raw.values())) > LONGEST_WAITING_RAW
    if not too_much and len(message.text) <= LONGEST_WAITING_TEXT:
        return message
    raw = {} if too_much else message.raw
    return replace(message, text=message.text[:LONGEST_WAITING_TEXT], raw=raw, clipped=True)


def entry_of(conversation: Conversation, message: Waiting, number: int) -> HistoryEntry:
    """The message as the history keeps it."""
    return HistoryEntry(
        conversation_id=conversation.key.conversation_id,
        position=Numbered.inbound(number),
        author=Author.USER,
        text=message.text,
        at=message.received_at,
        channel=message.channel,
        number=number,
        sender=message.sender,
        recipient=message.recipient,
        media=message.media,
        provider_id=message.message_id,
        raw=message.raw,
    )


def keep_waiting(conversation: Conversation, history: History) -> None:
    """Writes what waits into the history, before the record forgets it.

    A clipped message was written whole when it came in, unless that failed: then what is left of it is kept.
    """
    numbered = list(enumerate(conversation.waiting, start=conversation.answered + 1))
    history.write([entry_of(conversation, each, number) for number, each in numbered if not each.clipped])
    for number, message in numbered:
        if message.clipped:
            history.begin(entry_of(conversation, message, number))


def entries_of_answer(conversation: Conversation, outgoing: Outgoing) -> list[HistoryEntry]:
    """The unsent parts of an answer, as history."""
    assert outgoing.claimed_at is not None, "an answer enters the history when it is claimed"
    return [
        HistoryEntry(
            conversation_id=conversation.key.conversation_id,
            position=outgoing.position(part),
            author=outgoing.author,
            text=outgoing.parts[part].text,
            at=outgoing.claimed_at,
            channel=outgoing.channel,
            number=outgoing.to,
            sender=outgoing.sender,
            recipient=outgoing.recipient,
            usage=outgoing.usage,
            covers=(outgoing.after, outgoing.to),
        )
        for part in outgoing.unsent
    ]


def all_waiting(conversation: Conversation, latest: Sequence[HistoryEntry]) -> list[Waiting]:
    """Everything that waits, whole: what the record clipped or had no room for is taken from the history.

    A message that cannot be had whole is left out.
    """
    whole = {entry.number: entry for entry in latest if entry.author == Author.USER}
    numbers = range(conversation.answered + 1, conversation.received + 1)
    kept = dict(zip(numbers, conversation.waiting, strict=False))
    found = (_whole(kept.get(number), whole.get(number)) for number in numbers)
    return [message for message in found if message is not None]


def _whole(kept: Waiting | None, entry: HistoryEntry | None) -> Waiting | None:
    if kept is not None and not kept.clipped:
        return kept
    return message_of(entry) if entry is not None else None


def message_of(entry: HistoryEntry) -> Waiting:
    """A message of the person as it was when it came in, whole."""
    return Waiting(
        message_id=entry.provider_id or "",
        text=entry.text,
        received_at=entry.at,
        sender=entry.sender,
        recipient=entry.recipient,
        channel=entry.channel,
        media=entry.media,
    )


def spoken_before(conversation: Conversation, latest: Sequence[HistoryEntry]) -> list[Spoken]:
    """What was said up to the messages that wait now, the outbound engine's opening first."""
    closed = (entry for entry in latest if entry.number <= conversation.answered and _was_said(entry))
    return [*conversation.opening, *(Spoken(entry.author, entry.text, entry.position, entry.media) for entry in closed)]


def _was_said(entry: HistoryEntry) -> bool:
    """An answer enters the history before it leaves; it was said once the provider took it."""
    sent_by_us = entry.author != Author.USER
    return entry.status not in FAILURES and (entry.provider_id is not None or not sent_by_us)
