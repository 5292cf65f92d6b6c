"""What happened, for people and machines: one JSON line for each action, and the metrics that follow from it."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

SERVICE = "ai-multi-comms-replies"
NAMESPACE = "AiMultiComms/Replies"

#: The metrics of each action: name, unit, and the field that holds the value, or None to count one.
METRICS: Mapping[str, tuple[tuple[str, MetricUnit, str | None], ...]] = {
    "message_recorded": (("MessagesReceived", MetricUnit.Count, None),),
    "message_reconciled": (("MessagesReconciled", MetricUnit.Count, None),),
    "message_duplicate": (("DuplicateMessages", MetricUnit.Count, None),),
    "webhook_rejected": (
        ("RejectedRequests", MetricUnit.Count, None),
        ("RejectedSignatures", MetricUnit.Count, "wrong_signature"),
    ),
    "fallback_sent": (("FallbacksSent", MetricUnit.Count, None),),
    "fallback_suppressed": (("FallbacksSuppressed", MetricUnit.Count, None),),
    "wakeup_dropped": (("WakeupsDropped", MetricUnit.Count, None),),
    "media_missing": (("FilesMissing", MetricUnit.Count, None),),
    "turn_started": (("Turns", MetricUnit.Count, None),),
    "turn_discarded": (("TurnsDiscarded", MetricUnit.Count, None),),
    "turn_failed": (("TurnsFailed", MetricUnit.Count, None),),
    "turn_refrained": (("TurnsRefrained", MetricUnit.Count, None),),
    "tokens_counted": (
        ("PercentOfDailyTokens", MetricUnit.Percent, "percent_of_day"),
        ("PercentOfMonthlyTokens", MetricUnit.Percent, "percent_of_month"),
    ),
    "apology_committed": (("Apologies", MetricUnit.Count, None),),
    "turn_committed": (
        ("TurnsCommitted", MetricUnit.Count, None),
        ("MessagesPerTurn", MetricUnit.Count, "messages"),
        ("EngineMilliseconds", MetricUnit.Milliseconds, "milliseconds"),
        ("InputTokens", MetricUnit.Count, "input_tokens"),
        ("OutputTokens", MetricUnit.Count, "output_tokens"),
        ("TasksCompleted", MetricUnit.Count, "completed"),
    ),
    "tool_used": (("ToolsUsed", MetricUnit.Count, None),),
    "tool_failed": (("ToolsFailed", MetricUnit.Count, None),),
    "tool_left_out": (("ToolsLeftOut", MetricUnit.Count, None),),
    "answer_sent": (
        ("AnswersSent", MetricUnit.Count, None),
        ("SecondsFromNewestMessageToAnswer", MetricUnit.Seconds, "seconds"),
    ),
    "answer_refused": (("AnswersRefused", MetricUnit.Count, None),),
    "template_offered": (("TemplatesOffered", MetricUnit.Count, None),),
    "answer_not_delivered": (("AnswersNotDelivered", MetricUnit.Count, None),),
    "answer_unconfirmed": (("AnswersUnconfirmed", MetricUnit.Count, None),),
    "answer_suppressed": (("AnswersSuppressed", MetricUnit.Count, None),),
    "answer_settled": (("AnswersSettled", MetricUnit.Count, None),),
    "handed_off": (("HandedOff", MetricUnit.Count, None),),
    "passed_to_human": (("PassedToHuman", MetricUnit.Count, None),),
    "rescue_woke": (("RescuesWoken", MetricUnit.Count, None),),
    "webhook_delayed": (("WebhooksDelayed", MetricUnit.Count, None),),
    "rescue_swept": (
        ("PeopleWaitingTooLong", MetricUnit.Count, "waiting"),
        ("OldestWaitSeconds", MetricUnit.Seconds, "oldest_seconds"),
    ),
}

#: What `failed` counts.
FAILED = "StagesFailed"


class PowertoolsJournal:
    """Writes through Powertools for AWS Lambda: JSON lines, and metrics in CloudWatch's embedded format."""

    def __init__(self, stage: str) -> None:
        self._logger = Logger(service=SERVICE, level="INFO", location=None)
        self._metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
        self._metrics_at_hand = Lock()
        self._stage = stage

    def __call__(self, action: str, message: str, **fields: object) -> None:
        known = {name: value for name, value in fields.items() if value is not None}
        self._logger.info(message, extra={"action": action, "stage": self._stage, **known})
        for name, unit, field in METRICS.get(action, ()):
            self._count(name, unit, 1 if field is None else known.get(field))

    def failed(self, stage: str, error: BaseException, *, message_id: str | None = None) -> None:
        """Our own bug: where it is and what kind it is. Its message is left out, because it may quote a person."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        extra = {"action": "stage_failed", "stage": self._stage, "failed": stage, "error": type(error).__name__}
        known = {"message_id": message_id} if message_id else {}
        self._logger.error("a stage failed", extra={**extra, **known, "at": places})
        self._count(FAILED, MetricUnit.Count, 1)

    def flush(self) -> None:
        """Writes the metrics of this invocation, if there are any."""
        with self._metrics_at_hand:
            if self._metrics.metric_set:
                self._metrics.add_dimension(name="stage", value=self._stage)
                self._metrics.flush_metrics()

    def _count(self, name: str, unit: MetricUnit, value: object) -> None:
        if isinstance(value, int | float):
            with self._metrics_at_hand:
                self._metrics.add_metric(name=name, unit=unit, value=float(value))
