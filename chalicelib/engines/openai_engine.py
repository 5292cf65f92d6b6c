"""What all engines of OpenAI's have around their thinking: one session, and the checks that a tenant wants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chalicelib.engines.checks import reason_after, reason_before
from chalicelib.engines.openai_api import OpenAi, Session
from chalicelib.model import Answer, Turn
from chalicelib.ports import Files, Secret, Toolbox


@dataclass(frozen=True, slots=True)
class Means:
    """What an engine has besides its turn: OpenAI, the files that people sent, and a way to wait for some seconds."""

    openai: OpenAi
    files: Files
    wait: Callable[[float], None]


class Think(Protocol):
    def __call__(self, turn: Turn, session: Session, tools: Toolbox, means: Means) -> Answer:
        """Asks the model until it has an answer. Raises Refused, TryAgain or Unconfirmed."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAiEngine:
    """An engine of the table; see `ports.Engine`."""

    means: Means
    think: Think

    def answer(self, turn: Turn, secrets: Sequence[Secret], tools: Toolbox) -> Answer:
        """Raises Refused for what will not pass, TryAgain and Unconfirmed for what may."""
        session = self.means.openai.session(secrets)
        reason = reason_before(turn, session)
        answer = Answer(hand_off_reason=reason) if reason else self.think(turn, session, tools, self.means)
        unwelcome = reason_after(turn, answer, session)
        answer = Answer(hand_off_reason=unwelcome) if unwelcome else answer
        return replace(answer, usage=session.usage())
