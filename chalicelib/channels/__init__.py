"""One file per way a person reaches us, and the table of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.channels import sms, twilio_webhook, whatsapp
from chalicelib.channels.formats import Format
from chalicelib.errors import Rejected
from chalicelib.model import Channel
from chalicelib.ports import IncomingChannel

#: The parser of each channel's webhooks.
INCOMING: Mapping[Channel, IncomingChannel] = {
    Channel.WHATSAPP: twilio_webhook.TwilioWebhook(Channel.WHATSAPP),
    Channel.SMS: twilio_webhook.TwilioWebhook(Channel.SMS),
}

#: How a text must look on each channel.
FORMATS: Mapping[Channel, Format] = {
    Channel.WHATSAPP: whatsapp.FORMAT,
    Channel.SMS: sms.FORMAT,
}


def incoming(channel: Channel) -> IncomingChannel:
    """The parser of a channel's webhooks. Raises Rejected (501) where there is none yet."""
    found = INCOMING.get(channel)
    if found is None:
        raise Rejected(501, "channel_not_supported", f"the channel {channel} is not supported yet")
    return found


@dataclass(frozen=True, slots=True)
class Splitter:
    """Brings an answer into its channel's format."""

    formats: Mapping[Channel, Format]

    def split(self, channel: Channel, text: str) -> Sequence[str]:
        return self.formats[channel].parts(text)
