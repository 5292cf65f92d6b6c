"""What the local AWS is filled with, and that filling it again disturbs nobody."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from local import demo_company
from local.seed import FALLBACK_TEXT, Cast, _cast, _parser, conversations, main, seed, tenants
from local.stack import REGION

KEYS = {"CONVERSATIONS_TABLE": ("primary_channel", "conversation_id"), "TENANTS_TABLE": ("address",)}


@pytest.fixture
def names(client: Any) -> dict[str, str]:
    """Empty tables of names of their own, by the variables that name them."""
    names = {variable: f"{variable.lower()}-{uuid.uuid4()}" for variable in KEYS}
    for variable, keys in KEYS.items():
        client("dynamodb").create_table(
            TableName=names[variable],
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
    return names


@pytest.fixture
def fill(aws_endpoint: str, names: dict[str, str]) -> Any:
    session = boto3.Session("local", "local", region_name=REGION)
    return lambda key="sk-first": seed(session, aws_endpoint, names, Cast(openai_api_key=key))


@pytest.fixture
def items(aws_endpoint: str, names: dict[str, str]) -> Any:
    session: Any = boto3.Session("local", "local", region_name=REGION)
    tables = session.resource("dynamodb", endpoint_url=aws_endpoint)
    return lambda variable: tables.Table(names[variable]).scan(ConsistentRead=True)["Items"]


def test_both_addresses_of_the_company_are_known(fill: Any, items: Any) -> None:
    fill()
    tenants = {item["address"]: item for item in items("TENANTS_TABLE")}
    assert sorted(tenants) == ["sms:+447700900001", "whatsapp:+447700900001"]
    for tenant in tenants.values():
        assert tenant["ai_config"]["engine"] == "responses"
        assert tenant["fallback_text"] == FALLBACK_TEXT


def test_everybody_who_was_written_to_has_a_conversation(fill: Any, items: Any) -> None:
    fill()
    conversations = {item["primary_channel"]: item for item in items("CONVERSATIONS_TABLE")}
    written_to = {person.number for person in demo_company.PEOPLE if person.conversation != "none"}
    assert set(conversations) == written_to
    humans = {number for number, item in conversations.items() if item["hand_off_to_human"]}
    assert humans == {person.number for person in demo_company.PEOPLE if person.conversation == "human"}


def test_the_secrets_are_those_that_the_records_refer_to(fill: Any, client: Any, items: Any) -> None:
    fill()
    secrets = client("secretsmanager")

    def value(name: str) -> Any:
        return json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])

    tenant = items("TENANTS_TABLE")[0]
    assert value(tenant["credentials_reference"]) == {
        "twilio_account_sid": demo_company.ACCOUNT_SID,
        "twilio_auth_token": demo_company.AUTH_TOKEN,
    }
    assert value(tenant["ai_config"]["api_key_reference"]) == {"ai_api_key": "sk-first"}
    fill("sk-second")
    assert value(tenant["ai_config"]["api_key_reference"]) == {"ai_api_key": "sk-second"}
    fill()


def test_filling_again_leaves_a_conversation_as_it_is(
    fill: Any, items: Any, client: Any, names: dict[str, str]
) -> None:
    fill()
    item = items("CONVERSATIONS_TABLE")[0]
    client("dynamodb").update_item(
        TableName=names["CONVERSATIONS_TABLE"],
        Key={key: {"S": item[key]} for key in KEYS["CONVERSATIONS_TABLE"]},
        UpdateExpression="SET received = :seven",
        ExpressionAttributeValues={":seven": {"N": "7"}},
    )
    fill()
    assert [it["received"] for it in items("CONVERSATIONS_TABLE") if "received" in it] == [7]
    assert len(items("CONVERSATIONS_TABLE")) == 3


def test_the_command_touches_no_aws_but_a_local_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert main([]) == 2
    assert "AWS_ENDPOINT_URL is not set" in capsys.readouterr().err


def test_the_command_fills_the_aws_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, names: dict[str, str], items: Any
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    for name, value in {**names, **keys, "AWS_ENDPOINT_URL": aws_endpoint}.items():
        monkeypatch.setenv(name, value)
    assert main([]) == 0
    assert len(items("TENANTS_TABLE")) == 2


def test_a_real_account_and_phone_take_the_demonstration_company_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a-token")
    cast = _cast(_parser().parse_args(["--own-address", "whatsapp:+14155238886", "--person", "+447700900199"]))

    records = list(conversations(cast, datetime.now(UTC)))

    assert [item["address"] for item in tenants(cast)] == ["whatsapp:+14155238886", "sms:+14155238886"]
    assert {item["channel_config"]["company_whatsapp_number"] for item in records} == {"+14155238886"}
    assert records[-1]["primary_channel"] == "+447700900199"
    assert (cast.account_sid, cast.auth_token) == ("AC" + "1" * 32, "a-token")
