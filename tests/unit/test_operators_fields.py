"""What the code reads of a tenant or of the outbound engine's record, an operator can put."""

import ast
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from ops import conversations, tenants
from ops.entries import names_of
from tests.house.source import modules

CONVERSATION = (conversations.ConversationItem, conversations.ChannelConfig)

#: What the relay writes into a record itself; nobody enters it.
OURS = {"reference", "task_outcome", "thread_state"}

#: Each function of `chalicelib.aws.items`, and the models whose fields an operator enters for it.
READERS: dict[str, tuple[type[BaseModel], ...]] = {
    "tenant_of": (tenants.TenantItem,),
    "_template_of": (tenants.Template,),
    "ai_settings_of": (tenants.AiConfig,),
    "_webhook_tools_of": (tenants.WebhookTool,),
    "conversation_of": CONVERSATION,
}


@pytest.mark.parametrize(("function", "models"), READERS.items(), ids=READERS)
def test_every_field_that_the_code_reads_can_be_put(function: str, models: tuple[type[BaseModel], ...]) -> None:
    missing = set(_asked_for(function)) - {name for model in models for name in names_of(model)} - OURS
    where = ", ".join(f"{model.__module__}.{model.__name__}" for model in models)
    assert missing == set(), f"add these to {where}; a tenant's also to EXAMPLE in tests/edge/test_tenants_command.py"


def test_a_field_that_nobody_can_put_is_found() -> None:
    assert "credentials_reference" in set(_asked_for("tenant_of"))
    assert "tools" in set(_asked_for("ai_settings_of"))
    assert "company_email" in set(_asked_for("conversation_of"))


def _asked_for(function: str) -> Iterator[str]:
    """The names that a function asks an item for: `_text(item, "name")`, `item.get("name")`."""
    [items] = [each for each in modules() if each.name == "chalicelib.aws.items"]
    [definition] = [each for each in items.tree.body if isinstance(each, ast.FunctionDef) and each.name == function]
    for node in ast.walk(definition):
        if isinstance(node, ast.Call):
            asked = isinstance(node.func, ast.Attribute) and node.func.attr == "get"
            asks = isinstance(node.func, ast.Name) and bool(node.args) and isinstance(node.args[0], ast.Name)
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from texts[:1] if asked or asks else []
