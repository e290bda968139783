"""JSON-RPC 2.0 without a socket: ``receive`` text, ``take`` what is to be sent. Pure: no loop, no clock.

Each side asks and answers; ids are made by who asks. Nothing that comes in raises: what means nothing is `Nonsense`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec

DEEPEST: Final = 2  # some results arrive one level deeper (relay-protocol, section 1)
LONGEST_MESSAGE: Final = 500  # characters of theirs that may stand in a log or an error


class Fault(NamedTuple):
    """A JSON-RPC error, or a result that is none."""

    code: str
    message: str


class Answered(NamedTuple):
    """The other side's answer to our question ``id``: a result, or a fault."""

    id: str
    method: str
    result: dict[str, Any]
    fault: Fault | None


class Asked(NamedTuple):
    """The other side's question; it must be answered with the same id."""

    id: str | int | None
    method: str
    params: dict[str, Any]


class Nonsense(NamedTuple):
    """What came is no answer to us and no question."""

    why: str


class Rpc:
    """One side of one socket."""

    def __init__(self, make_id: Callable[[], str] = lambda: str(uuid4())) -> None:
        self._make_id = make_id
        self._waiting: dict[str, str] = {}
        self._outbox: list[str] = []

    @property
    def waiting(self) -> Mapping[str, str]:
        """Our questions that have no answer yet: id → method."""
        return self._waiting

    def call(self, method: str, params: Mapping[str, Any]) -> str:
        """Ask; return the id."""
        number = self._make_id()
        self._waiting[number] = method
        self._put({"id": number, "method": method, "params": params})
        return number

    def answer(self, number: str | int | None, result: Mapping[str, Any]) -> None:
        """Answer a question; one without an id wants no answer."""
        if number is None:
            return
        self._put({"id": number, "result": result})

    def take(self) -> list[str]:
        """Return what is to be sent, in order; it is ours no more."""
        texts, self._outbox = self._outbox, []
        return texts

    def receive(self, text: str) -> Answered | Asked | Nonsense:
        """Take in one text frame."""
        try:
            document = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return Nonsense("no JSON")
        if not isinstance(document, dict):
            return Nonsense("no JSON object")
        number, method = document.get("id"), document.get("method")
        if isinstance(method, str):
            params = document.get("params")
            known = number if isinstance(number, str | int) and not isinstance(number, bool) else None
            return Asked(known, method, params if isinstance(params, dict) else {})
        if not isinstance(number, str) or number not in self._waiting:
            return Nonsense("an answer to nothing that was asked")
        error = document.get("error")
        if error is not None:
            return Answered(number, self._waiting.pop(number), {}, _fault(error))
        result = document.get("result")
        if not isinstance(result, dict):
            return Nonsense("an answer without a result")
        return Answered(number, self._waiting.pop(number), _unwrapped(result), None)

    def _put(self, members: Mapping[str, Any]) -> None:
        self._outbox.append(msgspec.json.encode({"jsonrpc": "2.0", **members}).decode())


def fault(code: Any, message: Any) -> Fault:
    """Read a code and a message, of whatever kind; the message is cut to what can be shown."""
    return Fault(str(code)[:LONGEST_MESSAGE], str(message)[:LONGEST_MESSAGE])


def _fault(error: Any) -> Fault:
    members = error if isinstance(error, dict) else {}
    return fault(members.get("code", ""), members.get("message", "an error without a message"))


def _unwrapped(result: dict[str, Any]) -> dict[str, Any]:
    for _ in range(DEEPEST):
        inner = result.get("result")
        if not isinstance(inner, dict):
            break
        result = inner
    return result
