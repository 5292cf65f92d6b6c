"""Removes a stage: the application, its API, queues and alarms. What people wrote and sent stays unless told."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops import bundle
from ops.resources import ApplyError, bucket_names, remove, session, table_names

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="such as dev or prod")
    parser.add_argument("--yes", action="store_true", help="do it; without it, it is only told what would be done")
    parser.add_argument(
        "--and-data",
        metavar="STAGE",
        help="the stage once more: tables and files are deleted too, with all conversations",
    )
    parser.add_argument("--wait-seconds", type=float, default=600.0, help="how long it may take (default %(default)g)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each thing done. Returns 0; 1 and the reason when it fails; 2 when it is asked for wrongly."""
    if arguments.and_data not in (None, arguments.stage):
        print(f"destroy: --and-data {arguments.and_data} is not --stage {arguments.stage}", file=sys.stderr)
        return 2
    try:
        for line in destroy(arguments) if arguments.yes else _told(arguments):
            print(line, flush=True)
    except (ApplyError, BotoCoreError, ClientError) as error:
        print(f"destroy: {error}", file=sys.stderr)
        return 1
    return 0


def _told(arguments: argparse.Namespace) -> Iterator[str]:
    yield f"would delete the functions, roles and API of stage {arguments.stage}, its queues with all they hold, alarms"
    yield from (f"would {'delete' if arguments.and_data else 'keep'} {name}" for name in table_names(arguments.stage))
    yield "nothing was done; with --yes it is"


def destroy(arguments: argparse.Namespace) -> Iterator[str]:
    """The application first, so that nothing wakes while its queues go.

    Raises ApplyError, and botocore's errors for an AWS that cannot be reached or refuses.
    """
    stage, aws = arguments.stage, session()
    done = bundle.chalice("delete", "--stage", stage)
    if done.returncode:
        raise ApplyError(f"chalice delete failed:\n{done.stdout}{done.stderr}")
    yield from done.stdout.splitlines()
    yield from remove(stage, arguments.wait_seconds, aws)
    yield from _tables(stage, aws, delete=bool(arguments.and_data))
    yield from _buckets(stage, aws, delete=bool(arguments.and_data))


def _tables(stage: str, aws: boto3.Session, *, delete: bool) -> Iterator[str]:
    client = aws.client("dynamodb")
    for name in table_names(stage):
        try:
            if delete:
                client.delete_table(TableName=name)
            yield f"deleted {name}" if delete else f"kept {name}"
        except client.exceptions.ResourceNotFoundException:
            yield f"there is no {name}"
        except client.exceptions.ResourceInUseException:
            raise ApplyError(f"{name} is being changed; try again in a minute") from None


def _buckets(stage: str, aws: boto3.Session, *, delete: bool) -> Iterator[str]:
    """Only an empty bucket can be deleted."""
    client = aws.client("s3")
    for name in bucket_names(stage, aws):
        try:
            if delete:
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                    keys: list[ObjectIdentifierTypeDef] = [{"Key": each["Key"]} for each in page.get("Contents", [])]
                    if keys:
                        client.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
                client.delete_bucket(Bucket=name)
            yield f"deleted {name}" if delete else f"kept {name}"
        except client.exceptions.NoSuchBucket:
            yield f"there is no {name}"
