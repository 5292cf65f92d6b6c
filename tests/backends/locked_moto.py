"""moto in this process, with one lock: DynamoDB and SQS do one request at a time.

DynamoDB's conditional writes are atomic. moto's are not: between looking at a condition and writing, another thread may
write. Under this lock they are.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from threading import RLock
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler
from moto.sqs.models import SQSBackend
from moto.sqs.responses import SQSResponse

#: How long a long poll sleeps between two looks at its queue, in seconds.
_BETWEEN_LOOKS = 0.02


@contextmanager
def locked_moto() -> Iterator[None]:
    """An empty AWS. Threads may use it at once."""
    lock = RLock()
    with ExitStack() as stack:
        for handler in (DynamoHandler, SQSResponse):
            answer = _one_at_a_time(handler.call_action, lock)
            stack.enter_context(patch.object(handler, "call_action", answer))
        receive = _looking_again(SQSBackend.receive_message, lock)
        stack.enter_context(patch.object(SQSBackend, "receive_message", receive))
        stack.enter_context(mock_aws())
        yield


def _one_at_a_time(answer: Callable[[Any], Any], lock: Any) -> Callable[[Any], Any]:
    @wraps(answer)
    def locked(request: Any) -> Any:
        with lock:
            return answer(request)

    return locked


def _looking_again(receive: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    """A long poll as many short ones: while it waits for a message, others must be able to send one."""

    @wraps(receive)
    def looking(backend: Any, queue: str, count: int, wait: int, *others: Any) -> Any:
        until = time.monotonic() + (wait or 0)
        while True:
            found = receive(backend, queue, count, 0, *others)
            if found or time.monotonic() >= until:
                return found
            lock.release()
            try:
                time.sleep(_BETWEEN_LOOKS)
            finally:
                lock.acquire()

    return looking
