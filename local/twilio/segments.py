"""How many parts a text is charged as."""

from collections.abc import Iterable

from local.twilio.config import channel_of

_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")  # two places each


def segments_of(text: str, address: str) -> int:
    """SMS: 160 GSM-7 or 70 UCS-2 places, 153 or 67 when there are several; WhatsApp does not divide texts."""
    if channel_of(address) != "sms":
        return 1
    if set(text) <= _GSM_7 | _GSM_7_EXTENSION:
        return _segments([2 if sign in _GSM_7_EXTENSION else 1 for sign in text], 160, 153)
    return _segments([len(sign.encode("utf-16-le")) // 2 for sign in text], 70, 67)


def _segments(signs: Iterable[int], alone: int, together: int) -> int:
    """One, if all fits; else as many as it takes to fill one after the other without cutting a sign in two."""
    filled = [0]
    for places in signs:
        if filled[-1] + places > together:
            filled.append(0)
        filled[-1] += places
    return 1 if sum(filled) <= alone else len(filled)
