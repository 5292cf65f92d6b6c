"""Where ministack 1.5.33 answers differently from AWS and this application would notice: corrected in place.

Each correction names the page of the AWS documentation that it follows. ministack's settings must be in the
environment before this module is imported.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from ministack.services import dynamodb, sqs
from ministack.services.cloudformation import provisioners

Request = dict[str, Any]
Answer = dict[str, Any]
Action = Callable[[Request, str], Any]
Item = dict[str, Any]
Token = tuple[str, str]
Path = list[str | int]

_RECEIPT_HANDLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")


def fill() -> None:
    """Corrects ministack for this process."""
    _check_seconds()
    _forgive_old_receipt_handles()
    _add_redrive()
    _remove_list_elements_together()
    _refuse_overlapping_paths()
    _create_only_what_is_new()


# SQS: limits (API_SendMessage, API_ReceiveMessage, API_ChangeMessageVisibility)


def _check_seconds() -> None:
    sqs._act_send_message = _within(sqs._act_send_message, "DelaySeconds", 900)
    sqs._HANDLERS["SendMessage"] = sqs._act_send_message
    for action, name, most in (
        ("ReceiveMessage", "WaitTimeSeconds", 20),
        ("ReceiveMessage", "VisibilityTimeout", 43_200),
        ("ChangeMessageVisibility", "VisibilityTimeout", 43_200),
    ):
        sqs._HANDLERS[action] = _within(sqs._HANDLERS[action], name, most)


def _within(action: Action, name: str, most: int) -> Action:
    """The action, refusing a number of seconds that is not between 0 and `most`."""

    def checked(data: Request, url: str) -> Any:
        seconds = data.get(name)
        if seconds is not None and not 0 <= int(seconds) <= most:
            reason = f"must be from 0 to {most}"
            raise sqs._Err("InvalidParameterValue", f"{name} is {seconds}; it {reason}.")
        return action(data, url)

    return checked


# SQS: deleting with an earlier receipt handle succeeds and may leave the message (API_DeleteMessage)


def _forgive_old_receipt_handles() -> None:
    delete: Action = sqs._HANDLERS["DeleteMessage"]
    delete_batch: Action = sqs._HANDLERS["DeleteMessageBatch"]

    def forgiving(data: Request, url: str) -> Answer:
        try:
            return _answer(delete(data, url))
        except sqs._Err as error:
            if error.code != "ReceiptHandleIsInvalid" or not _was_a_handle(data):
                raise
            return {}

    def forgiving_batch(data: Request, url: str) -> Answer:
        answer = _answer(delete_batch(data, url))
        entries = {entry["Id"]: entry for entry in data["Entries"]}
        gone = [failure for failure in answer["Failed"] if _was_a_handle(entries[failure["Id"]])]
        return {
            "Successful": answer["Successful"] + [{"Id": failure["Id"]} for failure in gone],
            "Failed": [failure for failure in answer["Failed"] if failure not in gone],
        }

    sqs._HANDLERS.update(DeleteMessage=forgiving, DeleteMessageBatch=forgiving_batch)


def _was_a_handle(entry: Request) -> bool:
    return _RECEIPT_HANDLE.fullmatch(entry.get("ReceiptHandle", "")) is not None


def _answer(value: Any) -> Answer:
    answer: Answer = value
    return answer


# SQS: redrive of dead-letter queues (API_ListDeadLetterSourceQueues, API_StartMessageMoveTask and the like)


def _add_redrive() -> None:
    sqs._HANDLERS.update(
        ListDeadLetterSourceQueues=_list_sources,
        StartMessageMoveTask=_start_move,
        ListMessageMoveTasks=_list_moves,
        CancelMessageMoveTask=_cancel_move,
    )


def _list_sources(data: Request, url: str) -> Answer:
    queue = sqs._get_q(data.get("QueueUrl", url))
    return {"queueUrls": [source["url"] for source in _sources(_arn(queue))]}


def _start_move(data: Request, _: str) -> Answer:
    """Moves everything at once; what is in flight stays, as it does on AWS."""
    arn = data["SourceArn"]
    queue, target = _existing(arn), data.get("DestinationArn")
    sources = _sources(arn)
    if not sources:
        raise sqs._Err("UnsupportedOperation", "No queue names this one as its dead-letter queue.")
    to = _existing(target) if target else None
    waiting = [message for message in queue["messages"] if message["visible_at"] <= time.time()]
    for message in waiting:
        queue["messages"].remove(message)
        _send_again(message, to or _origin(message, sources))
    queue.setdefault("moves", []).insert(0, _move(arn, target, len(waiting)))
    return {"TaskHandle": str(uuid.uuid4())}


def _existing(arn: str) -> Item:
    queue: Item | None = sqs._queue_by_arn(arn)
    if queue is None:
        raise sqs._Err("ResourceNotFoundException", "There is no queue with this ARN.")
    return queue


def _origin(message: Item, sources: list[Item]) -> Item:
    came_from = message["sys"].get("DeadLetterQueueSourceArn")
    return next((source for source in sources if _arn(source) == came_from), sources[0])


def _send_again(message: Item, queue: Item) -> None:
    """A redriven message is a new one: new id, receive count 0."""
    attributes = message.get("message_attributes") or None
    again = {"MessageBody": message["body"], "MessageAttributes": attributes, "DelaySeconds": 0}
    sqs._act_send_message({**again, "QueueUrl": queue["url"]}, queue["url"])


def _move(arn: str, target: str | None, moved: int) -> Answer:
    return {
        "Status": "COMPLETED",
        "SourceArn": arn,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": moved,
        "StartedTimestamp": int(time.time() * 1000),
        **({"DestinationArn": target} if target else {}),
    }


def _list_moves(data: Request, _: str) -> Answer:
    moves = _existing(data["SourceArn"]).get("moves", [])
    return {"Results": moves[: int(data.get("MaxResults", 1))]}


def _cancel_move(_: Request, __: str) -> Answer:
    raise sqs._Err("ResourceNotFoundException", "No move with this handle is running.")


def _sources(dead_letter_arn: str) -> list[Item]:
    return [queue for queue in sqs._queues.values() if _dead_letter_arn(queue) == dead_letter_arn]


def _dead_letter_arn(queue: Item) -> str | None:
    policy = sqs.json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
    arn: str | None = policy.get("deadLetterTargetArn")
    return arn


def _arn(queue: Item) -> str:
    arn: str = queue["attributes"]["QueueArn"]
    return arn


# DynamoDB: the indexes of one REMOVE all mean the list as it was before (Expressions.UpdateExpressions)


def _remove_list_elements_together() -> None:
    dynamodb._apply_remove = _remove


def _remove(item: Item, tokens: list[Token], names: Mapping[str, str], updated: set[Any]) -> None:
    paths = [_path(part, names) for part in dynamodb._split_by_comma(tokens)]
    for path in sorted(paths, key=_order, reverse=True):  # the last element first, so that none moves
        updated.add(tuple(path))
        dynamodb._remove_at_path(item, path)


def _path(tokens: list[Token], names: Mapping[str, str]) -> Path:
    path: Path = dynamodb._parse_path_from_tokens(tokens, names)
    return path


def _order(path: Path) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (-1, step) for step in path]


# DynamoDB: no update names a place twice, nor a place and what is inside it (Expressions.UpdateExpressions)


def _refuse_overlapping_paths() -> None:
    apply = dynamodb._apply_update_expression

    def checked(item: Item, text: str, values: Item, names: Mapping[str, str], *rest: Any) -> Any:
        paths = sorted(_targets(dynamodb._tokenize(text), names), key=_order)
        for one, other in pairwise(paths):
            if other[: len(one)] == one:
                problem = f"two document paths overlap: {_spelled(one)} and {_spelled(other)}"
                raise ValueError(f"Invalid UpdateExpression: {problem}")
        return apply(item, text, values, names, *rest)

    dynamodb._apply_update_expression = checked


def _targets(tokens: list[Token], names: Mapping[str, str]) -> Iterable[Path]:
    """What each action of an update expression writes to."""
    clause: list[Token] = []
    for token in tokens:
        if token[0] == "EOF" or (token[0] == "IDENT" and token[1].upper() in _CLAUSES):
            yield from (_path(part, names) for part in dynamodb._split_by_comma(clause) if part)
            clause = []
        else:
            clause.append(token)


def _spelled(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


# CloudFormation: a resource whose name is taken is not created (troubleshooting, "already exists"), and a
# table's time to live and backups are set as the template says (AWS::DynamoDB::Table)


def _create_only_what_is_new() -> None:
    tables = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    queues = provisioners._RESOURCE_HANDLERS["AWS::SQS::Queue"]
    tables["create"] = _creating(tables["create"], "TableName", dynamodb._tables, _after_table)
    queues["create"] = _creating(queues["create"], "QueueName", sqs._queue_name_to_url, lambda _: None)


def _creating(
    create: Callable[[str, Item, str], Any], key: str, existing: Any, then: Callable[[Item], None]
) -> Callable[[str, Item, str], Any]:
    def checked(logical_id: str, properties: Item, stack: str) -> Any:
        if properties.get(key) in existing:
            raise ValueError(f"{properties[key]} already exists")
        created = create(logical_id, properties, stack)
        then(properties)
        return created

    return checked


def _after_table(properties: Item) -> None:
    settings: tuple[tuple[str, Callable[[Item], Any]], ...] = (
        ("TimeToLiveSpecification", dynamodb._update_ttl),
        ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups),
    )
    for name, apply in settings:
        if name in properties:
            apply({"TableName": properties["TableName"], name: properties[name]})
