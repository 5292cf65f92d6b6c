"""The real stages joined with the twins, as `chalicelib.wiring` joins them with the real parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import partial
from inspect import signature
from typing import Any

from chalicelib import (
    attachments,
    collect,
    handoff,
    picture,
    receive,
    reconcile,
    reply,
    rescue,
    route,
    send,
    settle,
    track,
)
from chalicelib.channels import incoming
from chalicelib.channels.formats import FORMATS, FormattedParts
from chalicelib.channels.references import SealedReferences
from chalicelib.config import LONGEST_QUEUE_ATTEMPTS
from chalicelib.context import Context
from chalicelib.errors import RelayError
from chalicelib.model import Bursts, Channel, Conversation, ConversationKey, Media, Patience, Tenant
from chalicelib.ports import (
    Clock,
    Conversations,
    Engines,
    Fallbacks,
    History,
    Identifiers,
    Journal,
    MediaSource,
    MediaStore,
    Meters,
    OptOuts,
    Providers,
    Queues,
    References,
    Request,
    Secret,
    Secrets,
    Splitter,
    Tenants,
    Tools,
    Transcriber,
)
from chalicelib.tools import ToolTable
from chalicelib.tools.outside import Outside
from tests.twins import cast, webhooks
from tests.twins.clock import CountingIdentifiers, TwinClock
from tests.twins.engine import TwinEngine, TwinEngines
from tests.twins.history import TwinFallbacks, TwinHistory, TwinMeters, TwinOptOuts
from tests.twins.idempotency import TwinIdempotencyRecords, nobody
from tests.twins.journal import TwinJournal
from tests.twins.media import TwinMediaSource, TwinMediaStore, TwinTranscriber
from tests.twins.provider import Taken, TwinProvider, TwinProviders
from tests.twins.queues import HANDOFF, MEDIA, SENDER, Delivery, QueueMessage, TwinQueues
from tests.twins.secrets import TwinSecrets
from tests.twins.store import TwinConversations
from tests.twins.tenants import TwinTenants

REPLIES = tuple(f"{channel}-replies" for channel in Channel)
WORKED_OFF = (MEDIA, *REPLIES, SENDER)

#: No test keeps a relay busy for longer than this.
_MOST_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything that the stages can touch."""

    conversations: Conversations
    history: History
    fallbacks: Fallbacks
    opt_outs: OptOuts
    meters: Meters
    tenants: Tenants
    secrets: Secrets
    queues: Queues
    engines: Engines
    tools: Tools
    providers: Providers
    media_store: MediaStore
    media_source: MediaSource
    transcriber: Transcriber
    references: References
    splitter: Splitter
    clock: Clock
    identifiers: Identifiers
    journal: Journal

    def wrapped(self, wrap: Callable[[str, Any], Any]) -> "Ports":
        """The same ports, each put through `wrap(name, port)`."""
        return replace(self, **{each.name: wrap(each.name, getattr(self, each.name)) for each in fields(self)})


@dataclass(frozen=True)
class Process:
    """One process in which the stages run, as a Lambda is one; many may share the same world.

    Every function of the relay gets the ports and parts that its signature names, as `chalicelib.wiring` gives them.
    """

    ports: Ports
    bursts: Bursts
    public_base_url: str | None = webhooks.BASE_URL
    patience: Patience = field(default_factory=Patience)

    def receive(self, request: Request, channel: Channel = Channel.WHATSAPP) -> str:
        return self._joined(receive.receive)(request, incoming=incoming(channel))

    def reply(self, context: Context, last_attempt: bool = False) -> None:
        self._joined(reply.reply)(context, last_attempt=last_attempt)

    def send(self, context: Context, last_attempt: bool = False) -> None:
        self._joined(send.send)(context)

    def track(self, request: Request, reference: str) -> None:
        self._joined(track.track)(request, reference, incoming=incoming(Channel.SMS))

    def sweep(self) -> int:
        return self._joined(rescue.sweep)()

    def reconcile(self) -> int:
        return self._joined(reconcile.reconcile)()

    def give_back(self, key: ConversationKey) -> Conversation | None:
        return self._joined(handoff.give_back)(key)

    def take_over(self, *args: Any, **options: Any) -> Conversation | None:
        return self._joined(handoff.take_over)(*args, **options)

    def give_up(self, *args: Any, **options: Any) -> Conversation | None:
        return self._joined(handoff.give_up)(*args, **options)

    def pass_on(self, *args: Any, **options: Any) -> bool:
        return self._joined(handoff.pass_on)(*args, **options)

    def take_in(self, *args: Any, **options: Any) -> bool:
        return self._joined(receive.take_in)(*args, **options)

    def settle(self, *args: Any, **options: Any) -> None:
        self._joined(settle.settle)(*args, **options)

    def route(self, *args: Any, **options: Any) -> str:
        return self._joined(route.route)(*args, **options)

    def collect(self, context: Context, last_attempt: bool = False) -> None:
        self._joined(collect.collect)(context)

    def gather(self, *args: Any, **options: Any) -> tuple[Media, ...]:
        gathered: tuple[Media, ...] = self._joined(attachments.gathered)(*args, **options)
        return gathered

    def look_up(self, *args: Any, **options: Any) -> tuple[Media, ...]:
        found: tuple[Media, ...] = self._joined(attachments.gathered)(*args, **{**options, "media_source": None})
        return found

    def draw(self, conversation: Conversation) -> Context:
        return self._joined(picture.picture)(conversation)

    def callback_url(self, key: ConversationKey, position: str, secret: Secret) -> str | None:
        base = self.public_base_url
        return f"{base}/status/{self.ports.references.seal(key, position, secret)}" if base else None

    def through(self, wrap: Callable[[str, Any], Any]) -> "Process":
        """A process in the same world whose every port goes through `wrap(name, port)`."""
        return replace(self, ports=self.ports.wrapped(wrap))

    def work_off(self, delivery: Delivery) -> None:
        """Handles one delivery as the door does; the caller deletes it. Raises whatever the stage raises."""
        handle = {SENDER: self.send, MEDIA: self.collect}.get(delivery.queue, self.reply)
        handle(Context.from_json(delivery.body), delivery.attempt >= LONGEST_QUEUE_ATTEMPTS)

    def _joined(self, function: Callable[..., Any]) -> Callable[..., Any]:
        named = signature(function).parameters.values()
        wanted = [each.name for each in named if each.kind is each.KEYWORD_ONLY and each.name in _JOINED]
        return partial(function, **{name: self._part(name) for name in wanted})

    def _part(self, name: str) -> Any:
        return getattr(self.ports if name in _PORTS else self, name)


_PORTS = frozenset(each.name for each in fields(Ports))
_PARTS = frozenset(
    {
        "bursts",
        "callback_url",
        "draw",
        "gather",
        "give_up",
        "look_up",
        "pass_on",
        "patience",
        "route",
        "settle",
        "take_in",
        "take_over",
    }
)
_JOINED = _PORTS | _PARTS


class TwinRelay:
    """A world of twins with one company in it, and one process that works in it."""

    def __init__(self, *, bursts: Bursts | None = None, tenant: Tenant | None = None) -> None:
        self.clock = TwinClock()
        self.identifiers = CountingIdentifiers()
        self.journal = TwinJournal()
        self.conversations = TwinConversations(self.clock, self.identifiers)
        self.history = TwinHistory(self.clock)
        self.fallbacks = TwinFallbacks()
        self.opt_outs = TwinOptOuts()
        self.meters = TwinMeters()
        self.tenants = TwinTenants(self.clock)
        self.secrets = TwinSecrets(self.clock)
        self.queues = TwinQueues(self.clock)
        self.engine = TwinEngine()
        self.provider = TwinProvider(self.clock)
        self.media_store = TwinMediaStore()
        self.media_source = TwinMediaSource()
        self.transcriber = TwinTranscriber()
        self.process = Process(
            Ports(
                conversations=self.conversations,
                history=self.history,
                fallbacks=self.fallbacks,
                opt_outs=self.opt_outs,
                meters=self.meters,
                tenants=self.tenants,
                secrets=self.secrets,
                queues=self.queues,
                engines=TwinEngines(self.engine),
                tools=ToolTable(
                    secrets=self.secrets,
                    records=TwinIdempotencyRecords(),
                    clock=self.clock,
                    journal=self.journal,
                    outside=Outside(resolve=nobody),
                ),
                providers=TwinProviders(self.provider),
                media_store=self.media_store,
                media_source=self.media_source,
                transcriber=self.transcriber,
                references=SealedReferences(),
                splitter=FormattedParts(FORMATS),
                clock=self.clock,
                identifiers=self.identifiers,
                journal=self.journal,
            ),
            bursts or Bursts(idle=timedelta(seconds=30), longest=timedelta(seconds=90)),
        )
        self.tenants.put(tenant or cast.tenant())
        self.secrets.put(cast.TWILIO_SECRET, cast.TWILIO_VALUE)
        self.secrets.put(cast.OPENAI_SECRET, cast.OPENAI_VALUE)
        self.failures: list[RelayError] = []

    def receive(self, request: Request, channel: Channel = Channel.WHATSAPP) -> str:
        return self.process.receive(request, channel)

    def reply(self, context: Context, *, last_attempt: bool = False) -> None:
        self.process.reply(context, last_attempt)

    def send(self, context: Context) -> None:
        self.process.send(context)

    def track(self, request: Request, reference: str) -> None:
        self.process.track(request, reference)

    def sweep(self) -> int:
        return self.process.sweep()

    def reconcile(self) -> int:
        return self.process.reconcile()

    def take_over(self, key: ConversationKey = cast.KEY, *, reason: str = "asked") -> Conversation | None:
        return self.process.take_over(key, reason=reason)

    def give_back(self, key: ConversationKey = cast.KEY) -> Conversation | None:
        return self.process.give_back(key)

    def hear(
        self,
        number: int,
        text: str | None = None,
        *,
        sender: str = cast.PERSON,
        recipient: str = cast.OWN_ADDRESS,
        token: str = webhooks.AUTH_TOKEN,
        **more: str,
    ) -> str:
        """A WhatsApp message of the person arrives; the answer of the webhook."""
        said = f"message {number}" if text is None else text
        form = webhooks.message_form(
            cast.message_id(number), said, sender=f"whatsapp:{sender}", recipient=f"whatsapp:{recipient}", **more
        )
        return self.receive(webhooks.signed("/whatsapp", form, token=token))

    def report(self, taken: Taken, status: str, *, token: str = webhooks.AUTH_TOKEN, **more: str) -> None:
        """The provider calls back about a message that it has taken."""
        assert taken.callback_url is not None
        reference = taken.callback_url.rpartition("/")[2]
        form = webhooks.status_form(
            taken.provider_id,
            status,
            sender=f"whatsapp:{taken.sender}",
            recipient=f"whatsapp:{taken.recipient}",
            **more,
        )
        self.track(webhooks.signed(f"/status/{reference}", form, token=token), reference)

    def work_off(self, *queues: str) -> int:
        """Works off what is visible now on these queues (all of ours by default); how many deliveries that were.

        What raises a RelayError stays on its queue, and the error is kept in `failures`.
        """
        done = 0
        for queue in queues or WORKED_OFF:
            while (delivery := self.queues.receive(queue)) is not None:
                done += 1
                try:
                    self.process.work_off(delivery)
                except RelayError as failure:
                    self.failures.append(failure)
                else:
                    self.queues.delete(delivery)
        return done

    def run_until_quiet(self, *, sweeping: bool = False, most: timedelta = timedelta(hours=2)) -> None:
        """Moves the clock from one event to the next and works the queues off, until nothing is left to be done.

        `sweeping` also runs the rescue every minute for as long as anybody waits.
        """
        until = self.clock() + most
        for _ in range(_MOST_STEPS):
            if self.work_off():
                continue
            moment = self._next_event(sweeping)
            if moment is None or moment > until:
                return
            self.clock.advance_to(moment)
            if sweeping and moment.second == 0 and self._anybody_waits():
                self.sweep()
        raise AssertionError("the relay does not come to rest")

    def the_conversation(self, key: ConversationKey = cast.KEY) -> Conversation:
        found = self.conversations.get(key)
        assert found is not None
        return found

    @property
    def handed_over(self) -> list[QueueMessage]:
        """What humans find on their queue."""
        return self.queues.of(HANDOFF)

    def _next_event(self, sweeping: bool) -> datetime | None:
        moments = [self.queues.next_visible_at(WORKED_OFF)]
        if sweeping and self._anybody_waits():
            now = self.clock()
            moments.append(now.replace(second=0, microsecond=0) + timedelta(minutes=1))
        return min((moment for moment in moments if moment is not None), default=None)

    def _anybody_waits(self) -> bool:
        return any(each.unanswered_since is not None for each in self.conversations.all())


def opened(relay: TwinRelay, **changes: Any) -> Conversation:
    """Puts the conversation into the relay's world, as the outbound engine does."""
    return relay.conversations.put(cast.conversation(**changes))


def stamps(message: QueueMessage) -> Mapping[str, str]:
    return message.context.processing.processing_timestamps
