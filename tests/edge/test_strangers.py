"""Who has no open conversation is told so, seldom, or opens one; and no company sees another's."""

from xml.etree import ElementTree

import pytest

from tests.edge.stage import (
    CONVERSATION,
    OTHER_OWN,
    OTHER_TENANT,
    OTHER_TOKEN,
    OTHER_TWILIO_SECRET,
    OWN,
    PERSON,
    STRANGER,
    TEXTER,
    Stage,
    new_sid,
)

DEFAULT = "This conversation is no longer active. Please contact Cucumber Recruitment directly."
WHATSAPP = f"whatsapp:{OWN}"


def told(stage: Stage, *, person: str = STRANGER, **options: str) -> str | None:
    """What the answer to a stranger's webhook tells Twilio to say."""
    response = stage.webhook("Hello?", person=person, **options)
    assert response.status_code == 200
    return ElementTree.fromstring(response.body).findtext("Message")  # noqa: S314


# --- fallback


def test_a_stranger_is_told_that_the_conversation_is_over(stage: Stage) -> None:
    assert told(stage) == DEFAULT


def test_the_fallback_is_said_once_in_its_window(stage: Stage) -> None:
    assert [told(stage), told(stage), told(stage)] == [DEFAULT, None, None]


def test_each_stranger_has_a_window_of_its_own(stage: Stage) -> None:
    assert [told(stage), told(stage, person="+447700900198")] == [DEFAULT, DEFAULT]


def test_each_company_has_a_window_of_its_own(stage: Stage) -> None:
    assert told(stage) == DEFAULT
    assert told(stage, own=OTHER_OWN, token=OTHER_TOKEN) == DEFAULT.replace("Cucumber Recruitment", "Other Company")


def test_the_window_ends(stage: Stage) -> None:
    stage.tenant(WHATSAPP, fallback_window_seconds=1)
    assert told(stage) == DEFAULT
    [item] = stage.everything("messages")
    stage.table("messages").put_item(Item=item | {"expires_at": item["expires_at"] - 5})
    assert told(stage) == DEFAULT


def test_what_is_kept_of_a_fallback_expires_by_itself(stage: Stage) -> None:
    told(stage)
    assert all("expires_at" in item for item in stage.everything("messages"))


def test_a_tenants_own_words_are_escaped_and_filled(stage: Stage) -> None:
    stage.tenant(WHATSAPP, fallback_text='Bye from {company_name} & {project_name} <"now"> \N{WAVING HAND SIGN}')
    response = stage.webhook("Hello?", person=STRANGER)
    assert "&amp; Clarify CV &lt;" in response.body.decode()
    text = ElementTree.fromstring(response.body).findtext("Message")  # noqa: S314
    assert text == 'Bye from Cucumber Recruitment & Clarify CV <"now"> \N{WAVING HAND SIGN}'


def test_a_tenant_may_want_nothing_said(stage: Stage) -> None:
    stage.tenant(WHATSAPP, unknown_senders="ignore")
    assert told(stage) is None


@pytest.mark.parametrize("word", ["STOP", "START", "HELP"])
def test_nothing_is_added_to_what_twilio_says_about_opting_out(stage: Stage, word: str) -> None:
    assert told(stage, OptOutType=word) is None


@pytest.mark.parametrize("attributes", [{"opted_out": True}, {"comms_consent": False}], ids=str)
def test_who_wants_no_messages_gets_no_fallback(stage: Stage, attributes: dict[str, bool]) -> None:
    stage.open(STRANGER, conversation_status="closed", **attributes)
    assert told(stage) is None


def test_a_stranger_wakes_no_engine_and_leaves_no_conversation(stage: Stage) -> None:
    told(stage)
    stage.work_off()
    assert (stage.everything("conversations"), stage.engine_requests(), stage.sent()) == ([], [], [])


@pytest.mark.parametrize("attributes", [{"conversation_status": "closed"}, {"ttl": 1_700_000_000}], ids=str)
def test_a_conversation_that_is_over_does_not_come_back(stage: Stage, attributes: dict[str, object]) -> None:
    stage.open(STRANGER, **attributes)
    before = stage.records_of(STRANGER)
    assert told(stage) == DEFAULT
    assert stage.records_of(STRANGER) == before


# --- opening a conversation


@pytest.fixture
def welcoming(stage: Stage) -> Stage:
    stage.tenant(WHATSAPP, unknown_senders="open_conversation")
    stage.tenant(f"sms:{OWN}", unknown_senders="open_conversation")
    return stage


def test_a_stranger_opens_a_conversation_and_is_answered(welcoming: Stage) -> None:
    assert told(welcoming) is None
    welcoming.work_off()
    [record] = welcoming.records_of(STRANGER)
    assert (record["company_id"], record["channel_method"]) == ("company-123", "whatsapp")
    assert len(welcoming.sent(STRANGER)) == 1


def test_a_strangers_second_message_belongs_to_the_same_conversation(welcoming: Stage) -> None:
    told(welcoming)
    told(welcoming)
    [record] = welcoming.records_of(STRANGER)
    assert record["received"] == 2


def test_a_strangers_webhook_that_comes_twice_opens_one_conversation(welcoming: Stage) -> None:
    sid = new_sid()
    told(welcoming, sid=sid)
    told(welcoming, sid=sid)
    [record] = welcoming.records_of(STRANGER)
    assert record["received"] == 1


def test_a_stranger_who_says_stop_opens_nothing(welcoming: Stage) -> None:
    assert told(welcoming, OptOutType="STOP") is None
    assert welcoming.records_of(STRANGER) == []


def test_a_stranger_who_writes_on_another_channel_stays_in_the_one_conversation(welcoming: Stage) -> None:
    told(welcoming)
    welcoming.write("Hello?", person=STRANGER, sms=True)
    [record] = welcoming.records_of(STRANGER)
    assert record["received"] == 2


# --- which conversation


def test_the_newest_conversation_that_names_our_address_gets_the_message(stage: Stage) -> None:
    config = {"company_whatsapp_number": OWN}
    stage.open(conversation_id="older", channel_config=config, created_at="2026-11-01T09:00:00Z")
    stage.open(conversation_id="newer", channel_config=config, created_at="2026-11-20T09:00:00Z")
    stage.open(conversation_id="unnamed", created_at="2026-11-21T09:00:00Z")
    stage.write("Hello")
    assert [record["conversation_id"] for record in stage.records_of(PERSON) if "received" in record] == ["newer"]


def test_a_closed_conversation_does_not_hide_an_open_one(stage: Stage) -> None:
    config = {"company_whatsapp_number": OWN}
    stage.open(conversation_id="open", channel_config=config, created_at="2026-11-01T09:00:00Z")
    stage.open(
        conversation_id="closed", channel_config=config, created_at="2026-11-20T09:00:00Z", conversation_status="closed"
    )
    stage.write("Hello")
    assert stage.record(conversation_id="open")["received"] == 1


def test_our_address_may_be_written_in_several_ways(stage: Stage) -> None:
    stage.open(channel_config={"company_whatsapp_number": "whatsapp:+44 7700 900001"})
    stage.write("Hello")
    assert stage.record()["received"] == 1


def test_a_conversation_that_names_another_address_is_not_meant(stage: Stage) -> None:
    stage.open(channel_config={"company_whatsapp_number": "+447700900055"})
    assert told(stage, person=PERSON) == DEFAULT


# --- two companies


@pytest.fixture
def two_companies(stage: Stage) -> Stage:
    """The same person is known to both; neither record names our address."""
    stage.open()
    stage.open(
        conversation_id="other",
        **{name: OTHER_TENANT[name] for name in ("company_id", "company_name", "project_id", "credentials_reference")},
        messages=[{"role": "assistant", "content": "A secret of the other company"}],
        project_data={"salary": "a secret of the other company"},
    )
    return stage


def test_a_person_of_two_companies_reaches_the_one_that_was_written_to(two_companies: Stage) -> None:
    two_companies.write("to the first")
    two_companies.write("to the second", own=OTHER_OWN, token=OTHER_TOKEN)
    assert two_companies.record()["waiting"][0]["text"] == "to the first"
    assert two_companies.record(conversation_id="other")["waiting"][0]["text"] == "to the second"


def test_the_engine_of_one_company_learns_nothing_of_the_other(two_companies: Stage) -> None:
    two_companies.write("Hello")
    two_companies.work_off()
    [asked] = two_companies.engine_requests()
    assert "secret of the other company" not in str(asked)


def test_each_company_answers_from_its_own_address_with_its_own_account(two_companies: Stage) -> None:
    two_companies.write("Hello")
    two_companies.write("Hello", own=OTHER_OWN, token=OTHER_TOKEN)
    two_companies.work_off()
    assert {message["from"] for message in two_companies.sent()} == {WHATSAPP, f"whatsapp:{OTHER_OWN}"}


def test_a_message_to_one_company_leaves_the_others_record_alone(two_companies: Stage) -> None:
    before = two_companies.record(conversation_id="other")
    two_companies.write("Hello")
    two_companies.work_off()
    assert two_companies.record(conversation_id="other") == before


def test_a_stranger_to_one_company_is_not_answered_from_the_others_record(stage: Stage) -> None:
    stage.open()
    text = told(stage, person=PERSON, own=OTHER_OWN, token=OTHER_TOKEN)
    assert text == DEFAULT.replace("Cucumber Recruitment", "Other Company")
    assert "received" not in stage.record()


def test_opting_out_at_one_company_does_not_silence_the_other(stage: Stage) -> None:
    stage.open(TEXTER, channel_method="sms", company_id="company-999", credentials_reference=OTHER_TWILIO_SECRET)
    stage.change(TEXTER, CONVERSATION, opted_out=True)
    stage.open(TEXTER, "mine", channel_method="sms")
    stage.write("Hello", person=TEXTER, sms=True)
    stage.work_off()
    assert len(stage.sent(TEXTER)) == 1


def test_opting_out_at_one_company_does_not_take_the_others_fallback(stage: Stage) -> None:
    stage.open(STRANGER, company_id="company-999", credentials_reference=OTHER_TWILIO_SECRET, opted_out=True)
    assert told(stage) == DEFAULT
