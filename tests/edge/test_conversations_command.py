"""The operator opens conversations from a file, sees who waits, and looks into one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.__main__ import main
from tests.edge.stage import CONVERSATION, OWN, PERSON, STAGE, Stage, conversation_record

YAML = f"""
conversations:
  - primary_channel: "{PERSON}"
    conversation_id: "{CONVERSATION}"
    channel_method: whatsapp
    company_id: company-123
    credentials_reference: whatsapp-credentials/cucumber-recruitment/cv-analysis/twilio
    channel_config: {{company_whatsapp_number: "{OWN}"}}
    ai_config: {{api_key_reference: ai-credentials/cucumber-recruitment/openai}}
    messages: [{{role: assistant, content: "May we ask about your CV?"}}]
    project_data: {{score: 7.5}}
    created_at: 2026-11-20T09:00:00Z
    gsi_company: company-123
"""


def conversations(action: str, *more: str) -> int:
    return main(["conversations", action, "--stage", STAGE, *more])


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Any], str]:
    def made(content: Any) -> str:
        path = tmp_path / ("conversations.yaml" if isinstance(content, str) else "conversations.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return made


def test_a_record_as_the_outbound_engine_writes_it_comes_back_the_same(
    stage: Stage, file: Callable[[Any], str]
) -> None:
    record = conversation_record()
    assert conversations("put", file(record)) == 0
    assert stage.record() == record


def test_what_is_put_is_a_conversation_that_is_answered(stage: Stage, file: Callable[[Any], str], capsys: Any) -> None:
    assert conversations("put", file(YAML)) == 0
    assert f"opened {PERSON} {CONVERSATION}" in capsys.readouterr().out
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("read")
    assert len(stage.sent(PERSON)) == 1


def test_a_conversation_that_exists_is_left_as_it_is(stage: Stage, file: Callable[[Any], str], capsys: Any) -> None:
    stage.open()
    stage.write("Hello")
    before = stage.record()
    assert conversations("put", file(YAML)) == 1
    assert "left as it is" in capsys.readouterr().out
    assert stage.record() == before


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt field": (
        {"chanel_method": "sms"},
        "[1].chanel_method: there is no such field; do you mean channel_method?",
    ),
    "a field of ours": ({"received": 3}, "[1].received: there is no such field"),
    "an unknown channel": ({"channel_method": "fax"}, "it must be one of whatsapp, sms, email"),
    "a person with a channel": ({"primary_channel": "sms:+447700900101"}, "primary_channel has no channel before it"),
    "a number for a text": ({"primary_channel": 447700900101}, "[1].primary_channel: is not a text; put it in quotes"),
    "a word for a flag": ({"hand_off_to_human": "no"}, "it must be true or false"),
    "no time": ({"created_at": "yesterday"}, "it must be a time such as"),
    "a message without text": ({"messages": [{"role": "user"}]}, "[1].messages[0].content: is missing"),
    "a secret of the other kind": (
        {"ai_config": {"api_key_reference": "sms-credentials/x"}},
        "no function may read this",
    ),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_opened(
    stage: Stage, file: Callable[[Any], str], capsys: Any, change: dict[str, Any], words: str
) -> None:
    good = conversation_record(conversation_id="good")
    assert conversations("put", file([good, conversation_record() | change])) == 1
    assert words in capsys.readouterr().err
    assert stage.everything("conversations") == []


def test_who_waits_is_listed(stage: Stage, capsys: Any) -> None:
    assert conversations("list") == 0
    assert "nobody waits" in capsys.readouterr().out
    stage.open()
    stage.open("+447700900102", "answered")
    stage.write("Hello")
    capsys.readouterr()
    assert conversations("list") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    assert line.split()[1:] == ["ai", "1", "waiting", "user_reply_received", PERSON, CONVERSATION]


def test_a_persons_conversations_are_listed_whoever_waits(stage: Stage, capsys: Any) -> None:
    stage.open()
    stage.open(conversation_id="another", hand_off_to_human=True)
    assert conversations("list", "--person", PERSON) == 0
    owners = {line.split()[-1]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert owners == {CONVERSATION: "ai", "another": "human"}


def test_a_conversation_is_shown_without_its_texts_unless_they_are_asked_for(stage: Stage, capsys: Any) -> None:
    stage.open()
    stage.write("Xylophone")
    stage.work_off()
    stage.await_callbacks("read")
    capsys.readouterr()
    assert conversations("show", PERSON, CONVERSATION) == 0
    shown = capsys.readouterr().out
    assert "status: ai_response_sent" in shown
    assert "Xylophone" not in shown
    assert conversations("show", PERSON, CONVERSATION, "--texts") == 0
    assert "Xylophone" in capsys.readouterr().out


def test_a_conversation_that_is_not_there_is_told(stage: Stage, capsys: Any) -> None:
    assert conversations("show", PERSON, "no-such-conversation") == 1
    assert "there is no such conversation" in capsys.readouterr().err
