"""What people send beside text, through the whole application: fetched, kept, transcribed, and told to the AI."""

import base64
import json

import pytest

from chalicelib.errors import TryAgain
from chalicelib.wiring import relay
from tests.edge.stage import ACCOUNT, TOKEN, Stage

PIXEL = base64.b64encode(b"\x89PNG not really").decode()
PICTURE = {"content": PIXEL, "content_type": "image/png"}
DOCUMENT = {"content": base64.b64encode(b"%PDF-1.7").decode(), "content_type": "application/pdf", "name": "cv.pdf"}
VOICE = {"says": "I can start in March"}


@pytest.fixture
def open_stage(stage: Stage) -> Stage:
    stage.open()
    return stage


def asked(stage: Stage) -> list[str]:
    """What the AI was told of the person's newest turn."""
    return [_text(message) for message in stage.engine_requests()[-1]["input"] if message["role"] == "user"]


def _text(message: dict[str, object]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "\n".join(part.get("text", "") for part in content)


def notes(stage: Stage) -> list[dict[str, object]]:
    return [json.loads(body) for key, (_, body) in stage.kept_files().items() if key.endswith(".json")]


def files(stage: Stage) -> list[tuple[str, bytes]]:
    return [file for key, file in stage.kept_files().items() if not key.endswith(".json")]


class TestTheWayOfAFile:
    def test_a_voice_note_is_kept_transcribed_and_told_to_the_ai(self, open_stage: Stage) -> None:
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        assert [kind for kind, _ in files(open_stage)] == ["audio/ogg"]
        assert notes(open_stage) == [{"kept": True, "words": "I can start in March", "problem": None}]
        assert asked(open_stage)[-1] == "[voice note: I can start in March]"

    def test_the_history_knows_where_it_is_and_what_it_says(self, open_stage: Stage) -> None:
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        [media] = open_stage.history()[0]["media"]
        assert media["words"] == "I can start in March"
        assert media["key"] in open_stage.kept_files()
        assert media["key"].startswith(open_stage.record()["reference"] + "/")

    def test_a_picture_is_kept_as_it_was_sent_though_twilio_redirects(self, open_stage: Stage) -> None:
        open_stage.sends(body="my certificate", files=[PICTURE])
        open_stage.work_off()
        assert files(open_stage) == [("image/png", b"\x89PNG not really")]
        assert asked(open_stage)[-1].startswith("my certificate")

    def test_it_outlives_what_the_provider_keeps(self, open_stage: Stage) -> None:
        open_stage.sends(files=[DOCUMENT])
        url = open_stage.record()["waiting"][0]["media"][0]["url"]
        open_stage.work_off()
        assert open_stage.http.delete(url, auth=(ACCOUNT, TOKEN), timeout=5).status_code == 204
        assert files(open_stage) == [("application/pdf", b"%PDF-1.7")]

    def test_a_contact_card_is_read(self, open_stage: Stage) -> None:
        open_stage.sends(contact={"name": "Ada Lovelace", "number": "+447700900155"})
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[contact card: Ada Lovelace, +447700900155]"

    def test_a_human_finds_file_and_transcript_in_the_history(self, open_stage: Stage) -> None:
        open_stage.change(hand_off_to_human=True)
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        [told] = open_stage.taken("handoff")
        [media] = open_stage.history()[0]["media"]
        assert (media["words"], media["key"]) == ("I can start in March", told["message"]["media"][0]["key"])

    def test_several_files_of_a_burst_are_all_there_before_the_ai_is_asked(self, open_stage: Stage) -> None:
        open_stage.sends(files=[VOICE])
        open_stage.sends(files=[{"says": "or in April"}])
        open_stage.work_off()
        assert asked(open_stage)[-2:] == ["[voice note: I can start in March]", "[voice note: or in April]"]
        assert len(open_stage.engine_requests()) == 1


class TestTrouble:
    @pytest.mark.parametrize("fault", ["media_500", "media_breaks_off"])
    def test_a_provider_that_fails_once_is_asked_again(self, open_stage: Stage, fault: str) -> None:
        open_stage.twilio_fault(fault)
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[voice note: I can start in March]"

    @pytest.mark.parametrize("fault", ["media_gone", "media_elsewhere"])
    def test_a_file_that_cannot_be_had_leaves_a_note_and_an_answer(self, open_stage: Stage, fault: str) -> None:
        open_stage.twilio_fault(fault)
        open_stage.sends(body="look", files=[PICTURE])
        open_stage.work_off()
        assert asked(open_stage)[-1].startswith("look\n[picture that could not be read")
        assert len(open_stage.sent()) == 1
        assert files(open_stage) == []

    def test_a_transcription_that_fails_once_is_asked_for_again(self, open_stage: Stage) -> None:
        open_stage.openai_fault("transcription_fails")
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[voice note: I can start in March]"

    def test_a_transcription_that_fails_for_good_leaves_a_note_once_the_burst_is_over(self, open_stage: Stage) -> None:
        open_stage.openai_fault("transcription_fails", times=100)
        open_stage.sends(files=[VOICE])
        open_stage.minutes_pass(2)
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[voice note that could not be transcribed]"
        assert len(open_stage.sent()) == 1

    def test_a_recording_in_which_nobody_speaks_is_one_that_says_nothing(self, open_stage: Stage) -> None:
        open_stage.openai_fault("transcription_empty")
        open_stage.sends(files=[VOICE])
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[voice note that could not be transcribed]"

    def test_a_recording_in_a_format_that_openai_does_not_take_is_kept(self, open_stage: Stage) -> None:
        open_stage.sends(files=[{**PICTURE, "content_type": "audio/amr"}])
        open_stage.work_off()
        assert files(open_stage) == [("audio/amr", b"\x89PNG not really")]
        assert asked(open_stage)[-1] == "[voice note that could not be transcribed]"


class TestWhatIsNoFile:
    def test_a_location(self, open_stage: Stage) -> None:
        open_stage.sends(location={"latitude": 51.5, "longitude": -0.1, "label": "Office"})
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[location: 51.5, -0.1, Office]"

    def test_a_button(self, open_stage: Stage) -> None:
        open_stage.sends(button={"text": "Yes, please", "payload": "yes"})
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[chose: Yes, please (id: yes)]"

    def test_a_line_of_a_list(self, open_stage: Stage) -> None:
        open_stage.sends(choice={"id": "slot-2", "title": "Tuesday"})
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[chose: Tuesday (id: slot-2)]"

    def test_a_forwarded_message(self, open_stage: Stage) -> None:
        open_stage.sends(body="We are closed", forwarded=True)
        open_stage.work_off()
        assert asked(open_stage)[-1] == "[forwarded]\nWe are closed"

    def test_a_reply_quotes_what_we_wrote(self, open_stage: Stage) -> None:
        open_stage.sends(body="Hello")
        open_stage.work_off()
        [sent] = open_stage.sent()
        open_stage.sends(body="this?", reply_to=sent["sid"])
        open_stage.work_off()
        first, _, rest = asked(open_stage)[-1].partition("\n")
        assert first.startswith("[in reply to: “")
        assert rest == "this?"

    def test_a_reaction_wakes_nobody_and_is_seen_by_the_next_turn(self, open_stage: Stage) -> None:
        open_stage.sends(body="Hello")
        open_stage.work_off()
        [sent] = open_stage.sent()
        open_stage.change(messages=[])
        open_stage.sends(reaction={"emoji": "🎉", "to": sent["sid"]})
        woken = open_stage.work_off()
        open_stage.sends(body="and?")
        open_stage.work_off()
        told = asked(open_stage)
        if "?" not in sent["body"]:
            assert woken == []
            assert told[-2].startswith("[reacted 🎉 to: “")
        assert told[-1] == "and?"


class TestTheStore:
    def test_files_are_erased_by_conversation(self, open_stage: Stage) -> None:
        open_stage.sends(files=[VOICE, PICTURE])
        open_stage.work_off()
        store = relay().media_store
        prefix = open_stage.record()["reference"] + "/"
        keys = list(store.keys(prefix))
        assert len(keys) == 4
        assert list(store.keys("nobody/")) == []
        store.erase(keys)
        assert open_stage.kept_files() == {}
        store.erase(keys)

    def test_a_bucket_that_is_not_there_is_no_reason_to_stay_silent(
        self, open_stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MEDIA_BUCKET", "no-such-bucket")
        relay.cache_clear()
        open_stage.policies = {}
        open_stage.sends(files=[VOICE])
        open_stage.minutes_pass(2)
        open_stage.work_off()
        assert len(open_stage.sent()) == 1
        with pytest.raises(TryAgain):
            relay().media_store.get("x")
