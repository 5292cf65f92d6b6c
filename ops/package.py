"""Writes everything of a stage as one CloudFormation template, or as Terraform, for those who deploy with these."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chalice.utils import to_cfn_resource_name

from ops import bundle, resources
from ops.bundle import RUNNING, BundleError
from ops.gateway import VALIDATOR, Gateway, Route, access_log_format, access_log_group
from ops.harden import LOG_POLICY, TRUST, gateway_stage
from ops.resources import ApplyError

Document = dict[str, Any]

MERGE = "merge.json"
RETENTION = "log_retention_in_days"
#: SnapStart knows Python from here on. Source: AWS Lambda Developer Guide, "Lambda SnapStart".
SNAP_START_SINCE = (3, 12)
ALIAS = "live"

TERRAFORM = ">= 1.3, < 2"
TERRAFORM_AWS = ">= 5, < 6"

#: The parts of a statement of Terraform that our settings are called there.
_TERRAFORM = {
    "throttlingRateLimit": "throttling_rate_limit",
    "throttlingBurstLimit": "throttling_burst_limit",
    "loggingLevel": "logging_level",
    "dataTraceEnabled": "data_trace_enabled",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="such as dev or prod")
    parser.add_argument("--format", choices=("cloudformation", "terraform"), default="cloudformation")
    parser.add_argument("--out", type=Path, required=True, help="a directory; what it holds of these names is replaced")
    parser.add_argument(
        "--snap-start",
        action="store_true",
        help="functions start from a snapshot (CloudFormation only, from Python 3.12 on; AWS charges for it)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Names each file that was written. Returns 0, or 1 and the reason."""
    out: Path = arguments.out.resolve()
    try:
        bundle.build(arguments.stage)
        write = terraform if arguments.format == "terraform" else cloudformation
        for path in write(arguments.stage, out, arguments.snap_start):
            print(f"wrote {path}", flush=True)
    except (ApplyError, BundleError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


def cloudformation(stage: str, out: Path, snap_start: bool) -> Iterator[Path]:
    """`sam.json`, `deployment.zip`, and the `merge.json` that Chalice was given. Raises ApplyError."""
    if snap_start and RUNNING < SNAP_START_SINCE:
        raise ApplyError("SnapStart wants Python 3.12 or newer; Lambda's runtime is the Python that runs this")
    out.mkdir(parents=True, exist_ok=True)
    (out / MERGE).write_text(json.dumps(overlay(stage, snap_start=snap_start), indent=2))
    _chalice_package(stage, out, "--merge-template", str(out / MERGE))
    yield from (out / name for name in ("sam.json", "deployment.zip", MERGE))


def terraform(stage: str, out: Path, snap_start: bool) -> Iterator[Path]:
    """`chalice.tf.json`, `resources.json` beside it, and `deployment.zip`. Raises ApplyError."""
    if snap_start:
        raise ApplyError("--snap-start is for CloudFormation")
    with _without_log_retention() as project:
        _chalice_package(stage, out, "--pkg-format", "terraform", project=project)
    written = out / "chalice.tf.json"
    written.write_text(json.dumps(amended(json.loads(written.read_text()), stage), indent=2))
    (out / "resources.json").write_text(json.dumps(resources.template(), separators=(",", ":")))
    yield from (out / name for name in ("chalice.tf.json", "resources.json", "deployment.zip"))


def _chalice_package(stage: str, out: Path, *options: str, project: Path = bundle.PROJECT) -> None:
    done = bundle.chalice("package", "--stage", stage, *options, str(out), project=project)
    if done.returncode:
        raise ApplyError(f"chalice package failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _without_log_retention() -> Iterator[Path]:
    """The project beside itself: Chalice 1.34 writes no Terraform where log groups are configured; we add them."""
    with TemporaryDirectory() as beside:
        for path in bundle.PROJECT.iterdir():
            if path.name != ".chalice":
                Path(beside, path.name).symlink_to(path)
        settings = Path(beside, ".chalice")
        settings.mkdir()
        for path in (bundle.PROJECT / ".chalice").iterdir():
            (settings / path.name).symlink_to(path)
        (settings / "config.json").unlink()
        (settings / "config.json").write_text(json.dumps(_without(_config(), RETENTION)))
        yield Path(beside)


def _without(document: Any, name: str) -> Any:
    if not isinstance(document, dict):
        return document
    return {key: _without(value, name) for key, value in document.items() if key != name}


def _config() -> Document:
    found: Document = json.loads((bundle.PROJECT / ".chalice" / "config.json").read_text())
    return found


def retention(stage: str, function: str) -> int | None:
    """For how many days a function's log is kept, as Chalice reads it: the function's own word, the stage's, all's."""
    config = _config()
    own = config["stages"].get(stage, {})
    places = (
        own.get("lambda_functions", {}).get(function, {}),
        own,
        config["lambda_functions"].get(function, {}),
        config,
    )
    return next((place[RETENTION] for place in places if RETENTION in place), None)


# One template: the resources, and what Chalice's own part lacks. A key that both have must be spelled alike in both,
# because Chalice merges deeply.


def overlay(stage: str, *, snap_start: bool = False) -> Document:
    """What is merged into Chalice's template."""
    template = resources.template()
    return {
        **template,
        "Parameters": {**template["Parameters"], **_parameters(stage)},
        "Conditions": {
            **template["Conditions"],
            "AccountLogsAreSetUp": {"Fn::Equals": [{"Ref": "SetUpAccountLogs"}, "yes"]},
        },
        "Resources": {
            **template["Resources"],
            **{
                _logical(name): _function(stage, name, snap_start)
                for name in ("", *_sources(stage), *_schedules(stage))
            },
            **_gateway(stage, snap_start),
            **_handlers_log(stage),
        },
    }


def _parameters(stage: str) -> Document:
    return {
        "Stage": {"Type": "String", "Default": stage, "AllowedValues": [stage]},
        "PublicBaseUrl": {
            "Type": "String",
            "Default": environment(stage).get("PUBLIC_BASE_URL", ""),
            "Description": "The address that Twilio knows the API by: the output EndpointURL without its last slash.",
        },
        "SetUpAccountLogs": {
            "Type": "String",
            "Default": "no",
            "AllowedValues": ["no", "yes"],
            "Description": "yes, where API Gateway may not yet write to CloudWatch Logs in this account and Region.",
        },
    }


def environment(stage: str) -> dict[str, str]:
    config = _config()
    own = config["stages"].get(stage, {}).get("environment_variables", {})
    return {**config.get("environment_variables", {}), **own}


def _function(stage: str, name: str, snap_start: bool) -> Document:
    properties: Document = {
        "FunctionName": f"ai-multi-comms-{stage}-{name}".rstrip("-"),
        "Environment": {"Variables": {"PUBLIC_BASE_URL": {"Ref": "PublicBaseUrl"}}},
    }
    if snap_start:
        properties |= {"SnapStart": {"ApplyOn": "PublishedVersions"}, "AutoPublishAlias": ALIAS}
    source = _sources(stage).get(name)
    if source is None:
        return {"Properties": properties}
    if source["batch_size"] > 1:
        event = f"{_logical(name)}SqsEventSource"
        partly = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
        properties["Events"] = {event: {"Properties": partly}}
    return {"DependsOn": [_queue(source["queue"], stage)], "Properties": properties}


def _handlers_log(stage: str) -> Document:
    """Chalice 1.34 names this one group after a function that its own template does not have."""
    if retention(stage, "api_handler") is None:
        return {}
    return {"ApiHandlerLogGroup": {"Properties": {"LogGroupName": {"Fn::Sub": "/aws/lambda/${APIHandler}"}}}}


def _gateway(stage: str, snap_start: bool) -> Document:
    wanted, log = Gateway.of(stage), _log_arn("${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}", stage)
    found: Document = {
        "RestAPI": {
            "DependsOn": ["AccessLogs"],
            "Properties": {
                "DefinitionBody": demanding(wanted, _integrations(stage) if snap_start else {}),
                "MethodSettings": [_method_settings(name, each) for name, each in wanted.method_settings().items()],
                "AccessLogSetting": {"DestinationArn": {"Fn::Sub": log}, "Format": access_log_format()},
            },
        },
        "GatewayLogRole": {
            "Type": "AWS::IAM::Role",
            "Condition": "AccountLogsAreSetUp",
            "Properties": {"AssumeRolePolicyDocument": TRUST, "ManagedPolicyArns": [LOG_POLICY]},
        },
        "GatewayAccount": {
            "Type": "AWS::ApiGateway::Account",
            "Condition": "AccountLogsAreSetUp",
            "Properties": {"CloudWatchRoleArn": {"Fn::GetAtt": ["GatewayLogRole", "Arn"]}},
        },
    }
    if snap_start:
        found["APIHandlerInvokePermission"] = {"Properties": {"FunctionName": {"Ref": "APIHandler.Alias"}}}
    if wanted.web_acl_arn:
        here = (
            f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}::/restapis/${{RestAPI}}/stages/{gateway_stage(stage)}"
        )
        association = {"ResourceArn": {"Fn::Sub": here}, "WebACLArn": wanted.web_acl_arn}
        found["Firewall"] = {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "DependsOn": ["RestAPI.Stage"],
            "Properties": association,
        }
    return found


def demanding(wanted: Gateway, integrations: Mapping[Route, Document]) -> Document:
    """The part of the API's document that demands headers; `integrations` are other ends of its methods."""
    paths: Document = {}
    for route, headers in wanted.required_headers.items():
        places = [_path_parameter(each) for each in route.path.split("/") if each.startswith("{")]
        named = [{"name": name, "in": "header", "required": True, "type": "string"} for name in headers]
        operation = {"parameters": [*places, *named], "x-amazon-apigateway-request-validator": VALIDATOR}
        paths.setdefault(route.path, {})[route.verb.lower()] = operation
    for route, integration in integrations.items():
        operation = paths.setdefault(route.path, {}).setdefault(route.verb.lower(), {})
        operation["x-amazon-apigateway-integration"] = integration
    validator = {"validateRequestParameters": True, "validateRequestBody": False}
    return {"x-amazon-apigateway-request-validators": {VALIDATOR: validator}, "paths": paths}


def _path_parameter(place: str) -> Document:
    return {"name": place.strip("{}"), "in": "path", "required": True, "type": "string"}


def _integrations(stage: str) -> dict[Route, Document]:
    """With SnapStart the API calls the alias, because only a published version has a snapshot."""
    start = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions"
    uri = {"Fn::Sub": start + "/${APIHandler.Alias}/invocations"}
    routes = _app(stage).routes
    return {Route(path, verb): {"uri": uri} for path, verbs in routes.items() for verb in verbs}


def _method_settings(name: str, settings: Mapping[str, Any]) -> Document:
    path, _, verb = name.rpartition("/")
    spelled = {key[0].upper() + key[1:]: value for key, value in settings.items()}
    return {"ResourcePath": path if path.startswith("/") else "/*", "HttpMethod": verb, **spelled}


# Terraform: the resources stay one CloudFormation stack, so that there is one truth about them.


def amended(document: Document, stage: str) -> Document:
    """Chalice's document with the resources beside it, and with what it lacks."""
    wanted, made = Gateway.of(stage), document["resource"]
    document["terraform"]["required_version"] = TERRAFORM  # Chalice's own ends before 1.4, without need
    document["terraform"]["required_providers"]["aws"] = {"source": "hashicorp/aws", "version": TERRAFORM_AWS}
    swagger = _merged(json.loads(document["locals"]["chalice_api_swagger"]), demanding(wanted, {}))
    document["locals"]["chalice_api_swagger"] = json.dumps(swagger)
    parameters = {"Stage": stage, "AlarmAddress": "${var.alarm_address}"}
    made["aws_cloudformation_stack"] = {
        "resources": {
            "name": resources.stack_name(stage),
            "template_body": '${file("${path.module}/resources.json")}',
            "parameters": parameters,
        }
    }
    for mapping in made["aws_lambda_event_source_mapping"].values():
        mapping["depends_on"] = ["aws_cloudformation_stack.resources"]
        if mapping["batch_size"] > 1:
            mapping["function_response_types"] = ["ReportBatchItemFailures"]
    for name, rule in made["aws_cloudwatch_event_rule"].items():
        rule["name"] = f"ai-multi-comms-{stage}-{name}"  # Chalice's own name is the same in every stage
    _add_log_groups(made, stage)
    _add_stage(document, stage, wanted)
    document.setdefault("variable", {}).update(
        alarm_address={"type": "string", "default": "", "description": "The email address that alarms go to."},
        set_up_account_logs={
            "type": "bool",
            "default": False,
            "description": "Where API Gateway may not yet write to CloudWatch Logs in this account and Region.",
        },
    )
    return document


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def _add_log_groups(made: Document, stage: str) -> None:
    kept = {name: retention(stage, name) for name in made["aws_lambda_function"]}
    groups = {
        name: {"name": f"/aws/lambda/{made['aws_lambda_function'][name]['function_name']}", "retention_in_days": days}
        for name, days in kept.items()
        if days is not None
    }
    if groups:
        made["aws_cloudwatch_log_group"] = groups


def _add_stage(document: Document, stage: str, wanted: Gateway) -> None:
    """A stage of its own in place of the deployment's, because only such a one has access logs."""
    made = document["resource"]
    (name,) = made["aws_api_gateway_deployment"]
    api, at = f"${{aws_api_gateway_rest_api.{name}.id}}", gateway_stage(stage)
    made["aws_api_gateway_deployment"][name] = {
        "rest_api_id": api,
        "triggers": {"redeployment": "${md5(local.chalice_api_swagger)}"},
        "lifecycle": {"create_before_destroy": True},
    }
    made["aws_api_gateway_stage"] = {
        name: {
            "rest_api_id": api,
            "deployment_id": f"${{aws_api_gateway_deployment.{name}.id}}",
            "stage_name": at,
            "access_log_settings": {"destination_arn": _terraform_log_arn(stage), "format": access_log_format()},
            "depends_on": ["aws_cloudformation_stack.resources", "aws_api_gateway_account.logs"],
        }
    }
    made["aws_api_gateway_method_settings"] = {
        _terraform_name(path): {
            "rest_api_id": api,
            "stage_name": f"${{aws_api_gateway_stage.{name}.stage_name}}",
            "method_path": path.lstrip("/"),
            "settings": {_TERRAFORM[key]: value for key, value in settings.items()},
        }
        for path, settings in wanted.method_settings().items()
    }
    made.setdefault("aws_iam_role", {})["gateway_logs"] = {
        "count": "${var.set_up_account_logs ? 1 : 0}",
        "name_prefix": "api-gateway-logs-",
        "assume_role_policy": json.dumps(TRUST),
    }
    made["aws_iam_role_policy_attachment"] = {
        "gateway_logs": {
            "count": "${var.set_up_account_logs ? 1 : 0}",
            "role": "${aws_iam_role.gateway_logs[0].name}",
            "policy_arn": LOG_POLICY,
        }
    }
    made["aws_api_gateway_account"] = {
        "logs": {
            "count": "${var.set_up_account_logs ? 1 : 0}",
            "cloudwatch_role_arn": "${aws_iam_role.gateway_logs[0].arn}",
            "depends_on": ["aws_iam_role_policy_attachment.gateway_logs"],
        }
    }
    if wanted.web_acl_arn:
        stage_arn = f"${{aws_api_gateway_stage.{name}.arn}}"
        association = {"resource_arn": stage_arn, "web_acl_arn": wanted.web_acl_arn}
        made["aws_wafv2_web_acl_association"] = {name: association}
    document["output"]["EndpointURL"] = {"value": f"${{aws_api_gateway_stage.{name}.invoke_url}}/"}


def _terraform_name(path: str) -> str:
    words = "_".join(filter(None, path.replace("{", "").replace("}", "").replace("*", "").split("/")))
    return words.lower() or "every_method"


def _terraform_log_arn(stage: str) -> str:
    partition, region = "${data.aws_partition.chalice.partition}", "${data.aws_region.chalice.name}"
    return _log_arn(partition, region, "${data.aws_caller_identity.chalice.account_id}", stage)


def _log_arn(partition: str, region: str, account: str, stage: str) -> str:
    return f"arn:{partition}:logs:{region}:{account}:log-group:{access_log_group(stage)}"


# What the application is made of


def _app(stage: str) -> Any:
    os.environ["STAGE"] = stage
    return importlib.import_module("app").app


def _sources(stage: str) -> dict[str, Document]:
    """Each function that a queue wakes, with its queue and its batch size."""
    found = [each for each in _app(stage).event_sources if hasattr(each, "queue")]
    return {each.name: {"queue": each.queue, "batch_size": each.batch_size} for each in found}


def _schedules(stage: str) -> list[str]:
    return [each.name for each in _app(stage).event_sources if not hasattr(each, "queue")]


def _logical(name: str) -> str:
    logical: str = to_cfn_resource_name(name) if name else "APIHandler"
    return logical


def _queue(name: str, stage: str) -> str:
    """The logical id of the queue of that name. Raises ApplyError where the template has none."""
    for logical, resource in resources.template()["Resources"].items():
        named = resource["Properties"].get("QueueName", {})
        if resource["Type"] == "AWS::SQS::Queue" and named["Fn::Sub"].replace("${Stage}", stage) == name:
            return str(logical)
    raise ApplyError(f"no queue {name} in {resources.TEMPLATE.name}; was `app` imported for another stage?")
