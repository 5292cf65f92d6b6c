"""Nothing is taken in that Twilio did not sign with a token of the tenant or of the conversation."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.aws.clients import Clients
from chalicelib.aws.secrets import SecretsManager
from chalicelib.channels import INCOMING
from chalicelib.errors import Rejected
from chalicelib.model import Channel, Inbound
from chalicelib.ports import Request
from chalicelib.wiring import relay
from tests import signing
from tests.edge.stage import (
    OTHER_OWN,
    OTHER_TOKEN,
    OTHER_TWILIO_SECRET,
    OWN,
    PERSON,
    TOKEN,
    TWILIO_SECRET,
    Stage,
    form_of,
    names_of_payloads,
    payload,
)

_, BODY = form_of("May I come on Tuesday?", sid="SM" + "a1" * 16)
SECRET_READS = ["secretsmanager:GetSecretValue"] * 3  # one for each stage of a rotation


def refused(response: Any) -> bool:
    return bool(response.status_code == 403)


@pytest.fixture
def conversation(stage: Stage) -> Stage:
    stage.open()
    return stage


# --- what is wrong with a signature


@pytest.mark.parametrize("name", signing.SPOILED)
def test_a_spoiled_signature_is_refused_and_writes_nothing(conversation: Stage, name: str) -> None:
    before = conversation.all_that_is_written()
    assert refused(conversation.post("/whatsapp", BODY, spoil=signing.SPOILED[name]))
    assert conversation.all_that_is_written() == before


@pytest.mark.parametrize("token", ["", "another token", OTHER_TOKEN], ids=["empty", "made up", "of another tenant"])
def test_a_signature_by_another_token_is_refused(conversation: Stage, token: str) -> None:
    assert refused(conversation.post("/whatsapp", BODY, token=token))


def test_a_signature_of_another_body_is_refused(conversation: Stage) -> None:
    made = signing.signature(f"{conversation.base_url}/whatsapp", BODY, TOKEN)
    _, other = form_of("Something else")
    assert refused(
        conversation.request("POST", "/whatsapp", other, {"Content-Type": signing.FORM, signing.HEADER: made})
    )


@pytest.mark.parametrize(
    "address",
    ["https://elsewhere.example.com/whatsapp", "{base}/sms", "{base}/whatsapp/", "{base}/whatsapp?x=1", "{base}"],
)
def test_a_signature_for_another_url_is_refused(conversation: Stage, address: str) -> None:
    assert refused(conversation.post("/whatsapp", BODY, url=address.format(base=conversation.base_url)))


def test_the_body_that_was_signed_is_accepted(conversation: Stage) -> None:
    assert conversation.post("/whatsapp", BODY).status_code == 200


def test_a_captured_message_does_not_become_another_by_moving_where_its_parameters_end(conversation: Stage) -> None:
    """Twilio signs names and values joined without a mark between them, so these two forms have one signature."""
    first = f"MessageSid=SM{'0' * 32}&NumMedia=0&Body=hello&From=whatsapp%3A{PERSON}&To=whatsapp%3A{OWN}"
    captured = first.replace("+", "%2B").encode()
    moved = captured.replace(b"&NumMedia=0", b"NumMedia0")
    assert signing.signature("https://x", captured, TOKEN) == signing.signature("https://x", moved, TOKEN)
    assert conversation.post("/whatsapp", captured).status_code == 200
    assert conversation.post("/whatsapp", moved).status_code == 400
    assert conversation.record()["received"] == 1


# --- every change of what was signed

CAPTURED = payload("sms_text_with_places")
CAPTURED_AT = "https://relay.example.com/sms"
SIGNED = signing.signature(CAPTURED_AT, CAPTURED, TOKEN)


def _changes(whole: bytes) -> Iterator[bytes]:
    """Every byte in turn with each of its bits turned over, gone, and doubled."""
    for at, byte in enumerate(whole):
        yield from (whole[:at] + bytes([byte ^ 1 << bit]) + whole[at + 1 :] for bit in range(8))
        yield whole[:at] + whole[at + 1 :]
        yield whole[: at + 1] + whole[at:]


def _verifies(*, body: bytes = CAPTURED, url: str = CAPTURED_AT, signature: str = SIGNED) -> bool:
    request = Request(urls=(url,), headers={"x-twilio-signature": signature}, body=body)
    try:
        return INCOMING[Channel.SMS].verify(request, [{"twilio_auth_token": TOKEN}])
    except Rejected:
        return False


def _parsed(body: bytes) -> Inbound | None:
    try:
        return INCOMING[Channel.SMS].parse(Request(urls=(), headers={}, body=body), at=datetime.now(UTC))
    except Rejected:
        return None


def test_what_was_captured_verifies() -> None:
    assert _verifies()


def test_no_other_signature_verifies_whichever_byte_is_changed() -> None:
    changed = (each.decode("latin-1") for each in _changes(SIGNED.encode()))
    assert [each for each in changed if each != SIGNED and _verifies(signature=each)] == []


def test_no_other_url_verifies_whichever_byte_is_changed() -> None:
    """But for `https` in capitals, which names the same place. Source: RFC 3986, 3.1."""
    changed = (each.decode("latin-1") for each in _changes(CAPTURED_AT.encode()))
    accepted = [each for each in changed if _verifies(url=each)]
    assert {each[:5].lower() + each[5:] for each in accepted} == {CAPTURED_AT}


def test_parameters_of_which_a_byte_is_changed_verify_only_where_they_name_the_same_message() -> None:
    """A border between name and value that is gone leaves what Twilio signs as it was: then it is a duplicate."""
    meant = _parsed(CAPTURED)
    assert meant is not None
    accepted = [found for each in _changes(CAPTURED) if _verifies(body=each) and (found := _parsed(each))]
    assert {(each.message_id, each.sender, each.recipient) for each in accepted} == {
        (meant.message_id, meant.sender, meant.recipient)
    }
    assert {each.text for each in accepted} == {meant.text, ""}


def test_at_the_door_every_changed_byte_of_signature_and_parameters_is_refused(stage: Stage) -> None:
    made = signing.signature(f"{stage.base_url}/sms", CAPTURED, TOKEN)
    headers = {"Content-Type": signing.FORM}
    before = stage.all_that_is_written()
    accepted = []
    for at in range(len(made)):
        spoiled = made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1 :]
        if not refused(stage.request("POST", "/sms", CAPTURED, headers | {signing.HEADER: spoiled})):
            accepted.append(spoiled)
    for at, byte in enumerate(CAPTURED):
        changed = CAPTURED[:at] + bytes([byte ^ 1]) + CAPTURED[at + 1 :]
        response = stage.request("POST", "/sms", changed, headers | {signing.HEADER: made})
        if response.status_code not in (400, 403):
            accepted.append(changed)
    assert accepted == []
    assert stage.all_that_is_written() == before


# --- how it may come in


@pytest.mark.parametrize("name", ["X-Twilio-Signature", "x-twilio-signature", "X-TWILIO-SIGNATURE"])
def test_the_name_of_the_header_may_be_in_any_case(conversation: Stage, name: str) -> None:
    url = f"{conversation.base_url}/whatsapp"
    headers = signing.headers(url, BODY, TOKEN, header=name)
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 200


@pytest.mark.parametrize("content_type", [signing.FORM, signing.FORM.lower(), "application/x-www-form-urlencoded"])
def test_the_content_type_may_name_its_character_set_or_not(conversation: Stage, content_type: str) -> None:
    response = conversation.post("/whatsapp", BODY, headers={"Content-Type": content_type})
    assert response.status_code == 200


def test_a_body_in_base64_is_decoded_before_it_is_verified(conversation: Stage) -> None:
    headers = signing.headers(f"{conversation.base_url}/whatsapp", BODY, TOKEN)
    assert conversation.through_gateway("/whatsapp", BODY, headers, encoded=True)["statusCode"] == 200


def test_a_changed_payload_of_any_shape_is_refused(stage: Stage) -> None:
    accepted = []
    for name in names_of_payloads(["whatsapp", "sms", "mms"]):
        path = "/whatsapp" if name.startswith("whatsapp") else "/sms"
        made = signing.signature(f"{stage.base_url}{path}", payload(name), TOKEN)
        headers = {"Content-Type": signing.FORM, signing.HEADER: made}
        if not refused(stage.request("POST", path, payload(name) + b"&Added=1", headers)):
            accepted.append(name)
    assert accepted == []


@pytest.mark.parametrize(("algorithm", "status"), [("sha256", 200), ("sha1", 403)])
def test_a_setting_of_sha256_asks_for_that_and_nothing_weaker(conversation: Stage, algorithm: str, status: int) -> None:
    setting = {signing.SETTINGS_HEADER: "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
    headers = signing.headers(f"{conversation.base_url}/whatsapp", BODY, TOKEN, algorithm=algorithm) | setting
    assert conversation.request("POST", "/whatsapp", BODY, headers).status_code == status


def test_a_setting_that_nobody_knows_is_refused(conversation: Stage) -> None:
    setting = {signing.SETTINGS_HEADER: "algorithm=NONE"}
    assert refused(conversation.post("/whatsapp", BODY, headers=setting))


# --- which URL Twilio signed

GATEWAY = "https://abc123.execute-api.eu-west-2.amazonaws.com/api/whatsapp"


def test_the_configured_address_is_accepted_behind_a_gateway(conversation: Stage) -> None:
    headers = signing.headers(f"{conversation.base_url}/whatsapp", BODY, TOKEN)
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 200


def test_the_gateways_own_address_with_its_stage_is_accepted_too(conversation: Stage) -> None:
    headers = signing.headers(GATEWAY, BODY, TOKEN)
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 200


def test_the_gateways_address_without_its_stage_is_refused(conversation: Stage) -> None:
    headers = signing.headers(GATEWAY.replace("/api/", "/"), BODY, TOKEN)
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 403


def test_a_custom_domain_has_no_stage_in_its_path(conversation: Stage) -> None:
    headers = signing.headers("https://hooks.example.com/whatsapp", BODY, TOKEN)
    answer = conversation.through_gateway("/whatsapp", BODY, headers, gateway_stage="", domain="hooks.example.com")
    assert answer["statusCode"] == 200


@pytest.mark.parametrize("port", [":443", ""])
def test_the_default_port_may_be_signed_or_not(conversation: Stage, port: str) -> None:
    headers = signing.headers(GATEWAY.replace(".com/", f".com{port}/"), BODY, TOKEN)
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 200


def test_a_query_that_was_signed_is_part_of_the_address(conversation: Stage) -> None:
    headers = signing.headers(f"{GATEWAY}?tenant=a%26b", BODY, TOKEN)
    answer = conversation.through_gateway("/whatsapp", BODY, headers, query={"tenant": ["a&b"]})
    assert answer["statusCode"] == 200


def test_a_host_header_counts_for_nothing_behind_a_gateway(conversation: Stage) -> None:
    headers = signing.headers("https://evil.example.com/whatsapp", BODY, TOKEN)
    headers |= {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https"}
    assert conversation.through_gateway("/whatsapp", BODY, headers)["statusCode"] == 403


def test_a_host_header_counts_for_nothing_where_our_address_is_configured(conversation: Stage) -> None:
    headers = {"Host": "evil.example.com"}
    assert refused(conversation.post("/whatsapp", BODY, url="http://evil.example.com/whatsapp", headers=headers))


def test_the_host_header_is_asked_where_there_is_no_gateway_and_no_configured_address(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUBLIC_BASE_URL")
    relay.cache_clear()
    stage.open()
    url = "http://laptop.example.com:8000/whatsapp"
    assert stage.post("/whatsapp", BODY, url=url, headers={"Host": "laptop.example.com:8000"}).status_code == 200


# --- whose token


def test_a_conversations_own_credentials_sign_for_it(stage: Stage) -> None:
    stage.secret("whatsapp-credentials/own/twilio", auth_token="the conversation's own token")
    stage.open(credentials_reference="whatsapp-credentials/own/twilio")
    assert stage.post("/whatsapp", BODY, token="the conversation's own token").status_code == 200


def test_a_conversations_own_credentials_serve_where_no_tenant_has_the_address(stage: Stage) -> None:
    stage.table("tenants").delete_item(Key={"address": f"whatsapp:{OWN}"})
    stage.open()
    assert stage.post("/whatsapp", BODY).status_code == 200


def test_credentials_in_the_older_place_sign_too(stage: Stage) -> None:
    stage.table("tenants").delete_item(Key={"address": f"whatsapp:{OWN}"})
    config = {"company_whatsapp_number": OWN, "whatsapp_credentials_id": TWILIO_SECRET}
    stage.open(credentials_reference=None, channel_config=config)
    assert stage.post("/whatsapp", BODY).status_code == 200


def test_a_conversations_own_credentials_do_not_sign_for_another_conversation(stage: Stage) -> None:
    stage.secret("whatsapp-credentials/own/twilio", auth_token="the conversation's own token")
    stage.open(credentials_reference="whatsapp-credentials/own/twilio", conversation_status="closed")
    stage.open(conversation_id="another", channel_config={"company_whatsapp_number": OWN})
    assert refused(stage.post("/whatsapp", BODY, token="the conversation's own token"))


def test_another_companys_token_does_not_reach_a_conversation_through_its_address(stage: Stage) -> None:
    stage.open()
    _, body = form_of("I pretend", own=OWN)
    assert refused(stage.post("/whatsapp", body, token=OTHER_TOKEN))


def test_nobody_can_sign_for_an_address_that_nobody_owns(stage: Stage) -> None:
    _, body = form_of("Hello?", own="+447700900099")
    assert refused(stage.post("/whatsapp", body))


@pytest.mark.parametrize(
    "text",
    [
        '{"twilio_auth_token": ""}',
        '{"auth_token": ""}',
        "{}",
        "[]",
        "null",
        "",
        " ",
        "not json",
        '{"auth_token": null}',
    ],
)
def test_a_secret_without_a_token_never_accepts_anything(stage: Stage, text: str) -> None:
    stage.secrets_manager.put_secret_value(SecretId=TWILIO_SECRET, SecretString=text or " ")
    stage.secrets_manager.update_secret_version_stage(
        SecretId=TWILIO_SECRET, VersionStage="AWSPREVIOUS", RemoveFromVersionId=_version(stage, "AWSPREVIOUS")
    )
    stage.open()
    for token in ("", "None", "null"):
        assert refused(stage.post("/whatsapp", BODY, token=token))


def test_a_secret_that_is_missing_accepts_nothing(stage: Stage) -> None:
    stage.secrets_manager.delete_secret(SecretId=TWILIO_SECRET, ForceDeleteWithoutRecovery=True)
    stage.open()
    assert refused(stage.post("/whatsapp", BODY, token=""))


# --- rotation


def test_the_token_before_a_rotation_still_signs(stage: Stage) -> None:
    stage.open()
    _rotate(stage, "the new token")
    assert stage.post("/whatsapp", BODY, token=TOKEN).status_code == 200


def test_the_token_after_a_rotation_signs(stage: Stage) -> None:
    stage.open()
    _rotate(stage, "the new token")
    assert stage.post("/whatsapp", BODY, token="the new token").status_code == 200


def test_a_token_that_is_not_promoted_yet_signs_already(stage: Stage) -> None:
    stage.open()
    stage.secrets_manager.put_secret_value(
        SecretId=TWILIO_SECRET, SecretString=json.dumps({"auth_token": "pending"}), VersionStages=["AWSPENDING"]
    )
    assert stage.post("/whatsapp", BODY, token="pending").status_code == 200


def test_a_token_of_two_rotations_ago_signs_no_longer(stage: Stage) -> None:
    stage.open()
    _rotate(stage, "the second token")
    _rotate(stage, "the third token")
    assert refused(stage.post("/whatsapp", BODY, token=TOKEN))


@pytest.fixture
def minutes_later(stage: Stage) -> Callable[[float], None]:
    """The application's secrets with a clock that goes forward when it is told to."""
    moved = [timedelta(0)]
    secrets = Clients(relay().settings).of("secretsmanager")
    relay().secrets = SecretsManager(secrets, clock=lambda: datetime.now(UTC) + moved[0])

    def later(minutes: float) -> None:
        moved[0] += timedelta(minutes=minutes)

    return later


def test_a_new_token_is_learned_a_minute_after_the_old_one_was_read(
    stage: Stage, minutes_later: Callable[[float], None]
) -> None:
    stage.open()
    stage.write("with the old token")
    _rotate(stage, "the new token")
    minutes_later(1.1)
    assert stage.post("/whatsapp", BODY, token="the new token").status_code == 200


def test_within_a_minute_nobody_makes_us_read_a_secret_again(
    stage: Stage, minutes_later: Callable[[float], None]
) -> None:
    stage.open()
    stage.write("hello")
    minutes_later(0.9)
    with stage.counted() as calls:
        for _ in range(5):
            stage.post("/whatsapp", BODY, token="made up")
    assert [str(call) for call in calls if call.service == "secretsmanager"] == []


def test_forged_requests_read_a_secret_at_most_once_a_minute(
    stage: Stage, minutes_later: Callable[[float], None]
) -> None:
    stage.open()
    stage.write("hello")
    minutes_later(1.1)
    with stage.counted() as calls:
        for _ in range(5):
            stage.post("/whatsapp", BODY, token="made up")
    assert [str(call) for call in calls if call.service == "secretsmanager"] == SECRET_READS


# --- what a forged request costs


def test_a_request_without_a_signature_costs_no_read_at_all(conversation: Stage) -> None:
    with conversation.counted() as calls:
        conversation.post("/whatsapp", BODY, spoil=signing.SPOILED["missing"])
    assert calls == []


def test_a_forged_request_costs_at_most_the_query_for_credentials(conversation: Stage) -> None:
    conversation.post("/whatsapp", BODY)
    with conversation.counted() as calls:
        conversation.post("/whatsapp", BODY, token="made up")
    assert [str(call) for call in calls] == ["dynamodb:Query"]


def test_a_forged_request_to_an_address_that_nobody_owns_reads_no_secret(stage: Stage) -> None:
    _, body = form_of("Hello?", own="+447700900099", person="+447700900198")
    with stage.counted() as calls:
        stage.post("/whatsapp", body, token="made up")
    assert [str(call) for call in calls] == ["dynamodb:GetItem", "dynamodb:Query"]


def test_a_forged_message_for_another_tenant_changes_neither_tenant(stage: Stage) -> None:
    stage.open()
    stage.open(conversation_id="other", company_id="company-999", credentials_reference=OTHER_TWILIO_SECRET)
    before = stage.all_that_is_written()
    for own, token in ((OWN, OTHER_TOKEN), (OTHER_OWN, TOKEN)):
        _, body = form_of("I pretend", own=own)
        stage.post("/whatsapp", body, token=token)
    assert stage.all_that_is_written() == before


# --- what the caller learns


def test_a_refusal_says_no_more_than_that(conversation: Stage) -> None:
    answers = {
        conversation.post("/whatsapp", BODY, token="made up").body,
        conversation.post("/whatsapp", form_of("x", person="+447700900177")[1], token="made up").body,
        conversation.post("/whatsapp", form_of("x", own="+447700900178")[1], token="made up").body,
    }
    assert len(answers) == 1


def test_delivery_callbacks_need_a_signature_too(conversation: Stage) -> None:
    body = payload("status_whatsapp_delivered")
    assert refused(conversation.post("/status/abc", body, spoil=signing.SPOILED["missing"]))
    assert refused(conversation.post("/status/abc", body, token="made up"))
    assert refused(conversation.post("/status/abc", body, token=OTHER_TOKEN))


def test_a_signed_callback_that_names_no_message_of_ours_changes_nothing(conversation: Stage) -> None:
    before = conversation.all_that_is_written()
    response = conversation.post("/status/abc", payload("status_whatsapp_delivered"))
    assert response.status_code == 404
    assert conversation.all_that_is_written() == before


def _rotate(stage: Stage, token: str) -> None:
    stage.secret(TWILIO_SECRET, twilio_account_sid="AC1", twilio_auth_token=token)


def _version(stage: Stage, version_stage: str) -> str:
    versions = stage.secrets_manager.describe_secret(SecretId=TWILIO_SECRET)["VersionIdsToStages"]
    return next(version for version, stages in versions.items() if version_stage in stages)
