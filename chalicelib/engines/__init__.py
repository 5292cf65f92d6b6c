"""One file per kind of mind, and the table of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from chalicelib.errors import Refused
from chalicelib.ports import Engine

#: Each engine's module, which is imported when its first turn comes: `import openai` takes about a second.
MODULES: Mapping[str, str] = {
    "responses": "chalicelib.engines.responses",  # OpenAI's Responses API; history and instructions are ours
}

DEFAULT = "responses"


@dataclass(frozen=True, slots=True)
class EngineTable:
    """Engines by name; each is built once."""

    base_url: str | None
    built: dict[str, Engine] = field(default_factory=dict)

    def named(self, name: str | None) -> Engine:
        wanted = name or DEFAULT
        if wanted not in MODULES:
            raise Refused("unknown_engine", "the tenant names an engine that there is not")
        if wanted not in self.built:
            build: Callable[..., Engine] = import_module(MODULES[wanted]).build
            self.built[wanted] = build(base_url=self.base_url)
        return self.built[wanted]
