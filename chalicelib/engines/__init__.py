"""One file per kind of mind, and the table of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from chalicelib.errors import Refused
from chalicelib.model import Turn
from chalicelib.ports import Engine, Files

#: Each engine's module, which is imported when its first turn comes: `import openai` takes about a second.
MODULES: Mapping[str, str] = {
    "responses": "chalicelib.engines.responses",  # OpenAI's Responses API; history and instructions are ours
    "conversations": "chalicelib.engines.conversations",  # OpenAI holds what was said in a `conv_…` object
    "assistants": "chalicelib.engines.assistants",  # threads and runs, for servers that still speak them
}

DEFAULT = "responses"

#: The engine that a conversation's thread speaks for, by the beginning of its id.
BY_THREAD: Mapping[str, str] = {"thread_": "assistants", "conv_": "conversations"}


def name_for(turn: Turn) -> str:
    """The engine of a turn: as the settings say, else as its thread says, else the default.

    A thread that was left behind speaks for nobody, whatever the settings say.
    """
    thread = turn.thread
    of_thread = next((name for prefix, name in BY_THREAD.items() if thread and thread.id.startswith(prefix)), None)
    wanted = turn.settings.engine or of_thread or DEFAULT
    return DEFAULT if thread and thread.migrated and wanted == of_thread else wanted


@dataclass(frozen=True, slots=True)
class EngineTable:
    """Engines by name; each is built once. `wait` waits for some seconds, see `assistants`."""

    base_url: str | None
    files: Files
    wait: Callable[[float], None]
    built: dict[str, Engine] = field(default_factory=dict)

    def of(self, turn: Turn) -> Engine:
        wanted = name_for(turn)
        if wanted not in MODULES:
            raise Refused("unknown_engine", "the tenant names an engine that there is not")
        if wanted not in self.built:
            build: Callable[..., Any] = import_module(MODULES[wanted]).build
            self.built[wanted] = build(base_url=self.base_url, files=self.files, wait=self.wait)
        return self.built[wanted]
