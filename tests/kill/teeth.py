"""Protections, each removed in a copy of the code: a run that does not miss one proves nothing about it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from local.stack import PROJECT
from tests.kill.plan import Plan
from tests.kill.run import play


@dataclass(frozen=True)
class Removed:
    """A passage of a file and what stands there once the protection is gone."""

    file: str
    passage: str
    instead: str


PROTECTIONS: Mapping[str, Removed] = {
    "a claim is exclusive": Removed(
        "chalicelib/aws/conversations.py",
        'update.only_if("{0} = {ready}", "outgoing.state", ready=OutgoingState.READY.value)',
        'update.only_if("attribute_exists({0})", "outgoing.state")',
    ),
    "a commit needs what it read": Removed(
        "chalicelib/aws/conversations.py",
        'update.only_if_equal("answered", seen.answered, absent_means=0)\n'
        '        update.only_if_equal("epoch", seen.epoch, absent_means=0)\n'
        "        _no_human(update)",
        "_no_human(update)",
    ),
    "the sweep": Removed("app.py", "web.run(relay().sweep, journal=relay().journal)", "pass"),
    "reconciliation": Removed("app.py", "web.run(relay().reconcile, journal=relay().journal)", "pass"),
    "a message is taken in once": Removed(
        "chalicelib/aws/conversations.py",
        'update.only_if("NOT contains({0}, {id})", "recent_message_ids", id=message.message_id)',
        "pass",
    ),
    "what may be out is settled first": Removed(
        "chalicelib/rescue.py",
        "            return False\n        try:\n            self.done += self._rescued(seen)",
        "            released = self.conversations.release(seen)\n"
        "            return released is None or bool(self.route(released))\n"
        "        try:\n            self.done += self._rescued(seen)",
    ),
}


def bite(plan: Plan, *, most: int, names: Sequence[str] | None = None) -> int:
    """Removes each protection and runs until that is noticed, `most` seeds at most; 1 if one is not missed."""
    blind = 0
    for name in names or PROTECTIONS:
        missed = _first_that_misses(PROTECTIONS[name], plan, most)
        print(f"{name}: {missed or f'not missed after {most} seeds'}", flush=True)
        blind += missed is None
    return int(blind > 0)


def _first_that_misses(removed: Removed, plan: Plan, most: int) -> str | None:
    with tempfile.TemporaryDirectory() as place:
        source = _without(removed, Path(place))
        for number in range(most):
            outcome = play(replace(plan, seed=plan.seed + number), source=source)
            if outcome.violations:
                shutil.rmtree(outcome.logs, ignore_errors=True)
                kinds = sorted({each.invariant for each in outcome.violations})
                return f"missed with seed {plan.seed + number}: {', '.join(kinds)}"
    return None


def _without(removed: Removed, place: Path) -> Path:
    """A copy of the application without the protection. The passage must be there once, or the copy is the original."""
    shutil.copytree(PROJECT / "chalicelib", place / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / ".chalice", place / ".chalice")
    shutil.copy(PROJECT / "app.py", place)
    file = place / removed.file
    text = file.read_text()
    assert text.count(removed.passage) == 1, f"{removed.file} does not hold the passage once"
    file.write_text(text.replace(removed.passage, removed.instead))
    return place
