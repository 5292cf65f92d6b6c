"""The environment is read in one place, and every problem of it is named at once."""

from datetime import timedelta

import pytest

from chalicelib.config import Settings, SettingsError, queue_name, table_name


def test_an_empty_environment_is_enough() -> None:
    settings = Settings.from_env({})
    assert (settings.stage, settings.region) == ("dev", "eu-west-2")
    assert settings.conversations_table == "ai-multi-comms-conversations-dev"
    assert (settings.burst_idle, settings.burst_max) == (timedelta(seconds=30), timedelta(seconds=90))
    assert settings.public_base_url is None


def test_names_follow_the_stage() -> None:
    assert queue_name("sender", {"STAGE": "prod"}) == "ai-multi-comms-sender-queue-prod"
    assert queue_name("whatsapp-replies", {}) == "ai-multi-comms-whatsapp-replies-queue-dev"
    assert table_name("messages", {"STAGE": "prod"}) == "ai-multi-comms-messages-prod"


def test_every_variable_is_read() -> None:
    environment = {
        "STAGE": "prod",
        "AWS_REGION": "eu-west-1",
        "CONVERSATIONS_TABLE": "c",
        "MESSAGES_TABLE": "m",
        "TENANTS_TABLE": "t",
        "BURST_IDLE_SECONDS": "2.5",
        "BURST_MAX_SECONDS": "0",
        "PATIENCE": "0.25",
        "PUBLIC_BASE_URL": "https://relay.example.com/v1/",
        "TWILIO_API_BASE_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:2/",
        "OPENAI_BASE_URL": "http://127.0.0.1:3/v1",
    }
    settings = Settings.from_env(environment)
    assert (settings.stage, settings.region) == ("prod", "eu-west-1")
    assert (settings.conversations_table, settings.messages_table, settings.tenants_table) == ("c", "m", "t")
    assert (settings.burst_idle, settings.burst_max) == (timedelta(seconds=2.5), timedelta(0))
    assert settings.patience == 0.25
    assert settings.public_base_url == "https://relay.example.com/v1"
    assert settings.twilio_api_base_url == "http://127.0.0.1:1"
    assert settings.aws_endpoint_url == "http://127.0.0.1:2"
    assert settings.openai_base_url == "http://127.0.0.1:3/v1"


def test_a_region_by_its_other_name_is_read() -> None:
    assert Settings.from_env({"AWS_DEFAULT_REGION": "us-east-1"}).region == "us-east-1"


def test_blank_variables_count_as_missing() -> None:
    blank = dict.fromkeys(("STAGE", "PUBLIC_BASE_URL", "BURST_IDLE_SECONDS", "MESSAGES_TABLE"), "")
    assert Settings.from_env(blank) == Settings.from_env({})


WRONG = {
    "BURST_IDLE_SECONDS": "soon",
    "BURST_MAX_SECONDS": "-1",
    "PATIENCE": "2",
    "PUBLIC_BASE_URL": "relay.example.com",
    "TWILIO_API_BASE_URL": "ftp://x",
    "AWS_ENDPOINT_URL": "http://",
    "OPENAI_BASE_URL": "https://x/v1?key=1",
}


@pytest.mark.parametrize("name", WRONG)
def test_each_problem_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: WRONG[name]})


def test_a_laptop_may_let_tools_reach_itself() -> None:
    assert Settings.from_env({"STAGE": "local", "TOOLS_ON_LOOPBACK": "1"}).tools_on_loopback
    assert not Settings.from_env({"STAGE": "local"}).tools_on_loopback


@pytest.mark.parametrize("stage", ["dev", "prod", ""])
def test_nowhere_else_tools_may_reach_their_own_machine(stage: str) -> None:
    with pytest.raises(SettingsError, match="TOOLS_ON_LOOPBACK"):
        Settings.from_env({"STAGE": stage, "TOOLS_ON_LOOPBACK": "1"})


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_env(WRONG)
    assert all(name in str(error.value) for name in WRONG)


@pytest.mark.parametrize("factor", ["0", "-0.5", "0.019", "nan", "inf", "a little"])
def test_patience_that_would_mistake_haste_for_failure_is_a_problem(factor: str) -> None:
    with pytest.raises(SettingsError, match="PATIENCE"):
        Settings.from_env({"PATIENCE": factor, "TWILIO_API_BASE_URL": "http://127.0.0.1:1"})


@pytest.mark.parametrize("seconds", ["nan", "inf", "901", "1e400", "1,5"])
def test_a_window_that_no_queue_can_keep_is_a_problem(seconds: str) -> None:
    with pytest.raises(SettingsError, match="BURST_IDLE_SECONDS"):
        Settings.from_env({"BURST_IDLE_SECONDS": seconds})
