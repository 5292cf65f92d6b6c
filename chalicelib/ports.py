"""What the stages need from outside; each port has an adapter in `channels`, `engines` or `aws`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.context import Context
from chalicelib.model import (
    Answer,
    Channel,
    Conversation,
    ConversationKey,
    Delivery,
    HistoryEntry,
    Inbound,
    Media,
    Outgoing,
    Status,
    StatusUpdate,
    Tenant,
    Thread,
    ToolResult,
    ToolSpec,
    Turn,
    Waiting,
)

Secret = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request: `urls` are the forms in which the sender may have known its address, likeliest first."""

    urls: tuple[str, ...]
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """The message is in the record now, or was before (`again`); `conversation` is the record after it."""

    conversation: Conversation
    number: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a sender got the answer, and the record after that; None where there is no record."""

    granted: bool
    conversation: Conversation | None


@dataclass(frozen=True, slots=True)
class Marked:
    """What a history entry said before a delivery status was merged into it; None where there is no such entry."""

    advanced: bool
    known: bool
    had_provider_id: bool


@dataclass(frozen=True, slots=True)
class File:
    """The content of a file and its MIME type."""

    content: bytes
    content_type: str


class Clock(Protocol):
    def __call__(self) -> datetime:
        """The time now, with time zone UTC."""
        ...


class Identifiers(Protocol):
    def __call__(self) -> str:
        """A new random identifier that nobody can guess."""
        ...


class Journal(Protocol):
    def __call__(self, action: str, message: str, **fields: object) -> None:
        """Writes one line: an action for machines, a sentence for people, and ids. Never contents."""
        ...


class Tenants(Protocol):
    def at(self, channel: Channel, address: str) -> Tenant | None:
        """The tenant whose own address on `channel` this is; read through a cache of minutes."""
        ...

    def addresses(self) -> Iterable[Tenant]:
        """Every tenant address there is; read from the table."""
        ...


class Secrets(Protocol):
    def current(self, reference: str) -> Sequence[Secret]:
        """Every value that is valid now, newest first; empty where there is none. Cached for minutes."""
        ...

    def refreshed(self, reference: str) -> Sequence[Secret] | None:
        """The values read anew, or None if they were read less than a minute ago."""
        ...


class Conversations(Protocol):
    """The conversation records. Each method that writes is one atomic conditional update; None means a lost race."""

    def of_person(self, address: str) -> Sequence[Conversation]:
        """All records of a person, strongly consistent."""
        ...

    def get(self, key: ConversationKey) -> Conversation | None:
        """One record, strongly consistent."""
        ...

    def open(self, conversation: Conversation) -> bool:
        """Creates the record unless it exists; whether it was created."""
        ...

    def record(self, seen: Conversation, message: Waiting, *, opted_out: bool | None) -> Recorded:
        """RECORD: takes the message in, unless its id is known, and remembers what it says of opting out, if anything.

        `seen` is the record as it was read. Whoever owns the conversation, the message waits until it is closed.
        """
        ...

    def close(self, seen: Conversation) -> Conversation | None:
        """Closes everything that waits in `seen`, because a human has it; its history is written already."""
        ...

    def commit(
        self,
        seen: Conversation,
        outgoing: Outgoing,
        *,
        newer_may_wait: bool,
        outcome: str | None = None,
        thread: Thread | None = None,
    ) -> Conversation | None:
        """COMMIT: closes the messages that `outgoing` covers and makes it the answer on its way.

        With an `outcome`, the conversation's purpose is fulfilled from now on. `thread` is what the engine's provider
        holds now. Both are remembered with the answer or not at all.
        """
        ...

    def claim(self, key: ConversationKey, *, claim: str, at: datetime) -> Claim:
        """CLAIM: READY becomes CLAIMED for this sender, if no human took over since."""
        ...

    def sent_part(
        self, key: ConversationKey, *, token: str, part: int, provider_id: str, claim: str | None = None
    ) -> Conversation | None:
        """Notes that a part went out; the record after it. A sender that goes on names its claim.

        None if the answer is another one by now, or if the claim is somebody else's.
        """
        ...

    def finish(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        """FINISH: the answer of `seen` is out; the record after it."""
        ...

    def release(self, seen: Conversation) -> Conversation | None:
        """CLAIMED becomes READY again: what was not sent may be claimed once more."""
        ...

    def drop(self, seen: Conversation) -> Conversation | None:
        """Removes an answer that must not be sent any more; the record after it still says that somebody waits."""
        ...

    def change_hands(
        self, seen: Conversation, *, to_human: bool, reason: str | None, status: str, drop_outgoing: bool
    ) -> Conversation | None:
        """HAND OVER or GIVE BACK: the next epoch begins. Giving back also closes everything received."""
        ...

    def offer(self, seen: Conversation, outgoing: Outgoing) -> Conversation | None:
        """Puts `outgoing` in place of the answer of `seen`, or of none, if nothing else has changed since."""
        ...

    def opt(self, key: ConversationKey, *, out: bool) -> None:
        """Notes that the person wants no messages, or wants them again; a record that is gone stays gone."""
        ...

    def overdue(self, before: datetime, *, limit: int) -> Sequence[ConversationKey]:
        """Records in which somebody has waited since `before`, longest first."""
        ...

    def rescued(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        """Counts an attempt to rescue, if nobody else has since."""
        ...


class History(Protocol):
    """The messages of a conversation, one entry each."""

    def write(self, entries: Sequence[HistoryEntry]) -> None:
        """Writes entries; writing one twice is harmless."""
        ...

    def begin(self, entry: HistoryEntry) -> None:
        """Writes an entry that delivery callbacks will change; leaves it alone where it exists."""
        ...

    def latest(self, conversation_id: str, *, limit: int) -> Sequence[HistoryEntry]:
        """The newest entries in the order of the conversation."""
        ...

    def holds(self, provider_id: str) -> bool:
        """Whether a message of this provider id is in any history. May lag behind by seconds."""
        ...

    def mark(
        self,
        conversation_id: str,
        position: str,
        *,
        status: Delivery,
        provider_id: str | None,
        error_code: str | None,
        at: datetime,
    ) -> Marked:
        """Merges a delivery status by rank."""
        ...

    def attach(self, conversation_id: str, position: str, media: Sequence[Media]) -> None:
        """Writes what is known of a message's files by now into its entry; nothing where there is none."""
        ...


class Fallbacks(Protocol):
    def may_send(self, own_address: str, person: str, *, at: datetime, window: timedelta) -> bool:
        """Whether no fallback went to this person from this address within `window`; if so, one counts as sent now."""
        ...


class OptOuts(Protocol):
    """Who wants no messages of a company, whatever the channel and whichever conversation."""

    def note(self, company: str, people: Sequence[str], *, out: bool, at: datetime) -> None:
        """A person, by every address, wants no messages of this company any more, or wants them again."""
        ...

    def holds(self, company: str, person: str) -> bool:
        """Whether the person has opted out."""
        ...


class Meters(Protocol):
    def add(self, name: str, amount: int, *, at_most: int | None, until: datetime) -> int | None:
        """Adds to a counter, unless it has reached `at_most` already; its value after it, or None if it had."""
        ...


class Queues(Protocol):
    """The queues of one stage. Each method raises TryAgain where it cannot be said that the message is on its queue."""

    def wake_turn(self, context: Context, *, delay: timedelta) -> None:
        """Wakes a turn for the conversation, on its channel's replies queue, once `delay` has passed."""
        ...

    def wake_sender(self, context: Context) -> None:
        """Wakes a sender for the conversation."""
        ...

    def wake_collector(self, context: Context) -> None:
        """Has the files of the conversation's messages collected."""
        ...

    def hand_to_human(self, context: Context, *, reason: str) -> None:
        """Puts the whole picture on the queue that people read; `reason` says why, in words for them."""
        ...


class IncomingChannel(Protocol):
    """What a webhook needs to know of a channel. Pure."""

    def is_signed(self, request: Request) -> bool:
        """Whether there is a signature at all, right or wrong."""
        ...

    def verify(self, request: Request, secrets: Sequence[Secret]) -> bool:
        """Whether any of the secrets signed this request; in constant time."""
        ...

    def parse(self, request: Request, *, at: datetime) -> Inbound:
        """Raises Rejected where the body is not a message."""
        ...

    def parse_status(self, request: Request) -> StatusUpdate:
        """Raises Rejected where the body is not a delivery callback."""
        ...

    def acknowledgement(self, text: str | None) -> str:
        """The body of the answer to the webhook, which may carry one message for the person."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message that the provider says it has taken from us."""

    provider_id: str
    text: str
    at: datetime | None


class OutgoingChannel(Protocol):
    """What the sender needs from a channel's provider, with one tenant's credentials."""

    def post(self, outgoing: Outgoing, part: int, *, callback_url: str | None) -> str:
        """Sends one part; the provider's id of it. Raises Refused, TryAgain or Unconfirmed."""
        ...

    def typing(self, message_id: str) -> None:
        """Shows the person who wrote this message that somebody is writing. Raises Refused, TryAgain."""
        ...

    def posted_since(self, outgoing: Outgoing, since: datetime) -> Sequence[Posted]:
        """What the provider took from us for this person since then. Raises TryAgain."""
        ...


class MediaStore(Protocol):
    """Where we keep files, by key. Each method raises TryAgain where the store cannot be asked now."""

    def put(self, key: str, file: File) -> None:
        """Keeps a file; keeping it twice is harmless."""
        ...

    def get(self, key: str) -> File | None:
        """The file, or None where there is none (any more)."""
        ...

    def keys(self, prefix: str) -> Iterable[str]:
        """Every key that begins with `prefix`, in order."""
        ...

    def erase(self, keys: Sequence[str]) -> None:
        """Removes files for good; one that is not there is no error."""
        ...


class MediaSource(Protocol):
    def fetch(self, media: Media, secrets: Sequence[Secret], *, seconds: float) -> File:
        """The file as the provider keeps it, within that time.

        Raises Refused with the reason for what must not or can never be had, TryAgain for what may be later.
        """
        ...


class Transcriber(Protocol):
    def transcribe(self, file: File, secrets: Sequence[Secret], *, model: str | None, seconds: float) -> str:
        """What is said in a recording, within that time. Raises Refused, TryAgain or Unconfirmed."""
        ...


class Inbox(Protocol):
    def received_since(self, own_address: str, since: datetime) -> Sequence[Inbound]:
        """What the provider took in for our address since then, whether we got it or not. Raises TryAgain, Refused."""
        ...


class Providers(Protocol):
    """The providers behind the channels, spoken to with one secret each."""

    def sender(self, channel: Channel, secret: Secret, *, tenant: Tenant | None) -> OutgoingChannel:
        """Raises Refused for a secret that cannot be used."""
        ...

    def inbox(self, channel: Channel, secret: Secret) -> Inbox:
        """Raises Refused for a secret that cannot be used."""
        ...


class Splitter(Protocol):
    def split(self, channel: Channel, text: str, *, tenant: Tenant | None) -> Sequence[str]:
        """A text in Markdown in the channel's format, in parts that the provider takes and the tenant wants."""
        ...


class References(Protocol):
    """Opaque names for our own messages, for URLs that leave us."""

    def seal(self, key: ConversationKey, position: str, secret: Secret) -> str:
        """The name of a message, for a URL; the same message has the same name."""
        ...

    def unseal(self, reference: str, secrets: Sequence[Secret]) -> tuple[ConversationKey, str] | None:
        """The message of that name; None if none of these secrets made it."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """Whether a deed was begun before, and what came of it; None where nobody knows or nobody tried."""

    again: bool = False
    result: ToolResult | None = None


class IdempotencyRecords(Protocol):
    """What came of deeds, by idempotency key, so that a turn that is repeated does not do them again."""

    def begin(self, key: str, *, at: datetime) -> Begun:
        """Notes that a deed begins, and what is known of it. Raises TryAgain."""
        ...

    def complete(self, key: str, result: ToolResult) -> ToolResult:
        """Keeps what came of it, unless somebody was faster; what is kept. Raises TryAgain."""
        ...


class Toolbox(Protocol):
    """The tools that the AI of one turn may use, and no others."""

    def specs(self) -> Sequence[ToolSpec]:
        """What the model is told of them, always in the same order."""
        ...

    def use(self, name: str, arguments: str, *, seconds_left: float) -> ToolResult:
        """Uses a tool; `arguments` is the JSON that the model wrote. Raises Refused, TryAgain or Unconfirmed.

        A name that is not among `specs`, arguments that the tool does not take and a tool that fails are results that
        tell the model so.
        """
        ...


class Tools(Protocol):
    def of(self, turn: Turn) -> Toolbox:
        """The tools that the turn's settings allow."""
        ...


class Files(Protocol):
    """The files that people sent, as far as they are kept."""

    def content(self, media: Media) -> bytes | None:
        """The bytes of a file; None where it is not kept or cannot be had now."""
        ...


class Engine(Protocol):
    def answer(self, turn: Turn, secrets: Sequence[Secret], tools: Toolbox) -> Answer:
        """Thinks. Raises Refused, TryAgain or Unconfirmed; has no effect that cannot be thrown away."""
        ...


class Engines(Protocol):
    def of(self, turn: Turn) -> Engine:
        """The engine that the turn's settings name, or else its thread. Raises Refused for a name that there is not."""
        ...


class Gather(Protocol):
    def __call__(self, conversation: Conversation, message: Waiting, *, seconds: float) -> tuple[Media, ...]:
        """The files of a message, as far as they could be collected within that time. See `attachments.gathered`."""
        ...


class DrawPicture(Protocol):
    def __call__(self, conversation: Conversation) -> Context:
        """The complete picture of a conversation and its newest message, for a queue."""
        ...


class PassOn(Protocol):
    def __call__(self, conversation: Conversation, *, context: Context | None = None) -> bool:
        """Hands what waits to a human; False if the record moved meanwhile. See `handoff.pass_on`."""
        ...


class TakeOver(Protocol):
    def __call__(
        self,
        key: ConversationKey,
        *,
        reason: str,
        words: str | None = None,
        status: Status = ...,
        seen: Conversation | None = None,
        drop_claim: str | None = None,
    ) -> Conversation | None:
        """Gives the conversation to a human. See `handoff.take_over`."""
        ...


class GiveUp(Protocol):
    def __call__(self, seen: Conversation, *, reason: str) -> Conversation | None:
        """Gives a conversation that the AI cannot answer to a human, after an apology. See `handoff.give_up`."""
        ...


class TakeIn(Protocol):
    def __call__(
        self,
        message: Inbound,
        *,
        tenant: Tenant | None,
        found: Sequence[Conversation],
        stamps: Mapping[str, datetime],
    ) -> bool:
        """Records a message and wakes whoever must answer; False if it belongs nowhere. See `receive.take_in`."""
        ...


class Settle(Protocol):
    def __call__(self, seen: Conversation) -> None:
        """Finds out whether a claimed answer is out, and acts on it. Raises TryAgain. See `settle.settle`."""
        ...


class Route(Protocol):
    def __call__(self, conversation: Conversation, *, context: Context | None = None) -> str:
        """Wakes whoever must act next; `human`, `sender`, `turn` or `nobody`. See `route.route`."""
        ...


class CallbackUrl(Protocol):
    def __call__(self, key: ConversationKey, position: str, secret: Secret) -> str | None:
        """Where the provider reports on the message at `position`; None if our own address is not configured."""
        ...
