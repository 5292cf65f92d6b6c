"""The part of JSON Schema that OpenAI's strict mode takes; whatever else a schema says is found before a model sees it.

Source: OpenAI, "Structured outputs", supported schemas.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_ANYWHERE = frozenset({"type", "description", "enum", "const", "anyOf", "$ref"})

#: What a schema of each type may say besides; strict mode knows no lengths of texts and no keys by pattern.
KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}

DEEPEST = 10


def faults(schema: object) -> list[str]:
    """What strict mode would refuse in the schema of a tool's parameters, one sentence each; empty if it is fine."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return ["parameters must be a schema of type object"]
    definitions = schema.get("$defs", {})
    root = {name: value for name, value in schema.items() if name != "$defs"}
    found = list(_faults(root, "parameters", 1))
    for name, definition in definitions.items() if isinstance(definitions, Mapping) else ():
        found += _faults(definition, f"$defs.{name}", 1)
    return found


def _faults(schema: object, where: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        yield f"{where} must be a schema"
        return
    if depth > DEEPEST:
        yield f"{where} lies deeper than {DEEPEST} levels"
        return
    kinds = _kinds(schema)
    if not kinds and not {"anyOf", "$ref", "enum", "const"} & set(schema):
        yield f"{where} has no type"
    for kind in kinds:
        if kind not in KEYWORDS:
            yield f"{where} has a type that there is not"
    allowed = _ANYWHERE.union(*(KEYWORDS.get(kind, frozenset()) for kind in kinds))
    for keyword in sorted(set(schema) - allowed):
        yield f"{where} says {keyword}, which strict mode does not take here"
    if "object" in kinds:
        yield from _faults_of_object(schema, where)
    if "array" in kinds and "items" not in schema:
        yield f"{where} does not say what its items are"
    for place, part in _parts(schema, where):
        yield from _faults(part, place, depth + 1)


def _faults_of_object(schema: Schema, where: str) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"{where} must say additionalProperties: false"
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        yield f"{where} must list its properties, and those that are required"
    elif set(map(str, required)) != set(properties):
        yield f"{where} must require each of its properties, and no others"


def _kinds(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [str(each) for each in kind] if isinstance(kind, list) else [str(kind)]


def _parts(schema: Schema, where: str) -> Iterator[tuple[str, object]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        yield from ((f"{where}.{name}", each) for name, each in properties.items())
    if "items" in schema:
        yield f"{where}[]", schema["items"]
    options = schema.get("anyOf", [])
    if isinstance(options, list):
        yield from ((f"{where}|{number}", each) for number, each in enumerate(options))
    else:
        yield f"{where}|", options


def closed(schema: Any) -> Any:
    """A schema of pydantic's with every property required, nothing else allowed, and no titles or empty defaults."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {name: value for name, value in schema.items() if name != "title" and (name, value) != ("default", None)}
    for name in ("items", "anyOf"):
        if name in kept:
            kept[name] = closed(kept[name])
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {each: closed(value) for each, value in kept[name].items()}
    if kept.get("type") == "object":
        kept.setdefault("properties", {})
        kept.setdefault("additionalProperties", False)
        kept["required"] = list(kept["properties"])
    return kept
