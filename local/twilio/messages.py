"""Twilio's REST API for messages (2010-04-01): create, list, fetch."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Self
from urllib.parse import urlencode
from uuid import uuid4

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from local.faults import Fault, Faults
from local.serving import hang_up, hold
from local.twilio import refusals
from local.twilio.config import Config, channel_of
from local.twilio.delivery import Delivery, Fate, meaning_of
from local.twilio.ledger import Ledger, Message, Status
from local.twilio.refusals import Refusal, refusal_of
from local.twilio.segments import segments_of

API_VERSION = "2010-04-01"
ACCOUNT_PATH = f"/{API_VERSION}/Accounts/<account_sid>"
HOLD_SECONDS = 60.0  # unless the fault says otherwise; longer than any client should wait
DEFAULT_REFUSAL = 21610
PAGE_SIZE, LARGEST_PAGE = 50, 1000

FAULTS = frozenset({"accept_then_timeout", "timeout", "http_500", "http_429", "refuse"})


@dataclass(frozen=True)
class MessagesApi:
    """The routes under `/2010-04-01/Accounts/{AccountSid}/Messages`."""

    config: Config
    ledger: Ledger
    faults: Faults
    delivery: Delivery

    def routes(self) -> Blueprint:
        routes = Blueprint("messages", __name__)
        routes.before_request(self._authenticate)
        routes.post(f"{ACCOUNT_PATH}/Messages.json")(self.create)
        routes.get(f"{ACCOUNT_PATH}/Messages.json")(self.list)
        routes.get(f"{ACCOUNT_PATH}/Messages/<sid>.json")(self.fetch)
        return routes

    def create(self, account_sid: str) -> ResponseReturnValue:
        fault = self.faults.take(FAULTS)
        if fault and fault.kind == "timeout":
            return _no_answer(fault)
        if refusal := _ordered_refusal(fault) or refusal_of(request.form, account_sid, self.config):
            return self._refuse(refusal)
        message = self._accept(account_sid, request.form)
        if fault and fault.kind == "accept_then_timeout":
            return _no_answer(fault)
        return resource_of(message), HTTPStatus.CREATED

    def list(self, account_sid: str) -> ResponseReturnValue:
        wanted = _Filter.of(request.args)
        newest_first = reversed(self.ledger.messages())
        found = [it for it in newest_first if it.account_sid == account_sid and wanted.admits(it)]
        return _page(found, request.args)

    def fetch(self, account_sid: str, sid: str) -> ResponseReturnValue:
        message = self.ledger.message(sid)
        if message is None or message.account_sid != account_sid:
            return refusals.not_found(request.path).as_response()
        return resource_of(message)

    def _authenticate(self) -> Response | None:
        return not_authenticated(self.config, (request.view_args or {})["account_sid"])

    def _refuse(self, refusal: Refusal) -> Response:
        self.ledger.tell("refused", code=refusal.code, to=request.form.get("To"), status=int(refusal.status))
        return refusal.as_response()

    def _accept(self, account_sid: str, form: MultiDict[str, str]) -> Message:
        message = self._new_message(account_sid, form)
        self.ledger.add(message)
        tell_accepted(self.ledger, message)
        self.delivery.start(message, form.get("StatusCallback", ""), Fate.drawn_from(self.faults))
        return message

    def _new_message(self, account_sid: str, form: MultiDict[str, str]) -> Message:
        media = tuple(form.getlist("MediaUrl"))
        return Message(
            sid=new_sid("MM" if media and channel_of(form["To"]) == "sms" else "SM"),
            account_sid=account_sid,
            direction="outbound-api",
            sender=form.get("From") or self._sender_of_service(account_sid, form["To"]),
            recipient=form["To"],
            body=form.get("Body") or _template_text(form),
            statuses=(Status("accepted" if form.get("MessagingServiceSid") else "queued"),),
            messaging_service_sid=form.get("MessagingServiceSid"),
            media=media,
        )

    def _sender_of_service(self, account_sid: str, recipient: str) -> str:
        number = self.config.sender_for(account_sid, recipient)
        assert number is not None, "a service without a sender is refused before"
        return number.address


def not_authenticated(config: Config, account_sid: str) -> Response | None:
    """The answer to a request that does not bring credentials of this account; None to one that does."""
    given = request.authorization
    account = config.account(account_sid)
    if account and given and account.admits(given.username or "", given.password or ""):
        return None
    response = refusals.NOT_AUTHENTICATED.as_response()
    response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    return response


def new_sid(prefix: str) -> str:
    """A Twilio identifier: two letters and 32 hexadecimal digits."""
    return f"{prefix}{uuid4().hex}"


def tell_accepted(ledger: Ledger, message: Message) -> None:
    ledger.tell(
        "accepted",
        sid=message.sid,
        direction=message.direction,
        **{"from": message.sender, "to": message.recipient},
        body=message.body,
        status=message.status,
    )


def resource_of(message: Message) -> dict[str, object]:
    """The message as Twilio's API represents it."""
    path = f"/{API_VERSION}/Accounts/{message.account_sid}/Messages/{message.sid}"
    waiting_for_sender = message.status == "accepted"
    return {
        "account_sid": message.account_sid,
        "api_version": API_VERSION,
        "body": message.body,
        "date_created": _rfc2822(message.created_at),
        "date_sent": _rfc2822(message.sent_at),
        "date_updated": _rfc2822(message.updated_at),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": meaning_of(message.error_code),
        "from": None if waiting_for_sender else message.sender,
        "messaging_service_sid": message.messaging_service_sid,
        "num_media": str(len(message.media)),
        "num_segments": "0" if waiting_for_sender else str(segments_of(message.body, message.recipient)),
        "price": None,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{path}/Media.json"},
        "to": message.recipient,
        "uri": f"{path}.json",
    }


@dataclass(frozen=True)
class _Span:
    """A day or a second, as a list request names it; `end` is no longer part of it."""

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """Reads `2026-11-22` or `2026-11-22T10:00:00Z`; ignores what is neither."""
        try:
            begin = datetime.fromisoformat(text or "")
        except ValueError:
            return None
        length = timedelta(days=1) if len(text or "") == len("2026-11-22") else timedelta(seconds=1)
        begin = begin.replace(tzinfo=begin.tzinfo or UTC)
        return cls(begin, begin + length)


@dataclass(frozen=True)
class _Filter:
    """What a list is asked for; both ends of a range belong to it."""

    recipient: str | None
    sender: str | None
    on: _Span | None
    until: _Span | None
    since: _Span | None

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> Self:
        return cls(
            recipient=query.get("To"),
            sender=query.get("From"),
            on=_Span.of(query.get("DateSent")),
            until=_Span.of(query.get("DateSent<")),
            since=_Span.of(query.get("DateSent>")),
        )

    def admits(self, message: Message) -> bool:
        return (
            self.recipient in (None, message.recipient)
            and self.sender in (None, message.sender)
            and self._admits_time(message.sent_at)
        )

    def _admits_time(self, sent_at: datetime | None) -> bool:
        """A message that is not sent yet has no date, so that no date finds it."""
        if sent_at is None:
            return not (self.on or self.until or self.since)
        return (
            (self.on is None or self.on.begin <= sent_at < self.on.end)
            and (self.until is None or sent_at < self.until.end)
            and (self.since is None or sent_at >= self.since.begin)
        )


def _page(found: list[Message], query: MultiDict[str, str]) -> dict[str, object]:
    size = min(max(query.get("PageSize", PAGE_SIZE, int), 1), LARGEST_PAGE)
    number = query.get("Page", 0, int)
    start = _start(found, query.get("PageToken"), number * size)
    shown = found[start : start + size]
    more = start + size < len(found)
    return {
        "end": start + max(len(shown) - 1, 0),
        "first_page_uri": _uri(query, size, 0, None),
        "messages": [resource_of(message) for message in shown],
        "next_page_uri": _uri(query, size, number + 1, shown[-1]) if more else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": _uri(query, size, number - 1, None) if number else None,
        "start": start,
        "uri": request.full_path.rstrip("?"),
    }


def _start(found: list[Message], token: str | None, default: int) -> int:
    """Where a page begins: after the message that its token names, so that newer messages do not shift it."""
    sids = [message.sid for message in found]
    last = (token or "").removeprefix("PA")
    return sids.index(last) + 1 if last in sids else default


def _uri(query: MultiDict[str, str], size: int, page: int, after: Message | None) -> str:
    filters = {name: value for name, value in query.items() if name not in ("PageSize", "Page", "PageToken")}
    token = {"PageToken": f"PA{after.sid}"} if after else {}
    return f"{request.path}?{urlencode({**filters, 'PageSize': size, 'Page': page, **token})}"


def _ordered_refusal(fault: Fault | None) -> Refusal | None:
    if fault is None:
        return None
    if fault.kind == "refuse":
        return refusals.ordered(fault.code or DEFAULT_REFUSAL)
    return {"http_500": refusals.SERVER_ERROR, "http_429": refusals.TOO_MANY_REQUESTS}.get(fault.kind)


def _no_answer(fault: Fault) -> Response:
    hold(HOLD_SECONDS if fault.seconds is None else fault.seconds)
    return hang_up()


def _template_text(form: MultiDict[str, str]) -> str:
    """A template's text is not known here; its name and variables stand for it."""
    sid = form.get("ContentSid")
    return f"[{sid} {form.get('ContentVariables', '{}')}]" if sid else ""


def _rfc2822(moment: datetime | None) -> str | None:
    return None if moment is None else format_datetime(moment)
