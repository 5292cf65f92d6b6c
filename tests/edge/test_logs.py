"""What the application says while it works: one JSON object a line, metrics beside them, and nothing of a person."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.journal import SERVICE
from chalicelib.wiring import relay
from tests import signing
from tests.edge.stage import (
    API_KEY,
    CONVERSATION,
    OTHER_TOKEN,
    OWN,
    PERSON,
    STRANGER,
    TEXTER,
    TOKEN,
    Stage,
    form_of,
    payload,
)

Lines = Callable[[], list[dict[str, Any]]]

#: Words that occur nowhere but in what people write.
SECRET_WORDS = ("Xylophone", "Quagmire", "Zephyrine", "amara@example.com")

FORBIDDEN = (
    *SECRET_WORDS,
    *(number.lstrip("+") for number in (PERSON, TEXTER, STRANGER, OWN)),
    "7700900",
    TOKEN,
    OTHER_TOKEN,
    API_KEY,
    CONVERSATION,
    "51.5",
    "/Media/",
    "_media",
    "pi-aaa-001",
    "Traceback",
)

#: What an operator counts, and the action that it is counted with.
METRICS = {
    "MessagesReceived",
    "DuplicateMessages",
    "RejectedRequests",
    "RejectedSignatures",
    "FallbacksSent",
    "FallbacksSuppressed",
    "WakeupsDropped",
    "Turns",
    "TurnsFailed",
    "TurnsCommitted",
    "MessagesPerTurn",
    "EngineMilliseconds",
    "InputTokens",
    "OutputTokens",
    "AnswersSent",
    "SecondsFromNewestMessageToAnswer",
    "AnswersRefused",
    "AnswersUnconfirmed",
    "AnswersSuppressed",
    "AnswersSettled",
    "HandedOff",
    "PassedToHuman",
    "PeopleWaitingTooLong",
    "StagesFailed",
    "FilesMissing",
}

#: What the issue names for each stage.
ACTIONS = {
    "message_recorded",
    "message_duplicate",
    "turn_woken",
    "webhook_rejected",
    "passed_to_human",
    "unknown_sender",
    "fallback_sent",
    "fallback_suppressed",
    "wakeup_dropped",
    "turn_started",
    "turn_committed",
    "turn_failed",
    "handed_off",
    "answer_claimed",
    "part_posted",
    "answer_sent",
    "answer_refused",
    "answer_unconfirmed",
    "answer_suppressed",
    "status_received",
    "rescue_swept",
    "answer_settled",
    "media_collected",
    "media_missing",
    "turn_waits_for_files",
    "reaction_kept",
}


class StdoutNow:
    """Whatever stdout is when something is written, as long as a test listens; a logger keeps the one it met first."""

    listening = True

    def write(self, text: str) -> int:
        return sys.stdout.write(text) if self.listening else 0

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def captured(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Everything that the application writes from now on."""
    assert relay().journal
    stdout = StdoutNow()
    for handler in logging.getLogger(SERVICE).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = stdout
    yield capsys
    stdout.listening = False


@pytest.fixture
def raw_lines(captured: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """What went to stdout since it was asked last, line by line."""
    return lambda: captured.readouterr().out.splitlines()


@pytest.fixture
def lines(raw_lines: Callable[[], list[str]]) -> Lines:
    return lambda: [json.loads(line) for line in raw_lines()]


def everything_happens(stage: Stage) -> None:
    """A day with an exchange on each channel, and everything that can go wrong."""
    stage.open()
    stage.open(TEXTER, "b", channel_method="sms", recipient_email="amara@example.com")
    sid = stage.write("Xylophone, write to amara@example.com")
    stage.write("Xylophone, write to amara@example.com", sid=sid)
    stage.write("Quagmire")
    stage.work_off()
    stage.await_callbacks("read")
    stage.payload("whatsapp_document")
    stage.twilio_fault("accept_then_timeout", seconds=0.01)
    stage.work_off()
    stage.await_callbacks("read")
    _files(stage)
    _fail_at_every_door(stage)
    _strangers(stage)
    stage.write("Zephyrine", person=TEXTER, sms=True)
    stage.twilio_fault("refuse", code=21610)
    stage.work_off()
    stage.write("Xylophone again")
    stage.openai_fault("insufficient_quota")
    stage.work_off()
    stage.sweep()


def _fail_at_every_door(stage: Stage) -> None:
    _, body = form_of("Zephyrine", person=PERSON)
    for spoil in signing.SPOILED.values():
        stage.post("/whatsapp", body, spoil=spoil)
    stage.post("/whatsapp", b"Body=Quagmire%0A%7B%22level%22%3A+%22forged%22%7D&From=x&To=y")
    stage.post("/whatsapp", body, token=OTHER_TOKEN)
    stage.webhook('Xylophone\n{"level":"ERROR","forged":true}\r\n', ProfileName="Zephyrine\nnew line")
    stage.post("/status/Xylophone%0A7700900101", payload("status_whatsapp_read"))
    for purpose in ("whatsapp-replies", "sender"):
        stage.fails(purpose, '{"meta": "Quagmire", "message": {"from": "+447700900101"}}')
    stage.work_off()


def _files(stage: Stage) -> None:
    document = {"content": "WHlsb3Bob25l", "content_type": "application/pdf", "name": "Quagmire.pdf"}
    stage.twilio_fault("media_500")
    stage.openai_fault("transcription_fails")
    stage.sends(body="Zephyrine", files=[{"says": "Xylophone"}, document, {**document, "content_type": "text/html"}])
    stage.work_off("whatsapp-replies")
    stage.sends(contact={"name": "Zephyrine", "number": STRANGER})
    stage.sends(location={"latitude": 51.5, "longitude": -0.1, "label": "Quagmire"})
    stage.work_off()
    stage.sends(reaction={"emoji": "👍", "to": "SMofnobody"})
    stage.work_off()


def _strangers(stage: Stage) -> None:
    for _ in range(2):
        stage.webhook("Zephyrine", person=STRANGER)


def _suppressed(stage: Stage) -> None:
    stage.write("Quagmire")
    stage.work_off("whatsapp-replies")
    stage.change(hand_off_to_human=True)
    stage.work_off()
    stage.change(hand_off_to_human=False)


@pytest.fixture
def day(stage: Stage, captured: pytest.CaptureFixture[str], kept: list[tuple[list[str], str]]) -> list[str]:
    """Every line of a day on which everything happens, written to stdout; it is lived through once."""
    if not kept:
        stage.open(STRANGER, "closed", conversation_status="closed")
        everything_happens(stage)
        stage.open()
        _suppressed(stage)
        _bug(stage)
        said = captured.readouterr()
        kept.append((said.out.splitlines(), said.err))
    return kept[0][0]


@pytest.fixture(scope="module")
def kept() -> list[tuple[list[str], str]]:
    """What was written to stdout and to stderr on that day."""
    return []


def test_nothing_of_a_person_and_no_secret_is_ever_logged(day: list[str]) -> None:
    text = "\n".join(day)
    assert [word for word in FORBIDDEN if word in text] == []


def test_every_line_is_a_json_object(day: list[str]) -> None:
    assert len(day) > 50
    assert all(isinstance(json.loads(line), dict) for line in day)


def test_every_line_that_is_no_metric_says_what_happened(day: list[str]) -> None:
    wanted = {"level", "message", "timestamp", "service", "action", "stage"}
    lines = [json.loads(line) for line in day]
    assert [line for line in lines if "_aws" not in line and not wanted <= set(line)] == []


def test_every_action_of_the_pipeline_is_logged(day: list[str]) -> None:
    actions = {json.loads(line).get("action") for line in day}
    assert ACTIONS - actions == set()


def test_every_metric_of_the_pipeline_is_counted(day: list[str]) -> None:
    metrics = {each["Name"] for line in day for each in _metrics_of(json.loads(line))}
    assert METRICS - metrics == set()


def test_nothing_is_written_to_stderr(day: list[str], kept: list[tuple[list[str], str]]) -> None:
    assert kept[0][1] == ""


def test_metrics_are_counted_under_one_namespace_by_stage_and_service(stage: Stage, lines: Lines) -> None:
    stage.open()
    stage.write("Hello")
    [metric] = [line for line in lines() if "_aws" in line]
    [definition] = metric["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "AiMultiComms/Replies"
    assert set(definition["Dimensions"][0]) == {"stage", "service"}
    assert (metric["stage"], metric["MessagesReceived"]) == ("dev", [1.0])


def test_one_conversation_can_be_followed_through_all_stages(stage: Stage, lines: Lines) -> None:
    stage.open()
    sid = stage.write("Hello")
    stage.work_off()
    said = [line for line in lines() if "action" in line]
    [reference] = {line["conversation"] for line in said if "conversation" in line}
    assert [line["action"] for line in said if line.get("conversation") == reference] == [
        "message_recorded",
        "turn_woken",
        "turn_started",
        "turn_committed",
        "answer_claimed",
        "part_posted",
        "answer_sent",
    ]
    assert said[0]["message_id"] == sid
    assert reference == stage.record()["reference"]


def test_a_bug_of_ours_is_logged_by_its_place_and_kind_alone(stage: Stage, lines: Lines) -> None:
    _bug(stage)
    [failed] = [line for line in lines() if line.get("action") == "stage_failed"]
    assert failed["level"] == "ERROR"
    assert any(place.startswith("conversations.py:") for place in failed["at"])
    assert "exception" not in failed


def test_the_message_of_an_exception_is_left_out_because_it_may_quote_a_person(
    stage: Stage, raw_lines: Callable[[], list[str]]
) -> None:
    relay().journal.failed("webhook", ValueError(f"Xylophone {PERSON}"))
    [line] = raw_lines()
    assert "ValueError" in line
    assert [word for word in FORBIDDEN if word in line] == []


def _bug(stage: Stage) -> None:
    """Something that nobody foresaw: the table of conversations is not there."""
    patch = pytest.MonkeyPatch()
    stage.policies = {}
    patch.setenv("CONVERSATIONS_TABLE", "there-is-no-such-table")
    relay.cache_clear()
    stage.webhook("Quagmire")
    patch.undo()
    relay.cache_clear()


def _metrics_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    directives = line.get("_aws", {}).get("CloudWatchMetrics", [])
    return [metric for directive in directives for metric in directive["Metrics"]]
