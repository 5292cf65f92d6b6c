"""What the routes of the OpenAI stand-in have in common: ids, items, lists, and how much a text costs."""

import math
from typing import Any
from uuid import uuid4

from local.mind import Call
from local.openai_requests import RequestError

Json = dict[str, Any]

CHARACTERS_PER_TOKEN = 4.5  # about right for English
MOST_LISTED = 100
LISTED = 20


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


def item(kind: str, prefix: str, **fields: object) -> Json:
    return {"type": kind, "id": new_id(prefix), "status": "completed", **fields}


def message(text: str, status: str = "completed") -> Json:
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return item("message", "msg", role="assistant", content=[content], status=status)


def function_call(call: Call) -> Json:
    return item("function_call", "fc", call_id=new_id("call"), name=call.name, arguments=call.arguments)


def tokens(text: str) -> int:
    """What a text costs, roughly: four to five letters of English are a token, a character of other scripts is one."""
    plain = sum(character.isascii() for character in text)
    return math.ceil(plain / CHARACTERS_PER_TOKEN) + len(text) - plain


def beginning(text: str, most: int) -> str:
    """As much of a text as that many tokens hold."""
    while tokens(text) > most:
        text = text[: len(text) - max(1, tokens(text) - most)]
    return text


def page(found: list[Json], query: Any) -> Json:
    """A page of a list that is kept oldest first, as `limit`, `order` and `after` ask for it."""
    limit, order, after = _limit(query), query.get("order", "desc"), query.get("after")
    if order not in ("asc", "desc"):
        raise RequestError(f"Invalid value: '{order}'.", param="order", code="invalid_value")
    ordered = found if order == "asc" else found[::-1]
    if after:
        at = next((at for at, each in enumerate(ordered) if each["id"] == after), len(ordered))
        ordered = ordered[at + 1 :]
    shown = ordered[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": "", "last_id": ""}
    return {"object": "list", "data": shown, "has_more": len(ordered) > limit, **ends}


def _limit(query: Any) -> int:
    text = query.get("limit", str(LISTED))
    if not text.isdigit() or not 1 <= int(text) <= MOST_LISTED:
        raise RequestError(f"Invalid 'limit': expected 1 to {MOST_LISTED}.", param="limit", code="invalid_value")
    return int(text)
