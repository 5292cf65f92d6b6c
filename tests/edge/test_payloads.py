"""Every shape in which Twilio reports a message is accepted, recorded with the right fields and answered with TwiML."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
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

QUEUES = ("whatsapp-replies", "sms-replies", "handoff")
AMERICAN = "+15550100123"
BSUID = "US.4480491918930694"
EVERYTHING = names_of_payloads(["whatsapp", "sms", "mms"])
MESSAGES = [name for name in EVERYTHING if name != "whatsapp_reaction"]

#: What each payload says, in our words.
TEXTS = {
    "whatsapp_text": "Good morning, I have a question about my CV.",
    "whatsapp_image_with_caption": "This is my certificate",
    "whatsapp_image_without_caption": "",
    "whatsapp_voice_note": "",
    "whatsapp_document": "",
    "whatsapp_contact_card": "",
    "whatsapp_location": "",
    "whatsapp_sticker": "",
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


KINDS = {
    "whatsapp_image_with_caption": ["picture"],
    "whatsapp_image_without_caption": ["picture"],
    "whatsapp_voice_note": ["voice"],
    "whatsapp_document": ["document"],
    "whatsapp_contact_card": ["contact"],
    "whatsapp_sticker": ["sticker"],
    "mms_two_pictures": ["picture", "picture"],
}

#: What else a payload is: each as the tables keep it, and as a reader finds it.
EXTRAS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "whatsapp_location": [
        (
            {
                "kind": "location",
                "latitude": "51.5007292",
                "longitude": "-0.1246254",
                "label": "Big Ben",
                "address": "London SW1A 0AA, UK",
            },
            "[location: 51.5007292, -0.1246254, Big Ben, London SW1A 0AA, UK]",
        )
    ],
    "whatsapp_button_reply": [
        ({"kind": "quotation", "to": f"SM{'cd' * 16}"}, "[in reply to an earlier message]"),
        (
            {"kind": "choice", "title": "Yes, call me", "identifier": "call_me_yes"},
            "[chose: Yes, call me (id: call_me_yes)]",
        ),
    ],
    "whatsapp_list_reply": [
        (
            {"kind": "choice", "title": "Tuesday 10:30", "identifier": "slot_2", "description": "With Priya"},
            "[chose: Tuesday 10:30, With Priya (id: slot_2)]",
        )
    ],
    "whatsapp_reply_to_a_message": [
        ({"kind": "quotation", "to": f"SM{'ef' * 16}"}, "[in reply to an earlier message]")
    ],
    "whatsapp_forwarded": [({"kind": "forwarded", "often": True}, "[forwarded many times]")],
    "whatsapp_document": [({"kind": "forwarded"}, "[forwarded]")],
}


def person_of(name: str) -> str:
    sender = fields_of(payload(name))["From"]
    return sender.removeprefix("whatsapp:")


@dataclass(frozen=True)
class Outcome:
    """What came of one payload: the answer, the record, the message as we keep it, and the contexts on the queues."""

    response: Any
    record: dict[str, Any]
    kept: dict[str, Any]
    contexts: list[dict[str, Any]]


Outcomes = Callable[[str], Outcome]


@pytest.fixture(scope="module")
def outcome(surroundings: Stage) -> Iterator[Outcomes]:
    """Each payload comes in once, into a conversation of its person."""
    patch = pytest.MonkeyPatch()

    @cache
    def of(name: str) -> Outcome:
        surroundings.begin(patch)
        person = person_of(name)
        surroundings.open(person, channel_method="whatsapp" if name.startswith("whatsapp") else "sms")
        response = surroundings.payload(name)
        record = surroundings.record(person)
        contexts = [each for purpose in QUEUES for each in surroundings.taken(purpose)]
        [kept] = record.get("waiting") or surroundings.history()
        return Outcome(response, record, kept, contexts)

    yield of
    patch.undo()


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_shape_of_message_is_answered_with_empty_twiml(outcome: Outcomes, name: str) -> None:
    response = outcome(name).response
    root = ElementTree.fromstring(response.body)  # noqa: S314
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/xml")
    assert (root.tag, list(root)) == ("Response", [])


@pytest.mark.parametrize("name", MESSAGES)
def test_every_shape_of_message_is_recorded_once_under_its_provider_id(outcome: Outcomes, name: str) -> None:
    record = outcome(name).record
    assert record["recent_message_ids"] == [fields_of(payload(name))["MessageSid"]]
    assert record["received"] == 1


@pytest.mark.parametrize("name", MESSAGES)
def test_every_shape_of_message_reaches_a_queue_with_who_wrote_to_whom(outcome: Outcomes, name: str) -> None:
    [context] = outcome(name).contexts
    fields, message = fields_of(payload(name)), context["message"]
    own = OWN_AMERICAN if fields["To"] == OWN_AMERICAN else OWN
    assert (message["from"], message["to"]) == (person_of(name), own)
    assert message["message_id"] == fields["MessageSid"]
    assert context["meta"]["channel_type"] == ("whatsapp" if name.startswith("whatsapp") else "sms")


@pytest.mark.parametrize(("name", "text"), TEXTS.items())
def test_the_text_is_what_the_person_wrote_or_chose(outcome: Outcomes, name: str, text: str) -> None:
    assert outcome(name).kept["text"] == text
    body = outcome(name).contexts[0]["message"]["body"]
    assert body == text if text else body.startswith("[")


@pytest.mark.parametrize("name", EVERYTHING)
def test_files_are_kept_with_type_and_url(outcome: Outcomes, name: str) -> None:
    fields, kept = fields_of(payload(name)), outcome(name).kept.get("media", [])
    assert [each["content_type"] for each in kept] == MEDIA.get(name, [])
    assert [each["url"] for each in kept] == [fields[f"MediaUrl{at}"] for at in range(len(kept))]
    assert [each["kind"] for each in kept] == KINDS.get(name, [])


@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_message_is_beside_text_and_files_is_kept_and_told(outcome: Outcomes, name: str) -> None:
    expected = EXTRAS.get(name, [])
    assert outcome(name).kept.get("extras", []) == [kept for kept, _ in expected]
    assert outcome(name).contexts[0]["message"].get("extras", []) == [told for _, told in expected]


@pytest.mark.parametrize("name", MESSAGES)
def test_whoever_reads_the_queue_is_told_of_each_file_and_where_it_will_lie(outcome: Outcomes, name: str) -> None:
    told = outcome(name).contexts[0]["message"].get("media", [])
    assert [(each["kind"], each["content_type"]) for each in told] == [
        (kind, content_type) for kind, content_type in zip(KINDS.get(name, []), MEDIA.get(name, []), strict=True)
    ]
    reference = outcome(name).record["reference"]
    assert all(each["key"].startswith(f"{reference}/") for each in told)
    assert len({each["key"] for each in told}) == len(told)


def test_a_reaction_that_answers_nothing_is_noted_and_wakes_nobody(outcome: Outcomes) -> None:
    noted = outcome("whatsapp_reaction")
    assert noted.contexts == []
    assert noted.kept["text"] == "\N{THUMBS UP SIGN}"
    assert noted.kept["extras"] == [{"kind": "reaction", "emoji": "\N{THUMBS UP SIGN}", "to": f"SM{'ab' * 16}"}]
    assert "received" not in noted.record


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_parameter_is_kept_as_the_provider_sent_it(outcome: Outcomes, name: str) -> None:
    raw = outcome(name).kept["raw"]
    fields = {name: value for name, value in fields_of(payload(name)).items() if name not in ("Body", "Tag")}
    assert {name: raw.get(name) for name in fields} == fields


def test_the_body_of_a_document_is_its_file_name_and_not_a_text(outcome: Outcomes) -> None:
    kept = outcome("whatsapp_document").kept
    assert (kept["text"], kept["media"][0]["name"]) == ("", "CV Amara Okafor 2026.pdf")


def test_a_message_of_1600_characters_is_kept_whole(outcome: Outcomes) -> None:
    text = outcome("sms_1600_characters").kept["text"]
    assert text == fields_of(payload("sms_1600_characters"))["Body"]
    assert len(text) == 1600


def test_a_parameter_is_kept_also_when_its_value_is_the_text(stage: Stage) -> None:
    stage.open()
    stage.write("1", NumSegments="1", ButtonPayload="1")
    raw = stage.record()["waiting"][0]["raw"]
    assert (raw.get("NumSegments"), raw.get("ButtonPayload")) == ("1", "1")


def test_each_value_of_a_repeated_parameter_is_kept(outcome: Outcomes) -> None:
    raw = outcome("whatsapp_repeated_parameter").kept["raw"]
    assert raw["Tag"].split("\n") == ["zebra", "apple", "zebra"]


def test_a_sender_without_a_number_is_known_by_the_business_scoped_id(stage: Stage) -> None:
    stage.open(BSUID)
    stage.payload("whatsapp_bsuid_only")
    assert stage.record(BSUID)["waiting"][0]["from"] == BSUID


def test_a_number_finds_the_conversation_that_knows_only_its_business_scoped_id(stage: Stage) -> None:
    stage.open("GB.9900112233445566")
    stage.payload("whatsapp_bsuid_beside_phone")
    assert stage.record("GB.9900112233445566")["received"] == 1


def test_the_number_wins_where_both_names_have_a_conversation(stage: Stage) -> None:
    stage.open(PERSON)
    stage.open("GB.9900112233445566")
    stage.payload("whatsapp_bsuid_beside_phone")
    assert stage.record(PERSON)["received"] == 1
    assert "received" not in stage.record("GB.9900112233445566")


def test_an_answer_to_a_business_scoped_id_goes_out_to_it(stage: Stage) -> None:
    stage.open(BSUID)
    stage.payload("whatsapp_bsuid_only")
    stage.work_off()
    assert [message["to"] for message in stage.sent()] == [f"whatsapp:{BSUID}"]


def test_a_person_may_write_on_both_channels_in_one_conversation(stage: Stage) -> None:
    stage.open()
    stage.write("on WhatsApp")
    stage.write("on SMS", sms=True)
    assert [each["channel"] for each in stage.record()["waiting"]] == ["whatsapp", "sms"]
    assert stage.record()["conversation_id"] == CONVERSATION
