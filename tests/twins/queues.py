"""SQS in memory, on a virtual clock: delay, visibility timeout, receive count, redelivery and dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from threading import RLock

from chalicelib.config import LONGEST_DELAY, LONGEST_QUEUE_ATTEMPTS
from chalicelib.context import Context
from chalicelib.ports import Clock

VISIBILITY = timedelta(seconds=120)

SENDER = "sender"
MEDIA = "media"
HANDOFF = "handoff"


@dataclass(eq=False)
class QueueMessage:
    """A message on a queue; `receipt` changes with every delivery, so that a late deletion deletes nothing."""

    body: str
    visible_at: datetime
    reason: str | None = None
    receive_count: int = 0
    receipt: int = 0

    @property
    def context(self) -> Context:
        return Context.from_json(self.body)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One handing out of a message: what a Lambda gets, and what it needs to delete it."""

    queue: str
    message: QueueMessage
    receipt: int

    @property
    def body(self) -> str:
        return self.message.body

    @property
    def attempt(self) -> int:
        return self.message.receive_count


@dataclass
class TwinQueues:
    """The port `Queues`, and the side from which the messages are taken."""

    clock: Clock
    visibility: timedelta = VISIBILITY
    most_receives: int = LONGEST_QUEUE_ATTEMPTS
    waiting: dict[str, list[QueueMessage]] = field(default_factory=dict)
    dead_letters: dict[str, list[QueueMessage]] = field(default_factory=dict)
    at_hand: RLock = field(default_factory=RLock)

    def wake_turn(self, context: Context, *, delay: timedelta) -> None:
        seconds = min(ceil(delay.total_seconds()), int(LONGEST_DELAY.total_seconds()))
        self._send(f"{context.meta.channel_type}-replies", context, delay=timedelta(seconds=seconds))

    def wake_sender(self, context: Context) -> None:
        self._send(SENDER, context)

    def wake_collector(self, context: Context) -> None:
        self._send(MEDIA, context)

    def hand_to_human(self, context: Context, *, reason: str) -> None:
        self._send(HANDOFF, context, reason=reason[:256] or "handed_off")

    def receive(self, queue: str) -> Delivery | None:
        """The message of `queue` that has been visible longest; it stays out of sight for the visibility timeout.

        A message that was handed out too often goes to the dead-letter queue instead.
        """
        with self.at_hand:
            now = self.clock()
            for message in sorted(self.of(queue), key=lambda each: each.visible_at):
                if message.visible_at > now:
                    return None
                if message.receive_count >= self.most_receives:
                    self.waiting[queue].remove(message)
                    self.dead_letters.setdefault(queue, []).append(message)
                    continue
                message.receive_count += 1
                message.receipt += 1
                message.visible_at = now + self.visibility
                return Delivery(queue, message, message.receipt)
            return None

    def delete(self, delivery: Delivery) -> None:
        """Removes the message; an old receipt, of a message that was handed out again since, removes nothing."""
        with self.at_hand:
            if delivery.message in self.of(delivery.queue) and delivery.receipt == delivery.message.receipt:
                self.waiting[delivery.queue].remove(delivery.message)

    def repeat(self, delivery: Delivery) -> None:
        """Makes the message visible at once although it was handed out: SQS delivers at least once."""
        with self.at_hand:
            delivery.message.visible_at = self.clock()
            if delivery.message not in self.of(delivery.queue):
                self.waiting.setdefault(delivery.queue, []).append(delivery.message)

    def next_visible_at(self, queues: Iterable[str]) -> datetime | None:
        moments = [message.visible_at for queue in queues for message in self.of(queue)]
        return min(moments, default=None)

    def of(self, queue: str) -> list[QueueMessage]:
        """What is on the queue, visible or not."""
        return self.waiting.get(queue, [])

    def _send(
        self, queue: str, context: Context, *, delay: timedelta = timedelta(0), reason: str | None = None
    ) -> None:
        message = QueueMessage(context.to_json(), self.clock() + delay, reason)
        with self.at_hand:
            self.waiting.setdefault(queue, []).append(message)
