"""`python -m ops media`: what is kept of a conversation's files, and erasing it; and dead letters about files."""

import pytest

from ops.__main__ import main
from tests.edge.stage import CONVERSATION, PERSON, STAGE, Stage
from tests.edge.test_dead_letters import bury

VOICE = {"says": "I can start in March"}


def command(*options: str) -> int:
    return main(["media", *options, "--stage", STAGE])


@pytest.fixture
def kept(stage: Stage) -> Stage:
    """A conversation with a voice note that was answered, and another person's."""
    stage.open()
    stage.sends(files=[VOICE])
    stage.open("+447700900155", "another")
    stage.sends(files=[VOICE], **{"from": "whatsapp:+447700900155"})
    stage.work_off()
    assert len(stage.kept_files()) == 4
    return stage


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]


def test_the_keys_of_a_conversation_are_listed(kept: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert command("list", "--conversation", CONVERSATION) == 0
    *keys, summary = printed(capsys)
    assert set(keys) < set(kept.kept_files())
    assert summary == "2 objects, 1 messages of the history tell of them"


def test_nothing_is_erased_without_yes(kept: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    before, history = kept.kept_files(), kept.history()
    assert command("erase", "--conversation", CONVERSATION) == 0
    assert (kept.kept_files(), kept.history()) == (before, history)
    assert "dry run" in printed(capsys)[-1]


def test_files_notes_and_transcripts_of_one_conversation_are_erased(kept: Stage) -> None:
    assert command("erase", "--conversation", CONVERSATION, "--yes") == 0
    assert len(kept.kept_files()) == 2
    [media] = kept.history()[0]["media"]
    assert media["problem"] == "erased"
    assert not {"key", "words"} & set(media)
    assert "March" not in str(kept.history()[0])
    assert "March" in str(kept.history("another"))


def test_what_was_erased_is_not_collected_again(kept: Stage) -> None:
    command("erase", "--conversation", CONVERSATION, "--yes")
    kept.sends(files=[{"says": "or in April"}])
    kept.work_off()
    assert len(kept.kept_files()) == 2 + 2
    assert "[voice note that could not be transcribed]" in str(kept.engine_requests()[-1]["input"])


def test_files_are_erased_by_reference_too(kept: Stage) -> None:
    assert command("erase", "--reference", kept.record()["reference"], "--yes") == 0
    assert len(kept.kept_files()) == 2


def test_a_message_that_still_waits_is_told_of(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.open()
    stage.write("Hello")
    stage.work_off()
    stage.sends(files=[VOICE])
    stage.work_off("media")
    assert command("erase", "--conversation", CONVERSATION, "--yes") == 0
    assert any("still waits" in line for line in printed(capsys))
    assert stage.kept_files() == {}


def test_nothing_of_a_person_is_printed(kept: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    command("list", "--conversation", CONVERSATION)
    text = "\n".join(printed(capsys))
    assert PERSON not in text
    assert "March" not in text


def test_a_dead_letter_about_files_has_them_collected_again(stage: Stage) -> None:
    stage.open(hand_off_to_human=True)
    stage.twilio_fault("media_500", times=3)
    stage.sends(files=[VOICE])
    [body] = stage.taken_bodies("media")
    for attempt in (1, 2, 3):
        assert stage.fails("media", body, attempt=attempt)
    bury("media", body)
    assert main(["dlq", "redrive", "--stage", STAGE, "--queue", "media", "--yes"]) == 0
    stage.work_off()
    [media] = stage.history()[0]["media"]
    assert media["words"] == "I can start in March"
