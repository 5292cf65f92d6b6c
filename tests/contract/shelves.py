"""The same conversation records behind different walls: the twin, and tables of different makers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config

from chalicelib.aws.conversations import DynamoConversations
from chalicelib.aws.items import conversation_of, from_wire, item_to_wire
from chalicelib.config import queue_name, table_name
from chalicelib.model import ConversationKey
from chalicelib.ports import Conversations
from tests.twins.clock import CountingIdentifiers, TwinClock
from tests.twins.store import TwinConversations

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / ".chalice" / "resources.json"
STAGE = "contract"
ENVIRONMENT = {"STAGE": STAGE}
CONVERSATIONS = table_name("conversations", ENVIRONMENT)
MESSAGES = table_name("messages", ENVIRONMENT)
TENANTS = table_name("tenants", ENVIRONMENT)

Record = dict[str, Any]


class Shelf(Protocol):
    """Where records stand, seen from outside: as the outbound engine and people's own tools see it."""

    clock: TwinClock
    port: Conversations

    def put(self, record: Record) -> ConversationKey: ...

    def change(self, key: ConversationKey, **attributes: Any) -> None: ...


class TwinShelf:
    def __init__(self) -> None:
        self.clock = TwinClock()
        self.twin = TwinConversations(self.clock, CountingIdentifiers())
        self.port: Conversations = self.twin

    def put(self, record: Record) -> ConversationKey:
        return self.twin.put(conversation_of(record)).key

    def change(self, key: ConversationKey, **attributes: Any) -> None:
        now = self.twin.get(key)
        assert now is not None
        self.twin.put(replace(now, **{_FIELDS[name]: value for name, value in attributes.items()}))


#: What an attribute is called in the model.
_FIELDS = {
    "hand_off_to_human": "handed_off",
    "handoff_to_human": "handed_off",
    "opted_out": "opted_out",
    "hand_off_to_human_reason": "handed_off_reason",
    "comms_consent": "consent",
    "conversation_status": "status",
    "overflowing": "overflowing",
    "ttl": "expires_at",
    "untold": "untold",
}


class TableShelf:
    def __init__(self, dynamodb: Any) -> None:
        self.dynamodb = dynamodb
        self._written: set[ConversationKey] = set()
        self.clock = TwinClock()
        self.port: Conversations = DynamoConversations(
            dynamodb, CONVERSATIONS, clock=self.clock, identifiers=CountingIdentifiers()
        )

    def put(self, record: Record) -> ConversationKey:
        self.dynamodb.put_item(TableName=CONVERSATIONS, Item=item_to_wire(record))
        key = ConversationKey(record["primary_channel"], record["conversation_id"])
        self._written.add(key)
        return key

    def change(self, key: ConversationKey, **attributes: Any) -> None:
        self.put({**self.raw(key), **attributes})

    def raw(self, key: ConversationKey) -> Record:
        """Every attribute as it stands in the table."""
        wanted = _wire_key(key)
        return from_wire(self.dynamodb.get_item(TableName=CONVERSATIONS, Key=wanted, ConsistentRead=True)["Item"])

    def indexed(self) -> set[ConversationKey]:
        """Who is in the sparse index of those who wait."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=CONVERSATIONS, IndexName="waiting-index")
        items = [from_wire(item) for page in pages for item in page["Items"]]
        return {ConversationKey(item["primary_channel"], item["conversation_id"]) for item in items}

    def forget(self) -> None:
        """Removes what this shelf has written, so that the next test has a small table."""
        for key in self._written:
            self.dynamodb.delete_item(TableName=CONVERSATIONS, Key=_wire_key(key))


def _wire_key(key: ConversationKey) -> dict[str, Any]:
    return item_to_wire({"primary_channel": key.person, "conversation_id": key.conversation_id})


@cache
def sdk(service: str, endpoint: str | None) -> Any:
    session: Any = boto3.Session("testing", "testing", region_name="eu-west-2")
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    return session.client(service, endpoint_url=endpoint, config=config)


def build(endpoint: str | None) -> None:
    """Makes the tables and queues of the template that ships, so that it and the code are seen to agree."""
    template = json.loads(TEMPLATE.read_text())
    if endpoint is None:
        template["Resources"] = {name: each for name, each in template["Resources"].items() if _is_known_to_moto(each)}
    sdk("cloudformation", endpoint).create_stack(
        StackName="contract",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
    )
    sdk("dynamodb", endpoint).describe_table(TableName=CONVERSATIONS)


def _is_known_to_moto(resource: Record) -> bool:
    """Its CloudFormation warns of alarms and dashboards, and makes none."""
    return not resource["Type"].startswith("AWS::CloudWatch::")


def create_tables(dynamodb: Any) -> None:
    """The tables of the template alone, for a DynamoDB without CloudFormation."""
    for resource in json.loads(TEMPLATE.read_text())["Resources"].values():
        if resource["Type"] == "AWS::DynamoDB::Table":
            properties = dict(resource["Properties"])
            for beside in ("TimeToLiveSpecification", "SSESpecification", "PointInTimeRecoverySpecification"):
                properties.pop(beside, None)
            name = properties.pop("TableName")["Fn::Sub"].replace("${Stage}", STAGE)
            dynamodb.create_table(TableName=name, **properties)


def bodies(sqs: Any, purpose: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Takes what is visible on a queue: the context object and the message attributes."""
    url = sqs.get_queue_url(QueueName=queue_name(purpose, ENVIRONMENT))["QueueUrl"]
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0
    ).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"]), message.get("MessageAttributes", {})
