"""Tenants in memory, read through a cache of minutes as the real ones are."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from chalicelib.model import Channel, Tenant
from chalicelib.ports import Clock

_KEPT = timedelta(minutes=5)
_Address = tuple[Channel, str]


class TwinTenants:
    """Tenants by their own address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[_Address, Tenant] = {}
        self._known: dict[_Address, tuple[datetime, Tenant | None]] = {}

    def put(self, tenant: Tenant) -> None:
        """The tenant from now on; readers learn of it when they read anew."""
        self._stored[tenant.channel, tenant.address] = tenant

    def at(self, channel: Channel, address: str) -> Tenant | None:
        wanted = (channel, address)
        known = self._known.get(wanted)
        if known is None or self._clock() - known[0] >= _KEPT:
            known = self._known[wanted] = (self._clock(), self._stored.get(wanted))
        return known[1]

    def addresses(self) -> Iterable[Tenant]:
        return list(self._stored.values())
