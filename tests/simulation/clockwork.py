"""Virtual time, and processes that take turns in it: everything happens in an order that the seed has decided."""

from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from chalicelib.model import ConversationKey
from tests.twins.clock import START


class Died(BaseException):
    """This process was killed here; nothing of ours may catch that."""


def identity(*path: object) -> int:
    """A number for what has come about in this way, the same in every run whatever else happens in it."""
    return crc32("/".join(map(str, path)).encode())


class Process(greenlet):  # type: ignore[misc]
    """One invocation of a stage. `chance` decides its delays and faults, whatever others do."""

    def __init__(self, run: Callable[[], None], name: str, ident: int, skew: float, seed: int) -> None:
        super().__init__(run)
        self.name = name
        self.ident = ident
        self.skew = skew  #: how far the clock of its machine is ahead, in seconds
        self.chance = Random(ident ^ seed)
        self.lives: float | None = None  #: seconds after which it is killed, if it is held up for longer
        self.calls = 0  #: how often it went through a port
        self.called_at: float | None = None  #: when the call under way began
        self.trouble: Any = None  #: what goes wrong with its call, beyond the call itself
        self.saw: tuple[str, ...] = ()  #: the message ids that its engine was shown
        self.saw_mutilated: str | None = None  #: a message that it was not shown whole
        self.hands_read: dict[ConversationKey, int] = {}  #: how often hands had changed when it read a record
        self.owes: ConversationKey | None = None  #: where somebody waits whom it must wake


class Clockwork:
    """What happens when. Times are seconds since the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self.began = 0  #: how many processes
        self._agenda: list[tuple[float, int, Callable[[], None] | Process]] = []
        self._order = count()
        self._hub = getcurrent()

    def at(self, moment: float, do: Callable[[], None]) -> None:
        heappush(self._agenda, (max(moment, self.now), next(self._order), do))

    def start(self, process: Process) -> None:
        self.began += 1
        heappush(self._agenda, (self.now, next(self._order), process))

    def sleep(self, seconds: float) -> None:
        """The current process waits, and others go on."""
        until = self.now + seconds
        if not self._agenda or self._agenda[0][0] > until:
            self.now = until
            return
        heappush(self._agenda, (until, next(self._order), getcurrent()))
        self._hub.switch()

    def run(self, *, until: float) -> bool:
        """Does everything that is due by then; False if something is left."""
        agenda = self._agenda
        while agenda:
            if agenda[0][0] > until:
                return False
            self.now, _, what = heappop(agenda)
            if isinstance(what, Process):
                what.switch()
            else:
                what()
        return True

    @property
    def idle(self) -> bool:
        return not self._agenda

    def moment(self, skew: float = 0.0, *, seconds: float | None = None) -> datetime:
        """The time as a clock shows it that is `skew` seconds ahead."""
        return START + timedelta(seconds=(self.now if seconds is None else seconds) + skew)
