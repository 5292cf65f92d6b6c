"""How a Python function becomes a tool: its name, its words and its typed parameters are what the model is told."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from inspect import getdoc
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from chalicelib.model import ToolResult, ToolSpec, Turn
from chalicelib.tools.strict import closed, faults

#: What a model is told of its mistakes, in characters.
LONGEST_ADVICE = 2_000

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Arguments(BaseModel):
    """The parameters of a tool. The docstrings and `Field(description=…)` of a subclass are read by the model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One use of a tool: in which turn, and how many seconds the turn has left.

    A function that acts on the world gives `idempotency_key` to whatever it calls. `again`: the same was begun before,
    and nobody knows what came of it.
    """

    turn: Turn
    seconds_left: float
    idempotency_key: str
    again: bool = False


Function = Callable[[Any, Call], ToolResult]


class Failed(Exception):
    """A tool could not do it: a word for logs, and what the model is told. Using it again may help."""

    def __init__(self, code: str, message: str = "the tool cannot be used") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what a model is told of it, the type of its arguments, what it does, whether that acts on the world."""

    spec: ToolSpec
    arguments: TypeAdapter[Any]
    function: Function
    acts: bool

    @property
    def name(self) -> str:
        return self.spec.name

    def read(self, arguments: str) -> Any:
        """Raises Failed with what is wrong."""
        try:
            return self.arguments.validate_json(arguments or "{}")
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            listed = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in wrong)
            raise Failed("bad_arguments", f"the arguments do not fit: {listed[:LONGEST_ADVICE]}") from None

    def key_of(self, given: Any, turn: Turn) -> str:
        """The idempotency key of this use: the same for as long as the same messages wait for their answer.

        A turn that is repeated begins after the same message, and so does the one that answers a person who went on
        writing; the number of the newest message would make the second of them act again.
        """
        arguments = self.arguments.dump_python(given, mode="json")
        parts = [turn.reference, turn.after, self.name, arguments]
        return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def tool(*, acts: bool) -> Callable[[Function], Tool]:
    """Makes a tool of a function `(arguments, call) -> ToolResult` whose first parameter is an `Arguments`.

    `acts`: it changes something in the world, so it is done once for the same messages, tool and arguments.
    Raises ValueError for a name or a schema that OpenAI's strict mode does not take, and for a function without words.
    """
    return lambda function: _tool_of(function, acts)


def _tool_of(function: Function, acts: bool) -> Tool:
    hints = iter(get_type_hints(function).values())
    model = next(hints)
    if not issubclass(model, Arguments):
        raise ValueError(f"the first parameter of {function.__name__} must be a subclass of Arguments")
    spec = ToolSpec(function.__name__, " ".join((getdoc(function) or "").split()), closed(model.model_json_schema()))
    wrong = faults_of(spec)
    if wrong:
        raise ValueError(f"{spec.name}: {'; '.join(wrong)}")
    return Tool(spec, TypeAdapter(model), function, acts)


def faults_of(spec: ToolSpec) -> list[str]:
    """Why a model cannot be offered this tool, one sentence each; empty if it can."""
    found = [] if NAME.fullmatch(spec.name) else ["a name has 1 to 64 letters, digits, _ and -"]
    found += [] if spec.description.strip() else ["it does not say what it does"]
    return found + faults(spec.parameters)


def told(**facts: object) -> ToolResult:
    """A result that only tells the model something: `told(opens="09:00")`."""
    return ToolResult(output=as_json(facts))


def refusal(message: str) -> ToolResult:
    """A result that tells the model what went wrong."""
    return told(error=message)


def as_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "arguments"
