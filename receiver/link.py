"""The link: what control and a media worker say to each other.

Control starts a worker with one end of a socket pair (`receiver.socketpair`). Everything between the two goes over it:
msgpack structs in both directions, and descriptors (UDP sockets, the memory file) from control to worker. A worker
that is started again gets `Configure`, every living tap's `Open`, each unanswered `Close`, and nothing else.

End of file is the death of the other side: it is all that a worker needs to know of control's (design, section 2),
and all that control needs to know of a worker's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from receiver.keys import Key
from receiver.socketpair import Link, LinkBroken, Received, pair

__all__ = ["Link", "LinkBroken", "Received", "ToControl", "ToWorker", "control_end", "pair", "worker_end"]


# --- control to worker ----------------------------------------------------------------------------------------


class Configure(Struct, frozen=True, tag=True):
    """First message to every worker; carries the descriptors of its memory files, of which it maps the first that it
    understands (an empty one always is).

    ``horizon``, ``window`` and ``segment_frames`` are in samples. With ``repair`` the worker runs rule C5 and
    answers `Repaired` (also when there was nothing to do); otherwise it must leave parts of living taps alone.
    ``living``, at the first start under this control, tells which taps go on (by `tap_name`), and in which slots; what
    else the memory holds is over. ``kept``: sockets and memory outlive control (rule D7), so at the end of the link
    nothing is concluded. ``reserve_octets`` are kept back for a full disk, ``keep_ns`` is how long recordings may lie
    in ``ready/`` (0: for ever). ``mask_dtmf``: keys that are pressed are told nowhere. ``rtcp``: what senders say by it
    is read. ``keys`` are SRTP's, of the recordings that live, told at every start: the slab in hand is run before the
    first `Open`.
    """

    index: int
    taps: int
    tick_ns: int
    horizon: int
    window: int
    commit_interval_ns: int
    segment_frames: int
    directory: str
    name: str
    encoding: str
    policy: str
    allow: list[str]
    events_payload_type: int
    repair: bool
    living: dict[str, int] | None = None
    kept: bool = False
    reserve_octets: int = 0
    keep_ns: int = 0
    mask_dtmf: bool = False
    rtcp: bool = True
    pause_as: str = "silence"
    keys: dict[str, Key] = {}

    @property
    def path(self) -> Path:
        """The storage folder."""
        return Path(self.directory)


class Open(Struct, frozen=True, tag=True):
    """Record what comes to the UDP socket that travels along. Idempotent: sent again after a worker's restart.

    ``law`` is the payload type asked for (0 or 8). ``announced`` is the sender's address, port 0 for any port.
    ``held``: leave the socket unread until `Answer` (rule B1). ``turns``, ``turned_ns``: as in `Pause`. ``suite``: what
    comes is SRTP, sealed with ``key``; without a key it is known no more, and nothing of it is let in. A recording may
    have several taps (layout ``stereo``): this one is its ``channel`` of so many ``channels``, which are opened
    together when all are there.
    """

    slot: int
    tap_id: str
    recording_id: str
    port: int
    law: int
    policy: str
    announced: tuple[str, int] | None
    held: bool
    requested_at_ns: int
    call_id: str | None
    node_id: str | None
    labels: dict[str, str]
    direction: str
    layout: str
    control_id: str | None = None
    channel: int = 0
    channels: int = 1
    turns: int = 0
    turned_ns: list[int] = []
    suite: str | None = None
    key: Key | None = None


class Ear(Struct, frozen=True, tag=True):
    """Follows an `Open`: the socket that travels along is where RTCP of this tap comes (rule A13)."""

    slot: int
    recording_id: str


class Answer(Struct, frozen=True, tag=True):
    """The relay's answer is there (rule B1): read the socket from now on."""

    slot: int
    recording_id: str
    announced: tuple[str, int] | None


class Source(Struct, frozen=True, tag=True):
    """Another source is to be admitted (rule B5, PATCH)."""

    slot: int
    recording_id: str
    policy: str
    announced: tuple[str, int] | None


class Amend(Struct, frozen=True, tag=True):
    """More is known of a tap than when it was opened (PATCH, a callback): for its sidecar."""

    slot: int
    recording_id: str
    call_id: str | None
    node_id: str | None
    control_id: str | None
    labels: dict[str, str]


class Pause(Struct, frozen=True, tag=True):
    """Record nothing that comes while a tap is paused.

    ``turns``: how often it was paused or resumed since its beginning, in turn, so an odd number is a pause.
    ``turned_ns``: the monotonic instants of the last of them, oldest first. A worker that knows of more turns than this
    was told by a control process that died over it: it stays as it is, and says so (`Happened`, event ``turned``).
    """

    slot: int
    recording_id: str
    turns: int
    turned_ns: list[int]


class Close(Struct, frozen=True, tag=True):
    """End this recording for the reason ``ending``; answered by `Finished` for each of its taps. Idempotent.

    ``problem`` holds ``code``, ``message`` and ``hint`` for the sidecar where the ending needs explaining; ``faults``
    are like it, of taps that could not be had beside this one.
    """

    slot: int
    recording_id: str
    ending: str
    problem: dict[str, str] | None
    faults: list[dict[str, str]] = []


class Forget(Struct, frozen=True, tag=True):
    """`Finished` (or `Refused`) is in the ledger: the slot is free again."""

    slot: int
    recording_id: str


class Loudness(Struct, frozen=True, tag=True):
    """How the worker logs from now on (rule D8)."""

    level: str
    form: str


def tap_name(recording_id: str, channel: int) -> str:
    """How a tap is called where its slot may be another one: its recording, and which channel where that is not the
    first."""
    return f"{recording_id}.{channel}" if channel else recording_id


def recording_of(name: str) -> str:
    """The recording of a `tap_name`."""
    return name.partition(".")[0]


# --- worker to control ----------------------------------------------------------------------------------------


class Mapped(Struct, frozen=True, tag=True):
    """Which of the memory files in `Configure` the worker took, before anything else is said."""

    memory: int


class Ready(Struct, frozen=True, tag=True):
    """The worker records, and new taps may come. ``fresh``: its memory file was empty."""

    index: int
    pid: int
    fresh: bool


class Opened(Struct, frozen=True, tag=True):
    """Rule C1 is durable for this tap: draft and part are on the disk."""

    slot: int
    recording_id: str


class Refused(Struct, frozen=True, tag=True):
    """This tap cannot be recorded. No `Finished` follows; the slot is free after `Forget`."""

    slot: int
    recording_id: str
    code: str
    message: str
    hint: str


class Happened(Struct, frozen=True, tag=True):
    """News of one tap, as it happens: receiving, source_changed, source_conflict, unannounced, epoch, …"""

    slot: int
    recording_id: str
    event: str
    at_ns: int
    fields: dict[str, str | int | float | bool | None]


COLUMNS: Final = (
    "slots",
    "recording_ids",
    "packets",
    "lost",
    "duplicate",
    "reordered",
    "late_lost",
    "invalid",
    "foreign",
    "unauthentic",
    "heard_ns",
    "first_ns",
    "edge_frames",
)


class Report(Struct, frozen=True, tag=True):
    """Once a second: all taps that changed since the last one, as columns of equal length.

    Element *i* of every column speaks of the same tap; counters are totals since its start. ``heard_ns`` and
    ``first_ns`` are UNIX time of the newest and the first packet (0: none yet) by the same clock as ``at_ns``.
    ``edge_frames`` is one past the newest frame. ``tallies`` are the worker's totals by verdict, ``gauges`` its
    present values.
    """

    at_ns: int
    slots: list[int]
    recording_ids: list[str]
    packets: list[int]
    lost: list[int]
    duplicate: list[int]
    reordered: list[int]
    late_lost: list[int]
    invalid: list[int]
    foreign: list[int]
    unauthentic: list[int]
    heard_ns: list[int]
    first_ns: list[int]
    edge_frames: list[int]
    tallies: dict[str, int]
    gauges: dict[str, float]

    def pieces(self, most: int = 256) -> Iterator[Report]:
        """Cut into reports of at most ``most`` taps each (at least one); tallies and gauges go with each."""
        for at in range(0, max(1, len(self.slots)), most):
            columns = {name: getattr(self, name)[at : at + most] for name in COLUMNS}
            yield Report(at_ns=self.at_ns, tallies=self.tallies, gauges=self.gauges, **columns)


class Finished(Struct, frozen=True, tag=True):
    """The recording's names are in ``ready/``; ``sidecar`` is the JSON that lies there. Sent until `Forget`."""

    slot: int
    recording_id: str
    sidecar: bytes


class Repaired(Struct, frozen=True, tag=True):
    """Rule C5 is done; the sidecars of what it brought to ``ready/``."""

    sidecars: list[bytes]


ToWorker = Configure | Open | Ear | Answer | Source | Amend | Pause | Close | Forget | Loudness
ToControl = Mapped | Ready | Opened | Refused | Happened | Report | Finished | Repaired


def control_end(end: socket.socket) -> Link[ToWorker, ToControl]:
    """Return control's side of the link over ``end``, which it owns from now on. Needs a running loop."""
    return Link(end, msgspec.msgpack.encode, msgspec.msgpack.Decoder[ToControl](ToControl).decode)


def worker_end(descriptor: int) -> Link[ToControl, ToWorker]:
    """Return a worker's side of the link over the inherited ``descriptor``. Needs a running loop."""
    end = socket.socket(fileno=descriptor)
    return Link(end, msgspec.msgpack.encode, msgspec.msgpack.Decoder[ToWorker](ToWorker).decode)
