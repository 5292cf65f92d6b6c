"""Idempotency records: what came of deeds, kept in the MessagesTable for as long as their turn may come again."""

from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.clients import code_of, item_of, translated
from chalicelib.aws.expressions import Update
from chalicelib.aws.items import from_wire, item_to_wire, tool_result_item_of, tool_result_of
from chalicelib.context import iso
from chalicelib.model import ToolResult
from chalicelib.ports import Begun

#: A queue keeps a turn for 14 days.
_KEPT = timedelta(days=15)


class DynamoIdempotencyRecords:
    """Records in DynamoDB; see `ports.IdempotencyRecords`."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def begin(self, key: str, *, at: datetime) -> Begun:
        item = {**_place_of(key), "begun_at": iso(at), "expires_at": int((at + _KEPT).timestamp())}
        try:
            with translated():
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=item_to_wire(item),
                    ConditionExpression="attribute_not_exists(#position)",
                    ExpressionAttributeNames={"#position": "position"},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return Begun(again=True, result=tool_result_of(from_wire(item_of(error))))
        return Begun()

    def complete(self, key: str, result: ToolResult) -> ToolResult:
        update = Update().set("result", tool_result_item_of(result))
        # whoever was first has done it, and what they were told is what everybody is told
        update.only_if("attribute_not_exists({0})", "result")
        try:
            with translated():
                self._dynamodb.update_item(**update.request(self._table, _place_of(key), returns="NONE"))
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return tool_result_of(from_wire(item_of(error))) or result
        return result


def _place_of(key: str) -> dict[str, str]:
    return {"conversation_id": f"tool-call#{key}", "position": "tool-call"}
