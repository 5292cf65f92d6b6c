"""Trouble that a person or a test orders from a stand-in: what goes wrong, and for how many requests."""

import threading
from collections.abc import Set
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One order of trouble; `code` and `seconds` mean something for some kinds only."""

    kind: str
    times: int = 1
    code: int | None = None
    seconds: float | None = None


class Faults:
    """Ordered trouble, first come first served; safe to use from several threads."""

    def __init__(self, kinds: Set[str]) -> None:
        self.kinds = kinds
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Queues a fault. Raises ValueError for a kind that this stand-in does not know."""
        if fault.kind not in self.kinds:
            raise ValueError(f"unknown kind; known: {', '.join(sorted(self.kinds))}")
        if fault.times < 1:
            raise ValueError("times must be at least 1")
        with self._lock:
            self._waiting.append(fault)

    def take(self, kinds: Set[str]) -> Fault | None:
        """Uses up one turn of the oldest fault of these kinds; None when nothing is ordered."""
        with self._lock:
            for at, fault in enumerate(self._waiting):
                if fault.kind in kinds:
                    self._waiting[at : at + 1] = _rest_of(fault)
                    return fault
        return None

    def waiting(self) -> list[Fault]:
        with self._lock:
            return list(self._waiting)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()


def fault_routes(faults: Faults) -> Blueprint:
    """`POST`, `GET` and `DELETE /_faults`."""
    routes = Blueprint("faults", __name__)

    @routes.post("/_faults")
    def order() -> ResponseReturnValue:
        try:
            faults.order(Fault(**request.get_json()))
        except (TypeError, ValueError) as error:
            return {"error": str(error)}, HTTPStatus.BAD_REQUEST
        return _listing(faults), HTTPStatus.CREATED

    @routes.get("/_faults")
    def listing() -> ResponseReturnValue:
        return _listing(faults)

    @routes.delete("/_faults")
    def clear() -> ResponseReturnValue:
        faults.clear()
        return "", HTTPStatus.NO_CONTENT

    return routes


def _rest_of(fault: Fault) -> list[Fault]:
    return [replace(fault, times=fault.times - 1)] if fault.times > 1 else []


def _listing(faults: Faults) -> dict[str, object]:
    return {"faults": [asdict(fault) for fault in faults.waiting()]}
