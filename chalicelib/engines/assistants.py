"""The Assistants API, for servers that still speak it: add messages to the thread, run the assistant, watch the run.

OpenAI's own was switched off on 2026-08-26. A thread that is gone is left behind: the turn goes on with `responses`
from our history, and the record remembers never to ask for the thread again.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.engines import responses
from chalicelib.engines.held import Item, bring_back, newest_of_ours, unheard, was_said
from chalicelib.engines.openai_api import PASSING_CODES, Busy, Gone, OpenAi, Session, listed
from chalicelib.engines.openai_engine import Means, OpenAiEngine
from chalicelib.engines.prompt import circumstances, waiting_lines
from chalicelib.engines.responses import DEFAULT_OUTPUT_TOKENS
from chalicelib.engines.steps import Call, Output, Said, until_answered
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.model import Answer, Author, Spoken, Thread, ToolSpec, Turn
from chalicelib.ports import Files, Toolbox

PREFIX = "thread_"
PAGE = 20

#: Seconds between two looks at a run: the first, and the longest.
FIRST_WAIT = 0.5
LONGEST_WAIT = 2.0

#: Seconds that are kept to cancel a run that does not end in time.
KEPT_TO_CANCEL = 4.0

ACTIVE = frozenset({"queued", "in_progress", "cancelling"})


def build(*, base_url: str | None, files: Files, wait: Callable[[float], None]) -> OpenAiEngine:
    return OpenAiEngine(Means(OpenAi(base_url), files, wait), think)


def think(turn: Turn, session: Session, tools: Toolbox, means: Means) -> Answer:
    """Continues the record's thread, or a new one from our history. Goes on with `responses` where there is none."""
    assistant = turn.settings.assistant_id
    if assistant is None:
        return responses.think(turn, session, tools, means)
    try:
        return _answered(assistant, turn, _Calls(session, means), tools)
    except Gone:
        answer = responses.think(turn, session, tools, means)
        gone = turn.thread if turn.thread and turn.thread.id.startswith(PREFIX) else None
        return replace(answer, thread=replace(gone, migrated=True) if gone else None)


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of the old API, whose methods warn that they are old."""

    session: Session
    means: Means

    def __call__(self, endpoint: str, *path: str, **request: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(The Assistants API is )?deprecated", DeprecationWarning)
            return self.session.call(f"beta.{endpoint}", *path, **request)


@dataclass(frozen=True, slots=True)
class _Thread:
    """One thread; see `held.Copy`."""

    id: str
    call: _Calls

    def newest_first(self) -> Iterator[Item]:
        for message in listed(self.call, "threads.messages.list", self.id, order="desc", limit=PAGE):
            yield Item(message.id, message.role == "user", _text_of(message))

    def remove(self, item: Item) -> None:
        try:
            self.call("threads.messages.delete", item.id, thread_id=self.id)
        except Gone:
            return

    def metadata(self) -> Mapping[str, str]:
        return dict(self.call("threads.retrieve", self.id).metadata or {})

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        self.call("threads.update", self.id, metadata=dict(metadata))


def _answered(assistant: str, turn: Turn, call: _Calls, tools: Toolbox) -> Answer:
    offered = [tool.to_dict() for tool in call("assistants.retrieve", assistant).tools]
    offered += [_as_function(spec) for spec in tools.specs()]
    thread, end, missing = _place(turn, call)
    lines = responses.fitting([*missing, *waiting_lines(turn)], turn, call.session)
    for line in lines:
        _add(thread, line)
    run = _Run(call, thread.id, assistant, turn, offered)
    try:
        answer = until_answered(run.ask, tools, call.session.seconds_left)
    except RelayError:
        run.cancel()
        raise
    if answer.hand_off_reason is not None:
        run.cancel()
        return answer
    newest = newest_of_ours(thread, end, lines, answer.text)
    return replace(answer, thread=Thread(id=thread.id, item=newest, number=turn.number))


def _place(turn: Turn, call: _Calls) -> tuple[_Thread, str, Sequence[Spoken]]:
    """The thread, the message with which it ends, and what was said that it has not heard."""
    known = turn.thread
    if known is not None and known.id.startswith(PREFIX) and was_said(turn, known):
        thread = _Thread(known.id, call)
        end = bring_back(thread, known)
        if end is not None:
            return thread, end, unheard(turn, known)
    return _Thread(call("threads.create").id, call), "", turn.history


def _add(thread: _Thread, line: Spoken) -> None:
    role = "user" if line.author == Author.USER else "assistant"
    try:
        thread.call("threads.messages.create", thread.id, role=role, content=line.text)
    except Busy:
        _clear(thread)
        thread.call("threads.messages.create", thread.id, role=role, content=line.text)


def _clear(thread: _Thread) -> None:
    """Ends the run that a turn before this one has left."""
    for run in thread.call("threads.runs.list", thread_id=thread.id, limit=1).data:
        if run.status in ACTIVE or run.status == "requires_action":
            _ended(thread.call, thread.call("threads.runs.cancel", run.id, thread_id=thread.id))


@dataclass(slots=True)
class _Run:
    """One run of the assistant, which is made when it is asked for the first time."""

    call: _Calls
    thread: str
    assistant: str
    turn: Turn
    offered: Sequence[Any]
    id: str | None = None

    def ask(self, outputs: Sequence[Output]) -> Said:
        """Raises Refused, TryAgain or Unconfirmed where the run does not end in an answer or in calls."""
        run = _ended(self.call, self._submitted(outputs) if self.id else self._made())
        if run.status == "requires_action":
            return Said(calls=tuple(_calls_of(run)))
        if run.usage is not None:
            self.call.session.spent(run.model, run.usage.prompt_tokens, run.usage.completion_tokens)
        _demand_completed(run)
        said = listed(self.call, "threads.messages.list", self.thread, run_id=run.id, order="asc", limit=PAGE)
        return Said("\n\n".join(filter(None, map(_text_of, said))))

    def cancel(self) -> None:
        """Leaves no run behind that would keep the thread busy; nothing depends on it."""
        if self.id is None:
            return
        try:
            self.call("threads.runs.cancel", self.id, thread_id=self.thread, at_most=KEPT_TO_CANCEL)
        except RelayError:
            return

    def _made(self) -> Any:
        settings = self.turn.settings
        run = self.call(
            "threads.runs.create",
            self.thread,
            assistant_id=self.assistant,
            additional_instructions=circumstances(self.turn),
            max_completion_tokens=settings.max_output_tokens or DEFAULT_OUTPUT_TOKENS,
            tools=self.offered,
            parallel_tool_calls=False,
            **({"model": settings.model} if settings.model else {}),
            **({"instructions": settings.instructions} if settings.instructions else {}),
        )
        self.id = run.id
        return run

    def _submitted(self, outputs: Sequence[Output]) -> Any:
        answers = [{"tool_call_id": each.call.id, "output": each.text} for each in outputs]
        return self.call("threads.runs.submit_tool_outputs", str(self.id), thread_id=self.thread, tool_outputs=answers)


def _ended(call: _Calls, run: Any) -> Any:
    """Watches a run until it has ended or wants something. Raises Unconfirmed when the time is over."""
    pause = FIRST_WAIT
    while run.status in ACTIVE:
        if call.session.seconds_left() < KEPT_TO_CANCEL + pause:
            raise Unconfirmed("the run does not end in time")
        call.means.wait(pause)
        pause = min(2 * pause, LONGEST_WAIT)
        run = call("threads.runs.retrieve", run.id, thread_id=run.thread_id)
    return run


def _demand_completed(run: Any) -> None:
    """Raises Refused or TryAgain for a run that ended without an answer. Source: Assistants API, run lifecycle."""
    if run.status == "failed":
        code = run.last_error.code if run.last_error else "failed"
        raise TryAgain(f"OpenAI: {code}") if code in PASSING_CODES else Refused(str(code))
    if run.status == "incomplete":
        reason = run.incomplete_details.reason if run.incomplete_details else None
        raise Refused(f"incomplete:{reason or 'unknown'}")
    if run.status != "completed":
        raise TryAgain(f"OpenAI: the run is {run.status}")


def _calls_of(run: Any) -> Iterator[Call]:
    for each in run.required_action.submit_tool_outputs.tool_calls:
        yield Call(each.id, each.function.name, each.function.arguments)


def _as_function(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", "function": {**function, "strict": True}}


def _text_of(message: Any) -> str:
    """What a message says, without the marks of its citations, which mean nothing on a phone."""
    return "".join(_plain(part.text) for part in message.content if part.type == "text")


def _plain(text: Any) -> str:
    plain: str = text.value
    for annotation in text.annotations:
        plain = plain.replace(annotation.text, "")
    return plain
