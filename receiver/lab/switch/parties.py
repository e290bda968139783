"""What the switch knows: sessions, calls, taps. Plain records; what happens to them is the exchange's business."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

from msgspec import Meta, Struct

from receiver.lab import forecast, sound

if TYPE_CHECKING:
    from receiver.lab.switch.legs import Leg

MOST_MISSED: Final = 10_000
SCENES: Final = {"0486": "busy", "0480": "noAnswer", "0603": "decline"}
REFUSED_NUMBER: Final = "0404"


class Voice(Struct, frozen=True, forbid_unknown_fields=True):
    """Who speaks on a call: what its taps send. Codec and packet size come from the tap's device."""

    id: Annotated[int, Meta(ge=0, lt=sound.CROWD)] | None = None
    """The caller's id in ``lab.sound`` and of its log; None: the next free one. A call's second tap gets another."""
    weather: str = "clean"
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    """Of sound, from the tap's beginning. Then the tap is over by itself."""
    speech: bool = False
    hang_up: bool = False
    """The call ends when the sound is over."""

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a weather that nobody knows."""
        forecast.named(self.weather)


@dataclass
class Session:
    """A client's session, over any number of sockets."""

    project: str
    protocol: str
    leg: "Leg | None" = None  # its present socket
    contexts: set[str] = field(default_factory=set)
    missed: "deque[tuple[str, dict[str, Any]]]" = field(default_factory=lambda: deque(maxlen=MOST_MISSED))
    forgetting: asyncio.TimerHandle | None = None
    forgotten: bool = False
    sockets: int = 0  # that it had so far
    unacked: set[str] = field(default_factory=set)


@dataclass
class Call:
    """A call. ``session`` hears of it: who dialled it, or who has its context."""

    session: Session
    direction: str
    from_: str
    to: str
    voice: Voice
    context: str | None = None
    tag: str | None = None
    timeout_s: float = 30.0
    state: str = "created"
    call_id: str = field(default_factory=lambda: str(uuid4()))
    node_id: str = field(default_factory=lambda: str(uuid4()))
    segment_id: str = field(default_factory=lambda: str(uuid4()))
    taps: "dict[str, Tap]" = field(default_factory=dict)
    plays: "dict[str, asyncio.TimerHandle]" = field(default_factory=dict)
    end_reason: str | None = None

    def told(self) -> dict[str, Any]:
        """As events tell it."""
        numbers = {"from_number": self.from_, "to_number": self.to, "timeout": int(self.timeout_s)}
        members = {
            "call_id": self.call_id, "node_id": self.node_id, "segment_id": self.segment_id, "call_state": self.state,
            "direction": self.direction, "tag": self.tag, "context": self.context, "end_reason": self.end_reason,
            "device": {"type": "phone", "params": numbers},
        }  # fmt: skip
        return {name: value for name, value in members.items() if value is not None}


@dataclass
class Tap:
    """A tap. ``session`` hears of it: who asked for it. ``asked``, until its sound is there; then ``tapping`` and
    ``finished``, once each. ``sound`` is what `Sounds` call it: the control id, where no other call's tap has the
    same; ``settled`` is set when its sound was started or will never be."""

    session: Session
    call: Call
    control_id: str
    audio: dict[str, Any]
    device: dict[str, Any]
    sound: str = ""
    state: str = "asked"
    source: dict[str, Any] | None = None
    caller: int | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self) -> dict[str, Any]:
        """As events tell it."""
        return {
            "call_id": self.call.call_id, "node_id": self.call.node_id, "segment_id": self.call.segment_id,
            "control_id": self.control_id, "state": self.state, "tap": {"type": "audio", "params": self.audio},
            "device": self.device,
        }  # fmt: skip


def scene_of(number: str) -> str | None:
    """Why a number cannot be reached; None for one that answers."""
    return SCENES.get(number[-4:])
