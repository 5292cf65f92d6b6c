"""The laptop's AWS does what AWS documents, for everything that the application asks of it."""

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from .conftest import ROOT, Client, clients, environment, stand_in

KEY = {"person": "p", "conversation": "c"}


# The process


def test_it_keeps_nothing_on_disk(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with stand_in(cwd=tmp_path, env=environment() | home) as endpoint:
        clients(endpoint)("sqs").create_queue(QueueName="q")
        clients(endpoint)("secretsmanager").create_secret(Name="s", SecretString="{}")
    assert list(tmp_path.iterdir()) == []


def test_it_forgets_everything_when_it_ends() -> None:
    with stand_in() as endpoint:
        clients(endpoint)("sqs").create_queue(QueueName="q")
    with stand_in() as endpoint:
        assert clients(endpoint)("sqs").list_queues().get("QueueUrls", []) == []


def test_a_taken_port_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "local.aws", "--port", port]
        ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"aws: cannot listen on 127.0.0.1:{port}")
    assert len(ended.stderr.splitlines()) == 1


def test_it_listens_on_this_machine_only(aws_endpoint: str) -> None:
    port = int(aws_endpoint.rsplit(":", 1)[-1])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_a_long_poll_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, (tmp_path / "stderr").open("w") as stderr:
        with stand_in(stderr=stderr) as endpoint:
            sqs = clients(endpoint)("sqs")
            url = sqs.create_queue(QueueName="q")["QueueUrl"]
            poll = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
            time.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        assert poll.exception(timeout=10) is not None
    assert (tmp_path / "stderr").read_text() == ""


def test_it_says_whose_credentials_it_sees(client: Client) -> None:
    assert client("sts").get_caller_identity()["Account"] == "000000000000"


# DynamoDB


@dataclass
class Table:
    """A table of the shape of ours, in Python's values."""

    dynamodb: Any
    name: str

    def put(self, item: dict[str, Any], **options: Any) -> None:
        self.dynamodb.put_item(TableName=self.name, Item=_typed(item), **_expression(options))

    def get(self, key: dict[str, Any] = KEY) -> dict[str, Any]:
        answer = self.dynamodb.get_item(TableName=self.name, Key=_typed(key), ConsistentRead=True)
        return _plain(answer["Item"])

    def update(self, text: str, **options: Any) -> dict[str, Any]:
        key = _typed(options.pop("key", KEY))
        answer = self.dynamodb.update_item(TableName=self.name, Key=key, UpdateExpression=text, **_expression(options))
        return _plain(answer.get("Attributes", {}))

    def query(self, text: str, **options: Any) -> list[dict[str, Any]]:
        answer = self.dynamodb.query(TableName=self.name, KeyConditionExpression=text, **_expression(options))
        return [_plain(item) for item in answer["Items"]]


def _expression(options: dict[str, Any]) -> dict[str, Any]:
    """`names` and `values` stand for the two long parameters; a name `#x` always means the attribute `x`."""
    values = {f":{name}": value for name, value in options.pop("values", {}).items()}
    names = {f"#{name}": name for name in options.pop("names", "").split()}
    return {
        **options,
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": _typed(values)} if values else {}),
    }


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


@pytest.fixture
def table(client: Client) -> Iterator[Table]:
    dynamodb, name = client("dynamodb"), f"t-{uuid.uuid4()}"
    attributes = ("person", "conversation", "shard", "since")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in attributes],
        KeySchema=_keys("person", "conversation"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "waiting-index",
                "KeySchema": _keys("shard", "since"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    yield Table(dynamodb, name)
    dynamodb.delete_table(TableName=name)


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def test_a_list_starts_with_its_first_element_and_grows(table: Table) -> None:
    for message in ("one", "two"):
        table.update(
            "SET #waiting = list_append(if_not_exists(#waiting, :empty), :more)",
            names="waiting",
            values={"empty": [], "more": [message]},
        )
    assert table.get()["waiting"] == ["one", "two"]


def test_an_update_adds_up_from_nothing(table: Table) -> None:
    for _ in range(2):
        table.update(
            "SET #received = if_not_exists(#received, :zero) + :one",
            names="received",
            values={"zero": 0, "one": 1},
        )
    assert table.get()["received"] == 2


def test_not_contains_holds_while_the_list_is_missing_and_fails_on_a_known_id(table: Table) -> None:
    def note(message: str) -> None:
        table.update(
            "SET #ids = list_append(if_not_exists(#ids, :empty), :ids)",
            ConditionExpression="NOT contains(#ids, :id)",
            names="ids",
            values={"empty": [], "ids": [message], "id": message},
        )

    note("SM1")
    note("SM2")
    with pytest.raises(table.dynamodb.exceptions.ConditionalCheckFailedException):
        note("SM1")
    assert table.get()["ids"] == ["SM1", "SM2"]


@pytest.mark.parametrize(("epoch", "holds"), [(3, True), (4, False)])
def test_a_condition_compares_two_attributes(table: Table, epoch: int, holds: bool) -> None:
    table.put({**KEY, "epoch": 3, "outgoing": {"epoch": epoch}})
    assert (
        _succeeds(
            table,
            "SET #claimed = :yes",
            ConditionExpression="#outgoing.#epoch = #epoch",
            names="claimed outgoing epoch",
            values={"yes": True},
        )
        is holds
    )


def _succeeds(table: Table, text: str, **options: Any) -> bool:
    try:
        table.update(text, **options)
    except table.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def test_a_value_deep_inside_is_set_in_place(table: Table) -> None:
    table.put({**KEY, "outgoing": {"parts": [{"text": "a"}, {"text": "b"}]}})
    table.update(
        "SET #outgoing.#parts[0].#provider_id = :id",
        names="outgoing parts provider_id",
        values={"id": "SM1"},
    )
    assert table.get()["outgoing"]["parts"] == [{"text": "a", "provider_id": "SM1"}, {"text": "b"}]


def test_setting_inside_what_is_not_there_is_refused(table: Table) -> None:
    table.put({**KEY})
    with pytest.raises(ClientError, match="document path"):
        table.update("SET #outgoing.#state = :state", names="outgoing state", values={"state": "CLAIMED"})


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ("#waiting[2], #waiting[1], #waiting[0]", ["d"]),
        ("#waiting[0], #waiting[1]", ["c", "d"]),
        ("#waiting[0], #waiting[2]", ["b", "d"]),
        ("#waiting[3], #waiting[9]", ["a", "b", "c"]),
    ],
)
def test_indexes_of_one_remove_mean_the_list_as_it_was(table: Table, removed: str, left: list[str]) -> None:
    table.put({**KEY, "waiting": ["a", "b", "c", "d"]})
    table.update(f"REMOVE {removed}", names="waiting")
    assert table.get()["waiting"] == left


def test_more_than_ten_elements_are_removed_in_one_update(table: Table) -> None:
    table.put({**KEY, "waiting": [f"m{number}" for number in range(14)]})
    removed = ", ".join(f"#waiting[{number}]" for number in range(12))
    table.update(f"REMOVE {removed}", names="waiting")
    assert table.get()["waiting"] == ["m12", "m13"]


def test_set_and_remove_go_together(table: Table) -> None:
    table.put({**KEY, "waiting": ["a", "b"], "answered": 0, "since": "t"})
    table.update(
        "SET #answered = :to, #outgoing = :outgoing REMOVE #waiting[1], #waiting[0], #since",
        names="answered outgoing waiting since",
        values={"to": 2, "outgoing": {"to": 2}},
    )
    assert table.get() == {**KEY, "answered": 2, "outgoing": {"to": 2}, "waiting": []}


@pytest.mark.parametrize(
    "text",
    [
        "SET #waiting = :list REMOVE #waiting[0]",
        "SET #outgoing = :list, #outgoing.#state = :list",
        "SET #waiting = :list, #waiting = :list",
    ],
)
def test_paths_that_overlap_are_refused(table: Table, text: str) -> None:
    table.put({**KEY, "waiting": ["a"], "outgoing": {"state": "READY"}})
    names = " ".join(name for name in ("waiting", "outgoing", "state") if f"#{name}" in text)
    with pytest.raises(ClientError, match="overlap"):
        table.update(text, names=names, values={"list": []})


def test_a_bare_reserved_word_is_refused(table: Table) -> None:
    with pytest.raises(ClientError, match="reserved"):
        table.update("SET token = :token", values={"token": "x"})


def test_a_failed_condition_can_return_the_item_as_it_is(table: Table) -> None:
    table.put({**KEY, "epoch": 3})
    with pytest.raises(ClientError) as failed:
        table.update(
            "SET #epoch = :next",
            ConditionExpression="#epoch = :read",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            names="epoch",
            values={"next": 3, "read": 2},
        )
    assert _plain(failed.value.response["Item"])["epoch"] == 3  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("kind", "returned"),
    [
        ("ALL_NEW", {**KEY, "a": 2, "b": 1}),
        ("UPDATED_NEW", {"a": 2}),
        ("ALL_OLD", {**KEY, "a": 1, "b": 1}),
        ("NONE", {}),
    ],
)
def test_an_update_returns_what_it_was_asked_for(table: Table, kind: str, returned: dict[str, Any]) -> None:
    table.put({**KEY, "a": 1, "b": 1})
    assert table.update("SET #a = :a", ReturnValues=kind, names="a", values={"a": 2}) == returned


@pytest.mark.parametrize(("most", "holds"), [(3, True), (2, False)])
def test_a_condition_limits_the_length_of_a_list(table: Table, most: int, holds: bool) -> None:
    table.put({**KEY, "waiting": ["a", "b"]})
    condition = "attribute_not_exists(#waiting) OR size(#waiting) < :most"
    changed = _succeeds(
        table, "SET #x = :most", ConditionExpression=condition, names="x waiting", values={"most": most}
    )
    assert changed is holds


def test_the_size_of_what_is_missing_satisfies_no_comparison(table: Table) -> None:
    table.put({**KEY})
    condition = "size(#waiting) < :most"
    assert not _succeeds(table, "SET #x = :most", ConditionExpression=condition, names="x waiting", values={"most": 9})


def test_a_put_can_be_made_to_happen_once(table: Table) -> None:
    once = {"ConditionExpression": "attribute_not_exists(#person)", "names": "person"}
    table.put({**KEY, "by": "first"}, **once)
    with pytest.raises(table.dynamodb.exceptions.ConditionalCheckFailedException):
        table.put({**KEY, "by": "second"}, **once)
    assert table.get()["by"] == "first"


def test_a_strongly_consistent_query_sees_every_earlier_write_in_order(table: Table) -> None:
    for number in (2, 1, 3):
        table.put({"person": "p", "conversation": f"c{number}"})
    found = table.query("#person = :p", ConsistentRead=True, names="person", values={"p": "p"})
    assert [item["conversation"] for item in found] == ["c1", "c2", "c3"]


def test_a_query_reads_backwards_and_within_a_range(table: Table) -> None:
    for number in range(1, 6):
        table.put({"person": "p", "conversation": f"c{number}"})
    found = table.query(
        "#person = :p AND #conversation BETWEEN :from AND :to",
        ScanIndexForward=False,
        Limit=2,
        names="person conversation",
        values={"p": "p", "from": "c2", "to": "c4"},
    )
    assert [item["conversation"] for item in found] == ["c4", "c3"]


def test_a_sparse_index_holds_only_the_items_that_have_its_keys(table: Table) -> None:
    table.put({"person": "p", "conversation": "waits", "shard": "0", "since": "2026-01-01", "text": "x"})
    table.put({"person": "p", "conversation": "calm"})
    waiting = {"names": "shard since", "values": {"s": "0", "t": "2026-12-31"}, "IndexName": "waiting-index"}
    found = table.query("#shard = :s AND #since < :t", **waiting)
    assert found == [{"person": "p", "conversation": "waits", "shard": "0", "since": "2026-01-01"}]
    table.update("REMOVE #shard, #since", key={"person": "p", "conversation": "waits"}, names="shard since")
    assert table.query("#shard = :s AND #since < :t", **waiting) == []


def test_a_batch_writes_many_items(table: Table) -> None:
    items = [{"person": "p", "conversation": f"c{number:02}"} for number in range(25)]
    requests = [{"PutRequest": {"Item": _typed(item)}} for item in items]
    answer = table.dynamodb.batch_write_item(RequestItems={table.name: requests})
    assert answer["UnprocessedItems"] == {}
    assert table.query("#person = :p", names="person", values={"p": "p"}) == items


def test_of_many_claims_at_once_one_succeeds(table: Table) -> None:
    table.put({**KEY, "state": "READY"})

    def claim(number: int) -> bool:
        return _succeeds(
            table,
            "SET #state = :claimed, #by = :by",
            ConditionExpression="#state = :ready",
            names="state by",
            values={"claimed": "CLAIMED", "ready": "READY", "by": number},
        )

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claim, range(32))) == 1


# SQS


@dataclass
class Queue:
    sqs: Any
    url: str
    dead_url: str

    def send(self, body: str = "hello", **options: Any) -> str:
        identity: str = self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **options)["MessageId"]
        return identity

    def receive(self, url: str | None = None, **options: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=url or self.url, MessageSystemAttributeNames=["All"], MaxNumberOfMessages=10, **options
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def attribute(self, name: str, url: str | None = None) -> str:
        names = {"QueueUrl": url or self.url, "AttributeNames": [name]}
        value: str = self.sqs.get_queue_attributes(**names)["Attributes"][name]
        return value

    def bury(self, body: str) -> None:
        """Lets a message fail until it is in the dead-letter queue."""
        self.send(body)
        for _ in range(2):
            assert self.receive(VisibilityTimeout=0)
        assert not self.receive()


@pytest.fixture
def queue(client: Client) -> Queue:
    """A queue whose messages are given up after two receives."""
    sqs, name = client("sqs"), f"q-{uuid.uuid4()}"
    dead_url = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return Queue(sqs, url, dead_url)


def test_a_delayed_message_stays_away_until_its_time(queue: Queue) -> None:
    queue.send("later", DelaySeconds=1)
    queue.send("now")
    assert [message["Body"] for message in queue.receive()] == ["now"]
    assert queue.attribute("ApproximateNumberOfMessagesDelayed") == "1"
    assert [message["Body"] for message in queue.receive(WaitTimeSeconds=5)] == ["later"]


def test_a_message_may_override_the_delay_of_its_queue(queue: Queue) -> None:
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"DelaySeconds": "30"})
    queue.send("now", DelaySeconds=0)
    queue.send("later")
    assert [message["Body"] for message in queue.receive()] == ["now"]


def test_a_long_poll_returns_as_soon_as_a_message_comes(queue: Queue) -> None:
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(queue.receive, WaitTimeSeconds=20)
        time.sleep(0.2)
        queue.send()
        assert len(poll.result(timeout=5)) == 1


def test_an_undeleted_message_comes_back_and_counts_its_receives(queue: Queue) -> None:
    queue.send()
    (first,) = queue.receive(VisibilityTimeout=1)
    assert queue.receive() == []
    (second,) = queue.receive(WaitTimeSeconds=5)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert [one["Attributes"]["ApproximateReceiveCount"] for one in (first, second)] == ["1", "2"]
    assert first["Attributes"]["SentTimestamp"] == second["Attributes"]["SentTimestamp"]


def test_a_receiver_can_give_a_message_back_at_once(queue: Queue) -> None:
    queue.send()
    (message,) = queue.receive(VisibilityTimeout=100)
    queue.sqs.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert len(queue.receive()) == 1


def test_a_message_that_fails_too_often_is_kept_in_the_dead_letter_queue(queue: Queue) -> None:
    queue.bury("poison")
    (dead,) = queue.receive(queue.dead_url)
    assert dead["Body"] == "poison"
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == queue.attribute("QueueArn")


def test_a_dead_letter_queue_knows_its_sources(queue: Queue) -> None:
    assert queue.sqs.list_dead_letter_source_queues(QueueUrl=queue.dead_url)["queueUrls"] == [queue.url]
    assert queue.sqs.list_dead_letter_source_queues(QueueUrl=queue.url)["queueUrls"] == []


def test_dead_letters_can_be_moved_back_to_where_they_came_from(queue: Queue) -> None:
    queue.bury("poison")
    dead_arn = queue.attribute("QueueArn", queue.dead_url)
    assert queue.sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]
    (again,) = queue.receive()
    assert again["Body"] == "poison"
    assert again["Attributes"]["ApproximateReceiveCount"] == "1"
    assert queue.receive(queue.dead_url) == []
    (task,) = queue.sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"]
    assert task["Status"] == "COMPLETED"
    assert task["ApproximateNumberOfMessagesMoved"] == 1


def test_a_move_from_a_queue_that_is_no_dead_letter_queue_is_refused(queue: Queue) -> None:
    with pytest.raises(queue.sqs.exceptions.UnsupportedOperation):
        queue.sqs.start_message_move_task(SourceArn=queue.attribute("QueueArn"))
    with pytest.raises(queue.sqs.exceptions.ResourceNotFoundException):
        queue.sqs.start_message_move_task(SourceArn=f"{queue.attribute('QueueArn')}-none")
    with pytest.raises(queue.sqs.exceptions.ResourceNotFoundException):
        queue.sqs.cancel_message_move_task(TaskHandle="none")


def test_deleting_twice_or_too_late_is_no_error(queue: Queue) -> None:
    queue.send()
    (first,) = queue.receive(VisibilityTimeout=0)
    (second,) = queue.receive()
    for message in (first, second, second):
        queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    entry = {"Id": "0", "ReceiptHandle": second["ReceiptHandle"]}
    answer = queue.sqs.delete_message_batch(QueueUrl=queue.url, Entries=[entry])
    assert [done["Id"] for done in answer["Successful"]] == ["0"]
    assert not answer.get("Failed")


def test_what_is_no_receipt_handle_is_refused(queue: Queue) -> None:
    with pytest.raises(queue.sqs.exceptions.ReceiptHandleIsInvalid):
        queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle="nonsense")


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        ("send_message", {"MessageBody": "x", "DelaySeconds": 901}),
        ("send_message", {"MessageBody": "x", "DelaySeconds": -1}),
        ("receive_message", {"WaitTimeSeconds": 21}),
        ("receive_message", {"VisibilityTimeout": 43_201}),
    ],
)
def test_seconds_out_of_range_are_refused(queue: Queue, call: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(queue.sqs, call)(QueueUrl=queue.url, **parameters)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_a_batch_reports_the_one_entry_that_is_wrong(queue: Queue) -> None:
    answer = queue.sqs.send_message_batch(
        QueueUrl=queue.url,
        Entries=[
            {"Id": "good", "MessageBody": "x"},
            {"Id": "bad", "MessageBody": "x", "DelaySeconds": 901},
        ],
    )
    assert [done["Id"] for done in answer["Successful"]] == ["good"]
    assert [(failed["Id"], failed["Code"]) for failed in answer["Failed"]] == [("bad", "InvalidParameterValue")]


# Secrets Manager


@pytest.fixture
def secret(client: Client) -> tuple[Any, str]:
    secrets, name = client("secretsmanager"), f"whatsapp-credentials/company/{uuid.uuid4()}/twilio"
    secrets.create_secret(Name=name, SecretString='{"twilio_auth_token": "first"}')
    return secrets, name


def _value(secrets: Any, name: str, stage: str) -> str | None:
    try:
        value: str = secrets.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
    except secrets.exceptions.ResourceNotFoundException:
        return None
    return value


def test_a_new_secret_value_makes_the_former_one_previous(secret: tuple[Any, str]) -> None:
    secrets, name = secret
    secrets.put_secret_value(SecretId=name, SecretString="second")
    assert _value(secrets, name, "AWSCURRENT") == "second"
    assert _value(secrets, name, "AWSPREVIOUS") == '{"twilio_auth_token": "first"}'
    assert _value(secrets, name, "AWSPENDING") is None


def test_a_pending_secret_value_becomes_current_when_its_label_moves(secret: tuple[Any, str]) -> None:
    secrets, name = secret
    first = secrets.get_secret_value(SecretId=name)["VersionId"]
    pending = secrets.put_secret_value(SecretId=name, SecretString="next", VersionStages=["AWSPENDING"])
    assert _value(secrets, name, "AWSPENDING") == "next"
    assert _value(secrets, name, "AWSCURRENT") == '{"twilio_auth_token": "first"}'
    secrets.update_secret_version_stage(
        SecretId=name,
        VersionStage="AWSCURRENT",
        MoveToVersionId=pending["VersionId"],
        RemoveFromVersionId=first,
    )
    assert _value(secrets, name, "AWSCURRENT") == "next"
    assert _value(secrets, name, "AWSPREVIOUS") == '{"twilio_auth_token": "first"}'


def test_a_secret_that_does_not_exist_is_told_apart(client: Client) -> None:
    secrets = client("secretsmanager")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.get_secret_value(SecretId="none")
