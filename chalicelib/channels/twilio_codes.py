"""Twilio's error codes, sorted by who should act.

Source: Twilio's error and warning dictionary, https://www.twilio.com/docs/api/errors.
"""

from collections.abc import Mapping
from enum import StrEnum

from chalicelib.model import Refusal


class Kind(StrEnum):
    """What an error code asks for."""

    WINDOW_CLOSED = "window_closed"  #: WhatsApp's 24 hours are over: a template or a human
    OPTED_OUT = "opted_out"  #: the person wants no messages: stop, until START
    RECIPIENT = "recipient"  #: this address cannot be reached: a human
    CONTENT = "content"  #: this message or this sender is set up wrongly: a human
    ACCOUNT = "account"  #: the account is in trouble: an operator
    BUSY = "busy"  #: nothing happened; later it may pass


#: A code that is not here is logged and counts as refused.
CODES: Mapping[int, tuple[Kind, str]] = {
    63016: (Kind.WINDOW_CLOSED, "the person has not written for 24 hours, so only a template may go out"),
    21610: (Kind.OPTED_OUT, "the person has sent STOP to this sender"),
    63032: (Kind.RECIPIENT, "WhatsApp does not let us write to this person"),
    63033: (Kind.RECIPIENT, "the person has blocked this sender"),
    63049: (Kind.RECIPIENT, "WhatsApp limits how much marketing this person gets"),
    21211: (Kind.RECIPIENT, "the To number is not valid"),
    21214: (Kind.RECIPIENT, "the To number cannot be reached"),
    21266: (Kind.RECIPIENT, "the To and From numbers are the same"),
    21604: (Kind.RECIPIENT, "there is no To number"),
    21612: (Kind.RECIPIENT, "this sender cannot reach this number"),
    21614: (Kind.RECIPIENT, "the To number is not a mobile number"),
    30003: (Kind.RECIPIENT, "the phone is off or out of reach"),
    30004: (Kind.RECIPIENT, "the message was blocked on the way to this phone"),
    30005: (Kind.RECIPIENT, "the number is not known or not in use"),
    30006: (Kind.RECIPIENT, "the number is a landline or its carrier cannot be reached"),
    30008: (Kind.RECIPIENT, "the carrier gives no reason"),
    63003: (Kind.RECIPIENT, "there is no such address on this channel"),
    63024: (Kind.RECIPIENT, "the recipient is not valid on this channel"),
    63031: (Kind.RECIPIENT, "the To and From addresses of the channel are the same"),
    12300: (Kind.CONTENT, "the content type of an answer is not valid"),
    21212: (Kind.CONTENT, "the From number is not valid"),
    21408: (Kind.CONTENT, "sending to this region is not allowed for this account"),
    21602: (Kind.CONTENT, "the message has no body"),
    21603: (Kind.CONTENT, "the message has no sender"),
    21606: (Kind.CONTENT, "the From number cannot send messages"),
    21617: (Kind.CONTENT, "the body is longer than 1,600 characters"),
    21620: (Kind.CONTENT, "a media URL is not valid"),
    21623: (Kind.CONTENT, "there are too many media files"),
    21654: (Kind.CONTENT, "a ContentSid is needed"),
    21655: (Kind.CONTENT, "the ContentSid is not valid"),
    21656: (Kind.CONTENT, "the ContentVariables are not valid"),
    21657: (Kind.CONTENT, "the content cannot be sent on this channel"),
    21658: (Kind.CONTENT, "the content with its variables is too long"),
    21659: (Kind.CONTENT, "the From number is not one of this account's"),
    21701: (Kind.CONTENT, "there is no such Messaging Service"),
    21703: (Kind.CONTENT, "the Messaging Service has no sender"),
    21705: (Kind.CONTENT, "the Messaging Service is not valid"),
    21712: (Kind.CONTENT, "the sender is not part of the Messaging Service"),
    21910: (Kind.CONTENT, "the To and From addresses are of different channels"),
    30007: (Kind.CONTENT, "a carrier filtered the message"),
    30032: (Kind.CONTENT, "the toll-free number is not verified"),
    30034: (Kind.CONTENT, "the number is not registered for A2P 10DLC"),
    63005: (Kind.CONTENT, "the channel did not accept the content"),
    63007: (Kind.CONTENT, "there is no channel with this From address"),
    63013: (Kind.CONTENT, "the message breaks the channel's policy"),
    63014: (Kind.CONTENT, "the channel blocked the message"),
    63019: (Kind.CONTENT, "the media could not be downloaded"),
    63021: (Kind.CONTENT, "the channel says that the content is not valid"),
    63025: (Kind.CONTENT, "the media already exists"),
    63027: (Kind.CONTENT, "the template does not exist in this language"),
    63028: (Kind.CONTENT, "the number of the template's variables is wrong"),
    63030: (Kind.CONTENT, "a parameter is not supported by the channel"),
    63034: (Kind.CONTENT, "the media is too large for the channel"),
    63040: (Kind.CONTENT, "the template was rejected"),
    63041: (Kind.CONTENT, "the template is paused"),
    63042: (Kind.CONTENT, "the template is disabled"),
    20003: (Kind.ACCOUNT, "the credentials are wrong or may not do this"),
    20404: (Kind.ACCOUNT, "the account or resource does not exist"),
    21608: (Kind.ACCOUNT, "a trial account may write to verified numbers only"),
    30002: (Kind.ACCOUNT, "the account is suspended"),
    63015: (Kind.ACCOUNT, "the person has not joined this WhatsApp sandbox"),
    63020: (Kind.ACCOUNT, "Meta's Business Manager has not accepted Twilio's invitation"),
    63051: (Kind.ACCOUNT, "the WhatsApp Business account is locked"),
    20429: (Kind.BUSY, "too many requests; Twilio processes none of them"),
    21611: (Kind.BUSY, "the sender's queue is full"),
    30001: (Kind.BUSY, "the queue overflowed"),
    63010: (Kind.BUSY, "the channel had an internal error"),
    63012: (Kind.BUSY, "the channel's service failed"),
    63017: (Kind.BUSY, "the account sends faster than it may"),
    63018: (Kind.BUSY, "the sender sends faster than the channel allows"),
    63038: (Kind.BUSY, "the account has reached its daily limit"),
}


#: The kinds that ask for more than a human. Any other refusal has none.
REFUSALS: Mapping[Kind, Refusal] = {
    Kind.WINDOW_CLOSED: Refusal.WINDOW_CLOSED,
    Kind.OPTED_OUT: Refusal.OPTED_OUT,
}


def refusal_of(code: int | None) -> Refusal | None:
    """What a refusal with this code asks for."""
    kind = kind_of(code)
    return REFUSALS.get(kind) if kind else None


def kind_of(code: int | None) -> Kind | None:
    """The kind of a code, or None for one that we do not know."""
    found = CODES.get(code) if code is not None else None
    return found[0] if found else None
