"""Creates or updates the tables, queues, media bucket and alarms of a stage as one CloudFormation stack, and waits."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef, StackTypeDef
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

TEMPLATE = Path(__file__).resolve().parent.parent / ".chalice" / "resources.json"
DASHBOARD = TEMPLATE.with_name("dashboard.json")
DONE = {"CREATE_COMPLETE": "created", "UPDATE_COMPLETE": "changed", "DELETE_COMPLETE": "removed"}
READY = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
FIRST_CREATION_FAILED = "ROLLBACK_COMPLETE"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # seconds between two looks at a stack
DEADLINES = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})


class ApplyError(Exception):
    """The resources are not as the template says; the message tells the operator why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="such as dev, prod or local")
    parser.add_argument("--wait-seconds", type=float, default=600.0, help="how long it may take (default %(default)g)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a parameter of the template, such as AlarmAddress; what is not set stays as it is",
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in template()["Parameters"] or name == "Stage":
        known = ", ".join(each for each in template()["Parameters"] if each != "Stage")
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE with one of {known}")
    return name, value


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each resource that was created, changed or removed. Returns 0, or 1 and the reason."""
    try:
        for line in apply(arguments.stage, arguments.wait_seconds, session(), dict(arguments.set)):
            print(line, flush=True)
    except (ApplyError, BotoCoreError, ClientError) as error:
        print(f"resources: {error}", file=sys.stderr)
        return 1
    return 0


def session() -> boto3.Session:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ApplyError("no region: set AWS_REGION, for example to eu-west-2")
    return boto3.Session(region_name=region)


def stack_name(stage: str) -> str:
    return f"ai-multi-comms-resources-{stage}"


def template() -> dict[str, Any]:
    """The template with its dashboard, which lies in a file of its own to be read by people."""
    found: dict[str, Any] = json.loads(TEMPLATE.read_text())
    body = json.dumps(json.loads(DASHBOARD.read_text()), separators=(",", ":"))
    found["Resources"]["Dashboard"]["Properties"]["DashboardBody"] = {"Fn::Sub": body}
    return found


def apply(
    stage: str, wait_seconds: float, aws: boto3.Session, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Makes the stage's stack as the template says, yielding a line for each thing done.

    `settings` are parameters of the template; a stack that exists keeps the others as they are.

    Nothing that exists is created anew: without a stack, tables and queues of these names are left alone.
    Raises ApplyError, and botocore's errors for an AWS that cannot be reached or refuses.
    """
    client: CloudFormationClient = aws.client("cloudformation", config=DEADLINES)
    stack = _Stack(client, stack_name(stage), {**settings, "Stage": stage}, time.monotonic() + wait_seconds)
    status = stack.settled()
    if status == FIRST_CREATION_FAILED:
        yield f"removing {stack.name}, whose first creation failed"
        client.delete_stack(StackName=stack.name)
        status = stack.settled()
    if status is None:
        _refuse_orphans(stage, aws)
        yield from stack.make(client.create_stack)
    elif status in READY:
        yield from stack.make(client.update_stack)
    else:
        raise ApplyError(f"stack {stack.name} is {status}; mend it in CloudFormation first{stack.reason()}")
    yield f"ready {stack.name}"


def remove(stage: str, wait_seconds: float, aws: boto3.Session) -> Iterator[str]:
    """Deletes the stage's stack; its tables stay, as the template says. Raises what `apply` raises."""
    client: CloudFormationClient = aws.client("cloudformation", config=DEADLINES)
    stack = _Stack(client, stack_name(stage), {}, time.monotonic() + wait_seconds)
    if stack.settled() is None:
        yield f"there is no {stack.name}"
        return
    client.delete_stack(StackName=stack.name)
    status = stack.settled()
    if status is not None:
        raise ApplyError(f"stack {stack.name} is {status}{stack.reason()}")
    yield f"removed {stack.name}"


class _Stack:
    """One stack, and the moment until which we wait for it."""

    def __init__(self, client: "CloudFormationClient", name: str, parameters: Mapping[str, str], until: float) -> None:
        self.name = name
        self._client = client
        self._parameters = parameters
        self._until = until

    def make(self, change: Callable[..., Any]) -> Iterator[str]:
        seen = {event["EventId"] for event in self._events()}
        if not self._start(change):
            yield f"nothing to change in {self.name}"
            return
        status = self.settled()
        news = [event for event in self._events() if event["EventId"] not in seen]
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise ApplyError(f"stack {self.name} is {status or 'gone'}{_reasons(news)}")
        yield from _lines(news)

    def settled(self) -> str | None:
        """The status once nothing is in progress, or None where there is no such stack."""
        pause = _FIRST_PAUSE
        while (status := self._status()) is not None and status.endswith("_IN_PROGRESS"):
            if status == "REVIEW_IN_PROGRESS":  # a change set that nobody has executed; no resources yet
                return status
            if time.monotonic() + pause > self._until:
                raise ApplyError(f"stack {self.name} is still {status}; look again, or wait longer")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None if status == "DELETE_COMPLETE" else status

    def reason(self) -> str:
        return _reasons(self._events()[:50])

    def _start(self, change: Callable[..., Any]) -> bool:
        """Whether there is anything to do."""
        try:
            change(
                StackName=self.name,
                TemplateBody=json.dumps(template(), separators=(",", ":")),
                Parameters=[*self._given(), *self._kept()],
            )
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return False
            raise
        return True

    def _given(self) -> list[dict[str, Any]]:
        return [{"ParameterKey": name, "ParameterValue": value} for name, value in self._parameters.items()]

    def _kept(self) -> list[dict[str, Any]]:
        """What the stack has been told before and is not told anew."""
        described = self._described()
        known = {each["ParameterKey"] for each in described.get("Parameters", [])} if described else set()
        names = known & set(template()["Parameters"]) - set(self._parameters)
        return [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(names)]

    def _status(self) -> str | None:
        found = self._described()
        return found["StackStatus"] if found else None

    def _described(self) -> "StackTypeDef | None":
        try:
            return self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def _events(self) -> "list[StackEventTypeDef]":
        """Newest first; none where there is no such stack."""
        if self._described() is None:
            return []
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=self.name)
        return [event for page in pages for event in page["StackEvents"]]


def _lines(events: "list[StackEventTypeDef]") -> Iterator[str]:
    for event in reversed(events):
        done = DONE.get(event.get("ResourceStatus", ""))
        if done and event.get("ResourceType") != "AWS::CloudFormation::Stack":
            name = event.get("PhysicalResourceId", "").rsplit("/", 1)[-1]  # of a queue it is the URL
            yield f"{done} {event.get('ResourceType')} {name}"


def _reasons(events: "list[StackEventTypeDef]") -> str:
    """What failed, oldest first; what was only given up because something else failed is left out."""
    found = [
        f"\n  {event.get('LogicalResourceId')}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event.get("ResourceStatus", "").endswith("_FAILED")
        and event.get("ResourceStatusReason")
        and "cancelled" not in event["ResourceStatusReason"]
    ]
    return "".join(found)


def _refuse_orphans(stage: str, aws: boto3.Session) -> None:
    orphans = [name for name, kind in _names(stage, _account(aws)).items() if EXISTS[kind](aws, name)]
    if orphans:
        listed = "".join(f"\n  {name}" for name in orphans)
        raise ApplyError(
            f"stack {stack_name(stage)} does not exist, but resources with its names do:{listed}\n"
            "Creating them again could lose what they hold, so nothing was done. Bring them into the stack"
            " (aws cloudformation create-change-set --change-set-type IMPORT) or delete them; then try again."
        )


def table_names(stage: str) -> list[str]:
    return [name for name, kind in _names(stage).items() if kind == "AWS::DynamoDB::Table"]


def bucket_names(stage: str, aws: boto3.Session) -> list[str]:
    return [name for name, kind in _names(stage, _account(aws)).items() if kind == "AWS::S3::Bucket"]


def _account(aws: boto3.Session) -> str:
    return str(aws.client("sts", config=DEADLINES).get_caller_identity()["Account"])


def _names(stage: str, account: str = "") -> dict[str, str]:
    """Every table, queue and bucket by its name in this stage and account, with its CloudFormation type."""
    resources = [each for each in template()["Resources"].values() if each["Type"] in EXISTS]
    found = {_name(each["Properties"]): each["Type"] for each in resources}
    return {name.replace("${Stage}", stage).replace("${AWS::AccountId}", account): kind for name, kind in found.items()}


def _name(properties: Mapping[str, Any]) -> str:
    named = (properties[kind] for kind in ("TableName", "QueueName", "BucketName") if kind in properties)
    name: str = next(named)["Fn::Sub"]
    return name


def _table_exists(aws: boto3.Session, name: str) -> bool:
    client: DynamoDBClient = aws.client("dynamodb", config=DEADLINES)
    try:
        client.describe_table(TableName=name)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def _queue_exists(aws: boto3.Session, name: str) -> bool:
    client: SQSClient = aws.client("sqs", config=DEADLINES)
    try:
        client.get_queue_url(QueueName=name)
    except client.exceptions.QueueDoesNotExist:
        return False
    return True


def _bucket_exists(aws: boto3.Session, name: str) -> bool:
    client: S3Client = aws.client("s3", config=DEADLINES)
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return False
        raise
    return True


EXISTS: Mapping[str, Callable[[boto3.Session, str], bool]] = {
    "AWS::DynamoDB::Table": _table_exists,
    "AWS::SQS::Queue": _queue_exists,
    "AWS::S3::Bucket": _bucket_exists,
}
