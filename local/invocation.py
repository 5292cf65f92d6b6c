"""Runs a Lambda function in this process, with its timeout, and reports what Lambda would have logged."""

import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.lambda_shapes import Context, Event


class Reporter:
    """Says on stderr, one JSON object a line, what Lambda would have written to the function's log."""

    def __init__(self, show_error_text: bool = False) -> None:
        self._show_error_text = show_error_text

    def say(self, level: str, message: str, **details: Any) -> None:
        line = {"level": level, "timestamp": datetime.now(UTC).isoformat(), "message": message, **details}
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()

    def error(self, message: str, error: BaseException | None = None, **details: Any) -> None:
        causes = [self._told(one) for one in _chain(error)]
        self.say("ERROR", message, **details, **({"errors": causes} if causes else {}))

    def _told(self, error: BaseException) -> dict[str, Any]:
        """Type and places. What an exception says may quote the event, so it is left out unless asked for."""
        told: dict[str, Any] = {"type": type(error).__qualname__, "stack": _places(error)}
        return {**told, "text": str(error)} if self._show_error_text else told


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One Lambda function of the app. `timeout` is in seconds."""

    name: str
    handler: Callable[[Event, Context], Any]
    timeout: float
    memory: int
    most_at_once: int | None
    region: str
    report: Reporter

    def start(self, event: Event) -> "Invocation":
        return Invocation(self, event)

    def context(self) -> Context:
        return Context(
            function_name=self.name,
            invoked_function_arn=f"arn:aws:lambda:{self.region}:000000000000:function:{self.name}",
            memory_limit_in_mb=str(self.memory),
            deadline=time.monotonic() + self.timeout,
        )


class Invocation:
    """One run of a function in a thread of its own, so that it can be given up."""

    def __init__(self, function: Function, event: Event) -> None:
        self._function = function
        self._context = function.context()
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(json.loads(json.dumps(event)),), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def succeeded(self) -> bool:
        """Waits, at most for the function's timeout. Reports a failure.

        Past its timeout Lambda kills a function. A thread cannot be killed: it runs on, but counts as failed.
        """
        self._thread.join(self._function.timeout)
        if self.running:
            self._report("the function timed out", timeout_seconds=self._function.timeout)
            return False
        if self._error is not None:
            self._report("the function failed", self._error)
        return self._error is None

    @property
    def result(self) -> Any:
        """What the function returned, once it has succeeded."""
        return self._result

    def _run(self, event: Event) -> None:
        try:
            result = self._function.handler(event, self._context)
            self._result = json.loads(json.dumps(result))  # Lambda, too, fails on what is not JSON
        except BaseException as error:  # also SystemExit: it ends a function, not the worker
            self._error = error

    def _report(self, message: str, error: BaseException | None = None, **details: float) -> None:
        request = self._context.aws_request_id
        function = self._function
        function.report.error(message, error, function=function.name, aws_request_id=request, **details)
