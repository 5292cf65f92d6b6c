"""What an operator enters in YAML or JSON: read, validated, or refused with the place and what would be right."""

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]


class EntryError(Exception):
    """What was entered cannot be used; each problem is one line that names its place."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__("\n".join(problems))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def from_file(path: Path) -> Any:
    """What a file holds, by its ending: `.json`, else YAML. Times stay texts. Raises EntryError."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_without_twins)
        return yaml.load(text, Loader=_Loader)  # noqa: S506, a SafeLoader
    except FileNotFoundError:
        raise EntryError([f"{path}: there is no such file"]) from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise EntryError([f"{path}: cannot be read: {error.problem}{line}"]) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise EntryError([f"{path}: cannot be read: {error}"]) from None


def listed(value: Any, plural: str) -> list[tuple[Place, Any]]:
    """The entries of a file with their places: one alone, a list, or a list under `plural`."""
    if isinstance(value, dict) and set(value) == {plural}:
        return [((plural, *place), each) for place, each in listed(value[plural] or [], plural)]
    if isinstance(value, list):
        return [((index,), each) for index, each in enumerate(value)]
    return [((), value)]


def problems_of(model: type[BaseModel], value: Any, *, place: Place = (), shown: bool = True) -> list[str]:
    """What is wrong with a value, each with its place and what would be right; values only if they may be `shown`."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True)
        return [_line(model, (*place, *each["loc"]), each["loc"], dict(each), shown) for each in found]
    return []


def names_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Every name that a field of the model may be given by."""
    return {name: info for field, info in model.model_fields.items() for name in names_for(field, info)}


def names_for(field: str, info: FieldInfo) -> Sequence[str]:
    alias = info.validation_alias
    return [str(each) for each in alias.choices] if isinstance(alias, AliasChoices) else [field]


def _line(model: type[BaseModel], place: Place, within: Place, error: Mapping[str, Any], shown: bool) -> str:
    owner, info = _field_at(model, within)
    if error["type"] == "extra_forbidden":
        like = nearest(str(within[-1]), names_of(owner))
        if not shown and like is None:
            # what nobody knows as a field might be a value in a wrong place
            return f"a field that is none of {', '.join(names_of(owner))}"
        right = f"do you mean {like}?" if like else f"there are {', '.join(names_of(owner))}"
        return f"{_written(place)}: there is no such field; {right}"
    right = f"; it must be {info.description}" if info is not None and info.description else ""
    if error["type"] == "missing":
        return f"{_written(place)}: is missing{right}"
    if error["type"] == "string_type" and isinstance(error["input"], int | float):
        return f"{_written(place)}: is not a text; put it in quotes{right}"
    value = f" ({error['input']!r})" if shown and isinstance(error["input"], str | int | float) else ""
    return f"{_written(place)}{value}: {_lowered(error['msg'])}{right}"


def _field_at(model: type[BaseModel], place: Place) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model on the way to a place, and the field there."""
    info: FieldInfo | None = None
    for part in place:
        if isinstance(part, int):
            continue
        info = names_of(model).get(part)
        inner = _model_in(info.annotation) if info is not None else None
        if inner is not None and part != place[-1]:
            model = inner
    return model, info


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _written(place: Place) -> str:
    """`tenants[0].ai_config.model`"""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the entry"


def _lowered(message: str) -> str:
    """Pydantic's words, without the capital; what a validator of ours says is taken as it is."""
    own = message.removeprefix("Value error, ")
    return own if own != message else message[:1].lower() + message[1:]


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{', '.join(twins)} is there twice")
    return dict(pairs)


class _Loader(yaml.SafeLoader):
    """YAML whose times stay texts and in which no name stands twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012, as in the parent
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twin = next((name for name in names if names.count(name) > 1), None)
        if twin is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twin} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)
