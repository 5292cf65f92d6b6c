"""A person writes and is answered exactly once, however often and in whatever order things are delivered."""

import json

import pytest

from tests.edge.stage import CONVERSATION, OWN, PERSON, TEXTER, TWILIO_SECRET, Stage, new_sid

#: The context object as the high-level design shows it.
EXAMPLE = """
{
  "meta": {"request_id": "uuid-here", "channel_type": "whatsapp", "timestamp": "2023-06-01T12:34:56.789Z",
           "version": "1.0"},
  "conversation": {"conversation_id": "conversation-uuid", "primary_channel": "+1234567890",
                   "conversation_status": "user_reply_received", "hand_off_to_human": false,
                   "thread_id": "thread_abc123xyz"},
  "message": {"from": "+1234567890", "to": "+0987654321", "body": "Hello there", "message_id": "twilio-message-id",
              "timestamp": "2023-06-01T12:34:50.123Z"},
  "company": {"company_id": "company-123", "project_id": "project-456", "company_name": "Cucumber Recruitment",
              "credentials_reference": "whatsapp-credentials/cucumber-recruitment/cv-analysis/twilio"},
  "processing": {"validation_status": "valid", "ai_response": null, "sent_response": null,
                 "processing_timestamps": {"received": "2023-06-01T12:34:56.789Z",
                                           "validated": "2023-06-01T12:34:57.123Z",
                                           "queued": "2023-06-01T12:34:57.456Z"}}
}
"""


def keys_of(document: object) -> object:
    """The names in a document, level by level, in their order."""
    return {name: keys_of(value) for name, value in document.items()} if isinstance(document, dict) else None


@pytest.fixture
def conversation(stage: Stage) -> Stage:
    stage.open()
    return stage


# --- one message


def test_a_message_is_answered_by_the_engine_on_its_own_channel(conversation: Stage) -> None:
    conversation.write("Are you open on Monday?")
    conversation.work_off()
    [message] = conversation.sent()
    assert (message["from"], message["to"]) == (f"whatsapp:{OWN}", f"whatsapp:{PERSON}")
    assert "Monday to Friday" in message["body"]


def test_an_sms_is_answered_by_sms(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms")
    stage.write("Are you open on Monday?", person=TEXTER, sms=True)
    stage.work_off()
    assert [(message["from"], message["to"]) for message in stage.sent()] == [(OWN, TEXTER)]


def test_the_record_says_how_far_the_exchange_is(conversation: Stage) -> None:
    statuses = []
    conversation.write("Hello")
    statuses.append(conversation.record()["conversation_status"])
    conversation.work_off("whatsapp-replies")
    statuses.append(conversation.record()["conversation_status"])
    conversation.work_off("sender")
    statuses.append(conversation.record()["conversation_status"])
    assert statuses == ["user_reply_received", "ai_response_ready", "ai_response_sent"]


def test_nobody_waits_after_the_answer(conversation: Stage) -> None:
    conversation.write("Hello")
    assert {"unanswered_since", "rescue_shard"} <= set(conversation.record())
    conversation.work_off()
    record = conversation.record()
    assert not {"unanswered_since", "rescue_shard", "outgoing"} & set(record)
    assert (record["received"], record["answered"], record.get("waiting", [])) == (1, 1, [])


def test_attributes_that_we_do_not_know_are_left_alone(conversation: Stage) -> None:
    conversation.change(gsi_project="x", surprise={"deep": [1, {"er": True}]})
    before = conversation.record()
    conversation.write("Hello")
    conversation.work_off()
    after = conversation.record()
    assert {name: after[name] for name in before if name not in ("conversation_status", "updated_at")} == {
        name: value for name, value in before.items() if name not in ("conversation_status", "updated_at")
    }


def test_the_history_holds_the_message_and_the_answer_in_order(conversation: Stage) -> None:
    sid = conversation.write("Hello")
    conversation.work_off()
    conversation.await_callbacks("read")
    question, answer = conversation.history()
    assert (question["role"], question["author"], question["text"]) == ("user", "user", "Hello")
    assert question["provider_message_id"] == sid
    assert (answer["role"], answer["author"]) == ("assistant", "ai")
    assert answer["provider_message_id"] == conversation.sent()[0]["sid"]
    assert answer["covers"] == {"from": 0, "to": 1}
    assert answer["usage"]["output_tokens"] > 0


def test_the_engine_sees_the_opening_the_history_and_what_waits(conversation: Stage) -> None:
    conversation.write("My first question")
    conversation.work_off()
    conversation.write("My second question")
    conversation.work_off()
    said = [(each["role"], each["content"]) for each in conversation.engine_requests()[-1]["input"]]
    assert said[0] == ("assistant", "Hello Amara, may we ask about your CV?")
    assert said[1] == ("user", "My first question")
    assert said[2][0] == "assistant"
    assert said[3] == ("user", "My second question")


def test_the_engine_keeps_nothing_and_learns_no_address(conversation: Stage) -> None:
    conversation.write("Hello")
    conversation.work_off()
    [asked] = conversation.engine_requests()
    assert asked["store"] is False
    assert "447700900" not in json.dumps(asked)
    assert CONVERSATION not in json.dumps(asked)


def test_a_wake_up_is_delayed_by_the_burst_window(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.begin(monkeypatch, BURST_IDLE_SECONDS="30")
    stage.open()
    with stage.counted() as calls:
        stage.write("Hello")
    [delay] = [call.params["DelaySeconds"] for call in calls if call.operation == "SendMessage"]
    assert 25 <= delay <= 30  # what is left of the window, on a machine that may be slow


def test_a_tenants_own_burst_window_wins(stage: Stage) -> None:
    stage.tenant(burst_idle_seconds=7)
    stage.open()
    with stage.counted() as calls:
        stage.write("Hello")
    assert [call.params["DelaySeconds"] for call in calls if call.operation == "SendMessage"] == [7]


# --- the context object


def test_the_context_on_the_replies_queue_is_that_of_the_design(conversation: Stage) -> None:
    conversation.write("Hello there")
    [context] = conversation.taken("whatsapp-replies")
    assert keys_of(context) == keys_of(json.loads(EXAMPLE))


def test_the_context_says_what_the_record_and_the_message_say(conversation: Stage) -> None:
    sid = conversation.write("Hello there")
    [context] = conversation.taken("whatsapp-replies")
    assert context["conversation"] == {
        "conversation_id": CONVERSATION,
        "primary_channel": PERSON,
        "conversation_status": "user_reply_received",
        "hand_off_to_human": False,
        "thread_id": "thread_abc123xyz",
    }
    assert context["company"] == {
        "company_id": "company-123",
        "project_id": "project-456",
        "company_name": "Cucumber Recruitment",
        "credentials_reference": TWILIO_SECRET,
    }
    message = {name: value for name, value in context["message"].items() if name != "timestamp"}
    assert message == {"from": PERSON, "to": OWN, "body": "Hello there", "message_id": sid}
    stamps = context["processing"]["processing_timestamps"]
    assert stamps["received"] <= stamps["validated"] <= stamps["queued"]


def test_the_context_for_the_sender_has_the_answer_and_further_times(conversation: Stage) -> None:
    conversation.write("Hello there")
    conversation.work_off("whatsapp-replies")
    [context] = conversation.taken("sender")
    assert context["conversation"]["conversation_status"] == "ai_response_ready"
    assert "Hello, it is good to hear from you!" in context["processing"]["ai_response"]
    stamps = context["processing"]["processing_timestamps"]
    times = [
        stamps[name] for name in ("received", "validated", "queued", "ai_started", "ai_completed", "sender_queued")
    ]
    assert times == sorted(times)


def test_gaps_of_a_record_are_filled_from_the_tenant(stage: Stage) -> None:
    gone = ("company_id", "company_name", "project_id", "project_name", "credentials_reference", "ai_config")
    stage.open(**dict.fromkeys(gone))
    stage.write("Hello")
    [body] = stage.taken_bodies("whatsapp-replies")
    assert json.loads(body)["company"]["company_name"] == "Cucumber Recruitment"
    stage.invoke("whatsapp-replies", body)
    stage.work_off()
    assert len(stage.sent()) == 1


@pytest.mark.parametrize("kept", ["channel_method", "comms_consent", "ai_config", "messages", "created_at"])
def test_a_record_of_almost_nothing_is_answered(stage: Stage, kept: str) -> None:
    keys = ("primary_channel", "conversation_id", kept)
    stage.open()
    record = {name: value for name, value in stage.record().items() if name in keys}
    stage.table("conversations").put_item(Item=record)
    stage.write("Hello")
    stage.work_off()
    assert len(stage.sent()) == 1


# --- more than one message, and more than once


def test_a_webhook_that_is_delivered_twice_is_recorded_once(conversation: Stage) -> None:
    sid = new_sid()
    for _ in range(3):
        conversation.write("Hello", sid=sid)
    assert conversation.record()["received"] == 1
    conversation.work_off()
    assert len(conversation.sent()) == 1


def test_a_webhook_that_comes_again_after_its_answer_is_not_answered_again(conversation: Stage) -> None:
    sid = conversation.write("Hello")
    conversation.work_off()
    conversation.write("Hello", sid=sid)
    conversation.work_off()
    assert (conversation.record()["received"], len(conversation.sent())) == (1, 1)


def test_a_webhook_of_long_ago_is_not_answered_again_though_the_record_has_forgotten_it(conversation: Stage) -> None:
    sid = conversation.write("The very first message")
    conversation.work_off()
    others = [f"SM{at:032}" for at in range(64)]
    conversation.change(recent_message_ids=others, received=100, answered=100)
    conversation.write("The very first message", sid=sid)
    conversation.work_off()
    assert (conversation.record()["received"], len(conversation.sent())) == (100, 1)


def test_a_burst_of_three_gets_one_answer_that_reads_all_three(conversation: Stage) -> None:
    for text in ("Hi", "I have a question", "about my CV"):
        conversation.write(text)
    conversation.work_off()
    assert len(conversation.engine_requests()) == 1
    assert [message["body"].split("\n")[0] for message in conversation.sent()] == [
        "I have read your 3 messages together: “Hi”, “I have a question” and “about my CV”."
    ]


def test_a_burst_of_more_than_the_record_holds_is_answered_whole(conversation: Stage) -> None:
    for at in range(23):
        conversation.write(f"line {at}")
    conversation.work_off()
    [asked] = conversation.engine_requests()
    assert [each["content"] for each in asked["input"][1:]] == [f"line {at}" for at in range(23)]
    assert len(conversation.sent()) == 1


def test_wake_ups_in_any_order_and_number_give_one_answer(conversation: Stage) -> None:
    for text in ("one", "two", "three"):
        conversation.write(text)
    wake_ups = conversation.taken_bodies("whatsapp-replies")
    for body in (*reversed(wake_ups), *wake_ups):
        conversation.invoke("whatsapp-replies", body)
    sends = conversation.taken_bodies("sender")
    for body in sends * 3:
        conversation.invoke("sender", body)
    assert len(conversation.sent()) == 1


def test_a_message_during_an_answer_gets_an_answer_of_its_own(conversation: Stage) -> None:
    conversation.write("Are you open on Monday?")
    conversation.work_off("whatsapp-replies")
    conversation.write("Thanks")
    conversation.work_off()
    assert [text.split("\n")[0] for text in conversation.texts_sent()] == [
        "You wrote “Are you open on Monday?”.",
        "You wrote “Thanks”.",
    ]


def test_an_answer_that_was_lost_on_its_way_to_the_sender_is_found_by_the_sweep(conversation: Stage) -> None:
    conversation.write("Hello")
    conversation.work_off("whatsapp-replies")
    conversation.taken("sender")
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 1


def test_a_wake_up_that_was_lost_is_found_by_the_sweep(conversation: Stage) -> None:
    conversation.write("Hello")
    conversation.taken("whatsapp-replies")
    conversation.minutes_pass()
    conversation.sweep()
    conversation.work_off()
    assert len(conversation.sent()) == 1


def test_a_sweep_with_nobody_waiting_does_nothing(conversation: Stage) -> None:
    conversation.write("Hello")
    conversation.work_off()
    conversation.await_callbacks("read")
    before = conversation.all_that_is_written()
    conversation.sweep()
    assert conversation.all_that_is_written() == before


# --- long answers


def test_a_long_answer_goes_out_in_parts_in_order(conversation: Stage) -> None:
    conversation.write("Please tell me everything")
    conversation.work_off()
    texts = conversation.texts_sent()
    assert len(texts) > 1
    assert max(map(len, texts)) <= 1_600
    answer = " ".join(" ".join(texts).split())
    places = [answer.index(heading) for heading in ("*3. We", "*4. You", "*5. The", "*6. If", "*What it costs")]
    assert places == sorted(places)
    assert not any(sign in answer for sign in ("**", "~~", "## ", "](", "|--")), "no Markdown is left"


def test_each_part_of_an_answer_is_in_the_history(conversation: Stage) -> None:
    conversation.write("Please tell me everything")
    conversation.work_off()
    parts = [entry for entry in conversation.history() if entry["author"] == "ai"]
    assert [part["text"] for part in parts] == conversation.texts_sent()
    assert [part["provider_message_id"] for part in parts] == [message["sid"] for message in conversation.sent()]
