"""A stand-in for the APIs of OpenAI: checks requests alike, answers from a deterministic mind."""

import argparse
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from local.faults import Fault, Faults, fault_routes
from local.mind import Call, Say, think
from local.openai_assistants import Assistants
from local.openai_audio import Audio
from local.openai_checks import Checks
from local.openai_conversations import LOCKED, Conversations, name_of
from local.openai_requests import MODELS, RequestError, checked
from local.openai_wire import Json, beginning, function_call, item, message, new_id, tokens
from local.serving import hang_up, hold, serve

PORT = 4568
THINK_SECONDS = 0.6
HOLD_SECONDS = 60.0  # of a timeout, unless the fault says otherwise
SLOW_SECONDS = 5.0
KEPT_REQUESTS = 200

_REFUSALS: dict[str, RequestError] = {
    "http_401": RequestError(
        "Incorrect API key provided.",
        code="invalid_api_key",
        status=HTTPStatus.UNAUTHORIZED,
    ),
    "http_429": RequestError(
        "Rate limit reached. Please try again in 1s.",
        code="rate_limit_exceeded",
        type="requests",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    ),
    "insufficient_quota": RequestError(
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        type="insufficient_quota",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    ),
    "http_500": RequestError(
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    ),
    "conversation_locked": LOCKED,
}
_NO_KEY = RequestError(
    "You didn't provide an API key. Send it in an Authorization header with Bearer auth.",
    status=HTTPStatus.UNAUTHORIZED,
)


@dataclass
class ResponsesApi:
    """The routes of responses and models."""

    faults: Faults
    think_seconds: float
    conversations: Conversations
    received: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def routes(self) -> Blueprint:
        routes = Blueprint("responses", __name__)
        routes.post("/v1/responses")(self.create)
        routes.get("/v1/models")(_models)
        routes.get("/v1/models/<model>")(_model)
        return routes

    def create(self) -> ResponseReturnValue:
        body = request.get_json(silent=True)
        if isinstance(body, dict):
            self.received.append(body)
        fault = self.faults.take(KINDS)
        if fault and fault.kind in _REFUSALS:
            raise _REFUSALS[fault.kind]
        if fault and fault.kind == "timeout":
            hold(_seconds(fault, HOLD_SECONDS))
            return hang_up()
        return self._respond(body, fault)

    def _respond(self, body: Any, fault: Fault | None) -> ResponseReturnValue:
        with self.conversations.locked(name_of(body) if isinstance(body, dict) else None) as conversation:
            before = list(conversation.items) if conversation else []
            body = checked(body, before)
            hold(_seconds(fault, SLOW_SECONDS) if fault and fault.kind == "slow" else self.think_seconds)
            outcome = _OUTCOMES[fault.kind if fault else "answer"](_heard(body, before))
            if conversation and isinstance(outcome, dict) and outcome["status"] != "failed":
                self.conversations.remember(conversation, body, outcome["output"])
        if fault and fault.kind == "answer_lost":
            return hang_up()
        return jsonify(outcome) if isinstance(outcome, dict) else outcome


@dataclass
class Requests:
    """`/_requests`: the bodies that asked for a response, and every call under `/v1` in the order of its coming."""

    responses: deque[Json]
    calls: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def routes(self) -> Blueprint:
        routes = Blueprint("requests", __name__)
        routes.get("/_requests")(lambda: {"requests": list(self.responses), "calls": list(self.calls)})
        routes.delete("/_requests")(self.forget)
        return routes

    def keep(self) -> None:
        if request.path.startswith("/v1/"):
            body = request.get_json(silent=True) if request.is_json else None
            self.calls.append({"method": request.method, "path": request.path, "body": body})

    def forget(self) -> ResponseReturnValue:
        self.responses.clear()
        self.calls.clear()
        return "", HTTPStatus.NO_CONTENT


def create_app(think_seconds: float = THINK_SECONDS) -> Flask:
    """The stand-in as a Flask app with a memory of its own."""
    app = Flask(__name__)
    faults = Faults(KINDS | Assistants.KINDS | Audio.KINDS | Checks.KINDS)
    api = ResponsesApi(faults, think_seconds, Conversations())
    kept, assistants = Requests(api.received), Assistants(faults)
    app.before_request(_authenticate)
    app.before_request(kept.keep)
    for part in (api, api.conversations, assistants, Audio(faults), Checks(faults)):
        app.register_blueprint(part.routes())
    for control in (kept.routes(), assistants.control_routes(), fault_routes(faults)):
        app.register_blueprint(control)
    app.register_error_handler(RequestError, _refusal)
    app.register_error_handler(HTTPStatus.NOT_FOUND, _unknown_url)
    return app


def main(argv: list[str]) -> int:
    """`python -m local openai`: serves until a signal. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local openai", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--think-seconds", type=float, default=THINK_SECONDS, help="time for an answer (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    return serve(create_app(options.think_seconds), "openai", options.port)


# --- outcomes: what a checked request comes to


def _answer(body: Json) -> Json:
    thought = think(body)
    if isinstance(thought, Call):
        return _response(body, [function_call(thought)])
    return _say(body, thought)


def _say(body: Json, thought: Say) -> Json:
    limit = body.get("max_output_tokens")
    if limit is not None and tokens(thought.text) > limit:
        return _cut_off(body, beginning(thought.text, limit))
    return _response(body, [message(thought.text)])


def _incomplete(body: Json) -> Json:
    thought = think(body)
    text = thought.text if isinstance(thought, Say) else ""
    return _cut_off(body, text[: len(text) // 2])


def _cut_off(body: Json, text: str) -> Json:
    return _response(
        body,
        [message(text, status="incomplete")],
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    )


def _failed(body: Json) -> Json:
    error = {"code": "server_error", "message": "An error occurred while processing your request."}
    return _response(body, [], status="failed", error=error)


def _refuse(body: Json) -> Json:
    refusal = {"type": "refusal", "refusal": "I'm sorry, but I cannot help with that."}
    return _response(body, [item("message", "msg", role="assistant", content=[refusal])])


def _say_nothing(body: Json) -> Json:
    return _response(body, [])


def _garbage(_: Json) -> Response:
    return Response('{"id": "resp_', mimetype="application/json")


def _call_unknown_tool(body: Json) -> Json:
    return _response(body, [function_call(Call("launch_the_rocket", '{"countdown": 3}'))])


_OUTCOMES: dict[str, Callable[[Json], Json | Response]] = {
    "answer": _answer,
    "slow": _answer,
    "answer_lost": _answer,
    "incomplete": _incomplete,
    "failed": _failed,
    "refusal": _refuse,
    "empty": _say_nothing,
    "garbage": _garbage,
    "call_unknown_tool": _call_unknown_tool,
}
KINDS = (_OUTCOMES.keys() | _REFUSALS.keys() | {"timeout"}) - {"answer"}


# --- what goes over the wire


def _response(body: Json, output: list[Json], **outcome: object) -> Json:
    """The Response object: what was asked for comes back with its defaults, then the outcome."""
    now = time.time()
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(now),
        "completed_at": None if outcome else int(now),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        **{name: body.get(name, default) for name, default in _ECHOED.items()},
        "conversation": {"id": name_of(body)} if name_of(body) else None,
        "tools": [{"strict": True, **tool} for tool in body.get("tools") or []],
        "output": output,
        "usage": _usage(body, output),
        **outcome,
    }


def _heard(body: Json, before: list[Json]) -> Json:
    """The request with everything that its conversation holds before its own input."""
    given = body["input"]
    own = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return {**body, "input": [*before, *own]} if before else body


_ECHOED: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def _usage(body: Json, output: list[Json]) -> Json:
    asked = tokens(str(body.get("input"))) + tokens(body.get("instructions") or "")
    said = sum(tokens(_written(item)) for item in output)
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }


def _written(item: Json) -> str:
    parts = item.get("content", [])
    return str(item.get("arguments", "")) + "".join(part.get("text") or part["refusal"] for part in parts)


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds


def _authenticate() -> None:
    if not request.path.startswith("/v1/"):
        return
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _NO_KEY


def _models() -> ResponseReturnValue:
    return {"object": "list", "data": [_model_resource(model) for model in MODELS]}


def _model(model: str) -> ResponseReturnValue:
    if model not in MODELS:
        raise RequestError(
            f"The model '{model}' does not exist or you do not have access to it.",
            code="model_not_found",
            param="model",
            status=HTTPStatus.NOT_FOUND,
        )
    return _model_resource(model)


def _model_resource(model: str) -> Json:
    return {
        "id": model,
        "object": "model",
        "created": 1_780_000_000,
        "owned_by": "openai",
        "shutdown_date": MODELS[model],
    }


def _refusal(error: RequestError) -> ResponseReturnValue:
    headers = {"x-request-id": new_id("req")}
    if error.code == "rate_limit_exceeded":
        headers["retry-after"] = "1"
    return error.as_json(), error.status, headers


def _unknown_url(_: Exception) -> ResponseReturnValue:
    return _refusal(RequestError(f"Invalid URL ({request.method} {request.path})", status=HTTPStatus.NOT_FOUND))
