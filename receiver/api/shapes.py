"""What answers look like beside the taps themselves: for the API's description. Tests hold real answers to them."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from receiver.api.views import TapView
from receiver.ledger.rows import Summary


class Alive(Struct):
    """The loop turns."""

    alive: bool


class Worker(Struct):
    """A media worker and its present values."""

    worker: int
    state: str
    pid: int | None
    deaths: int
    gauges: dict[str, float]


class Readiness(Struct):
    """Whether a tap would be recorded now, and if not, why: who complains, and of what."""

    ready: bool
    reasons: dict[str, str]
    workers: list[Worker]
    taps: dict[str, int]
    packets: dict[str, int]


class Draining(Struct):
    """No new taps are accepted; so many live still."""

    draining: bool
    taps: int


class TapPage(Struct):
    """Taps, newest first. ``next`` is the ``after`` of the next page; absent on the last."""

    taps: list[TapView]
    next: str | UnsetType = UNSET


class CallView(Struct):
    """A call that the relay told of, and our taps on it."""

    call_id: str
    taps: list[str]
    node_id: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    direction: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    from_: str | UnsetType = msgspec.field(name="from", default=UNSET)
    to: str | UnsetType = UNSET


class CallList(Struct):
    """The calls of this relay session."""

    calls: list[CallView]


class RecordingView(Summary, frozen=True, kw_only=True):
    """A sidecar without its long lists. ``present``: whether it lies in ``ready/`` now; ``path``: below the storage
    folder, where that is known."""

    present: bool
    path: str | UnsetType = UNSET


class RecordingPage(Struct):
    """Recordings, newest first. ``next`` is the ``after`` of the next page; absent on the last."""

    recordings: list[RecordingView]
    next: str | UnsetType = UNSET


class ProblemDocument(Struct):
    """RFC 9457. ``code`` is the last word of ``type``: for programs. Some problems have further members."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str | UnsetType = UNSET
    tap_id: str | UnsetType = UNSET
    parts: list[dict[str, Any]] | UnsetType = UNSET


class EventDocument(Struct):
    """The ``data`` of one server-sent event. ``tap``, ``recording``, ``relay``: what it is about."""

    event: str
    at: str
    tap: dict[str, Any] | UnsetType = UNSET
    recording: dict[str, Any] | UnsetType = UNSET
    relay: dict[str, Any] | UnsetType = UNSET
    seen: dict[str, Any] | UnsetType = UNSET
