"""Where people write from: control routes for incoming messages, for what was exchanged, and for events."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from local import demo_company
from local.twilio.config import Config, Number, channel_of
from local.twilio.delivery import Delivery
from local.twilio.inbound import contact_card, fields_of_extras, fields_of_files, instructions_in, webhook_form
from local.twilio.ledger import Ledger, Message, Status
from local.twilio.media import MediaApi, StoredFile, UnusableFileError
from local.twilio.messages import new_sid, tell_accepted
from local.twilio.webhooks import Answer, Form, Webhook

HEARTBEAT_SECONDS = 15.0  # a comment on a silent event stream, so that a closed one is noticed

Json = dict[str, Any]


class UnusableError(ValueError):
    """What a person's message lacks; the text says what."""


@dataclass(frozen=True)
class People:
    """The routes under `/_people` and `/_events`, and `DELETE /_state`."""

    config: Config
    ledger: Ledger
    delivery: Delivery
    files: MediaApi
    sent: dict[str, Webhook] = field(default_factory=dict)  # by message, to repeat them

    def routes(self) -> Blueprint:
        routes = Blueprint("people", __name__)
        routes.register_error_handler(UnusableFileError, lambda error: ({"error": str(error)}, HTTPStatus.BAD_REQUEST))
        routes.register_error_handler(UnusableError, lambda error: ({"error": str(error)}, HTTPStatus.BAD_REQUEST))
        routes.post("/_people/messages")(self.write)
        routes.get("/_people/messages")(self.exchanged)
        routes.post("/_people/messages/<sid>/repeat")(self.repeat)
        routes.post("/_people/forged")(self.forge)
        routes.get("/_events")(self.events)
        routes.get("/_events/stream")(self.stream)
        routes.delete("/_state")(self.forget)
        return routes

    def write(self) -> ResponseReturnValue:
        """A person sends a message: `body`, `files`, and whatever `inbound.fields_of_extras` knows.

        `wait` for what the application says; `deliver: false` loses the webhook; `params` override the form.
        """
        asked = request.get_json()
        webhook = self._webhook(asked)
        message = _message_of(webhook.params)
        self.ledger.add(message)
        self.sent[message.sid] = webhook
        self.ledger.tell("inbound", **_seen(message))
        answer = self._deliver_as_asked(asked, message, webhook)
        return {"sid": message.sid, "webhook": answer and answer.as_json()}, HTTPStatus.CREATED

    def repeat(self, sid: str) -> ResponseReturnValue:
        """Twilio delivers the same webhook once more."""
        message, webhook = self.ledger.message(sid), self.sent.get(sid)
        if message is None or webhook is None:
            return {"error": "no such incoming message"}, HTTPStatus.NOT_FOUND
        return {"webhook": self._deliver(message, webhook).as_json()}

    def forge(self) -> ResponseReturnValue:
        """Somebody else pretends to be Twilio: the signature is wrong and nothing is recorded."""
        webhook = replace(self._webhook(request.get_json()), signature="Zm9yZ2VkIGZvcmdlZCBmb3JnZSE=")
        answer = webhook.deliver(lambda attempt, answer: None)
        self.ledger.tell("webhook", forged=True, attempt=1, **_told(answer))
        return {"webhook": answer.as_json()}

    def exchanged(self) -> ResponseReturnValue:
        """Messages with this person, with this own address; in order of creation."""
        ends = request.args.get("person"), request.args.get("own")
        return {"messages": [_shown(it) for it in self.ledger.messages() if it.is_between(*ends)]}

    def events(self) -> ResponseReturnValue:
        after = request.args.get("after", 0, int)
        return {"events": self.ledger.events(after), "last": self.ledger.last_event}

    def stream(self) -> ResponseReturnValue:
        """The same as server-sent events, without end; a browser that reconnects goes on where it was."""
        after = request.headers.get("Last-Event-ID", type=int) or request.args.get("after", 0, int)
        return Response(self._stream(after), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})

    def forget(self) -> ResponseReturnValue:
        self.ledger.forget()
        self.files.forget()
        self.sent.clear()
        return "", HTTPStatus.NO_CONTENT

    def _stream(self, after: int) -> Iterator[str]:
        yield ": open\n\n"
        while True:
            events = self.ledger.next_events(after, HEARTBEAT_SECONDS)
            for event in events:
                yield f"id: {event['id']}\ndata: {json.dumps(event)}\n\n"
            after = max([after, *(int(str(event["id"])) for event in events)])
            if not events:
                yield ": still here\n\n"

    def _webhook(self, asked: Json) -> Webhook:
        number = self._number(asked)
        account = self.config.account(number.account_sid)
        if account is None:
            raise UnusableError(f"no account {number.account_sid}")
        sid = new_sid("MM" if asked.get("files") and channel_of(number.address) == "sms" else "SM")
        files = [self.files.keep(account.sid, sid, file) for file in _files_in(asked)]
        return Webhook.signed(number.webhook_url, _form(asked, number, sid, files), account.auth_token)

    def _number(self, asked: Json) -> Number:
        if not (asked.get("from") and asked.get("to")):
            raise UnusableError("from and to are required")
        number = self.config.number(asked["to"])
        if number is None:
            raise UnusableError(f"nobody owns {asked['to']}")
        return number

    def _deliver_as_asked(self, asked: Json, message: Message, webhook: Webhook) -> Answer | None:
        if asked.get("deliver") is False:
            return None
        if asked.get("wait"):
            return self._deliver(message, webhook)
        threading.Thread(target=self._deliver, args=(message, webhook), daemon=True).start()
        return None

    def _deliver(self, message: Message, webhook: Webhook) -> Answer:
        answer = webhook.deliver(lambda attempt, answer: self._tell(message, attempt, answer))
        if answer.failure is None:
            for text in instructions_in(answer).replies:
                self._reply(message, text)
        return answer

    def _tell(self, message: Message, attempt: int, answer: Answer) -> None:
        warning = instructions_in(answer).warning if answer.failure is None else None
        self.ledger.tell("webhook", sid=message.sid, attempt=attempt, warning=warning, **_told(answer))

    def _reply(self, to: Message, text: str) -> None:
        """What TwiML asks for: a message back to the person."""
        reply = Message(
            sid=new_sid("SM"),
            account_sid=to.account_sid,
            direction="outbound-reply",
            sender=to.recipient,
            recipient=to.sender,
            body=text,
            statuses=(Status("queued"),),
        )
        self.ledger.add(reply)
        tell_accepted(self.ledger, reply)
        self.delivery.start(reply)


def _files_in(asked: Json) -> list[Json]:
    """The files that a person sends; a contact goes out as a card."""
    contact = asked.get("contact")
    card = [{"content": contact_card(contact), "content_type": "text/vcard"}] if contact else []
    return [*(asked.get("files") or []), *card]


def _form(asked: Json, number: Number, sid: str, files: list[StoredFile]) -> Form:
    form: dict[str, object] = {
        **webhook_form(
            sid=sid,
            account_sid=number.account_sid,
            sender=asked["from"],
            recipient=asked["to"],
            body=asked.get("body") or "",
            profile_name=asked.get("profile_name") or _name_of(asked["from"]),
        ),
        **fields_of_files(files, request.host_url, number.address),
        **fields_of_extras(asked, number.address),
        **(asked.get("params") or {}),
    }
    return {name: str(value) for name, value in form.items() if value is not None}


def _message_of(form: Form) -> Message:
    media = (form.get(f"MediaUrl{at}", "") for at in range(int(form.get("NumMedia", "0"))))
    return Message(
        sid=form["MessageSid"],
        account_sid=form["AccountSid"],
        direction="inbound",
        sender=form["From"],
        recipient=form["To"],
        body=form.get("Body", ""),
        statuses=(Status("received"),),
        messaging_service_sid=form.get("MessagingServiceSid"),
        media=tuple(media),
        params=form,
    )


def _name_of(address: str) -> str:
    names = (person.name for person in demo_company.PEOPLE if address.endswith(person.number))
    return next(names, "Somebody")


def _told(answer: Answer) -> Json:
    return {
        "status": answer.status,
        "milliseconds": answer.milliseconds,
        "error_code": answer.error_code,
    }


def _seen(message: Message) -> Json:
    return {
        "sid": message.sid,
        "from": message.sender,
        "to": message.recipient,
        "body": message.body,
    }


def _shown(message: Message) -> Json:
    return {
        **_seen(message),
        "direction": message.direction,
        "status": message.status,
        "created_at": message.created_at.isoformat(timespec="milliseconds"),
        "statuses": [
            {"status": status.name, "at": status.at.isoformat(timespec="milliseconds")} for status in message.statuses
        ],
        "media": list(message.media),
        "params": dict(message.params),
        "error_code": message.error_code,
    }
