"""The operator stores, rotates and checks secrets; no value is ever shown, and no webhook is refused meanwhile."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Response, request

from chalicelib.context import Context
from chalicelib.errors import Rejected
from chalicelib.model import Channel
from chalicelib.ports import Request
from chalicelib.wiring import Relay, relay
from local.openai import create_app as openai_stand_in
from local.serving import running
from ops.__main__ import main
from ops.credentials import EVERYBODY_KNOWS_AFTER
from tests import signing
from tests.edge.stage import (
    API_KEY,
    OPENAI_SECRET,
    OTHER_TWILIO_SECRET,
    OWN,
    STAGE,
    STRANGER,
    TOKEN,
    TWILIO_SECRET,
    Stage,
    form_of,
)

NEW = "whatsapp-credentials/pickle-recruitment/jobs/twilio"
SID = "AC" + "0" * 32
NEW_TOKEN = "not-a-real-token-after-the-rotation"
NEW_KEY = "sk-not-a-real-key-after-the-rotation"

Enter = Callable[..., int]


@pytest.fixture
def enter(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Runs a command with a value on standard input."""

    def entered(action: str, *more: str, value: Any = None) -> int:
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return main(["secrets", action, *more, "--stage", STAGE])

    return entered


def stored(stage: Stage, name: str, label: str = "AWSCURRENT") -> dict[str, str]:
    found = stage.secrets_manager.get_secret_value(SecretId=name, VersionStage=label)["SecretString"]
    value: dict[str, str] = json.loads(found)
    return value


# --- putting


def test_a_new_secret_is_created(stage: Stage, enter: Enter, capsys: Any) -> None:
    value = {"twilio_account_sid": SID, "twilio_auth_token": NEW_TOKEN}
    assert enter("put", NEW, value=value) == 0
    assert stored(stage, NEW) == value
    assert "created" in capsys.readouterr().out


def test_what_is_not_given_stays_and_an_older_name_of_a_field_is_replaced(stage: Stage, enter: Enter) -> None:
    assert enter("put", OTHER_TWILIO_SECRET, value={"twilio_auth_token": NEW_TOKEN}) == 0
    before = stored(stage, OTHER_TWILIO_SECRET, "AWSPREVIOUS")
    assert stored(stage, OTHER_TWILIO_SECRET) == {
        "account_sid": before["account_sid"],
        "twilio_auth_token": NEW_TOKEN,
    }


def test_the_same_value_again_makes_no_version(stage: Stage, enter: Enter, capsys: Any) -> None:
    assert enter("put", TWILIO_SECRET, value={"twilio_auth_token": TOKEN}) == 0
    assert "unchanged" in capsys.readouterr().out
    versions = stage.secrets_manager.list_secret_version_ids(SecretId=TWILIO_SECRET)["Versions"]
    assert len(versions) == 1


def test_without_a_pipe_each_field_is_asked_for_and_not_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", lambda prompt: NEW_KEY if prompt.startswith("ai_api_key") else "")
    assert main(["secrets", "put", OPENAI_SECRET, "--stage", STAGE]) == 0
    assert stored(stage, OPENAI_SECRET) == {"ai_api_key": NEW_KEY}
    assert NEW_KEY not in "".join(capsys.readouterr())


LEAK = "sk-this-must-never-be-shown"
MALFORMED: dict[str, tuple[str, Any, str]] = {
    "no account": (NEW, {"twilio_auth_token": LEAK}, "twilio_account_sid: is missing; it must be AC and 32"),
    "a strange account": (NEW, {"account_sid": LEAK, "auth_token": LEAK}, "account_sid: string should match"),
    "no token": (NEW, {"account_sid": SID}, "twilio_auth_token: is missing"),
    "an empty token": (NEW, {"account_sid": SID, "auth_token": " "}, "it must be a text without blanks"),
    "a token with blanks": (NEW, {"account_sid": SID, "auth_token": f"{LEAK} x"}, "it must be a text without blanks"),
    "a token that is no text": (NEW, {"account_sid": SID, "auth_token": 7}, "auth_token: is not a text"),
    "half an API key": (
        NEW,
        {"account_sid": SID, "auth_token": LEAK, "api_key_secret": LEAK},
        "api_key_sid and api_key_secret come together",
    ),
    "a misspelt field": (
        NEW,
        {"account_sid": SID, "auth_tokn": LEAK, "auth_token": "x"},
        "auth_tokn: there is no such field; do you mean auth_token?",
    ),
    "a value for a field": (NEW, {"account_sid": SID, "auth_token": "x", LEAK: ""}, "a field that is none of"),
    "no key": (OPENAI_SECRET, {"ai_api_key": f"{LEAK} "[3:]}, "it must be a text that begins with sk-"),
    "twilio's for openai": (OPENAI_SECRET, {"account_sid": SID, "auth_token": LEAK}, "a field that is none of"),
    "no JSON": (NEW, LEAK, "is not JSON"),
    "no object": (NEW, [LEAK], "a JSON object"),
    "a name that no function may read": ("somewhere/else", {"auth_token": LEAK}, "no pattern"),
}


@pytest.mark.parametrize(("name", "value", "words"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_value_is_refused_and_not_shown(
    stage: Stage, enter: Enter, capsys: Any, name: str, value: Any, words: str
) -> None:
    before = stage.secrets_manager.list_secrets()["SecretList"]
    assert enter("put", name, value=value) == 1
    shown = "".join(capsys.readouterr())
    assert words in shown
    assert LEAK[3:] not in shown
    assert stage.secrets_manager.list_secrets()["SecretList"] == before


def test_a_value_is_never_taken_from_the_command_line(stage: Stage) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["secrets", "put", NEW, NEW_TOKEN, "--stage", STAGE])
    assert refused.value.code == 2


# --- checking


def test_the_secrets_of_every_tenant_are_checked(stage: Stage, enter: Enter, capsys: Any) -> None:
    assert enter("check") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"ok    {TWILIO_SECRET}  current  3 addresses" in lines
    assert f"ok    {OPENAI_SECRET}  current  4 addresses" in lines


def test_what_is_missing_or_malformed_in_any_version_is_told(stage: Stage, enter: Enter, capsys: Any) -> None:
    stage.tenant(f"sms:{OWN}", credentials_reference="sms-credentials/no/such")
    stage.secret(OPENAI_SECRET, ai_api_key=LEAK, extra=LEAK)
    stage.secret(OPENAI_SECRET, ai_api_key=LEAK)
    assert enter("check") == 1
    out = capsys.readouterr().out
    assert "wrong sms-credentials/no/such" in out
    assert "there is no such secret" in out
    assert "AWSPREVIOUS: a field that is none of ai_api_key, api_key" in out
    assert LEAK not in out


def test_a_secret_that_is_named_is_checked_alone(enter: Enter, capsys: Any) -> None:
    assert enter("check", TWILIO_SECRET) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


# --- a rotation from its beginning to its end


class Lambdas:
    """Functions that have run for a while: each has its own cache of secrets, read at another moment."""

    STARTED_EARLIER = tuple(timedelta(seconds=each) for each in (0, 59, 61, 170, 299))

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.now = datetime.now(UTC)
        self.relays = []
        for earlier in self.STARTED_EARLIER:
            self.now -= earlier
            made = Relay(relay().settings, clock=lambda: self.now)
            made.secrets.current(TWILIO_SECRET)
            made.secrets.current(OPENAI_SECRET)
            self.relays.append(made)
            self.now += earlier

    def refused(self, token: str) -> list[int]:
        """Which of them turn away a webhook that is signed with this token."""
        return [index for index, each in enumerate(self.relays) if not self._accepts(each, token)]

    def speak_with(self, reference: str, field: str) -> set[str]:
        """What they would send with now."""
        return {each.secrets.current(reference)[0][field] for each in self.relays}

    def _accepts(self, each: Relay, token: str) -> bool:
        path, body = form_of("Hello", person=STRANGER)
        url = f"{self.stage.base_url}{path}"
        headers = {name.lower(): value for name, value in signing.headers(url, body, token).items()}
        try:
            each.receive(Request(urls=(url,), headers=headers, body=body), Channel.WHATSAPP)
        except Rejected:
            return False
        return True


@pytest.fixture
def lambdas(stage: Stage) -> Lambdas:
    """What a stranger writes is only verified: neither recorded nor answered."""
    stage.tenant(unknown_senders="ignore")
    return Lambdas(stage)


class Twilios:
    """The tokens of the account at Twilio: the primary one signs, both may send."""

    def __init__(self) -> None:
        self.primary, self.secondary = TOKEN, ""

    @property
    def accepted(self) -> set[str]:
        return {self.primary, self.secondary} - {""}

    def promote(self) -> None:
        self.primary, self.secondary = self.secondary, ""


def test_no_webhook_is_refused_and_no_answer_fails_while_twilios_token_is_rotated(
    lambdas: Lambdas, enter: Enter
) -> None:
    """Every function is tried every twenty seconds, and each has read the secret at another moment."""
    twilio, failures = Twilios(), list[str]()

    def minutes(count: int, step: str) -> None:
        for _ in range(count * 3):
            lambdas.now += timedelta(seconds=20)
            failures.extend(f"{step}: webhook refused by {each}" for each in lambdas.refused(twilio.primary))
            for token in lambdas.speak_with(TWILIO_SECRET, "twilio_auth_token") - twilio.accepted:
                failures.append(f"{step}: somebody would send with {token}")

    minutes(1, "before")
    twilio.secondary = NEW_TOKEN
    assert enter("put", TWILIO_SECRET, "--pending", value={"twilio_auth_token": NEW_TOKEN}) == 0
    minutes(EVERYBODY_KNOWS_AFTER, "pending")
    assert enter("promote", TWILIO_SECRET) == 0
    minutes(EVERYBODY_KNOWS_AFTER, "current")
    twilio.promote()
    minutes(EVERYBODY_KNOWS_AFTER, "promoted at Twilio")
    assert enter("retire", TWILIO_SECRET) == 0
    minutes(EVERYBODY_KNOWS_AFTER, "retired")
    assert failures == []
    assert lambdas.refused(TOKEN) == list(range(len(lambdas.relays)))


def test_a_token_that_changes_at_twilio_before_anybody_waited_is_refused_for_a_minute_at_most(
    lambdas: Lambdas, enter: Enter
) -> None:
    """Why the operator is told to wait: within a minute of reading a secret nobody reads it again."""
    assert enter("put", TWILIO_SECRET, value={"twilio_auth_token": NEW_TOKEN}) == 0
    assert lambdas.refused(NEW_TOKEN) == [0, 1]
    lambdas.now += timedelta(seconds=61)
    assert lambdas.refused(NEW_TOKEN) == []


@contextmanager
def openai_with_keys(valid: set[str]) -> Iterator[str]:
    """The stand-in for OpenAI, which accepts these keys only."""
    app = openai_stand_in(think_seconds=0)

    def check() -> Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        error = {"error": {"message": "Incorrect API key", "code": "invalid_api_key", "type": "invalid_request_error"}}
        return None if given in valid else Response(json.dumps(error), 401, mimetype="application/json")

    app.before_request(check)
    with running(app) as url:
        yield f"{url}/v1"


def answers(each: Relay, stage: Stage) -> bool:
    """Whether a message that comes in now is answered by this function."""
    stage.open()
    path, body = form_of("Hello")
    url = f"{stage.base_url}{path}"
    headers = {name.lower(): value for name, value in signing.headers(url, body, TOKEN).items()}
    each.receive(Request(urls=(url,), headers=headers, body=body), Channel.WHATSAPP)
    [context] = stage.taken_bodies("whatsapp-replies")
    each.reply(Context.from_json(context), last_attempt=True)
    return "outgoing" in stage.record()


def test_no_turn_fails_while_openais_key_is_rotated(
    stage: Stage, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = {API_KEY}
    with openai_with_keys(valid) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        relay.cache_clear()
        lambdas, failures = Lambdas(stage), list[str]()

        def minutes(count: int, step: str) -> None:
            for _ in range(count // 2):
                lambdas.now += timedelta(minutes=2)
                failures.extend(step for each in lambdas.relays[::2] if not answers(each, stage))

        minutes(2, "before")
        valid.add(NEW_KEY)
        assert enter("put", OPENAI_SECRET, value={"ai_api_key": NEW_KEY}) == 0
        minutes(EVERYBODY_KNOWS_AFTER, "current")
        valid.remove(API_KEY)
        minutes(EVERYBODY_KNOWS_AFTER, "the old key has ended")
        assert enter("retire", OPENAI_SECRET) == 0
        minutes(EVERYBODY_KNOWS_AFTER, "retired")
        assert failures == []
        valid.clear()
        assert not answers(lambdas.relays[0], stage)
