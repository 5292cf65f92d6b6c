"""What IAM asks of a request to AWS: the action that it is, and the resources that it touches."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from chalice.policy import load_api_policy_actions

#: Secrets Manager ends the ARN of a secret with a hyphen and six random characters.
#: Source: AWS Secrets Manager User Guide, "What's in a secret".
RANDOM_END = "-AbCdEf"


class UnknownRequestError(Exception):
    """A request of which this module does not know what it touches; the message says where to add it."""


@dataclass(frozen=True, order=True)
class Permission:
    """One action on one resource, such as `dynamodb:Query` on `arn:aws:dynamodb:eu-west-2:…:table/…`."""

    action: str
    resource: str


def permissions_of(
    service: str, operation: str, parameters: Mapping[str, Any], *, region: str, account: str
) -> list[Permission]:
    """What a request needs; `service` and `operation` are botocore's names, such as `dynamodb` and `Query`.

    Raises UnknownRequestError for a service that is new here.
    """
    if service not in _RESOURCES:
        raise UnknownRequestError(f"{service}:{operation} is new: tell ops/permissions.py which resource it touches")
    if service == "s3":
        return list(_of_s3(operation, parameters))
    action = _actions().get(service, {}).get(operation, f"{service}:{operation}")
    return [
        Permission(action, f"arn:aws:{service}:{region}:{account}:{each}") for each in _RESOURCES[service](parameters)
    ]


def _of_s3(operation: str, parameters: Mapping[str, Any]) -> Iterator[Permission]:
    """Buckets are of no Region and no account. Who may not list a bucket is not told that an object is missing.

    Source: S3 API reference, GetObject, "Permissions".
    """
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation in ("GetObject", "ListObjectsV2"):
        yield Permission("s3:ListBucket", bucket)
    if operation != "ListObjectsV2":
        yield Permission({"DeleteObjects": "s3:DeleteObject"}.get(operation, f"s3:{operation}"), f"{bucket}/*")


def _of_nothing(_: Mapping[str, Any]) -> Iterator[str]:
    """GetCallerIdentity needs no permission. Source: AWS STS API reference."""
    yield from ()


def _of_dynamodb(parameters: Mapping[str, Any]) -> Iterator[str]:
    """An index is a resource of its own: a query of it needs no right to its table."""
    if "TableName" in parameters:
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield f"table/{parameters['TableName']}{index}"
    yield from (f"table/{table}" for table in parameters.get("RequestItems", {}))


def _of_sqs(parameters: Mapping[str, Any]) -> Iterator[str]:
    yield parameters.get("QueueName") or parameters["QueueUrl"].rsplit("/", 1)[-1]


def _of_secretsmanager(parameters: Mapping[str, Any]) -> Iterator[str]:
    yield f"secret:{parameters['SecretId']}{RANDOM_END}"


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "dynamodb": _of_dynamodb,
    "sqs": _of_sqs,
    "secretsmanager": _of_secretsmanager,
    "s3": _of_nothing,  # see `_of_s3`
    "sts": _of_nothing,
}


@cache
def _actions() -> Mapping[str, Mapping[str, str]]:
    """Chalice's table: not every operation is called what its action is called (SendMessageBatch is SendMessage)."""
    actions: Mapping[str, Mapping[str, str]] = load_api_policy_actions()
    return actions
