"""A declared schema as a type that pydantic checks arguments against."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError
from typing_extensions import TypedDict

Schema = Mapping[str, Any]

_SIMPLE: Mapping[str, Any] = {"string": str, "integer": int, "number": int | float, "boolean": bool, "null": None}

_CONSTRAINTS = {
    "pattern": "pattern",
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minItems": "min_length",
    "maxItems": "max_length",
}

#: Called as a function with names that are known only now.
_typed_dict: Any = TypedDict

_STRICT = ConfigDict(extra="forbid", strict=True)


class Untypable(Exception):
    """The schema says something that no type of ours can hold, such as `$ref`."""


def type_of(schema: Schema) -> TypeAdapter[Any]:
    """The type of what satisfies `schema`, in which `strict.faults` found none. Raises Untypable."""
    try:
        return TypeAdapter(_type_of(schema))
    except (SchemaError, PydanticUserError, TypeError, ValueError) as error:
        raise Untypable(str(error)) from None


def _type_of(schema: Schema) -> Any:
    if "$ref" in schema:
        raise Untypable("$ref")
    if "anyOf" in schema:
        return _any_of([_type_of(each) for each in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return Literal[tuple(schema["enum"] if "enum" in schema else [schema["const"]])]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return _any_of([_constrained(kind, schema) for kind in kinds])


def _constrained(kind: str, schema: Schema) -> Any:
    if kind == "object":
        return _closed({name: _type_of(each) for name, each in schema.get("properties", {}).items()})
    if kind == "array":
        return _with(list[_type_of(schema["items"])], schema, {"minItems", "maxItems"})  # type: ignore[misc]
    if kind == "string":
        return _with(str, schema, {"pattern"})
    if kind in ("integer", "number"):
        return _with(_SIMPLE[kind], schema, set(_CONSTRAINTS) - {"pattern", "minItems", "maxItems"})
    return _SIMPLE[kind]


def _closed(fields: Mapping[str, Any]) -> Any:
    made: Any = _typed_dict("Object", dict(fields))
    made.__pydantic_config__ = _STRICT
    return made


def _with(kind: Any, schema: Schema, keywords: set[str]) -> Any:
    limits = {_CONSTRAINTS[name]: schema[name] for name in keywords & set(schema)}
    return Annotated[kind, Field(**limits)] if limits else kind


def _any_of(kinds: list[Any]) -> Any:
    return Union[tuple(kinds)]  # noqa: UP007
