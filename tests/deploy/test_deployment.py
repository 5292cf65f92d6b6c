"""`python -m ops deploy` makes a stage from nothing that then works; doing it again changes what differs only."""

import json
from typing import Any

import pytest
import requests

from ops import resources
from ops.gateway import ACCESS_LOG
from tests.deploy.conftest import AMARA, ROOT, STAGE, Deployment, Settings
from tests.signing import FORM

FUNCTIONS = {
    f"ai-multi-comms-{STAGE}{name}"
    for name in (
        "",
        "-whatsapp-reply-processor",
        "-sms-reply-processor",
        "-email-reply-processor",
        "-collector",
        "-sender",
        "-rescue",
        "-reconcile",
    )
}
TWILIO = {"User-Agent": "TwilioProxy/1.1", "Content-Type": FORM, "X-Twilio-Signature": "made up"}


def functions(deployment: Deployment) -> dict[str, Settings]:
    pages = deployment.client("lambda").get_paginator("list_functions").paginate()
    found = {each["FunctionName"]: each for page in pages for each in page["Functions"]}
    return {name: each for name, each in found.items() if name.startswith(f"ai-multi-comms-{STAGE}")}


def mappings(deployment: Deployment) -> list[Settings]:
    found: list[Settings] = deployment.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return found


def stage(deployment: Deployment) -> Settings:
    found: Settings = deployment.client("apigateway").get_stage(restApiId=deployment.api_id, stageName="api")
    return found


def methods(deployment: Deployment) -> dict[str, Settings]:
    items = deployment.client("apigateway").get_resources(restApiId=deployment.api_id, embed=["methods"])["items"]
    return {
        f"{each['path']} {verb}": method for each in items for verb, method in each.get("resourceMethods", {}).items()
    }


def snapshot(deployment: Deployment) -> Settings:
    """Everything that a second run must leave as it is."""
    volatile = ("RevisionId", "LastModified", "ResponseMetadata")
    made = {name: {k: v for k, v in each.items() if k not in volatile} for name, each in functions(deployment).items()}
    return {
        "functions": made,
        "mappings": sorted((each["UUID"], each["EventSourceArn"], each["BatchSize"]) for each in mappings(deployment)),
        "methods": {name: sorted(each.get("requestParameters", {})) for name, each in methods(deployment).items()},
        "settings": stage(deployment)["methodSettings"],
        "alarms": sorted(each["AlarmName"] for each in alarms(deployment)),
        "roles": sorted(each["RoleName"] for each in deployment.client("iam").list_roles()["Roles"]),
    }


def alarms(deployment: Deployment) -> list[Settings]:
    pages = deployment.client("cloudwatch").get_paginator("describe_alarms").paginate()
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def test_it_makes_everything_from_nothing(deployment: Deployment) -> None:
    said = "\n".join(deployment.outputs)
    assert f"ready ai-multi-comms-resources-{STAGE}" in said
    assert set(functions(deployment)) == FUNCTIONS
    assert len(mappings(deployment)) == 5
    expected = [each for each in resources.template()["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms(deployment)) == len(expected) > 30


def test_it_tells_what_the_operator_must_still_do(deployment: Deployment) -> None:
    assert f'"PUBLIC_BASE_URL": "{deployment.url}"' in deployment.outputs[-1]


def test_functions_have_the_memory_and_the_time_that_are_configured(deployment: Deployment) -> None:
    config = json.loads((ROOT / ".chalice/config.json").read_text())
    for name, found in functions(deployment).items():
        own = config["lambda_functions"].get(name.removeprefix(f"ai-multi-comms-{STAGE}").lstrip("-"), {})
        assert found["Timeout"] == own.get("lambda_timeout", config["lambda_timeout"])
        assert found["MemorySize"] == own.get("lambda_memory_size", config["lambda_memory_size"])
        assert found["Environment"]["Variables"]["STAGE"] == STAGE


def test_each_queue_wakes_one_function_with_one_message(deployment: Deployment) -> None:
    woken = {each["EventSourceArn"].rsplit(":", 1)[-1]: each for each in mappings(deployment)}
    assert set(woken) == {
        f"ai-multi-comms-{purpose}-queue-{STAGE}"
        for purpose in ("whatsapp-replies", "sms-replies", "email-replies", "media", "sender")
    }
    assert {each["BatchSize"] for each in woken.values()} == {1}


def test_schedules_run_every_minute_and_every_five(deployment: Deployment) -> None:
    rules = deployment.client("events").list_rules()["Rules"]
    assert sorted(rule["ScheduleExpression"] for rule in rules) == ["rate(1 minute)", "rate(5 minutes)"]


def test_webhook_methods_demand_their_headers(deployment: Deployment) -> None:
    for name in ("/whatsapp POST", "/sms POST", "/status/{reference} POST"):
        parameters = methods(deployment)[name]["requestParameters"]
        assert str(parameters["method.request.header.X-Twilio-Signature"]).lower() == "true"
        assert str(parameters["method.request.header.Content-Type"]).lower() == "true"
        assert methods(deployment)[name]["requestValidatorId"]
    assert not methods(deployment)["/health GET"].get("requestValidatorId")


def test_the_stage_is_throttled_and_logs_requests_but_not_what_people_write(deployment: Deployment) -> None:
    found = stage(deployment)
    everything = found["methodSettings"]["*/*"]
    assert (everything["throttlingRateLimit"], everything["throttlingBurstLimit"]) == (50.0, 100)
    assert (everything["loggingLevel"], everything["dataTraceEnabled"]) == ("OFF", False)
    assert found["accessLogSettings"]["destinationArn"].endswith(f":/aws/apigateway/ai-multi-comms-{STAGE}")
    assert json.loads(found["accessLogSettings"]["format"]) == ACCESS_LOG


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({key: value for key, value in TWILIO.items() if key != "X-Twilio-Signature"}, 400),
        ({**TWILIO, "User-Agent": "somebody/1.0"}, 403),
        (TWILIO, 403),
    ],
)
def test_the_gateway_turns_away_what_cannot_be_twilio(
    deployment: Deployment, headers: dict[str, str], status: int
) -> None:
    answer = requests.post(f"{deployment.url}/whatsapp", data=b"Body=hello", headers=headers, timeout=60)
    assert answer.status_code == status
    by_the_application = "error" in answer.json()
    assert by_the_application is (headers == TWILIO)


def test_a_second_run_changes_only_what_was_configured(deployment: Deployment) -> None:
    deployment.connect()
    before, deployed_before = snapshot(deployment), stage(deployment)["deploymentId"]
    deployment.configure(PUBLIC_BASE_URL=deployment.url, TWILIO_API_BASE_URL=deployment.twilio)
    said = deployment.deploy()
    after = snapshot(deployment)
    changed = {"PUBLIC_BASE_URL": deployment.url, "TWILIO_API_BASE_URL": deployment.twilio}
    for function in before["functions"].values():
        function["Environment"]["Variables"] |= changed
    assert after == before
    assert f"nothing to change in ai-multi-comms-resources-{STAGE}" in said
    assert stage(deployment)["deploymentId"] != deployed_before  # else what a method demands would not be in force
    assert not any("PUBLIC_BASE_URL" in line for line in said)


def test_hardening_again_changes_nothing(deployment: Deployment) -> None:
    before = stage(deployment)["deploymentId"]
    done = deployment.ops("harden")
    assert done.stdout.splitlines()[0] == f"nothing to change in API {deployment.api_id}"
    assert stage(deployment)["deploymentId"] == before


def test_a_setting_that_somebody_changed_is_set_again(deployment: Deployment) -> None:
    patch = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "10000"}
    deployment.client("apigateway").update_stage(restApiId=deployment.api_id, stageName="api", patchOperations=[patch])
    assert deployment.ops("harden").stdout.splitlines()[0] == "*/*: throttlingRateLimit 50"
    assert stage(deployment)["methodSettings"]["*/*"]["throttlingRateLimit"] == 50.0


def test_a_signed_message_is_answered_through_the_deployed_functions(deployment: Deployment) -> None:
    assert deployment.write(AMARA, "Hello, is anybody there?") == 200
    [answer] = deployment.wait_for(lambda: deployment.answers(AMARA))
    assert answer["body"]
    deployment.wait_for(lambda: deployment.answers(AMARA)[0]["status"] == "read")
    deployment.wait_for(lambda: _item(deployment).get("status") == {"S": "read"})


def _item(deployment: Deployment) -> dict[str, Any]:
    """The newest entry of the history."""
    items: list[dict[str, Any]] = deployment.client("dynamodb").scan(TableName=f"ai-multi-comms-messages-{STAGE}")[
        "Items"
    ]
    return max(items, key=lambda item: item["position"]["S"], default={})


def test_destroying_tells_first_what_it_would_do(deployment: Deployment) -> None:
    done = deployment.ops("destroy")
    assert done.returncode == 0
    assert f"would keep ai-multi-comms-conversations-{STAGE}" in done.stdout
    assert set(functions(deployment)) == FUNCTIONS


def test_destroying_data_wants_the_stage_twice(deployment: Deployment) -> None:
    assert deployment.ops("destroy", "--yes", "--and-data", "prod").returncode == 2


def test_destroying_leaves_only_what_people_wrote(deployment: Deployment) -> None:
    done = deployment.ops("destroy", "--yes")
    assert done.returncode == 0, done.stderr
    assert functions(deployment) == {}
    assert mappings(deployment) == []
    assert deployment.client("apigateway").get_rest_apis()["items"] == []
    assert alarms(deployment) == []
    assert deployment.client("sqs").list_queues().get("QueueUrls", []) == []
    tables = deployment.client("dynamodb").list_tables()["TableNames"]
    assert tables == [f"ai-multi-comms-{name}-{STAGE}" for name in ("conversations", "messages", "tenants")]
    assert buckets(deployment) == [f"ai-multi-comms-media-{STAGE}-000000000000"]


def test_destroying_with_data_leaves_nothing(deployment: Deployment) -> None:
    [bucket] = buckets(deployment)
    deployment.client("s3").put_object(Bucket=bucket, Key="ref/a", Body=b"OggS")
    done = deployment.ops("destroy", "--yes", "--and-data", STAGE)
    assert done.returncode == 0, done.stderr
    assert deployment.client("dynamodb").list_tables()["TableNames"] == []
    assert buckets(deployment) == []


def buckets(deployment: Deployment) -> list[str]:
    """The media buckets; the deployment's own package lies elsewhere."""
    found = [each["Name"] for each in deployment.client("s3").list_buckets()["Buckets"]]
    return [name for name in found if "-media-" in name]
