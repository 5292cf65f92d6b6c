"""What happened to one conversation, in order: what people, provider, application and killer did."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from tests.kill.evidence import Case, Item
from tests.kill.installation import Installation

Line = tuple[datetime, str]

#: Fields of log lines that say nothing here.
_PLAIN = frozenset({"level", "timestamp", "at", "location", "service", "stage", "action", "message", "conversation"})


def told(case: Case, made: Installation) -> str:
    """The story, one line for each thing that happened, and the record at the end."""
    lines = sorted([*_of_provider(case), *_of_application(case), *made.happened])
    talk = case.talk
    title = f"conversation {talk.number}: {talk.person} and the {talk.company.name} company, {talk.own}"
    shown = {name: value for name, value in case.record.items() if name not in ("messages", "ai_config")}
    end = json.dumps(shown, default=str, ensure_ascii=False)
    return "\n".join([title, *(f"  {at:%H:%M:%S.%f}  {text}" for at, text in lines), f"  record: {end}"])


def _of_provider(case: Case) -> Iterator[Line]:
    ids = {each["sid"]: each for each in (*case.incoming, *case.outgoing)}
    for message in ids.values():
        verb = "person writes" if message["direction"] == "inbound" else "provider takes"
        yield _moment(message["created_at"]), f"{verb} {message['sid']}: “{_line(message['body'])}”"
    for event in case.evidence.events:
        if event.get("sid") in ids and event["kind"] in ("webhook", "callback"):
            what = f"{event['kind']} {event.get('message_status', '')} of {event['sid']}"
            yield _moment(event["at"]), f"{what} is answered with {event['status']}, attempt {event['attempt']}"


def _of_application(case: Case) -> Iterator[Line]:
    reference = case.record.get("reference")
    ids = {each["sid"] for each in (*case.incoming, *case.outgoing)}
    for process, line in case.evidence.log:
        if line["at"] and (line.get("conversation") == reference or _names(line) & ids):
            rest = {name: value for name, value in line.items() if name not in _PLAIN}
            said = " ".join(f"{name}={value}" for name, value in rest.items())
            yield _moment(line["at"]), f"{process} {line.get('action')}: {said}"


def _names(line: Item) -> set[str]:
    named = {str(line.get(name)) for name in ("message_id", "provider_id")}
    return named | set(line.get("message_ids") or ()) | set(line.get("provider_ids") or ())


def _line(text: str) -> str:
    return " ".join(text.split())[:60]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
