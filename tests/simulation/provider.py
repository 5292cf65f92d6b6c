"""The provider: it delivers what people write, takes what we send, lists it late and reports on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from chalicelib.errors import Refused
from chalicelib.model import Channel, ConversationKey, Delivery, Inbound, Outgoing, StatusUpdate, Tenant
from chalicelib.ports import Posted, Request, Secret
from tests.simulation.cast import OWN, person
from tests.simulation.clockwork import Process, identity
from tests.simulation.faults import Fault
from tests.simulation.machines import Machine
from tests.simulation.scenario import CONVERSATIONS
from tests.simulation.truth import Said

if TYPE_CHECKING:
    from tests.simulation.world import World

#: After this time the provider takes a webhook for failed, in seconds.
WEBHOOK_DEADLINE = 15.0


@dataclass
class Taken:
    """A message that the provider has."""

    provider_id: str
    key: ConversationKey | None
    sender: str
    recipient: str
    text: str
    at: float
    listed_at: float


@dataclass
class Provider:
    """Takes messages, lists them late, reports on them, and delivers what people write."""

    world: "World"
    taken: list[Taken] = field(default_factory=list)
    updates: dict[str, StatusUpdate] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=lambda: ["token-0-0", "token-1-0"])  #: by tenant

    def inbound(self, said: Said, at: datetime) -> Inbound:
        return Inbound(
            channel=Channel.WHATSAPP,
            message_id=said.message_id,
            sender=said.person,
            recipient=said.own_address,
            text=said.text,
            received_at=at,
            opt_out=said.opt_out,
        )

    # what people write

    def hears(self, said: Said) -> None:
        dealer = self.world.dealer("says", said.message_id)
        fault = self.world.fault(dealer, 0, "webhook")
        retries = 0 if fault == Fault.WEBHOOK_NEVER_RETRIED else self.world.scenario.retries
        self._webhook(said, 0, retries)
        if fault == Fault.WEBHOOK_REPEATED:
            wait = dealer.chance.choice((0.5, 20.0, 200.0, 900.0)) * dealer.chance.random()
            self.world.after(wait, lambda: self._webhook(said, 100, 0))

    def _webhook(self, said: Said, attempt: int, retries: int) -> None:
        world, answers = self.world, list[bool]()
        token = self.tokens[OWN.index(said.own_address)]
        request = Request(urls=(), headers={"token": token}, body=said.message_id.encode())

        def work(machine: Machine) -> None:
            fallback = machine.hears(request, world.incoming)
            if fallback and not answers:
                world.truth.fallbacks[said.own_address, said.person].append(world.now)

        def answered(well: bool) -> None:
            if answers:
                return
            answers.append(well)
            if well:
                said.acknowledged = True
                world.acknowledged(said)
            elif retries:
                wait = 1.0 + identity(said.message_id, attempt) % 4000 / 1000
                world.after(wait, lambda: self._webhook(said, attempt + 1, retries - 1))

        world.start(f"webhook of {said.message_id}", ("webhook", said.message_id, attempt), work, answered)
        world.after(WEBHOOK_DEADLINE, lambda: answered(False))

    # what we send

    def post(self, outgoing: Outgoing, part: int, *, callback_url: str | None, secret: Secret) -> str:
        world, process, truth = self.world, self.world.boundary.acting, self.world.truth
        number = OWN.index(outgoing.sender)
        if secret["twilio_account_sid"] != f"AC{number}":
            truth.broken("tenants_apart", f"{outgoing.sender} is used with credentials of another tenant")
        if secret["twilio_auth_token"] != self.tokens[number]:
            raise Refused("20003")
        assert process is not None
        answer = truth.answers[outgoing.token]
        taken = self._take(answer.key, outgoing.sender, outgoing.recipient, outgoing.parts[part].text, process.chance)
        world.posted(answer, outgoing, part, taken)
        self._report(taken, callback_url, world.dealer("post", process.ident, process.calls))
        return taken.provider_id

    def _take(self, key: ConversationKey | None, sender: str, recipient: str, text: str, chance: Random) -> Taken:
        now = self.world.now
        listed_at = now + self.world.scenario.listing * chance.random()
        taken = Taken(f"SM-out-{len(self.taken) + 1}", key, sender, recipient, text, now, listed_at)
        self.taken.append(taken)
        return taken

    def writes_itself(self, conversation: int) -> None:
        """Somebody uses the provider's own console: its list holds a message that we know nothing of."""
        who, number = CONVERSATIONS[conversation]
        dealer = self.world.dealer("console", conversation, self.world.now)
        self._take(None, OWN[number], person(who), "I am looking into it.", dealer.chance)

    def posted_since(self, outgoing: Outgoing, since: datetime, *, secret: Secret) -> Sequence[Posted]:
        world = self.world
        if secret["twilio_auth_token"] != self.tokens[OWN.index(outgoing.sender)]:
            raise Refused("20003")
        skew, trial = world.scenario.provider_skew, world.scenario.trial
        found = []
        for each in reversed(self.taken):
            at = world.clockwork.moment(skew, seconds=each.at).replace(microsecond=0)
            ours = (each.sender, each.recipient) == (outgoing.sender, outgoing.recipient)
            if ours and each.listed_at <= world.now and at >= since:
                text = f"Sent from your Twilio trial account - {each.text}" if trial else each.text
                if world.scenario.rewritten:
                    text = text.replace(".", "…")
                found.append(Posted(provider_id=each.provider_id, text=text, at=at))
        return found

    def received_since(self, own_address: str, since: datetime) -> Sequence[Inbound]:
        world = self.world
        heard = [each for each in world.truth.said.values() if each.own_address == own_address]
        listed = (
            self.inbound(each, world.clockwork.moment(world.scenario.provider_skew, seconds=each.at)) for each in heard
        )
        return [each for each in listed if each.received_at >= since]

    def _report(self, taken: Taken, callback_url: str | None, dealer: Process) -> None:
        """What became of a message: late, lost, repeated, and in any order."""
        if callback_url is None:
            return
        chance, world = dealer.chance, self.world
        fate = (Delivery.SENT, Delivery.DELIVERED, Delivery.READ)
        if world.fault(dealer, 0, "delivery") == Fault.NOT_DELIVERED:
            fate = (Delivery.SENT, Delivery.UNDELIVERED, Delivery.UNDELIVERED)
        reference = callback_url.rpartition("/")[2]
        for number, status in enumerate(fate, 1):
            wait = number * 2.0 * chance.random()
            repeated = late = chance.random()
            match world.fault(dealer, number, "callback"):
                case Fault.CALLBACK_LOST:
                    continue
                case Fault.CALLBACK_LATE:
                    wait += 400.0 * late
                case Fault.CALLBACK_REPEATED:
                    self._callback(taken, status, reference, (dealer.ident, number, 1), wait + 300.0 * repeated, 0)
            self._callback(taken, status, reference, (dealer.ident, number, 0), wait, world.scenario.retries)

    def _callback(
        self, taken: Taken, status: Delivery, reference: str, name: tuple[int, ...], wait: float, retries: int
    ) -> None:
        world = self.world
        body = f"{taken.provider_id} {status}"
        failed = status == Delivery.UNDELIVERED
        self.updates[body] = StatusUpdate(
            channel=Channel.WHATSAPP,
            provider_id=taken.provider_id,
            status=status,
            own_address=taken.sender,
            person=taken.recipient,
            error_code="63024" if failed else None,
        )

        def work(machine: Machine) -> None:
            token = self.tokens[OWN.index(taken.sender)]
            request = Request(urls=(), headers={"token": token}, body=body.encode())
            machine.tracks(request, reference, world.incoming)

        def answered(well: bool) -> None:
            if well and failed:
                world.not_delivered(taken)
            if not well and retries:
                self._callback(taken, status, reference, (*name, retries), 2.0, retries - 1)

        label = f"callback {status} of {taken.provider_id}"
        world.after(wait, lambda: world.start(label, ("callback", *name), work, answered))


@dataclass
class Sender:
    """The channel port of one tenant's credentials."""

    provider: Provider
    secret: Secret

    def post(self, outgoing: Outgoing, part: int, *, callback_url: str | None) -> str:
        effect = partial(self.provider.post, secret=self.secret)
        call = self.provider.world.boundary.call
        return str(call("provider.post", effect, outgoing, part, callback_url=callback_url))

    def posted_since(self, outgoing: Outgoing, since: datetime) -> Sequence[Posted]:
        effect = partial(self.provider.posted_since, secret=self.secret)
        found: Sequence[Posted] = self.provider.world.boundary.call("provider.posted_since", effect, outgoing, since)
        return found

    def received_since(self, own_address: str, since: datetime) -> Sequence[Inbound]:
        call = self.provider.world.boundary.call
        found: Sequence[Inbound] = call("provider.posted_since", self.provider.received_since, own_address, since)
        return found


@dataclass
class Senders:
    provider: Provider

    def sender(self, channel: Channel, secret: Secret, *, tenant: Tenant | None) -> Sender:
        return Sender(self.provider, secret)

    def inbox(self, channel: Channel, secret: Secret) -> Sender:
        return Sender(self.provider, secret)
