"""OpenAI through its own SDK: the calls of one turn under one deadline, and what its errors mean to us."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import openai

from chalicelib.config import ENGINE_DEADLINE
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.model import Usage
from chalicelib.ports import Secret


class Gone(Refused):
    """What was asked for is not there, or not there any more: 404 or 410."""


class Poisoned(Refused):
    """The conversation ends in a function call that nobody answered, so nothing can follow it."""


class Busy(TryAgain):
    """Somebody else's response or run is going on in the same conversation."""


#: What an error of the SDK means, the most specific class first. `code` may say more, see `of_error`.
#: Source: openai-python, `_exceptions.py`; OpenAI, "Error codes".
MEANING: Mapping[type[Exception], type[RelayError]] = {
    openai.APITimeoutError: Unconfirmed,  # it may have thought; the next turn undoes what is left of it
    openai.APIConnectionError: TryAgain,  # the network
    openai.RateLimitError: TryAgain,  # 429; `insufficient_quota` is refused, see REFUSED_CODES
    openai.ConflictError: TryAgain,  # 409
    openai.InternalServerError: TryAgain,  # 5xx
    openai.BadRequestError: Refused,  # 400; `conversation_locked` may pass, see BUSY_CODES
    openai.OAuthError: Refused,  # 401 of a token exchange
    openai.AuthenticationError: Refused,  # 401
    openai.PermissionDeniedError: Refused,  # 403
    openai.NotFoundError: Gone,  # 404: the model, conversation, thread or API was switched off
    openai.UnprocessableEntityError: Refused,  # 422
    openai.APIResponseValidationError: TryAgain,  # an answer of a shape that the SDK does not know
    openai.APIStatusError: Refused,  # any other 4xx; 410 is gone
    openai.LengthFinishReasonError: Refused,  # a parsed answer was cut off
    openai.ContentFilterFinishReasonError: Refused,  # a parsed answer was filtered
    openai.InvalidWebhookSignatureError: Refused,  # not met here: we take no webhooks from OpenAI
    openai.WebSocketConnectionClosedError: TryAgain,  # not met here: we use HTTP
    openai.WebSocketQueueFullError: TryAgain,  # not met here: we use HTTP
    openai.APIError: TryAgain,  # anything else that the API did
    openai.OpenAIError: Refused,  # anything else that the SDK refuses
}

#: Codes that speak louder than their HTTP status.
REFUSED_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "account_deactivated"})
PASSING_CODES = frozenset({"rate_limit_exceeded", "server_error", "vector_store_timeout"})
BUSY_CODES = frozenset({"conversation_locked"})

#: What OpenAI says where it gives no code.
#: Source: openai-python issue 1023; answers of the Assistants and Responses APIs.
SAYINGS: Mapping[str, type[RelayError]] = {
    "while a run": Busy,  # "Can't add messages to thread_… while a run run_… is active."
    "already has an active run": Busy,
    "No tool output found for function call": Poisoned,
}

_STATUSES: Mapping[int, type[RelayError]] = {408: TryAgain, 410: Gone}


@dataclass(frozen=True, slots=True)
class OpenAi:
    """The clients of this process, one for each key."""

    base_url: str | None
    monotonic: Callable[[], float] = time.monotonic
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    def session(self, secrets: Sequence[Secret]) -> "Session":
        """What one turn may ask with these secrets. Raises Refused where none holds a key."""
        keys = [key for key in (secret.get("ai_api_key") or secret.get("api_key") for secret in secrets) if key]
        if not keys:
            raise Refused("no_ai_credentials", "the secret holds no API key")
        return Session([self.client(key) for key in keys], self.monotonic, self.monotonic())

    def client(self, key: str) -> openai.OpenAI:
        if key not in self.clients:
            deadline = ENGINE_DEADLINE.total_seconds()
            self.clients[key] = openai.OpenAI(api_key=key, base_url=self.base_url, timeout=deadline, max_retries=0)
        return self.clients[key]


@dataclass(slots=True)
class Session:
    """One turn's calls: the clients to call with, the time that is left for all of them, and what they cost."""

    clients: list[openai.OpenAI]
    monotonic: Callable[[], float]
    begun: float
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0

    def call(self, endpoint: str, *path: str, at_most: float | None = None, **request: Any) -> Any:
        """Calls `endpoint`, such as `responses.create`, within the time that is left, or `at_most` seconds of it.

        Tries every key until one is accepted, so that a rotation does not stop the answers. Raises Refused, TryAgain
        and Unconfirmed as `of_error` sorts the SDK's errors.
        """
        while len(self.clients) > 1:
            try:
                return self._call(self.clients[0], endpoint, path, at_most, request)
            except openai.AuthenticationError:
                self.clients = self.clients[1:]
            except (openai.OpenAIError, ValueError) as error:
                raise of_error(error) from None
        try:
            return self._call(self.clients[0], endpoint, path, at_most, request)
        except (openai.OpenAIError, ValueError) as error:
            raise of_error(error) from None

    def _call(
        self, client: openai.OpenAI, endpoint: str, path: Sequence[str], at_most: float | None, request: Any
    ) -> Any:
        left = self.seconds_left()
        return attrgetter(endpoint)(client)(*path, **request, timeout=min(left, at_most or left))

    def seconds_left(self) -> float:
        """Seconds until the turn's deadline. Raises Unconfirmed when there are none."""
        left = ENGINE_DEADLINE.total_seconds() - (self.monotonic() - self.begun)
        if left <= 0:
            raise Unconfirmed("the engine's time is over")
        return left

    def spent(self, model: str | None, input_tokens: int, output_tokens: int) -> None:
        """Notes what an answer of the model cost."""
        self.model = model or self.model
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def usage(self) -> Usage:
        return Usage(
            model=self.model,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            milliseconds=round((self.monotonic() - self.begun) * 1000),
        )


def listed(call: Callable[..., Any], endpoint: str, *path: str, **request: Any) -> Iterator[Any]:
    """Everything that `endpoint` lists, page by page as it is asked for."""
    more: dict[str, Any] = {}
    while True:
        page = call(endpoint, *path, **request, **more)
        yield from page.data
        if not page.data or not page.has_more:
            return
        more = {"after": page.data[-1].id}


def of_error(error: Exception) -> RelayError:
    """What an error of the SDK means to us; its message is left behind, because it may quote the conversation."""
    code = str(getattr(error, "code", None) or "")
    name = code or type(error).__name__
    meaning = _of_code(code) or _of_saying(error) or _of_status(error) or _of_class(error)
    return meaning(name) if issubclass(meaning, Refused) else meaning(f"OpenAI: {name}")


def _of_code(code: str) -> type[RelayError] | None:
    if code in REFUSED_CODES:
        return Refused
    if code in BUSY_CODES:
        return Busy
    return TryAgain if code in PASSING_CODES else None


def _of_saying(error: Exception) -> type[RelayError] | None:
    if not isinstance(error, openai.BadRequestError):
        return None
    return next((meaning for words, meaning in SAYINGS.items() if words in error.message), None)


def _of_status(error: Exception) -> type[RelayError] | None:
    return _STATUSES.get(error.status_code) if isinstance(error, openai.APIStatusError) else None


def _of_class(error: Exception) -> type[RelayError]:
    return next((meaning for kind, meaning in MEANING.items() if isinstance(error, kind)), TryAgain)
