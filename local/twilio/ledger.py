"""What the Twilio stand-in remembers: messages with their statuses, and events; in memory, thread-safe."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

KEPT_EVENTS = 10_000

Event = dict[str, object]


@dataclass(frozen=True)
class Status:
    """A status that a message has reached, and when."""

    name: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message in or out, as far as it has come."""

    sid: str
    account_sid: str
    direction: str  # inbound, outbound-api, outbound-reply
    sender: str
    recipient: str
    body: str
    statuses: tuple[Status, ...]
    error_code: int | None = None
    messaging_service_sid: str | None = None
    media: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)  # of the webhook that told of it

    @property
    def status(self) -> str:
        return self.statuses[-1].name

    @property
    def created_at(self) -> datetime:
        return self.statuses[0].at

    @property
    def updated_at(self) -> datetime:
        return self.statuses[-1].at

    @property
    def sent_at(self) -> datetime | None:
        """When it left Twilio; None while it is still queued there."""
        return next((status.at for status in self.statuses if status.name not in ("accepted", "queued")), None)

    def then(self, status: str, error_code: int | None) -> "Message":
        """The same message one status later."""
        return replace(self, statuses=(*self.statuses, Status(status)), error_code=error_code)

    def is_between(self, person: str | None, own: str | None) -> bool:
        """Whether it went between these two addresses, either way; None stands for anybody."""
        ends = {self.sender, self.recipient}
        return all(end is None or end in ends for end in (person, own))


class Ledger:
    """The one place of the stand-in that changes; every change is one event or one message."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: dict[str, Message] = {}
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._last_event = 0

    def add(self, message: Message) -> None:
        with self._changed:
            self._messages[message.sid] = message

    def advance(self, sid: str, status: str, error_code: int | None = None) -> Message | None:
        """Gives a message its next status; None when it was forgotten meanwhile."""
        with self._changed:
            if sid not in self._messages:
                return None
            message = self._messages[sid].then(status, error_code)
            self._messages[sid] = message
        self.tell("status", sid=sid, status=status, error_code=error_code)
        return message

    def message(self, sid: str) -> Message | None:
        with self._changed:
            return self._messages.get(sid)

    def messages(self) -> list[Message]:
        """All of them, in the order in which they came."""
        with self._changed:
            return list(self._messages.values())

    def tell(self, kind: str, **facts: object) -> None:
        """Appends an event and wakes whoever waits for one."""
        with self._changed:
            self._last_event += 1
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._events.append({"id": self._last_event, "at": at, "kind": kind, **facts})
            self._changed.notify_all()

    def events(self, after: int = 0) -> list[Event]:
        with self._changed:
            return _after(self._events, after)

    def next_events(self, after: int, seconds: float) -> list[Event]:
        """The same, but waits up to `seconds` for the first one."""
        with self._changed:
            self._changed.wait_for(lambda: self._last_event > after, seconds)
            return _after(self._events, after)

    @property
    def last_event(self) -> int:
        """The number of the newest event; it never starts again, so that a reader's place stays good."""
        with self._changed:
            return self._last_event

    def forget(self) -> None:
        """Forgets messages and events; what is still on its way to a status stops there."""
        with self._changed:
            self._messages.clear()
            self._events.clear()


def _after(events: Iterable[Event], after: int) -> list[Event]:
    return [event for event in events if isinstance(event["id"], int) and event["id"] > after]
