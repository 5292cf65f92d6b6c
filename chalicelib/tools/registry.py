"""How a Python function becomes a tool: its name, its words and its typed parameters are what the model is told."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from chalicelib.model import ToolResult, ToolSpec, Turn
from chalicelib.tools.strict import closed, faults

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Arguments(BaseModel):
    """The parameters of a tool. The docstrings and `Field(description=…)` of a subclass are read by the model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One use of a tool: in which turn, and how many seconds the turn has left."""

    turn: Turn
    seconds_left: float


Function = Callable[[Any, Call], ToolResult]


class BadArguments(Exception):
    """The model gave arguments that the tool does not take; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what a model is told of it, the type of its arguments, and what it does."""

    spec: ToolSpec
    arguments: TypeAdapter[Any]
    function: Function

    @property
    def name(self) -> str:
        return self.spec.name

    def read(self, arguments: str) -> Any:
        """Raises BadArguments with what is wrong, in words for the model."""
        try:
            return self.arguments.validate_json(arguments or "{}")
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            raise BadArguments("; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in wrong)) from None


def tool(function: Callable[[Any, Call], ToolResult]) -> Tool:
    """Makes a tool of a function `(arguments, call) -> ToolResult` whose first parameter is an `Arguments`.

    Raises ValueError for a name or a schema that OpenAI's strict mode does not take, and for a function without words.
    """
    hints = iter(get_type_hints(function).values())
    model = next(hints)
    if not issubclass(model, Arguments):
        raise ValueError(f"the first parameter of {function.__name__} must be a subclass of Arguments")
    spec = ToolSpec(function.__name__, " ".join((getdoc(function) or "").split()), closed(model.model_json_schema()))
    wrong = faults_of(spec)
    if wrong:
        raise ValueError(f"{spec.name}: {'; '.join(wrong)}")
    return Tool(spec, TypeAdapter(model), function)


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
