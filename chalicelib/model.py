"""The nouns of the relay and the states they can be in; frozen, without any input or output."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Channel(StrEnum):
    """A way in which a person reaches us; the words that the outbound engine uses in `channel_method`."""

    WHATSAPP = "whatsapp"
    SMS = "sms"
    EMAIL = "email"


class Status(StrEnum):
    """`conversation_status`: how far the newest exchange has come. `lifecycle.NEXT` says what may follow."""

    INITIAL_MESSAGE_SENT = "initial_message_sent"  #: the outbound engine has opened the conversation
    USER_REPLY_RECEIVED = "user_reply_received"  #: the person wrote and nobody has answered yet
    AI_PROCESSING = "ai_processing"  #: an engine is being asked; shown by desks, see `lifecycle.NEXT`
    AI_RESPONSE_READY = "ai_response_ready"  #: an answer is committed and about to be sent
    AI_RESPONSE_SENT = "ai_response_sent"  #: the provider accepted the answer
    HANDED_OFF_TO_HUMAN = "handed_off_to_human"  #: a human has it; the AI is silent
    HUMAN_RESPONSE_SENT = "human_response_sent"  #: a human has answered and still has it
    AI_FAILED = "ai_failed"  #: the engine could not answer, so a human has it
    SEND_FAILED = "send_failed"  #: the provider refused an answer or could not deliver it
    OPTED_OUT = "opted_out"  #: the person wants no messages; nothing is sent
    CLOSED = "closed"  #: over; a reply finds no conversation here


class Delivery(StrEnum):
    """What the provider says of one message that we sent. `lifecycle.RANK` orders them."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"  #: a word that we do not know; recorded nowhere, logged


class Author(StrEnum):
    """Who wrote a message of the history."""

    USER = "user"
    AI = "ai"
    HUMAN = "human"
    SYSTEM = "system"


class OutgoingState(StrEnum):
    READY = "READY"  #: committed; any sender may claim it
    CLAIMED = "CLAIMED"  #: one sender has it, and it may be out already


class OptOut(StrEnum):
    """What Twilio's Advanced Opt-Out recognised in a message (`OptOutType`)."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


class Refusal(StrEnum):
    """Why a provider refuses a message, as far as we can do something about it."""

    OPTED_OUT = "opted_out"  #: the person wants no messages from this sender
    WINDOW_CLOSED = "window_closed"  #: the person has not written for so long that only a template may go out


class Moderation(StrEnum):
    """What a tenant wants OpenAI's moderation to see before anything comes of it."""

    OFF = "off"
    INPUT = "input"  #: what the person wrote
    OUTPUT = "output"  #: what the AI would answer
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Template:
    """A text that WhatsApp has approved, with values for its variables; it may go out at any time."""

    content_sid: str
    variables: Mapping[str, str] = field(default_factory=dict)


class UnknownSender(StrEnum):
    """What a tenant wants done with somebody who has no open conversation."""

    FALLBACK = "fallback"
    OPEN_CONVERSATION = "open_conversation"
    IGNORE = "ignore"


class OnNewMessage(StrEnum):
    """What becomes of an answer when the person writes while the engine is thinking."""

    RESTART = "restart"  #: it is thrown away, and one answer covers everything
    SEND_THEN_CONTINUE = "send_then_continue"  #: it is sent, and the newer message is answered after it


class MediaKind(StrEnum):
    """What a file is to the person who sent it."""

    PICTURE = "picture"
    STICKER = "sticker"
    VOICE = "voice"  #: a voice note or any other sound
    VIDEO = "video"
    CONTACT = "contact"  #: a vCard
    DOCUMENT = "document"  #: everything else

    @classmethod
    def of(cls, content_type: str) -> "MediaKind":
        """What a MIME type says; only the provider can tell a sticker from a picture."""
        kind, _, rest = content_type.partition(";")[0].strip().lower().partition("/")
        if kind == "text" and "vcard" in rest:
            return cls.CONTACT
        return {"image": cls.PICTURE, "audio": cls.VOICE, "video": cls.VIDEO}.get(kind, cls.DOCUMENT)


@dataclass(frozen=True, slots=True)
class Media:
    """A file that came with a message: where the provider keeps it, its MIME type, and its name, if it has one.

    Once it has been collected, `key` says where we keep it, and `words` what a voice note or a contact card says.
    `problem` is why that could not be done, and never will be: a code of `attachments`.
    """

    url: str
    content_type: str
    name: str = ""
    kind: MediaKind = MediaKind.DOCUMENT
    key: str | None = None
    words: str | None = None
    problem: str | None = None

    @property
    def is_collected(self) -> bool:
        return self.key is not None or self.problem is not None


def media_key(reference: str, message_id: str, index: int) -> str:
    """Where the file at `index` of a message is kept: the same for every attempt, and nobody can read it.

    Everything of a conversation begins with its random reference, so that it can be found and erased together.
    """
    return f"{reference}/{hashlib.sha256(f'{message_id}/{index}'.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Location:
    """A place that was shared: degrees as the provider wrote them, and what the person's phone calls it."""

    latitude: str = ""
    longitude: str = ""
    label: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A button that was pressed or a line of a list that was chosen; `identifier` is the company's own word for it."""

    title: str = ""
    identifier: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji put on a message; an empty one takes an earlier reaction back."""

    emoji: str = ""
    to: str = ""  #: the provider's id of that message
    text: str = ""  #: what that message said; known within a turn only


@dataclass(frozen=True, slots=True)
class Quotation:
    """The message that this one replies to."""

    to: str = ""  #: its provider id
    text: str = ""  #: what it said; known within a turn only


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The person did not write this but passed it on."""

    often: bool = False  #: WhatsApp says that it was passed on many times


@dataclass(frozen=True, slots=True)
class Referral:
    """The advertisement or post through which the person came to us."""

    headline: str = ""
    body: str = ""
    url: str = ""
    source: str = ""  #: `ad` or `post`


#: What a message may have beside its text and its files.
Extra = Location | Choice | Reaction | Quotation | Forwarded | Referral


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A message as it came in, in our words; `raw` holds every parameter of the provider but the text itself."""

    channel: Channel
    message_id: str
    sender: str  #: the person's address without channel prefix
    recipient: str  #: our own address without channel prefix
    text: str
    received_at: datetime
    media: tuple[Media, ...] = ()
    extras: tuple[Extra, ...] = ()
    other_addresses: tuple[str, ...] = ()  #: further names of the same person, such as a BSUID
    sender_pool: str | None = None  #: the Messaging Service that our address belongs to
    opt_out: OptOut | None = None
    raw: Mapping[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.sender, *self.other_addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """A delivery callback in our words."""

    channel: Channel
    provider_id: str
    status: Delivery
    own_address: str
    person: str
    sender_pool: str | None = None
    error_code: str | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """The primary key of a conversation record."""

    person: str
    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that nobody has answered yet, as the record keeps it."""

    message_id: str
    text: str
    received_at: datetime
    sender: str
    recipient: str
    channel: Channel
    sender_pool: str | None = None
    media: tuple[Media, ...] = ()
    extras: tuple[Extra, ...] = ()
    raw: Mapping[str, str] = field(default_factory=dict)  #: what else the provider said of it
    clipped: bool = False  #: the whole message is in the history under the same number


@dataclass(frozen=True, slots=True)
class Part:
    """One provider message of an answer, a text or a file; `provider_id` is there once it went out."""

    text: str
    provider_id: str | None = None
    media_url: str | None = None  #: a file instead of a text, from where the provider fetches it


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an engine's answer cost: its model, tokens and milliseconds."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    milliseconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """The one answer of a conversation that is on its way; it covers the messages `(after, to]`."""

    after: int
    to: int
    epoch: int
    state: OutgoingState
    token: str  #: made by the turn that committed it; tells one answer from the next
    channel: Channel
    sender: str  #: our own address
    recipient: str  #: the person's address
    sender_pool: str | None = None
    parts: tuple[Part, ...]
    committed_at: datetime
    newest_at: datetime  #: when the newest message that it covers came in
    usage: Usage = field(default_factory=Usage)
    author: Author = Author.AI  #: SYSTEM for the tenant's apology
    hands_over: str | None = None  #: why a human gets the conversation once this is out
    template: Template | None = None  #: goes out instead of an answer's text, which WhatsApp did not let through
    attempts: int = 0
    claim: str | None = None  #: made by the sender that claimed it
    claimed_at: datetime | None = None
    first_claimed_at: datetime | None = None

    @property
    def is_apology(self) -> bool:
        return self.author == Author.SYSTEM and self.hands_over is not None

    def position(self, part: int) -> str:
        """Where the history keeps a part of it."""
        return Numbered.template(self.to) if self.template else Numbered.answer(self.to, part)

    def is_same_claim_as(self, other: "Outgoing") -> bool:
        """Whether nobody has claimed, released or replaced this answer since it was `other`."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[object, ...]:
        return (self.token, self.state, self.claim, self.claimed_at)

    @property
    def unsent(self) -> list[int]:
        return [index for index, part in enumerate(self.parts) if part.provider_id is None]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool; `parameters` is a JSON schema as OpenAI's strict mode takes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookTool:
    """A tool of a tenant's own: an https URL that does the work, and the secret that our requests are signed with."""

    spec: ToolSpec
    url: str
    secret_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AiSettings:
    """How a tenant's or conversation's AI answers. Empty fields are filled from the tenant."""

    engine: str | None = None
    model: str | None = None
    instructions: str | None = None
    api_key_reference: str | None = None
    tools: tuple[str, ...] | None = None
    webhook_tools: tuple[WebhookTool, ...] | None = None
    max_output_tokens: int | None = None
    longest_answer: int | None = None  #: in characters, as the model is told
    history_tokens: int | None = None  #: how many tokens of the conversation the model is shown at most
    assistant_id: str | None = None  #: of the `assistants` engine
    moderation: Moderation | None = None
    check_needs_human: bool | None = None  #: asks for an opinion before the AI answers
    transcription_model: str | None = None

    def or_else(self, other: "AiSettings") -> "AiSettings":
        """These settings, gaps filled from `other`."""
        return AiSettings(
            engine=self.engine or other.engine,
            model=self.model or other.model,
            instructions=self.instructions or other.instructions,
            api_key_reference=self.api_key_reference or other.api_key_reference,
            tools=self.tools if self.tools is not None else other.tools,
            webhook_tools=self.webhook_tools if self.webhook_tools is not None else other.webhook_tools,
            max_output_tokens=self.max_output_tokens or other.max_output_tokens,
            longest_answer=self.longest_answer or other.longest_answer,
            history_tokens=self.history_tokens or other.history_tokens,
            assistant_id=self.assistant_id or other.assistant_id,
            moderation=self.moderation or other.moderation,
            check_needs_human=(
                self.check_needs_human if self.check_needs_human is not None else other.check_needs_human
            ),
            transcription_model=self.transcription_model or other.transcription_model,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a tenant's AI may do; None is without limit. A conversation that reaches one goes to a human."""

    turns_a_day: int | None = None  #: in one conversation
    tokens_a_day: int | None = None
    tokens_a_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One company's own address on one channel, and how it wants to be spoken for."""

    channel: Channel
    address: str
    company_id: str = ""
    company_name: str = ""
    project_id: str = ""
    project_name: str = ""
    credentials_reference: str | None = None
    ai: AiSettings = field(default_factory=AiSettings)
    burst_idle: timedelta | None = None
    burst_max: timedelta | None = None
    fallback_text: str | None = None
    fallback_window: timedelta = timedelta(hours=24)
    closed_window: Template | None = None  #: what goes out where WhatsApp's 24 hours are over
    typing_indicator: bool = False  #: the person sees that somebody is writing while a turn runs
    limits: Limits = field(default_factory=Limits)
    apology_text: str | None = None  #: what a person is told when the AI fails for good
    on_new_message: OnNewMessage = OnNewMessage.RESTART
    unknown_senders: UnknownSender = UnknownSender.FALLBACK
    messaging_service: str | None = None
    sms_max_segments: int | None = None  #: of one message; a longer answer is several messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """How long a person may take to finish: after the newest message, and at most after the oldest."""

    idle: timedelta
    longest: timedelta

    def idle_for(self, tenant: Tenant | None) -> timedelta:
        return tenant.burst_idle if tenant and tenant.burst_idle is not None else self.idle

    def longest_for(self, tenant: Tenant | None) -> timedelta:
        return tenant.burst_max if tenant and tenant.burst_max is not None else self.longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the parts of the relay wait for each other. They lean on one another, so they shrink only together."""

    #: Nobody is looked at who has waited for less than this.
    look_after: timedelta = timedelta(seconds=60)

    #: After the burst window a turn, with the queue's own second attempt, is over by then.
    turn_is_late: timedelta = timedelta(seconds=210)

    #: A sender that was woken has claimed by then.
    sender_is_late: timedelta = timedelta(seconds=60)

    #: A claimed answer may be settled by then: the sender has posted within 30 seconds or not at all (`post_within` and
    #: `provider_deadline`), the provider lists what it took within two minutes, and clocks of two machines disagree by
    #: less than half a minute.
    claim_is_late: timedelta = timedelta(seconds=180)

    #: After its claim, or after the part before, a part leaves within this time or not at all: whoever settles the
    #: answer counts from there.
    post_within: timedelta = timedelta(seconds=12)

    #: The provider answers within this time, or what it did is in doubt.
    provider_deadline: timedelta = timedelta(seconds=8)

    #: A message that the provider lists as received may be on its way to the webhook for this long.
    on_its_way: timedelta = timedelta(seconds=60)

    def times(self, factor: float) -> "Patience":
        """All of them, multiplied."""
        return Patience(**{each.name: getattr(self, each.name) * factor for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message of the conversation so far, in words, and its files; `position` is empty for the opening."""

    author: Author
    text: str
    position: str = ""
    media: tuple[Media, ...] = ()
    provider_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """What an engine's provider holds of a conversation, and how much of it counts."""

    id: str
    item: str | None = None  #: the item that it ends with; None until an answer of ours was committed in it
    number: int = 0  #: the newest message that this answer covers
    migrated: bool = False  #: the provider has it no more, so it is never asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation record: what the outbound engine wrote and what we keep in flight. Gaps are normal."""

    key: ConversationKey
    channel: Channel | None = None
    own_addresses: Mapping[str, str] = field(default_factory=dict)  #: by channel
    company_id: str = ""
    company_name: str = ""
    project_id: str = ""
    project_name: str = ""
    project_status: str | None = None
    status: str = ""
    consent: bool = True
    allowed_channels: tuple[str, ...] = ()
    thread_id: str | None = None
    thread_state: Thread | None = None  #: as the newest answer that was committed left its thread
    credentials: Mapping[str, str] = field(default_factory=dict)  #: references to secrets, by channel
    ai: AiSettings = field(default_factory=AiSettings)
    handed_off: bool = False
    handed_off_reason: str | None = None
    auto_queue: bool = False
    auto_queue_senders: tuple[str, ...] = ()
    opted_out: bool = False
    apologised: bool = False  #: the person has been promised a human once
    task_complete: bool = False  #: the conversation's purpose is fulfilled
    task_outcome: str | None = None  #: how, in the AI's words
    opening: tuple[Spoken, ...] = ()  #: what was said before the first reply came in
    project_data: Mapping[str, Any] = field(default_factory=dict)
    person_name: str = ""
    created_at: str = ""
    updated_at: str = ""
    expires_at: int | None = None  #: epoch seconds

    reference: str = ""  #: random and opaque; what logs call this conversation
    received: int = 0
    answered: int = 0
    waiting: tuple[Waiting, ...] = ()
    overflowing: bool = False
    recent_message_ids: tuple[str, ...] = ()
    epoch: int = 0
    outgoing: Outgoing | None = None
    unanswered_since: datetime | None = None
    untold: bool = False  #: somebody must still be told of what is closed already; only CLOSE clears it
    last_inbound_at: datetime | None = None
    rescues: int = 0
    rescued_at: datetime | None = None

    @property
    def thread(self) -> Thread | None:
        """The thread that the record names now; what is known of an older one does not count for it."""
        if self.thread_id is None:
            return None
        known = self.thread_state
        return known if known is not None and known.id == self.thread_id else Thread(id=self.thread_id)

    @property
    def newest_message_id(self) -> str | None:
        return self.recent_message_ids[-1] if self.recent_message_ids else None

    @property
    def somebody_waits(self) -> bool:
        return self.received > self.answered

    def number_of(self, message_id: str) -> int | None:
        """The number of a recent message. Every received message adds one id, so ids count back from the newest."""
        if message_id not in self.recent_message_ids:
            return None
        index = self.recent_message_ids.index(message_id)
        return self.received - (len(self.recent_message_ids) - 1 - index)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One message of the history, in or out. `position` sorts in the order of the conversation."""

    conversation_id: str
    position: str
    author: Author
    text: str
    at: datetime
    channel: Channel
    number: int
    sender: str = ""
    recipient: str = ""
    media: tuple[Media, ...] = ()
    extras: tuple[Extra, ...] = ()
    provider_id: str | None = None
    status: Delivery | None = None
    error_code: str | None = None
    usage: Usage | None = None
    covers: tuple[int, int] | None = None  #: `(after, to]`, for an answer
    raw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What came of one use of a tool: `output` is the JSON that the model reads, the rest is for us."""

    output: str
    hand_off_reason: str | None = None  #: ends the turn: a human takes over, for this reason
    outcome: str | None = None  #: the conversation's purpose is fulfilled, with this outcome
    media_urls: tuple[str, ...] = ()  #: files that go out with the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an engine is asked: who speaks, what was said, and the messages `(after, number]` that wait."""

    reference: str
    conversation_id: str
    after: int
    number: int  #: the newest message that the answer covers
    company_id: str
    project_id: str
    company_name: str
    project_name: str
    person_name: str
    channel: Channel
    settings: AiSettings
    history: Sequence[Spoken]
    waiting: Sequence[Waiting]
    project_data: Mapping[str, Any]
    thread: Thread | None = None  #: what the engine's provider holds of the conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an engine came back with: a text to send, the wish that a human takes over, or both."""

    text: str = ""
    hand_off_reason: str | None = None
    outcome: str | None = None  #: the conversation's purpose is fulfilled, with this outcome
    media_urls: tuple[str, ...] = ()  #: files that go out with the text
    thread: Thread | None = None  #: what the provider holds if this answer counts, where that is new
    usage: Usage = field(default_factory=Usage)


class Numbered:
    """Positions in the history: numbers make them deterministic, so that writing one twice is harmless."""

    @staticmethod
    def inbound(number: int) -> str:
        return f"{number:010d}#0-in"

    @staticmethod
    def reaction(after: int, message_id: str) -> str:
        return f"{after:010d}#3-reaction#{message_id}"

    @staticmethod
    def answer(to: int, part: int) -> str:
        return f"{to:010d}#1-ai#{part:02d}"

    @staticmethod
    def last_of(to: int) -> str:
        """Behind every part of the answer to message `to`, and before whatever comes next."""
        return f"{to:010d}#1-ai#~"

    @staticmethod
    def template(to: int) -> str:
        return f"{to:010d}#1-ai#template"

    @staticmethod
    def human(after: int, at: datetime, identifier: str) -> str:
        return f"{after:010d}#2-human#{at.isoformat()}#{identifier}"

    @staticmethod
    def number_of(position: str) -> int:
        return int(position.split("#", 1)[0])
