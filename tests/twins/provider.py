"""A provider that takes messages, refuses them, or does not say which; and a list of what it took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from threading import RLock

from chalicelib.errors import Unconfirmed
from chalicelib.model import Channel, Inbound, Outgoing, Template, Tenant
from chalicelib.ports import Clock, Posted, Secret


class Silence(Enum):
    """The request left and no answer came back."""

    AFTER_TAKING = "after taking it"
    WITHOUT_TAKING = "without taking it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message that the provider has, and will deliver."""

    provider_id: str
    channel: Channel
    sender: str
    recipient: str
    text: str
    at: datetime
    callback_url: str | None
    media_url: str | None  #: a file instead of the text
    template: Template | None  #: instead of the text
    covers: tuple[int, int] | None  #: for tests; a real provider knows nothing of it
    part: int | None


Reaction = Silence | Exception | Callable[[], None] | None


@dataclass
class TwinProvider:
    """What stands behind every sender. `reactions` are used up one post at a time; then everything is taken."""

    clock: Clock
    reactions: list[Reaction] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    lists: list[Exception] = field(default_factory=list)  #: how the next looks at a list fail
    received: list[Inbound] = field(default_factory=list)  #: what people sent to it, whether we got it or not
    typed: list[str] = field(default_factory=list)  #: the messages whose writers saw that somebody is writing
    asked: int = 0  #: how often something was posted
    at_hand: RLock = field(default_factory=RLock)

    def reacts(self, *reactions: Reaction) -> None:
        """None takes the message, an exception is raised, something callable runs before the message is taken."""
        self.reactions.extend(reactions)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.taken]

    def take(
        self,
        channel: Channel,
        *,
        sender: str,
        recipient: str,
        text: str,
        callback_url: str | None = None,
        media_url: str | None = None,
        template: Template | None = None,
        covers: tuple[int, int] | None = None,
        part: int | None = None,
    ) -> str:
        """Takes a message, whoever sends it; its id."""
        with self.at_hand:
            provider_id = f"SMf{len(self.taken) + 1:031x}"  # never the id of a person's message
            self.taken.append(
                Taken(
                    provider_id=provider_id,
                    channel=channel,
                    sender=sender,
                    recipient=recipient,
                    text=text,
                    at=self.clock(),
                    callback_url=callback_url,
                    media_url=media_url,
                    template=template,
                    covers=covers,
                    part=part,
                )
            )
            return provider_id


@dataclass(frozen=True)
class TwinChannel:
    """A sender on one channel."""

    provider: TwinProvider
    channel: Channel

    def post(self, outgoing: Outgoing, part: int, *, callback_url: str | None) -> str:
        provider = self.provider
        with provider.at_hand:
            provider.asked += 1
            reaction = provider.reactions.pop(0) if provider.reactions else None
        if isinstance(reaction, Exception):
            raise reaction
        if reaction is Silence.WITHOUT_TAKING:
            raise Unconfirmed("no answer came back")
        if callable(reaction):
            reaction()
        provider_id = provider.take(
            self.channel,
            sender=outgoing.sender,
            recipient=outgoing.recipient,
            text=outgoing.parts[part].text,
            callback_url=callback_url,
            media_url=outgoing.parts[part].media_url,
            template=outgoing.template,
            covers=(outgoing.after, outgoing.to),
            part=part,
        )
        if reaction is Silence.AFTER_TAKING:
            raise Unconfirmed("no answer came back")
        return provider_id

    def typing(self, message_id: str) -> None:
        if self.provider.lists:
            raise self.provider.lists.pop(0)
        self.provider.typed.append(message_id)

    def posted_since(self, outgoing: Outgoing, since: datetime) -> Sequence[Posted]:
        """Newest first, as Twilio lists them."""
        if self.provider.lists:
            raise self.provider.lists.pop(0)
        between = [
            each
            for each in self.provider.taken
            if (each.channel, each.sender, each.recipient) == (self.channel, outgoing.sender, outgoing.recipient)
        ]
        listed = [Posted(provider_id=each.provider_id, text=each.text, at=each.at) for each in between]
        return [each for each in reversed(listed) if each.at is None or each.at >= since]


@dataclass(frozen=True)
class TwinInbox:
    """What the provider took in on one channel."""

    provider: TwinProvider
    channel: Channel

    def received_since(self, own_address: str, since: datetime) -> Sequence[Inbound]:
        """Newest first, as Twilio lists them."""
        if self.provider.lists:
            raise self.provider.lists.pop(0)
        ours = [
            each
            for each in self.provider.received
            if (each.channel, each.recipient) == (self.channel, own_address) and each.received_at >= since
        ]
        return ours[::-1]


@dataclass
class TwinProviders:
    """Makes senders; `secrets` holds what they were made with."""

    provider: TwinProvider
    secrets: list[Secret] = field(default_factory=list)

    def sender(self, channel: Channel, secret: Secret, *, tenant: Tenant | None) -> TwinChannel:
        self.secrets.append(secret)
        return TwinChannel(self.provider, channel)

    def inbox(self, channel: Channel, secret: Secret) -> TwinInbox:
        return TwinInbox(self.provider, channel)
