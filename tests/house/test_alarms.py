"""Alarms, dashboard, runbook and journal agree: nothing is watched that nobody measures or explains."""

import json
import re
from typing import Any

import pytest

import app as front_door
from chalicelib.journal import FAILED, METRICS, NAMESPACE, SERVICE
from ops import resources
from tests.house.source import ROOT

TEMPLATE: dict[str, Any] = resources.template()
ALARMS = [each["Properties"] for each in TEMPLATE["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
NAMES = [each["AlarmName"]["Fn::Sub"].removeprefix("ai-multi-comms-${Stage}-") for each in ALARMS]
DASHBOARD: dict[str, Any] = json.loads((ROOT / ".chalice/dashboard.json").read_text())
MEASURED = {name for metrics in METRICS.values() for name, _, _ in metrics} | {FAILED}
OURS = [NAMESPACE, "service", SERVICE, "stage", "${Stage}"]

#: What AWS measures by itself. Source: the services' user guides, "metrics and dimensions".
BY_AWS = {
    "AWS/Lambda": {"Duration", "Errors", "Invocations", "Throttles"},
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesVisible",
    },
}

#: CloudFormation takes a template of this size in a call, in bytes. Source: "CloudFormation quotas".
LARGEST_TEMPLATE = 51_200


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in alarm["Dimensions"]}


def graphs() -> list[dict[str, Any]]:
    return [widget["properties"] for widget in DASHBOARD["widgets"] if widget["type"] == "metric"]


def test_every_alarm_has_a_line_in_the_runbook_and_every_line_an_alarm() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    rows = [line.split("|")[1] for line in runbook.splitlines() if line.startswith("| `")]
    explained = [name for row in rows for name in re.findall("`([^`]+)`", row)]
    assert sorted(explained) == sorted(NAMES)


def test_every_line_of_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    rows = [line for line in (ROOT / "docs/runbook.md").read_text().splitlines() if line.startswith("| `")]
    assert rows
    assert all(all(cell.strip() for cell in row.strip("|").split("|")) and row.count("|") == 5 for row in rows)


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_an_alarm_watches_what_is_measured(alarm: dict[str, Any]) -> None:
    if alarm["Namespace"] == NAMESPACE:
        assert alarm["MetricName"] in MEASURED
        assert dimensions(alarm) == {"service": SERVICE, "stage": {"Ref": "Stage"}}
    else:
        assert alarm["MetricName"] in BY_AWS[alarm["Namespace"]]


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_an_alarm_tells_somebody_when_it_begins_and_when_it_ends(alarm: dict[str, Any]) -> None:
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert alarm["AlarmDescription"]


@pytest.mark.parametrize("graph", graphs(), ids=lambda graph: graph["title"])
def test_a_graph_shows_what_is_measured(graph: dict[str, Any]) -> None:
    for namespace, metric, *rest, _ in graph["metrics"]:
        if namespace == NAMESPACE:
            assert metric in MEASURED
            assert [namespace, *rest] == OURS
        else:
            assert metric in BY_AWS[namespace]


def test_every_metric_of_the_journal_is_on_the_dashboard() -> None:
    shown = {metric for graph in graphs() for namespace, metric, *_ in graph["metrics"] if namespace == NAMESPACE}
    missing = MEASURED - shown - {"MessagesPerTurn"}
    assert not missing, (
        f"add {missing} to .chalice/dashboard.json, and an alarm with its line in the runbook if it matters"
    )


def test_every_function_is_watched_under_the_name_that_chalice_gives_it() -> None:
    handlers = {each.name for each in front_door.app.event_sources}
    expected = {"ai-multi-comms-${Stage}"} | {f"ai-multi-comms-${{Stage}}-{name}" for name in handlers}
    for metric in ("Errors", "Throttles"):
        watched = [dimensions(each)["FunctionName"]["Fn::Sub"] for each in ALARMS if each["MetricName"] == metric]
        assert sorted(watched) == sorted(expected)


def test_every_dead_letter_queue_is_watched() -> None:
    dead = [name for name in TEMPLATE["Resources"] if name.endswith("DeadLetterQueue")]
    watched = [dimensions(each).get("QueueName", {}).get("Fn::GetAtt", [None])[0] for each in ALARMS]
    assert set(dead) <= set(watched)


def test_the_template_fits_into_one_call() -> None:
    assert len(json.dumps(TEMPLATE, separators=(",", ":")).encode()) <= LARGEST_TEMPLATE
