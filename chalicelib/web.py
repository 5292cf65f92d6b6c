"""The doors' manners: requests and queue messages as the stages know them, and errors as the world may see them."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from chalice.app import Request as ChaliceRequest
from chalice.app import Response, SQSEvent

from chalicelib.config import LONGEST_QUEUE_ATTEMPTS
from chalicelib.context import Context
from chalicelib.errors import Rejected, RelayError
from chalicelib.journal import PowertoolsJournal
from chalicelib.ports import Request

TWIML = "text/xml"


class StageFailed(Exception):
    """A queue message could not be handled and stays on its queue. The cause is in the log."""


def answer(work: Callable[[], str], *, journal: PowertoolsJournal, content_type: str = TWIML) -> Response:
    """Runs a webhook and says what came of it: 4xx for the caller's fault, 5xx for what the provider may repeat.

    The caller never sees a stack trace, and the log never sees what the caller sent.
    """
    try:
        return Response(work(), status_code=200, headers={"Content-Type": content_type})
    except Rejected as rejection:
        journal(
            "webhook_rejected",
            "a request was turned away",
            reason=rejection.reason,
            status=rejection.status,
            wrong_signature=int(rejection.status == 403),
        )
        return _problem(rejection.status, rejection.reason, str(rejection))
    except RelayError as failure:
        journal("webhook_delayed", "the provider is asked to deliver again", error=type(failure).__name__)
        return _problem(503, "try_again", "not now; please deliver again")
    except Exception as error:
        journal.failed("webhook", error)
        return _problem(500, "internal_error", "something went wrong on our side")
    finally:
        journal.flush()


def work_off(event: SQSEvent, handle: Callable[[Context, bool], None], *, journal: PowertoolsJournal) -> None:
    """Handles queue messages; `handle` gets the context object and whether the queue will not try again.

    Raises StageFailed, so that the message stays on its queue and no exception text reaches the log.
    """
    failed = False
    for record in event:
        message_id = None
        try:
            context = Context.from_json(record.body)
            message_id = context.message.message_id
            handle(context, _attempt(record) >= LONGEST_QUEUE_ATTEMPTS)
        except RelayError as failure:
            kind, code = type(failure).__name__, _code(failure)
            journal("stage_delayed", "the queue will try again", message_id=message_id, error=kind, code=code)
            failed = True
        except Exception as error:
            journal.failed("queue", error, message_id=message_id)
            failed = True
    journal.flush()
    if failed:
        raise StageFailed("a queue message could not be handled")


def run(work: Callable[[], object], *, journal: PowertoolsJournal) -> None:
    """Runs a scheduled job. Raises StageFailed where the next run must repair what this one could not."""
    try:
        work()
    except Exception as error:
        journal.failed("schedule", error)
        raise StageFailed("a scheduled job failed") from None
    finally:
        journal.flush()


def request_of(request: ChaliceRequest, path: str, *, public_base_url: str | None) -> Request:
    """The HTTP request as the stages know it. Raises Rejected (400) where the body cannot be decoded."""
    try:
        body = request.raw_body
    except ValueError:
        raise Rejected(400, "unreadable_body", "the body is not valid base64") from None
    headers = {name.lower(): value for name, value in request.headers.items()}
    query = _query(request)
    urls = tuple(f"{url}{query}" for url in _urls(request.context, headers, path, public_base_url))
    return Request(urls=urls, headers=headers, body=body if isinstance(body, bytes) else str(body).encode())


def _urls(context: Mapping[str, Any], headers: Mapping[str, str], path: str, public_base_url: str | None) -> list[str]:
    """How the sender may have known us: the configured address, else the gateway's own, its stage included.

    The gateway's word for its domain cannot be forged; the Host header is asked only where there is no gateway.
    """
    urls = [f"{public_base_url}{path}"] if public_base_url else []
    domain = context.get("domainName")
    if domain:
        urls.append(f"https://{domain}{context.get('path') or path}")
    elif not urls and headers.get("host"):
        scheme = headers.get("x-forwarded-proto", "http").split(",")[0].strip()
        urls.append(f"{scheme}://{headers['host']}{context.get('path') or path}")
    return urls


def _query(request: ChaliceRequest) -> str:
    """The query string, encoded anew, because the gateway hands it over decoded."""
    parameters = request.query_params
    if not parameters:
        return ""
    pairs = [(name, value) for name in parameters for value in parameters.getlist(name)]
    return f"?{urlencode(pairs)}"


def _attempt(record: Any) -> int:
    attributes = record.to_dict().get("attributes") or {}
    return int(attributes.get("ApproximateReceiveCount") or 1)


def _code(failure: RelayError) -> str | None:
    return failure.reason if isinstance(failure, Rejected) else None


def _problem(status: int, reason: str, message: str) -> Response:
    body = {"error": reason, "message": message}
    return Response(body, status_code=status, headers={"Content-Type": "application/json"})
