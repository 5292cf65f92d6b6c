"""What happens in the local stack, as one numbered, bounded stream of events that others may follow."""

import json
import re
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

Event = dict[str, Any]

_LOG_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.,](\d{1,6})\d*\s*(Z|[+-]\d\d:?\d\d)?$")


class Feed:
    """A thread-safe ring of the latest events; each has an `id`, one greater than the one before it.

    An event is a flat mapping that can be written as JSON. The feed adds two keys: `id` and, where
    missing, `at` (ISO 8601, UTC, milliseconds). When the ring is full, the oldest event is forgotten.
    """

    def __init__(self, capacity: int = 5000) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._last = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def last(self) -> int:
        """The id of the newest event, 0 when there has been none."""
        with self._changed:
            return self._last

    def publish(self, event: Mapping[str, Any]) -> int:
        """Append a copy of `event`, wake whoever waits, and answer the event's id."""
        with self._changed:
            self._last += 1
            self._events.append({**event, "id": self._last, "at": event.get("at") or _now()})
            self._changed.notify_all()
            return self._last

    def since(self, after_id: int = 0) -> list[Event]:
        """Every event that is still remembered and newer than `after_id`, oldest first."""
        with self._changed:
            return self._newer(after_id)

    def wait(self, after_id: int, timeout: float) -> list[Event]:
        """Like `since`, but waits up to `timeout` seconds for the first; empty when none came or the feed closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._last > after_id, timeout)
            return self._newer(after_id)

    def close(self) -> None:
        """Nothing more will come: let go of everybody who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def _newer(self, after_id: int) -> list[Event]:
        return [event for event in self._events if event["id"] > after_id]


def log_event(source: str, line: str) -> Event | None:
    """One line of the application's output as an event of `source`; None when it isn't a JSON log line."""
    record = _json_object(line)
    if record is None or "level" not in record:
        return None
    return {**record, "source": source, "at": log_time(record.get("timestamp"))}


def log_time(timestamp: object) -> str | None:
    """A log line's `timestamp` as ISO 8601 in UTC with milliseconds; None when it can't be read.

    Powertools writes `2026-11-22 16:52:00,123+0000`; a time without an offset is taken as UTC.
    """
    found = _LOG_TIME.match(timestamp) if isinstance(timestamp, str) else None
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    offset = "+00:00" if offset in (None, "Z") else offset
    return _iso(datetime.fromisoformat(f"{day}T{time}.{fraction.ljust(6, '0')}{offset}"))


class TwilioFollower:
    """Copies the Twilio stand-in's events into a feed, as events of source `twilio`, until it is stopped.

    The stream is `GET <url>/_events/stream?after=<id>`; when it breaks off, it is taken up again after the
    last event that was seen. The stand-in's own event id is kept as `twilio_id`.
    """

    def __init__(self, feed: Feed, url: str, pause_seconds: float = 0.5) -> None:
        self._feed = feed
        self._url = url.rstrip("/")
        self._pause = pause_seconds
        self._after = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="twilio-events", daemon=True)

    def start(self) -> None:
        """Begin to follow, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; returns at once, the thread ends with its connection or with the process."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError, ValueError):  # gone or not there yet: the next round asks again
                self._follow()
            self._stopped.wait(self._pause)

    def _follow(self) -> None:
        url = f"{self._url}/_events/stream?after={self._after}"
        with urllib.request.urlopen(url, timeout=60) as stream:
            for event in server_sent(stream):
                if self._stopped.is_set():
                    return
                self._take(event)

    def _take(self, event: Event) -> None:
        number = int(event.get("id") or 0)
        if number and number <= self._after:
            return
        self._after = max(self._after, number)
        self._feed.publish({**event, "source": "twilio", "twilio_id": number})


def server_sent(stream: BinaryIO) -> Iterator[Event]:
    """The JSON objects in the `data:` fields of a stream of server-sent events; anything else is passed over."""
    data: list[str] = []
    for raw in stream:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            event = _json_object("\n".join(data))
            data = []
            if event is not None:
                yield event


def _json_object(text: str) -> Event | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
