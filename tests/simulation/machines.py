"""The machines that run the real stages: each has its own clock and its own caches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from inspect import signature
from typing import Any

from chalicelib import receive, track
from chalicelib.model import Channel, Tenant
from chalicelib.ports import Clock, Request, Secret
from tests.simulation.cheap import CheapWebhooks
from tests.twins import relay
from tests.twins.secrets import TwinSecrets
from tests.twins.tenants import TwinTenants


class CachedSecrets(TwinSecrets):
    """One machine's view of the secrets that all machines share."""

    def __init__(self, clock: Clock, stored: dict[str, tuple[Secret, ...]]) -> None:
        super().__init__(clock)
        self._stored = stored


class CachedTenants(TwinTenants):
    def __init__(self, clock: Clock, stored: dict[tuple[Channel, str], Tenant]) -> None:
        super().__init__(clock)
        self._stored = stored


@cache
def _wanted(function: Callable[..., Any]) -> tuple[str, ...]:
    named = signature(function).parameters.values()
    known = relay._JOINED
    return tuple(each.name for each in named if each.kind is each.KEYWORD_ONLY and each.name in known)


@dataclass(frozen=True)
class Machine(relay.Process):
    """One machine that runs the real stages: its own clock, its own caches."""

    skew: float = 0.0  #: how far its clock is ahead, in seconds
    known: dict[Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)

    def _joined(self, function: Callable[..., Any]) -> Callable[..., Any]:
        found = self.known.get(function)
        if found is None:
            found = partial(function, **{name: self._part(name) for name in _wanted(function)})
            self.known[function] = found
        return found

    def hears(self, request: Request, incoming: CheapWebhooks) -> str:
        return str(self._joined(receive.receive)(request, incoming=incoming))

    def tracks(self, request: Request, reference: str, incoming: CheapWebhooks) -> None:
        self._joined(track.track)(request, reference, incoming=incoming)
