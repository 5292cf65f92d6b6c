"""Who sent a request: its signature is checked against every current credential of the tenant or the conversation."""

from collections.abc import Iterable, Sequence

from chalicelib.errors import Rejected
from chalicelib.ports import IncomingChannel, Request, Secret, Secrets

#: Twilio sends a few kilobytes; a form that is larger than this is not a message. In bytes.
LARGEST_BODY = 128 * 1024


def demand_signed_form(incoming: IncomingChannel, request: Request) -> None:
    """Turns away what need not be read: too large (413), or without a signature (403)."""
    if len(request.body) > LARGEST_BODY:
        raise Rejected(413, "too_large", "the body is too large")
    if not incoming.is_signed(request):
        raise forbidden("signature_missing")


def signers(
    incoming: IncomingChannel, request: Request, references: Iterable[str | None], secrets: Secrets
) -> dict[str, Sequence[Secret]]:
    """Which of these secrets signed the request, by reference.

    Secrets that do not verify are read anew, at most once a minute, because they may have been rotated.
    """
    wanted = dict.fromkeys(reference for reference in references if reference)
    found = {reference: _that_verify(incoming, request, reference, secrets) for reference in wanted}
    return {reference: values for reference, values in found.items() if values}


def _that_verify(incoming: IncomingChannel, request: Request, reference: str, secrets: Secrets) -> Sequence[Secret]:
    known = secrets.current(reference)
    if incoming.verify(request, known):
        return known
    renewed = secrets.refreshed(reference)
    return renewed if renewed and incoming.verify(request, renewed) else ()


def forbidden(reason: str) -> Rejected:
    return Rejected(403, reason, "the signature is missing or wrong")
