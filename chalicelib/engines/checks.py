"""Opinions that a tenant may want besides the answer: OpenAI's moderation, and whether a human is needed."""

from collections.abc import Sequence

from chalicelib.engines.openai_api import Session
from chalicelib.engines.prompt import text_of
from chalicelib.errors import RelayError
from chalicelib.model import Answer, Moderation, Turn

MODERATION_MODEL = "omni-moderation-latest"

#: The only model that decides. Source: OpenAI, `POST /v1/decisions`.
DECISION_MODEL = "gpt-6-luna"

#: From this probability on a human is called.
LIKELY = 0.8

#: A check must not cost the turn its time.
CHECK_WITHIN = 8.0

_NEEDS_HUMAN = (
    "The person's newest messages need a human colleague of the company: the person asks for one, complains, is in "
    "distress or danger, disputes something of legal or financial weight, or an automatic answer would be out of place."
)


def reason_before(turn: Turn, session: Session) -> str | None:
    """Why a human should have this turn before any engine thinks about it, as a code; None where none should."""
    if turn.settings.moderation in (Moderation.INPUT, Moderation.BOTH) and _is_flagged(_texts(turn), session):
        return "moderated_input"
    return "needs_human" if turn.settings.check_needs_human and _needs_human(turn, session) else None


def reason_after(turn: Turn, answer: Answer, session: Session) -> str | None:
    """Why an answer must not be sent, as a code; None where it may."""
    wanted = turn.settings.moderation in (Moderation.OUTPUT, Moderation.BOTH)
    return "moderated_output" if wanted and answer.text and _is_flagged([answer.text], session) else None


def _is_flagged(texts: Sequence[str], session: Session) -> bool:
    """Raises what the call raises: what is to be moderated is not answered unseen."""
    found = session.call("moderations.create", model=MODERATION_MODEL, input=list(texts), at_most=CHECK_WITHIN)
    return any(result.flagged for result in found.results)


def _needs_human(turn: Turn, session: Session) -> bool:
    """An opinion that cannot be had, or not be read, counts as no: the answer does not wait for it."""
    try:
        found = session.call(
            "decisions.create",
            model=DECISION_MODEL,
            input=[{"role": "user", "content": text} for text in _texts(turn)],
            questions=[{"type": "predicate", "name": "needs_human", "instructions": _NEEDS_HUMAN}],
            safety_identifier=turn.reference,
            at_most=CHECK_WITHIN,
        )
        session.spent(None, found.usage.input_tokens, found.usage.output_tokens)
        return any(answer.type == "predicate" and answer.probability >= LIKELY for answer in found.answers)
    except (RelayError, AttributeError, TypeError):
        return False


def _texts(turn: Turn) -> list[str]:
    return [text_of(message) for message in turn.waiting]
