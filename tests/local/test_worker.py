"""The worker treats a small Chalice app as Lambda, its queues and its schedules would."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.worker import failed_ids

from .conftest import Client, clients, environment, stand_in

PATIENCE = 20.0  # seconds until a test gives up; it never waits longer than it must
VISIBILITY = 2  # seconds until a failed message comes back; also the timeout of the functions
APP = """
import json, os, time
from pathlib import Path
from chalice import Chalice, Rate

app = Chalice(app_name="small")
SEEN = Path(os.environ["SEEN"])


def note(**seen):
    with SEEN.open("a") as file:
        file.write(json.dumps(seen) + "\\n")


def noted():
    return [json.loads(line) for line in SEEN.read_text().splitlines()]


@app.on_sqs_message(queue=os.environ["STAGE"] + "-one", batch_size=1)
def one(event):
    context = event.context
    (record,) = event.to_dict()["Records"]
    note(record=record, context={
        "function_name": context.function_name,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "aws_request_id": context.aws_request_id,
        "log_group_name": context.log_group_name,
        "left": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "configured": os.environ["CONFIGURED"],
    })
    order = json.loads(record["body"])
    if "fail" in order:
        raise ValueError(order["fail"])
    if "meet" in order:
        while len(noted()) < order["meet"]:
            time.sleep(0.01)
    time.sleep(order.get("sleep", 0))
    note(done=record["body"])
    return order.get("returns")


@app.on_sqs_message(queue=os.environ["STAGE"] + "-many", batch_size=5, maximum_batching_window_in_seconds=1)
def many(event):
    records = event.to_dict()["Records"]
    note(batch=[record["body"] for record in records])
    bad = [{"itemIdentifier": record["messageId"]} for record in records if record["body"] == "bad"]
    return {"batchItemFailures": bad}


@app.schedule(Rate(1, unit=Rate.HOURS))
def tick(event):
    note(tick=event.to_dict(), began=time.monotonic())
    time.sleep(0.3)
    note(ended=time.monotonic())


@app.on_sns_message(topic="news")
def news(event):
    pass
"""


@dataclass
class Place:
    """A directory with the small app, its queues, and a worker that can be started in it."""

    path: Path
    endpoint: str
    sqs: Any
    stage: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:8]}")

    def prepare(self, timeout: int = VISIBILITY) -> None:
        (self.path / "app.py").write_text(APP)
        (self.path / ".chalice").mkdir(exist_ok=True)
        stage = {"environment_variables": {"CONFIGURED": "yes"}, "lambda_memory_size": 256}
        config = {"version": "2.0", "app_name": "small", "lambda_timeout": timeout, "stages": {self.stage: stage}}
        (self.path / ".chalice/config.json").write_text(json.dumps(config))
        (self.path / "seen.jsonl").touch()

    def create_queues(self) -> None:
        for name in ("one", "many"):
            dead = self.sqs.create_queue(QueueName=f"{self.stage}-{name}-dlq")["QueueUrl"]
            arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
            attributes = {"VisibilityTimeout": str(VISIBILITY), "RedrivePolicy": redrive}
            self.sqs.create_queue(QueueName=f"{self.stage}-{name}", Attributes=attributes)

    def url(self, name: str) -> str:
        url: str = self.sqs.get_queue_url(QueueName=f"{self.stage}-{name}")["QueueUrl"]
        return url

    def send(self, name: str, body: Any, **options: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=self.url(name), MessageBody=text, **options)

    def left(self, name: str) -> int:
        """Messages in the queue, in flight or not."""
        kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=kinds)
        return sum(int(answer["Attributes"][kind]) for kind in kinds)

    def seen(self, key: str) -> list[Any]:
        lines = (self.path / "seen.jsonl").read_text().splitlines(keepends=True)
        notes = [json.loads(line) for line in lines if line.endswith("\n")]
        return [note[key] for note in notes if key in note]

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "stderr").read_text().splitlines()]

    def start(self, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "local.worker", "--stage", self.stage, *options]
        env = environment(self.endpoint) | {"SEEN": str(self.path / "seen.jsonl")}
        with (self.path / "stderr").open("w") as stderr:
            return subprocess.Popen(command, cwd=self.path, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)

    @contextmanager
    def worker(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        """A worker that is ready; afterwards it must end by itself, with code 0."""
        with self.start(*options) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready worker\n", (self.path / "stderr").read_text()
            try:
                yield process
            finally:
                process.terminate()
                assert process.wait(timeout=PATIENCE) == 0


@pytest.fixture
def place(tmp_path: Path, aws_endpoint: str, client: Client) -> Place:
    place = Place(tmp_path, aws_endpoint, client("sqs"))
    place.prepare()
    place.create_queues()
    return place


def until(holds: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.05)


def test_a_handled_message_is_deleted(place: Place) -> None:
    with place.worker():
        place.send("one", {"returns": None})
        until(lambda: place.seen("done") and place.left("one") == 0)
    assert len(place.seen("record")) == 1


def test_a_function_sees_what_lambda_would_show_it(place: Place) -> None:
    place.send("one", {"text": "hello"}, MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}})
    with place.worker():
        until(lambda: place.seen("done"))
    (record,) = place.seen("record")
    assert sorted(record) == [
        "attributes",
        "awsRegion",
        "body",
        "eventSource",
        "eventSourceARN",
        "md5OfBody",
        "messageAttributes",
        "messageId",
        "receiptHandle",
    ]
    assert json.loads(record["body"]) == {"text": "hello"}
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == f"arn:aws:sqs:eu-west-2:000000000000:{place.stage}-one"
    assert record["awsRegion"] == "eu-west-2"
    assert record["attributes"].pop("ApproximateReceiveCount") == "1"
    assert sorted(record["attributes"]) == ["ApproximateFirstReceiveTimestamp", "SenderId", "SentTimestamp"]
    assert record["messageAttributes"]["kind"] == {
        "stringValue": "x",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    (context,) = place.seen("context")
    assert uuid.UUID(context.pop("aws_request_id"))
    assert VISIBILITY * 900 < context.pop("left") <= VISIBILITY * 1000
    assert context == {
        "function_name": f"small-{place.stage}-one",
        "memory_limit_in_mb": "256",
        "log_group_name": f"/aws/lambda/small-{place.stage}-one",
        "arn": f"arn:aws:lambda:eu-west-2:000000000000:function:small-{place.stage}-one",
        "configured": "yes",
    }


def test_a_message_that_fails_comes_again_and_then_goes_to_the_dead_letter_queue(place: Place) -> None:
    place.send("one", {"fail": "private words"})
    with place.worker():
        until(lambda: place.left("one-dlq") == 1)
    assert place.left("one") == 0
    assert [record["attributes"]["ApproximateReceiveCount"] for record in place.seen("record")] == ["1", "2"]


def test_a_failure_is_reported_with_its_place_but_without_content(place: Place) -> None:
    place.send("one", {"fail": "private words"})
    with place.worker():
        until(lambda: place.seen("record") and len(place.reports()) > 1)
    report = next(report for report in place.reports() if report["level"] == "ERROR")
    assert report["message"] == "the function failed"
    assert report["function"] == f"small-{place.stage}-one"
    assert report["aws_request_id"] == place.seen("context")[0]["aws_request_id"]
    (error,) = report["errors"]
    assert error["type"] == "ValueError"
    assert error["stack"][-1].endswith('in one: raise ValueError(order["fail"])')
    assert "private" not in (place.path / "stderr").read_text()


def test_the_text_of_an_error_is_shown_when_asked_for(place: Place) -> None:
    place.send("one", {"fail": "private words"})
    with place.worker("--show-error-text"):
        until(lambda: '"text": "private words"' in (place.path / "stderr").read_text())


def test_a_result_that_is_not_json_is_a_failure(place: Place) -> None:
    app = APP.replace('return order.get("returns")', "return {1, 2}")
    (place.path / "app.py").write_text(app)
    place.send("one", {})
    with place.worker():
        until(lambda: place.seen("done") and len(place.reports()) > 1)
        assert place.left("one") == 1


def test_only_the_named_failures_of_a_batch_stay(place: Place) -> None:
    for body in ("good", "bad", "fine"):
        place.send("many", body)
    with place.worker():
        until(lambda: place.left("many-dlq") == 1)
    assert place.left("many") == 0
    first, *later = place.seen("batch")
    assert sorted(first) == ["bad", "fine", "good"]
    assert later == [["bad"]]


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (None, set()),
        ({}, set()),
        ("done", set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"identifier": "b"}]}, {"a", "b"}),
        ({"batchItemFailures": "a"}, {"a", "b"}),
    ],
)
def test_a_batch_result_is_read_as_lambda_reads_it(result: Any, failed: set[str]) -> None:
    assert failed_ids(result, ["a", "b"]) == failed


def test_messages_of_one_queue_run_side_by_side(place: Place) -> None:
    for _ in range(3):
        place.send("one", {"meet": 3})
    with place.worker("--concurrency", "3"):
        until(lambda: len(place.seen("done")) == 3)


def test_no_more_messages_run_at_once_than_allowed(place: Place) -> None:
    for _ in range(3):
        place.send("one", {"sleep": 0.3})
    with place.worker("--concurrency", "1"):
        until(lambda: len(place.seen("done")) == 3)
    kinds = [next(iter(json.loads(line))) for line in (place.path / "seen.jsonl").read_text().splitlines()]
    assert kinds == ["record", "done"] * 3


def test_a_function_past_its_timeout_counts_as_failed(place: Place) -> None:
    place.prepare(timeout=1)
    place.send("one", {"sleep": 1.5})
    with place.worker():
        until(lambda: len(place.seen("record")) == 2)
    timed_out = [report for report in place.reports() if report["message"] == "the function timed out"]
    assert timed_out[0]["timeout_seconds"] == 1
    assert timed_out[0]["function"] == f"small-{place.stage}-one"


def test_a_schedule_runs_again_and_again_and_never_twice_at_once(place: Place) -> None:
    with place.worker("--schedule-seconds", "0.1"):
        until(lambda: len(place.seen("ended")) >= 3)
    event = place.seen("tick")[0]
    assert event["source"] == "aws.events"
    assert event["detail-type"] == "Scheduled Event"
    assert event["detail"] == {}
    assert event["resources"] == [f"arn:aws:events:eu-west-2:000000000000:rule/small-{place.stage}-tick"]
    assert all(began > ended for began, ended in zip(place.seen("began")[1:], place.seen("ended"), strict=False))


def test_a_schedule_waits_for_its_own_time_otherwise(place: Place) -> None:
    with place.worker():
        place.send("one", {})
        until(lambda: place.seen("done"))
    assert place.seen("tick") == []


def test_a_stopped_worker_finishes_the_message_that_it_is_working_on(place: Place) -> None:
    place.send("one", {"sleep": 1})
    with place.worker() as process:
        until(lambda: place.seen("record"))
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert len(place.seen("done")) == 1
    assert place.left("one") == 0


def test_missing_queues_are_named_together_with_the_command_that_creates_them(
    tmp_path: Path, aws_endpoint: str, client: Client
) -> None:
    place = Place(tmp_path, aws_endpoint, client("sqs"))
    place.prepare()
    with place.start() as process:
        assert process.wait(timeout=PATIENCE) == 2
    said = (tmp_path / "stderr").read_text()
    assert f"no such queue: {place.stage}-one, {place.stage}-many" in said
    assert f"python -m ops resources --stage {place.stage}" in said


def test_a_timeout_that_lambda_would_refuse_is_refused(place: Place) -> None:
    place.prepare(timeout=VISIBILITY + 1)
    with place.start() as process:
        assert process.wait(timeout=PATIENCE) == 2
    assert "longer than the visibility timeout" in (place.path / "stderr").read_text()


def test_a_directory_without_an_app_is_refused(tmp_path: Path, aws_endpoint: str, client: Client) -> None:
    place = Place(tmp_path, aws_endpoint, client("sqs"))
    with place.start() as process:
        assert process.wait(timeout=PATIENCE) == 2
    assert (tmp_path / "stderr").read_text() == "worker: there is no app.py in this directory\n"


def test_a_function_that_the_worker_cannot_feed_is_mentioned(place: Place) -> None:
    with place.worker():
        pass
    assert [(report["level"], report["function"]) for report in place.reports()] == [("WARNING", "news")]


def test_a_worker_outlives_its_aws(tmp_path: Path) -> None:
    with stand_in() as endpoint:
        place = Place(tmp_path, endpoint, clients(endpoint)("sqs"))
        place.prepare()
        place.create_queues()
        worker = place.worker()
        process = worker.__enter__()
    until(lambda: any(report["message"] == "cannot receive" for report in place.reports()))
    assert process.poll() is None
    worker.__exit__(None, None, None)


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    program = (
        "from moto.server import ThreadedMotoServer as Server\n"
        "import time\n"
        "server = Server('127.0.0.1', 0, verbose=False)\n"
        "server.start()\n"
        "print(*server.get_host_and_port(), flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(), text=True
    ) as process:
        try:
            assert process.stdout
            host, port = process.stdout.readline().split()
            yield f"http://{host}:{port}"
        finally:
            process.kill()


def test_it_works_against_another_aws(tmp_path: Path, moto_endpoint: str) -> None:
    place = Place(tmp_path, moto_endpoint, clients(moto_endpoint)("sqs"))
    place.prepare()
    with place.start() as process:
        assert process.wait(timeout=PATIENCE) == 2
    assert "no such queue" in (tmp_path / "stderr").read_text()
    place.create_queues()
    with place.worker():
        place.send("one", {})
        place.send("one", {"fail": "x"})
        until(lambda: place.seen("done") and place.left("one-dlq") == 1)
    assert place.left("one") == 0
