"""What can go wrong, sorted by who should act.

RelayError
├── Rejected      the caller: the request is not what it must be
├── Refused       a person: somebody said no, and saying it again will not help
├── TryAgain      the queue: nobody said no, and nothing happened
└── Unconfirmed   nobody automatically: it may have happened

Anything else that is raised is our own bug and belongs to an alarm. Losing a race is a return value, never an
error. Messages name causes and codes; they never hold a text, an address or a secret.
"""


class RelayError(Exception):
    """The base of everything that the relay raises on purpose."""


class Rejected(RelayError):
    """The caller's request cannot be accepted. `status` is the HTTP status, `reason` a word for logs."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Refused(RelayError):
    """Somebody with a right to do so said no. `code` is the provider's code or our own word.

    `kind` says what a provider's refusal asks for, see `model.Refusal`.
    """

    def __init__(self, code: str, message: str = "", *, kind: str | None = None) -> None:
        super().__init__(message or f"refused: {code}")
        self.code = code
        self.kind = kind


class TryAgain(RelayError):
    """Nothing happened, and a later attempt may pass."""


class Unconfirmed(RelayError):
    """The request left us and no answer came back: it may have happened."""
