"""SMS through Twilio: 1,600 characters to a message, which Twilio sends as segments."""

from chalicelib.channels.formats import Format

#: Source: Twilio error dictionary, 21617.
FORMAT = Format(longest=1_600)

PREFIX = ""
