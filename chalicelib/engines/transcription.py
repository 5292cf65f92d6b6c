"""Voice notes in words, through OpenAI's transcriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.engines.openai_api import OpenAi
from chalicelib.errors import Refused, TryAgain
from chalicelib.ports import File, Secret

DEFAULT_MODEL = "gpt-transcribe"

#: The ending by which OpenAI knows the format of a recording. Source: OpenAI, "Create transcription", `file`.
_ENDINGS: Mapping[str, str] = {
    "audio/ogg": "ogg",  # WhatsApp's voice notes
    "application/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/webm": "webm",
    "audio/flac": "flac",
}


def build(*, base_url: str | None) -> "Transcription":
    return Transcription(OpenAi(base_url))


@dataclass(frozen=True, slots=True)
class Transcription:
    """Asks OpenAI what is said in a recording."""

    openai: OpenAi

    def transcribe(self, file: File, secrets: Sequence[Secret], *, model: str | None, seconds: float) -> str:
        """Raises Refused for a format that OpenAI does not take, and what `of_error` makes of OpenAI's errors."""
        ending = _ENDINGS.get(file.content_type.partition(";")[0].strip().lower())
        if ending is None:
            raise Refused("format_not_transcribed", "recordings of this format cannot be transcribed")
        if seconds <= 0:
            raise TryAgain("there is no time left for a transcript")
        recording = (f"voice.{ending}", file.content, file.content_type)
        session = self.openai.session(secrets)
        heard = session.call(
            "audio.transcriptions.create", at_most=seconds, model=model or DEFAULT_MODEL, file=recording
        )
        return str(heard.text).strip()
