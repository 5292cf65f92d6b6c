"""The words with which a person opts out or in where the provider does not recognise them for us."""

from collections.abc import Mapping

from chalicelib.model import Channel, OptOut

#: Understood on every channel. Source: Twilio, "Twilio support for opt-out keywords".
_EVERYWHERE: Mapping[str, OptOut] = {
    "STOP": OptOut.STOP,
    "STOPALL": OptOut.STOP,
    "UNSUBSCRIBE": OptOut.STOP,
    "OPTOUT": OptOut.STOP,
    "START": OptOut.START,
    "UNSTOP": OptOut.START,
}

#: For these carriers stop SMS, or start them again; elsewhere people answer questions with them.
_SMS: Mapping[str, OptOut] = {
    **dict.fromkeys(("CANCEL", "END", "QUIT", "REVOKE"), OptOut.STOP),
    "YES": OptOut.START,
}


def opt_out_of(channel: Channel, text: str) -> OptOut | None:
    """What a message asks for that consists of one of the words and nothing else."""
    word = text.strip().strip(".!").upper()
    return _EVERYWHERE.get(word) or (_SMS.get(word) if channel == Channel.SMS else None)
