"""How many requests to AWS each stage makes, by equality: one more is a decision, not an accident."""

import json
from collections.abc import Callable

import pytest
from boto3.dynamodb.types import TypeSerializer

from tests import signing
from tests.edge.stage import ACCOUNT, Call, Stage, form_of, new_sid

WEBHOOK = ["dynamodb:Query", "dynamodb:UpdateItem", "sqs:SendMessage"]


@pytest.fixture
def warm(stage: Stage) -> Stage:
    """Every stage has been through one exchange, so that tenants, secrets and queue URLs are known."""
    stage.open()
    stage.write("Hello")
    stage.work_off()
    stage.await_callbacks("read")
    return stage


def counted(stage: Stage, work: Callable[[], object]) -> list[str]:
    with stage.counted() as calls:
        work()
    return [str(call) for call in calls]


def test_a_warm_webhook_makes_three_calls_and_reads_no_secret(warm: Stage) -> None:
    assert counted(warm, lambda: warm.write("Hello")) == WEBHOOK


def test_a_cold_webhook_also_reads_tenant_secret_and_the_queues_url(stage: Stage) -> None:
    stage.open()
    secrets = ["secretsmanager:GetSecretValue"] * 3
    expected = ["dynamodb:GetItem", *secrets, *WEBHOOK[:2], "sqs:GetQueueUrl", "sqs:SendMessage"]
    assert counted(stage, lambda: stage.write("Hello")) == expected


def test_a_webhook_that_comes_again_makes_the_same_three_calls(warm: Stage) -> None:
    sid = warm.write("Hello")
    assert counted(warm, lambda: warm.write("Hello", sid=sid)) == WEBHOOK


def test_a_webhook_of_a_burst_costs_what_the_first_one_cost(warm: Stage) -> None:
    for _ in range(5):
        assert counted(warm, lambda: warm.write("Hello")) == WEBHOOK


VOICE_NOTE = {
    "NumMedia": "1",
    "MessageType": "audio",
    "MediaUrl0": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{'1' * 32}/Media/ME{'1' * 32}",
    "MediaContentType0": "audio/ogg",
}


def test_a_webhook_with_a_file_has_it_collected_with_one_call_more(warm: Stage) -> None:
    warm.write("", **VOICE_NOTE)
    assert counted(warm, lambda: warm.write("", **VOICE_NOTE)) == [*WEBHOOK, "sqs:SendMessage"]


def test_a_message_for_a_human_also_writes_history_and_closes(warm: Stage) -> None:
    warm.change(hand_off_to_human=True)
    warm.write("Hello")
    expected = [
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "dynamodb:BatchWriteItem",
        "sqs:SendMessage",
        "dynamodb:UpdateItem",
    ]
    assert counted(warm, lambda: warm.write("Hello again")) == expected


def test_a_request_without_a_signature_makes_no_call(warm: Stage) -> None:
    path, body = form_of("Hello")
    assert counted(warm, lambda: warm.post(path, body, spoil=signing.SPOILED["missing"])) == []


def test_a_forged_request_makes_one_call(warm: Stage) -> None:
    path, body = form_of("Hello")
    assert counted(warm, lambda: warm.post(path, body, token="made up")) == ["dynamodb:Query"]


def test_a_stranger_costs_the_lookups_and_one_write(warm: Stage) -> None:
    calls = counted(warm, lambda: warm.webhook("Hello?", person="+447700900199"))
    assert calls == ["dynamodb:Query", "dynamodb:GetItem", "dynamodb:PutItem"]


def test_a_stale_wake_up_makes_one_call(warm: Stage) -> None:
    warm.write("one")
    [stale] = warm.taken_bodies("whatsapp-replies")
    warm.write("two")
    assert counted(warm, lambda: warm.invoke("whatsapp-replies", stale)) == ["dynamodb:GetItem"]


def test_a_turn_makes_three_reads_keeps_history_commits_and_wakes_the_sender(warm: Stage) -> None:
    warm.write("Hello")
    [body] = warm.taken_bodies("whatsapp-replies")
    assert counted(warm, lambda: warm.invoke("whatsapp-replies", body)) == [
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:GetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:UpdateItem",
        "sqs:SendMessage",
    ]


def test_a_turn_for_a_burst_costs_what_a_turn_for_one_message_costs(warm: Stage) -> None:
    for text in ("one", "two", "three", "four", "five"):
        warm.write(text)
    body = warm.taken_bodies("whatsapp-replies")[-1]
    assert len(counted(warm, lambda: warm.invoke("whatsapp-replies", body))) == 6


def test_a_send_claims_keeps_history_posts_and_finishes(warm: Stage) -> None:
    warm.twilio_fault("lose_callbacks")
    warm.write("Hello")
    warm.work_off("whatsapp-replies")
    [body] = warm.taken_bodies("sender")
    assert counted(warm, lambda: warm.invoke("sender", body)) == [
        "dynamodb:UpdateItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:UpdateItem",
    ]


def test_a_wake_up_for_a_sender_that_has_nothing_to_send_makes_one_call(warm: Stage) -> None:
    warm.write("Hello")
    warm.work_off("whatsapp-replies")
    [body] = warm.taken_bodies("sender")
    warm.invoke("sender", body)
    assert counted(warm, lambda: warm.invoke("sender", body)) == ["dynamodb:UpdateItem"]


def test_a_delivery_callback_makes_one_call(warm: Stage) -> None:
    path = warm.callback_paths[-1]
    sent = warm.sent()[-1]
    status = f"MessageSid={sent['sid']}&MessageStatus=delivered&From={sent['from']}&To={sent['to']}"
    body = status.replace(":", "%3A").replace("+", "%2B").encode()
    assert counted(warm, lambda: warm.post(path, body)) == ["dynamodb:UpdateItem"]


def test_a_sweep_without_anybody_waiting_asks_each_part_of_the_index(warm: Stage) -> None:
    assert counted(warm, warm.sweep) == ["dynamodb:Query"] * 4


def test_a_burst_of_ten_is_ten_webhooks_one_engine_call_and_one_answer(warm: Stage) -> None:
    with warm.counted() as calls:
        for at in range(10):
            warm.write(f"line {at}")
        warm.work_off()
    assert _count(calls, "sqs:SendMessage") == 10 + 1
    assert len(warm.engine_requests()) == 1 + 1
    assert len(warm.sent()) == 1 + 1


def test_the_first_request_reads_every_secret_once(stage: Stage) -> None:
    stage.open()
    with stage.counted() as calls:
        for _ in range(3):
            stage.write("Hello")
            stage.work_off()
    named = [call.params["SecretId"] for call in calls if call.service == "secretsmanager"]
    assert len(named) == 3 * len(set(named))


@pytest.mark.parametrize("before", [64, 100_000])
def test_a_record_does_not_grow_with_its_conversation(warm: Stage, before: int) -> None:
    ids = [new_sid() for _ in range(64)]
    warm.change(recent_message_ids=ids, received=before, answered=before)
    most = len(_serialized(warm)) + len(str(before + 6)) * 6
    sizes = []
    for at in range(6):
        warm.write(f"Message {at} of the usual length, some fifty letters")
        if at % 2:
            warm.work_off()
            sizes.append(len(_serialized(warm)))
    assert max(sizes) <= most
    assert warm.record()["received"] == before + 6


def test_a_record_remembers_no_more_than_64_message_ids(warm: Stage) -> None:
    warm.change(recent_message_ids=[new_sid() for _ in range(63)], received=63, answered=63)
    lengths = []
    for at in range(4):
        warm.write(f"Message {at}")
        lengths.append(len(warm.record()["recent_message_ids"]))
    assert lengths == [64, 32, 33, 34]


def _serialized(stage: Stage) -> str:
    return json.dumps(TypeSerializer().serialize(stage.record()))


def _count(calls: list[Call], name: str) -> int:
    return sum(str(call) == name for call in calls)
