"""The targets: each puts any bytes through the real stages and raises where more comes of them than may."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode

from chalicelib.authenticity import LARGEST_BODY
from chalicelib.channels.references import SealedReferences
from chalicelib.context import Context
from chalicelib.entries import LONGEST_WAITING_RAW, LONGEST_WAITING_TEXT
from chalicelib.errors import Rejected
from chalicelib.model import Author, Channel, Conversation, HistoryEntry, Numbered
from chalicelib.ports import Request
from tests import signing
from tests.twins import cast, webhooks
from tests.twins.relay import TwinRelay, opened

#: How a request may be turned away.
REFUSALS = frozenset({400, 403, 404, 413})

#: Characters of what a table holds as a key or an index.
_LONGEST_KEY = 140

_MESSAGE = webhooks.message_form(
    cast.message_id(1), "hello", sender=f"whatsapp:{cast.PERSON}", recipient=f"whatsapp:{cast.OWN_ADDRESS}"
)
_CALLBACK = webhooks.status_form(
    cast.message_id(2), "sent", sender=f"whatsapp:{cast.OWN_ADDRESS}", recipient=f"whatsapp:{cast.PERSON}"
)
_POSITION = Numbered.answer(1, 0)
_ANSWER = HistoryEntry(
    conversation_id=cast.CONVERSATION_ID,
    position=_POSITION,
    author=Author.AI,
    text="an answer",
    at=cast.START,
    channel=Channel.WHATSAPP,
    number=1,
    sender=cast.OWN_ADDRESS,
    recipient=cast.PERSON,
)


def form(data: bytes) -> None:
    """A signed webhook with any body: it is recorded once as one message, or turned away without a trace."""
    relay = TwinRelay()
    before = opened(relay)
    if not _taken(lambda: relay.receive(_signed("/whatsapp", data, _MESSAGE))):
        assert relay.the_conversation() == before, "what is turned away leaves no trace"
        return
    after = relay.the_conversation()
    assert after.received - before.received in (0, 1)
    _demand_storable(after)
    for queue in relay.queues.waiting.values():
        for message in queue:
            _demand_whole(message.context)


def status(data: bytes) -> None:
    """A signed callback: the first line is the reference, a blank one our own; the answer's words never change."""
    line, _, body = data.partition(b"\n")
    relay = TwinRelay()
    opened(relay, received=1, answered=1)
    relay.history.begin(_ANSWER)
    ours = SealedReferences().seal(cast.KEY, _POSITION, cast.TWILIO_VALUE)
    reference = line.decode("utf-8", "replace") or ours
    before = relay.the_conversation()
    taken = _taken(lambda: relay.track(_signed(f"/status/{reference}", body, _CALLBACK), reference))
    [entry] = relay.history.of(cast.CONVERSATION_ID)
    assert replace(entry, status=None, error_code=None, provider_id=None) == _ANSWER
    after = relay.the_conversation()
    assert (after.received, after.answered, after.waiting) == (before.received, before.answered, before.waiting)
    if not taken or reference != ours:
        assert (entry, after) == (_ANSWER, before), "what is turned away leaves no trace"


def context(data: bytes) -> None:
    """Any body on our queues: what a wake-up says changes nothing where nothing waits, and survives being sent on."""
    try:
        read = Context.from_json(data.decode("utf-8", "replace"))
    except Rejected:
        return
    _demand_whole(read)
    relay = TwinRelay()
    before = opened(relay)
    relay.reply(read)
    relay.send(read)
    assert relay.the_conversation() == before


TARGETS: Mapping[str, Callable[[bytes], None]] = {"form": form, "context": context, "status": status}


def _taken(work: Callable[[], object]) -> bool:
    """Whether it was taken in; anything but Rejected is our own bug and is raised."""
    try:
        work()
    except Rejected as rejection:
        if rejection.status not in REFUSALS:
            raise
        return False
    return True


def _signed(path: str, data: bytes, base: Mapping[str, str]) -> Request:
    """The bytes as they are, or, after a leading `&`, over a good form: then what they set is what counts."""
    body = data.removeprefix(b"&") + b"&" + urlencode(base).encode() if data.startswith(b"&") else data
    url = f"{webhooks.BASE_URL}{path}"
    try:
        made = signing.signature(url, body, webhooks.AUTH_TOKEN)
    except ValueError:
        made = "?"
    return Request(urls=(url,), headers={"x-twilio-signature": made}, body=body)


def _demand_storable(conversation: Conversation) -> None:
    """A record stays far below DynamoDB's limit, and its keys below theirs."""
    for message in conversation.waiting:
        assert 0 < len(message.message_id) <= _LONGEST_KEY
        assert 0 < len(message.sender) <= _LONGEST_KEY
        assert 0 < len(message.recipient) <= _LONGEST_KEY
        assert len(message.text) <= LONGEST_WAITING_TEXT
        assert sum(map(len, message.raw.values())) <= LONGEST_WAITING_RAW
        assert len(message.media) <= 10
        message.text.encode()  # no half of a surrogate pair, which no table takes


def _demand_whole(read: Context) -> None:
    """One line of ASCII, and the same again when it is read."""
    text = read.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert len(text) < 2 * 6 * LARGEST_BODY
    assert Context.from_json(text).to_json() == text
