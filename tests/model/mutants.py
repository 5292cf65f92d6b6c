"""Protections taken away, each with a scenario in which the model must notice it."""

from dataclasses import dataclass

from tests.model.explore import Result, explore
from tests.model.rules import TIMEOUT, Rules
from tests.model.scenarios import FLAGS, GIVEN_BACK, IN_DOUBT, PARTS, PROMISED, WITHOUT_SWEEP, Scenario

SMALL = Scenario("one message, a fault", Rules(messages=1, faults=1, handovers=0))
TAKEN_OVER = Scenario("one message, a fault, a handover", Rules(messages=1, faults=1, handovers=1))
FOLLOWED = Scenario("two messages, a fault", Rules(messages=2, faults=1, handovers=0))
UNDELIVERED = Scenario("one message, two faults", Rules(messages=1, faults=2, handovers=0))
DOUBTED = Scenario(
    "two messages, two answers in doubt",
    Rules(messages=2, faults=2, handovers=0, callbacks=0, possible=frozenset({TIMEOUT})),
)


@dataclass(frozen=True)
class Mutant:
    """The protocol without some of its protections."""

    without: tuple[str, ...]
    scenario: Scenario

    @property
    def name(self) -> str:
        return " and ".join(self.without)

    def run(self) -> Result:
        return explore(self.scenario.rules.without(*self.without))


MUTANTS = (
    Mutant(("sweeps",), SMALL),
    Mutant(("commit_compares_answered",), SMALL),
    Mutant(("commit_respects_humans",), FLAGS),
    Mutant(("commit_respects_humans", "commit_compares_epoch"), TAKEN_OVER),
    Mutant(("one_outgoing",), FOLLOWED),
    Mutant(("commit_covers_the_burst",), FOLLOWED),
    Mutant(("claim_is_exclusive",), SMALL),
    Mutant(("claim_compares_epoch",), FLAGS),
    Mutant(("claim_respects_humans",), FLAGS),
    Mutant(("claim_respects_the_person",), FLAGS),
    Mutant(("finish_compares_claim",), FOLLOWED),
    Mutant(("release_compares_claim",), SMALL),
    Mutant(("close_compares_numbers",), TAKEN_OVER),
    Mutant(("hand_over_compares_numbers",), GIVEN_BACK),
    Mutant(("hand_over_keeps_claimed",), IN_DOUBT),
    Mutant(("post_looks_at_the_clock",), SMALL),
    Mutant(("settle_reads_the_list",), SMALL),
    Mutant(("settle_reads_the_history",), DOUBTED),
    Mutant(("ids_before_finish",), FOLLOWED),
    Mutant(("history_before_commit",), SMALL),
    Mutant(("history_before_close",), SMALL),
    Mutant(("history_before_post",), SMALL),
    Mutant(("queue_before_close",), SMALL),
    Mutant(("drop_keeps_index",), TAKEN_OVER),
    Mutant(("finish_keeps_index",), FOLLOWED),
    Mutant(("finish_leaves_hand_over",), UNDELIVERED),
    Mutant(("finish_hands_over",), PROMISED),
    Mutant(("hand_over_indexes",), UNDELIVERED),
    Mutant(("record_indexes",), SMALL),
    Mutant(("give_back_passes_on",), GIVEN_BACK),
    Mutant(("parts_are_noted",), PARTS),
    Mutant(("finish_wakes",), WITHOUT_SWEEP),
    Mutant(("duplicate_wakes",), WITHOUT_SWEEP),
    Mutant(("newest_wakes",), WITHOUT_SWEEP),
)

#: Second lines, which nothing reaches while the first one holds, and why.
SPARE = {
    "commit_compares_epoch": "while a human has it COMMIT sees the flag, and CLOSE and GIVE BACK move `answered`",
}
