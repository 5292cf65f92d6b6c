"""Takes an outgoing message through its statuses and calls back at each, as Twilio does."""

import threading
import time
from dataclasses import dataclass

from local.faults import Faults
from local.twilio.config import Config, channel_of
from local.twilio.ledger import Ledger, Message
from local.twilio.webhooks import Answer, Form, Webhook

CALLBACK_FAULTS = frozenset({"lose_callbacks", "repeat_callbacks", "reorder_callbacks"})
FAIL_LATER = frozenset({"fail_later"})
FAULTS = CALLBACK_FAULTS | FAIL_LATER

DEFAULT_FAILURE = 63016  # free text outside WhatsApp's 24-hour window
_NOT_HANDED_OVER = frozenset({63016, 63005, 63007, 63013, 63018, 63020, 63051})  # failed at Twilio itself
_INSTALLATION = "XE" + "0" * 31 + "1"

_MEANINGS = {
    30003: "Unreachable destination handset",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    63016: "Failed to send freeform message because you are outside the allowed window",
    63024: "Invalid message recipient",
}


@dataclass(frozen=True)
class Fate:
    """What will become of a message: the code it fails with, if it does, and what its callbacks suffer."""

    failure: int | None = None
    callbacks: str | None = None  # one of CALLBACK_FAULTS

    @classmethod
    def drawn_from(cls, faults: Faults) -> "Fate":
        failing = faults.take(FAIL_LATER)
        callbacks = faults.take(CALLBACK_FAULTS)
        return cls(
            failure=(failing.code or DEFAULT_FAILURE) if failing else None,
            callbacks=callbacks.kind if callbacks else None,
        )

    def steps(self, message: Message) -> list[str]:
        """The statuses still to come, in order."""
        start = ["queued"] if message.status == "accepted" else []
        if self.failure in _NOT_HANDED_OVER:
            return [*start, "failed"]
        if self.failure is not None:
            return [*start, "sent", "undelivered"]
        read = ["read"] if channel_of(message.recipient) == "whatsapp" else []
        return [*start, "sent", "delivered", *read]


@dataclass(frozen=True)
class Delivery:
    """Delivers messages in the background, each in a thread of its own."""

    config: Config
    ledger: Ledger

    def start(self, message: Message, callback_url: str = "", fate: Fate | None = None) -> None:
        arguments = (message, callback_url, fate or Fate())
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def _run(self, message: Message, callback_url: str, fate: Fate) -> None:
        held_back: list[Message] = []
        for status in fate.steps(message):
            time.sleep(self.config.step_seconds)
            reached = self.ledger.advance(message.sid, status, _code_at(status, fate))
            if reached is None:
                return
            if fate.callbacks == "reorder_callbacks":
                held_back.append(reached)
            else:
                self._call_back(reached, callback_url, fate)
        for reached in reversed(held_back):
            self._call_back(reached, callback_url, fate)

    def _call_back(self, message: Message, url: str, fate: Fate) -> None:
        account = self.config.account(message.account_sid)
        if not url or account is None or fate.callbacks == "lose_callbacks":
            return
        webhook = Webhook.signed(url, callback_form(message), account.auth_token)
        for _ in range(2 if fate.callbacks == "repeat_callbacks" else 1):
            webhook.deliver(lambda attempt, answer: self._tell(message, attempt, answer))

    def _tell(self, message: Message, attempt: int, answer: Answer) -> None:
        self.ledger.tell(
            "callback",
            sid=message.sid,
            message_status=message.status,
            attempt=attempt,
            status=answer.status,
            milliseconds=answer.milliseconds,
            error_code=answer.error_code,
        )


def callback_form(message: Message) -> Form:
    """The parameters of a status callback for the status that the message has now."""
    return {
        "MessageSid": message.sid,
        "MessageStatus": message.status,
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "AccountSid": message.account_sid,
        "From": message.sender,
        "To": message.recipient,
        "ApiVersion": "2010-04-01",
        **_of_service(message),
        **_of_failure(message),
        **(_of_whatsapp(message) if channel_of(message.recipient) == "whatsapp" else _of_sms(message)),
    }


def meaning_of(error_code: int | None) -> str | None:
    """What Twilio says about an error code of a message; its clients should not rely on the wording."""
    return None if error_code is None else _MEANINGS.get(error_code, f"Error {error_code}")


def _code_at(status: str, fate: Fate) -> int | None:
    return fate.failure if status in ("failed", "undelivered") else None


def _of_service(message: Message) -> Form:
    sid = message.messaging_service_sid
    return {"MessagingServiceSid": sid} if sid else {}


def _of_failure(message: Message) -> Form:
    said = meaning_of(message.error_code)
    return {"ErrorCode": str(message.error_code), "ErrorMessage": said} if said else {}


def _of_whatsapp(message: Message) -> Form:
    channel, _, address = message.recipient.partition(":")
    form = {
        "ChannelInstallSid": _INSTALLATION,
        "ChannelPrefix": channel,
        "ChannelToAddress": f"{address[:-3]}XXX",
    }
    if message.status == "sent":
        form["StructuredMessage"] = "false"
    if message.status in ("delivered", "read", "undelivered"):
        form["EventType"] = message.status.upper()
    if said := meaning_of(message.error_code):
        form["ChannelStatusMessage"] = said
    return form


def _of_sms(message: Message) -> Form:
    arrived = message.status in ("delivered", "undelivered")
    return {"RawDlrDoneDate": message.updated_at.strftime("%y%m%d%H%M")} if arrived else {}
