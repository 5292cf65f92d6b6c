"""Secrets Manager: every value of a secret that is valid now, read through a cache of minutes."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.cache import Cache
from chalicelib.aws.clients import code_of, translated
from chalicelib.ports import Clock, Secret

#: The stages of a rotation, the one to speak with first. Source: "Secret versions", AWS Secrets Manager User Guide.
_STAGES = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")

_KEPT = timedelta(minutes=5)

#: A forged request must not be able to buy calls: a secret is read anew at most this often.
_NOT_MORE_OFTEN_THAN = timedelta(minutes=1)

#: There is no such secret, or no such version, or it is being deleted.
_ABSENT = frozenset(
    {"ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException", "ValidationException"}
)


class SecretsManager:
    """Secrets by reference; see `ports.Secrets`."""

    def __init__(self, secretsmanager: Any, *, clock: Clock) -> None:
        self._secretsmanager = secretsmanager
        self._cache: Cache[tuple[Secret, ...]] = Cache(clock, _KEPT)

    def current(self, reference: str) -> Sequence[Secret]:
        return self._cache.get(reference, self._read)

    def refreshed(self, reference: str) -> Sequence[Secret] | None:
        before = self._cache.read_at(reference)
        values = self._cache.get(reference, self._read, younger_than=_NOT_MORE_OFTEN_THAN)
        return values if self._cache.read_at(reference) != before else None

    def _read(self, reference: str) -> tuple[Secret, ...]:
        found = [self._version(reference, stage) for stage in _STAGES]
        return tuple(value for value in found if value)

    def _version(self, reference: str, stage: str) -> Secret | None:
        try:
            with translated():
                response = self._secretsmanager.get_secret_value(SecretId=reference, VersionStage=stage)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise
        return _parsed(response.get("SecretString"))


def _parsed(text: str | None) -> Secret | None:
    """The secret's texts; whatever is not a text is no credential. None for what is not a JSON object."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return {name: each.strip() for name, each in value.items() if isinstance(each, str)}
