"""One file per way a person reaches us, and the table of them."""

from collections.abc import Mapping

from chalicelib.channels import twilio_webhook
from chalicelib.errors import Rejected
from chalicelib.model import Channel
from chalicelib.ports import IncomingChannel

#: The parser of each channel's webhooks.
INCOMING: Mapping[Channel, IncomingChannel] = {
    Channel.WHATSAPP: twilio_webhook.TwilioWebhook(Channel.WHATSAPP),
    Channel.SMS: twilio_webhook.TwilioWebhook(Channel.SMS),
}


def incoming(channel: Channel) -> IncomingChannel:
    """The parser of a channel's webhooks. Raises Rejected (501) where there is none yet."""
    found = INCOMING.get(channel)
    if found is None:
        raise Rejected(501, "channel_not_supported", f"the channel {channel} is not supported yet")
    return found
