"""What keeps records, history and fallbacks in a run: the twins, or the real adapters in front of moto."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.aws.conversations import DynamoConversations
from chalicelib.aws.items import conversation_of, from_wire, history_entry_of, item_to_wire, opened_item_of
from chalicelib.aws.messages import DynamoFallbacks, DynamoHistory, DynamoOptOuts
from chalicelib.model import Conversation, ConversationKey, HistoryEntry
from chalicelib.ports import Clock, Conversations, Fallbacks, History, Identifiers, OptOuts
from tests.backends.locked_moto import locked_moto
from tests.contract.shelves import CONVERSATIONS, MESSAGES, create_tables, sdk
from tests.twins.history import TwinFallbacks, TwinHistory, TwinOptOuts
from tests.twins.store import TwinConversations

#: How long the search by provider id lags behind what was written.
LAG = timedelta(seconds=2)


class Records(Conversations, Protocol):
    """The records, and how others than the relay look at them and change them."""

    def put(self, conversation: Conversation) -> object: ...

    def change(self, key: ConversationKey, **fields: Any) -> None: ...

    def all(self) -> Sequence[Conversation]: ...


class Entries(History, Protocol):
    """The history, and how others than the relay look at it."""

    def entry(self, conversation_id: str, position: str) -> HistoryEntry | None: ...

    def of(self, conversation_id: str) -> Sequence[HistoryEntry]: ...


class Store(Protocol):
    """`clock` is that of whoever calls, `moment` the time of the world."""

    def records(self, clock: Clock, identifiers: Identifiers) -> Records: ...

    def history(self, moment: Clock) -> Entries: ...

    def fallbacks(self) -> Fallbacks: ...

    def opt_outs(self) -> OptOuts: ...


class _TwinRecords(TwinConversations):
    def change(self, key: ConversationKey, **fields: Any) -> None:
        record = self.get(key)
        if record is not None:
            self.put(replace(record, **fields))


class _TwinEntries(TwinHistory):
    def entry(self, conversation_id: str, position: str) -> HistoryEntry | None:
        return self._entries.get((conversation_id, position))


class Twins:
    def records(self, clock: Clock, identifiers: Identifiers) -> Records:
        return _TwinRecords(clock, identifiers)

    def history(self, moment: Clock) -> Entries:
        return _TwinEntries(moment, lag=LAG)

    def fallbacks(self) -> Fallbacks:
        return TwinFallbacks()

    def opt_outs(self) -> OptOuts:
        return TwinOptOuts()


#: What the fields that other systems change are called in a record.
_ATTRIBUTES = {"handed_off": "hand_off_to_human", "consent": "comms_consent", "status": "conversation_status"}


class _TableRecords(DynamoConversations):
    def put(self, conversation: Conversation) -> None:
        self._dynamodb.put_item(TableName=CONVERSATIONS, Item=item_to_wire(opened_item_of(conversation)))

    def change(self, key: ConversationKey, **fields: Any) -> None:
        (field, value), *others = fields.items()
        assert not others, "other systems change one attribute at a time"
        self._dynamodb.update_item(
            TableName=CONVERSATIONS,
            Key=item_to_wire({"primary_channel": key.person, "conversation_id": key.conversation_id}),
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": _ATTRIBUTES[field]},
            ExpressionAttributeValues=item_to_wire({":value": value}),
        )

    def all(self) -> Sequence[Conversation]:
        found = [conversation_of(item) for item in _scanned(self._dynamodb, CONVERSATIONS)]
        return sorted(found, key=lambda each: (each.key.person, each.key.conversation_id))


class _TableEntries(DynamoHistory):
    """moto's index knows at once what was written; here it lags as AWS's does."""

    def __init__(self, dynamodb: Any, moment: Clock) -> None:
        super().__init__(dynamodb, MESSAGES)
        self._moment = moment
        self._searchable_from: dict[str, datetime] = {}

    def write(self, entries: Sequence[HistoryEntry]) -> None:
        super().write(entries)
        self._will_be_found(each.provider_id for each in entries)

    def begin(self, entry: HistoryEntry) -> None:
        super().begin(entry)
        self._will_be_found([entry.provider_id])

    def mark(self, conversation_id: str, position: str, *, provider_id: str | None, **named: Any) -> Any:
        marked = super().mark(conversation_id, position, provider_id=provider_id, **named)
        self._will_be_found([provider_id])
        return marked

    def holds(self, provider_id: str) -> bool:
        searchable_from = self._searchable_from.get(provider_id)
        return searchable_from is not None and searchable_from <= self._moment() and super().holds(provider_id)

    def _will_be_found(self, provider_ids: Iterable[str | None]) -> None:
        for provider_id in provider_ids:
            if provider_id is not None:
                self._searchable_from.setdefault(provider_id, self._moment() + LAG)

    def entry(self, conversation_id: str, position: str) -> HistoryEntry | None:
        place = item_to_wire({"conversation_id": conversation_id, "position": position})
        found = self._dynamodb.get_item(TableName=MESSAGES, Key=place, ConsistentRead=True)
        return history_entry_of(from_wire(found["Item"])) if "Item" in found else None

    def of(self, conversation_id: str) -> Sequence[HistoryEntry]:
        return self.latest(conversation_id, limit=1_000)


class Tables:
    """The adapters that ship, in front of the tables of a DynamoDB."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def records(self, clock: Clock, identifiers: Identifiers) -> Records:
        return _TableRecords(self._dynamodb, CONVERSATIONS, clock=clock, identifiers=identifiers)

    def history(self, moment: Clock) -> Entries:
        return _TableEntries(self._dynamodb, moment)

    def fallbacks(self) -> Fallbacks:
        return DynamoFallbacks(self._dynamodb, MESSAGES)

    def opt_outs(self) -> OptOuts:
        return DynamoOptOuts(self._dynamodb, MESSAGES)


def _scanned(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from map(from_wire, page["Items"])


@contextmanager
def _twins() -> Iterator[Store]:
    yield Twins()


@contextmanager
def _moto() -> Iterator[Store]:
    with locked_moto():
        dynamodb = sdk("dynamodb", None)
        create_tables(dynamodb)
        yield Tables(dynamodb)


#: An empty store for each run, by name.
STORES: Mapping[str, Callable[[], Any]] = {"twin": _twins, "moto": _moto}
