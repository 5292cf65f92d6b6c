"""A plan, played with real processes and judged when everything has come to rest."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.stack import PROJECT
from tests.kill import story
from tests.kill.evidence import Evidence, gather
from tests.kill.installation import QUEUES, Installation, new_logs, running, until
from tests.kill.invariants import Violation, violations
from tests.kill.plan import Act, Kill, Plan, Repeat, Trouble, Write

#: After the last act everything is at rest within this many seconds, times the patience.
REST_SECONDS = 1_500.0


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    evidence: Evidence
    violations: list[Violation]
    stories: list[str]  #: of those concerned, at most three
    logs: Path
    seconds: float
    seconds_to_rest: float

    def lines(self) -> Iterator[str]:
        """What a person wants to know of a run."""
        evidence, plan = self.evidence, self.evidence.plan
        answers = [answer for case in evidence.cases for answer in case.answers]
        covered = sum(len(tokens) for _, tokens in answers)
        inbound = sum(len(case.incoming) for case in evidence.cases)
        outgoing = sum(len(case.outgoing) for case in evidence.cases)
        reasons = Counter(case.reason for case in evidence.cases if case.handed_over)
        yield f"seed {plan.seed}: {plan.people} people, {len(evidence.cases)} conversations, {plan.kills} kills"
        yield f"{inbound} messages; {covered} covered by {len(answers)} answers in {outgoing} parts"
        yield f"handed over: {', '.join(f'{count} {reason}' for reason, count in reasons.most_common()) or 'nobody'}"
        counted = {name: evidence.actions(action) for name, action in _COUNTED.items()}
        yield ", ".join(f"{name} {count}" for name, count in counted.items())
        yield f"{len(evidence.dead_letters)} dead letters"
        yield f"{self.seconds:.0f} s, {self.seconds_to_rest:.0f} s of them until everything was at rest"

    def told(self) -> str:
        """Everything that somebody needs who must find out why a run failed."""
        parts = [*self.lines(), "", *map(str, self.violations[:12])]
        more = len(self.violations) - 12
        parts += [f"and {more} more"] if more > 0 else []
        return "\n".join([*parts, "", *self.stories, f"\nthe logs are in {self.logs}"])


_COUNTED = {
    "duplicates": "message_duplicate",
    "reconciled": "message_reconciled",
    "rescued": "rescue_woke",
    "in doubt": "answer_unconfirmed",
    "settled": "answer_settled",
    "turns discarded": "turn_discarded",
    "turns failed": "turn_failed",
}


def play(plan: Plan, *, source: Path = PROJECT) -> Outcome:
    """Runs the application of `source` through a plan. The logs are kept if anything is violated."""
    logs, began = new_logs(), time.monotonic()
    with running(plan, source, logs) as made:
        written = _act(plan, made)
        resting = time.monotonic()
        rests = until(lambda: _is_at_rest(made), REST_SECONDS * plan.patience)
        seconds_to_rest = time.monotonic() - resting
        evidence = gather(made, written)
        found = [] if rests else [Violation("comes_to_rest", f"it is not after {seconds_to_rest:.0f} s")]
        found += violations(evidence)
        concerned = {each.talk.number: each.talk for each in found if each.talk is not None}
        stories = [story.told(evidence.of(talk), made) for talk in list(concerned.values())[:3]]
    outcome = Outcome(evidence, found, stories, logs, time.monotonic() - began, seconds_to_rest)
    if found:
        (logs / "story.txt").write_text(outcome.told())
    else:
        shutil.rmtree(logs, ignore_errors=True)
    return outcome


def _act(plan: Plan, made: Installation) -> dict[str, str]:
    """Plays the acts at their time; what people wrote, by the provider's id."""
    ids: dict[str, str] = {}
    began = time.monotonic()
    for at, act in plan.acts():
        time.sleep(max(0.0, began + at - time.monotonic()))
        _one(act, made, ids)
    return {sid: token for token, sid in ids.items()}


def _one(act: Act, made: Installation, ids: dict[str, str]) -> None:
    match act:
        case Write():
            ids[act.token] = made.write(act.talk, act.text, delivered=act.delivered)
        case Repeat():
            _repeat(made, ids.get(act.token))
        case Trouble():
            url = made.urls.twilio if act.stand_in == "twilio" else made.urls.openai.removesuffix("/v1")
            made.post(f"{url}/_faults", act.order)
        case Kill():
            made.kill(act.process)


def _repeat(made: Installation, sid: str | None) -> None:
    assert sid is not None, "a message is written before it is repeated"
    made.post(f"{made.urls.twilio}/_people/messages/{sid}/repeat", {})


def _is_at_rest(made: Installation) -> bool:
    """Everything that was written is recorded, nobody waits, and no queue or provider has work left."""
    for child in made.children.values():
        if child.name != "resources":
            child.check()
    records = made.items("CONVERSATIONS_TABLE")
    if any(each.get("waiting") or each.get("outgoing") or each.get("unanswered_since") for each in records):
        return False
    messages = made.get(f"{made.urls.twilio}/_people/messages")["messages"]
    written = sum(1 for each in messages if each["direction"] == "inbound")
    if sum(int(each.get("received", 0)) for each in records) < written:
        return False
    under_way = {"queued", "accepted", "sent"}
    if any(each["direction"] != "inbound" and each["status"] in under_way for each in messages):
        return False
    return not any(made.depth(each) for each in QUEUES)
