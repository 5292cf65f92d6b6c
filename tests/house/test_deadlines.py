"""Deadlines agree, though they live in three files: who waits gives up before who waits for them."""

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

import app as front_door
from chalicelib import config
from chalicelib.attachments import TURN_GATHERS_WITHIN
from chalicelib.aws.clients import Clients
from chalicelib.channels.twilio_rest import client as twilio_client
from chalicelib.collect import COLLECT_WITHIN
from chalicelib.engines.openai_api import OpenAi
from chalicelib.engines.steps import MOST_STEPS
from chalicelib.model import Patience
from chalicelib.outbound import MOST_ATTEMPTS
from ops.policies import API, configuration, functions
from tests.house.source import ROOT

CHALICE = json.loads((ROOT / ".chalice/config.json").read_text())
TEMPLATE = json.loads((ROOT / ".chalice/resources.json").read_text())["Resources"]

#: The Lambda of each queue.
HANDLERS = {
    "whatsapp-replies": "whatsapp-reply-processor",
    "sms-replies": "sms-reply-processor",
    "email-replies": "email-reply-processor",
    "media": "collector",
    "sender": "sender",
}
TURNS = [purpose for purpose in HANDLERS if purpose.endswith("-replies")]

PATIENCE = Patience()

#: Twilio gives a webhook this long. Source: Twilio, webhooks, connection overrides, `rt` and `tt`.
TWILIO_WAITS = timedelta(seconds=15)

#: API Gateway waits this long for an integration. Source: API Gateway quotas for REST APIs.
GATEWAY_WAITS = timedelta(seconds=29)

#: A message that the provider took is in its list by then, and clocks of two machines are no further apart.
PROVIDER_LISTS_WITHIN = timedelta(seconds=120)
CLOCKS_DISAGREE = timedelta(seconds=30)

#: An answer of 1,200 tokens is about 5,000 characters, and a part holds 1,600.
PLAUSIBLE_PARTS = 5


def lambda_timeout(function: str) -> timedelta:
    """The longest of any stage, as Chalice reads its configuration."""
    return max(timedelta(seconds=configuration(stage, function).lambda_timeout) for stage in CHALICE["stages"])


def queue(purpose: str) -> dict[str, Any]:
    name = {"Fn::Sub": f"ai-multi-comms-{purpose}-queue-${{Stage}}"}
    [found] = [each["Properties"] for each in TEMPLATE.values() if each["Properties"].get("QueueName") == name]
    properties: dict[str, Any] = found
    return properties


def visibility(purpose: str) -> timedelta:
    return timedelta(seconds=queue(purpose)["VisibilityTimeout"])


@pytest.mark.parametrize("purpose", TURNS)
def test_the_engine_gives_up_before_its_lambda_does(purpose: str) -> None:
    rest = TURN_GATHERS_WITHIN + 6 * (config.AWS_CONNECT_DEADLINE + config.AWS_READ_DEADLINE) / 2
    shortest = min(configuration(stage, HANDLERS[purpose]).lambda_timeout for stage in CHALICE["stages"])
    assert config.ENGINE_DEADLINE + rest <= timedelta(seconds=shortest)


def test_all_the_tools_that_a_turn_may_use_give_up_before_the_engine_does() -> None:
    assert MOST_STEPS * config.TOOL_DEADLINE < config.ENGINE_DEADLINE


def test_a_collector_gives_up_before_its_lambda_does() -> None:
    rest = 6 * (config.AWS_CONNECT_DEADLINE + config.AWS_READ_DEADLINE) / 2
    assert COLLECT_WITHIN + rest <= lambda_timeout("collector")


def test_a_file_is_collected_before_the_burst_is_over() -> None:
    assert COLLECT_WITHIN < config.DEFAULT_BURST_MAX


@pytest.mark.parametrize("purpose", HANDLERS)
def test_a_lambda_ends_before_its_message_is_seen_again(purpose: str) -> None:
    assert lambda_timeout(HANDLERS[purpose]) < visibility(purpose)


def test_every_part_of_an_answer_fits_into_the_senders_time() -> None:
    aws = (PLAUSIBLE_PARTS + 4) * config.AWS_READ_DEADLINE
    assert PLAUSIBLE_PARTS * PATIENCE.provider_deadline + aws <= lambda_timeout("sender")


def test_a_claim_is_settled_only_when_its_sender_can_post_no_more_and_the_provider_lists_what_it_took() -> None:
    last_post = PATIENCE.post_within + PATIENCE.provider_deadline
    assert last_post + PROVIDER_LISTS_WITHIN + CLOCKS_DISAGREE <= PATIENCE.claim_is_late


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.1, config.SHORTEST_PATIENCE])
def test_with_less_patience_every_wait_shrinks_alike_so_that_their_order_stays(factor: float) -> None:
    less = PATIENCE.times(factor)
    for each in fields(Patience):
        assert getattr(less, each.name) == getattr(PATIENCE, each.name) * factor
    assert less.post_within + less.provider_deadline <= less.claim_is_late / 9


def test_patience_is_whole_wherever_the_real_twilio_is_met() -> None:
    with pytest.raises(config.SettingsError, match="PATIENCE"):
        config.Settings.from_env({"PATIENCE": "0.5"})
    for stage in ("dev", "prod"):
        assert "PATIENCE" not in CHALICE["stages"][stage].get("environment_variables", {})


def test_a_turn_is_late_only_after_two_attempts_are_over() -> None:
    assert max(map(visibility, TURNS)) + config.ENGINE_DEADLINE < PATIENCE.turn_is_late


def test_a_warm_webhook_answers_before_twilio_gives_up_though_aws_is_slow() -> None:
    two_services, three_calls = 2 * config.AWS_CONNECT_DEADLINE, 3 * config.AWS_READ_DEADLINE
    assert two_services + three_calls < TWILIO_WAITS


@pytest.mark.parametrize("purpose", HANDLERS)
def test_the_last_attempt_that_the_code_knows_is_the_last_that_the_queue_makes(purpose: str) -> None:
    assert queue(purpose)["RedrivePolicy"]["maxReceiveCount"] == config.LONGEST_QUEUE_ATTEMPTS


def test_a_busy_provider_is_tried_as_often_as_the_queue_repeats() -> None:
    assert MOST_ATTEMPTS == config.LONGEST_QUEUE_ATTEMPTS


def test_the_default_burst_window_is_the_replies_queues_delay() -> None:
    delays = {queue(purpose)["DelaySeconds"] for purpose in TURNS}
    assert delays == {config.DEFAULT_BURST_IDLE.total_seconds()}


@pytest.mark.parametrize(("purpose", "function"), HANDLERS.items())
@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_a_handler_listens_to_the_queue_that_the_template_makes(purpose: str, function: str, stage: str) -> None:
    made = queue(purpose)["QueueName"]["Fn::Sub"].replace("${Stage}", stage)
    assert config.queue_name(purpose, {"STAGE": stage}) == made
    assert _listens_to(function) == config.queue_name(purpose)


@pytest.mark.parametrize("purpose", HANDLERS)
def test_a_turn_is_handled_alone(purpose: str) -> None:
    [event_source] = [each for each in front_door.app.event_sources if each.name == HANDLERS[purpose]]
    assert event_source.batch_size == 1


@pytest.mark.parametrize("stage", CHALICE["stages"])
def test_every_function_has_settings_of_its_own_and_nothing_else_has(stage: str) -> None:
    assert set(CHALICE["lambda_functions"]) == set(functions())
    assert set(CHALICE["stages"][stage]["lambda_functions"]) == set(functions())


@pytest.mark.parametrize("function", functions())
@pytest.mark.parametrize("stage", CHALICE["stages"])
def test_no_function_runs_on_a_default_of_the_library(stage: str, function: str) -> None:
    settings = configuration(stage, function)
    chosen = (settings.lambda_timeout, settings.lambda_memory_size, settings.log_retention_in_days)
    assert all(chosen), chosen
    assert settings.environment_variables["STAGE"] == settings.tags["stage"] == stage
    assert settings.tags["component"]
    assert settings.autogen_policy is False


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_what_runs_in_aws_is_traced(stage: str) -> None:
    assert all(configuration(stage, each).xray_enabled for each in functions())


def test_a_webhook_gives_up_before_the_gateway_does() -> None:
    assert lambda_timeout(API) < GATEWAY_WAITS


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "secretsmanager"])
def test_every_aws_client_has_deadlines_and_asks_once(service: str) -> None:
    made = Clients(config.Settings.from_env({})).of(service).meta.config
    assert made.connect_timeout == config.AWS_CONNECT_DEADLINE.total_seconds()
    assert made.read_timeout == config.AWS_READ_DEADLINE.total_seconds()
    assert made.retries["total_max_attempts"] == 1


def test_the_engines_client_has_a_deadline_and_asks_once() -> None:
    made = OpenAi(None).client("sk-x")
    assert (made.timeout, made.max_retries) == (config.ENGINE_DEADLINE.total_seconds(), 0)


def test_the_providers_client_has_a_deadline_and_asks_once() -> None:
    deadline = PATIENCE.provider_deadline
    made = twilio_client({"account_sid": "AC1", "auth_token": "x"}, base_url=None, deadline=deadline).http_client
    assert made.timeout == deadline.total_seconds()
    assert made.session.get_adapter("https://api.twilio.com").max_retries.total == 0


def _listens_to(function: str) -> str:
    [event_source] = [each for each in front_door.app.event_sources if each.name == function]
    return str(event_source.queue)
