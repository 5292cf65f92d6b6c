"""Every shape in which Twilio reports a message is accepted, recorded with the right fields and answered with TwiML."""

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.edge.stage import (
    CONVERSATION,
    OWN,
    OWN_AMERICAN,
    PERSON,
    Stage,
    fields_of,
    names_of_payloads,
    payload,
)

AMERICAN = "+15550100123"
BSUID = "US.4480491918930694"
MESSAGES = names_of_payloads(["whatsapp", "sms", "mms"])

#: What each payload says, in our words.
TEXTS = {
    "whatsapp_text": "Good morning, I have a question about my CV.",
    "whatsapp_image_with_caption": "This is my certificate",
    "whatsapp_image_without_caption": "",
    "whatsapp_voice_note": "",
    "whatsapp_document": "",
    "whatsapp_contact_card": "",
    "whatsapp_location": "[location: 51.5007292, -0.1246254, Big Ben, London SW1A 0AA, UK]",
    "whatsapp_sticker": "",
    "whatsapp_reaction": "\N{THUMBS UP SIGN}",
    "whatsapp_button_reply": "Yes, call me",
    "whatsapp_list_reply": "Tuesday 10:30",
    "whatsapp_reply_to_a_message": "Yes, that one",
    "whatsapp_forwarded": "Our office is closed on Monday.",
    "whatsapp_bsuid_only": "Hello, you do not see my number",
    "whatsapp_bsuid_beside_phone": "It is me again",
    "whatsapp_unknown_parameters": "Something new",
    "whatsapp_emoji_arabic_chinese": "\U0001f469\u200d\U0001f4bb مرحبا، 你好 — naïve café & 100% = ok?",
    "whatsapp_repeated_parameter": "Twice named",
    "sms_text_with_blank_places": "Is the role still open?",
    "sms_text_with_places": "Is the role still open?",
    "sms_through_messaging_service": "Hello through the service",
    "sms_stop": "STOP",
    "sms_start": "START",
    "mms_two_pictures": "Two pages",
}
MEDIA = {
    "whatsapp_image_with_caption": ["image/jpeg"],
    "whatsapp_image_without_caption": ["image/jpeg"],
    "whatsapp_voice_note": ["audio/ogg"],
    "whatsapp_document": ["application/pdf"],
    "whatsapp_contact_card": ["text/vcard"],
    "whatsapp_sticker": ["image/webp"],
    "mms_two_pictures": ["image/jpeg", "image/png"],
}


def person_of(name: str) -> str:
    sender = fields_of(payload(name))["From"]
    return sender.removeprefix("whatsapp:")


def taken_in(shared: Stage, name: str) -> dict[str, Any]:
    """The message as the system keeps it: waiting in the record, or closed in the history."""
    person = person_of(name)
    shared.open(person, channel_method="whatsapp" if name.startswith("whatsapp") else "sms")
    assert shared.payload(name).status_code == 200
    waiting = shared.record(person).get("waiting") or shared.history()
    assert len(waiting) == 1
    kept: dict[str, Any] = waiting[0]
    return kept


@pytest.mark.parametrize("name", MESSAGES)
def test_every_shape_of_message_is_answered_with_empty_twiml(shared: Stage, name: str) -> None:
    shared.open(person_of(name))
    response = shared.payload(name)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/xml"
    root = ElementTree.fromstring(response.body)  # noqa: S314
    assert (root.tag, list(root)) == ("Response", [])


@pytest.mark.parametrize("name", MESSAGES)
def test_every_shape_of_message_is_recorded_once_under_its_provider_id(shared: Stage, name: str) -> None:
    shared.open(person_of(name))
    shared.payload(name)
    record = shared.record(person_of(name))
    assert record["recent_message_ids"] == [fields_of(payload(name))["MessageSid"]]
    assert record["received"] == 1


@pytest.mark.parametrize("name", MESSAGES)
def test_every_shape_of_message_reaches_a_queue_with_who_wrote_to_whom(shared: Stage, name: str) -> None:
    shared.open(person_of(name), channel_method="whatsapp" if name.startswith("whatsapp") else "sms")
    shared.payload(name)
    queues = ("whatsapp-replies", "sms-replies", "handoff")
    [context] = [each for purpose in queues for each in shared.taken(purpose)]
    own = OWN_AMERICAN if fields_of(payload(name))["To"] == OWN_AMERICAN else OWN
    message = context["message"]
    assert (message["from"], message["to"]) == (person_of(name), own)
    assert message["message_id"] == fields_of(payload(name))["MessageSid"]
    assert context["meta"]["channel_type"] == ("whatsapp" if name.startswith("whatsapp") else "sms")


@pytest.mark.parametrize(("name", "text"), TEXTS.items())
def test_the_text_is_what_the_person_wrote_or_chose(shared: Stage, name: str, text: str) -> None:
    assert taken_in(shared, name)["text"] == text


@pytest.mark.parametrize("name", MESSAGES)
def test_files_are_kept_with_type_and_url(shared: Stage, name: str) -> None:
    fields = fields_of(payload(name))
    kept = taken_in(shared, name).get("media", [])
    assert [each["content_type"] for each in kept] == MEDIA.get(name, [])
    assert [each["url"] for each in kept] == [fields[f"MediaUrl{at}"] for at in range(len(kept))]


def test_the_body_of_a_document_is_its_file_name_and_not_a_text(shared: Stage) -> None:
    kept = taken_in(shared, "whatsapp_document")
    assert (kept["text"], kept["media"][0]["name"]) == ("", "CV Amara Okafor 2026.pdf")


def test_a_message_of_1600_characters_is_kept_whole(shared: Stage) -> None:
    text = taken_in(shared, "sms_1600_characters")["text"]
    assert text == fields_of(payload("sms_1600_characters"))["Body"]
    assert len(text) == 1600


@pytest.mark.parametrize("name", MESSAGES)
def test_every_parameter_is_kept_as_the_provider_sent_it(shared: Stage, name: str) -> None:
    kept = taken_in(shared, name)
    for parameter, value in fields_of(payload(name)).items():
        if parameter in ("Body", "Tag"):
            continue
        assert kept["raw"].get(parameter) == value, parameter


def test_a_parameter_is_kept_also_when_its_value_is_the_text(shared: Stage) -> None:
    shared.open()
    shared.write("1", NumSegments="1", ButtonPayload="1")
    raw = shared.record()["waiting"][0]["raw"]
    assert (raw.get("NumSegments"), raw.get("ButtonPayload")) == ("1", "1")


def test_each_value_of_a_repeated_parameter_is_kept(shared: Stage) -> None:
    raw = taken_in(shared, "whatsapp_repeated_parameter")["raw"]
    assert raw["Tag"].split("\n") == ["zebra", "apple", "zebra"]


def test_a_sender_without_a_number_is_known_by_the_business_scoped_id(shared: Stage) -> None:
    shared.open(BSUID)
    shared.payload("whatsapp_bsuid_only")
    assert shared.record(BSUID)["waiting"][0]["from"] == BSUID


def test_a_number_finds_the_conversation_that_knows_only_its_business_scoped_id(shared: Stage) -> None:
    shared.open("GB.9900112233445566")
    shared.payload("whatsapp_bsuid_beside_phone")
    assert shared.record("GB.9900112233445566")["received"] == 1


def test_the_number_wins_where_both_names_have_a_conversation(shared: Stage) -> None:
    shared.open(PERSON)
    shared.open("GB.9900112233445566")
    shared.payload("whatsapp_bsuid_beside_phone")
    assert shared.record(PERSON)["received"] == 1
    assert "received" not in shared.record("GB.9900112233445566")


def test_an_answer_to_a_business_scoped_id_goes_out_to_it(shared: Stage) -> None:
    shared.open(BSUID)
    shared.payload("whatsapp_bsuid_only")
    shared.work_off()
    assert [message["to"] for message in shared.sent()] == [f"whatsapp:{BSUID}"]


def test_a_person_may_write_on_both_channels_in_one_conversation(shared: Stage) -> None:
    shared.open()
    shared.write("on WhatsApp")
    shared.write("on SMS", sms=True)
    assert [each["channel"] for each in shared.record()["waiting"]] == ["whatsapp", "sms"]
    assert shared.record()["conversation_id"] == CONVERSATION
