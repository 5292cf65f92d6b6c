"""A scripted conversation with the whole application on this laptop, told step by step; it must come out right."""

import argparse
import base64
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests
from boto3.dynamodb.conditions import Key

from local import demo_company
from local.demo_company import Person
from local.stack import Options, PortTaken, Stack, StackFailed, running_stack

BURST_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
REQUEST_SECONDS = 60.0

Message = Mapping[str, Any]

#: One red dot.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de000000"
    "0c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)

AMARA, BRUNO, CHLOE, DEV = demo_company.PEOPLE


@dataclass
class Story:
    """What happened so far: told on the terminal, and counted."""

    stack: Stack
    began: float = field(default_factory=time.monotonic)
    wrong: list[str] = field(default_factory=list)

    def chapter(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def tell(self, sentence: str) -> None:
        print(f"  {time.monotonic() - self.began:6.1f} s  {sentence}", flush=True)

    def check(self, sentence: str, holds: bool) -> None:
        """Says whether something is as it should be."""
        print(f"            {'ok   ' if holds else 'WRONG'} {sentence}", flush=True)
        if not holds:
            self.wrong.append(sentence)

    # What people do

    def write(self, person: Person, text: str) -> str:
        """A person sends a message; the provider's id of it."""
        answer = self._post("/_people/messages", self._message(person, text))
        self.tell(f"{person.first_name} writes “{text}” (webhook: {self._status(answer)})")
        return str(answer["sid"])

    def send(self, person: Person, told: str, **content: Any) -> str:
        """A person sends something that is no text; the provider's id of it."""
        answer = self._post("/_people/messages", {**self._message(person, ""), **content})
        self.tell(f"{person.first_name} sends {told} (webhook: {self._status(answer)})")
        return str(answer["sid"])

    def repeat(self, sid: str) -> int:
        answer = self._post(f"/_people/messages/{sid}/repeat", {})
        self.tell(f"the provider delivers the same webhook again ({self._status(answer)})")
        return self._status(answer)

    def forge(self, person: Person, text: str) -> int:
        answer = self._post("/_people/forged", self._message(person, text))
        self.tell(f"somebody forges a message of {person.first_name} ({self._status(answer)})")
        return self._status(answer)

    # What can be seen from outside

    def messages(self, person: Person) -> list[Message]:
        """Everything that went between a person and the company, as the provider logged it."""
        query = {"person": person.address, "own": person.writes_to}
        answer = requests.get(f"{self.stack.twilio_url}/_people/messages", params=query, timeout=REQUEST_SECONDS)
        return list(answer.json()["messages"])

    def answers(self, person: Person) -> list[Message]:
        return [message for message in self.messages(person) if message["direction"] != "inbound"]

    def wait_for(self, sentence: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds, and says so; after a minute it counts as wrong."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not (done := holds()) and time.monotonic() < until:
            self.stack.check()
            time.sleep(0.2)
        self.tell(sentence if done else f"still not after {PATIENCE_SECONDS:.0f} s: {sentence}")
        if not done:
            self.wrong.append(sentence)

    def record(self, person: Person) -> Mapping[str, Any]:
        table = self._resource("dynamodb").Table(self.stack.environment["CONVERSATIONS_TABLE"])
        found = table.query(KeyConditionExpression=Key("primary_channel").eq(person.number), ConsistentRead=True)
        return found["Items"][0] if found["Items"] else {}

    def history(self, person: Person) -> list[Mapping[str, Any]]:
        table = self._resource("dynamodb").Table(self.stack.environment["MESSAGES_TABLE"])
        conversation_id = self.record(person)["conversation_id"]
        found = table.query(KeyConditionExpression=Key("conversation_id").eq(conversation_id), ConsistentRead=True)
        return list(found["Items"])

    def kept_files(self) -> list[Path]:
        """The files in the media store, without the notes beside them."""
        folder = Path(self.stack.environment["MEDIA_FOLDER"])
        return [each for each in folder.rglob("*") if each.is_file() and not each.suffix]

    def waiting_for_human(self) -> int:
        """How many context objects lie in the handoff queue."""
        sqs = self._resource("sqs")
        queue = sqs.get_queue_by_name(QueueName=f"ai-multi-comms-handoff-queue-{self.stack.environment['STAGE']}")
        return int(queue.attributes["ApproximateNumberOfMessages"])

    def events(self, action: str) -> int:
        """How often the application has logged an action."""
        return sum(1 for event in self.stack.feed.since() if event.get("action") == action)

    def _post(self, path: str, body: Mapping[str, Any]) -> Message:
        answer = requests.post(f"{self.stack.twilio_url}{path}", json=body, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())

    @staticmethod
    def _message(person: Person, text: str) -> dict[str, Any]:
        own = {"from": person.address, "to": person.writes_to, "body": text}
        return {**own, "profile_name": person.first_name, "wait": True}

    @staticmethod
    def _status(answer: Message) -> int:
        return int(answer["webhook"]["status"])

    def _resource(self, service: str) -> Any:
        variables = self.stack.environment
        session: Any = boto3.Session(
            variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=variables["AWS_REGION"]
        )
        return session.resource(service, endpoint_url=self.stack.aws_url)


def burst(story: Story) -> None:
    story.chapter(f"{AMARA.name} writes three messages in a row on WhatsApp")
    for text in ("Hello!", "I was travelling then", "Do you need a certificate?"):
        story.write(AMARA, text)
    story.wait_for("one answer arrives", lambda: len(story.answers(AMARA)) == 1)
    story.wait_for("it is delivered and read", lambda: story.answers(AMARA)[0]["status"] == "read")
    story.wait_for("the last callback is recorded", lambda: story.history(AMARA)[-1].get("status") == "read")
    story.check("the answer covers all three messages", "3 messages" in story.answers(AMARA)[0]["body"])
    story.check("the history holds three messages and one answer", len(story.history(AMARA)) == 4)
    story.check("nobody waits any more", story.record(AMARA)["waiting"] == [])
    story.check("the record says so", story.record(AMARA)["conversation_status"] == "ai_response_sent")


def duplicate(story: Story) -> None:
    story.chapter("The provider delivers one message twice")
    before = story.events("message_duplicate")
    sid = story.write(AMARA, "And when do I hear from you?")
    story.check("the second delivery is accepted", story.repeat(sid) == 200)
    story.wait_for("one answer arrives", lambda: len(story.answers(AMARA)) == 2)
    story.wait_for("nothing is on its way any more", lambda: "outgoing" not in story.record(AMARA))
    time.sleep(BURST_SECONDS)
    story.check("the message is recorded once", story.record(AMARA)["received"] == 4)
    story.check("the duplicate was noticed", story.events("message_duplicate") == before + 1)
    story.check("there is still only one answer to it", len(story.answers(AMARA)) == 2)


def forged(story: Story) -> None:
    story.chapter("Somebody forges a webhook")
    before = story.record(AMARA)
    story.check("it is turned away", story.forge(AMARA, "Please send me all data") == 403)
    story.check("nothing was recorded", story.record(AMARA) == before)


def long_answer(story: Story) -> None:
    story.chapter("A long answer is sent in parts")
    story.write(AMARA, "Please tell me everything")
    story.wait_for("it arrives in parts", lambda: len(story.answers(AMARA)) >= 4)
    story.wait_for("nothing is on its way any more", lambda: "outgoing" not in story.record(AMARA))
    parts = [message["body"] for message in story.answers(AMARA)[2:]]
    story.check("no part is longer than 1,600 characters", all(len(part) <= 1_600 for part in parts))
    marks = ("**", "~~", "## ", "](", "|--")
    story.check("no Markdown is left in them", not any(mark in part for part in parts for mark in marks))
    story.check("no format is left open", all(part.count("*") % 2 == part.count("`") % 2 == 0 for part in parts))
    written = [entry["text"] for entry in story.history(AMARA) if entry["author"] == "ai"][2:]
    story.check("the parts left in order", parts == written)


def files(story: Story) -> None:
    story.chapter(f"{AMARA.first_name} sends a voice note, a picture and a place")
    answers, kept = len(story.answers(AMARA)), len(story.kept_files())
    story.send(AMARA, "a voice note", files=[{"says": "I was travelling between March and September"}])
    picture = {"content": base64.b64encode(PICTURE).decode(), "content_type": "image/png"}
    story.send(AMARA, "a picture", files=[picture], body="My certificate")
    story.send(AMARA, "her location", location={"latitude": 51.5007, "longitude": -0.1246, "label": "Big Ben"})
    story.wait_for("one answer arrives", lambda: len(story.answers(AMARA)) == answers + 1)
    story.wait_for("nothing is on its way any more", lambda: "outgoing" not in story.record(AMARA))
    answer = story.answers(AMARA)[-1]["body"]
    story.check("the AI has heard the voice note", "I was travelling between March" in answer)
    story.check("and knows of the place", "Big Ben" in answer)
    media = [each for entry in story.history(AMARA) for each in entry.get("media", [])]
    story.check("the history has the transcript", "travelling" in media[0].get("words", ""))
    story.check("both files are kept", len(story.kept_files()) == kept + 2)
    story.send(AMARA, "a thumb", reaction={"emoji": "\N{THUMBS UP SIGN}", "to": story.answers(AMARA)[0]["sid"]})


def hand_over(story: Story) -> None:
    story.chapter(f"{AMARA.first_name} asks for a human")
    before = story.waiting_for_human()
    answers = len(story.answers(AMARA))
    story.write(AMARA, "Can I talk to a human please?")
    story.wait_for("the AI hands her over", lambda: story.record(AMARA)["hand_off_to_human"] is True)
    story.wait_for("a human finds her in the queue", lambda: story.waiting_for_human() == before + 1)
    story.write(AMARA, "Are you there?")
    story.wait_for("and so is what she writes next", lambda: story.waiting_for_human() == before + 2)
    time.sleep(BURST_SECONDS + 1)
    story.check("the AI stays silent", len(story.answers(AMARA)) == answers)
    story.check("the record says who has her", story.record(AMARA)["hand_off_to_human"] is True)

    story.chapter(f"{BRUNO.name} belongs to a human from the beginning")
    before = story.waiting_for_human()
    story.write(BRUNO, "It is me again")
    story.wait_for("the human finds it in the queue", lambda: story.waiting_for_human() == before + 1)
    story.check("the message is in the history", story.history(BRUNO)[-1]["text"] == "It is me again")
    story.check("the AI stays silent", story.answers(BRUNO) == [])


def unknown_sender(story: Story) -> None:
    story.chapter(f"{DEV.name} has no conversation")
    for text in ("Who are you?", "Hello??"):
        story.write(DEV, text)
    story.wait_for("the fallback arrives", lambda: len(story.answers(DEV)) >= 1)
    time.sleep(1)
    story.check("it is sent once", len(story.answers(DEV)) == 1)
    story.check("nothing is recorded under that number", story.record(DEV) == {})


def sms(story: Story) -> None:
    story.chapter(f"{CHLOE.name} writes by SMS")
    story.write(CHLOE, "Good morning")
    story.wait_for("an answer arrives", lambda: len(story.answers(CHLOE)) == 1)
    story.wait_for("it is delivered", lambda: story.answers(CHLOE)[0]["status"] == "delivered")
    story.check("it came by SMS", story.answers(CHLOE)[0]["from"] == demo_company.SMS_ADDRESS)


CHAPTERS: Sequence[Callable[[Story], None]] = (
    burst,
    duplicate,
    forged,
    long_answer,
    files,
    hand_over,
    unknown_sender,
    sms,
)


def transcript(story: Story) -> None:
    """What each person has on the phone in the end."""
    for person in demo_company.PEOPLE:
        print(f"\n{person.name}, {person.channel}")
        for message in story.messages(person):
            speaker = person.first_name if message["direction"] == "inbound" else demo_company.COMPANY_NAME
            print(f"  {speaker}: {_shortened(message['body'])}  [{message['status']}]")


def _shortened(text: str, longest: int = 150) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}… ({len(text)} characters)"


def run(stack: Stack, chapters: Iterable[Callable[[Story], None]] = CHAPTERS) -> int:
    """Plays the chapters on a running stack; 0 if everything came out as it should."""
    story = Story(stack)
    for chapter in chapters:
        chapter(story)
    transcript(story)
    if story.wrong:
        print("\nNot as it should be:", *story.wrong, sep="\n  ")
        return 1
    print("\nEverything came out as it should.")
    return 0


def main(argv: list[str]) -> int:
    """Exit code 0 if everything came out as it should, 1 if not, 2 where it cannot be tried."""
    parser = argparse.ArgumentParser(prog="python -m local demo", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="show the application's log lines")
    arguments = parser.parse_args(argv)
    if os.environ.get("OPENAI_API_KEY"):
        print("The demo needs answers that can be foretold, so OPENAI_API_KEY is left aside.")
    options = Options(
        phone_port=0,
        app_port=0,
        aws_port=0,
        twilio_port=0,
        openai_port=0,
        burst_seconds=BURST_SECONDS,
        verbose=arguments.verbose,
    )
    try:
        with running_stack(options) as stack:
            return run(stack)
    except (StackFailed, PortTaken) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
