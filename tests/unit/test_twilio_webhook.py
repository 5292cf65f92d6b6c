"""What Twilio posts, in our words: every kind of message, and whatever it may add to it."""

from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.channels import INCOMING, incoming
from chalicelib.errors import Rejected
from chalicelib.model import (
    Channel,
    Choice,
    Delivery,
    Forwarded,
    Inbound,
    Location,
    Media,
    MediaKind,
    OptOut,
    Quotation,
    Reaction,
    Referral,
    Refusal,
)
from chalicelib.ports import Request
from tests.twins import webhooks
from tests.twins.clock import START

WHATSAPP = INCOMING[Channel.WHATSAPP]
PERSON, OWN = "whatsapp:+447700900101", "whatsapp:+447700900001"


def request(form: Any) -> Request:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return Request(urls=("https://relay.example.com/whatsapp",), headers={}, body=body)


def parsed(text: str = "hello", *, sender: str = PERSON, recipient: str = OWN, **more: str) -> Inbound:
    form = webhooks.message_form("SM1", text, sender=sender, recipient=recipient, **more)
    return WHATSAPP.parse(request(form), at=START)


class TestMessages:
    def test_a_text(self) -> None:
        message = parsed("hello", ProfileName="Ada")
        assert (message.message_id, message.text, message.received_at) == ("SM1", "hello", START)
        assert (message.sender, message.recipient) == ("+447700900101", "+447700900001")
        assert message.channel == Channel.WHATSAPP
        assert message.raw["ProfileName"] == "Ada"
        assert "Body" not in message.raw

    def test_an_sms(self) -> None:
        form = webhooks.message_form("SM1", "hi", sender="+447700900101", recipient="+447700900001", FromCountry="GB")
        message = incoming(Channel.SMS).parse(request(form), at=START)
        assert (message.channel, message.sender) == (Channel.SMS, "+447700900101")

    def test_parameters_that_nobody_knows_and_blank_ones_are_kept(self) -> None:
        message = parsed(Future="yes", Blank="")
        assert (message.raw["Future"], message.raw["Blank"]) == ("yes", "")

    def test_a_parameter_is_kept_also_when_its_value_is_the_text(self) -> None:
        assert parsed("1", NumSegments="1").raw["NumSegments"] == "1"

    def test_an_image_with_a_caption(self) -> None:
        media = {"NumMedia": "1", "MediaUrl0": "https://x/1", "MediaContentType0": "image/jpeg", "MessageType": "image"}
        message = parsed("look", **media)
        assert (message.text, message.media) == ("look", (Media("https://x/1", "image/jpeg", kind=MediaKind.PICTURE),))

    def test_an_image_without_a_caption(self) -> None:
        message = parsed("", NumMedia="1", MediaUrl0="https://x/1", MediaContentType0="image/jpeg", MessageType="image")
        assert (message.text, len(message.media)) == ("", 1)

    def test_the_body_of_a_document_is_its_name(self) -> None:
        media = {"NumMedia": "1", "MediaUrl0": "https://x/1", "MediaContentType0": "application/pdf"}
        message = parsed("cv.pdf", MessageType="document", Forwarded="true", **media)
        assert (message.text, message.media) == ("", (Media("https://x/1", "application/pdf", "cv.pdf"),))

    @pytest.mark.parametrize(
        ("kind", "content_type", "ours"),
        [
            ("audio", "audio/ogg", MediaKind.VOICE),
            ("audio", "audio/ogg; codecs=opus", MediaKind.VOICE),
            ("contacts", "text/vcard", MediaKind.CONTACT),
            ("contacts", "text/x-vcard", MediaKind.CONTACT),
            ("sticker", "image/webp", MediaKind.STICKER),
            ("image", "image/webp", MediaKind.PICTURE),
            ("video", "video/mp4", MediaKind.VIDEO),
            ("document", "text/plain", MediaKind.DOCUMENT),
            ("", "IMAGE/PNG", MediaKind.PICTURE),
            ("", "", MediaKind.DOCUMENT),
        ],
    )
    def test_what_a_file_is_to_the_person(self, kind: str, content_type: str, ours: MediaKind) -> None:
        message = parsed("", MessageType=kind, NumMedia="1", MediaUrl0="https://x/1", MediaContentType0=content_type)
        assert (message.text, message.media[0].content_type, message.media[0].kind) == ("", content_type, ours)

    def test_several_files(self) -> None:
        media = {f"MediaUrl{n}": f"https://x/{n}" for n in range(3)} | {
            f"MediaContentType{n}": "image/png" for n in range(3)
        }
        assert [each.url for each in parsed(NumMedia="3", **media).media] == [f"https://x/{n}" for n in range(3)]

    @pytest.mark.parametrize("count", ["", "-1", "x", "1.5", "9999999", "²"])
    def test_a_number_of_files_that_makes_no_sense(self, count: str) -> None:
        assert parsed(NumMedia=count).media == ()

    def test_a_location(self) -> None:
        message = parsed(
            "", MessageType="location", Latitude="51.5", Longitude="-0.1", Label="Office", Address="1 High St"
        )
        assert (message.text, message.extras) == ("", (Location("51.5", "-0.1", "Office", "1 High St"),))
        assert parsed("", Latitude="51.5", Longitude="-0.1").extras == (Location("51.5", "-0.1"),)
        assert parsed("here", Latitude="51.5", Longitude="").extras == ()

    @pytest.mark.parametrize("body", ["Yes please", ""])
    def test_a_button(self, body: str) -> None:
        message = parsed(body, MessageType="button", ButtonText="Yes please", ButtonPayload="yes")
        assert (message.text, message.extras) == ("Yes please", (Choice("Yes please", "yes"),))

    def test_a_choice_from_a_list(self) -> None:
        message = parsed("", MessageType="interactive", ListId="1", ListTitle="Monday", Description="with Priya")
        assert (message.text, message.extras) == ("Monday", (Choice("Monday", "1", "with Priya"),))

    def test_an_answer_to_an_earlier_message(self) -> None:
        message = parsed("that one", OriginalRepliedMessageSid="SM0", OriginalRepliedMessageSender=OWN)
        assert (message.text, message.extras) == ("that one", (Quotation("SM0"),))

    def test_a_button_under_a_message_replies_to_it(self) -> None:
        message = parsed("Yes", ButtonText="Yes", ButtonPayload="y", OriginalRepliedMessageSid="SM0")
        assert message.extras == (Quotation("SM0"), Choice("Yes", "y"))

    def test_a_reaction(self) -> None:
        message = parsed("👍", MessageType="reaction", OriginalRepliedMessageSid="SM0")
        assert (message.text, message.extras) == ("👍", (Reaction("👍", "SM0"),))

    def test_a_reaction_that_is_taken_back(self) -> None:
        assert parsed("", MessageType="reaction", OriginalRepliedMessageSid="SM0").extras == (Reaction("", "SM0"),)

    @pytest.mark.parametrize(
        ("fields", "often"),
        [({"Forwarded": "true"}, False), ({"FrequentlyForwarded": "true"}, True), ({"Forwarded": "false"}, None)],
    )
    def test_a_forwarded_message(self, fields: dict[str, str], often: bool | None) -> None:
        assert parsed("news", **fields).extras == (() if often is None else (Forwarded(often),))

    def test_somebody_who_comes_through_an_advertisement(self) -> None:
        told = {"ReferralHeadline": "Jobs", "ReferralBody": "Apply", "ReferralSourceUrl": "https://fb.me/1"}
        message = parsed("hi", ReferralSourceType="ad", ReferralNumMedia="0", **told)
        assert message.extras == (Referral("Jobs", "Apply", "https://fb.me/1", "ad"),)

    def test_what_a_message_is_beside_text_takes_no_more_room_than_there_is(self) -> None:
        (location,) = parsed("", Latitude="1", Longitude="2", Label="x" * 100_000).extras
        assert isinstance(location, Location)
        assert len(location.label) == 1_000

    @pytest.mark.parametrize("text", ["Grüße 👋🏽", "مرحبا", "a&b=c;d+e%20f", "line\r\nline", "\x00\ufffe", "<x>&amp;"])
    def test_every_text_comes_through(self, text: str) -> None:
        assert parsed(text).text == text

    def test_a_business_scoped_id_as_sender(self) -> None:
        message = parsed(sender="whatsapp:US.ABC123", WaId="", ExternalUserId="whatsapp:US.ABC123")
        assert (message.sender, message.addresses) == ("US.ABC123", ("US.ABC123",))

    def test_a_business_scoped_id_beside_the_number(self) -> None:
        assert parsed(ExternalUserId="whatsapp:GB.ABC").addresses == ("+447700900101", "GB.ABC")

    def test_a_messaging_service(self) -> None:
        assert parsed(MessagingServiceSid="MG1").sender_pool == "MG1"
        assert parsed().sender_pool is None

    @pytest.mark.parametrize(
        ("word", "meaning"), [("STOP", OptOut.STOP), ("start", OptOut.START), ("HELP", OptOut.HELP)]
    )
    def test_opting_out(self, word: str, meaning: OptOut) -> None:
        assert parsed("x", OptOutType=word).opt_out == meaning

    @pytest.mark.parametrize("word", ["", "MAYBE"])
    def test_no_opting_out(self, word: str) -> None:
        assert parsed("please stop", OptOutType=word).opt_out is None

    def test_what_twilio_has_recognised_counts_more_than_the_word(self) -> None:
        assert parsed("STOP", OptOutType="HELP").opt_out == OptOut.HELP

    @pytest.mark.parametrize("name", ["MessageSid", "SmsMessageSid", "SmsSid"])
    def test_its_id_has_three_names(self, name: str) -> None:
        form = {"From": PERSON, "To": OWN, "Body": "x", name: "SM9"}
        assert WHATSAPP.parse(request(form), at=START).message_id == "SM9"

    def test_a_repeated_parameter_keeps_every_value(self) -> None:
        form = [*webhooks.message_form("SM1", "x", sender=PERSON, recipient=OWN).items(), ("Tag", "a"), ("Tag", "b")]
        assert WHATSAPP.parse(request(form), at=START).raw["Tag"] == "a\nb"


class TestWhatIsNoMessage:
    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"&&&", b"&".join(b"a=1" for _ in range(2_000))])
    def test_what_is_no_form_is_refused(self, body: bytes) -> None:
        with pytest.raises(Rejected) as rejected:
            WHATSAPP.parse(request(body), at=START)
        assert rejected.value.status in (400, 403)

    @pytest.mark.parametrize("missing", ["From", "To"])
    def test_a_form_that_names_nobody_is_nobodys(self, missing: str) -> None:
        form = {"From": PERSON, "To": OWN, "MessageSid": "SM1", missing: ""}
        with pytest.raises(Rejected) as rejected:
            WHATSAPP.parse(request(form), at=START)
        assert rejected.value.status == 403

    def test_a_form_without_an_id_is_no_message(self) -> None:
        with pytest.raises(Rejected) as rejected:
            WHATSAPP.parse(request({"From": PERSON, "To": OWN}), at=START)
        assert (rejected.value.status, rejected.value.reason) == (400, "message_id_missing")

    def test_a_channel_that_is_not_there_yet_says_so(self) -> None:
        with pytest.raises(Rejected) as rejected:
            incoming(Channel.EMAIL)
        assert rejected.value.status == 501


class TestStatuses:
    @staticmethod
    def parsed(status: str, *, sender: str = OWN, recipient: str = PERSON, **more: str) -> Any:
        form = webhooks.status_form("SM5", status, sender=sender, recipient=recipient, **more)
        return WHATSAPP.parse_status(request(form))

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("accepted", Delivery.QUEUED),
            ("scheduled", Delivery.QUEUED),
            ("queued", Delivery.QUEUED),
            ("sending", Delivery.SENDING),
            ("sent", Delivery.SENT),
            ("Delivered", Delivery.DELIVERED),
            ("read", Delivery.READ),
            ("failed", Delivery.FAILED),
            ("undelivered", Delivery.UNDELIVERED),
            ("canceled", Delivery.FAILED),
            ("brand_new", Delivery.UNKNOWN),
        ],
    )
    def test_every_word_has_a_meaning(self, word: str, status: Delivery) -> None:
        assert self.parsed(word).status == status

    def test_who_speaks_with_whom(self) -> None:
        update = self.parsed("sent", MessagingServiceSid="MG1")
        assert (update.provider_id, update.own_address, update.person) == ("SM5", "+447700900001", "+447700900101")
        assert (update.channel, update.sender_pool, update.error_code) == (Channel.WHATSAPP, "MG1", None)

    def test_an_sms_is_known_by_its_addresses(self) -> None:
        assert self.parsed("sent", sender="+1", recipient="+2").channel == Channel.SMS

    def test_a_failure_has_a_code(self) -> None:
        assert self.parsed("undelivered", ErrorCode="63016").error_code == "63016"

    @pytest.mark.parametrize(
        ("code", "refusal"),
        [
            ("63016", Refusal.WINDOW_CLOSED),
            ("21610", Refusal.OPTED_OUT),
            ("30003", None),
            ("0", None),
            ("", None),
            ("x", None),
            ("²", None),
        ],
    )
    def test_some_failures_ask_for_more_than_a_human(self, code: str, refusal: Refusal | None) -> None:
        assert self.parsed("undelivered", ErrorCode=code).refusal == refusal


class TestAcknowledgement:
    def test_without_a_text_it_is_empty_twiml(self) -> None:
        assert WHATSAPP.acknowledgement(None) == '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'

    def test_a_text_is_escaped(self) -> None:
        assert "<Message>a &lt;b&gt; &amp; c</Message>" in WHATSAPP.acknowledgement("a <b> & c")
