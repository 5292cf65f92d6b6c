"""What the history, the fallbacks, the queues, the secrets and the tenants promise, whoever keeps them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from chalicelib.aws.idempotency import DynamoIdempotencyRecords
from chalicelib.aws.items import item_to_wire, tenant_of
from chalicelib.aws.messages import DynamoFallbacks, DynamoHistory, DynamoMeters, DynamoOptOuts
from chalicelib.aws.queues import SqsQueues
from chalicelib.aws.secrets import SecretsManager
from chalicelib.aws.tenants import DynamoTenants
from chalicelib.context import context_of
from chalicelib.model import (
    AiSettings,
    Author,
    Channel,
    Choice,
    Delivery,
    Extra,
    Forwarded,
    HistoryEntry,
    Location,
    Media,
    MediaKind,
    Numbered,
    Quotation,
    Reaction,
    Referral,
    Tenant,
    ToolResult,
    ToolSpec,
    UnknownSender,
    Usage,
    WebhookTool,
)
from chalicelib.ports import (
    Begun,
    Fallbacks,
    History,
    IdempotencyRecords,
    Meters,
    OptOuts,
    Queues,
    Secret,
    Secrets,
    Tenants,
)
from tests.contract.conftest import REAL, TABLES, endpoint_of
from tests.contract.shelves import MESSAGES, STAGE, TENANTS, bodies, sdk
from tests.twins.cast import OWN_ADDRESS, PERSON, conversation, waiting
from tests.twins.clock import START, TwinClock
from tests.twins.history import TwinFallbacks, TwinHistory, TwinMeters, TwinOptOuts
from tests.twins.idempotency import TwinIdempotencyRecords
from tests.twins.queues import TwinQueues
from tests.twins.secrets import TwinSecrets
from tests.twins.tenants import TwinTenants

_numbers = count(1)


@dataclass
class House:
    """The ports of one world, and how a test fills them from outside."""

    clock: TwinClock
    history: History
    fallbacks: Fallbacks
    opt_outs: OptOuts
    records: IdempotencyRecords
    meters: Meters
    queues: Queues
    secrets: Secrets
    tenants: Tenants
    keep_secret: Callable[..., None]
    keep_tenant: Callable[[dict[str, Any]], None]
    queued: Callable[[str], list[tuple[dict[str, Any], str | None]]]


@pytest.fixture(params=("twin", *REAL))
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> House:
    if request.param == "twin":
        return _house_of_twins()
    monkeypatch.setenv("STAGE", STAGE)
    tables = endpoint_of(request, request.param)
    return _house_at(tables, tables if request.param in REAL else endpoint_of(request, "moto"))


#: What needs nothing but tables is tried against everyone who makes them.
on_every_table = pytest.mark.parametrize("house", ["twin", *TABLES], indirect=True)


def _house_of_twins() -> House:
    clock = TwinClock()
    queues, secrets, tenants = TwinQueues(clock), TwinSecrets(clock), TwinTenants(clock)

    def queued(purpose: str) -> list[tuple[dict[str, Any], str | None]]:
        found = []
        while delivery := queues.receive(purpose):
            queues.delete(delivery)
            found.append((json.loads(delivery.body), delivery.message.reason))
        return found

    def keep_tenant(item: dict[str, Any]) -> None:
        found = tenant_of(item)
        if found is not None:
            tenants.put(found)

    return House(
        clock=clock,
        history=TwinHistory(clock),
        fallbacks=TwinFallbacks(),
        opt_outs=TwinOptOuts(),
        records=TwinIdempotencyRecords(),
        meters=TwinMeters(),
        queues=queues,
        secrets=secrets,
        tenants=tenants,
        keep_secret=secrets.put,
        keep_tenant=keep_tenant,
        queued=queued,
    )


def _house_at(tables: str | None, others: str | None) -> House:
    clock, dynamodb, sqs = TwinClock(), sdk("dynamodb", tables), sdk("sqs", others)
    secretsmanager = sdk("secretsmanager", others)

    def keep_secret(reference: str, *values: Secret) -> None:
        """Oldest first into the vault, so that the newest is the current one and the one before it the previous."""
        texts = [json.dumps(value) for value in reversed(values)]
        try:
            secretsmanager.create_secret(Name=reference, SecretString=texts[0])
        except secretsmanager.exceptions.ResourceExistsException:
            secretsmanager.put_secret_value(SecretId=reference, SecretString=texts[0])
        for text in texts[1:]:
            secretsmanager.put_secret_value(SecretId=reference, SecretString=text)

    def queued(purpose: str) -> list[tuple[dict[str, Any], str | None]]:
        found = bodies(sqs, purpose)
        return [(body, attributes.get("reason", {}).get("StringValue")) for body, attributes in found]

    return House(
        clock=clock,
        history=DynamoHistory(dynamodb, MESSAGES),
        fallbacks=DynamoFallbacks(dynamodb, MESSAGES),
        opt_outs=DynamoOptOuts(dynamodb, MESSAGES),
        records=DynamoIdempotencyRecords(dynamodb, MESSAGES),
        meters=DynamoMeters(dynamodb, MESSAGES),
        queues=SqsQueues(sqs),
        secrets=SecretsManager(secretsmanager, clock=clock),
        tenants=DynamoTenants(dynamodb, TENANTS, clock=clock),
        keep_secret=keep_secret,
        keep_tenant=lambda item: dynamodb.put_item(TableName=TENANTS, Item=item_to_wire(item)),
        queued=queued,
    )


def entry(conversation_id: str, number: int = 1, **changes: Any) -> HistoryEntry:
    known: dict[str, Any] = {
        "conversation_id": conversation_id,
        "position": Numbered.inbound(number),
        "author": Author.USER,
        "text": f"message {number}",
        "at": START,
        "channel": Channel.WHATSAPP,
        "number": number,
        "sender": PERSON,
        "recipient": OWN_ADDRESS,
    }
    return HistoryEntry(**known | changes)


def answer(conversation_id: str, to: int = 1, part: int = 0, **changes: Any) -> HistoryEntry:
    return entry(
        conversation_id,
        to,
        position=Numbered.answer(to, part),
        author=Author.AI,
        text=f"answer {to}.{part}",
        **changes,
    )


@pytest.fixture
def cid() -> str:
    """A conversation that no other test knows."""
    return f"company#project#{next(_numbers)}"


@on_every_table
class TestHistory:
    def test_an_entry_is_read_as_it_was_written(self, house: House, cid: str) -> None:
        written = entry(
            cid,
            text="Grüß Gott 👋",
            media=(Media("https://x/1", "image/png"), Media("https://x/2", "application/pdf", "cv.pdf")),
            provider_id=f"SM-{cid}",
        )
        house.history.write([written])
        assert list(house.history.latest(cid, limit=10)) == [written]

    def test_writing_twice_is_harmless(self, house: House, cid: str) -> None:
        house.history.write([entry(cid)])
        house.history.write([entry(cid)])
        assert len(house.history.latest(cid, limit=10)) == 1

    def test_writing_nothing_is_harmless(self, house: House, cid: str) -> None:
        house.history.write([])
        assert list(house.history.latest(cid, limit=10)) == []

    def test_more_entries_than_one_request_takes_are_written(self, house: House, cid: str) -> None:
        house.history.write([entry(cid, number) for number in range(1, 61)])
        assert [each.number for each in house.history.latest(cid, limit=100)] == list(range(1, 61))

    def test_the_newest_are_read_in_the_order_of_the_conversation(self, house: House, cid: str) -> None:
        house.history.write([answer(cid, 2, 1), entry(cid, 10), entry(cid, 2), answer(cid, 2, 0), entry(cid, 1)])
        human = Numbered.human(2, START, "h1")
        house.history.write([entry(cid, 2, position=human, author=Author.HUMAN, text="a human")])
        texts = [each.text for each in house.history.latest(cid, limit=10)]
        assert texts == ["message 1", "message 2", "answer 2.0", "answer 2.1", "a human", "message 10"]
        assert [each.text for each in house.history.latest(cid, limit=2)] == ["a human", "message 10"]

    def test_conversations_do_not_mix(self, house: House, cid: str) -> None:
        house.history.write([entry(cid), entry(f"{cid}0")])
        assert [each.conversation_id for each in house.history.latest(cid, limit=10)] == [cid]

    def test_an_entry_that_was_begun_is_left_alone(self, house: House, cid: str) -> None:
        house.history.begin(answer(cid, usage=Usage(model="m"), covers=(0, 1)))
        marked = house.history.mark(
            cid, Numbered.answer(1, 0), status=Delivery.SENT, provider_id="SM1", error_code=None, at=START
        )
        assert marked.advanced
        house.history.begin(answer(cid))
        found = house.history.latest(cid, limit=10)[0]
        assert (found.status, found.provider_id) == (Delivery.SENT, "SM1")

    def test_whether_a_provider_id_is_known_is_known(self, house: House, cid: str) -> None:
        house.history.write([entry(cid, provider_id=f"SM-{cid}")])
        assert house.history.holds(f"SM-{cid}")
        assert not house.history.holds(f"SM-{cid}-other")

    def test_a_provider_id_that_gave_way_to_another_is_forgotten(self, house: House, cid: str) -> None:
        house.history.begin(answer(cid))
        mark(house, cid, Delivery.SENT, provider_id=f"SM-1-{cid}")
        mark(house, cid, Delivery.DELIVERED, provider_id=f"SM-2-{cid}")
        assert [house.history.holds(f"SM-{number}-{cid}") for number in (1, 2)] == [False, True]

    def test_times_are_kept_to_the_millisecond(self, house: House, cid: str) -> None:
        at = START + timedelta(microseconds=234_987)
        house.history.begin(entry(cid, at=at))
        house.history.write([entry(cid, 2, at=at)])
        kept = START + timedelta(milliseconds=234)
        assert [each.at for each in house.history.latest(cid, limit=2)] == [kept, kept]

    def test_a_provider_id_that_a_status_brought_is_known(self, house: House, cid: str) -> None:
        house.history.begin(answer(cid))
        mark(house, cid, Delivery.SENT, provider_id=f"SM-out-{cid}")
        assert house.history.holds(f"SM-out-{cid}")

    def test_what_is_known_of_files_is_attached_to_an_entry(self, house: House, cid: str) -> None:
        media = (Media("https://x/1", "audio/ogg", "a", MediaKind.VOICE, "ref/1", "Hello"),)
        house.history.write([entry(cid, 1, media=(Media("https://x/1", "audio/ogg"),)), entry(cid, 2)])
        house.history.attach(cid, Numbered.inbound(1), media)
        first, second = house.history.latest(cid, limit=10)
        assert (first.media, second.media) == (media, ())
        assert replace(first, media=()) == entry(cid, 1)

    def test_files_are_attached_to_nothing_where_there_is_no_entry(self, house: House, cid: str) -> None:
        house.history.attach(cid, Numbered.inbound(1), (Media("https://x/1", "audio/ogg"),))
        assert house.history.latest(cid, limit=10) == []

    @pytest.mark.parametrize(
        "extra",
        [
            Location("51.5", "-0.1", "Office", "1 High St"),
            Choice("Yes", "y", "now"),
            Choice(),
            Reaction("", "SM1"),
            Quotation("SM1"),
            Forwarded(),
            Forwarded(often=True),
            Referral("Jobs", "Apply", "https://x", "ad"),
        ],
        ids=str,
    )
    def test_whatever_a_message_is_is_read_as_it_was_written(self, house: House, cid: str, extra: Extra) -> None:
        house.history.write([entry(cid, 1, extras=(extra, Forwarded()))])
        assert house.history.latest(cid, limit=1)[0].extras == (extra, Forwarded())


def mark(house: House, cid: str, status: Delivery, *, provider_id: str | None = "SM1", code: str | None = None) -> Any:
    return house.history.mark(
        cid, Numbered.answer(1, 0), status=status, provider_id=provider_id, error_code=code, at=START
    )


def status_of(house: House, cid: str) -> Delivery | None:
    return house.history.latest(cid, limit=10)[-1].status


@on_every_table
class TestDeliveryStatus:
    @pytest.fixture(autouse=True)
    def _an_answer(self, house: House, cid: str) -> None:
        house.history.begin(answer(cid))

    def test_a_status_moves_forward(self, house: House, cid: str) -> None:
        for status in (Delivery.QUEUED, Delivery.SENDING, Delivery.SENT, Delivery.DELIVERED, Delivery.READ):
            assert mark(house, cid, status).advanced
            assert status_of(house, cid) == status

    def test_a_status_never_goes_back(self, house: House, cid: str) -> None:
        mark(house, cid, Delivery.READ)
        for status in (Delivery.DELIVERED, Delivery.SENT, Delivery.QUEUED, Delivery.READ):
            assert not mark(house, cid, status).advanced
        assert status_of(house, cid) == Delivery.READ

    @pytest.mark.parametrize("failure", [Delivery.FAILED, Delivery.UNDELIVERED])
    def test_a_failure_ends_what_was_only_sent(self, house: House, cid: str, failure: Delivery) -> None:
        mark(house, cid, Delivery.SENT)
        assert mark(house, cid, failure, code="63016").advanced
        found = house.history.latest(cid, limit=10)[-1]
        assert (found.status, found.error_code) == (failure, "63016")

    @pytest.mark.parametrize("arrived", [Delivery.DELIVERED, Delivery.READ])
    def test_a_failure_does_not_take_back_that_it_arrived(self, house: House, cid: str, arrived: Delivery) -> None:
        mark(house, cid, arrived)
        assert not mark(house, cid, Delivery.FAILED, code="30008").advanced
        assert status_of(house, cid) == arrived

    def test_after_a_failure_nothing_follows(self, house: House, cid: str) -> None:
        mark(house, cid, Delivery.FAILED, code="30008")
        assert not mark(house, cid, Delivery.SENT).advanced
        assert status_of(house, cid) == Delivery.FAILED

    def test_what_the_provider_says_beats_a_failure_that_only_we_know_of(self, house: House, cid: str) -> None:
        mark(house, cid, Delivery.FAILED, provider_id=None, code="attempts")
        assert mark(house, cid, Delivery.SENT).advanced
        found = house.history.latest(cid, limit=10)[-1]
        assert (found.status, found.provider_id, found.error_code) == (Delivery.SENT, "SM1", None)

    def test_the_first_status_with_an_id_says_that_there_was_none(self, house: House, cid: str) -> None:
        assert not mark(house, cid, Delivery.QUEUED).had_provider_id
        assert mark(house, cid, Delivery.SENT).had_provider_id
        assert mark(house, cid, Delivery.QUEUED).had_provider_id

    def test_a_status_of_a_message_that_is_not_there_makes_none(self, house: House, cid: str) -> None:
        marked = house.history.mark(
            cid, Numbered.answer(7, 0), status=Delivery.SENT, provider_id="SM7", error_code=None, at=START
        )
        assert (marked.advanced, marked.known) == (False, False)
        assert len(house.history.latest(cid, limit=10)) == 1

    def test_a_message_that_is_there_is_known_whether_its_status_advances_or_not(self, house: House, cid: str) -> None:
        assert mark(house, cid, Delivery.SENT).known
        assert mark(house, cid, Delivery.SENT).known

    def test_a_failure_without_id_keeps_the_text(self, house: House, cid: str) -> None:
        mark(house, cid, Delivery.FAILED, provider_id=None, code="attempts")
        assert house.history.latest(cid, limit=10)[-1].text == "answer 1.0"


@on_every_table
class TestMeters:
    UNTIL = START + timedelta(days=40)

    def test_what_is_added_adds_up(self, house: House, cid: str) -> None:
        assert [house.meters.add(cid, each, at_most=None, until=self.UNTIL) for each in (5, 0, 7)] == [5, 5, 12]

    def test_nothing_is_added_once_the_limit_is_reached(self, house: House, cid: str) -> None:
        counted = [house.meters.add(cid, 2, at_most=3, until=self.UNTIL) for _ in range(3)]
        assert counted == [2, 4, None]
        assert house.meters.add(cid, 0, at_most=None, until=self.UNTIL) == 4

    def test_asking_with_nothing_to_add_tells_whether_the_limit_is_reached(self, house: House, cid: str) -> None:
        assert house.meters.add(cid, 0, at_most=1, until=self.UNTIL) == 0
        house.meters.add(cid, 1, at_most=None, until=self.UNTIL)
        assert house.meters.add(cid, 0, at_most=1, until=self.UNTIL) is None

    def test_a_limit_of_nothing_is_reached_from_the_beginning(self, house: House, cid: str) -> None:
        assert house.meters.add(cid, 1, at_most=0, until=self.UNTIL) is None

    def test_counters_are_apart(self, house: House, cid: str) -> None:
        house.meters.add(cid, 5, at_most=None, until=self.UNTIL)
        assert house.meters.add(f"{cid}#2", 1, at_most=5, until=self.UNTIL) == 1


@on_every_table
class TestOptOuts:
    def test_who_has_said_nothing_wants_messages(self, house: House, cid: str) -> None:
        assert not house.opt_outs.holds("company-1", cid)

    def test_who_opts_out_is_remembered_by_every_address_in_any_spelling(self, house: House, cid: str) -> None:
        house.opt_outs.note("company-1", [f"+{cid}", f"US.{cid}"], out=True, at=START)
        for spelling in (f"+{cid}", cid, f"whatsapp:+{cid}", f"US.{cid}"):
            assert house.opt_outs.holds("company-1", spelling)

    def test_another_company_may_still_write(self, house: House, cid: str) -> None:
        house.opt_outs.note("company-1", [cid], out=True, at=START)
        assert not house.opt_outs.holds("company-2", cid)

    def test_opting_in_lifts_it(self, house: House, cid: str) -> None:
        for out in (True, True, False, False):
            house.opt_outs.note("company-1", [cid], out=out, at=START)
            assert house.opt_outs.holds("company-1", cid) == out


@on_every_table
class TestFallbacks:
    DAY = timedelta(hours=24)

    def test_one_counts_in_its_window(self, house: House, cid: str) -> None:
        assert house.fallbacks.may_send("whatsapp:+1", cid, at=START, window=self.DAY)
        assert not house.fallbacks.may_send("whatsapp:+1", cid, at=START, window=self.DAY)
        just_before = START + self.DAY - timedelta(seconds=1)
        assert not house.fallbacks.may_send("whatsapp:+1", cid, at=just_before, window=self.DAY)

    def test_when_its_window_is_over_the_next_one_counts(self, house: House, cid: str) -> None:
        assert house.fallbacks.may_send("whatsapp:+1", cid, at=START, window=self.DAY)
        assert house.fallbacks.may_send("whatsapp:+1", cid, at=START + self.DAY, window=self.DAY)
        assert not house.fallbacks.may_send("whatsapp:+1", cid, at=START + self.DAY, window=self.DAY)

    def test_persons_and_addresses_have_windows_of_their_own(self, house: House, cid: str) -> None:
        assert house.fallbacks.may_send("whatsapp:+1", cid, at=START, window=self.DAY)
        assert house.fallbacks.may_send("whatsapp:+2", cid, at=START, window=self.DAY)
        assert house.fallbacks.may_send("sms:+1", cid, at=START, window=self.DAY)
        assert house.fallbacks.may_send("whatsapp:+1", f"{cid}9", at=START, window=self.DAY)


@on_every_table
class TestIdempotencyRecords:
    ONE = ToolResult(output='{"booked": 9}')
    WHOLE = ToolResult(output="{}", hand_off_reason="r", outcome="o", media_urls=("https://a/", "https://b/"))

    def test_a_deed_begins_once(self, house: House, cid: str) -> None:
        assert house.records.begin(cid, at=START) == Begun(again=False, result=None)
        assert house.records.begin(cid, at=START) == Begun(again=True, result=None)
        assert house.records.begin(f"{cid}9", at=START) == Begun(again=False, result=None)

    @pytest.mark.parametrize("result", [ONE, WHOLE], ids=["output", "everything"])
    def test_whoever_comes_later_is_told_what_came_of_it(self, house: House, cid: str, result: ToolResult) -> None:
        house.records.begin(cid, at=START)
        assert house.records.complete(cid, result) == result
        assert house.records.begin(cid, at=START) == Begun(again=True, result=result)

    def test_of_two_results_the_first_is_kept_and_both_are_told_it(self, house: House, cid: str) -> None:
        house.records.begin(cid, at=START)
        house.records.complete(cid, self.ONE)
        assert house.records.complete(cid, self.WHOLE) == self.ONE
        assert house.records.begin(cid, at=START).result == self.ONE


class TestQueues:
    @pytest.fixture(autouse=True)
    def _empty(self, house: House) -> None:
        for purpose in ("whatsapp-replies", "sms-replies", "sender", "handoff"):
            house.queued(purpose)

    @staticmethod
    def context(channel: Channel = Channel.WHATSAPP, text: str = "hello") -> Any:
        return context_of(conversation(), waiting(1, text, channel=channel), tenant=None, request_id="r", at=START)

    @pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.SMS])
    def test_a_turn_is_woken_on_the_queue_of_its_channel(self, house: House, channel: Channel) -> None:
        context = self.context(channel)
        house.queues.wake_turn(context, delay=timedelta(0))
        assert house.queued(f"{channel}-replies") == [(json.loads(context.to_json()), None)]

    def test_a_delayed_turn_is_not_there_yet(self, house: House) -> None:
        house.queues.wake_turn(self.context(), delay=timedelta(seconds=300))
        assert house.queued("whatsapp-replies") == []

    @pytest.mark.parametrize("delay", [timedelta(hours=2), timedelta(seconds=0.2), timedelta(minutes=15)])
    def test_a_delay_that_the_queue_cannot_keep_does_no_harm(self, house: House, delay: timedelta) -> None:
        house.queues.wake_turn(self.context(), delay=delay)

    def test_a_sender_is_woken_at_once(self, house: House) -> None:
        house.queues.wake_sender(self.context())
        assert [body["message"]["body"] for body, _ in house.queued("sender")] == ["hello"]

    def test_a_collector_is_woken_at_once(self, house: House) -> None:
        house.queues.wake_collector(self.context())
        assert [body["message"]["body"] for body, _ in house.queued("media")] == ["hello"]

    def test_a_human_is_told_the_reason(self, house: House) -> None:
        house.queues.hand_to_human(self.context(), reason="asked_by_ai")
        assert [(body["message"]["body"], reason) for body, reason in house.queued("handoff")] == [
            ("hello", "asked_by_ai")
        ]

    @pytest.mark.parametrize("reason", ["", "x" * 5_000, "žluťoučký 👋 " * 60])
    def test_no_reason_is_too_short_or_too_long(self, house: House, reason: str) -> None:
        house.queues.hand_to_human(self.context(), reason=reason)
        (_, told), *others = house.queued("handoff")
        assert told
        assert not others

    @pytest.mark.parametrize("text", ["\x00\x08\x1f", "\ufffe\uffff", "👩\u200d👩\u200d👧 مرحبا 中文", "x" * 100_000])
    def test_every_text_that_a_person_can_write_gets_through(self, house: House, text: str) -> None:
        house.queues.hand_to_human(self.context(text=text), reason="r")
        assert [body["message"]["body"] for body, _ in house.queued("handoff")] == [text]


class TestSecrets:
    @pytest.fixture
    def name(self) -> str:
        return f"credentials/{next(_numbers)}"

    def test_an_unknown_secret_has_no_values(self, house: House, name: str) -> None:
        assert list(house.secrets.current(name)) == []

    def test_a_secret_is_read(self, house: House, name: str) -> None:
        house.keep_secret(name, {"auth_token": "one"})
        assert list(house.secrets.current(name)) == [{"auth_token": "one"}]

    def test_after_a_rotation_both_values_are_valid_newest_first(self, house: House, name: str) -> None:
        house.keep_secret(name, {"auth_token": "new"}, {"auth_token": "old"})
        assert list(house.secrets.current(name)) == [{"auth_token": "new"}, {"auth_token": "old"}]

    def test_a_value_is_kept_for_five_minutes(self, house: House, name: str) -> None:
        house.keep_secret(name, {"auth_token": "one"})
        house.secrets.current(name)
        house.keep_secret(name, {"auth_token": "two"})
        house.clock.advance(seconds=299)
        assert house.secrets.current(name)[0] == {"auth_token": "one"}
        house.clock.advance(seconds=1)
        assert house.secrets.current(name)[0] == {"auth_token": "two"}

    def test_that_there_is_no_secret_is_remembered_too(self, house: House, name: str) -> None:
        house.secrets.current(name)
        house.keep_secret(name, {"auth_token": "one"})
        assert list(house.secrets.current(name)) == []

    def test_it_is_read_anew_at_most_once_a_minute(self, house: House, name: str) -> None:
        house.keep_secret(name, {"auth_token": "one"})
        house.secrets.current(name)
        house.keep_secret(name, {"auth_token": "two"})
        assert house.secrets.refreshed(name) is None
        house.clock.advance(seconds=60)
        renewed = house.secrets.refreshed(name)
        assert renewed is not None
        assert renewed[0] == {"auth_token": "two"}
        assert house.secrets.refreshed(name) is None
        assert house.secrets.current(name)[0] == {"auth_token": "two"}

    def test_one_that_was_never_read_is_read_anew(self, house: House, name: str) -> None:
        house.keep_secret(name, {"auth_token": "one"})
        assert house.secrets.refreshed(name) == ({"auth_token": "one"},)


@on_every_table
class TestTenants:
    @pytest.fixture
    def own(self) -> str:
        return f"+4477001{next(_numbers):05d}"

    def test_an_unknown_address_has_no_tenant(self, house: House, own: str) -> None:
        assert house.tenants.at(Channel.WHATSAPP, own) is None

    def test_a_tenant_is_read_in_the_words_of_the_model(self, house: House, own: str) -> None:
        house.keep_tenant(
            {
                "address": f"whatsapp:{own}",
                "company_id": "company-1",
                "company_name": "Cucumber",
                "project_id": "project-1",
                "project_name": "CV",
                "credentials_reference": "cred/1",
                "ai_config": {
                    "engine": "responses",
                    "api_key_reference": "key/1",
                    "max_output_tokens": 300,
                    "tools": ["a"],
                },
                "burst_idle_seconds": 5,
                "burst_max_seconds": 60,
                "fallback_text": "Gone.",
                "fallback_window_seconds": 3600,
                "unknown_senders": "open_conversation",
                "messaging_service_sid": "MG1",
                "sms_max_segments": 3,
            }
        )
        expected = Tenant(
            channel=Channel.WHATSAPP,
            address=own,
            company_id="company-1",
            company_name="Cucumber",
            project_id="project-1",
            project_name="CV",
            credentials_reference="cred/1",
            ai=AiSettings(engine="responses", api_key_reference="key/1", max_output_tokens=300, tools=("a",)),
            burst_idle=timedelta(seconds=5),
            burst_max=timedelta(seconds=60),
            fallback_text="Gone.",
            fallback_window=timedelta(hours=1),
            unknown_senders=UnknownSender.OPEN_CONVERSATION,
            messaging_service="MG1",
            sms_max_segments=3,
        )
        assert house.tenants.at(Channel.WHATSAPP, own) == expected
        assert house.tenants.at(Channel.SMS, own) is None

    def test_a_tenants_own_tools_are_read_with_numbers_as_json_has_them(self, house: House, own: str) -> None:
        schema = {"type": "object", "properties": {"hour": {"type": "integer", "maximum": Decimal(23)}}}
        halves = {"type": "number", "multipleOf": Decimal("0.5")}
        tools = [
            {
                "name": "book",
                "description": "Books.",
                "url": "https://a/",
                "secret_reference": "s",
                "parameters": schema,
            },
            {"name": "bare", "parameters": {"items": [halves]}},
            "no tool",
        ]
        house.keep_tenant({"address": f"whatsapp:{own}", "ai_config": {"webhook_tools": tools}})
        found = house.tenants.at(Channel.WHATSAPP, own)
        assert found is not None
        spec = ToolSpec(
            "book", "Books.", {"type": "object", "properties": {"hour": {"type": "integer", "maximum": 23}}}
        )
        half = {"type": "number", "multipleOf": 0.5}
        bare = WebhookTool(ToolSpec("bare", "", {"items": [half]}), "", "")
        assert found.ai.webhook_tools == (WebhookTool(spec, "https://a/", "s"), bare)
        assert json.dumps([each.spec.parameters for each in found.ai.webhook_tools])

    @pytest.mark.parametrize("wish", [0, -1, "many", None, True])
    def test_a_limit_that_limits_nothing_is_none(self, house: House, own: str, wish: object) -> None:
        house.keep_tenant({"address": f"sms:{own}", "sms_max_segments": wish})
        assert house.tenants.at(Channel.SMS, own) == Tenant(channel=Channel.SMS, address=own)

    def test_a_bare_tenant_is_one_too(self, house: House, own: str) -> None:
        house.keep_tenant({"address": f"sms:{own}"})
        assert house.tenants.at(Channel.SMS, own) == Tenant(channel=Channel.SMS, address=own)

    def test_a_tenant_is_kept_for_five_minutes(self, house: House, own: str) -> None:
        house.keep_tenant({"address": f"sms:{own}", "company_name": "Old"})
        before = house.tenants.at(Channel.SMS, own)
        assert before is not None
        house.keep_tenant({"address": f"sms:{own}", "company_name": "New"})
        assert house.tenants.at(Channel.SMS, own) == before
        house.clock.advance(seconds=300)
        assert house.tenants.at(Channel.SMS, own) == replace(before, company_name="New")

    def test_every_address_is_listed_whatever_else_is_in_the_table(self, house: House, own: str) -> None:
        for address in (f"sms:{own}", f"whatsapp:{own}", f"pigeon:{own}", f"sms{own}"):
            house.keep_tenant({"address": address})
        listed = {(each.channel, each.address) for each in house.tenants.addresses()}
        assert {(Channel.SMS, own), (Channel.WHATSAPP, own)} <= listed
        assert not {address for _, address in listed if "pigeon" in address}
