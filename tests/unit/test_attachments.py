"""Files of messages: fetched once, kept under a key that tells nothing, put into words, and never in the way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.attachments import gathered, note_key
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.model import AiSettings, Media, MediaKind, Waiting, media_key
from chalicelib.ports import File
from tests.twins import cast
from tests.twins.clock import TwinClock
from tests.twins.journal import TwinJournal
from tests.twins.media import TwinMediaSource, TwinMediaStore, TwinTranscriber
from tests.twins.secrets import TwinSecrets
from tests.twins.tenants import TwinTenants

PICTURE = Media("https://x/picture", "image/jpeg", kind=MediaKind.PICTURE)
VOICE = Media("https://x/voice", "audio/ogg", kind=MediaKind.VOICE)
CARD = Media("https://x/card", "text/vcard", kind=MediaKind.CONTACT)
DOCUMENT = Media("https://x/cv", "application/pdf", "cv.pdf", MediaKind.DOCUMENT)


class Desk:
    """Everything that gathering touches."""

    def __init__(self) -> None:
        self.clock = TwinClock()
        self.store = TwinMediaStore()
        self.source = TwinMediaSource()
        self.transcriber = TwinTranscriber()
        self.tenants = TwinTenants(self.clock)
        self.secrets = TwinSecrets(self.clock)
        self.journal = TwinJournal()
        self.tenants.put(cast.tenant())
        self.secrets.put(cast.TWILIO_SECRET, cast.TWILIO_VALUE)
        self.secrets.put(cast.OPENAI_SECRET, cast.OPENAI_VALUE)

    def gather(self, *media: Media, seconds: float = 10, **changes: Any) -> tuple[Media, ...]:
        return self.gather_of(cast.waiting(1, "", media=media), seconds=seconds, **changes)

    def gather_of(self, message: Waiting, *, seconds: float = 10, **changes: Any) -> tuple[Media, ...]:
        return gathered(
            cast.conversation(**changes),
            message,
            seconds=seconds,
            media_store=self.store,
            media_source=self.source,
            transcriber=self.transcriber,
            tenants=self.tenants,
            secrets=self.secrets,
            clock=self.clock,
            journal=self.journal,
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def key(index: int = 0) -> str:
    return media_key("ref-1", cast.message_id(1), index)


class TestWhatBecomesOfAFile:
    def test_it_is_kept_under_a_key_that_names_the_conversation_by_its_reference_only(self, desk: Desk) -> None:
        (found,) = desk.gather(PICTURE)
        assert found == replace(PICTURE, key=key())
        assert desk.store.files[key()] == File(b"https://x/picture", "image/jpeg")
        assert key().startswith("ref-1/")
        assert not {cast.PERSON.strip("+"), cast.message_id(1)} & set(key().split("/"))

    def test_each_file_of_a_message_has_a_key_of_its_own(self, desk: Desk) -> None:
        found = desk.gather(PICTURE, PICTURE)
        assert [each.key for each in found] == [key(0), key(1)]
        assert key(0) != key(1)

    def test_it_is_fetched_with_the_tenants_credentials(self, desk: Desk) -> None:
        desk.gather(PICTURE)
        assert [dict(each) for each in desk.source.secrets[0]] == [cast.TWILIO_VALUE]

    def test_it_is_fetched_and_heard_once(self, desk: Desk) -> None:
        first, again = desk.gather(VOICE), desk.gather(VOICE)
        assert first == again
        assert (len(desk.source.asked), len(desk.transcriber.heard)) == (1, 1)

    def test_what_is_collected_costs_nothing(self, desk: Desk) -> None:
        desk.store.is_down = True
        known = replace(PICTURE, key="ref-1/x")
        assert desk.gather(known) == (known,)
        assert desk.journal.lines == []

    def test_a_file_whose_keeper_died_before_the_note_is_not_fetched_again(self, desk: Desk) -> None:
        desk.store.put(key(), File(b"kept", "audio/ogg"))
        (found,) = desk.gather(VOICE)
        assert (found.words, desk.source.asked) == ("heard kept", [])

    def test_a_note_that_nobody_can_read_is_written_anew(self, desk: Desk) -> None:
        for broken in (b"", b"{", b"[]", b"null", b"{}"):
            desk.store.put(note_key(key()), File(broken, "application/json"))
            assert desk.gather(PICTURE)[0].key == key()


class TestWords:
    def test_a_voice_note_is_transcribed(self, desk: Desk) -> None:
        (found,) = desk.gather(VOICE)
        assert found == replace(VOICE, key=key(), words="heard https://x/voice")

    def test_a_contact_card_is_read(self, desk: Desk) -> None:
        desk.source.files["https://x/card"] = File(b"FN:Ada\nTEL:1\nEND:VCARD", "text/vcard")
        assert desk.gather(CARD)[0].words == "Ada, 1"

    @pytest.mark.parametrize("media", [PICTURE, DOCUMENT], ids=lambda media: media.kind)
    def test_other_files_are_not_put_into_words(self, desk: Desk, media: Media) -> None:
        assert desk.gather(media)[0].words is None
        assert desk.transcriber.heard == []

    def test_a_recording_that_is_refused_is_kept_without_words_for_good(self, desk: Desk) -> None:
        desk.transcriber.fails = [Refused("format_not_transcribed")]
        assert desk.gather(VOICE) == desk.gather(VOICE) == (replace(VOICE, key=key()),)
        assert len(desk.transcriber.heard) == 1

    @pytest.mark.parametrize(
        "failure", [TryAgain("busy"), Unconfirmed("no answer")], ids=lambda each: type(each).__name__
    )
    def test_a_recording_that_cannot_be_heard_now_is_heard_later(self, desk: Desk, failure: RelayError) -> None:
        desk.transcriber.fails = [failure]
        assert desk.gather(VOICE) == (VOICE,)
        assert desk.gather(VOICE)[0].words == "heard https://x/voice"
        assert len(desk.source.asked) == 1

    def test_the_conversations_own_key_speaks_for_it(self, desk: Desk) -> None:
        heard: list[Any] = []
        desk.transcriber.transcribe = lambda file, secrets, **_: heard.append(secrets) or "x"  # type: ignore[method-assign, func-returns-value]
        desk.secrets.put("own-key", {"ai_api_key": "sk-own"})
        desk.gather(VOICE, ai=AiSettings(api_key_reference="own-key"))
        assert [dict(each) for each in heard[0]] == [{"ai_api_key": "sk-own"}]

    def test_very_many_words_are_cut(self, desk: Desk) -> None:
        desk.source.files["https://x/voice"] = File(b"x" * 20_000, "audio/ogg")
        assert len(desk.gather(VOICE)[0].words or "") == 8_000


class TestWhatCannotBeHad:
    @pytest.mark.parametrize("code", ["gone", "too_large", "not_the_provider"])
    def test_what_will_never_be_had_is_noted_and_not_asked_for_again(self, desk: Desk, code: str) -> None:
        desk.source.fails = [Refused(code)]
        assert desk.gather(PICTURE) == desk.gather(PICTURE) == (replace(PICTURE, problem=code),)
        assert len(desk.source.asked) == 1

    def test_what_cannot_be_had_now_is_as_it_was_and_raises_nothing(self, desk: Desk) -> None:
        desk.source.fails = [TryAgain("busy")]
        assert desk.gather(PICTURE, VOICE)[0] == PICTURE
        assert [line.action for line in desk.journal.lines] == ["media_missing"]
        assert desk.gather(PICTURE)[0].key == key()

    def test_one_file_that_fails_keeps_no_other_from_being_collected(self, desk: Desk) -> None:
        desk.source.fails = [TryAgain("busy")]
        assert [each.is_collected for each in desk.gather(PICTURE, DOCUMENT)] == [False, True]

    def test_a_store_that_is_down_raises_nothing(self, desk: Desk) -> None:
        desk.store.is_down = True
        assert desk.gather(VOICE) == (VOICE,)

    @pytest.mark.parametrize(
        "content_type",
        ["text/html", "image/svg+xml", "application/x-msdownload", "application/zip", "TEXT/HTML; charset=x"],
    )
    def test_a_type_that_is_not_kept_is_not_even_fetched(self, desk: Desk, content_type: str) -> None:
        (found,) = desk.gather(replace(DOCUMENT, content_type=content_type))
        assert (found.problem, found.key, desk.source.asked) == ("type_not_kept", None, [])

    def test_a_file_of_another_type_than_was_said_is_judged_by_what_it_is(self, desk: Desk) -> None:
        desk.source.files["https://x/picture"] = File(b"<script>", "text/html")
        assert desk.gather(PICTURE)[0].problem == "type_not_kept"
        assert list(desk.store.files) == [note_key(key())]

    def test_nothing_of_a_person_is_logged(self, desk: Desk) -> None:
        desk.source.fails = [TryAgain("busy")]
        desk.gather(VOICE)
        assert cast.PERSON not in str(desk.journal.lines)
        assert "https://" not in str(desk.journal.lines)

    def test_later_files_get_what_is_left_of_the_time(self, desk: Desk) -> None:
        given: list[float] = []

        def slow(media: Media, secrets: Any, *, seconds: float) -> File:
            given.append(seconds)
            desk.clock.advance(timedelta(seconds=4))
            return File(b"x", media.content_type)

        desk.source.fetch = slow  # type: ignore[method-assign]
        desk.gather(PICTURE, PICTURE, PICTURE, PICTURE, seconds=10)
        assert given == [10, 6, 2, 0]
