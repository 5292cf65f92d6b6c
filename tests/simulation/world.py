"""The world of a run: machines, tables, queues, engine and provider around the real stages, and what starts them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count

from chalicelib.errors import Rejected, RelayError, TryAgain
from chalicelib.model import (
    Channel,
    Conversation,
    ConversationKey,
    Outgoing,
    Turn,
)
from chalicelib.ports import Clock, Secret
from chalicelib.tools import ToolTable
from chalicelib.tools.outside import Outside
from tests.simulation.acts import ACTS
from tests.simulation.boundary import Boundary
from tests.simulation.cast import BURSTS, OWN, conversation, credentials, person, tenant
from tests.simulation.cheap import CheapReferences, CheapSplitter, CheapWebhooks
from tests.simulation.clockwork import Clockwork, Died, Process, identity
from tests.simulation.faults import Fault, Faults
from tests.simulation.machines import CachedSecrets, CachedTenants, Machine
from tests.simulation.mind import Mind
from tests.simulation.provider import Provider, Senders, Taken
from tests.simulation.queues import SeenQueues
from tests.simulation.scenario import CONVERSATIONS, KNOWN, Event, Scenario
from tests.simulation.stores import Store
from tests.simulation.truth import Committed, Said, Truth
from tests.simulation.witnesses import WitnessedConversations, WitnessedHistory
from tests.twins import webhooks
from tests.twins.clock import CountingIdentifiers
from tests.twins.history import TwinMeters
from tests.twins.idempotency import TwinIdempotencyRecords, nobody
from tests.twins.media import TwinMediaSource, TwinMediaStore, TwinTranscriber
from tests.twins.queues import Delivery as Handed
from tests.twins.relay import Ports
from tests.twins.store import MOST_WAITING

#: Seconds after which a Lambda is killed. Workers of queues and sweeps are let live on: a killed one does less harm.
_LIVES = {"webhook": 20.0, "callback": 20.0, "reconcile": 120.0}

_SWEEP_EVERY = 60.0
_RECONCILE_EVERY = 300.0


class World:
    """Everything that one run is about."""

    def __init__(self, scenario: Scenario, faults: Faults, store: Store, *, telling: bool = False) -> None:
        self.scenario = scenario
        self.faults = faults
        self.clockwork = Clockwork()
        self.truth = Truth()
        self.boundary = Boundary(self.clockwork, faults, scenario.pace, telling, thinking=scenario.thinking)
        self.bugs: list[Exception] = []
        self.happened: list[Event] = []  #: the events of the scenario, each with its time
        self.incoming = CheapWebhooks(self)
        identifiers = CountingIdentifiers()
        # an adapter makes a reference for every message, a twin only for the first: they must not count on
        self.records = store.records(self._store_clock, CountingIdentifiers("reference"))
        self.history = store.history(self.clockwork.moment)
        self.fallbacks = store.fallbacks()
        self.opt_outs = store.opt_outs()
        self.meters = TwinMeters()
        self.queues = SeenQueues(self)
        self.references = CheapReferences()
        self.provider = Provider(self)
        self.idempotency = TwinIdempotencyRecords()
        self.secrets: dict[str, tuple[Secret, ...]] = {}
        players = [tenant(each, apologises=scenario.apologises, continues=scenario.continues) for each in range(2)]
        self.tenants = {(Channel.WHATSAPP, each.address): each for each in players}
        self.machines = [self._machine(skew, identifiers) for skew in scenario.skews]
        self._names = count(1)
        for number in range(2):
            self.secrets[f"twilio-{number}"] = (credentials(number, self.provider.tokens[number]),)
            self.secrets[f"openai-{number}"] = ({"ai_api_key": f"key-{number}"},)
        for number in range(KNOWN):
            self.records.put(conversation(number))

    @property
    def is_calm(self) -> bool:
        """Nothing has gone wrong and nobody has interfered."""
        return self.scenario.is_calm and not self.faults.struck

    @property
    def now(self) -> float:
        return self.clockwork.now

    def _machine(self, skew: float, identifiers: CountingIdentifiers) -> Machine:
        clock = partial(self.clockwork.moment, skew)
        wrap = self.boundary.wrap
        ports = Ports(
            conversations=WitnessedConversations(self.records, self.truth, self),
            history=WitnessedHistory(self.history, self.truth, self),
            fallbacks=self.fallbacks,
            opt_outs=self.opt_outs,
            meters=self.meters,
            tenants=CachedTenants(clock, self.tenants),
            secrets=CachedSecrets(clock, self.secrets),
            queues=self.queues,
            engines=Mind(self),
            tools=self._tools(clock),
            providers=Senders(self.provider),
            media_store=TwinMediaStore(),
            media_source=TwinMediaSource(),
            transcriber=TwinTranscriber(),
            references=self.references,
            splitter=CheapSplitter(),
            clock=clock,
            identifiers=identifiers,
            journal=_no_journal,
        )
        base = None if self.scenario.mute else webhooks.BASE_URL
        return Machine(ports.wrapped(wrap), BURSTS, base, skew=skew)

    def _tools(self, clock: Clock) -> ToolTable:
        return ToolTable(
            secrets=CachedSecrets(clock, self.secrets),
            records=self.idempotency,
            clock=clock,
            journal=_no_journal,
            outside=Outside(resolve=nobody),
        )

    def _store_clock(self) -> datetime:
        """A store has no clock: its client writes what its own machine says, when it begins the call."""
        process = self.boundary.acting
        if process is None or process.called_at is None:
            return self.clockwork.moment()
        return self.clockwork.moment(process.skew, seconds=process.called_at)

    # processes

    def start(
        self,
        name: str,
        path: Iterable[object],
        work: Callable[[Machine], object],
        ended: Callable[[bool], None] | None = None,
    ) -> None:
        """A process begins; `ended` hears whether it ended well."""
        ident = identity(*path)
        machine = self.machines[ident % len(self.machines)]

        def run() -> None:
            well = False
            try:
                work(machine)
                well = True
            except Died:
                pass
            except Rejected as rejection:
                well = rejection.status == 200
                self.boundary.tell(process.name, "ends", f"{rejection.status} {rejection.reason}")
            except RelayError as failure:
                self.boundary.tell(process.name, "ends", f"{type(failure).__name__}: {failure}")
            except Exception as bug:
                self.boundary.tell(process.name, "ends", f"{type(bug).__name__}: {bug}")
                self.bugs.append(bug)
            if well and process.owes is not None:
                self.truth.broken("finish_means_woken", f"{process.name} has woken nobody")
            if ended is not None:
                ended(well)

        label = f"{name} ({next(self._names)})"
        process = Process(run, label, ident, machine.skew, self.scenario.seed)
        process.lives = next((seconds for kind, seconds in _LIVES.items() if name.startswith(kind)), None)
        self.clockwork.start(process)

    def dealer(self, *path: object) -> Process:
        """Chance for what happens outside of our processes."""
        return Process(lambda: None, "the world", identity(*path), 0.0, self.scenario.seed)

    def fault(self, process: Process, call: int, name: str) -> Fault | None:
        fault = self.faults.at(process, call, name, self.now)
        if fault is not None:
            self.boundary.tell("the world", name, f"*** {fault}")
        return fault

    def trouble(self) -> Fault | None:
        """What goes wrong with the call whose effect is happening, beyond the call itself."""
        process = self.boundary.acting
        return process.trouble if process is not None else None

    def partly(self) -> TryAgain:
        return TryAgain("only a part was written")

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self.clockwork.at(self.now + seconds, do)

    def work_off(self, handed: Handed) -> None:
        kind = "sender" if handed.queue == "sender" else "turn"
        name = handed.message.name  # type: ignore[attr-defined]

        def ended(well: bool) -> None:
            if well and self.fault(self.dealer("delete", name, handed.attempt), 0, "queue.delete") is None:
                self.queues.delete(handed)

        self.start(kind, (kind, name, handed.attempt), lambda machine: machine.work_off(handed), ended)

    # what comes about by itself

    def set_up(self) -> None:
        """Puts the events of the scenario on the agenda, and the schedules."""
        triggers: dict[int, list[Event]] = {}
        for event in self.scenario.events:
            if event.effect is None:
                self.clockwork.at(event.at, partial(self.act, event))
            else:
                triggers.setdefault(event.effect, []).append(event)
        self.boundary.triggers = triggers
        self.boundary.trigger = self.act
        self.after(_SWEEP_EVERY, self._sweep)
        self.after(_RECONCILE_EVERY, self._reconcile)

    def act(self, event: Event) -> None:
        self.happened.append(replace(event, at=self.now, effect=None))
        self.boundary.tell("the world", str(event.act), f"conversation {event.conversation}")
        ACTS[event.act](self, event)

    def anybody_waits(self) -> bool:
        return any(each.unanswered_since is not None for each in self.records.all())

    def _sweep(self) -> None:
        if self.anybody_waits():
            self.start("sweep", ("sweep", int(self.now)), lambda machine: machine.sweep())
        if self.anybody_waits() or not self.clockwork.idle:
            self.after(_SWEEP_EVERY, self._sweep)

    def _reconcile(self) -> None:
        unsaid = any(each.recorded is None for each in self.truth.said.values())
        if unsaid or self.scenario.cramped or len(self.truth.said) > MOST_WAITING:
            self.start("reconcile", ("reconcile", int(self.now)), lambda machine: machine.reconcile())
        if self.now < self.scenario.until + _RECONCILE_EVERY:
            self.after(_RECONCILE_EVERY, self._reconcile)

    # what witnesses see

    def committed(self, before: Conversation, outgoing: Outgoing) -> None:
        """Where all clocks agree and nobody interferes a person is left to finish."""
        if not self.is_calm:
            return
        said = [self.truth.said[each] for each in self.truth.numbers[before.key][outgoing.after : outgoing.to]]
        newest, oldest = max(each.recorded_at for each in said), min(each.recorded_at for each in said)
        finished = self.now - newest >= BURSTS.idle.total_seconds() - 1.0
        if not finished and self.now - oldest < BURSTS.longest.total_seconds() - 1.0:
            self.truth.broken("people_may_finish", f"an answer {self.now - newest:.1f} s after {said[-1].message_id}")
        if before.received > outgoing.to and self.now - oldest < BURSTS.longest.total_seconds() - 1.0:
            self.truth.broken("people_may_finish", f"an answer that leaves out what came after {said[-1].message_id}")

    def acknowledged(self, said: Said) -> None:
        """The provider will not deliver this message again."""
        if said.recorded is None:
            return
        key, number = said.recorded
        record = self.records.get(key)
        said.forgotten = record is not None and said.message_id not in record.recent_message_ids
        closed = record is not None and number <= record.answered
        newer = self.truth.numbers[key][number - 1 :]
        woken = any(self.truth.said[each].woken for each in newer)
        if not closed and not woken and self.truth.passed_up_to(key) < number:
            self.truth.broken("acknowledged_means_woken", f"nobody was woken for {said.message_id}")

    def posted(self, answer: Committed, outgoing: Outgoing, part: int, taken: Taken) -> None:
        truth, record = self.truth, self.records.get(answer.key)
        if part in answer.posted:
            truth.broken("no_part_posted_twice", f"part {part} of ({answer.after}, {answer.to}] is out twice")
        held = record.outgoing if record else None
        if held is None or (held.token, held.claim) != (outgoing.token, outgoing.claim):
            truth.broken("posted_under_a_claim", f"({answer.after}, {answer.to}] is posted without its claim")
        out = truth.out[answer.key]
        if any(each.to > answer.after for each in out if each is not answer):
            truth.broken("in_order", f"({answer.after}, {answer.to}] leaves after one that covers more")
        if any(before > part for before in answer.posted):
            truth.broken("in_order", f"part {part} of ({answer.after}, {answer.to}] leaves after a later one")
        if answer not in out:
            out.append(answer)
        truth.texts_out[answer.key].add(taken.text)
        answer.posted[part] = taken.provider_id
        answer.posted_at = self.now

    def not_delivered(self, taken: Taken) -> None:
        for answer in self.truth.answers.values():
            answer.failed |= taken.provider_id in answer.posted.values()

    def shown(self, turn: Turn, secrets: Sequence[Secret]) -> None:
        """What the engine is shown belongs to this conversation and was said."""
        truth, process = self.truth, self.boundary.acting
        assert process is not None
        asked = truth.said[turn.waiting[0].message_id]
        key = asked.recorded[0] if asked.recorded else None
        if key is None:
            truth.broken("tenants_apart", "the engine is shown what was never recorded")
            return
        if secrets[0]["ai_api_key"] != f"key-{OWN.index(asked.own_address)}":
            truth.broken("tenants_apart", "the engine is asked with another tenant's key")
        for message in turn.waiting:
            said = truth.said[message.message_id]
            if message.text != said.text and (said.acknowledged or not said.text.startswith(message.text)):
                process.saw_mutilated = message.message_id
        self._spoken(turn, key)

    def conversation_of(self, turn: Turn) -> int:
        """The number of the conversation, by the message that waits."""
        said = self.truth.said[turn.waiting[0].message_id]
        both = [(person(who), OWN[number]) for who, number in CONVERSATIONS]
        return both.index((said.person, said.own_address))

    def _spoken(self, turn: Turn, key: ConversationKey) -> None:
        truth, newest = self.truth, 0
        for spoken in turn.history:
            if spoken.author == "user":
                number = truth.number(key, spoken.text.split(" ", 1)[0])
                if number <= newest:
                    truth.broken("history_is_true", f"message {number} is told after {newest}, or it is not his")
                newest = number
            elif spoken.author == "ai" and spoken.text not in truth.texts_out[key]:
                truth.broken("history_is_true", f"the engine is told that we said {spoken.text[:40]!r}")


def _no_journal(action: str, message: str, **fields: object) -> None:
    """Nobody reads the journal of a simulation."""
