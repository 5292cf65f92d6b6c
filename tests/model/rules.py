"""What a run of the model explores: how much may happen, and which protections of the protocol are in force."""

from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

DIES = "a process dies"
REPEATED_WEBHOOK = "the provider repeats a webhook"
REPEATED_WAKE = "a queue delivers twice"
LOST_WAKE = "a queue message is lost"
LOST_RESPONSE = "the response to a write is lost, and its repetition is refused"
ENGINE_FAILS = "the engine fails"
TIMEOUT = "the provider does not answer"
BUSY = "the provider is busy"
REFUSED = "the provider refuses"
NOT_DELIVERED = "the provider could not deliver"
EARLY_SWEEP = "the sweep comes while others are still at it"

EVERY_FAULT = frozenset(
    {
        DIES,
        REPEATED_WEBHOOK,
        REPEATED_WAKE,
        LOST_WAKE,
        LOST_RESPONSE,
        ENGINE_FAILS,
        TIMEOUT,
        BUSY,
        REFUSED,
        NOT_DELIVERED,
        EARLY_SWEEP,
    }
)

#: What the queues and the provider's repetitions mend by themselves, without the sweep.
FAULTS_WITHOUT_SWEEP = frozenset({DIES, REPEATED_WEBHOOK, REPEATED_WAKE})


def protection(sentence: str) -> Any:
    """A rule of the protocol that a mutant can be without."""
    return field(default=True, metadata={"sentence": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How much may happen in one run, and the protections that hold in it."""

    messages: int = 2  #: how many the person writes
    faults: int = 1  #: how many things go wrong altogether, of whatever kind
    handovers: int = 1  #: how often a human takes over or gives back, or the engine asks for one
    flips: int = 0  #: how often somebody else sets a flag in the record, without our epoch
    callbacks: int = 1  #: how many delivery callbacks arrive; the rest is lost
    long_bursts: int = 0  #: how often a turn finds that the longest burst is over
    promises: bool = False  #: a turn that fails for good promises a human, who comes once the promise is out
    parts: int = 1  #: of how many provider messages an answer consists
    at_once: int = 3  #: how many processes run at the same time
    most_attempts: int = 2  #: claims of one answer, fewer than in the code so that their end is reached
    most_rescues: int = 1
    route_attempts: int = 2
    every_order: bool = False  #: also try steps late that nobody can notice; see `stages.moves`
    possible: frozenset[str] = EVERY_FAULT  #: which faults happen
    sweeps: bool = protection("the sweep looks at everybody who waits too long")

    commit_compares_answered: bool = protection("COMMIT holds only if nothing was answered since TAKE")
    commit_compares_epoch: bool = protection("COMMIT holds only if the conversation did not change hands since TAKE")
    commit_respects_humans: bool = protection("COMMIT holds only if no human has the conversation")
    one_outgoing: bool = protection("neither TAKE nor COMMIT begins an answer while another one is on its way")
    commit_covers_the_burst: bool = protection("COMMIT holds only if nothing newer came in")
    claim_is_exclusive: bool = protection("CLAIM holds only for an answer that is READY")
    claim_compares_epoch: bool = protection("CLAIM holds only if the conversation did not change hands since COMMIT")
    claim_respects_humans: bool = protection("CLAIM holds only if no human has the conversation")
    claim_respects_the_person: bool = protection("CLAIM holds only if the person wants messages")
    finish_compares_claim: bool = protection("an answer is removed only by who claimed or read it as it is")
    release_compares_claim: bool = protection("an answer becomes READY again only for who read this very claim")
    close_compares_numbers: bool = protection("CLOSE holds only if nothing came in since the record was read")
    hand_over_compares_numbers: bool = protection("a turn hands over only what it has read")
    hand_over_keeps_claimed: bool = protection("HAND OVER leaves an answer alone that a sender may have posted")
    post_looks_at_the_clock: bool = protection("an answer leaves soon after its claim or not at all")
    settle_reads_the_list: bool = protection("an answer in doubt is looked for in the provider's list")
    settle_reads_the_history: bool = protection("messages that the history explains do not stand for another answer")
    ids_before_finish: bool = protection("the history learns the provider's ids before the record forgets the answer")
    history_before_commit: bool = protection("what waits is in the history before COMMIT closes it")
    history_before_close: bool = protection("what waits is in the history before CLOSE closes it")
    history_before_post: bool = protection("an answer is in the history before it leaves")
    queue_before_close: bool = protection("the handoff queue has the context before CLOSE")
    drop_keeps_index: bool = protection("dropping an answer leaves the person in the index of those who wait")
    finish_keeps_index: bool = protection("FINISH leaves the person in the index when a newer message waits")
    finish_leaves_hand_over: bool = protection("FINISH leaves the person in the index after a change of hands")
    finish_hands_over: bool = protection("FINISH of a promise that a human answers hands over")
    hand_over_indexes: bool = protection("HAND OVER puts the person into the index until the queue has the context")
    record_indexes: bool = protection("RECORD puts the person into the index")
    give_back_passes_on: bool = protection("what waits is a human's before the conversation is given back")
    parts_are_noted: bool = protection("a part that is out is noted, and never sent again")
    finish_wakes: bool = protection("FINISH wakes the next turn when somebody waits")
    duplicate_wakes: bool = protection("a repeated webhook wakes again")
    newest_wakes: bool = protection("every message brings its own wake-up")

    def without(self, *names: str) -> "Rules":
        removed: dict[str, Any] = dict.fromkeys(names, False)
        return replace(self, **removed)


def protections() -> list["Field[Any]"]:
    return [each for each in fields(Rules) if "sentence" in each.metadata]
