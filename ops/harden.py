"""Gives a deployed API what Chalice cannot: validators, throttling, access logs, a firewall. Changes what differs."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops.gateway import VALIDATOR, Gateway, Route, access_log_format, access_log_group
from ops.resources import DEADLINES, ApplyError, session

PROJECT = Path(__file__).resolve().parent.parent

#: Lets API Gateway write to CloudWatch Logs: one setting of the account and Region, made only where there is none.
LOG_ROLE = "api-gateway-writes-to-cloudwatch-logs"
LOG_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
_ROLE_ATTEMPTS, _ROLE_PAUSE = 8, 4.0  # a new role is known everywhere after some seconds

#: How UpdateStage names a method's settings. Source: API Gateway REST API reference, "Patch operations".
PATCHES = {
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="such as dev or prod")
    parser.add_argument("--rest-api-id", help="of an API that Chalice did not deploy from this directory")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each setting that was changed. Returns 0, or 1 and the reason."""
    try:
        for line in harden(arguments.stage, session(), arguments.rest_api_id):
            print(line, flush=True)
    except (ApplyError, BotoCoreError, ClientError) as error:
        print(f"harden: {error}", file=sys.stderr)
        return 1
    return 0


def harden(stage: str, aws: boto3.Session, rest_api_id: str | None = None) -> Iterator[str]:
    """Makes the stage's API as `.chalice/gateway.json` says, yielding a line for each change.

    Chalice imports the whole API anew at each deploy, so this follows each deploy. Until it is done, the application
    itself turns away what the gateway would have: nothing rests on this.
    Raises ApplyError, and botocore's errors for an AWS that cannot be reached or refuses.
    """
    api = Api(stage, aws, rest_api_id or deployed(stage)["rest_api_id"])
    lines = [*api.validate(), *api.set_up_stage(), *api.log(), *api.shield()]
    yield from lines or [f"nothing to change in API {api.rest_api_id}"]
    yield f"ready API {api.rest_api_id}"


def deployed(stage: str) -> dict[str, Any]:
    """The REST API as Chalice recorded it: `rest_api_id` and `rest_api_url`. Raises ApplyError where there is none."""
    for resource in deployed_resources(stage):
        if resource["resource_type"] == "rest_api":
            return resource
    raise ApplyError(f"Chalice has not deployed stage {stage} from this directory; run `chalice deploy` first")


def deployed_resources(stage: str) -> list[dict[str, Any]]:
    record = PROJECT / ".chalice" / "deployed" / f"{stage}.json"
    found: list[dict[str, Any]] = json.loads(record.read_text())["resources"] if record.exists() else []
    return found


def gateway_stage(stage: str) -> str:
    """What the stage is called in the API's own URL."""
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    return str(config["stages"].get(stage, {}).get("api_gateway_stage", config.get("api_gateway_stage", "api")))


class Api:
    """One deployed REST API."""

    def __init__(self, stage: str, aws: boto3.Session, rest_api_id: str) -> None:
        self.rest_api_id = rest_api_id
        self._stage = stage
        self._aws = aws
        self._wanted = Gateway.of(stage)
        self._stage_name = gateway_stage(stage)
        self._client: Any = aws.client("apigateway", config=DEADLINES)
        self._at: Mapping[str, str] = {"restApiId": rest_api_id, "stageName": self._stage_name}

    def validate(self) -> Iterator[str]:
        """Methods demand their headers; the stage then takes the API as it is now."""
        methods = self._methods()
        absent = [str(route) for route in self._wanted.required_headers if route not in methods]
        if absent:
            raise ApplyError(f"the API {self.rest_api_id} has no {', '.join(absent)}; deploy the application first")
        validator, lines = self._validator()
        for route, headers in self._wanted.required_headers.items():
            lines += self._demand(route, methods[route], headers, validator)
        if lines:
            self._client.create_deployment(**self._at, description="required headers")
        yield from lines

    def _methods(self) -> dict[Route, dict[str, Any]]:
        pages = self._client.get_paginator("get_resources").paginate(restApiId=self.rest_api_id, embed=["methods"])
        return {
            Route(resource["path"], verb): {**method, "resourceId": resource["id"]}
            for page in pages
            for resource in page["items"]
            for verb, method in resource.get("resourceMethods", {}).items()
        }

    def _validator(self) -> tuple[str, list[str]]:
        pages = self._client.get_paginator("get_request_validators").paginate(restApiId=self.rest_api_id)
        for validator in (each for page in pages for each in page["items"]):
            if validator["name"] == VALIDATOR and validator["validateRequestParameters"]:
                return validator["id"], []
        made = self._client.create_request_validator(
            restApiId=self.rest_api_id, name=VALIDATOR, validateRequestParameters=True, validateRequestBody=False
        )
        return made["id"], [f"created request validator {VALIDATOR}"]

    def _demand(self, route: Route, method: Mapping[str, Any], headers: tuple[str, ...], validator: str) -> list[str]:
        known = method.get("requestParameters") or {}
        missing = [name for name in headers if not _is_true(known.get(f"method.request.header.{name}"))]
        patches = [_patch(f"/requestParameters/method.request.header.{name}", "true", "add") for name in missing]
        if method.get("requestValidatorId") != validator:
            patches.append(_patch("/requestValidatorId", validator))
        if not patches:
            return []
        self._client.update_method(
            restApiId=self.rest_api_id,
            resourceId=method["resourceId"],
            httpMethod=route.verb,
            patchOperations=patches,
        )
        return [f"{route} demands {', '.join(headers)}"]

    def set_up_stage(self) -> Iterator[str]:
        """Throttling, and no execution logs, which would hold what people write."""
        found = {_plain(name): each for name, each in self._described().get("methodSettings", {}).items()}
        for name, settings in self._wanted.method_settings().items():
            known = found.get(_plain(name), {})
            changes = {key: value for key, value in settings.items() if known.get(key) != value}
            if changes:
                patches = [_patch(f"/{_pointer(name)}/{PATCHES[key]}", _text(changes[key])) for key in changes]
                self._client.update_stage(**self._at, patchOperations=patches)
                yield f"{name}: " + ", ".join(f"{key} {_text(value)}" for key, value in changes.items())

    def log(self) -> Iterator[str]:
        """Access logs, into the log group of the resources stack."""
        wanted = {"destinationArn": self._log_group(), "format": access_log_format()}
        found = self._described().get("accessLogSettings", {})
        if {**wanted, **found} == wanted and found:
            return
        yield from self._let_gateway_write()
        patches = [_patch(f"/accessLogSettings/{name}", value) for name, value in wanted.items()]
        self._client.update_stage(**self._at, patchOperations=patches)
        yield f"access logs go to {access_log_group(self._stage)}"

    def _log_group(self) -> str:
        name = access_log_group(self._stage)
        logs: Any = self._aws.client("logs", config=DEADLINES)
        for group in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
            if group["logGroupName"] == name:
                return str(group["arn"]).removesuffix(":*")
        raise ApplyError(f"there is no log group {name}; run `python -m ops resources --stage {self._stage}` first")

    def _let_gateway_write(self) -> Iterator[str]:
        if self._client.get_account().get("cloudwatchRoleArn"):
            return
        arn = self._log_role()
        for attempt in range(_ROLE_ATTEMPTS):
            try:
                self._client.update_account(patchOperations=[_patch("/cloudwatchRoleArn", arn)])
            except self._client.exceptions.BadRequestException:
                if attempt == _ROLE_ATTEMPTS - 1:
                    raise
                time.sleep(_ROLE_PAUSE)
            else:
                yield f"API Gateway may write to CloudWatch Logs, by role {LOG_ROLE} (for this account and Region)"
                return

    def _log_role(self) -> str:
        iam: Any = self._aws.client("iam", config=DEADLINES)
        try:
            arn: str = iam.create_role(RoleName=LOG_ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            arn = iam.get_role(RoleName=LOG_ROLE)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=LOG_ROLE, PolicyArn=LOG_POLICY)
        return arn

    def shield(self) -> Iterator[str]:
        """The firewall that is configured, or none; one that somebody else associated is left alone."""
        wanted = self._wanted.web_acl_arn
        if wanted is None:
            return
        waf: Any = self._aws.client("wafv2", config=DEADLINES)
        here = f"arn:{_partition(wanted)}:apigateway:{self._aws.region_name}::/restapis/{self.rest_api_id}"
        here = f"{here}/stages/{self._stage_name}"
        found = waf.get_web_acl_for_resource(ResourceArn=here).get("WebACL") or {}
        if found.get("ARN") != wanted:
            waf.associate_web_acl(WebACLArn=wanted, ResourceArn=here)
            yield f"the firewall is {wanted}"

    def _described(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._client.get_stage(**self._at)
        except self._client.exceptions.NotFoundException:
            raise ApplyError(f"API {self.rest_api_id} has no stage {self._stage_name}") from None
        return found


def _patch(path: str, value: str, operation: str = "replace") -> dict[str, str]:
    return {"op": operation, "path": path, "value": value}


def _pointer(name: str) -> str:
    """`/status/{reference}/POST` as a patch spells it: the path's own slashes are `~1`."""
    path, _, verb = name.rpartition("/")
    return f"{path.replace('/', '~1')}/{verb}"


def _plain(name: str) -> str:
    """The same name, however an answer spells its slashes."""
    return name.replace("~1", "/").lstrip("/")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def _partition(arn: str) -> str:
    return arn.split(":")[1]
