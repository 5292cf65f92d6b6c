"""The feed: numbered events, bounded memory, waiting without missing, and its two sources."""

import io
import threading
from collections.abc import Iterator

import pytest
from flask import Flask, Response, request

from local.feed import Feed, TwilioFollower, log_event, log_time, server_sent
from local.serving import running

LINE = (
    '{"level":"INFO","message":"recorded","timestamp":"2026-11-22 16:52:00,123+0000",'
    '"service":"replies","action":"message_recorded","conversation":"c1","message_id":"SM1","number":1}'
)


def test_events_are_numbered_from_one_without_gaps() -> None:
    feed = Feed()
    assert [feed.publish({"kind": kind}) for kind in "abc"] == [1, 2, 3]
    assert [(event["id"], event["kind"]) for event in feed.since(0)] == [(1, "a"), (2, "b"), (3, "c")]


def test_since_gives_only_what_is_newer() -> None:
    feed = Feed()
    for kind in "abc":
        feed.publish({"kind": kind})
    assert [event["kind"] for event in feed.since(2)] == ["c"]
    assert feed.since(3) == []


def test_a_full_feed_forgets_the_oldest_and_keeps_counting() -> None:
    feed = Feed(capacity=2)
    for kind in "abc":
        feed.publish({"kind": kind})
    assert [event["id"] for event in feed.since(0)] == [2, 3]
    assert feed.last == 3


def test_an_event_keeps_its_own_time_and_gets_one_where_it_has_none() -> None:
    feed = Feed()
    feed.publish({"at": "2026-11-22T16:52:00.123Z"})
    feed.publish({"at": None})
    own, given = (event["at"] for event in feed.since(0))
    assert own == "2026-11-22T16:52:00.123Z"
    assert given.endswith("Z")
    assert given > own


def test_what_was_published_is_not_changed_by_its_publisher_afterwards() -> None:
    feed = Feed()
    event = {"kind": "a"}
    feed.publish(event)
    event["kind"] = "b"
    assert feed.since(0)[0]["kind"] == "a"


def test_waiting_ends_when_an_event_comes() -> None:
    feed = Feed()
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.extend(event["kind"] for event in feed.wait(0, 10)))
    waiting.start()
    feed.publish({"kind": "a"})
    waiting.join(10)
    assert got == ["a"]


def test_waiting_ends_empty_when_nothing_comes_or_the_feed_closes() -> None:
    feed = Feed()
    assert feed.wait(0, 0.01) == []
    feed.close()
    assert feed.wait(0, 60) == []


def test_concurrent_publishers_lose_nothing() -> None:
    feed = Feed()
    threads = [threading.Thread(target=lambda: [feed.publish({"kind": "a"}) for _ in range(200)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [event["id"] for event in feed.since(0)] == list(range(1, 1001))


def test_a_log_line_becomes_an_event_with_its_source_and_its_own_time() -> None:
    event = log_event("app", LINE)
    assert event is not None
    assert (event["source"], event["action"], event["message_id"]) == ("app", "message_recorded", "SM1")
    assert event["at"] == "2026-11-22T16:52:00.123Z"


@pytest.mark.parametrize("line", ["Serving on http://127.0.0.1:8000", "", "[]", "{", '{"no":"level"}'])
def test_output_that_is_not_a_log_line_is_no_event(line: str) -> None:
    assert log_event("app", line) is None


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-11-22 16:52:00,123+0000", "2026-11-22T16:52:00.123Z"),
        ("2026-11-22 17:52:00,123+0100", "2026-11-22T16:52:00.123Z"),
        ("2026-11-22T16:52:00.123456Z", "2026-11-22T16:52:00.123Z"),
        ("2026-11-22T16:52:00.1", "2026-11-22T16:52:00.100Z"),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_of_log_lines_are_read_as_utc(timestamp: object, expected: str | None) -> None:
    assert log_time(timestamp) == expected


def test_a_stream_of_server_sent_events_is_read_past_comments_and_rubbish() -> None:
    stream = io.BytesIO(b': hello\n\nid: 1\ndata: {"id": 1}\n\ndata: nonsense\n\ndata: {"id":\ndata: 2}\n\n')
    assert list(server_sent(stream)) == [{"id": 1}, {"id": 2}]


def test_the_follower_takes_up_a_broken_stream_where_it_left_off() -> None:
    asked: list[int] = []

    def page(after: int) -> Iterator[str]:
        yield f'id: {after + 1}\ndata: {{"id": {after + 1}, "kind": "status"}}\n\n'

    twilio = Flask(__name__)

    @twilio.get("/_events/stream")
    def stream() -> Response:
        after = int(request.args["after"])
        asked.append(after)
        return Response(page(after), mimetype="text/event-stream")

    feed = Feed()
    with running(twilio) as url:
        follower = TwilioFollower(feed, url, pause_seconds=0.01)
        follower.start()
        while feed.last < 3:
            assert feed.wait(feed.last, 10), "the follower published nothing more"
        follower.stop()
    assert asked[:3] == [0, 1, 2]
    assert [event["twilio_id"] for event in feed.since(0)][:3] == [1, 2, 3]
    assert {event["source"] for event in feed.since(0)} == {"twilio"}
