"""RELAY on one socket, without the socket: text in, events and text out. Pure: no loop, no clock.

::

    fresh ──begin──▶ greeting ──greeted──▶ up ──disconnect──▶ draining
                        │                   │                    │
                        └──────refused──────┴──────lost──────────┴──▶ over

* **fresh**: the socket is open, nothing was said.
* **greeting**: ``signalwire.connect`` is on its way; nothing else may be asked.
* **up**: authenticated. Questions and events go both ways.
* **draining**: the relay said ``disconnect`` and will close; nothing more is said, answers that still come count.
* **over**: refused, or the socket fell. There is no way out; the next socket has a `Relay` of its own.

What outlives a socket is `Memory`: the name of the session (``protocol``) and the newest ``authorization_state``, both
credentials, both forgotten when the relay says ``restart``.

Every question of the relay's is answered in the very turn in which it comes, before anybody hears of it: acks wait for
nothing (relay-protocol, section 4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from receiver import __version__
from receiver.control import words
from receiver.control.rpc import Answered, Asked, Fault, Nonsense, Rpc

VERSION: Final = {"major": 3, "minor": 0, "revision": 0}
AGENT: Final = f"tapdeck/{__version__}"
CONNECT: Final = "signalwire.connect"


class Step(Enum):
    """What may happen to a socket."""

    BEGIN = auto()
    GREETED = auto()
    REFUSED = auto()
    DISCONNECT = auto()
    LOST = auto()


class Phase(Enum):
    """Where a socket is in its life."""

    FRESH = auto()
    GREETING = auto()
    UP = auto()
    DRAINING = auto()
    OVER = auto()


NEXT: Final[Mapping[Phase, Mapping[Step, Phase]]] = MappingProxyType(
    {
        Phase.FRESH: {Step.BEGIN: Phase.GREETING, Step.LOST: Phase.OVER},
        Phase.GREETING: {
            Step.GREETED: Phase.UP,
            Step.REFUSED: Phase.OVER,
            Step.DISCONNECT: Phase.DRAINING,
            Step.LOST: Phase.OVER,
        },
        Phase.UP: {Step.DISCONNECT: Phase.DRAINING, Step.LOST: Phase.OVER},
        Phase.DRAINING: {Step.LOST: Phase.OVER},
        Phase.OVER: {},
    }
)


class Credentials(NamedTuple):
    """Who we are. The token is never shown."""

    project: str
    token: str

    def __repr__(self) -> str:
        return "Credentials(********)"


@dataclass
class Memory:
    """What is known from the sockets before. Nothing of it is ever shown."""

    protocol: str | None = field(default=None, repr=False)
    authorization_state: str | None = field(default=None, repr=False)

    def forget(self) -> None:
        """Begin afresh."""
        self.protocol = self.authorization_state = None


class Greeted(NamedTuple):
    """Authenticated. ``restored``: the session of before goes on, with its calls."""

    restored: bool


class Refused(NamedTuple):
    """Not authenticated; the socket is useless."""

    fault: Fault


class Heard(NamedTuple):
    """An event; None: one of a type that we do not know."""

    event: words.Event | None


class Draining(NamedTuple):
    """The relay will close the socket."""

    restart: bool


Happening = Greeted | Refused | Answered | Heard | Draining | Nonsense


class Relay:
    """One socket's life."""

    def __init__(self, credentials: Credentials, memory: Memory, topics: Sequence[str] = ()) -> None:
        self._credentials, self._memory, self._topics = credentials, memory, tuple(topics)
        self._rpc = Rpc()
        self.phase = Phase.FRESH

    @property
    def waiting(self) -> Mapping[str, str]:
        """Questions without an answer: id → method."""
        return self._rpc.waiting

    def take(self) -> list[str]:
        """Return what is to be sent, in order."""
        return self._rpc.take()

    def begin(self) -> None:
        """Say who we are, and which session was ours."""
        self._meet(Step.BEGIN)
        params: dict[str, Any] = {
            "version": VERSION,
            "agent": AGENT,
            "event_acks": True,
            "authentication": {"project": self._credentials.project, "token": self._credentials.token},
        }
        known = {"protocol": self._memory.protocol, "authorization_state": self._memory.authorization_state}
        params |= {name: value for name, value in known.items() if value is not None}
        if self._topics:
            params["contexts"] = list(self._topics)
        self._rpc.call(CONNECT, params)

    def call(self, method: str, params: Mapping[str, Any]) -> str | None:
        """Ask; return the id, None where nothing may be asked now."""
        return self._rpc.call(method, params) if self.phase is Phase.UP else None

    def lost(self) -> None:
        """The socket fell, or was given up."""
        self._meet(Step.LOST)

    def receive(self, text: str) -> list[Happening]:
        """Take in one text frame; what is to be answered is in ``take`` already."""
        if self.phase is Phase.OVER:
            return []
        match self._rpc.receive(text):
            case Asked() as asked:
                return self._asked(asked)
            case Answered(method=method) as answered if method == CONNECT:
                return [self._greeted(answered)]
            case other:
                return [other]

    def _asked(self, asked: Asked) -> list[Happening]:
        match asked.method:
            case "signalwire.ping":
                stamp = asked.params.get("timestamp")  # echoed if it is one: anything else need not even be writable
                self._rpc.answer(asked.id, {"timestamp": stamp} if isinstance(stamp, int | float | str) else {})
                return []
            case "signalwire.event":
                self._rpc.answer(asked.id, {})
                event = words.read_event(asked.params)
                if isinstance(event, words.Authorization):
                    self._memory.authorization_state = event.blob
                    return []
                return [Heard(event)]
            case "signalwire.disconnect":
                self._rpc.answer(asked.id, {})
                restart = asked.params.get("restart") is True
                if restart:
                    self._memory.forget()
                return [Draining(restart)] if self._meet(Step.DISCONNECT) else []
        self._rpc.answer(asked.id, {})
        return [Heard(None)]

    def _greeted(self, answered: Answered) -> Happening:
        protocol = answered.result.get("protocol")
        if answered.fault is not None or not isinstance(protocol, str):
            self._meet(Step.REFUSED)
            fault = answered.fault or Fault("", "the answer to connect names no protocol")
            return Refused(self._without_secrets(fault))
        offered, told = self._memory.protocol, answered.result.get("session_restored")
        if not self._meet(Step.GREETED):  # it said `disconnect` before
            return Nonsense("a greeting after the farewell")
        self._memory.protocol = protocol
        same = offered is not None and protocol == offered
        return Greeted(told if isinstance(told, bool) and offered is not None else same)

    def _without_secrets(self, fault: Fault) -> Fault:
        """The refusal is shown to people, and may repeat what we said (rule D9)."""
        message = fault.message
        for secret in (self._credentials.token, self._memory.protocol, self._memory.authorization_state):
            message = message.replace(secret, "********") if secret else message
        return fault._replace(message=message)

    def _meet(self, step: Step) -> bool:
        """Move as the table says; False where it says nothing."""
        phase = NEXT[self.phase].get(step)
        if phase is None:
            return False
        self.phase = phase
        return True
