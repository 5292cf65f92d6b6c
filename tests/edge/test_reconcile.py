"""What Twilio received and could not deliver to us is taken in all the same."""

from datetime import UTC, datetime, timedelta

from chalicelib import reconcile
from chalicelib.wiring import relay
from tests.edge.stage import OWN, PERSON, STRANGER, Stage


def undelivered(stage: Stage, text: str, person: str = PERSON) -> str:
    """Twilio logs a message that our webhook never saw."""
    message = {"from": f"whatsapp:{person}", "to": f"whatsapp:{OWN}", "body": text, "deliver": False}
    answer = stage.http.post(f"{stage.twilio_url}/_people/messages", json=message, timeout=5)
    return str(answer.json()["sid"])


def run(stage: Stage, *, later: timedelta = timedelta(minutes=2)) -> int:
    """The five-minute job, some time after the message."""
    parts = relay()
    return reconcile.reconcile(
        tenants=parts.tenants,
        secrets=parts.secrets,
        providers=parts.providers,
        conversations=parts.conversations,
        history=parts.history,
        take_in=parts.take_in,
        clock=lambda: datetime.now(UTC) + later,
        journal=parts.journal,
        patience=parts.patience,
    )


def test_a_message_that_never_reached_the_webhook_is_recorded_and_answered(stage: Stage) -> None:
    stage.open()
    sid = undelivered(stage, "Did you get this?")
    assert run(stage) == 1
    assert stage.record()["recent_message_ids"] == [sid]
    stage.work_off()
    assert len(stage.sent(PERSON)) == 1


def test_it_is_taken_in_once_however_often_the_list_is_read(stage: Stage) -> None:
    stage.open()
    undelivered(stage, "Did you get this?")
    assert [run(stage), run(stage)] == [1, 0]
    assert stage.record()["received"] == 1


def test_a_message_that_the_webhook_took_in_is_left_alone(stage: Stage) -> None:
    stage.open()
    sid = undelivered(stage, "Hello")
    stage.write("Hello", sid=sid)
    assert run(stage) == 0
    assert stage.record()["received"] == 1


def test_a_message_that_may_still_be_on_its_way_is_left_to_the_webhook(stage: Stage) -> None:
    stage.open()
    undelivered(stage, "Hello")
    assert run(stage, later=timedelta(seconds=5)) == 0
    assert "received" not in stage.record()


def test_somebody_without_a_conversation_is_left_alone(stage: Stage) -> None:
    undelivered(stage, "Hello", person=STRANGER)
    assert run(stage) == 0
    assert stage.everything("conversations") == []


def test_one_tenant_whose_provider_fails_does_not_keep_the_others_waiting(stage: Stage) -> None:
    stage.open()
    undelivered(stage, "Hello")
    stage.tenant(f"whatsapp:{OWN[:-1]}9", credentials_reference="no-such-secret")
    assert run(stage) == 1


def test_the_schedule_runs_it(stage: Stage) -> None:
    stage.fire("reconcile")
