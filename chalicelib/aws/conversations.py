"""The ConversationsTable: each step of the protocol is one conditional UpdateItem on one record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from botocore.exceptions import ClientError

from chalicelib.aws.clients import code_of, item_of, translated
from chalicelib.aws.expressions import Update
from chalicelib.aws.items import (
    CLOSED,
    FALSE,
    TRUE,
    conversation_of,
    from_wire,
    item_to_wire,
    opened_item_of,
    outgoing_item_of,
    thread_item_of,
    to_wire,
    waiting_item_of,
)
from chalicelib.context import iso
from chalicelib.errors import TryAgain
from chalicelib.lifecycle import ends_with
from chalicelib.model import Conversation, ConversationKey, Outgoing, OutgoingState, Status, Thread, Waiting
from chalicelib.ports import Claim, Clock, Identifiers, Recorded

#: How many messages a record keeps waiting; more are kept in the history alone until the burst is answered.
MOST_WAITING = 20

#: How many message ids a record keeps at least, and how many at most before it forgets the oldest.
IDS_KEPT = 32
MOST_IDS = 64

#: A record lives at least this long after a message came in.
LIVES_ON = timedelta(days=1)

#: The sparse index is spread over this many partitions.
SHARDS = 4

#: How often RECORD is decided again when the record moved under it.
_ATTEMPTS = 5

_INDEX = "waiting-index"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What an update did: the attributes it returned, or the record that its condition did not hold for."""

    done: bool
    item: dict[str, Any]


class DynamoConversations:
    """Conversation records in DynamoDB; see `ports.Conversations` for what each step promises."""

    def __init__(self, dynamodb: Any, table: str, *, clock: Clock, identifiers: Identifiers) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._identifiers = identifiers

    def of_person(self, address: str) -> Sequence[Conversation]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#person = :person",
            "ExpressionAttributeNames": {"#person": "primary_channel"},
            "ExpressionAttributeValues": {":person": to_wire(address)},
            "ConsistentRead": True,
        }
        return [conversation_of(item) for item in self._query(request)]

    def get(self, key: ConversationKey) -> Conversation | None:
        with translated():
            response = self._dynamodb.get_item(
                TableName=self._table, Key=item_to_wire(_key_of(key)), ConsistentRead=True
            )
        item = response.get("Item")
        return conversation_of(from_wire(item)) if item else None

    def open(self, conversation: Conversation) -> bool:
        now = iso(self._clock())
        try:
            with translated():
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=item_to_wire(opened_item_of(replace(conversation, created_at=now))),
                    ConditionExpression="attribute_not_exists(#id)",
                    ExpressionAttributeNames={"#id": "conversation_id"},
                )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def record(self, seen: Conversation, message: Waiting, *, opted_out: bool | None) -> Recorded:
        """Raises TryAgain if the record is gone or moves faster than it can be decided on."""
        for _ in range(_ATTEMPTS):
            outcome = self._update(seen.key, self._recording(seen, message, opted_out), returns="ALL_NEW")
            if outcome.done:
                after = conversation_of(outcome.item)
                return Recorded(after, after.received)
            if not outcome.item:
                break
            found = conversation_of(outcome.item)
            number = found.number_of(message.message_id)
            if number is not None:
                return Recorded(found, number, again=True)
            if found.status in CLOSED and seen.status not in CLOSED:
                break
            seen = found
        raise TryAgain("the record is gone or closed, or it changes faster than a message can be taken in")

    def close(self, seen: Conversation) -> Conversation | None:
        update = self._touched().set("answered", seen.received)
        update.remove("waiting", "overflowing", "untold", "rescues", "rescued_at")
        if seen.outgoing is None:
            update.remove("unanswered_since", "rescue_shard")
        return self._done(seen.key, _same_numbers(_same_outgoing(update, seen), seen))

    def commit(
        self,
        seen: Conversation,
        outgoing: Outgoing,
        *,
        newer_may_wait: bool,
        outcome: str | None = None,
        thread: Thread | None = None,
    ) -> Conversation | None:
        update = self._touched()
        update.set("answered", outgoing.to).set("outgoing", outgoing_item_of(outgoing)).set("epoch", seen.epoch)
        update.set("conversation_status", Status.AI_RESPONSE_READY.value)
        update.remove_first("waiting", len(seen.waiting)).remove("rescues", "rescued_at")
        if outcome is not None:
            update.set("task_complete", 1).set("task_outcome", outcome)
        if thread is not None:
            update.set("thread_id", thread.id).set("thread_state", thread_item_of(thread))
        # nothing was answered since, by a turn or by a human
        update.only_if_equal("answered", seen.answered, absent_means=0)
        update.only_if_equal("epoch", seen.epoch, absent_means=0)
        _no_human(update)
        _may_be_sent(update)
        # no other answer is on its way
        update.only_if("attribute_not_exists({0})", "outgoing")
        if outgoing.is_apology:
            update.set("apologised", True)
        if not newer_may_wait:
            # nothing newer came in while the engine was thinking
            update.only_if_equal("received", outgoing.to, absent_means=0).remove("overflowing")
        written = self._update(seen.key, update, returns="ALL_NEW")
        after = conversation_of(written.item) if written.item else None
        if written.done or _holds(after, outgoing.token):
            return after
        return None

    def claim(self, key: ConversationKey, *, claim: str, at: datetime) -> Claim:
        update = self._touched().set("outgoing.state", OutgoingState.CLAIMED.value)
        update.count_up("outgoing.attempts").set("outgoing.claim_token", claim)
        update.set("outgoing.claimed_at", iso(at)).set_if_absent("outgoing.first_claimed_at", iso(at))
        # exclusive: a claimed answer may be out already
        update.only_if("{0} = {ready}", "outgoing.state", ready=OutgoingState.READY.value)
        # the conversation has not changed hands since the answer was committed
        update.only_if("{0} = {1}", "outgoing.epoch", "epoch")
        _no_human(update)
        _may_be_sent(update)
        outcome = self._update(key, update, returns="ALL_NEW")
        found = conversation_of(outcome.item) if outcome.item else None
        ours = found is not None and found.outgoing is not None and found.outgoing.claim == claim
        return Claim(outcome.done or ours, found)

    def sent_part(
        self, key: ConversationKey, *, token: str, part: int, provider_id: str, claim: str | None = None
    ) -> Conversation | None:
        update = self._touched().set(f"outgoing.parts[{part}].provider_id", provider_id)
        update.only_if_equal("outgoing.token", token)
        if claim is not None:
            # whoever goes on posting still has the claim, and its time counts anew
            update.set("outgoing.claimed_at", iso(self._clock())).only_if_equal("outgoing.claim_token", claim)
        return self._done(key, update)

    def finish(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        outgoing = seen.outgoing
        assert outgoing is not None, "only an answer on its way can be finished"
        answer = {
            "message_ids": [part.provider_id for part in outgoing.parts],
            "sent_at": iso(at),
            "from": outgoing.after,
            "to": outgoing.to,
        }
        return self._end_outgoing(seen, {"last_answer": answer}, is_out=True)

    def drop(self, seen: Conversation) -> Conversation | None:
        return self._end_outgoing(seen, {}, is_out=False)

    def release(self, seen: Conversation) -> Conversation | None:
        update = self._touched().set("outgoing.state", OutgoingState.READY.value).remove("outgoing.claim_token")
        return self._done(seen.key, _same_outgoing(update, seen))

    def change_hands(
        self, seen: Conversation, *, to_human: bool, reason: str | None, status: str, drop_outgoing: bool
    ) -> Conversation | None:
        update = self._touched().set("hand_off_to_human", to_human).set("epoch", seen.epoch + 1)
        update.set("conversation_status", str(status))
        if to_human:
            update.set("hand_off_to_human_reason", reason or "").set("untold", True)
            update.set_if_absent("unanswered_since", iso(self._clock()))
            update.set_if_absent("rescue_shard", _shard_of(seen.key))
        else:
            update.remove("hand_off_to_human_reason", "handoff_to_human", "waiting", "overflowing")
            update.set("answered", seen.received)
            if seen.outgoing is None:
                update.remove("unanswered_since", "rescue_shard")
        if drop_outgoing:
            update.remove("outgoing")
        return self._done(seen.key, _same_numbers(_same_outgoing(update, seen), seen))

    def offer(self, seen: Conversation, outgoing: Outgoing) -> Conversation | None:
        now = iso(self._clock())
        update = self._touched().set("outgoing", outgoing_item_of(outgoing)).set("epoch", seen.epoch)
        update.set("conversation_status", Status.AI_RESPONSE_READY.value)
        update.set_if_absent("unanswered_since", now).set_if_absent("rescue_shard", _shard_of(seen.key))
        _no_human(update)
        _may_be_sent(update)
        return self._done(seen.key, _same_numbers(_same_outgoing(update, seen), seen))

    def opt(self, key: ConversationKey, *, out: bool) -> None:
        self._done(key, self._touched().set("opted_out", out))

    def overdue(self, before: datetime, *, limit: int) -> Sequence[ConversationKey]:
        found: list[dict[str, Any]] = []
        for shard in range(SHARDS):
            request: dict[str, Any] = {
                "TableName": self._table,
                "IndexName": _INDEX,
                "KeyConditionExpression": "#shard = :shard AND #since < :before",
                "ExpressionAttributeNames": {"#shard": "rescue_shard", "#since": "unanswered_since"},
                "ExpressionAttributeValues": {":shard": to_wire(str(shard)), ":before": to_wire(iso(before))},
                "Limit": limit,
            }
            with translated():
                response = self._dynamodb.query(**request)
            found += [from_wire(item) for item in response.get("Items", [])]
        longest_first = sorted(found, key=lambda item: str(item["unanswered_since"]))[:limit]
        return [ConversationKey(item["primary_channel"], item["conversation_id"]) for item in longest_first]

    def rescued(self, seen: Conversation, *, at: datetime) -> Conversation | None:
        update = self._touched().count_up("rescues").set("rescued_at", iso(at))
        update.only_if_equal("rescues", seen.rescues, absent_means=0)
        return self._done(seen.key, _same_numbers(_same_outgoing(update, seen), seen))

    def _recording(self, seen: Conversation, message: Waiting, opted_out: bool | None) -> Update:
        now = iso(message.received_at)
        update = self._touched().count_up("received").set("last_inbound_at", now)
        update.set("conversation_status", (Status.OPTED_OUT if opted_out else Status.USER_REPLY_RECEIVED).value)
        update.set_if_absent("unanswered_since", now).set_if_absent("rescue_shard", _shard_of(seen.key))
        update.set_if_absent("reference", self._identifiers())
        if opted_out is not None:
            update.set("opted_out", opted_out)
        _live_on(update, seen, message)
        if seen.status not in CLOSED:
            # it was not closed meanwhile: then the message belongs elsewhere
            update.only_if_none_of("conversation_status", CLOSED)
        # a message is taken in once
        update.only_if("NOT contains({0}, {id})", "recent_message_ids", id=message.message_id)
        self._add_id(update, seen, message)
        if seen.overflowing or len(seen.waiting) >= MOST_WAITING:
            update.set("overflowing", True)
            # there is no room, or an earlier message found none: the order must not be broken
            no_room = "({0} = {yes} OR (attribute_exists({1}) AND size({1}) >= {most}))"
            update.only_if(no_room, "overflowing", "waiting", yes=True, most=MOST_WAITING)
            return update
        update.append("waiting", waiting_item_of(message))
        update.only_if("attribute_not_exists({0})", "overflowing")
        return update.only_if("(attribute_not_exists({0}) OR size({0}) < {most})", "waiting", most=MOST_WAITING)

    def _add_id(self, update: Update, seen: Conversation, message: Waiting) -> None:
        if len(seen.recent_message_ids) < MOST_IDS:
            update.append("recent_message_ids", message.message_id)
            update.only_if("(attribute_not_exists({0}) OR size({0}) < {most})", "recent_message_ids", most=MOST_IDS)
            return
        kept = [*seen.recent_message_ids[-(IDS_KEPT - 1) :], message.message_id]
        # nobody else added an id since these were read
        update.set("recent_message_ids", kept).only_if_equal("received", seen.received, absent_means=0)

    def _end_outgoing(self, seen: Conversation, changes: dict[str, Any], *, is_out: bool) -> Conversation | None:
        """Removes the answer of `seen`; if only messages came in or hands changed since, with what is true now."""
        for _ in range(_ATTEMPTS):
            outcome = self._update(seen.key, self._ending(seen, changes, is_out), returns="ALL_NEW")
            found = conversation_of(outcome.item) if outcome.item else None
            if outcome.done or found is None or not _same_claim(found, seen):
                return found if outcome.done else None
            seen = replace(found, outgoing=seen.outgoing)
        raise TryAgain("the record changes faster than an answer can be finished")

    def _ending(self, seen: Conversation, changes: dict[str, Any], is_out: bool) -> Update:
        assert seen.outgoing is not None
        update = self._touched().remove("outgoing", "rescues", "rescued_at")
        for name, value in changes.items():
            update.set(name, value)
        same_hands = seen.epoch == seen.outgoing.epoch
        hands_over = seen.outgoing.hands_over if is_out and same_hands else None
        if hands_over:
            _hand_over(update, seen, hands_over)
        if is_out and same_hands:
            _end_status(update, seen.status, ends_with(seen.outgoing))
        if not is_out or hands_over:
            update.set("untold", True)
        if seen.untold:
            update.only_if("{0} = {yes}", "untold", yes=True)
        if not is_out or hands_over or seen.untold or not same_hands:
            # somebody must still be told, so the sparse index keeps the record
            update.set_if_absent("unanswered_since", iso(self._clock()))
            update.set_if_absent("rescue_shard", _shard_of(seen.key))
        elif seen.somebody_waits:
            oldest = seen.waiting[0].received_at if seen.waiting else seen.last_inbound_at or self._clock()
            update.set("unanswered_since", iso(oldest)).set("rescue_shard", _shard_of(seen.key))
        else:
            update.remove("unanswered_since", "rescue_shard")
        return _same_numbers(_same_outgoing(update, seen), seen)

    def _touched(self) -> Update:
        return Update().set("updated_at", iso(self._clock()))

    def _done(self, key: ConversationKey, update: Update) -> Conversation | None:
        outcome = self._update(key, update, returns="ALL_NEW")
        return conversation_of(outcome.item) if outcome.done else None

    def _update(self, key: ConversationKey, update: Update, *, returns: str) -> _Outcome:
        # nothing of ours makes a record: what is gone stays gone
        update.only_if("attribute_exists({0})", "primary_channel")
        try:
            with translated():
                response = self._dynamodb.update_item(**update.request(self._table, _key_of(key), returns=returns))
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return _Outcome(False, from_wire(item_of(error)))
        return _Outcome(True, from_wire(response.get("Attributes") or {}))

    def _query(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            with translated():
                response = self._dynamodb.query(**request)
            items += [from_wire(item) for item in response.get("Items", [])]
            if "LastEvaluatedKey" not in response:
                return items
            request = {**request, "ExclusiveStartKey": response["LastEvaluatedKey"]}


def _key_of(key: ConversationKey) -> dict[str, str]:
    return {"primary_channel": key.person, "conversation_id": key.conversation_id}


def _shard_of(key: ConversationKey) -> str:
    return str(crc32(f"{key.person}\n{key.conversation_id}".encode()) % SHARDS)


def _hand_over(update: Update, seen: Conversation, reason: str) -> None:
    """A human has it from now on; one who has it already keeps the first reason."""
    update.set("hand_off_to_human", True).set("epoch", seen.epoch + 1)
    update.set_if_absent("hand_off_to_human_reason", reason)


def _end_status(update: Update, status: str, ends: Mapping[str, str]) -> None:
    """A status that ends with the answer does; any other is somebody else's, and stays."""
    if status in ends:
        update.set("conversation_status", ends[status]).only_if_equal("conversation_status", status)
    else:
        update.only_if_none_of("conversation_status", [str(each) for each in ends])


def _live_on(update: Update, seen: Conversation, message: Waiting) -> None:
    """A record must not be deleted while somebody waits in it; nor does it get an end that it did not have."""
    if seen.expires_at is None:
        update.only_if("NOT attribute_type({0}, {number})", "ttl", number="N")
        return
    update.set("ttl", max(seen.expires_at, int((message.received_at + LIVES_ON).timestamp())))
    # nobody else moved its end; a fraction of a second is not read
    update.only_if("{0} > {less} AND {0} < {more}", "ttl", less=seen.expires_at - 1, more=seen.expires_at + 1)


def _no_human(update: Update) -> None:
    update.only_if_none_of("hand_off_to_human", TRUE).only_if_none_of("handoff_to_human", TRUE)


def _may_be_sent(update: Update) -> None:
    """The conversation is not over, and the person still wants messages."""
    update.only_if_none_of("conversation_status", CLOSED)
    update.only_if_none_of("opted_out", TRUE).only_if_none_of("comms_consent", FALSE)


def _same_numbers(update: Update, seen: Conversation) -> Update:
    """Nothing came in, was answered or changed hands since the record was read."""
    update.only_if_equal("received", seen.received, absent_means=0)
    update.only_if_equal("answered", seen.answered, absent_means=0)
    return update.only_if_equal("epoch", seen.epoch, absent_means=0)


def _same_outgoing(update: Update, seen: Conversation) -> Update:
    """The answer on its way, or that there is none, is still what was read."""
    outgoing = seen.outgoing
    if outgoing is None:
        return update.only_if("attribute_not_exists({0})", "outgoing")
    update.only_if_equal("outgoing.token", outgoing.token)
    update.only_if_equal("outgoing.state", outgoing.state.value)
    update.only_if_equal("outgoing.claimed_at", iso(outgoing.claimed_at) if outgoing.claimed_at else None)
    return update.only_if_equal("outgoing.claim_token", outgoing.claim)


def _same_claim(found: Conversation, seen: Conversation) -> bool:
    now, before = found.outgoing, seen.outgoing
    if now is None or before is None:
        return False
    return now.is_same_claim_as(before)


def _holds(after: Conversation | None, token: str) -> bool:
    """Whether a condition failed only because our own write had arrived before."""
    return after is not None and after.outgoing is not None and after.outgoing.token == token
