"""The one place where parts are joined. Each is built on first use and kept; slow libraries are imported there."""

from datetime import UTC, datetime
from functools import cache, cached_property, partial
from pathlib import Path
from time import sleep
from uuid import uuid4

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
from chalicelib.aws.clients import Clients
from chalicelib.aws.conversations import DynamoConversations
from chalicelib.aws.idempotency import DynamoIdempotencyRecords
from chalicelib.aws.messages import DynamoFallbacks, DynamoHistory, DynamoMeters, DynamoOptOuts
from chalicelib.aws.queues import SqsQueues
from chalicelib.aws.secrets import SecretsManager
from chalicelib.aws.tenants import DynamoTenants
from chalicelib.channels import incoming
from chalicelib.config import Settings
from chalicelib.context import Context
from chalicelib.engines import EngineTable
from chalicelib.journal import PowertoolsJournal
from chalicelib.model import Bursts, Channel, Conversation, ConversationKey, Media, Patience, Waiting
from chalicelib.ports import (
    Clock,
    DrawPicture,
    GiveUp,
    Identifiers,
    MediaSource,
    MediaStore,
    PassOn,
    Providers,
    References,
    Request,
    Route,
    Secret,
    Settle,
    Splitter,
    TakeIn,
    TakeOver,
    Tools,
    Transcriber,
)


def now() -> datetime:
    return datetime.now(UTC)


def new_identifier() -> str:
    return str(uuid4())


class Relay:
    """The stages with their ports, for one set of settings; the clock and the maker of ids are ports too."""

    def __init__(self, settings: Settings, *, clock: Clock = now, identifiers: Identifiers = new_identifier) -> None:
        self.settings = settings
        self.clock = clock
        self.identifiers = identifiers

    def receive(self, request: Request, channel: Channel) -> str:
        return receive.receive(
            request,
            incoming=incoming(channel),
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            secrets=self.secrets,
            fallbacks=self.fallbacks,
            opt_outs=self.opt_outs,
            queues=self.queues,
            route=self.route,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
        )

    def reply(self, context: Context, last_attempt: bool) -> None:
        reply.reply(
            context,
            last_attempt=last_attempt,
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            secrets=self.secrets,
            engines=self.engines,
            tools=self.tools,
            look_up=self.look_up,
            splitter=self.splitter,
            opt_outs=self.opt_outs,
            meters=self.meters,
            providers=self.providers,
            queues=self.queues,
            route=self.route,
            take_over=self.take_over,
            give_up=self.give_up,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
            bursts=self.bursts,
        )

    def collect(self, context: Context, last_attempt: bool) -> None:
        collect.collect(
            context,
            conversations=self.conversations,
            history=self.history,
            gather=self.gather,
            clock=self.clock,
            journal=self.journal,
        )

    def send(self, context: Context, last_attempt: bool) -> None:
        send.send(
            context,
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            secrets=self.secrets,
            providers=self.providers,
            callback_url=self.callback_url,
            opt_outs=self.opt_outs,
            route=self.route,
            take_over=self.take_over,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
            patience=self.patience,
        )

    def track(self, request: Request, reference: str) -> str:
        track.track(
            request,
            reference,
            incoming=incoming(Channel.SMS),
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            secrets=self.secrets,
            references=self.references,
            opt_outs=self.opt_outs,
            route=self.route,
            take_over=self.take_over,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
        )
        return ""

    def sweep(self) -> int:
        return rescue.sweep(
            conversations=self.conversations,
            tenants=self.tenants,
            route=self.route,
            give_up=self.give_up,
            pass_on=self.pass_on,
            settle=self.settle,
            clock=self.clock,
            journal=self.journal,
            bursts=self.bursts,
            patience=self.patience,
        )

    def reconcile(self) -> int:
        return reconcile.reconcile(
            tenants=self.tenants,
            secrets=self.secrets,
            providers=self.providers,
            conversations=self.conversations,
            history=self.history,
            take_in=self.take_in,
            clock=self.clock,
            journal=self.journal,
            patience=self.patience,
        )

    @cached_property
    def aws(self) -> Clients:
        return Clients(self.settings)

    @cached_property
    def journal(self) -> PowertoolsJournal:
        return PowertoolsJournal(self.settings.stage)

    @cached_property
    def bursts(self) -> Bursts:
        return Bursts(idle=self.settings.burst_idle, longest=self.settings.burst_max)

    @cached_property
    def patience(self) -> Patience:
        return Patience().times(self.settings.patience)

    @cached_property
    def conversations(self) -> DynamoConversations:
        return DynamoConversations(
            self._dynamodb, self.settings.conversations_table, clock=self.clock, identifiers=self.identifiers
        )

    @cached_property
    def history(self) -> DynamoHistory:
        return DynamoHistory(self._dynamodb, self.settings.messages_table)

    @cached_property
    def fallbacks(self) -> DynamoFallbacks:
        return DynamoFallbacks(self._dynamodb, self.settings.messages_table)

    @cached_property
    def opt_outs(self) -> DynamoOptOuts:
        return DynamoOptOuts(self._dynamodb, self.settings.messages_table)

    @cached_property
    def meters(self) -> DynamoMeters:
        return DynamoMeters(self._dynamodb, self.settings.messages_table)

    @cached_property
    def tenants(self) -> DynamoTenants:
        return DynamoTenants(self._dynamodb, self.settings.tenants_table, clock=self.clock)

    @cached_property
    def secrets(self) -> SecretsManager:
        return SecretsManager(self.aws.of("secretsmanager"), clock=self.clock)

    @cached_property
    def queues(self) -> SqsQueues:
        return SqsQueues(self.aws.of("sqs"))

    @cached_property
    def engines(self) -> EngineTable:
        return EngineTable(self.settings.openai_base_url, self, sleep)

    @cached_property
    def tools(self) -> Tools:
        from chalicelib.tools import ToolTable
        from chalicelib.tools.outside import Outside

        return ToolTable(
            secrets=self.secrets,
            records=DynamoIdempotencyRecords(self._dynamodb, self.settings.messages_table),
            clock=self.clock,
            journal=self.journal,
            outside=Outside(loopback=self.settings.tools_on_loopback),
        )

    @cached_property
    def splitter(self) -> Splitter:
        from chalicelib.channels.formats import FORMATS, FormattedParts

        return FormattedParts(FORMATS)

    @cached_property
    def media_store(self) -> MediaStore:
        if self.settings.media_folder:
            from chalicelib.folder import FolderMedia

            return FolderMedia(Path(self.settings.media_folder))
        from chalicelib.aws.media import S3Media

        return S3Media(self.aws.of("s3"), self.aws.of("sts"), self.settings.media_bucket)

    @cached_property
    def media_source(self) -> MediaSource:
        from chalicelib.channels.twilio_media import build

        return build(base_url=self.settings.twilio_api_base_url)

    @cached_property
    def transcriber(self) -> Transcriber:
        from chalicelib.engines.transcription import build

        return build(base_url=self.settings.openai_base_url)

    @cached_property
    def providers(self) -> Providers:
        from chalicelib.channels.twilio_rest import TwilioProviders

        return TwilioProviders(self.settings.twilio_api_base_url, self.patience.provider_deadline, {})

    @cached_property
    def references(self) -> References:
        from chalicelib.channels.references import SealedReferences

        return SealedReferences()

    @cached_property
    def draw(self) -> DrawPicture:
        return partial(
            picture.picture,
            tenants=self.tenants,
            history=self.history,
            clock=self.clock,
            identifiers=self.identifiers,
        )

    @cached_property
    def pass_on(self) -> PassOn:
        return partial(
            handoff.pass_on,
            conversations=self.conversations,
            history=self.history,
            queues=self.queues,
            draw=self.draw,
            clock=self.clock,
            journal=self.journal,
        )

    @cached_property
    def take_over(self) -> TakeOver:
        return partial(handoff.take_over, conversations=self.conversations, pass_on=self.pass_on, journal=self.journal)

    @cached_property
    def give_up(self) -> GiveUp:
        return partial(
            handoff.give_up,
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            splitter=self.splitter,
            queues=self.queues,
            take_over=self.take_over,
            draw=self.draw,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
        )

    @cached_property
    def take_in(self) -> TakeIn:
        return partial(
            receive.take_in,
            conversations=self.conversations,
            history=self.history,
            opt_outs=self.opt_outs,
            queues=self.queues,
            route=self.route,
            clock=self.clock,
            identifiers=self.identifiers,
            journal=self.journal,
        )

    @cached_property
    def settle(self) -> Settle:
        return partial(
            settle.settle,
            conversations=self.conversations,
            history=self.history,
            tenants=self.tenants,
            secrets=self.secrets,
            providers=self.providers,
            route=self.route,
            take_over=self.take_over,
            clock=self.clock,
            journal=self.journal,
        )

    @cached_property
    def route(self) -> Route:
        return partial(
            route.route,
            conversations=self.conversations,
            queues=self.queues,
            tenants=self.tenants,
            pass_on=self.pass_on,
            draw=self.draw,
            clock=self.clock,
            journal=self.journal,
            bursts=self.bursts,
        )

    def gather(self, conversation: Conversation, message: Waiting, *, seconds: float) -> tuple[Media, ...]:
        """For the collector, which fetches with the channel's secret."""
        return self._gathered(conversation, message, seconds, self.media_source)

    def look_up(self, conversation: Conversation, message: Waiting, *, seconds: float) -> tuple[Media, ...]:
        """For a turn, which reads no secret of a channel and so fetches nothing."""
        return self._gathered(conversation, message, seconds, None)

    def _gathered(
        self, conversation: Conversation, message: Waiting, seconds: float, media_source: MediaSource | None
    ) -> tuple[Media, ...]:
        """The parts are slow to import, so they are built for the first message that has files."""
        return attachments.gathered(
            conversation,
            message,
            seconds=seconds,
            media_store=self.media_store,
            media_source=media_source,
            transcriber=self.transcriber,
            tenants=self.tenants,
            secrets=self.secrets,
            clock=self.clock,
            journal=self.journal,
        )

    def content(self, media: Media) -> bytes | None:
        """The port `Files` of the engines; the store is built for the first file that they ask for."""
        return attachments.content_of(media, media_store=self.media_store) if media.key else None

    def callback_url(self, key: ConversationKey, position: str, secret: Secret) -> str | None:
        base = self.settings.public_base_url
        return f"{base}/status/{self.references.seal(key, position, secret)}" if base else None

    @cached_property
    def _dynamodb(self) -> object:
        return self.aws.of("dynamodb")


@cache
def relay() -> Relay:
    """The relay of this process. Raises SettingsError with everything that the environment lacks."""
    return Relay(Settings.from_env())
