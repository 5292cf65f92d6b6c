"""What the commands explore: how much may happen in each run, chosen so that all of it can be seen."""

from dataclasses import dataclass

from tests.model.rules import DIES, FAULTS_WITHOUT_SWEEP, LOST_RESPONSE, TIMEOUT, Rules


@dataclass(frozen=True)
class Scenario:
    name: str
    rules: Rules


ONE = Scenario("one message, two faults of any kind, a handover", Rules(messages=1, faults=2, handovers=1))
GIVEN_BACK = Scenario("one message, a fault, taken over and given back", Rules(messages=1, faults=1, handovers=2))
FLAGS = Scenario(
    "one message, a fault, a handover, and a flag that others set", Rules(messages=1, faults=1, handovers=1, flips=1)
)
PARTS = Scenario(
    "one message, an answer in two parts, two faults", Rules(messages=1, faults=2, handovers=0, parts=2, callbacks=2)
)
BURST = Scenario(
    "two messages, a fault, and a burst that lasts too long", Rules(messages=2, faults=1, handovers=0, long_bursts=1)
)
FAULTS = Scenario("two messages, two faults of any kind", Rules(messages=2, faults=2, handovers=0))
HANDOVER = Scenario("two messages, a fault, a handover", Rules(messages=2, faults=1, handovers=1, callbacks=0))
IN_DOUBT = Scenario(
    "two messages, taken over and given back, two answers in doubt",
    Rules(messages=2, faults=2, handovers=2, callbacks=0, possible=frozenset({TIMEOUT})),
)
WITHOUT_SWEEP = Scenario(
    "two messages, repeated webhooks and wake-ups, and nobody sweeps",
    Rules(messages=2, faults=2, handovers=0, sweeps=False, possible=FAULTS_WITHOUT_SWEEP),
)
LOST_RESPONSES = Scenario(
    "two messages, a handover, lost responses",
    Rules(messages=2, faults=2, handovers=1, callbacks=0, possible=frozenset({LOST_RESPONSE})),
)

PROMISED = Scenario(
    "one message, two faults, a takeover, and an engine that fails for good",
    Rules(messages=1, faults=2, handovers=1, promises=True),
)
PROMISED_TWO = Scenario(
    "two messages, two faults, and an engine that fails for good",
    Rules(messages=2, faults=2, handovers=0, callbacks=0, promises=True),
)

TWO = (
    ONE,
    GIVEN_BACK,
    FLAGS,
    PARTS,
    BURST,
    FAULTS,
    HANDOVER,
    IN_DOUBT,
    WITHOUT_SWEEP,
    LOST_RESPONSES,
    PROMISED,
    PROMISED_TWO,
)

THREE = (
    Scenario("two messages, two faults, a handover", Rules(messages=2, faults=2, handovers=1)),
    Scenario("two messages, three faults", Rules(messages=2, faults=3, handovers=0)),
    Scenario("three messages, no fault, two handovers", Rules(messages=3, faults=0, handovers=2)),
    Scenario(
        "three messages, a death, two handovers",
        Rules(messages=3, faults=1, handovers=2, callbacks=0, possible=frozenset({DIES})),
    ),
    Scenario("three messages, a fault of any kind, two handovers", Rules(messages=3, faults=1, handovers=2)),
)
