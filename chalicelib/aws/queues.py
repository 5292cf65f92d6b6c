"""SQS: the wake-ups for turns, senders and collectors, and the handoff queue that people read."""

from datetime import timedelta
from math import ceil
from typing import Any

from chalicelib.aws.clients import translated
from chalicelib.config import LONGEST_DELAY, queue_name
from chalicelib.context import Context


class SqsQueues:
    """The queues of one stage; see `ports.Queues`."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self._urls: dict[str, str] = {}

    def wake_turn(self, context: Context, *, delay: timedelta) -> None:
        seconds = min(ceil(delay.total_seconds()), int(LONGEST_DELAY.total_seconds()))
        self._send(f"{context.meta.channel_type}-replies", context, DelaySeconds=seconds)

    def wake_sender(self, context: Context) -> None:
        self._send("sender", context)

    def wake_collector(self, context: Context) -> None:
        self._send("media", context)

    def hand_to_human(self, context: Context, *, reason: str) -> None:
        attribute = {"DataType": "String", "StringValue": _printable(reason)[:256] or "handed_off"}
        self._send("handoff", context, MessageAttributes={"reason": attribute})

    def _send(self, purpose: str, context: Context, **options: Any) -> None:
        with translated():
            self._sqs.send_message(QueueUrl=self._url(purpose), MessageBody=context.to_json(), **options)

    def _url(self, purpose: str) -> str:
        """A queue's URL has no part that could be computed for every endpoint, so it is asked for once."""
        if purpose not in self._urls:
            with translated():
                response = self._sqs.get_queue_url(QueueName=queue_name(purpose))
            self._urls[purpose] = response["QueueUrl"]
        return self._urls[purpose]


def _printable(text: str) -> str:
    """SQS refuses control characters and U+FFFE and U+FFFF in an attribute. Source: SQS API reference, SendMessage."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
