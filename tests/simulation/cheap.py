"""Ports that cost nothing: no cryptography, no forms, no search for the best place to cut."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.model import Channel, ConversationKey, Inbound, StatusUpdate, Tenant
from chalicelib.ports import Request, Secret

if TYPE_CHECKING:
    from tests.simulation.world import World


class CheapWebhooks:
    """Signatures and forms without cryptography and parsing: the header is the token, the body names the message."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def is_signed(self, request: Request) -> bool:
        return "token" in request.headers

    def verify(self, request: Request, secrets: Sequence[Secret]) -> bool:
        return any(secret.get("twilio_auth_token") == request.headers["token"] for secret in secrets)

    def parse(self, request: Request, *, at: datetime) -> Inbound:
        return self._world.provider.inbound(self._world.truth.said[request.body.decode()], at)

    def parse_status(self, request: Request) -> StatusUpdate:
        return self._world.provider.updates[request.body.decode()]

    def acknowledgement(self, text: str | None) -> str:
        return text or ""


class CheapReferences:
    """Names for messages without cryptography; they open with the token that made them."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[ConversationKey, str, str]] = {}

    def seal(self, key: ConversationKey, position: str, secret: Secret) -> str:
        name = f"{secret['twilio_auth_token']}.{key.conversation_id}.{position}".replace("#", "-").replace("/", "-")
        self._named[name] = (key, position, secret["twilio_auth_token"])
        return name

    def unseal(self, reference: str, secrets: Sequence[Secret]) -> tuple[ConversationKey, str] | None:
        named = self._named.get(reference)
        if named is None or all(secret["twilio_auth_token"] != named[2] for secret in secrets):
            return None
        return named[0], named[1]


class CheapSplitter:
    """Every paragraph is a part."""

    def split(self, channel: Channel, text: str, *, tenant: Tenant | None) -> Sequence[str]:
        return text.split("\n\n")
