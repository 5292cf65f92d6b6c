"""Reactions: which of them is an answer that somebody must react to, and the note that is made of the others."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.entries import entry_of, whole
from chalicelib.lifecycle import human_reason
from chalicelib.model import Author, Conversation, HistoryEntry, Inbound, Numbered, Reaction
from chalicelib.ports import History

#: How far back the message is looked for that was reacted to.
_LOOK_BACK = 60

_QUESTION_MARKS = "?\N{FULLWIDTH QUESTION MARK}\N{ARABIC QUESTION MARK}"


def reaction_of(message: Inbound) -> Reaction | None:
    """The reaction that a message is; None for every other message."""
    return next((each for each in message.extras if isinstance(each, Reaction)), None)


def is_aside(conversation: Conversation, reaction: Reaction, history: History) -> bool:
    """Whether a reaction wants no answer: the AI has the conversation, and it was not asking anything.

    A thumb under a question is an answer, and a human who has the conversation sees every reaction.
    """
    if human_reason(conversation) is not None:
        return False
    asked = _said(conversation, history.latest(conversation.key.conversation_id, limit=_LOOK_BACK), reaction.to)
    return not reaction.emoji or not any(mark in asked for mark in _QUESTION_MARKS)


def keep_aside(conversation: Conversation, message: Inbound, history: History) -> None:
    """Writes a reaction into the history, where the next turn sees it; it is no message that waits."""
    entry = entry_of(conversation, whole(message), conversation.received)
    position = Numbered.reaction(conversation.received, message.message_id)
    history.begin(replace(entry, position=position))


def _said(conversation: Conversation, latest: Sequence[HistoryEntry], provider_id: str) -> str:
    """What we said in the message of that id; empty where it is not found."""
    ours = [(entry.provider_id, entry.text) for entry in latest if entry.author != Author.USER]
    ours += [(each.provider_id, each.text) for each in conversation.opening if each.author != Author.USER]
    return next((text for known, text in ours if provider_id and known == provider_id), "")
