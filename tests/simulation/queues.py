"""Queues that lose, repeat and dally, and that start a worker when a message becomes visible."""

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.context import Context
from chalicelib.model import ConversationKey
from tests.simulation.cast import OWN
from tests.simulation.clockwork import identity
from tests.simulation.faults import Fault
from tests.twins.queues import HANDOFF, VISIBILITY, QueueMessage, TwinQueues

if TYPE_CHECKING:
    from tests.simulation.world import World


class SeenQueues(TwinQueues):
    """All queues of the relay. What is passed to a human is only noted."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.clockwork.moment)
        self._world = world

    def hand_to_human(self, context: Context, *, reason: str) -> None:
        world, key = self._world, context.key
        number = world.truth.number(key, context.message.message_id)
        self._paid(key)
        world.truth.passed[key].append((world.now, number))
        if context.company.company_id != f"company-{OWN.index(context.message.to)}":
            world.truth.broken("tenants_apart", "a human gets what belongs to another company")
        self.waiting.setdefault(HANDOFF, []).append(QueueMessage("", self.clock(), reason))

    def wake_turn(self, context: Context, *, delay: timedelta) -> None:
        said = self._world.truth.said.get(context.message.message_id)
        if said is not None:
            said.woken = True
        self._paid(context.key)
        super().wake_turn(context, delay=delay)

    def _paid(self, key: ConversationKey) -> None:
        process = self._world.boundary.acting
        if process is not None and process.owes == key:
            process.owes = None

    def _send(
        self, queue: str, context: Context, *, delay: timedelta = timedelta(0), reason: str | None = None
    ) -> None:
        trouble, process = self._world.trouble(), self._world.boundary.acting
        assert process is not None
        if trouble == Fault.QUEUE_LOSES:
            return
        chance = process.chance
        delay += timedelta(seconds=300.0 * chance.random()) if trouble == Fault.QUEUE_DALLIES else timedelta(0)
        for copy in range(2 if trouble == Fault.QUEUE_REPEATS else 1):
            super()._send(queue, context, delay=delay * (1 + copy), reason=reason)
            message = self.waiting[queue][-1]
            message.name = identity(process.ident, process.calls, copy)  # type: ignore[attr-defined]
            self._poll(queue, delay.total_seconds() * (1 + copy) + self._world.scenario.pace * chance.random())

    def _poll(self, queue: str, after: float) -> None:
        clockwork = self._world.clockwork
        clockwork.at(clockwork.now + after + 0.001, lambda: self._deliver(queue))

    def _deliver(self, queue: str) -> None:
        handed = self.receive(queue)
        if handed is not None:
            self._poll(queue, VISIBILITY.total_seconds())
            self._world.work_off(handed)
