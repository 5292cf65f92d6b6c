"""Wakes the functions of the Chalice app in the current directory, as Lambda's queues and schedules do.

It works on whatever AWS the environment points at. Every function runs in this process; its timeout and its
memory come from `.chalice/config.json`.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from chalice.app import (
    BaseEventSourceConfig,
    Chalice,
    ScheduledEventConfig,
    ScheduleExpression,
    SQSEventConfig,
)
from chalice.config import Config

from local.invocation import Function, Reporter
from local.lambda_shapes import scheduled_event, sqs_event
from local.schedules import ScheduleError, next_run

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

CANNOT_START = 2  # exit code
REGION = "eu-west-2"
LAMBDA_TIMEOUT = 60.0  # seconds; what Chalice deploys where the configuration says nothing
LAMBDA_MEMORY = 128
MOST_MESSAGES = 10  # in one ReceiveMessage
LONG_POLL_SECONDS = 2  # also how long an idle worker takes to stop
PAUSE_AFTER_ERROR = 1.0
_LOOK_SECONDS = 0.2  # how soon a source that waits for something else notices that it should stop
_CLIENT = ClientConfig(
    connect_timeout=5,
    read_timeout=LONG_POLL_SECONDS + 30,
    retries={"mode": "standard", "total_max_attempts": 1},
)


Kind = TypeVar("Kind", bound=BaseEventSourceConfig)


class StartError(Exception):
    """There is nothing that the worker could serve; the message tells the developer what to do."""


def main(argv: list[str]) -> int:
    """Works until SIGINT or SIGTERM, then finishes what is running. Returns 0, or 2 when it cannot start."""
    arguments = _parser().parse_args(argv)
    try:
        sources = list(_sources(arguments))
    except StartError as error:
        print(f"worker: {error}", file=sys.stderr)
        return CANNOT_START
    stop = _stop_on_signal()
    threads = [threading.Thread(target=source.run, args=(stop,)) for source in sources]
    for thread in threads:
        thread.start()
    print("ready worker", flush=True)
    stop.wait()
    for thread in threads:
        thread.join()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local worker", description=__doc__)
    parser.add_argument("--stage", default="local", help="(default %(default)s)")
    parser.add_argument("--concurrency", type=int, default=4, help="runs at once for one queue (default %(default)s)")
    parser.add_argument("--schedule-seconds", type=float, help="run every schedule this often, instead of when it says")
    parser.add_argument(
        "--show-error-text",
        action="store_true",
        help="report what an exception says; it may quote personal data",
    )
    return parser


def _stop_on_signal() -> threading.Event:
    """An event that is set by the first SIGINT or SIGTERM; the second ends the process at once."""
    stop = threading.Event()

    def begin(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, begin)
    return stop


# Queues


@dataclass(frozen=True, slots=True)
class Queue:
    url: str
    arn: str
    visibility_timeout: float


class QueueSource:
    """Feeds one function from one queue: receive, run, delete what succeeded, leave what failed."""

    def __init__(
        self, sqs: "SQSClient", queue: Queue, function: Function, config: SQSEventConfig, concurrency: int
    ) -> None:
        limits = (concurrency, config.maximum_concurrency, function.most_at_once)
        self._sqs = sqs
        self._queue = queue
        self._function = function
        self._batch_size = config.batch_size
        self._window = config.maximum_batching_window_in_seconds
        self._concurrency = max(1, min(limit for limit in limits if limit is not None))

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; returns when what was received has been handled."""
        free = threading.Semaphore(self._concurrency)

        def handle(messages: "Sequence[MessageTypeDef]") -> None:
            try:
                self._handle(messages)
            finally:
                free.release()

        with ThreadPoolExecutor(self._concurrency) as pool:
            while not stop.is_set():
                if not free.acquire(timeout=_LOOK_SECONDS):
                    continue
                if messages := self._receive(stop):
                    pool.submit(handle, messages)
                else:
                    free.release()

    def _receive(self, stop: threading.Event) -> "list[MessageTypeDef]":
        """A batch: what one receive brings, or what the batching window brings after its first message."""
        messages: list[MessageTypeDef] = []
        try:
            messages += self._receive_some(self._batch_size, LONG_POLL_SECONDS)
            until = time.monotonic() + self._window
            while messages and len(messages) < self._batch_size and not stop.is_set():
                if (left := until - time.monotonic()) <= 0:
                    break
                messages += self._receive_some(self._batch_size - len(messages), min(left, LONG_POLL_SECONDS))
        except (BotoCoreError, ClientError) as error:
            self._say("cannot receive", error)
            stop.wait(PAUSE_AFTER_ERROR)
        return messages

    def _receive_some(self, most: int, seconds: float) -> "list[MessageTypeDef]":
        answer = self._sqs.receive_message(
            QueueUrl=self._queue.url,
            MaxNumberOfMessages=min(most, MOST_MESSAGES),
            WaitTimeSeconds=round(seconds),
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _handle(self, messages: "Sequence[MessageTypeDef]") -> None:
        invocation = self._function.start(sqs_event(messages, self._queue.arn))
        if invocation.succeeded():
            failed = failed_ids(invocation.result, [message["MessageId"] for message in messages])
            self._delete([message for message in messages if message["MessageId"] not in failed])

    def _delete(self, messages: "Sequence[MessageTypeDef]") -> None:
        for start in range(0, len(messages), MOST_MESSAGES):
            some = messages[start : start + MOST_MESSAGES]
            try:
                answer = self._sqs.delete_message_batch(
                    QueueUrl=self._queue.url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(some)
                    ],
                )
                for failure in answer.get("Failed", []):
                    self._say("cannot delete", code=failure["Code"])
            except (BotoCoreError, ClientError) as error:
                self._say("cannot delete", error)

    def _say(self, message: str, error: Exception | None = None, **details: str) -> None:
        self._function.report.error(message, error, queue=self._queue.arn, **details)


def failed_ids(result: Any, ids: Sequence[str]) -> set[str]:
    """The messages that a function's return value leaves in the queue.

    One `batchItemFailures` entry that names no message of the batch fails the whole batch. Source: AWS Lambda
    Developer Guide, "Handling errors for an SQS event source in Lambda".
    """
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    if not failures:
        return set()
    if not isinstance(failures, list):
        return set(ids)
    named = [failure.get("itemIdentifier") if isinstance(failure, Mapping) else None for failure in failures]
    return {str(name) for name in named} if all(name in ids for name in named) else set(ids)


# Schedules


class ScheduleSource:
    """Runs one function at its times, one run after the other."""

    def __init__(self, function: Function, expression: str, every: timedelta | None) -> None:
        self._function = function
        self._expression = expression
        self._every = every

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(self.seconds_to_wait(datetime.now(UTC))):
            invocation = self._function.start(scheduled_event(self._function.name, self._function.region))
            invocation.succeeded()
            while invocation.running and not stop.wait(_LOOK_SECONDS):
                pass

    def seconds_to_wait(self, now: datetime) -> float:
        """Raises ScheduleError."""
        due = now + self._every if self._every else next_run(self._expression, now)
        return (due - now).total_seconds()


# What the app in the current directory asks for


def _sources(arguments: argparse.Namespace) -> Iterator[QueueSource | ScheduleSource]:
    """Raises StartError."""
    config = _configuration()
    stage = Config(chalice_stage=arguments.stage, config_from_disk=config)
    _set_environment(stage, arguments.stage)
    app = _app()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    report = Reporter(arguments.show_error_text)

    def function(source: BaseEventSourceConfig) -> Function:
        return _function(app, source, stage.scope(arguments.stage, source.name), region, report)

    yield from _queue_sources(_of_kind(app, SQSEventConfig), function, arguments, region)
    for schedule in _of_kind(app, ScheduledEventConfig):
        yield _schedule_source(schedule, function(schedule), arguments.schedule_seconds)
    for source in app.event_sources:
        if not isinstance(source, SQSEventConfig | ScheduledEventConfig):
            report.say("WARNING", "the worker does not feed this function", function=source.name)


def _configuration() -> dict[str, Any]:
    file = Path(".chalice/config.json")
    configuration: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return configuration


def _set_environment(config: Config, stage: str) -> None:
    """As Lambda does before it imports the app; what the shell has set already stays."""
    os.environ["STAGE"] = stage
    for name, value in config.environment_variables.items():
        os.environ.setdefault(name, value)


def _app() -> Chalice:
    if not Path("app.py").exists():
        raise StartError("there is no app.py in this directory")
    sys.path.insert(0, os.getcwd())
    app = importlib.import_module("app").app
    assert isinstance(app, Chalice)
    return app


def _of_kind(app: Chalice, kind: type[Kind]) -> list[Kind]:
    return [source for source in app.event_sources if isinstance(source, kind)]


def _function(app: Chalice, source: BaseEventSourceConfig, config: Config, region: str, report: Reporter) -> Function:
    return Function(
        name=f"{config.app_name or app.app_name}-{config.chalice_stage}-{source.name}",
        handler=app.handler_map[source.name],
        timeout=float(config.lambda_timeout or LAMBDA_TIMEOUT),
        memory=config.lambda_memory_size or LAMBDA_MEMORY,
        most_at_once=config.reserved_concurrency,
        region=region,
        report=report,
    )


def _queue_sources(
    configs: Sequence[SQSEventConfig],
    function: Callable[[BaseEventSourceConfig], Function],
    arguments: argparse.Namespace,
    region: str,
) -> Iterator[QueueSource]:
    if not configs:
        return
    sqs: SQSClient = boto3.client("sqs", region_name=region, config=_CLIENT)
    queues = _queues(sqs, [_queue_name(config) for config in configs], arguments.stage)
    for config, queue in zip(configs, queues, strict=True):
        target = function(config)
        if queue.visibility_timeout < target.timeout:
            raise StartError(
                f"Lambda would refuse {target.name}: its timeout of {target.timeout:g} s is longer than the"
                f" visibility timeout of its queue, {queue.visibility_timeout:g} s"
            )
        yield QueueSource(sqs, queue, target, config, arguments.concurrency)


def _queue_name(config: SQSEventConfig) -> str:
    return config.queue or (config.queue_arn or "").rsplit(":", 1)[-1]


def _queues(sqs: "SQSClient", names: Sequence[str], stage: str) -> list[Queue]:
    try:
        found = {name: _queue(sqs, name) for name in names}
    except (BotoCoreError, ClientError) as error:
        raise StartError(f"cannot reach the queues: {error}") from error
    missing = [name for name, queue in found.items() if queue is None]
    if missing:
        raise StartError(
            f"no such queue: {', '.join(missing)}\nCreate them with: python -m ops resources --stage {stage}"
        )
    return [queue for name in names if (queue := found[name])]


def _queue(sqs: "SQSClient", name: str) -> Queue | None:
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        return None
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "VisibilityTimeout"])["Attributes"]
    return Queue(url, attributes["QueueArn"], float(attributes["VisibilityTimeout"]))


def _schedule_source(config: ScheduledEventConfig, function: Function, seconds: float | None) -> ScheduleSource:
    given = config.schedule_expression
    expression = given.to_string() if isinstance(given, ScheduleExpression) else given
    every = timedelta(seconds=seconds) if seconds else None
    source = ScheduleSource(function, expression, every)
    try:
        source.seconds_to_wait(datetime.now(UTC))
    except ScheduleError as error:
        raise StartError(f"{error}; run its function with --schedule-seconds instead") from error
    return source


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
