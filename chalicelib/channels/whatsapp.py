"""WhatsApp through Twilio: 1,600 characters to a message."""

from chalicelib.channels.formats import Format

#: Twilio refuses a longer body with error 21617 on every channel. Source: Twilio error dictionary, 21617 and 21658.
FORMAT = Format(longest=1_600)

PREFIX = "whatsapp:"
