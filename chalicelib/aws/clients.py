"""boto3 clients with deadlines in view and no silent retries, and what their errors mean to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from chalicelib.config import AWS_CONNECT_DEADLINE, AWS_READ_DEADLINE, Settings
from chalicelib.errors import TryAgain

#: AWS's words for "not now". Every other error code is our own bug or our own configuration.
#: Source: the "Common errors" pages of the DynamoDB, SQS and Secrets Manager API references.
NOT_NOW = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ReplicatedWriteConflictException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
        "KmsThrottled",
        "KMS.ThrottlingException",
    }
)

#: botocore's words for a request whose outcome nobody told us.
NO_ANSWER: tuple[type[BotoCoreError], ...] = (
    ConnectTimeoutError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)


class Clients:
    """Clients of one process. They share a session: each new one reads the SDK's descriptions of the services again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: Any = boto3.session.Session(region_name=settings.region)

    def of(self, service: str) -> Any:
        """A client of `service`. Only SQS repeats, so the SDK does not."""
        return self._session.client(
            service,
            endpoint_url=self._settings.aws_endpoint_url,
            config=Config(
                connect_timeout=AWS_CONNECT_DEADLINE.total_seconds(),
                read_timeout=AWS_READ_DEADLINE.total_seconds(),
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turns what AWS cannot do now, and silence, into TryAgain: repeating any request of ours is harmless."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in NOT_NOW or error.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= 500:
            raise TryAgain(f"AWS is busy: {code_of(error)}") from error
        raise
    except NO_ANSWER as error:
        raise TryAgain(f"AWS did not answer: {type(error).__name__}") from error


def code_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))


def item_of(error: ClientError) -> dict[str, Any]:
    """The item that a condition did not hold for, as `ReturnValuesOnConditionCheckFailure` brings it."""
    response: Any = error.response
    return response.get("Item") or {}
