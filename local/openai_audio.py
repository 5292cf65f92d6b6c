"""What the OpenAI stand-in hears in recordings: the words of our own voice notes, a count of bytes in any other."""

from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from local.faults import Faults
from local.openai_requests import RequestError
from local.recording import words_in
from local.serving import hang_up, hold

#: Source: the official Python SDK 3.54, AudioModel; those that are switched off on 2027-02-26 still answer.
MODELS = (
    "gpt-transcribe",
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)

#: Source: OpenAI, "Create transcription", `file`.
FORMATS = frozenset({"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"})
LARGEST = 25 * 1024 * 1024  # bytes

HOLD_SECONDS = 60.0
_BROKEN = RequestError(
    "The server had an error while processing your request. Sorry about that!",
    type="server_error",
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
)


@dataclass
class Audio:
    """The route of transcriptions."""

    faults: Faults
    KINDS = frozenset({"transcription_fails", "transcription_hangs", "transcription_empty"})

    def routes(self) -> Blueprint:
        routes = Blueprint("audio", __name__)
        routes.post("/v1/audio/transcriptions")(self.transcribe)
        return routes

    def transcribe(self) -> ResponseReturnValue:
        fault = self.faults.take(self.KINDS)
        if fault and fault.kind == "transcription_fails":
            raise _BROKEN
        if fault and fault.kind == "transcription_hangs":
            hold(HOLD_SECONDS if fault.seconds is None else fault.seconds)
            return hang_up()
        recording = _recording()
        text = words_in(recording) or f"A recording of {len(recording)} bytes."
        return {"text": "" if fault else text}


def _recording() -> bytes:
    """The recording of a request that OpenAI would accept. Raises RequestError for any other."""
    model, file = request.form.get("model"), request.files.get("file")
    if not model:
        raise RequestError("you must provide a model parameter")
    if model not in MODELS:
        raise RequestError(
            f"The model '{model}' does not exist.", code="model_not_found", param="model", status=HTTPStatus.NOT_FOUND
        )
    if file is None:
        raise RequestError("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    if (file.filename or "").rpartition(".")[2].lower() not in FORMATS:
        raise RequestError(f"Invalid file format. Supported formats: {sorted(FORMATS)}", param="file")
    content: bytes = file.read()
    if not content:
        raise RequestError("Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short")
    if len(content) > LARGEST:
        raise RequestError("Maximum content size limit exceeded", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return content
