"""The Assistants API as servers that still speak it have it: threads, messages, runs that are polled, tool outputs.

OpenAI's own has been off since 2026-08-26, and so is this one until somebody posts an assistant to `/_assistants`:
every route answers 404.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import RLock
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from local.faults import Faults
from local.mind import Call, think
from local.openai_requests import RequestError, checked_metadata, only
from local.openai_wire import Json, new_id, page, tokens

_NOW = 1_780_000_000
ACTIVE = frozenset({"queued", "in_progress", "requires_action", "cancelling"})

#: How a run ends by order: its status and what it says of the reason.
_ENDS: Mapping[str, Json] = {
    "run_failed": {"status": "failed", "last_error": {"code": "server_error", "message": "Sorry, it went wrong."}},
    "run_refused": {"status": "failed", "last_error": {"code": "invalid_prompt", "message": "Not this prompt."}},
    "run_expired": {"status": "expired"},
    "run_cancelled": {"status": "cancelled"},
    "run_incomplete": {"status": "incomplete", "incomplete_details": {"reason": "max_completion_tokens"}},
}
_GONE = {"thread_gone": HTTPStatus.NOT_FOUND, "thread_gone_410": HTTPStatus.GONE}

_RUN_PARAMETERS = (
    *("assistant_id", "model", "instructions", "additional_instructions", "additional_messages", "tools", "metadata"),
    *("temperature", "top_p", "stream", "max_prompt_tokens", "max_completion_tokens", "truncation_strategy"),
    *("tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
)


@dataclass
class Thread:
    """A thread with its messages and runs, oldest first."""

    id: str
    metadata: Json
    messages: list[Json] = field(default_factory=list)
    runs: list[Json] = field(default_factory=list)

    def document(self) -> Json:
        base = {"id": self.id, "object": "thread", "created_at": _NOW}
        return base | {"metadata": self.metadata, "tool_resources": {}}

    def active_run(self) -> Json | None:
        return next((run for run in self.runs if run["status"] in ACTIVE), None)


@dataclass
class Assistants:
    """Assistants, threads and runs, and the routes to them."""

    faults: Faults
    assistants: dict[str, Json] = field(default_factory=dict)
    threads: dict[str, Thread] = field(default_factory=dict)
    at_hand: RLock = field(default_factory=RLock)

    KINDS = frozenset({*_ENDS, *_GONE, "run_stuck", "run_calls_unknown_tool"})

    def routes(self) -> Blueprint:
        routes = Blueprint("assistants", __name__, url_prefix="/v1")
        routes.before_request(self._demand_on)
        routes.get("/assistants/<assistant>")(self.assistant)
        routes.post("/threads")(self.create)
        routes.get("/threads/<thread>")(self.thread)
        routes.post("/threads/<thread>")(self.update)
        routes.post("/threads/<thread>/messages")(self.add)
        routes.get("/threads/<thread>/messages")(self.messages)
        routes.delete("/threads/<thread>/messages/<message>")(self.delete_message)
        routes.post("/threads/<thread>/runs")(self.run)
        routes.get("/threads/<thread>/runs")(self.runs)
        routes.get("/threads/<thread>/runs/<run>")(self.look)
        routes.post("/threads/<thread>/runs/<run>/cancel")(self.cancel)
        routes.post("/threads/<thread>/runs/<run>/submit_tool_outputs")(self.submit)
        return routes

    def control_routes(self) -> Blueprint:
        routes = Blueprint("assistants_control", __name__)
        routes.post("/_assistants")(self.switch_on)
        routes.delete("/_assistants")(self.switch_off)
        return routes

    def switch_on(self) -> ResponseReturnValue:
        """Speaks the API from now on, with the assistant that was posted."""
        assistant: Json = {"object": "assistant", "created_at": _NOW, "model": "gpt-4o", "tools": [], "metadata": {}}
        assistant |= {"instructions": None, **request.get_json()}
        self.assistants[assistant["id"]] = assistant
        return assistant, HTTPStatus.CREATED

    def switch_off(self) -> ResponseReturnValue:
        self.assistants.clear()
        self.threads.clear()
        return "", HTTPStatus.NO_CONTENT

    def assistant(self, assistant: str) -> ResponseReturnValue:
        if assistant not in self.assistants:
            raise _missing("assistant", assistant)
        return self.assistants[assistant]

    # --- threads and messages

    def create(self) -> ResponseReturnValue:
        body = only(request.get_json(silent=True) or {}, "messages", "metadata")
        thread = Thread(new_id("thread"), checked_metadata(body))
        thread.messages = [_message(thread.id, each) for each in body.get("messages") or []]
        self.threads[thread.id] = thread
        return thread.document()

    def thread(self, thread: str) -> ResponseReturnValue:
        return self.named(thread).document()

    def update(self, thread: str) -> ResponseReturnValue:
        self.named(thread).metadata = checked_metadata(only(request.get_json(silent=True), "metadata"))
        return self.named(thread).document()

    def add(self, thread: str) -> ResponseReturnValue:
        body = only(request.get_json(silent=True), "role", "content", "metadata", "attachments")
        with self.at_hand:
            found = self.named(thread)
            if run := found.active_run():
                said = f"Can't add messages to {thread} while a run {run['id']} is active."
                raise RequestError(said)
            found.messages.append(_message(thread, body))
            return found.messages[-1]

    def messages(self, thread: str) -> ResponseReturnValue:
        with self.at_hand:
            run = request.args.get("run_id")
            found = self.named(thread).messages
            return page([each for each in found if run in (None, each["run_id"])], request.args)

    def delete_message(self, thread: str, message: str) -> ResponseReturnValue:
        with self.at_hand:
            found = self.named(thread)
            if message not in [each["id"] for each in found.messages]:
                raise _missing("message", message)
            found.messages = [each for each in found.messages if each["id"] != message]
        return {"id": message, "object": "thread.message.deleted", "deleted": True}

    # --- runs: each look at one brings it a step further

    def run(self, thread: str) -> ResponseReturnValue:
        body = only(request.get_json(silent=True), *_RUN_PARAMETERS)
        with self.at_hand:
            found = self.named(thread)
            self.assistant(str(body.get("assistant_id")))
            if run := found.active_run():
                raise RequestError(f"Thread {thread} already has an active run {run['id']}.")
            found.runs.append(self._new_run(thread, body))
            return _shown(found.runs[-1])

    def runs(self, thread: str) -> ResponseReturnValue:
        with self.at_hand:
            return page([_shown(run) for run in self.named(thread).runs], request.args)

    def look(self, thread: str, run: str) -> ResponseReturnValue:
        with self.at_hand:
            found = self._run(thread, run)
            _STEPS.get(found["status"], _stay)(self, self.named(thread), found)
            return _shown(found)

    def cancel(self, thread: str, run: str) -> ResponseReturnValue:
        with self.at_hand:
            found = self._run(thread, run)
            if found["status"] not in ACTIVE:
                raise RequestError(f"Cannot cancel run with status '{found['status']}'.")
            found["status"] = "cancelling"
            return _shown(found)

    def submit(self, thread: str, run: str) -> ResponseReturnValue:
        outputs = only(request.get_json(silent=True), "tool_outputs", "stream")["tool_outputs"]
        with self.at_hand:
            found = self._run(thread, run)
            wanted = [call["id"] for call in _calls_of(found)]
            if found["status"] != "requires_action" or sorted(each["tool_call_id"] for each in outputs) != wanted:
                raise RequestError(f"Expected tool outputs for call_ids {wanted}.", param="tool_outputs")
            [call] = _calls_of(found)
            function = {"type": "function_call", "call_id": call["id"], **call["function"]}
            output = {"type": "function_call_output", "call_id": call["id"], "output": outputs[0]["output"]}
            found["_heard"] += [function, output]
            found |= {"status": "queued", "required_action": None}
            return _shown(found)

    def named(self, thread: str) -> Thread:
        if fault := self.faults.take(_GONE.keys()):
            raise RequestError("No thread found.", status=_GONE[fault.kind])
        if thread not in self.threads:
            raise _missing("thread", thread)
        return self.threads[thread]

    def _run(self, thread: str, run: str) -> Json:
        found = next((each for each in self.named(thread).runs if each["id"] == run), None)
        if found is None:
            raise _missing("run", run)
        return found

    def _new_run(self, thread: str, body: Json) -> Json:
        assistant = self.assistants[body["assistant_id"]]
        heard = [{"role": each["role"], "content": _text_of(each)} for each in self.threads[thread].messages]
        return {
            "id": new_id("run"),
            "object": "thread.run",
            "created_at": _NOW,
            "thread_id": thread,
            "status": "queued",
            "required_action": None,
            "last_error": None,
            "incomplete_details": None,
            "usage": None,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "assistant_id": assistant["id"],
            "model": body.get("model") or assistant["model"],
            "instructions": body.get("instructions") or assistant["instructions"] or "",
            "tools": body.get("tools") or assistant["tools"],
            "metadata": checked_metadata(body),
            "max_completion_tokens": body.get("max_completion_tokens"),
            "_heard": heard,
        }

    def _demand_on(self) -> None:
        if not self.assistants:
            said = f"Invalid URL ({request.method} {request.path})"
            raise RequestError(said, status=HTTPStatus.NOT_FOUND)

    def _begin(self, _: Thread, run: Json) -> None:
        run["status"] = "in_progress"

    def _go_on(self, thread: Thread, run: Json) -> None:
        fault = self.faults.take(self.KINDS - _GONE.keys())
        if fault and fault.kind == "run_stuck":
            run["_stuck"] = True
        elif fault and fault.kind in _ENDS:
            run |= _ENDS[fault.kind]
        if run["status"] == "in_progress" and "_stuck" not in run:
            self._think(thread, run, Call("launch_the_rocket", "{}") if fault else None)

    def _think(self, thread: Thread, run: Json, call: Call | None) -> None:
        offered = [{"type": "function", **tool["function"]} for tool in run["tools"] if tool["type"] == "function"]
        thought = call or think({"input": run["_heard"], "tools": offered})
        if isinstance(thought, Call):
            function = {"name": thought.name, "arguments": thought.arguments}
            calls = [{"id": new_id("call"), "type": "function", "function": function}]
            action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
            run |= {"status": "requires_action", "required_action": action}
            return
        said = {"role": "assistant", "content": thought.text}
        thread.messages.append(_message(thread.id, said, run_id=run["id"], assistant_id=run["assistant_id"]))
        asked, answered = tokens(str(run["_heard"])), tokens(thought.text)
        usage = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
        run |= {"status": "completed", "usage": usage}

    def _end(self, _: Thread, run: Json) -> None:
        run["status"] = "cancelled"


def _stay(_: Assistants, __: Thread, ___: Json) -> None:
    """What has ended, or waits for tool outputs, does not move."""


_STEPS = {"queued": Assistants._begin, "in_progress": Assistants._go_on, "cancelling": Assistants._end}


def _calls_of(run: Json) -> list[Json]:
    action = run["required_action"] or {}
    calls: list[Json] = action.get("submit_tool_outputs", {}).get("tool_calls", [])
    return calls


def _shown(run: Json) -> Json:
    return {name: deepcopy(value) for name, value in run.items() if not name.startswith("_")}


def _message(thread: str, given: Json, *, run_id: str | None = None, assistant_id: str | None = None) -> Json:
    if given.get("role") not in ("user", "assistant"):
        raise RequestError(f"Invalid value: '{given.get('role')}'.", param="role", code="invalid_value")
    if not given.get("content"):
        raise RequestError("Message content must be non-empty.", param="content")
    content = given["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return {
        "id": new_id("msg"),
        "object": "thread.message",
        "created_at": _NOW,
        "thread_id": thread,
        "status": "completed",
        "role": given["role"],
        "content": [{"type": "text", "text": {"value": part["text"], "annotations": []}} for part in parts],
        "run_id": run_id,
        "assistant_id": assistant_id,
        "attachments": [],
        "metadata": checked_metadata(given),
    }


def _text_of(message: Json) -> str:
    return " ".join(str(part["text"]["value"]) for part in message["content"])


def _missing(kind: str, name: Any) -> RequestError:
    return RequestError(f"No {kind} found with id '{name}'.", status=HTTPStatus.NOT_FOUND)
