"""The files of a message: fetched once from the provider, kept under our own key, and put into words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.cards import card_in_words
from chalicelib.context import credentials_reference
from chalicelib.errors import Refused, RelayError, TryAgain
from chalicelib.model import Conversation, Media, MediaKind, Tenant, Waiting, media_key
from chalicelib.picture import tenant_at
from chalicelib.ports import (
    Clock,
    File,
    Gather,
    Journal,
    MediaSource,
    MediaStore,
    Secret,
    Secrets,
    Tenants,
    Transcriber,
)

#: How long a turn takes over files that the collector has not finished.
TURN_GATHERS_WITHIN = timedelta(seconds=10)

#: When a turn that lacks a file looks again, as long as the burst is not over.
LOOK_AGAIN = timedelta(seconds=5)

#: What is kept of a transcript or a contact card, in characters.
LONGEST_WORDS = 8_000

#: How the types of files begin that are kept.
_KEPT = (
    "image/",
    "audio/",
    "video/",
    "text/",
    "application/pdf",
    "application/ogg",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-",
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
)

#: What a browser would run is not kept, whatever it begins with.
_NOT_KEPT = frozenset({"image/svg+xml", "text/html", "text/javascript", "text/xml"})


def gathered(
    conversation: Conversation,
    message: Waiting,
    *,
    seconds: float,
    media_store: MediaStore,
    media_source: MediaSource | None,
    transcriber: Transcriber,
    tenants: Tenants,
    secrets: Secrets,
    clock: Clock,
    journal: Journal,
) -> tuple[Media, ...]:
    """The files of a message with what is known of each; what could not be had in that time is as it was.

    Without a `media_source` nothing is fetched, and no secret of the channel is needed: what is kept is put into words.

    Whoever does it again, or at the same time, finds or does the same: a file's key follows from its message, and a
    note beside the file says that it is done. A file that cannot be had now raises nothing.
    """
    work = _Work(conversation, message, media_store, media_source, transcriber, tenants, secrets, clock)
    until = clock() + timedelta(seconds=seconds)
    found = []
    for index, media in enumerate(message.media):
        try:
            found.append(media if media.is_collected else work.collected(media, index, until))
        except RelayError as failure:
            found.append(media)
            journal(
                "media_missing",
                "a file cannot be had now",
                conversation=conversation.reference,
                message_id=message.message_id,
                index=index,
                error=type(failure).__name__,
                reason=str(failure),
            )
    return tuple(found)


def with_files(
    conversation: Conversation, waiting: Sequence[Waiting], *, look_up: Gather, clock: Clock
) -> list[Waiting]:
    """The messages of a turn, with their files as far as they are kept and can be put into words in a turn's time."""
    until = clock() + TURN_GATHERS_WITHIN
    return [
        replace(each, media=look_up(conversation, each, seconds=(until - clock()).total_seconds()))
        if each.media
        else each
        for each in waiting
    ]


def lack_files(waiting: Sequence[Waiting]) -> bool:
    """Whether any of the messages has a file that may still be had."""
    return any(not media.is_collected for each in waiting for media in each.media)


def content_of(media: Media, *, media_store: MediaStore) -> bytes | None:
    """The bytes of a file that was collected; None where it was not, was erased, or cannot be had now."""
    try:
        file = media_store.get(media.key) if media.key else None
    except RelayError:
        return None
    return file.content if file else None


def note_key(key: str) -> str:
    """Where the note about the file at `key` is kept."""
    return f"{key}.json"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done for the files of one message."""

    conversation: Conversation
    message: Waiting
    media_store: MediaStore
    media_source: MediaSource | None
    transcriber: Transcriber
    tenants: Tenants
    secrets: Secrets
    clock: Clock

    def collected(self, media: Media, index: int, until: datetime) -> Media:
        """The file with its note, which is made here where there is none. Raises TryAgain or Unconfirmed."""
        key = media_key(self.conversation.reference, self.message.message_id, index)
        note = self.media_store.get(note_key(key))
        known = _noted(media, key, note) if note else None
        if known is None:
            known = self._done(media, key, until)
            self.media_store.put(note_key(key), _note_of(known))
        return known

    def _done(self, media: Media, key: str, until: datetime) -> Media:
        """The file as it will stay: kept and in words, or with the reason why it never will be."""
        try:
            file = self.media_store.get(key) or self._fetched(media, key, until)
        except Refused as refusal:
            return replace(media, problem=refusal.code)
        return replace(media, key=key, words=self._words_of(media, file, until))

    def _fetched(self, media: Media, key: str, until: datetime) -> File:
        _demand_kept_type(media.content_type)
        if self.media_source is None:
            raise TryAgain("the file has not been collected yet")
        file = self.media_source.fetch(media, self._credentials(), seconds=self._left(until))
        _demand_kept_type(file.content_type)
        self.media_store.put(key, file)
        return file

    def _words_of(self, media: Media, file: File, until: datetime) -> str | None:
        """What a voice note or a contact card says; None where it cannot be put into words."""
        if media.kind == MediaKind.CONTACT:
            return card_in_words(file.content)[:LONGEST_WORDS] or None
        if media.kind != MediaKind.VOICE:
            return None
        settings = self.conversation.ai.or_else(self._tenant.ai) if self._tenant else self.conversation.ai
        keys = self._values(settings.api_key_reference)
        try:
            model, left = settings.transcription_model, self._left(until)
            return self.transcriber.transcribe(file, keys, model=model, seconds=left)[:LONGEST_WORDS] or None
        except Refused:
            return None

    def _left(self, until: datetime) -> float:
        return max((until - self.clock()).total_seconds(), 0.0)

    def _credentials(self) -> Sequence[Secret]:
        return self._values(credentials_reference(self.conversation, self._tenant, self.message.channel))

    def _values(self, reference: str | None) -> Sequence[Secret]:
        return self.secrets.current(reference) if reference else ()

    @property
    def _tenant(self) -> Tenant | None:
        message = self.message
        return tenant_at(self.tenants, message.channel, message.recipient, message.sender_pool)


def _demand_kept_type(content_type: str) -> None:
    """Raises Refused for a type that is not kept; a missing one is judged once the file is there."""
    plain = content_type.partition(";")[0].strip().lower()
    if plain and (not plain.startswith(_KEPT) or plain in _NOT_KEPT):
        raise Refused("type_not_kept", "files of this type are not kept")


def _note_of(media: Media) -> File:
    note = {"kept": media.key is not None, "words": media.words, "problem": media.problem}
    return File(json.dumps(note).encode(), "application/json")


def _noted(media: Media, key: str, note: File) -> Media | None:
    """The file as its note says; None for a note that cannot be read."""
    try:
        said = json.loads(note.content)
        kept, words, problem = said["kept"], said["words"], said["problem"]
    except (ValueError, KeyError, TypeError):
        return None
    return replace(media, key=key if kept else None, words=words, problem=problem)
