"""How an answer looks on each channel, and the messages that it is sent in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.channels import markdown, sms, whatsapp
from chalicelib.channels.cutting import cut
from chalicelib.channels.styled import Styled
from chalicelib.model import Channel, Tenant


@dataclass(frozen=True, slots=True)
class Format:
    """What a channel makes of a styled text, and how much of one message that fills; more than 1 does not fit.

    `longest`: so many characters always fill a message.
    """

    write: Callable[[Styled], str]
    longest: int
    share: Callable[[str, Tenant | None], float]

    def parts(self, text: str, *, tenant: Tenant | None = None) -> Sequence[str]:
        """The messages for an answer in Markdown, in order; none is empty or fills more than a message.

        Nothing but blanks is lost between two of them, and none leaves a format open.
        """
        clean = _without_halves(text)
        read = markdown.read(clean)
        styled = read if read.text.strip() else Styled.plain(clean)
        parts = cut(styled, lambda part: self.share(self.write(part), tenant), self.longest)
        return [self.write(part) for part in parts]


def _share_of_whatsapp(text: str, tenant: Tenant | None) -> float:
    return _units(text) / whatsapp.LONGEST


def _share_of_sms(text: str, tenant: Tenant | None) -> float:
    most = tenant.sms_max_segments if tenant else None
    return max(_units(text) / sms.LONGEST, sms.share(text, most) if most else 0)


#: How a text must look on each channel.
FORMATS: Mapping[Channel, Format] = {
    Channel.WHATSAPP: Format(whatsapp.write, whatsapp.LONGEST, _share_of_whatsapp),
    Channel.SMS: Format(sms.write, sms.LONGEST, _share_of_sms),
}


@dataclass(frozen=True, slots=True)
class FormattedParts:
    """Brings an answer into its channel's format."""

    formats: Mapping[Channel, Format]

    def split(self, channel: Channel, text: str, *, tenant: Tenant | None) -> Sequence[str]:
        return self.formats[channel].parts(text, tenant=tenant)


def _units(text: str) -> int:
    """UTF-16 code units, in which Twilio counts."""
    return len(text.encode("utf-16-le")) // 2


def _without_halves(text: str) -> str:
    """Half a surrogate pair is no character, and no store or provider takes it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
