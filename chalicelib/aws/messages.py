"""The MessagesTable: the history, one item for each message in or out, the fallbacks that were sent, who opted out."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.clients import code_of, item_of, translated
from chalicelib.aws.expressions import Update
from chalicelib.aws.items import from_wire, history_entry_of, history_item_of, item_to_wire, media_items_of, to_wire
from chalicelib.context import iso
from chalicelib.errors import TryAgain
from chalicelib.lifecycle import RANK, bare, replaces_below
from chalicelib.model import Delivery, HistoryEntry, Media
from chalicelib.ports import Marked

#: BatchWriteItem takes at most this many items. Source: DynamoDB API reference.
_BATCH = 25

_BY_PROVIDER_ID = "provider-index"


class DynamoHistory:
    """The history in DynamoDB; see `ports.History`."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def write(self, entries: Sequence[HistoryEntry]) -> None:
        """Raises TryAgain if the table did not take all of them; those that it took may be written again."""
        for batch in _batches(entries):
            puts = [{"PutRequest": {"Item": item_to_wire(history_item_of(entry))}} for entry in batch]
            with translated():
                response = self._dynamodb.batch_write_item(RequestItems={self._table: puts})
            if response.get("UnprocessedItems"):
                raise TryAgain("the messages table is busy")

    def begin(self, entry: HistoryEntry) -> None:
        try:
            with translated():
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=item_to_wire(history_item_of(entry)),
                    ConditionExpression="attribute_not_exists(#position)",
                    ExpressionAttributeNames={"#position": "position"},
                )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    def latest(self, conversation_id: str, *, limit: int) -> Sequence[HistoryEntry]:
        with translated():
            response = self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="#id = :id",
                ExpressionAttributeNames={"#id": "conversation_id"},
                ExpressionAttributeValues={":id": to_wire(conversation_id)},
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=limit,
            )
        newest_first = [history_entry_of(from_wire(item)) for item in response.get("Items", [])]
        return newest_first[::-1]

    def holds(self, provider_id: str) -> bool:
        with translated():
            response = self._dynamodb.query(
                TableName=self._table,
                IndexName=_BY_PROVIDER_ID,
                KeyConditionExpression="#id = :id",
                ExpressionAttributeNames={"#id": "provider_message_id"},
                ExpressionAttributeValues={":id": to_wire(provider_id)},
                Limit=1,
            )
        return bool(response.get("Items"))

    def mark(
        self,
        conversation_id: str,
        position: str,
        *,
        status: Delivery,
        provider_id: str | None,
        error_code: str | None,
        at: datetime,
    ) -> Marked:
        update = Update().set("status", status.value).set("status_rank", RANK[status]).set("status_at", iso(at))
        if error_code is not None:
            update.set("error_code", error_code)
        else:
            update.remove("error_code")
        # only a message that is in the history has a status
        update.only_if("attribute_exists({0})", "position")
        advances = "attribute_not_exists({0}) OR {0} < {rank}"
        if provider_id is None:
            # a status never goes back
            update.only_if(f"({advances})", "status_rank", rank=replaces_below(status))
        else:
            # nor does it here, but what the provider says beats a failure that only we know of
            update.set("provider_message_id", provider_id)
            beats = f"({advances} OR attribute_not_exists({{1}}))"
            update.only_if(beats, "status_rank", "provider_message_id", rank=replaces_below(status))
        key = {"conversation_id": conversation_id, "position": position}
        try:
            with translated():
                response = self._dynamodb.update_item(**update.request(self._table, key, returns="ALL_OLD"))
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            found = item_of(error)
            return Marked(False, known=bool(found), had_provider_id="provider_message_id" in found)
        before = response.get("Attributes") or {}
        return Marked(True, known=True, had_provider_id="provider_message_id" in before)

    def attach(self, conversation_id: str, position: str, media: Sequence[Media]) -> None:
        update = Update().set("media", media_items_of(media))
        # what is not in the history yet is written with its files by whoever writes it
        update.only_if("attribute_exists({0})", "position")
        key = {"conversation_id": conversation_id, "position": position}
        try:
            with translated():
                self._dynamodb.update_item(**update.request(self._table, key, returns="NONE"))
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise


class DynamoFallbacks:
    """Which fallbacks were sent, kept beside the history until their window has passed; see `ports.Fallbacks`."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def may_send(self, own_address: str, person: str, *, at: datetime, window: timedelta) -> bool:
        ends = int((at + window).timestamp())
        item = {"conversation_id": f"fallback#{own_address}#{person}", "position": "fallback", "expires_at": ends}
        try:
            with translated():
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=item_to_wire(item),
                    ConditionExpression="attribute_not_exists(#position) OR #ends <= :now",
                    ExpressionAttributeNames={"#position": "position", "#ends": "expires_at"},
                    ExpressionAttributeValues={":now": to_wire(int(at.timestamp()))},
                )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


class DynamoOptOuts:
    """Who wants no messages, kept beside the history; see `ports.OptOuts`."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def note(self, company: str, people: Sequence[str], *, out: bool, at: datetime) -> None:
        for person in people:
            item = {**_opt_out_key(company, person), "opted_out": out, "changed_at": iso(at)}
            with translated():
                self._dynamodb.put_item(TableName=self._table, Item=item_to_wire(item))

    def holds(self, company: str, person: str) -> bool:
        with translated():
            response = self._dynamodb.get_item(
                TableName=self._table, Key=item_to_wire(_opt_out_key(company, person)), ConsistentRead=True
            )
        return from_wire(response.get("Item") or {}).get("opted_out") is True


class DynamoMeters:
    """Counters of what a tenant's AI does, kept beside the history; see `ports.Meters`."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def add(self, name: str, amount: int, *, at_most: int | None, until: datetime) -> int | None:
        if at_most is not None and at_most <= 0:
            return None
        update = Update().count_up("used", amount).set("expires_at", int(until.timestamp()))
        if at_most is not None:
            update.only_if("(attribute_not_exists({0}) OR {0} < {most})", "used", most=at_most)
        key = {"conversation_id": f"meter#{name}", "position": "meter"}
        try:
            with translated():
                response = self._dynamodb.update_item(**update.request(self._table, key, returns="ALL_NEW"))
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return None
        return int(from_wire(response["Attributes"])["used"])


def _opt_out_key(company: str, person: str) -> dict[str, str]:
    return {"conversation_id": f"opt-out#{company}#{bare(person)}", "position": "opt-out"}


def _batches(entries: Sequence[HistoryEntry]) -> Iterator[Sequence[HistoryEntry]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
