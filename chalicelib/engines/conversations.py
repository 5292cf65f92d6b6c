"""OpenAI's Conversations API: a `conv_…` object holds what was said, and each response adds to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from chalicelib.engines.held import Item, bring_back, newest_of_ours, unheard, was_said
from chalicelib.engines.openai_api import Gone, OpenAi, Poisoned, Session, listed
from chalicelib.engines.openai_engine import Means, OpenAiEngine
from chalicelib.engines.prompt import waiting_lines
from chalicelib.engines.responses import create, fitting, items_of, output_item, text_of
from chalicelib.engines.steps import Output, Said, until_answered
from chalicelib.model import Answer, Spoken, Thread, Turn
from chalicelib.ports import Files, Toolbox

#: A call adds at most this many items. Source: OpenAI, `POST /v1/conversations/{id}/items`.
MOST_ITEMS = 20

#: Items are listed in pages of this size.
PAGE = 20

PREFIX = "conv_"


def build(*, base_url: str | None, files: Files, wait: Callable[[float], None]) -> OpenAiEngine:
    return OpenAiEngine(Means(OpenAi(base_url), files, wait), think)


def think(turn: Turn, session: Session, tools: Toolbox, means: Means) -> Answer:
    """Continues the record's conversation, or a new one from our history where there is none that can be used."""
    place = _found(turn, session)
    if place is not None:
        try:
            return _answered(place, turn, session, tools, means)
        except (Gone, Poisoned):
            pass  # somebody else's function call waits in it, or it was deleted meanwhile
    return _answered(_made(turn, session, means), turn, session, tools, means)


@dataclass(frozen=True, slots=True)
class _Place:
    """A conversation, the item with which it ends, and what was said that it has not heard."""

    conversation: "_Conversation"
    end: str
    unheard: Sequence[Spoken]


@dataclass(frozen=True, slots=True)
class _Conversation:
    """One `conv_…` object; see `held.Copy`."""

    id: str
    session: Session

    def newest_first(self) -> Iterator[Item]:
        for item in listed(self.session.call, "conversations.items.list", self.id, order="desc", limit=PAGE):
            is_message = item.type == "message"
            yield Item(item.id, is_message and item.role == "user", text_of(item) if is_message else "")

    def remove(self, item: Item) -> None:
        try:
            self.session.call("conversations.items.delete", item.id, conversation_id=self.id)
        except Gone:
            return

    def metadata(self) -> Mapping[str, str]:
        return dict(self.session.call("conversations.retrieve", self.id).metadata or {})

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        self.session.call("conversations.update", self.id, metadata=dict(metadata))


def _found(turn: Turn, session: Session) -> _Place | None:
    thread = turn.thread
    if thread is None or not thread.id.startswith(PREFIX) or not was_said(turn, thread):
        return None
    conversation = _Conversation(thread.id, session)
    try:
        end = bring_back(conversation, thread)
    except Gone:
        return None
    return None if end is None else _Place(conversation, end, unheard(turn, thread))


def _made(turn: Turn, session: Session, means: Means) -> _Place:
    """A new conversation that holds our history."""
    conversation = _Conversation(session.call("conversations.create").id, session)
    items = iter(items_of(fitting(turn.history, turn, session), means.files))
    while some := list(islice(items, MOST_ITEMS)):
        session.call("conversations.items.create", conversation.id, items=some)
    newest = next(conversation.newest_first(), None)
    return _Place(conversation, newest.id if newest else "", ())


def _answered(place: _Place, turn: Turn, session: Session, tools: Toolbox, means: Means) -> Answer:
    lines = fitting([*place.unheard, *waiting_lines(turn)], turn, session)
    asked = items_of(lines, means.files)

    def ask(outputs: Sequence[Output]) -> Said:
        given = [output_item(each) for each in outputs] or asked
        return create(session, turn, tools, input=given, conversation=place.conversation.id, truncation="auto")

    answer = until_answered(ask, tools, session.seconds_left)
    if answer.hand_off_reason is not None:
        return answer
    newest = newest_of_ours(place.conversation, place.end, lines, answer.text)
    return replace(answer, thread=Thread(id=place.conversation.id, item=newest, number=turn.number))
