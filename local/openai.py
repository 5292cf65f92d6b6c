"""A stand-in for the Responses API of OpenAI: checks requests alike, answers from a deterministic mind."""

import argparse
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from flask import Blueprint, Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from local.faults import Fault, Faults, fault_routes
from local.mind import Call, Say, think
from local.openai_requests import MODELS, RequestError, checked
from local.serving import hang_up, hold, serve

PORT = 4568
THINK_SECONDS = 0.6
HOLD_SECONDS = 60.0  # of a timeout, unless the fault says otherwise
SLOW_SECONDS = 5.0
KEPT_REQUESTS = 200
CHARACTERS_PER_TOKEN = 4.5  # about right for English

Json = dict[str, Any]

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
    "conversation_locked": RequestError(
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        code="conversation_locked",
        param="conversation",
    ),
}
_NO_KEY = RequestError(
    "You didn't provide an API key. Send it in an Authorization header with Bearer auth.",
    status=HTTPStatus.UNAUTHORIZED,
)


@dataclass
class ResponsesApi:
    """The routes under `/v1`, and `/_requests`."""

    faults: Faults
    think_seconds: float
    received: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def routes(self) -> Blueprint:
        routes = Blueprint("responses", __name__)
        routes.before_request(_authenticate)
        routes.post("/v1/responses")(self.create)
        routes.get("/v1/models")(_models)
        routes.get("/v1/models/<model>")(_model)
        return routes

    def control_routes(self) -> Blueprint:
        routes = Blueprint("requests", __name__)
        routes.get("/_requests")(lambda: {"requests": list(self.received)})
        routes.delete("/_requests")(self._forget)
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
        body = checked(body)
        hold(_seconds(fault, SLOW_SECONDS) if fault and fault.kind == "slow" else self.think_seconds)
        return _OUTCOMES[fault.kind if fault else "answer"](body)

    def _forget(self) -> ResponseReturnValue:
        self.received.clear()
        return "", HTTPStatus.NO_CONTENT


def create_app(think_seconds: float = THINK_SECONDS) -> Flask:
    """The stand-in as a Flask app with a memory of its own."""
    app = Flask(__name__)
    api = ResponsesApi(Faults(KINDS), think_seconds)
    app.register_blueprint(api.routes())
    app.register_blueprint(api.control_routes())
    app.register_blueprint(fault_routes(api.faults))
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


def _answer(body: Json) -> ResponseReturnValue:
    thought = think(body)
    if isinstance(thought, Call):
        return _response(body, [_function_call(thought)])
    return _say(body, thought)


def _say(body: Json, thought: Say) -> ResponseReturnValue:
    limit = body.get("max_output_tokens")
    if limit is not None and _tokens(thought.text) > limit:
        return _cut_off(body, thought.text[: math.floor(limit * CHARACTERS_PER_TOKEN)])
    return _response(body, [_message(thought.text)])


def _incomplete(body: Json) -> ResponseReturnValue:
    thought = think(body)
    text = thought.text if isinstance(thought, Say) else ""
    return _cut_off(body, text[: len(text) // 2])


def _cut_off(body: Json, text: str) -> ResponseReturnValue:
    return _response(
        body,
        [_message(text, status="incomplete")],
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    )


def _failed(body: Json) -> ResponseReturnValue:
    error = {"code": "server_error", "message": "An error occurred while processing your request."}
    return _response(body, [], status="failed", error=error)


def _refuse(body: Json) -> ResponseReturnValue:
    refusal = {"type": "refusal", "refusal": "I'm sorry, but I cannot help with that."}
    return _response(body, [_item("message", "msg", role="assistant", content=[refusal])])


def _say_nothing(body: Json) -> ResponseReturnValue:
    return _response(body, [])


def _garbage(_: Json) -> ResponseReturnValue:
    return Response('{"id": "resp_', mimetype="application/json")


def _call_unknown_tool(body: Json) -> ResponseReturnValue:
    return _response(body, [_function_call(Call("launch_the_rocket", '{"countdown": 3}'))])


_OUTCOMES: dict[str, Callable[[Json], ResponseReturnValue]] = {
    "answer": _answer,
    "slow": _answer,
    "incomplete": _incomplete,
    "failed": _failed,
    "refusal": _refuse,
    "empty": _say_nothing,
    "garbage": _garbage,
    "call_unknown_tool": _call_unknown_tool,
}
KINDS = (_OUTCOMES.keys() | _REFUSALS.keys() | {"timeout"}) - {"answer"}


# --- what goes over the wire


def _response(body: Json, output: list[Json], **outcome: object) -> ResponseReturnValue:
    """The Response object: what was asked for comes back with its defaults, then the outcome."""
    now = time.time()
    document = {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(now),
        "completed_at": None if outcome else int(now),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        **{name: body.get(name, default) for name, default in _ECHOED.items()},
        "tools": [{"strict": True, **tool} for tool in body.get("tools") or []],
        "output": output,
        "usage": _usage(body, output),
        **outcome,
    }
    return jsonify(document)


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


def _message(text: str, status: str = "completed") -> Json:
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return _item("message", "msg", role="assistant", content=[content], status=status)


def _function_call(call: Call) -> Json:
    return _item("function_call", "fc", call_id=_id("call"), name=call.name, arguments=call.arguments)


def _item(kind: str, prefix: str, **fields: object) -> Json:
    return {"type": kind, "id": _id(prefix), "status": "completed", **fields}


def _usage(body: Json, output: list[Json]) -> Json:
    asked = _tokens(str(body.get("input"))) + _tokens(body.get("instructions") or "")
    said = sum(_tokens(_written(item)) for item in output)
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


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds


def _authenticate() -> None:
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
    headers = {"x-request-id": _id("req")}
    if error.code == "rate_limit_exceeded":
        headers["retry-after"] = "1"
    return error.as_json(), error.status, headers


def _unknown_url(_: Exception) -> ResponseReturnValue:
    return _refusal(RequestError(f"Invalid URL ({request.method} {request.path})", status=HTTPStatus.NOT_FOUND))
