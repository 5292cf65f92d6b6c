"""Records of the model as records of the code, and back: what the two must agree on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from chalicelib.aws.items import outgoing_item_of, waiting_item_of
from chalicelib.context import iso
from chalicelib.model import Conversation, ConversationKey, Outgoing, OutgoingState
from chalicelib.ports import Conversations
from tests.contract.shelves import Shelf
from tests.model.world import NO_ANSWER, Answer, Record
from tests.twins.cast import KEY, OWN_ADDRESS, message_id, outgoing, waiting
from tests.twins.clock import START


def item_of(record: Record, parts: int) -> dict[str, Any]:
    """The record as it stands in the table."""
    numbers = range(1, record.received + 1)
    item: dict[str, Any] = {
        "primary_channel": KEY.person,
        "conversation_id": KEY.conversation_id,
        "channel_method": "whatsapp",
        "channel_config": {"company_whatsapp_number": OWN_ADDRESS},
        "received": record.received,
        "answered": record.answered,
        "epoch": record.epoch,
        "recent_message_ids": [message_id(number) for number in numbers],
        "waiting": [waiting_item_of(waiting(number)) for number in numbers[record.answered :]],
        "hand_off_to_human": record.human,
        "opted_out": record.unwanted,
    }
    if record.indexed:
        item |= {"unanswered_since": iso(START), "rescue_shard": "0"}
    if record.rescues:
        item |= {"rescues": record.rescues, "rescued_at": iso(START)}
    if record.outgoing:
        item["outgoing"] = _outgoing_item(record.outgoing, parts)
    return item


def answer_of(answer: Answer, parts: int) -> Outgoing:
    """The answer as a turn commits it."""
    texts = [f"part {part}" for part in range(parts)]
    promise = "promised" if answer.promises else None
    return outgoing(answer.after, answer.to, *texts, name=_token(answer), epoch=answer.epoch, hands_over=promise)


def _outgoing_item(answer: Answer, parts: int) -> dict[str, Any]:
    item = outgoing_item_of(answer_of(answer, parts)) | {"attempts": answer.attempts}
    for part in answer.out:
        item["parts"][part]["provider_id"] = provider_id(answer, part)
    if answer.attempts:
        item |= {"claimed_at": iso(claimed_at(answer)), "first_claimed_at": iso(START)}
    if answer.claimed:
        item |= {"state": str(OutgoingState.CLAIMED), "claim_token": claim_of(answer)}
    return item


def claimed_at(answer: Answer) -> datetime:
    """Every attempt, and every part that its sender notes, has a time of its own."""
    return START + timedelta(minutes=answer.attempts, seconds=answer.noted)


def claim_of(answer: Answer) -> str:
    return f"{_token(answer)}, claim {answer.attempts}"


def _token(answer: Answer) -> str:
    return f"answer {answer.after}..{answer.to} of epoch {answer.epoch}"


def provider_id(answer: Answer, part: int) -> str:
    return f"{_token(answer)}, part {part}"


def put(shelf: Shelf, record: Record, parts: int) -> Conversation:
    """Puts this record on the shelf and reads it back."""
    key = shelf.put(item_of(record, parts))
    return read(shelf.port, key)


def read(port: Conversations, key: ConversationKey = KEY) -> Conversation:
    found = port.get(key)
    assert found is not None
    return found


def record_of(conversation: Conversation) -> Record:
    """What the model sees of a record."""
    return Record(
        received=conversation.received,
        answered=conversation.answered,
        epoch=conversation.epoch,
        human=conversation.handed_off,
        unwanted=conversation.opted_out or not conversation.consent,
        indexed=conversation.unanswered_since is not None,
        rescues=conversation.rescues,
        outgoing=_answer_in(conversation.outgoing),
    )


def _answer_in(found: Outgoing | None) -> Answer:
    if found is None:
        return NO_ANSWER
    out = tuple(number for number, part in enumerate(found.parts) if part.provider_id is not None)
    claimed = found.state == OutgoingState.CLAIMED
    return Answer(
        found.after, found.to, found.epoch, claimed, found.attempts, _noted(found), out, found.hands_over is not None
    )


def _noted(found: Outgoing) -> int:
    """Whether the time of the claim counts anew; a sender of two parts notes one of them."""
    began_with_claim = START + timedelta(minutes=found.attempts)
    return int(found.claimed_at not in (None, began_with_claim))


def waits(conversation: Conversation) -> Iterator[int]:
    """The numbers of the messages that a record keeps waiting."""
    return (int(message.message_id.removeprefix("SM")) for message in conversation.waiting)
