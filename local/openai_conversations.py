"""The Conversations API of the OpenAI stand-in: what `conv_…` objects hold, and that one response at a time may add."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import RLock
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from local.openai_requests import RequestError, checked_items, checked_metadata, only
from local.openai_wire import Json, new_id, page

MOST_ITEMS = 20
LOCKED = RequestError(
    "Another process is currently operating on this conversation. Please retry in a few seconds.",
    code="conversation_locked",
    param="conversation",
)
_NOW = 1_795_000_000
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


@dataclass
class Conversation:
    """One conversation object: its items, oldest first."""

    id: str
    metadata: Json
    items: list[Json] = field(default_factory=list)
    locked: bool = False

    def document(self) -> Json:
        return {"id": self.id, "object": "conversation", "created_at": _NOW, "metadata": self.metadata}


@dataclass
class Conversations:
    """Every conversation there is, and the routes to them."""

    held: dict[str, Conversation] = field(default_factory=dict)
    at_hand: RLock = field(default_factory=RLock)

    def routes(self) -> Blueprint:
        routes = Blueprint("conversations", __name__, url_prefix="/v1/conversations")
        routes.post("")(self.create)
        routes.get("/<name>")(lambda name: self.named(name).document())
        routes.post("/<name>")(self.update)
        routes.delete("/<name>")(self.delete)
        routes.post("/<name>/items")(self.add)
        routes.get("/<name>/items")(self.listing)
        routes.delete("/<name>/items/<item>")(self.delete_item)
        return routes

    def create(self) -> ResponseReturnValue:
        body = only(request.get_json(silent=True) or {}, "items", "metadata")
        made = Conversation(new_id("conv"), checked_metadata(body))
        made.items = _items(body.get("items") or [])
        with self.at_hand:
            self.held[made.id] = made
        return made.document()

    def update(self, name: str) -> ResponseReturnValue:
        body = only(request.get_json(silent=True) or {}, "metadata")
        with self.at_hand:
            self.named(name).metadata = checked_metadata(body)
            return self.named(name).document()

    def delete(self, name: str) -> ResponseReturnValue:
        with self.at_hand:
            self.named(name)
            del self.held[name]
        return {"id": name, "object": "conversation.deleted", "deleted": True}

    def add(self, name: str) -> ResponseReturnValue:
        body = only(request.get_json(silent=True) or {}, "items")
        with self.at_hand:
            conversation = self.free(name)
            added = _items(body.get("items") or [])
            conversation.items += added
        return page(added, {"order": "asc", "limit": str(MOST_ITEMS)})

    def listing(self, name: str) -> ResponseReturnValue:
        with self.at_hand:
            return page(deepcopy(self.named(name).items), request.args)

    def delete_item(self, name: str, item: str) -> ResponseReturnValue:
        with self.at_hand:
            conversation = self.free(name)
            if item not in [each["id"] for each in conversation.items]:
                said = f"Item with id '{item}' not found in conversation '{name}'."
                raise RequestError(said, param="item_id", status=HTTPStatus.NOT_FOUND)
            conversation.items = [each for each in conversation.items if each["id"] != item]
            return conversation.document()

    def named(self, name: str) -> Conversation:
        with self.at_hand:
            if name not in self.held:
                said = f"Conversation with id '{name}' not found."
                raise RequestError(said, param="conversation", status=HTTPStatus.NOT_FOUND)
            return self.held[name]

    def free(self, name: str) -> Conversation:
        conversation = self.named(name)
        if conversation.locked:
            raise LOCKED
        return conversation

    @contextmanager
    def locked(self, name: str | None) -> Iterator[Conversation | None]:
        """The conversation for one response, or None where the request names none; nobody else may add meanwhile."""
        if name is None:
            yield None
            return
        with self.at_hand:
            conversation = self.free(name)
            conversation.locked = True
        try:
            yield conversation
        finally:
            conversation.locked = False

    def remember(self, conversation: Conversation, body: Mapping[str, Any], output: list[Json]) -> None:
        """Adds what a response was given and what came of it."""
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        with self.at_hand:
            conversation.items += [*(_stored(each) for each in items), *deepcopy(output)]


def name_of(body: Mapping[str, Any]) -> str | None:
    """The conversation that a request for a response names."""
    given = body.get("conversation")
    return str(given["id"]) if isinstance(given, dict) else given


def _items(items: object) -> list[Json]:
    found = checked_items(items, "items")
    if len(found) > MOST_ITEMS:
        said = f"Invalid 'items': array too long. Expected at most {MOST_ITEMS}, but got {len(found)} instead."
        raise RequestError(said, param="items", code="array_above_max_length")
    return [_stored(each) for each in found]


def _stored(given: Json) -> Json:
    """An item as it is listed: with an id, a type, and its text as a part."""
    kind = given.get("type", "message")
    stored = {"id": new_id(_PREFIXES[kind]), "status": "completed", **deepcopy(given), "type": kind}
    if kind == "message" and isinstance(stored["content"], str):
        said = "output_text" if stored["role"] == "assistant" else "input_text"
        more: Json = {"annotations": [], "logprobs": []} if said == "output_text" else {}
        stored["content"] = [{"type": said, "text": stored["content"], **more}]
    return stored
