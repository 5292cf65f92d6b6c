"""The tools that a tenant declares: a name, words, a schema, and an https URL of its own that does the work."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.config import TOOL_DEADLINE
from chalicelib.model import ToolResult, WebhookTool
from chalicelib.ports import Clock, Secrets
from chalicelib.tools.outside import Outside, usable
from chalicelib.tools.registry import Call, Failed, Tool, faults_of
from chalicelib.tools.signing import keys_of, signed
from chalicelib.tools.typed import Untypable, type_of

#: In bytes.
LARGEST_REQUEST = 65_536


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Makes tools of what tenants declare."""

    secrets: Secrets
    outside: Outside
    clock: Clock

    def tool_of(self, declared: WebhookTool) -> Tool:
        """Raises Failed with a word for what is wrong with the declaration."""
        if faults_of(declared.spec):
            raise Failed("schema")
        if not usable(declared.url) and not self.outside.loopback:
            raise Failed("url")
        try:
            arguments = type_of(declared.spec.parameters)
        except Untypable:
            raise Failed("schema") from None
        return Tool(declared.spec, arguments, lambda given, call: self._ask(declared, given, call), acts=True)

    def _ask(self, declared: WebhookTool, arguments: Any, call: Call) -> ToolResult:
        keys = keys_of(self.secrets.current(declared.secret_reference)) if declared.secret_reference else []
        if not keys:
            raise Failed("no_secret", "the tool cannot be used")
        body = _body(declared, arguments, call)
        if len(body) > LARGEST_REQUEST:
            raise Failed("request_too_large", "the arguments are too long")
        headers = {
            "Idempotency-Key": call.idempotency_key,
            **signed(call.idempotency_key, self.clock(), body, keys),
        }
        seconds = min(TOOL_DEADLINE.total_seconds(), call.seconds_left)
        return ToolResult(output=self.outside.post(declared.url, body, headers, seconds=seconds))


def _body(declared: WebhookTool, arguments: Mapping[str, Any], call: Call) -> bytes:
    turn = call.turn
    request = {
        "tool": declared.spec.name,
        "arguments": arguments,
        "conversation": {
            "conversation_id": turn.conversation_id,
            "company_id": turn.company_id,
            "project_id": turn.project_id,
            "channel": str(turn.channel),
        },
    }
    return json.dumps(request, ensure_ascii=False).encode()
