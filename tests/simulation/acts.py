"""What happens without any stage having asked for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib.model import ConversationKey, OptOut
from tests.simulation.cast import OWN, credentials, person
from tests.simulation.scenario import CONVERSATIONS, Act, Event
from tests.simulation.truth import Said

if TYPE_CHECKING:
    from tests.simulation.world import World


def _says(world: "World", event: Event) -> None:
    who, number = CONVERSATIONS[event.conversation]
    message_id = f"m{event.message}"
    text = f"{message_id} to company {number}".ljust(event.length, ".")
    said = Said(message_id, person(who), OWN[number], text, world.now)
    world.truth.said[message_id] = said
    world.provider.hears(said)


def _opts(word: OptOut) -> Callable[["World", Event], None]:
    def opt(world: "World", event: Event) -> None:
        who, number = CONVERSATIONS[event.conversation]
        message_id = f"o{len(world.truth.said) + 1}"
        said = Said(message_id, person(who), OWN[number], f"{message_id} {word}", world.now, opt_out=word)
        world.truth.said[message_id] = said
        world.provider.hears(said)

    return opt


def _takes_over(world: "World", event: Event) -> None:
    key = _present(world, event)
    if key is not None:
        path = ("takes over", event.conversation, event.at)
        world.start("desk takes over", path, lambda machine: machine.take_over(key, reason="asked"))


def _gives_back(world: "World", event: Event) -> None:
    key = _present(world, event)
    if key is not None:
        path = ("gives back", event.conversation, event.at)
        world.start("desk gives back", path, lambda machine: machine.give_back(key))


def _present(world: "World", event: Event) -> ConversationKey | None:
    """The record of an event; people without a conversation may have one by now."""
    who, number = CONVERSATIONS[event.conversation]
    found = [each.key for each in world.records.of_person(person(who)) if each.company_id == f"company-{number}"]
    return found[0] if found else None


def _changed(**changes: Any) -> Callable[["World", Event], None]:
    def change(world: "World", event: Event) -> None:
        key = _present(world, event)
        if key is not None:
            world.records.change(key, **changes)

    return change


def _rotates(world: "World", event: Event) -> None:
    """The new token is valid at once, the old one no longer; our secret holds both, or the new one alone."""
    _, number = CONVERSATIONS[event.conversation]
    before = world.provider.tokens[number]
    after = f"token-{number}-{world.now:.0f}"
    world.provider.tokens[number] = after
    kept = (credentials(number, before),) if event.act == Act.ROTATES else ()
    world.secrets[f"twilio-{number}"] = (credentials(number, after), *kept)


def _console(world: "World", event: Event) -> None:
    world.provider.writes_itself(event.conversation)


ACTS: dict[Act, Callable[["World", Event], None]] = {
    Act.SAYS: _says,
    Act.TAKES_OVER: _takes_over,
    Act.GIVES_BACK: _gives_back,
    Act.IS_FLAGGED: _changed(handed_off=True),
    Act.IS_UNFLAGGED: _changed(handed_off=False),
    Act.LOSES_CONSENT: _changed(consent=False),
    Act.GETS_CONSENT: _changed(consent=True),
    Act.HUMAN_WRITES: _console,
    Act.ROTATES: _rotates,
    Act.ROTATES_AWAY: _rotates,
    Act.STOPS: _opts(OptOut.STOP),
    Act.STARTS: _opts(OptOut.START),
    Act.CLOSES: _changed(status="closed"),
}
