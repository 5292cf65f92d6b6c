"""What the OpenAI stand-in says of texts without answering them: moderation, decisions, numbers of tokens."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from local.faults import Faults
from local.mind import newest_messages, wants_human
from local.openai_requests import MODELS, RequestError, checked_items, only
from local.openai_wire import Json, new_id, tokens

MODERATION_MODELS = ("omni-moderation-latest", "omni-moderation-2024-09-26")
DECISION_MODEL = "gpt-6-luna"
MOST_QUESTIONS = 400
TOKENS_OF_A_MESSAGE = 4
TOKENS_OF_A_FILE = 800

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_THREATENS = re.compile(r"\b(kill|hurt|stab|shoot)\s+(you|him|her|them|myself)\b", re.IGNORECASE)
_BROKEN = RequestError(
    "The server had an error while processing your request. Sorry about that!",
    type="server_error",
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
)


@dataclass
class Checks:
    """The routes of moderations, decisions and token counts."""

    faults: Faults
    KINDS = frozenset(
        {
            "moderation_fails",
            "moderation_flags",
            "decision_fails",
            "decision_refuses",
            "count_fails",
            "decision_garbage",
        }
    )

    def routes(self) -> Blueprint:
        routes = Blueprint("checks", __name__)
        routes.post("/v1/moderations")(self.moderate)
        routes.post("/v1/decisions")(self.decide)
        routes.post("/v1/responses/input_tokens")(self.count)
        return routes

    def moderate(self) -> ResponseReturnValue:
        body = only(request.get_json(silent=True), "input", "model")
        fault = self.faults.take({"moderation_fails", "moderation_flags"})
        if fault and fault.kind == "moderation_fails":
            raise _BROKEN
        model = body.get("model", MODERATION_MODELS[0])
        if model not in MODERATION_MODELS:
            raise RequestError(f"Invalid value for 'model' = {model}.", param="model", code="invalid_value")
        flags = [bool(fault) or bool(_THREATENS.search(text)) for text in _texts_to_moderate(body.get("input"))]
        return {"id": new_id("modr"), "model": model, "results": [_moderation(flag) for flag in flags]}

    def decide(self) -> ResponseReturnValue:
        body = only(
            request.get_json(silent=True),
            *("input", "model", "questions", "prompt_cache_key", "prompt_cache_options", "safety_identifier"),
        )
        fault = self.faults.take({"decision_fails", "decision_refuses", "decision_garbage"})
        if fault and fault.kind == "decision_fails":
            raise _BROKEN
        questions = _questions(body)
        probability = 0.97 if any(map(wants_human, _newest(body.get("input")))) else 0.03
        if fault and fault.kind == "decision_garbage":
            answers: list[Json] = []
        elif fault:
            answers = [{"type": "refusal", "name": each.get("name")} for each in questions]
        else:
            answers = [
                {"type": "predicate", "name": each.get("name"), "probability": probability} for each in questions
            ]
        return {"answers": answers, "model": DECISION_MODEL, "usage": _usage(str(body["input"]))}

    def count(self) -> ResponseReturnValue:
        body = request.get_json(silent=True) or {}
        if self.faults.take({"count_fails"}):
            raise _BROKEN
        if body.get("model") not in MODELS:
            raise RequestError("The requested model does not exist.", param="model", code="model_not_found")
        items = checked_items(body.get("input") or [], "input")
        counted = sum(TOKENS_OF_A_MESSAGE + _tokens_of(each.get("content", "")) for each in items)
        return {"object": "response.input_tokens", "input_tokens": counted + tokens(body.get("instructions") or "")}


def _tokens_of(content: Any) -> int:
    if isinstance(content, str):
        return tokens(content)
    return sum(tokens(part["text"]) if "text" in part else TOKENS_OF_A_FILE for part in content)


def _texts_to_moderate(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise RequestError("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if all(isinstance(each, str) for each in given):
        return given
    for at, part in enumerate(given):
        if not isinstance(part, dict) or part.get("type") not in ("text", "image_url"):
            raise RequestError("Invalid value.", param=f"input[{at}].type", code="invalid_value")
    return [" ".join(part.get("text", "") for part in given)]


def _moderation(flagged: bool) -> Json:
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in CATEGORIES},
        "category_scores": {name: 0.9 if flagged and name == "violence" else 0.001 for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _questions(body: Json) -> list[Json]:
    if body.get("model") != DECISION_MODEL:
        raise RequestError("The requested model cannot decide.", param="model", code="model_not_found")
    questions = body.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= MOST_QUESTIONS:
        raise RequestError(f"Expected 1 to {MOST_QUESTIONS} questions.", param="questions", code="invalid_value")
    for at, each in enumerate(questions):
        only(each, "type", "name", "instructions")
        if each.get("type") != "predicate" or not each.get("instructions"):
            raise RequestError("This stand-in plays predicates.", param=f"questions[{at}]", code="invalid_value")
    return questions


def _newest(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else newest_messages(checked_items(given, "input"))


def _usage(asked: str) -> Json:
    return {
        "input_tokens": tokens(asked),
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens(asked) + 1,
    }
