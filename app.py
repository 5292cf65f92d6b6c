"""The front door: every way in which the world can wake us, one expression each."""

from chalice.app import Chalice, CloudWatchEvent, Rate, Response, SQSEvent

from chalicelib import ports, web
from chalicelib.config import APPLICATION, queue_name
from chalicelib.model import Channel
from chalicelib.wiring import relay

app = Chalice(app_name=APPLICATION)

FORM = ["application/x-www-form-urlencoded"]


@app.route("/whatsapp", methods=["POST"], content_types=FORM)
def whatsapp() -> Response:
    return _receive(Channel.WHATSAPP)


@app.route("/sms", methods=["POST"], content_types=FORM)
def sms() -> Response:
    return _receive(Channel.SMS)


@app.route("/email", methods=["POST"], content_types=["*/*"])
def email() -> Response:
    return _receive(Channel.EMAIL)


@app.route("/status/{reference}", methods=["POST"], content_types=FORM)
def status(reference: str) -> Response:
    return web.answer(lambda: relay().track(_request(f"/status/{reference}"), reference), journal=relay().journal)


@app.route("/health", methods=["GET"])
def health() -> dict[str, str]:
    return {"status": "ok", "stage": relay().settings.stage}


@app.on_sqs_message(queue=queue_name("whatsapp-replies"), batch_size=1, name="whatsapp-reply-processor")
def whatsapp_reply_processor(event: SQSEvent) -> None:
    web.work_off(event, relay().reply, journal=relay().journal)


@app.on_sqs_message(queue=queue_name("sms-replies"), batch_size=1, name="sms-reply-processor")
def sms_reply_processor(event: SQSEvent) -> None:
    web.work_off(event, relay().reply, journal=relay().journal)


@app.on_sqs_message(queue=queue_name("email-replies"), batch_size=1, name="email-reply-processor")
def email_reply_processor(event: SQSEvent) -> None:
    web.work_off(event, relay().reply, journal=relay().journal)


@app.on_sqs_message(queue=queue_name("media"), batch_size=1, name="collector")
def collector(event: SQSEvent) -> None:
    web.work_off(event, relay().collect, journal=relay().journal)


@app.on_sqs_message(queue=queue_name("sender"), batch_size=1, name="sender")
def sender(event: SQSEvent) -> None:
    web.work_off(event, relay().send, journal=relay().journal)


@app.schedule(Rate(1, unit=Rate.MINUTES), name="rescue")
def rescue(event: CloudWatchEvent) -> None:
    web.run(relay().sweep, journal=relay().journal)


@app.schedule(Rate(5, unit=Rate.MINUTES), name="reconcile")
def reconcile(event: CloudWatchEvent) -> None:
    web.run(relay().reconcile, journal=relay().journal)


def _receive(channel: Channel) -> Response:
    return web.answer(lambda: relay().receive(_request(f"/{channel}"), channel), journal=relay().journal)


def _request(path: str) -> ports.Request:
    return web.request_of(app.current_request, path, public_base_url=relay().settings.public_base_url)
