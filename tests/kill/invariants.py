"""What must hold once everything has come to rest, each with a name and a sentence, judged from outside."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from chalicelib.lifecycle import RANK
from chalicelib.model import Delivery, Patience
from tests.kill.evidence import Case, Evidence, Item
from tests.kill.plan import Talk, tokens_in

SENTENCES: Mapping[str, str] = {
    "comes_to_rest": "Once nobody is killed any more everything comes to rest within a bounded time.",
    "taken_in_once": "Every message that the provider received is in the history once, with its whole text.",
    "answered_once": "No message is covered by two answers.",
    "posted_once": "The provider never takes the same answer, or part of one, twice.",
    "answered_or_handed_over": "Every message is covered by an answer or was given to a human with a reason.",
    "whole_bursts": "An answer covers messages that follow one another, and no later answer covers an earlier one.",
    "whole_answers": "Every part of an answer is out, in its order, or a human was told.",
    "tenants_apart": "A company answers what was written to it, from the address that it was written to.",
    "silent_after_a_takeover": "Nothing leaves after a human has the conversation, but for what was leaving then.",
    "history_is_complete": "What the provider took is in the history, word for word, or a human was told.",
    "status_never_goes_back": "A delivery status that we acknowledged is recorded, and no status that never was.",
    "nobody_waits": "No record waits, and none has an answer on its way.",
    "dead_letters_explained": "What a dead letter was about has been answered or given to a human.",
    "calm_at_the_door": "A webhook of the provider is answered with 200, or with 503 so that it comes again.",
    "no_bug_of_ours": "No stage fails in a way that it did not foresee.",
}


@dataclass(frozen=True)
class Violation:
    """What does not hold, and whom it concerns."""

    invariant: str
    detail: str
    talk: Talk | None = None

    def __str__(self) -> str:
        whose = f" (conversation {self.talk.number})" if self.talk else ""
        return f"{self.invariant}: {SENTENCES[self.invariant]}\n    {self.detail}{whose}"


def violations(evidence: Evidence) -> list[Violation]:
    """Everything that does not hold."""
    found = [Violation("no_bug_of_ours", each) for each in _bugs(evidence)]
    found += [Violation("calm_at_the_door", each) for each in _calm(evidence)]
    for case in evidence.cases:
        for name, check in _CHECKS.items():
            found += [Violation(name, detail, case.talk) for detail in check(case)]
    return found


def _bugs(evidence: Evidence) -> Iterator[str]:
    for process, line in evidence.log:
        if line.get("action") == "stage_failed":
            yield f"{process}: {line.get('error')} at {line.get('at')}"


def _calm(evidence: Evidence) -> Iterator[str]:
    for event in evidence.events:
        if event["kind"] in ("webhook", "callback") and event["status"] not in (None, 200, 503):
            yield f"{event['kind']} {event['sid']} was answered with {event['status']}"


def _taken_in_once(case: Case) -> Iterator[str]:
    held = Counter(each.get("provider_message_id") for each in case.history if each["author"] == "user")
    texts = {each["provider_message_id"]: each["text"] for each in case.history if each["author"] == "user"}
    for message in case.incoming:
        if held[message["sid"]] != 1:
            yield f"{_named(message)} is in the history {held[message['sid']]} times"
        elif texts[message["sid"]] != message["body"]:
            yield f"{_named(message)} is not in the history as it was written"


def _answered_once(case: Case) -> Iterator[str]:
    for token, times in Counter(case.covered()).items():
        if times > 1:
            yield f"{token} is covered by {times} answers"


def _posted_once(case: Case) -> Iterator[str]:
    for body, times in Counter(each["body"] for each in case.outgoing).items():
        if times > 1:
            yield f"“{body[:40]}” was taken {times} times"


def _answered_or_handed_over(case: Case) -> Iterator[str]:
    covered = set(case.covered())
    for message in case.incoming:
        for token in tokens_in(message["body"]):
            passed = case.record.get("hand_off_to_human") and case.passed_up_to >= case.numbers.get(token, 10**9)
            if token not in covered and not passed:
                yield f"{token} is neither: humans were told up to number {case.passed_up_to}"


def _whole_bursts(case: Case) -> Iterator[str]:
    covered = [[case.numbers.get(token, 0) for token in tokens] for _, tokens in case.answers]
    for numbers in covered:
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            yield f"an answer covers {numbers}"
    for before, after in pairwise(covered):
        if before[-1] >= after[0]:
            yield f"an answer to {after} follows one to {before}"


def _whole_answers(case: Case) -> Iterator[str]:
    order = {message["sid"]: at for at, message in enumerate(case.outgoing)}
    for parts in case.answer_entries():
        out = [order[each["provider_message_id"]] for each in parts if each.get("provider_message_id") in order]
        if out != sorted(out):
            yield f"the parts of {parts[0]['position']} left as {out}"
        if len(out) < len(parts) and not case.record.get("hand_off_to_human"):
            yield f"{len(parts) - len(out)} of {len(parts)} parts of {parts[0]['position']} never left"


def _tenants_apart(case: Case) -> Iterator[str]:
    for message, tokens in case.answers:
        strange = [token for token in tokens if not token.startswith(f"q{case.talk.number}n")]
        if strange:
            yield f"{_named(message)} answers {strange}"


def _silent_after_a_takeover(case: Case) -> Iterator[str]:
    moments = [each.queued_at for each in case.handed_over if each.queued_at is not None]
    if not moments:
        return
    patience = Patience().times(case.evidence.plan.patience)
    last = min(moments) + patience.post_within + patience.provider_deadline + timedelta(seconds=5)
    for message in case.outgoing:
        if datetime.fromisoformat(message["created_at"]) > last:
            yield f"{_named(message)} left at {message['created_at']}, a human had it at {min(moments)}"


def _history_is_complete(case: Case) -> Iterator[str]:
    texts = {each.get("provider_message_id"): each["text"] for each in case.history}
    told = bool(case.record.get("hand_off_to_human"))
    for message in case.outgoing:
        if message["sid"] not in texts and not told:
            yield f"{_named(message)} is out, and the history does not know"
        elif message["sid"] in texts and texts[message["sid"]] != message["body"]:
            yield f"{_named(message)} left with other words than the history has"
    ours = {each["sid"] for each in (*case.outgoing, *case.incoming)}
    for entry in case.history:
        if entry.get("provider_message_id") not in (None, *ours):
            yield f"{entry['position']} names a message that the provider does not have"


def _status_never_goes_back(case: Case) -> Iterator[str]:
    entries = {each.get("provider_message_id"): each for each in case.history if each["author"] == "ai"}
    acknowledged = Counter[str]()
    for event in case.evidence.events:
        if event["kind"] == "callback" and event["status"] == 200:
            rank = RANK[Delivery(event["message_status"])]
            acknowledged[event["sid"]] = max(acknowledged[event["sid"]], rank)
    for message in case.outgoing:
        entry = entries.get(message["sid"])
        if entry is None:
            continue
        reached = {"queued", *(each["status"] for each in message["statuses"])}
        if entry.get("status") not in reached:
            yield f"{_named(message)} is recorded as {entry.get('status')}, it has been {sorted(reached)}"
        if RANK[Delivery(entry["status"])] < acknowledged[message["sid"]]:
            yield f"{_named(message)} is recorded as {entry['status']}, but we have acknowledged more"


def _nobody_waits(case: Case) -> Iterator[str]:
    record = case.record
    for name in ("waiting", "outgoing", "unanswered_since"):
        if record.get(name):
            yield f"the record has {name}"
    if record.get("received", 0) != record.get("answered", 0):
        yield f"received {record.get('received', 0)}, answered {record.get('answered', 0)}"


def _dead_letters_explained(case: Case) -> Iterator[str]:
    numbers = {number: token for token, number in case.numbers.items()}
    covered = set(case.covered())
    for letter in case.evidence.dead_letters:
        number = case.number_of(letter.message_id)
        if letter.conversation_id != case.talk.conversation_id:
            continue
        if numbers.get(number) not in covered and case.passed_up_to < max(number, 1):
            yield f"a dead letter of {letter.queue} is about number {number}, which is not closed"


def _named(message: Item) -> str:
    return f"{' '.join(tokens_in(message['body'])) or 'a part'} ({message['sid']})"


_CHECKS: Mapping[str, Callable[[Case], Iterator[str]]] = {
    "taken_in_once": _taken_in_once,
    "answered_once": _answered_once,
    "posted_once": _posted_once,
    "answered_or_handed_over": _answered_or_handed_over,
    "whole_bursts": _whole_bursts,
    "whole_answers": _whole_answers,
    "tenants_apart": _tenants_apart,
    "silent_after_a_takeover": _silent_after_a_takeover,
    "history_is_complete": _history_is_complete,
    "status_never_goes_back": _status_never_goes_back,
    "nobody_waits": _nobody_waits,
    "dead_letters_explained": _dead_letters_explained,
}
