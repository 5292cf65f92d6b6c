"""The TenantsTable, read through a cache of minutes."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from chalicelib.aws.cache import Cache
from chalicelib.aws.clients import translated
from chalicelib.aws.items import from_wire, item_to_wire, tenant_of
from chalicelib.model import Channel, Tenant
from chalicelib.ports import Clock

_KEPT = timedelta(minutes=5)


class DynamoTenants:
    """Tenants by their own address; see `ports.Tenants`."""

    def __init__(self, dynamodb: Any, table: str, *, clock: Clock) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cache: Cache[Tenant | None] = Cache(clock, _KEPT)

    def at(self, channel: Channel, address: str) -> Tenant | None:
        return self._cache.get(f"{channel}:{address}", self._read)

    def addresses(self) -> Iterable[Tenant]:
        request: dict[str, Any] = {"TableName": self._table}
        while True:
            with translated():
                response = self._dynamodb.scan(**request)
            found = (tenant_of(from_wire(item)) for item in response.get("Items", []))
            yield from (tenant for tenant in found if tenant is not None)
            if "LastEvaluatedKey" not in response:
                return
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def _read(self, address: str) -> Tenant | None:
        with translated():
            response = self._dynamodb.get_item(TableName=self._table, Key=item_to_wire({"address": address}))
        item = response.get("Item")
        return tenant_of(from_wire(item)) if item else None
