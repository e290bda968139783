"""What the ledger's rows look like from outside, and how a sidecar is read for them. Times are UNIX time in ns."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

FINAL_STATES: Final = ("finished", "failed")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Problem(Struct, frozen=True):
    """What went wrong, in a word for programs and two sentences for people. As in the sidecar."""

    code: str
    message: str
    hint: str = ""


class Seat(Struct, frozen=True, kw_only=True):
    """What the next daemon needs to go on with a tap that lives (rule D7), beside what its row says.

    ``announced`` is the sender's address and port, 0 for any; ``channel`` is which one of the recording it is, ``law``
    the payload type. Of secrets only the SHA-256 is kept: ``secret`` of a callback's path, ``uri`` of a WebSocket's; of
    an SRTP key nothing at all, only its ``suite``. ``turns``: how often it was paused or resumed; ``turned_ns``: the
    latest of these instants, monotonic. Read by other versions: fields are only added, each with a default.
    """

    worker: int = 0
    slot: int = 0
    port: int | None = None
    fixed: bool = False
    policy: str = "announced"
    announced: tuple[str, int] | None = None
    own: bool = False
    accepted: bool = False
    word: str = "nobodys"
    secret: str | None = None
    uri: str | None = None
    law: int | None = None
    channel: int = 0
    suite: str | None = None
    turns: int = 0
    turned_ns: list[int] = []

    @property
    def paused(self) -> bool:
        """Whether nothing is recorded."""
        return self.turns % 2 == 1


class TapRow(Struct, frozen=True, kw_only=True):
    """One tap: what was asked, when it got how far, and how it ended. None where nothing is known."""

    id: str
    recording_id: str
    state: str
    call_id: str | None = None
    node_id: str | None = None
    labels: dict[str, str] = {}
    direction: str | None = None
    layout: str | None = None
    codec: str | None = None
    ptime: int | None = None  # packetization time, ms
    control_id: str | None = None
    device: str | None = None  # rtp, ws
    source: str | None = None  # as asked: address, address:port, any
    address: str | None = None  # destination that the sender was told
    port: int | None = None
    requested_ns: int
    listening_ns: int | None = None
    receiving_ns: int | None = None
    ended_ns: int | None = None
    ending: str | None = None
    outcome: str | None = None
    problem: Problem | None = None
    seat: Seat | None = None

    @property
    def paused(self) -> bool:
        """Whether it lives and nothing that comes is recorded."""
        return self.outcome is None and self.seat is not None and self.seat.paused


class Summary(Struct, frozen=True, kw_only=True):
    """A sidecar without its long lists (gaps, pauses, digits, noise): those stand in the file, for the jobs."""

    recording_id: str
    tap_id: str | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    node_id: str | UnsetType = UNSET
    labels: dict[str, str] = {}
    direction: str | UnsetType = UNSET
    layout: str | UnsetType = UNSET
    file: str | None = None
    bytes: int | UnsetType = UNSET
    sha256: str | UnsetType = UNSET
    encoding: str | UnsetType = UNSET
    sample_rate: int | UnsetType = UNSET
    frames: int | UnsetType = UNSET
    duration_s: float | UnsetType = UNSET
    requested_at: datetime | UnsetType = UNSET
    first_packet_at: datetime | UnsetType = UNSET
    started_at: datetime | UnsetType = UNSET
    ended_at: datetime | UnsetType = UNSET
    ending: str
    outcome: Literal["complete", "degraded", "empty", "failed"]
    problem: Problem | UnsetType = UNSET
    absent_frames: int | UnsetType = UNSET
    parts: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    @property
    def tap_ids(self) -> list[str]:
        """The taps that it is the recording of: one, or one a channel."""
        named = [str(channel["tap_id"]) for channel in self.channels if channel.get("tap_id")]
        first = [self.tap_id] if isinstance(self.tap_id, str) else []
        return list(dict.fromkeys(first + named))


class Draft(Struct, frozen=True, kw_only=True):
    """What rule C1 made durable of a tap that was asked for."""

    recording_id: str
    tap_id: str
    call_id: str | UnsetType = UNSET
    node_id: str | UnsetType = UNSET
    labels: dict[str, str] = {}
    direction: str | UnsetType = UNSET
    layout: str | UnsetType = UNSET
    requested_at: datetime
    channels: list[dict[str, Any]] = []

    @property
    def parties(self) -> dict[str, str | None]:
        """Its taps, and whom one hears at each."""
        told = {str(it["tap_id"]): it.get("party") for it in self.channels if it.get("tap_id")}
        return told if len(told) > 1 else {self.tap_id: self.direction or None}


class RecordingRow(Struct, frozen=True, kw_only=True):
    """One recording. ``stem``: its path below ``ready/`` without suffix, None where that is not known."""

    summary: Summary
    stem: str | None
    booked_ns: int


def read_summary(sidecar: bytes) -> Summary:
    """Read what the ledger keeps of a sidecar. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(sidecar, type=Summary)


def read_draft(draft: bytes) -> Draft:
    """Read a draft. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(draft, type=Draft)


def unix_ns(moment: datetime | UnsetType) -> int | None:
    """Return UNIX time, exact to the microsecond; a time without a zone is UTC."""
    if not isinstance(moment, datetime):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def moment(unix: int | None) -> datetime | UnsetType:
    """The other way round; None stays unknown."""
    return UNSET if unix is None else _EPOCH + timedelta(microseconds=unix // 1000)
