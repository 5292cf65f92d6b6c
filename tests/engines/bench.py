"""Engines with OpenAI's real SDK over HTTP against the stand-in, and a person whose turns are played through."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import requests
from flask import Flask, Response, request

from chalicelib.engines import EngineTable
from chalicelib.errors import RelayError
from chalicelib.model import AiSettings, Answer, Author, Media, Numbered, Spoken, Thread, ToolResult, ToolSpec, Turn
from chalicelib.ports import Secret
from local.openai import create_app
from local.serving import hang_up, running
from tests.twins import cast

KEY: Secret = {"ai_api_key": "sk-not-a-real-key"}
ASSISTANT = "asst_1"

HAND_OFF = ToolSpec(
    "hand_off_to_human",
    "Gives the conversation to a human.",
    {
        "type": "object",
        "properties": {"reason": {"type": "string"}},
        "required": ["reason"],
        "additionalProperties": False,
    },
)


class Saboteur:
    """Cuts the connection at one of OpenAI's calls, before it is handled or behind it."""

    def __init__(self) -> None:
        self.calls = 0
        self.at: int | None = None
        self.handled = False

    def strikes(self, at: int | None, *, handled: bool = False) -> None:
        self.calls, self.at, self.handled = 0, at, handled

    def before(self) -> Response | None:
        if not request.path.startswith("/v1/"):
            return None
        self.calls += 1
        return hang_up() if self.calls == self.at and not self.handled else None

    def behind(self, response: Response) -> Response:
        if request.path.startswith("/v1/") and self.calls == self.at and self.handled:
            return hang_up()
        return response


@dataclass
class Tools:
    """A toolbox that notes what it is used for."""

    offered: Sequence[ToolSpec] = (HAND_OFF,)
    results: dict[str, ToolResult] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)

    def specs(self) -> Sequence[ToolSpec]:
        return self.offered

    def use(self, name: str, arguments: str, *, seconds_left: float) -> ToolResult:
        assert seconds_left > 0
        self.used.append((name, arguments))
        if name == HAND_OFF.name:
            return ToolResult(output="{}", hand_off_reason="the person asks for one")
        return self.results.get(name, ToolResult(output='{"error": "there is no such tool"}'))


@dataclass
class Files:
    """Files that people sent, by their address."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def content(self, media: Media) -> bytes | None:
        return self.kept.get(media.url)


@dataclass
class Bench:
    """The stand-in, a table of engines that speak with it, and what a test wants to know of both."""

    url: str
    saboteur: Saboteur
    tools: Tools = field(default_factory=Tools)
    files: Files = field(default_factory=Files)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = EngineTable(f"{self.url}/v1", self.files, self.waits.append)

    def answer(self, turn: Turn, *secrets: Secret) -> Answer:
        return self.table.of(turn).answer(turn, secrets or (KEY,), self.tools)

    def order(self, kind: str, **more: Any) -> None:
        response = requests.post(f"{self.url}/_faults", json={"kind": kind, **more}, timeout=5)
        assert response.status_code == 201, response.text

    def requests(self) -> list[dict[str, Any]]:
        """The bodies that asked for a response."""
        return list(requests.get(f"{self.url}/_requests", timeout=5).json()["requests"])

    def calls(self) -> list[str]:
        """Every call by its method and path, without ids."""
        found = requests.get(f"{self.url}/_requests", timeout=5).json()["calls"]
        return [f"{call['method']} {_nameless(call['path'])}" for call in found]

    def bodies(self, call: str) -> list[Any]:
        found = requests.get(f"{self.url}/_requests", timeout=5).json()["calls"]
        return [each["body"] for each in found if f"{each['method']} {_nameless(each['path'])}" == call]

    def forget(self) -> None:
        self.forget_faults()
        for path in ("/_requests", "/_assistants"):
            requests.delete(self.url + path, timeout=5)

    def forget_faults(self) -> None:
        requests.delete(f"{self.url}/_faults", timeout=5)

    def api(self, method: str, path: str, **body: Any) -> Any:
        """A call that is not the engine's."""
        response = requests.request(
            method, f"{self.url}/v1{path}", json=body or None, headers={"Authorization": "Bearer sk-x"}, timeout=5
        )
        assert response.ok, response.text
        return response.json()

    def switch_on_assistants(self, **changes: Any) -> None:
        response = requests.post(f"{self.url}/_assistants", json={"id": ASSISTANT, **changes}, timeout=5)
        assert response.status_code == 201

    def held(self, thread: str) -> list[tuple[str, str]]:
        """What OpenAI holds of a conversation or thread: who said what, in order; calls and outputs by their kind."""
        path = f"/conversations/{thread}/items" if thread.startswith("conv_") else f"/threads/{thread}/messages"
        return [_line_of(item) for item in self.api("GET", f"{path}?order=asc&limit=100")["data"]]


def _nameless(path: str) -> str:
    named = ("conv_", "thread_", "run_", "msg_", "fc_", "fco_", "asst_")
    return "/".join("*" if part.startswith(named) else part for part in path.removeprefix("/v1").split("/"))


def _line_of(item: dict[str, Any]) -> tuple[str, str]:
    if "role" not in item:
        return item["type"], ""
    texts = [part.get("text", part["type"]) for part in item["content"]]
    return item["role"], " ".join(text["value"] if isinstance(text, dict) else text for text in texts)


@contextmanager
def bench() -> Iterator[Bench]:
    app: Flask = create_app(think_seconds=0)
    saboteur = Saboteur()
    app.before_request(saboteur.before)
    app.after_request(saboteur.behind)
    with running(app) as url:
        yield Bench(url, saboteur)


def turn(*texts: str, **changes: Any) -> Turn:
    """A turn in which these messages wait, the first of the conversation unless `changes` say otherwise."""
    waiting = tuple(replace(cast.waiting(number), text=text) for number, text in enumerate(texts or ("Hello",), 1))
    return cast.turn(**{"waiting": waiting, "number": len(waiting), **changes})


@dataclass
class Person:
    """Somebody whose turns are committed as the relay commits them: numbers, history and thread together."""

    bench: Bench
    settings: AiSettings
    thread: Thread | None = None
    opening: list[Spoken] = field(default_factory=list)
    history: list[Spoken] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    answered: int = 0

    def writes(self, *texts: str) -> None:
        self.waiting += texts

    def turn(self) -> Turn:
        return turn(
            *self.waiting,
            settings=self.settings,
            history=[*self.opening, *self.history],
            thread=self.thread,
            after=self.answered,
            number=self.answered + len(self.waiting),
        )

    def is_answered(self) -> Answer:
        """A turn that is committed."""
        answer = self.bench.answer(self.turn())
        assert answer.hand_off_reason is None
        self._close()
        self.history.append(Spoken(Author.AI, answer.text, Numbered.answer(self.answered, 0)))
        self.thread = answer.thread or self.thread
        return answer

    def is_answered_by_a_human(self, text: str) -> None:
        self._close()
        self.history.append(Spoken(Author.HUMAN, text, f"{self.answered:010d}#2-human#then#1"))

    def turn_fails(self) -> None:
        """A turn that ends before its commit, whatever ends it."""
        try:
            self.bench.answer(self.turn())
        except RelayError:
            return

    def said(self) -> list[tuple[str, str]]:
        """Everything that was said, as a model sees it."""
        return [
            ("user" if line.author == Author.USER else "assistant", line.text)
            for line in [*self.opening, *self.history]
        ]

    def _close(self) -> None:
        for text in self.waiting:
            self.answered += 1
            self.history.append(Spoken(Author.USER, text, Numbered.inbound(self.answered)))
        self.waiting.clear()
