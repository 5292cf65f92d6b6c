"""`python -m ops resources` makes the tables and queues of a stage, and never harms what is there."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from ops import resources

from .conftest import ROOT, Client, environment

TEMPLATE = json.loads((ROOT / ".chalice/resources.json").read_text())
TABLES = ("conversations", "messages", "tenants")
QUEUES = ("whatsapp-replies", "sms-replies", "email-replies", "sender", "media", "handoff")


def apply(endpoint: str, stage: str, *options: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ops", "resources", "--stage", stage, *options]
    env = environment(endpoint) | changed
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def stage() -> str:
    return f"s{uuid.uuid4().hex[:8]}"


def test_it_creates_every_table_and_queue_and_names_them(aws_endpoint: str, client: Client, stage: str) -> None:
    done = apply(aws_endpoint, stage)
    assert (done.returncode, done.stderr) == (0, "")
    tables = [f"AWS::DynamoDB::Table ai-multi-comms-{name}-{stage}" for name in TABLES]
    queues = [f"AWS::SQS::Queue ai-multi-comms-{name}-queue-{stage}" for name in QUEUES]
    dead = [f"AWS::SQS::Queue ai-multi-comms-{name}-queue-dlq-{stage}" for name in QUEUES]
    *lines, last = done.stdout.splitlines()
    kept = [line for line in lines if "DynamoDB" in line or "SQS" in line]
    assert sorted(kept) == sorted(f"created {name}" for name in tables + queues + dead)
    alarms = [each for each in TEMPLATE["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert sum("AWS::CloudWatch::Alarm" in line for line in lines) == len(alarms)
    assert last == f"ready ai-multi-comms-resources-{stage}"


def test_a_second_run_changes_nothing_and_loses_nothing(aws_endpoint: str, client: Client, stage: str) -> None:
    apply(aws_endpoint, stage)
    table, item = f"ai-multi-comms-tenants-{stage}", {"address": {"S": "whatsapp:+440000000000"}}
    client("dynamodb").put_item(TableName=table, Item=item)
    done = apply(aws_endpoint, stage)
    assert done.stdout.splitlines()[0] == f"nothing to change in ai-multi-comms-resources-{stage}"
    assert client("dynamodb").get_item(TableName=table, Key=item)["Item"] == item


def test_tables_without_their_stack_are_left_alone(aws_endpoint: str, client: Client, stage: str) -> None:
    apply(aws_endpoint, stage)
    table, item = f"ai-multi-comms-tenants-{stage}", {"address": {"S": "whatsapp:+440000000000"}}
    client("dynamodb").put_item(TableName=table, Item=item)
    cloudformation = client("cloudformation")
    cloudformation.delete_stack(StackName=resources.stack_name(stage))
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=resources.stack_name(stage), WaiterConfig={"Delay": 1}
    )
    refused = apply(aws_endpoint, stage)
    assert refused.returncode == 1
    assert table in refused.stderr
    assert "nothing was done" in refused.stderr
    assert client("dynamodb").get_item(TableName=table, Key=item)["Item"] == item


def test_a_parameter_that_was_set_stays_until_it_is_set_anew(aws_endpoint: str, client: Client, stage: str) -> None:
    def parameters() -> dict[str, str]:
        [stack] = client("cloudformation").describe_stacks(StackName=resources.stack_name(stage))["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

    assert apply(aws_endpoint, stage, "--set", "LongestWaitSeconds=300").returncode == 0
    assert apply(aws_endpoint, stage, "--set", "LongestHandoffSeconds=60").returncode == 0
    assert (parameters()["LongestWaitSeconds"], parameters()["LongestHandoffSeconds"]) == ("300", "60")


def test_a_parameter_that_the_template_does_not_know_is_refused(aws_endpoint: str, stage: str) -> None:
    refused = apply(aws_endpoint, stage, "--set", "AlarmAdress=ops@example.com")
    assert refused.returncode == 2
    assert "AlarmAddress" in refused.stderr


def test_a_stack_that_failed_at_first_is_made_anew(aws_endpoint: str, client: Client, stage: str) -> None:
    cloudformation, name = client("cloudformation"), resources.stack_name(stage)
    broken = {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 10**9}}}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(broken))
    done = apply(aws_endpoint, stage)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"removing {name}, whose first creation failed"


def test_a_failed_change_tells_the_reason(aws_endpoint: str, client: Client, stage: str, tmp_path: Path) -> None:
    apply(aws_endpoint, stage)
    template = json.loads(json.dumps(TEMPLATE))
    template["Resources"]["SenderQueue"]["Properties"]["VisibilityTimeout"] = 10**9
    (tmp_path / "ops").mkdir()
    (tmp_path / ".chalice").mkdir()
    for name in ("dashboard.json", "gateway.json", "config.json"):
        (tmp_path / ".chalice" / name).write_text((ROOT / ".chalice" / name).read_text())
    for file in (ROOT / "ops").glob("*.py"):
        (tmp_path / "ops" / file.name).write_text(file.read_text())
    (tmp_path / ".chalice/resources.json").write_text(json.dumps(template))
    command = [sys.executable, "-m", "ops", "resources", "--stage", stage]
    env = environment(aws_endpoint) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    failed = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert "SenderQueue: " in failed.stderr
    assert "VisibilityTimeout" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "set AWS_REGION"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_an_aws_that_cannot_be_reached_is_one_clear_line(
    aws_endpoint: str, stage: str, changed: dict[str, str], said: str
) -> None:
    failed = apply(aws_endpoint, stage, **changed)
    assert failed.returncode == 1
    assert said in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def _of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in TEMPLATE["Resources"].items() if resource["Type"] == f"AWS::{kind}"}


@pytest.mark.parametrize("name", list(_of_type("DynamoDB::Table")))
def test_a_table_outlives_its_stack_and_can_be_restored(name: str) -> None:
    table = TEMPLATE["Resources"][name]
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"  # kept, except when its very creation fails
    assert table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["Properties"]["SSESpecification"]["SSEEnabled"] is True
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("name", [name for name in _of_type("SQS::Queue") if "DeadLetter" not in name])
def test_a_queue_and_its_dead_letter_queue_name_each_other(name: str) -> None:
    dead_name = name.removesuffix("Queue") + "DeadLetterQueue"
    queue = TEMPLATE["Resources"][name]["Properties"]
    dead = TEMPLATE["Resources"][dead_name]["Properties"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead_name, "Arn"]}
    (source,) = dead["RedriveAllowPolicy"]["sourceQueueArns"]
    assert source["Fn::Sub"].endswith(f":{queue['QueueName']['Fn::Sub']}")
    for one in (queue, dead):
        assert one["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert one["SqsManagedSseEnabled"] is True
