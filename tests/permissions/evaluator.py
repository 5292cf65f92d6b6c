"""A small IAM: whether a policy allows an action on a resource, as AWS evaluates it for a role."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.permissions import Permission
from ops.policies import CHALICE, configuration, functions

#: What this evaluator understands of a statement; it must not overlook anything else.
_ELEMENTS = {"Sid", "Effect", "Action", "Resource"}


@dataclass(frozen=True)
class Policy:
    """An identity policy. Everything is denied that no statement allows, and everything that one denies."""

    document: Mapping[str, Any]

    def allows(self, wanted: Permission) -> bool:
        effects = {each["Effect"] for each in self.document["Statement"] if _concerns(each, wanted)}
        return effects == {"Allow"}


def policies_of(stage: str) -> dict[str, Policy]:
    """The policies that Chalice gives to the functions of a stage, by function."""
    return {each: Policy(json.loads(_file_of(stage, each))) for each in functions()}


def _file_of(stage: str, function: str) -> str:
    config = configuration(stage, function)
    assert config.iam_policy_file, f"{function} of {stage} names no policy"
    return (CHALICE / config.iam_policy_file).read_text()


def _concerns(statement: Mapping[str, Any], wanted: Permission) -> bool:
    unknown = set(statement) - _ELEMENTS
    if unknown or statement["Effect"] not in ("Allow", "Deny"):
        raise ValueError(f"this evaluator does not know what {sorted(unknown) or statement['Effect']} means")
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    action_fits = any(_fits(each.lower(), wanted.action.lower()) for each in actions)
    return action_fits and any(is_resource(each, wanted.resource) for each in resources)


def is_resource(pattern: str, resource: str) -> bool:
    """A wildcard stays within its segment of an ARN, of which there are six; the last holds the rest."""
    if pattern == "*":
        return True
    ours, theirs = pattern.split(":", 5), resource.split(":", 5)
    return len(ours) == len(theirs) and all(_fits(one, other) for one, other in zip(ours, theirs, strict=True))


def _fits(pattern: str, text: str) -> bool:
    """`*` is any text, `?` one character; nothing else is special."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
