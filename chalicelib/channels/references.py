"""Names of our own messages for URLs that leave us: sealed with the tenant's own token, so that they show nothing."""

import base64
import hmac
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from chalicelib.model import ConversationKey
from chalicelib.ports import Secret

_PURPOSE = b"ai-multi-comms status reference 1"
_KEY_FIELDS = ("twilio_auth_token", "auth_token", "api_key_secret")


class SealedReferences:
    """AES-SIV over the message's key. Whoever has no token of the tenant can neither read nor make one.

    The same message always has the same name, and a rotated token opens what it sealed as long as it is current.
    """

    def seal(self, key: ConversationKey, position: str, secret: Secret) -> str:
        plain = json.dumps([key.person, key.conversation_id, position], ensure_ascii=False, separators=(",", ":"))
        sealed = AESSIV(_keys(secret)[0]).encrypt(plain.encode(), [_PURPOSE])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def unseal(self, reference: str, secrets: Sequence[Secret]) -> tuple[ConversationKey, str] | None:
        try:
            sealed = base64.urlsafe_b64decode(reference + "=" * (-len(reference) % 4))
        except ValueError:
            return None
        for sealing_key in (each for secret in secrets for each in _keys(secret)):
            try:
                person, conversation_id, position = json.loads(AESSIV(sealing_key).decrypt(sealed, [_PURPOSE]))
            except (InvalidTag, ValueError):
                continue
            return ConversationKey(person, conversation_id), position
        return None


def _keys(secret: Secret) -> list[bytes]:
    tokens = [secret[name] for name in _KEY_FIELDS if secret.get(name)]
    return [hmac.digest(token.encode(), _PURPOSE, "sha512") for token in tokens]
