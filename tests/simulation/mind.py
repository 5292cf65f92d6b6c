"""The engine: it answers as its manner is, and what it was shown is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.errors import Refused, TryAgain
from chalicelib.model import Answer, Turn
from chalicelib.ports import Secret, Toolbox
from tests.simulation.faults import Fault
from tests.simulation.scenario import Manner

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass
class Mind:
    """The engine: it notes what it was shown, and says so."""

    world: "World"

    def of(self, turn: Turn) -> "Mind":
        return self

    def answer(self, turn: Turn, secrets: Sequence[Secret], tools: Toolbox) -> Answer:
        world = self.world
        answer: Answer = world.boundary.call("engine.answer", self._thinks, turn, secrets)
        return answer

    def _thinks(self, turn: Turn, secrets: Sequence[Secret]) -> Answer:
        world, process = self.world, self.world.boundary.acting
        assert process is not None
        process.saw = tuple(message.message_id for message in turn.waiting)
        world.shown(turn, secrets)
        if world.scenario.poisoned == world.conversation_of(turn):
            raise TryAgain("not now") if len(process.saw) % 2 else Refused("not ever")
        if world.trouble() == Fault.ENGINE_HANDS_OFF:
            says = "I ask a colleague." if len(process.saw) % 2 else ""
            return Answer(text=says, hand_off_reason="the person wants a human")
        return Answer(text=_answer_text(world.scenario.manner, process.saw))


def _answer_text(manner: Manner, saw: Sequence[str]) -> str:
    match manner:
        case Manner.ALIKE:
            return "Thank you!"
        case Manner.LONG:
            return f"To {saw[0]}, first.\n\nTo {saw[0]}, then.\n\nGood bye."
        case _:
            return f"To {', '.join(saw)}."
