"""The history and what a record holds in flight: entries made of the one, messages read from the other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib.lifecycle import FAILURES
from chalicelib.model import (
    Author,
    Conversation,
    Extra,
    HistoryEntry,
    Inbound,
    Media,
    Numbered,
    Outgoing,
    Quotation,
    Reaction,
    Spoken,
    Waiting,
)
from chalicelib.ports import History
from chalicelib.reading import in_words

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
        extras=message.extras,
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
        extras=message.extras,
        provider_id=message.message_id,
        raw=message.raw,
    )


def keep_waiting(
    conversation: Conversation, history: History, files: Mapping[str, tuple[Media, ...]] | None = None
) -> None:
    """Writes what waits into the history, before the record forgets it.

    A clipped message was written whole when it came in, unless that failed: then what is left of it is kept. `files`
    is what a turn knows of each message's files, by message id.
    """
    waiting = [replace(each, media=(files or {}).get(each.message_id, each.media)) for each in conversation.waiting]
    numbered = list(enumerate(waiting, start=conversation.answered + 1))
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
            text=outgoing.parts[part].text or f"[file: {outgoing.parts[part].media_url}]",
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
    whole = {entry.number: entry for entry in latest if is_message(entry)}
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
        extras=entry.extras,
    )


def is_message(entry: HistoryEntry) -> bool:
    """Whether this is a message of the person that was answered or waits; a reaction set aside is none."""
    return entry.author == Author.USER and entry.position == Numbered.inbound(entry.number)


def spoken_before(conversation: Conversation, latest: Sequence[HistoryEntry]) -> list[Spoken]:
    """What was said up to the messages that wait now, in words, the outbound engine's opening first."""
    closed = [entry for entry in latest if entry.number <= conversation.answered and _was_said(entry)]
    known = _known_texts(conversation, latest)
    return [
        *conversation.opening,
        *(
            Spoken(
                each.author,
                in_words(replace(each, extras=_quoting(each.extras, known))),
                each.position,
                each.media,
                each.provider_id,
            )
            for each in closed
        ),
    ]


def with_quotations(
    conversation: Conversation, waiting: Sequence[Waiting], latest: Sequence[HistoryEntry]
) -> list[Waiting]:
    """The messages that wait, with what the messages said that they reply or react to, where that is still known."""
    known = _known_texts(conversation, latest) | {each.message_id: in_words(each) for each in waiting}
    return [replace(each, extras=_quoting(each.extras, known)) for each in waiting]


def _known_texts(conversation: Conversation, latest: Sequence[HistoryEntry]) -> dict[str, str]:
    """What was said, by the provider's id of the message."""
    opening = {each.provider_id: each.text for each in conversation.opening if each.provider_id}
    return opening | {entry.provider_id: in_words(entry) for entry in latest if entry.provider_id}


def _quoting(extras: Sequence[Extra], known: Mapping[str, str]) -> tuple[Extra, ...]:
    return tuple(
        replace(each, text=known.get(each.to, each.text)) if isinstance(each, Quotation | Reaction) else each
        for each in extras
    )


def _was_said(entry: HistoryEntry) -> bool:
    """An answer enters the history before it leaves; it was said once the provider took it."""
    sent_by_us = entry.author != Author.USER
    return entry.status not in FAILURES and (entry.provider_id is not None or not sent_by_us)
