"""The loop in which a model uses tools until it answers: bounded in steps, and by the turn's one deadline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.errors import Refused
from chalicelib.model import Answer
from chalicelib.ports import Toolbox

#: A turn asks the model at most this often, the tool calls between its answers included.
MOST_STEPS = 6


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model calls; `arguments` is the JSON that it wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the model came back with: calls, or a text where it calls nothing."""

    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """What came of a call, as the model reads it."""

    call: Call
    text: str


def until_answered(
    ask: Callable[[Sequence[Output]], Said], tools: Toolbox, seconds_left: Callable[[], float]
) -> Answer:
    """Asks, uses the tools that the model calls, asks again with their outputs, until there is a text.

    A tool that hands over to a human ends the loop. Raises Refused when the model calls without end.
    """
    outputs: list[Output] = []
    outcome: str | None = None
    media_urls: tuple[str, ...] = ()
    for _ in range(MOST_STEPS):
        said = ask(outputs)
        if not said.calls:
            return Answer(text=_demand_words(said.text), outcome=outcome, media_urls=media_urls)
        outputs = []
        for call in said.calls:
            result = tools.use(call.name, call.arguments, seconds_left=seconds_left())
            outcome = result.outcome or outcome
            media_urls += result.media_urls
            if result.hand_off_reason is not None:
                return Answer(hand_off_reason=result.hand_off_reason, outcome=outcome)
            outputs.append(Output(call, result.output))
    raise Refused("too_many_steps", "the model calls tools without end")


def words(text: str) -> str:
    """A text fit for tables and providers: JSON may hold half a surrogate pair, which neither takes."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _demand_words(text: str) -> str:
    if not words(text):
        raise Refused("empty_answer", "the model answers without words")
    return words(text)
