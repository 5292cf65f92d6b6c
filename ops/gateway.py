"""What the API Gateway of a stage demands of a request before a Lambda is woken, as `.chalice/gateway.json` says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SETTINGS = Path(__file__).resolve().parent.parent / ".chalice" / "gateway.json"

VALIDATOR = "required-headers"
EVERY_METHOD = "*"

#: One line for each request, without anything that a person wrote or is known by: no address, no path that names a
#: message (`resourcePath` is the route's template), no query. Source: API Gateway Developer Guide, "Variables for
#: access logging".
ACCESS_LOG = {
    "at": "$context.requestTimeEpoch",
    "request_id": "$context.requestId",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "lambda_status": "$context.integration.status",
    "lambda_milliseconds": "$context.integration.latency",
    "turned_away_by": "$context.error.responseType",
    "bytes": "$context.responseLength",
}


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """How many requests a method takes: a lasting rate, and a bucket for a burst."""

    requests_per_second: float
    burst: int


@dataclass(frozen=True, order=True)
class Route:
    """A path of the API, as its template, and a verb."""

    path: str
    verb: str

    @classmethod
    def named(cls, name: str) -> Self:
        """From `/status/{reference} POST`."""
        path, _, verb = name.rpartition(" ")
        return cls(path, verb)

    def __str__(self) -> str:
        return f"{self.path} {self.verb}"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The settings of one stage's API."""

    required_headers: Mapping[Route, tuple[str, ...]]
    throttle: Throttle
    throttles: Mapping[Route, Throttle]
    web_acl_arn: str | None

    @classmethod
    def of(cls, stage: str, settings: Path = SETTINGS) -> Self:
        """The settings of `stage`: its own values over the common ones."""
        common: dict[str, Any] = json.loads(settings.read_text())
        own: dict[str, Any] = common.get("stages", {}).get(stage, {})
        throttles = {
            name: Throttle(**value) for name, value in {**common["throttling"], **own.get("throttling", {})}.items()
        }
        headers = {**common["required_headers"], **own.get("required_headers", {})}
        return cls(
            required_headers={Route.named(name): tuple(names) for name, names in headers.items()},
            throttle=throttles.pop(EVERY_METHOD),
            throttles={Route.named(name): value for name, value in throttles.items()},
            web_acl_arn=own.get("web_acl_arn", common.get("web_acl_arn")),
        )

    def method_settings(self) -> dict[str, dict[str, Any]]:
        """For each method, or `*/*`, what the stage shall do, in the words of the API's own answers.

        Execution logs stay off: they would hold what people write.
        """
        quiet = {"loggingLevel": "OFF", "dataTraceEnabled": False}
        found = {"*/*": {**_limits(self.throttle), **quiet}}
        return found | {
            f"{route.path}/{route.verb}": {**_limits(throttle), **quiet} for route, throttle in self.throttles.items()
        }


def access_log_group(stage: str) -> str:
    return f"/aws/apigateway/ai-multi-comms-{stage}"


def access_log_format() -> str:
    return json.dumps(ACCESS_LOG)


def _limits(throttle: Throttle) -> dict[str, Any]:
    return {"throttlingRateLimit": throttle.requests_per_second, "throttlingBurstLimit": throttle.burst}
