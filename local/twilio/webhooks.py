"""Delivers a signed webhook with Twilio's manners: headers, timeouts, retries, overrides in the URL."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urldefrag
from uuid import uuid4

import requests
from twilio.request_validator import RequestValidator
from urllib3.exceptions import NewConnectionError

Form = dict[str, str]

# How an attempt can fail, in the words of the `rp` override.
CONNECT = "ct"
READ = "rt"

# Twilio's debugger: the webhook could not be reached; it answered with an error; its answer is not TwiML.
UNREACHABLE = 11205
HTTP_FAILURE = 11200
NOT_TWIML = 12300
BROKEN_TWIML = 12100

_MILLISECONDS = {"ct": (5000, 100, 10_000), "rt": (15_000, 100, 15_000), "tt": (15_000, 100, 15_000)}
_RETRIES = (1, 0, 5)


@dataclass(frozen=True)
class Policy:
    """How long to wait and what to try again; by default one retry, after a failed connect only.

    Source: Twilio, webhooks, connection overrides.
    """

    connect_seconds: float
    read_seconds: float
    total_seconds: float
    retries: int
    retry_on: frozenset[str]

    @classmethod
    def of(cls, url: str) -> Self:
        """Reads `#rc=3&rp=5xx,ct,rt` and so on; what is missing or unreadable keeps its default."""
        overrides = dict(parse_qsl(urldefrag(url).fragment))
        connect, read, total = (_within(overrides.get(key), *_MILLISECONDS[key]) for key in _MILLISECONDS)
        return cls(
            connect_seconds=connect / 1000,
            read_seconds=read / 1000,
            total_seconds=total / 1000,
            retries=_within(overrides.get("rc"), *_RETRIES),
            retry_on=frozenset(overrides.get("rp", CONNECT).split(",")),
        )

    def retries_after(self, answer: "Answer") -> bool:
        failure = answer.failure
        return failure is not None and ("all" in self.retry_on or failure in self.retry_on)


@dataclass(frozen=True)
class Answer:
    """What one attempt came to; `failure` is None (2xx), `3xx`, `4xx`, `5xx`, `ct` or `rt`."""

    status: int | None
    body: str
    content_type: str
    milliseconds: int
    failure: str | None

    @property
    def error_code(self) -> int | None:
        """The number under which Twilio's debugger would list the failure."""
        if self.failure is None:
            return None
        return UNREACHABLE if self.failure == CONNECT else HTTP_FAILURE

    def as_json(self) -> dict[str, object]:
        return {"status": self.status, "body": self.body, "milliseconds": self.milliseconds}


@dataclass(frozen=True)
class Webhook:
    """One notification; its token stays the same whenever it is sent again."""

    url: str
    params: Form
    signature: str
    token: str

    @classmethod
    def signed(cls, url: str, params: Form, auth_token: str) -> Self:
        """Signs with the auth token over the URL without its fragment."""
        signature = RequestValidator(auth_token).compute_signature(urldefrag(url).url, params)
        return cls(url, params, signature, str(uuid4()))

    def deliver(self, on_attempt: Callable[[int, Answer], None]) -> Answer:
        """Posts until an attempt succeeds or the policy gives up; tells of each attempt, returns the last."""
        policy = Policy.of(self.url)
        until = time.monotonic() + policy.total_seconds
        for attempt in range(1, policy.retries + 2):
            answer = self._attempt(policy, until - time.monotonic())
            on_attempt(attempt, answer)
            if not policy.retries_after(answer) or time.monotonic() >= until:
                break
        return answer

    def _attempt(self, policy: Policy, seconds_left: float) -> Answer:
        began = time.monotonic()
        left = max(seconds_left, 0.05)
        try:
            response = _post(self, (min(policy.connect_seconds, left), min(policy.read_seconds, left)))
        except requests.ConnectTimeout:
            return _failed(CONNECT, began)
        except requests.Timeout:
            return _failed(READ, began)
        except requests.RequestException as error:
            return _failed(CONNECT if _never_connected(error) else READ, began)
        return _answered(response, began)


def _post(webhook: Webhook, timeout: tuple[float, float]) -> requests.Response:
    headers: Mapping[str, str] = {
        "X-Twilio-Signature": webhook.signature,
        "I-Twilio-Idempotency-Token": webhook.token,
        "User-Agent": "TwilioProxy/1.1",
        "Accept": "*/*",
    }
    with requests.Session() as session:
        session.trust_env = False  # neither a proxy nor a .netrc of this machine
        return session.post(
            urldefrag(webhook.url).url,
            data=webhook.params,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )


def _answered(response: requests.Response, began: float) -> Answer:
    hundreds = response.status_code // 100
    return Answer(
        status=response.status_code,
        body=response.text,
        content_type=response.headers.get("Content-Type", ""),
        milliseconds=_since(began),
        failure=None if hundreds == 2 else f"{hundreds}xx",
    )


def _failed(failure: str, began: float) -> Answer:
    return Answer(status=None, body="", content_type="", milliseconds=_since(began), failure=failure)


def _never_connected(error: requests.RequestException) -> bool:
    """Whether nobody listened there; a connection that broke later counts as a failed read."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _within(value: str | None, default: int, least: int, most: int) -> int:
    return min(max(int(value), least), most) if value and value.isdigit() else default
