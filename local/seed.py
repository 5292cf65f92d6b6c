"""Fills an empty local AWS with the demonstration company: its secrets, its addresses and its conversations.

Doing it again changes nothing that has a life of its own: a conversation that exists is left as it is.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import demo_company
from local.demo_company import Person

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-west-2"
TABLES = {
    "CONVERSATIONS_TABLE": "ai-multi-comms-conversations-local",
    "TENANTS_TABLE": "ai-multi-comms-tenants-local",
}
MODEL = "gpt-6-luna"
INSTRUCTIONS = (
    f"You write on behalf of {demo_company.COMPANY_NAME}, a recruitment agency. You help a candidate to clear up the "
    "open questions about their CV. Be warm, brief and concrete, as in a chat: two or three sentences, one question "
    "at a time. Never promise a job, a salary or an interview. When the person asks for a human, is upset, or wants "
    "something that you can't do, hand over to a human."
)
APOLOGY_TEXT = "Sorry, I cannot answer that myself. A colleague of {company_name} will write to you here."
FALLBACK_TEXT = (
    f"Thank you for your message. There is no open conversation with {demo_company.COMPANY_NAME} for this number. "
    "Please call our office if we can help."
)
FALLBACK_WINDOW_SECONDS = 3600
MAX_OUTPUT_TOKENS = 1_200
OPENING = (
    "Hello {first_name}, this is {company}. Thank you for your application. We have a question about your CV: there "
    "is a gap between March and September 2024. What did you do in that time?"
)


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who plays: by default the demonstration company and its people, or a real account and a real phone."""

    own_address: str = demo_company.WHATSAPP_ADDRESS
    account_sid: str = demo_company.ACCOUNT_SID
    auth_token: str = demo_company.AUTH_TOKEN
    openai_api_key: str = demo_company.OPENAI_API_KEY
    people: tuple[Person, ...] = demo_company.PEOPLE

    def addresses(self) -> tuple[str, ...]:
        """The keys of the tenants table."""
        return (self.own_address, f"sms:{self.own_address.removeprefix('whatsapp:')}")


def main(argv: list[str]) -> int:
    """`python -m local seed`: fills the AWS of `AWS_ENDPOINT_URL`. Returns 0; 1 when it can't; 2 without one."""
    arguments = _parser().parse_args(argv)
    endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint_url:
        print("seed: AWS_ENDPOINT_URL is not set; this is for a local AWS only", file=sys.stderr)
        return 2
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    try:
        seed(boto3.Session(region_name=region), endpoint_url, {**TABLES, **os.environ}, _cast(arguments))
    except (BotoCoreError, ClientError) as error:
        print(f"seed: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local seed",
        description=__doc__,
        epilog="TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and OPENAI_API_KEY in the environment become the secrets.",
    )
    parser.add_argument(
        "--own-address", default=demo_company.WHATSAPP_ADDRESS, help="the company's number (default %(default)s)"
    )
    parser.add_argument(
        "--person", action="append", default=[], metavar="+NUMBER", help="somebody who has a conversation on WhatsApp"
    )
    return parser


def _cast(arguments: argparse.Namespace) -> Cast:
    guests = (Person("Guest", number[-4:], number, "whatsapp", "ai") for number in arguments.person)
    return Cast(
        own_address=f"whatsapp:{arguments.own_address.removeprefix('whatsapp:')}",
        account_sid=os.environ.get("TWILIO_ACCOUNT_SID") or demo_company.ACCOUNT_SID,
        auth_token=os.environ.get("TWILIO_AUTH_TOKEN") or demo_company.AUTH_TOKEN,
        openai_api_key=os.environ.get("OPENAI_API_KEY") or demo_company.OPENAI_API_KEY,
        people=(*demo_company.PEOPLE, *guests),
    )


def seed(aws: boto3.Session, endpoint_url: str, environment: Mapping[str, str], cast: Cast) -> None:
    """Writes what is missing to the AWS at `endpoint_url`, whose tables are there already.

    `environment` names the tables (`TENANTS_TABLE`, `CONVERSATIONS_TABLE`). A secret is brought up to date.
    Raises botocore's errors.
    """
    secrets = aws.client("secretsmanager", endpoint_url=endpoint_url)
    for name, value in _secrets(cast).items():
        _put_secret(secrets, name, value)
    tables = aws.resource("dynamodb", endpoint_url=endpoint_url)
    _put_tenants(tables.Table(environment["TENANTS_TABLE"]), cast)
    _put_conversations(tables.Table(environment["CONVERSATIONS_TABLE"]), cast)


def tenants(cast: Cast) -> Iterator[dict[str, Any]]:
    """The items of the tenants table: one for each address of the company."""
    for address in cast.addresses():
        yield {
            "address": address,
            **_company_and_project(),
            "credentials_reference": demo_company.TWILIO_SECRET,
            "ai_config": _ai_config(),
            "fallback_text": FALLBACK_TEXT,
            "fallback_window_seconds": FALLBACK_WINDOW_SECONDS,
            "apology_text": APOLOGY_TEXT,
            "unknown_senders": "fallback",
        }


def conversations(cast: Cast, now: datetime) -> Iterator[dict[str, Any]]:
    """Records as the outbound engine leaves them after its first message; none for a person without conversation."""
    for person in cast.people:
        if person.conversation != "none":
            yield _conversation(person, cast.own_address.removeprefix("whatsapp:"), now - timedelta(hours=1))


def _secrets(cast: Cast) -> dict[str, dict[str, str]]:
    twilio = {"twilio_account_sid": cast.account_sid, "twilio_auth_token": cast.auth_token}
    return {demo_company.TWILIO_SECRET: twilio, demo_company.OPENAI_SECRET: {"ai_api_key": cast.openai_api_key}}


def _put_secret(client: "SecretsManagerClient", name: str, value: Mapping[str, str]) -> None:
    text = json.dumps(value)
    try:
        client.create_secret(Name=name, SecretString=text)
    except client.exceptions.ResourceExistsException:
        if client.get_secret_value(SecretId=name)["SecretString"] != text:
            client.put_secret_value(SecretId=name, SecretString=text)


def _put_tenants(table: "Table", cast: Cast) -> None:
    for item in tenants(cast):
        table.put_item(Item=item)


def _put_conversations(table: "Table", cast: Cast) -> None:
    for item in conversations(cast, datetime.now(UTC)):
        try:
            table.put_item(
                Item=item,
                ConditionExpression="attribute_not_exists(#person)",
                ExpressionAttributeNames={"#person": "primary_channel"},
            )
        except table.meta.client.exceptions.ConditionalCheckFailedException:
            continue  # somebody talks there already


def _company_and_project() -> dict[str, str]:
    return {
        "company_id": demo_company.COMPANY_ID,
        "company_name": demo_company.COMPANY_NAME,
        "project_id": demo_company.PROJECT_ID,
        "project_name": demo_company.PROJECT_NAME,
    }


def _ai_config() -> dict[str, Any]:
    return {
        "engine": "responses",
        "model": MODEL,
        "instructions": INSTRUCTIONS,
        "api_key_reference": demo_company.OPENAI_SECRET,
        "tools": ["hand_off_to_human"],
        "max_output_tokens": MAX_OUTPUT_TOKENS,
    }


def _conversation(person: Person, own_number: str, began: datetime) -> dict[str, Any]:
    digits = person.number.removeprefix("+")
    request = f"req-demo-{digits[-3:]}"
    at = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "primary_channel": person.number,
        "conversation_id": "#".join((demo_company.COMPANY_ID, demo_company.PROJECT_ID, request, digits)),
        "channel_method": person.channel,
        "recipient_tel": person.number,
        "recipient_first_name": person.first_name,
        "recipient_last_name": person.last_name,
        **_company_and_project(),
        "project_status": "active",
        "allowed_channels": ["whatsapp", "sms"],
        "comms_consent": True,
        "conversation_status": "initial_message_sent",
        "credentials_reference": demo_company.TWILIO_SECRET,
        "channel_config": {
            "company_whatsapp_number": own_number,
            "company_sms_number": own_number,
        },
        "ai_config": {"api_key_reference": demo_company.OPENAI_SECRET},
        "messages": [_opening(person, request, at)],
        "task_complete": 0,
        "project_data": {"open_question": "gap in the CV between March and September 2024"},
        "company_rep": {"company_rep_1": "Priya"},
        "initial_request_timestamp": at,
        "created_at": at,
        "updated_at": at,
        **_ownership(person),
    }


def _opening(person: Person, request: str, at: str) -> dict[str, Any]:
    return {
        "message_id": f"{request}-1",
        "timestamp": at,
        "role": "assistant",
        "content": OPENING.format(first_name=person.first_name, company=demo_company.COMPANY_NAME),
        "prompt_tokens": 212,
        "completion_tokens": 47,
        "total_tokens": 259,
    }


def _ownership(person: Person) -> dict[str, Any]:
    if person.conversation == "human":
        return {"hand_off_to_human": True, "hand_off_to_human_reason": "asked_for_human"}
    return {"hand_off_to_human": False}
