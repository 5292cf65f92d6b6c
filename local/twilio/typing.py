"""Twilio's typing indicator for WhatsApp (v2, beta): the person sees that somebody is writing, and ticks turn blue."""

from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from local.twilio import refusals
from local.twilio.config import Config
from local.twilio.ledger import Ledger


@dataclass(frozen=True)
class TypingApi:
    """The route `/v2/Indicators/Typing.json`; which account asks is told by its credentials alone."""

    config: Config
    ledger: Ledger

    def routes(self) -> Blueprint:
        routes = Blueprint("typing", __name__)
        routes.post("/v2/Indicators/Typing.json")(self.show)
        return routes

    def show(self) -> ResponseReturnValue:
        message = self.ledger.message(request.form.get("messageId", ""))
        if message is None or message.direction != "inbound" or request.form.get("channel") != "whatsapp":
            return refusals.not_found(request.path).as_response()
        if not self._may(message.account_sid):
            return self._stranger()
        self.ledger.tell("typing", sid=message.sid)
        return {"success": True}, HTTPStatus.OK

    def _may(self, account_sid: str) -> bool:
        given, account = request.authorization, self.config.account(account_sid)
        return bool(given and account and account.admits(given.username or "", given.password or ""))

    def _stranger(self) -> Response:
        return refusals.NOT_AUTHENTICATED.as_response()
