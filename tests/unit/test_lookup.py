"""Which conversation a message belongs to."""

from typing import Any

import pytest

from chalicelib.lookup import candidates, choose
from chalicelib.model import Channel, Conversation, ConversationKey, Inbound
from tests.twins import cast
from tests.twins.clock import START

OTHER_ADDRESS = "+447700900777"


def message(**changes: Any) -> Inbound:
    known: dict[str, Any] = {
        "channel": Channel.WHATSAPP,
        "message_id": "SM1",
        "sender": cast.PERSON,
        "recipient": cast.OWN_ADDRESS,
        "text": "hello",
        "received_at": START,
    }
    return Inbound(**known | changes)


def record(name: str, **changes: Any) -> Conversation:
    return cast.conversation(key=ConversationKey(cast.PERSON, name), **changes)


def chosen(*records: Conversation, tenant: Any = None, **changes: Any) -> str | None:
    found = choose(records, message(**changes), tenant)
    return found.key.conversation_id if found else None


def unnamed(name: str, **changes: Any) -> Conversation:
    return record(name, own_addresses={}, **changes)


def test_without_records_there_is_none() -> None:
    assert chosen() is None


def test_the_newest_record_that_names_the_address_is_chosen() -> None:
    assert chosen(record("old", created_at="2026-01-01"), record("new", created_at="2026-02-01")) == "new"


def test_of_two_that_were_made_at_once_the_one_changed_last_is_chosen() -> None:
    assert chosen(record("a", updated_at="2026-02-01"), record("b", updated_at="2026-01-01")) == "a"


def test_a_record_of_another_address_is_not_chosen() -> None:
    assert chosen(record("other", own_addresses={Channel.WHATSAPP: OTHER_ADDRESS})) is None


def test_an_address_on_another_channel_does_not_count() -> None:
    sms = record("sms", own_addresses={Channel.SMS: cast.OWN_ADDRESS}, created_at="2026-12-01")
    assert chosen(sms, record("whatsapp")) == "whatsapp"


@pytest.mark.parametrize("spelling", ["whatsapp:+447700900001", "447700900001", "+44 7700 900001"])
def test_the_spelling_of_an_address_does_not_matter(spelling: str) -> None:
    assert chosen(record("it", own_addresses={Channel.WHATSAPP: spelling})) == "it"


def test_a_record_may_name_the_messaging_service_instead() -> None:
    service = record("service", own_addresses={Channel.WHATSAPP: "MG1"})
    assert chosen(service, sender_pool="MG1") == "service"
    assert chosen(service) is None


def test_the_only_candidate_need_not_name_its_address() -> None:
    assert chosen(unnamed("only")) == "only"


def test_of_two_that_name_no_address_none_is_chosen() -> None:
    assert chosen(unnamed("one"), unnamed("two")) is None


def test_one_that_names_the_address_is_better_than_a_newer_one_that_names_none() -> None:
    assert chosen(record("named", created_at="2026-01-01"), unnamed("unnamed", created_at="2026-02-01")) == "named"


@pytest.mark.parametrize("closed", [{"status": "closed"}, {"expires_at": int(START.timestamp())}])
def test_a_record_that_is_over_is_not_chosen(closed: dict[str, Any]) -> None:
    assert chosen(record("over", created_at="2026-12-01", **closed), record("open")) == "open"
    assert chosen(unnamed("over", **closed), unnamed("open")) == "open"


def test_a_record_of_another_company_that_names_no_address_is_not_chosen() -> None:
    assert chosen(unnamed("other", company_id="company-2"), tenant=cast.tenant()) is None
    assert chosen(unnamed("other", company_id="company-2"), unnamed("own"), tenant=cast.tenant()) == "own"


def test_a_record_that_names_no_company_may_be_any_companys() -> None:
    assert chosen(unnamed("any", company_id=""), tenant=cast.tenant()) == "any"


def test_a_message_that_comes_again_belongs_where_it_went_before() -> None:
    before = record("before", created_at="2026-01-01", recent_message_ids=("SM1",), received=1)
    assert chosen(record("new", created_at="2026-02-01"), before) == "before"


def test_candidates_are_all_that_the_message_can_belong_to() -> None:
    records = [record("a"), unnamed("b"), record("c", own_addresses={Channel.WHATSAPP: OTHER_ADDRESS})]
    assert [each.key.conversation_id for each in candidates(records, message(), None)] == ["a", "b"]
