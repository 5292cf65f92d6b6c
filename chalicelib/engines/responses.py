"""OpenAI's Responses API through its own SDK. History and instructions are ours; OpenAI keeps nothing (`store` off)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import openai

from chalicelib.config import ENGINE_DEADLINE
from chalicelib.engines.prompt import instructions, messages
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed
from chalicelib.model import Answer, ToolResult, ToolSpec, Turn, Usage
from chalicelib.ports import Secret, Toolbox

DEFAULT_MODEL = "gpt-6-luna"
DEFAULT_OUTPUT_TOKENS = 1_200

#: A turn asks the model at most this often, the tool calls between its answers included.
MOST_STEPS = 6

#: What an error of the SDK means, the most specific class first. `code` may say more, see `of_error`.
#: Source: openai-python, `_exceptions.py`; OpenAI, "Error codes".
MEANING: Mapping[type[Exception], type[RelayError]] = {
    openai.APITimeoutError: Unconfirmed,  # it may have thought, but nothing that it did is kept
    openai.APIConnectionError: TryAgain,  # the network
    openai.RateLimitError: TryAgain,  # 429; `insufficient_quota` is refused, see REFUSED_CODES
    openai.ConflictError: TryAgain,  # 409
    openai.InternalServerError: TryAgain,  # 5xx
    openai.BadRequestError: Refused,  # 400; `conversation_locked` may pass, see PASSING_CODES
    openai.OAuthError: Refused,  # 401 of a token exchange
    openai.AuthenticationError: Refused,  # 401
    openai.PermissionDeniedError: Refused,  # 403
    openai.NotFoundError: Refused,  # 404: the model was switched off
    openai.UnprocessableEntityError: Refused,  # 422
    openai.APIResponseValidationError: TryAgain,  # an answer of a shape that the SDK does not know
    openai.APIStatusError: Refused,  # any other 4xx
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
PASSING_CODES = frozenset({"conversation_locked", "rate_limit_exceeded", "server_error", "vector_store_timeout"})


def build(*, base_url: str | None) -> "ResponsesEngine":
    return ResponsesEngine(base_url, time.monotonic)


@dataclass(frozen=True, slots=True)
class ResponsesEngine:
    """Asks the model until it has an answer, the tools that it calls included, within one deadline."""

    base_url: str | None
    monotonic: Callable[[], float]
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    def answer(self, turn: Turn, secrets: Sequence[Secret], tools: Toolbox) -> Answer:
        """Raises Refused for what will not pass, TryAgain and Unconfirmed for what may."""
        begun = self.monotonic()
        keys = [key for key in (secret.get("ai_api_key") or secret.get("api_key") for secret in secrets) if key]
        if not keys:
            raise Refused("no_ai_credentials", "the secret holds no API key")
        thought = _Thought(self._asking(keys), turn, tools, lambda: self._left(begun))
        answer = thought.until_answered()
        usage = Usage(
            model=thought.model,
            input_tokens=thought.input_tokens,
            output_tokens=thought.output_tokens,
            milliseconds=round((self.monotonic() - begun) * 1000),
        )
        return replace(answer, usage=usage)

    def _left(self, begun: float) -> float:
        """Seconds until the deadline. Raises Unconfirmed when there are none."""
        left = ENGINE_DEADLINE.total_seconds() - (self.monotonic() - begun)
        if left <= 0:
            raise Unconfirmed("the engine's time is over")
        return left

    def _asking(self, keys: Sequence[str]) -> Callable[..., Any]:
        """Asks with the first key that is accepted, so that a rotation does not stop the answers."""

        def ask(**request: Any) -> Any:
            for key in keys[:-1]:
                try:
                    return self._client(key).responses.create(**request)
                except openai.AuthenticationError:
                    continue
            return self._client(keys[-1]).responses.create(**request)

        return ask

    def _client(self, key: str) -> openai.OpenAI:
        if key not in self.clients:
            deadline = ENGINE_DEADLINE.total_seconds()
            self.clients[key] = openai.OpenAI(api_key=key, base_url=self.base_url, timeout=deadline, max_retries=0)
        return self.clients[key]


@dataclass(slots=True)
class _Thought:
    """One turn's exchange with the model."""

    ask: Callable[..., Any]
    turn: Turn
    tools: Toolbox
    seconds_left: Callable[[], float]
    outcome: str | None = None
    media_urls: tuple[str, ...] = ()
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0

    def until_answered(self) -> Answer:
        heard: list[Any] = list(messages(self.turn))
        for _ in range(MOST_STEPS):
            response = self._step(heard)
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return Answer(text=_text_of(response), outcome=self.outcome, media_urls=self.media_urls)
            for call in calls:
                result = self._use(call)
                if result.hand_off_reason is not None:
                    return Answer(hand_off_reason=result.hand_off_reason)
                heard += [call.model_dump(exclude_none=True), _output_of(call, result)]
        raise Refused("too_many_steps", "the model calls tools without end")

    def _use(self, call: Any) -> ToolResult:
        result = self.tools.use(call.name, call.arguments, seconds_left=self.seconds_left())
        self.outcome = result.outcome or self.outcome
        self.media_urls += result.media_urls
        return result

    def _step(self, heard: Sequence[Any]) -> Any:
        settings = self.turn.settings
        tools = [_as_function(spec) for spec in self.tools.specs()]
        request: dict[str, Any] = {
            "model": settings.model or DEFAULT_MODEL,
            "instructions": instructions(self.turn),
            "input": list(heard),
            "max_output_tokens": settings.max_output_tokens or DEFAULT_OUTPUT_TOKENS,
            "store": False,
            "safety_identifier": self.turn.reference,
            "timeout": self.seconds_left(),
        }
        if tools:
            request |= {"tools": tools, "parallel_tool_calls": False}
        try:
            response = self.ask(**request)
        except (openai.OpenAIError, ValueError) as error:
            raise of_error(error) from None
        self._count(response)
        _demand_completed(response)
        return response

    def _count(self, response: Any) -> None:
        self.model = response.model or self.model
        if response.usage is not None:
            self.input_tokens += response.usage.input_tokens
            self.output_tokens += response.usage.output_tokens


def of_error(error: Exception) -> RelayError:
    """What an error of the SDK means to us; its message is left behind, because it may quote the conversation."""
    code = str(getattr(error, "code", None) or "")
    if code in REFUSED_CODES:
        return Refused(code)
    if code in PASSING_CODES:
        return TryAgain(f"OpenAI: {code}")
    if isinstance(error, openai.APIStatusError) and error.status_code == 408:
        return TryAgain("OpenAI: 408")
    for kind, meaning in MEANING.items():
        if isinstance(error, kind):
            name = code or type(error).__name__
            return Refused(name) if meaning is Refused else meaning(f"OpenAI: {name}")
    return TryAgain("OpenAI's answer could not be read")


def _demand_completed(response: Any) -> None:
    """A 200 may still say that there is no answer. Source: Responses API, `status` and `incomplete_details`."""
    if response.status == "failed":
        code = response.error.code if response.error else "failed"
        raise TryAgain(f"OpenAI: {code}") if code in PASSING_CODES else Refused(str(code))
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        raise Refused(f"incomplete:{reason or 'unknown'}")
    if response.status in ("cancelled", "queued", "in_progress"):
        raise TryAgain(f"OpenAI: the response is {response.status}")


def _text_of(response: Any) -> str:
    """The answer's text. Raises Refused for a refusal and for an answer without words."""
    contents = [part for item in response.output if item.type == "message" for part in item.content]
    if any(part.type == "refusal" for part in contents):
        raise Refused("refusal", "the model refuses to answer")
    text = _valid("".join(part.text for part in contents if part.type == "output_text").strip())
    if not text:
        raise Refused("empty_answer", "the model answers without words")
    return text


def _valid(text: str) -> str:
    """JSON may hold half a surrogate pair, which no table and no provider takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _as_function(spec: ToolSpec) -> dict[str, Any]:
    named = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", **named, "strict": True}


def _output_of(call: Any, result: ToolResult) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": result.output}
