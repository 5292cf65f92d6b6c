"""`python -m ops dlq` understands what it redrives."""

import json
from typing import Any

import boto3
import pytest

from ops.__main__ import main
from tests.edge.stage import STAGE, Stage


def bury(purpose: str, body: str) -> None:
    """A letter lies in the dead-letter queue."""
    sqs: Any = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=f"ai-multi-comms-{purpose}-queue-dlq-{STAGE}")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)


def dlq(action: str, *options: str) -> int:
    return main(["dlq", action, "--stage", STAGE, *options])


@pytest.fixture
def unanswered(stage: Stage) -> Stage:
    """A person waits, and the only wake-up is a dead letter."""
    stage.open()
    stage.write("Hello")
    [context] = stage.taken_bodies("whatsapp-replies")
    bury("whatsapp-replies", context)
    return stage


def test_the_queues_are_listed_with_what_lies_in_them(unanswered: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert dlq("list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    assert ["whatsapp-replies", "1"] in lines
    assert ["sender", "0"] in lines


def test_a_letter_of_somebody_who_still_waits_wakes_a_turn(unanswered: Stage) -> None:
    assert dlq("redrive", "--yes") == 0
    unanswered.work_off()
    assert len(unanswered.sent()) == 1


def test_without_yes_nothing_changes(unanswered: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    before = unanswered.all_that_is_written()
    assert dlq("redrive") == 0
    assert unanswered.all_that_is_written() == before
    out = capsys.readouterr().out
    assert "still waits" in out
    assert "dry run" in out
    assert dlq("redrive", "--yes") == 0
    assert sum(unanswered.queue_lengths().values()) == 1


def test_a_letter_of_somebody_who_was_answered_since_wakes_nobody(unanswered: Stage) -> None:
    unanswered.write("Are you there?")
    unanswered.work_off()
    assert dlq("redrive", "--yes") == 0
    unanswered.work_off()
    assert len(unanswered.sent()) == 1


def test_many_letters_of_one_conversation_wake_it_once(unanswered: Stage) -> None:
    unanswered.write("Hello?")
    for context in unanswered.taken_bodies("whatsapp-replies"):
        bury("whatsapp-replies", context)
    assert dlq("redrive", "--yes") == 0
    assert unanswered.queue_lengths()["whatsapp-replies"] == 1


def test_a_conversation_that_a_human_took_meanwhile_goes_to_the_human(unanswered: Stage) -> None:
    unanswered.change(hand_off_to_human=True)
    assert dlq("redrive", "--yes") == 0
    assert [context["message"]["body"] for context in unanswered.taken("handoff")] == ["Hello"]
    assert unanswered.queue_lengths()["whatsapp-replies"] == 0


def test_what_nobody_can_read_stays_until_it_is_dropped(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    bury("sender", "not a context object")
    assert dlq("redrive", "--yes") == 0
    assert "not a context object" in capsys.readouterr().out
    assert dlq("redrive", "--yes", "--drop-unreadable") == 0
    capsys.readouterr()
    assert dlq("show") == 0
    assert "no dead letters" in capsys.readouterr().out


def test_a_letter_for_people_is_put_back_whole(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.write("Hello")
    [context] = stage.taken_bodies("handoff")
    bury("handoff", context)
    assert dlq("redrive", "--yes") == 0
    assert stage.taken("handoff") == [json.loads(context)]


def test_nothing_that_a_person_wrote_is_shown(unanswered: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert dlq("show") == 0
    out = capsys.readouterr().out
    assert "Hello" not in out
    assert "4477" not in out
