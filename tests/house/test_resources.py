"""The template of tables, queues and alarms: names, keys, encryption, retention, and where a hopeless message goes."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from chalicelib import config
from chalicelib.aws import conversations, messages
from ops import resources
from tests.house.source import ROOT

TEMPLATE_FILE: Path = ROOT / ".chalice/resources.json"
TEMPLATE: dict[str, Any] = resources.template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
TABLES = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::DynamoDB::Table"}
QUEUES = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::SQS::Queue"}
BUCKETS = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::S3::Bucket"}
DEAD = {name: each for name, each in QUEUES.items() if "DeadLetter" in name}
LIVE = {name: each for name, each in QUEUES.items() if name not in DEAD}
PURPOSES = ("whatsapp-replies", "sms-replies", "email-replies", "sender", "handoff", "media")
TWO_WEEKS = 14 * 24 * 60 * 60


def name_of(properties: dict[str, Any], stage: str = "prod") -> str:
    named = properties.get("QueueName") or properties["TableName"]
    return str(named["Fn::Sub"]).replace("${Stage}", stage)


def test_the_template_has_no_fault_that_cfn_lint_knows() -> None:
    found = lint(json.dumps(TEMPLATE), config=ManualArgs(regions=["eu-west-2"]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_nothing_is_made_but_tables_queues_one_bucket_and_what_watches_them() -> None:
    watching = {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Logs::LogGroup",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
    }
    others = {each["Type"] for name, each in RESOURCES.items() if name not in {**TABLES, **QUEUES, **BUCKETS}}
    assert others == watching
    assert len(BUCKETS) == 1


def test_the_bucket_has_the_name_that_the_application_computes() -> None:
    [bucket] = BUCKETS.values()
    name = bucket["Properties"]["BucketName"]["Fn::Sub"]
    named = name.replace("${Stage}", "prod").replace("${AWS::AccountId}", "123456789012")
    assert named == config.bucket_name("123456789012", {"STAGE": "prod"})


def test_the_bucket_is_encrypted_closed_to_the_public_and_outlives_its_stack() -> None:
    [bucket] = BUCKETS.values()
    properties = bucket["Properties"]
    [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_peoples_files_expire_after_as_many_days_as_the_operator_says() -> None:
    [bucket] = BUCKETS.values()
    [rule] = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", {"Ref": "MediaDays"})
    assert "Prefix" not in rule
    assert TEMPLATE["Parameters"]["MediaDays"]["Type"] == "Number"


def test_every_table_has_the_name_that_the_application_uses() -> None:
    expected = {config.table_name(purpose, {"STAGE": "prod"}) for purpose in ("conversations", "messages", "tenants")}
    assert {name_of(each["Properties"]) for each in TABLES.values()} == expected


def test_every_queue_has_the_name_that_the_application_uses() -> None:
    assert {name_of(each) for each in LIVE.values()} == {
        config.queue_name(each, {"STAGE": "prod"}) for each in PURPOSES
    }


def test_every_dead_letter_queue_is_named_after_its_queue() -> None:
    assert {name_of(each) for each in DEAD.values()} == {f"ai-multi-comms-{each}-queue-dlq-prod" for each in PURPOSES}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_encrypted_can_be_restored_and_outlives_its_stack(name: str) -> None:
    table, properties = TABLES[name], TABLES[name]["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted_keeps_two_weeks_and_hides_for_two_minutes(name: str) -> None:
    queue = QUEUES[name]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == TWO_WEEKS
    assert queue["VisibilityTimeout"] == 120


@pytest.mark.parametrize("name", LIVE)
def test_a_replies_queue_waits_half_a_minute_and_the_others_do_not(name: str) -> None:
    assert LIVE[name]["DelaySeconds"] == (30 if "Replies" in name else 0)


@pytest.mark.parametrize("name", LIVE)
def test_a_message_that_nobody_can_handle_goes_to_the_dead_letter_queue_of_its_own_queue(name: str) -> None:
    [target, attribute] = LIVE[name]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
    assert attribute == "Arn"
    assert name_of(DEAD[target]) == name_of(LIVE[name]).replace("-queue-", "-queue-dlq-")


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_letter_queue_is_the_end_and_takes_from_its_own_queue_only(name: str) -> None:
    assert "RedrivePolicy" not in DEAD[name]
    assert DEAD[name]["RedriveAllowPolicy"]["redrivePermission"] == "byQueue"
    [source] = DEAD[name]["RedriveAllowPolicy"]["sourceQueueArns"]
    assert source["Fn::Sub"].endswith(f":{name_of(DEAD[name], '${Stage}').replace('-queue-dlq-', '-queue-')}")


def test_queues_are_standard_queues_because_fifo_queues_delay_no_single_message() -> None:
    assert not [name for name, queue in QUEUES.items() if "FifoQueue" in queue]


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("ConversationsTable", ["primary_channel", "conversation_id"]),
        ("MessagesTable", ["conversation_id", "position"]),
        ("TenantsTable", ["address"]),
    ],
)
def test_a_tables_keys_are_those_of_the_design(table: str, keys: list[str]) -> None:
    assert [key["AttributeName"] for key in TABLES[table]["Properties"]["KeySchema"]] == keys


def test_the_indexes_are_those_that_the_adapters_ask() -> None:
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for table in TABLES.values()
        for index in table["Properties"].get("GlobalSecondaryIndexes", [])
    }
    assert indexes == {
        conversations._INDEX: ["rescue_shard", "unanswered_since"],
        messages._BY_PROVIDER_ID: ["provider_message_id"],
    }


def test_what_may_expire_expires() -> None:
    attributes = {
        name: table["Properties"].get("TimeToLiveSpecification", {}).get("AttributeName")
        for name, table in TABLES.items()
    }
    assert attributes == {"ConversationsTable": "ttl", "MessagesTable": "expires_at", "TenantsTable": None}


def test_no_template_holds_a_secret() -> None:
    words = ("auth_token", "password", "sk-", "api_key", "SecretString")
    assert [word for word in words if word in TEMPLATE_FILE.read_text()] == []
