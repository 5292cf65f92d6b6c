"""One conditional UpdateItem, written clause by clause; every attribute name and value goes through a placeholder."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.aws.items import item_to_wire, to_wire


class Update:
    """An UpdateItem in the making. Paths are dotted, with list indexes in brackets: `outgoing.parts[0].text`."""

    def __init__(self) -> None:
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def set(self, path: str, value: Any) -> "Update":
        self._sets.append(f"{self._name(path)} = {self._value(value)}")
        return self

    def set_if_absent(self, path: str, value: Any) -> "Update":
        name = self._name(path)
        self._sets.append(f"{name} = if_not_exists({name}, {self._value(value)})")
        return self

    def count_up(self, path: str, amount: int = 1) -> "Update":
        name = self._name(path)
        self._sets.append(f"{name} = if_not_exists({name}, {self._value(0)}) + {self._value(amount)}")
        return self

    def append(self, path: str, value: Any) -> "Update":
        name = self._name(path)
        self._sets.append(f"{name} = list_append(if_not_exists({name}, {self._value([])}), {self._value([value])})")
        return self

    def remove(self, *paths: str) -> "Update":
        self._removes.extend(self._name(path) for path in paths)
        return self

    def remove_first(self, path: str, count: int) -> "Update":
        """Removes the first elements of a list, the last of them first, which every DynamoDB understands alike."""
        return self.remove(*(f"{path}[{index}]" for index in reversed(range(count))))

    def only_if(self, condition: str, *paths: str, **values: Any) -> "Update":
        """A clause of the condition: `{0}` stands for the first path, `{name}` for a value."""
        names = [self._name(path) for path in paths]
        self._conditions.append(condition.format(*names, **{key: self._value(each) for key, each in values.items()}))
        return self

    def only_if_equal(self, path: str, value: Any, *, absent_means: Any = None) -> "Update":
        """The attribute is still `value`; a missing attribute counts as `absent_means`."""
        if value == absent_means:
            if value is None:
                return self.only_if("attribute_not_exists({0})", path)
            return self.only_if("(attribute_not_exists({0}) OR {0} = {value})", path, value=value)
        return self.only_if("{0} = {value}", path, value=value)

    def only_if_none_of(self, path: str, values: Sequence[Any]) -> "Update":
        """The attribute is missing, or something else than each of these values."""
        names = {f"v{index}": value for index, value in enumerate(values)}
        listed = ", ".join(f"{{{name}}}" for name in names)
        return self.only_if(f"(attribute_not_exists({{0}}) OR NOT ({{0}} IN ({listed})))", path, **names)

    def request(self, table: str, key: Mapping[str, str], *, returns: str) -> dict[str, Any]:
        """The arguments of `update_item`. When the condition fails, the answer holds the item as it is."""
        clauses = []
        if self._sets:
            clauses.append("SET " + ", ".join(self._sets))
        if self._removes:
            clauses.append("REMOVE " + ", ".join(self._removes))
        conditions = {"ConditionExpression": " AND ".join(self._conditions)} if self._conditions else {}
        return {
            "TableName": table,
            "Key": item_to_wire(key),
            "UpdateExpression": " ".join(clauses),
            **conditions,
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
            "ReturnValues": returns,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _name(self, path: str) -> str:
        return ".".join(self._placeholder(step) for step in path.split("."))

    def _placeholder(self, step: str) -> str:
        attribute, bracket, index = step.partition("[")
        self._names[f"#{attribute}"] = attribute
        return f"#{attribute}{bracket}{index}"

    def _value(self, value: Any) -> str:
        wire = to_wire(value)
        for name, known in self._values.items():
            if known == wire:
                return name
        name = f":v{len(self._values)}"
        self._values[name] = wire
        return name
