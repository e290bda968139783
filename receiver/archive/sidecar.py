"""The sidecar: all that is known of one recording, as jobs read it. The draft: what was known when it was asked for.

The JSON schema is made from these structs: ``python -m receiver.archive.sidecar > docs/recording.schema.json``.
A field that is not known is absent, not zero. Fields are only added. Frames are counted from frame 0 of the recording,
the earliest sample that came (rule A2), on one axis for all its channels and all its files.

No numpy here: the API reads these structs too.
"""

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

PCM16, G711, FLAC = "pcm16", "g711", "flac"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Count = Annotated[int, Meta(ge=0)]
Text = str | UnsetType
Time = Annotated[datetime, Meta(tz=True, description="UTC")]
Moment = Time | UnsetType
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="of the whole file, as read back from the disk")]


class Ending(StrEnum):
    """Why a recording ended."""

    STOPPED = "stopped"
    RELAY_FINISHED = "relay_finished"
    CALL_ENDED = "call_ended"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    SHUTDOWN = "shutdown"
    RECOVERED = "recovered"
    REFUSED = "refused"
    NO_PACKETS = "no_packets"


class Outcome(StrEnum):
    """How it turned out: each tap has exactly one (rules D)."""

    COMPLETE = "complete"
    DEGRADED = "degraded"
    EMPTY = "empty"
    FAILED = "failed"


class Reason(StrEnum):
    """Why frames are absent."""

    LOST = "lost"
    NOT_SENT = "not_sent"
    PAUSED = "paused"
    DRIFT = "drift"
    WRITE_FAILED = "write_failed"
    RESTART = "restart"


class Problem(Struct, frozen=True):
    """What went wrong, in a word for programs and two sentences for people."""

    code: str
    message: str
    hint: str = ""


class Gap(Struct, frozen=True):
    """Absent frames of one channel: silence in the file that nobody sent, or that did not arrive."""

    frame: Count
    frames: Annotated[int, Meta(ge=1)]
    channel: Count
    reason: Reason


class Pause(Struct, frozen=True):
    """A stretch in which recording was paused: silence in the file, or (``frames`` 0) left out of it.

    ``until`` is absent where the recording ended before it was resumed.
    """

    frame: Count
    frames: Count
    at: Moment = UNSET
    until: Moment = UNSET


class Digit(Struct, frozen=True, kw_only=True):
    """A key pressed (RFC 4733)."""

    digit: str
    frame: Count
    frames: Count
    channel: Count


class Noise(Struct, frozen=True, kw_only=True):
    """A comfort noise level from its frame on (RFC 3389)."""

    frame: Count
    channel: Count
    level_dbov: Annotated[int, Meta(ge=-127, le=0)]


class File(Struct, frozen=True, kw_only=True):
    """One of several files of a long recording (rule C7), in order, without a missing frame between them.

    ``encoding`` is told where it is not the recording's. It has the channels that there were by then, the first of the
    recording's: others may have come later.
    """

    file: str
    frame: Count
    frames: Count
    bytes: Count
    sha256: Sha256
    encoding: Text = UNSET


class SourceChange(Struct, frozen=True):
    """The sound came from another address from then on (rule B5)."""

    at: Time
    seen: str


class Source(Struct, frozen=True, kw_only=True):
    """Where the sound came from and why it was let in (rules B). Addresses are ``address:port``."""

    announced: Text = UNSET
    seen: Text = UNSET
    trust: Text = UNSET
    changes: tuple[SourceChange, ...] = ()


class Jitter(Struct, frozen=True):
    """Interarrival jitter (RFC 3550 A.8), in milliseconds."""

    mean: float
    max: float


class Epoch(Struct, frozen=True, kw_only=True):
    """From ``frame`` on the sender's clock ran evenly: there it said ``timestamp``, and the wall clock ``at``."""

    frame: Count
    timestamp: Annotated[int, Meta(ge=0, lt=2**32, description="as in the packets, 32 bits")]
    at: Moment = UNSET


class SenderMoment(Struct, frozen=True, kw_only=True):
    """What a sender report said: at this time of the sender's own wall clock its media clock was there (RFC 3550)."""

    timestamp: Annotated[int, Meta(ge=0, lt=2**32, description="as in the packets, 32 bits")]
    at: Moment = UNSET


class SenderReports(Struct, frozen=True, kw_only=True):
    """RTCP sender reports of a stream. ``clock_ppm``: its media clock against its own wall clock."""

    count: Annotated[int, Meta(ge=1)]
    first: SenderMoment
    last: SenderMoment
    clock_ppm: float | UnsetType = UNSET


class Stream(Struct, frozen=True, kw_only=True):
    """One SSRC from one source, counted.

    ``drift_ppm``: how fast its clock was against this host's, in parts per million; absent for less than five minutes.
    ``cname``, ``sender_reports`` and ``bye_at`` are what it said by RTCP.
    """

    ssrc: Count
    packets: Count
    lost: int | UnsetType = UNSET  # RFC 3550 A.3; negative with duplicates, by that definition
    duplicate: Count | UnsetType = UNSET
    reordered: Count | UnsetType = UNSET
    late: Count | UnsetType = UNSET
    late_lost: Count | UnsetType = UNSET
    invalid: Count | UnsetType = UNSET
    jitter_ms: Jitter | UnsetType = UNSET
    drift_ppm: float | UnsetType = UNSET
    cname: Text = UNSET
    sender_reports: SenderReports | UnsetType = UNSET
    bye_at: Moment = UNSET
    epochs: tuple[Epoch, ...] = ()


class Redecoded(Struct, frozen=True):
    """Opus frames that a new decoder made, which took up where another ended: they may differ from what that one would
    have made of the same packets."""

    frame: Count
    frames: Count


class Channel(Struct, frozen=True, kw_only=True):
    """A channel of the file: whom one hears in it, and what came for it.

    ``codec`` is the latest, ``codecs`` are all of them where it was more than one (rule A14).
    ``unknown_payload_types`` came from its source and are not recorded: nobody announced them. Of Opus:
    ``mixed_packets`` of two channels, which libopus mixed down to this one, and where it was ``redecoded``.
    """

    party: str = "unknown"
    tap_id: Text = UNSET
    control_id: Text = UNSET
    codec: Text = UNSET
    codecs: tuple[str, ...] | UnsetType = UNSET
    source: Source | UnsetType = UNSET
    streams: tuple[Stream, ...] = ()
    srtp: Text = UNSET  # the crypto suite that it came in
    unknown_payload_types: tuple[Annotated[int, Meta(ge=0, le=127)], ...] = ()
    mixed_packets: Count | UnsetType = UNSET
    redecoded: tuple[Redecoded, ...] | UnsetType = UNSET


class Sidecar(Struct, frozen=True, kw_only=True):
    """All that is known of one recording. Its arrival in ready/ is the signal that the recording is final.

    ``file`` is a name in the folder of the sidecar; null when there is no sound (``outcome`` and ``problem`` say why)
    or when it is in several files (``parts``). ``encoding`` is what the sound is written in: not always what
    ``[storage].encoding`` asked for, where that cannot hold it exactly.
    """

    schema: Literal[1] = 1
    recording_id: str
    tap_id: Text = UNSET
    call_id: Text = UNSET
    node_id: Text = UNSET
    labels: dict[str, str] = {}
    direction: Text = UNSET
    layout: Text = UNSET
    file: str | None
    bytes: Count | UnsetType = UNSET
    sha256: Sha256 | UnsetType = UNSET
    encoding: str = PCM16
    sample_rate: Annotated[int, Meta(ge=1, description="frames a second")]
    frames: Count
    duration_s: Annotated[float, Meta(ge=0)]
    requested_at: Moment = UNSET
    first_packet_at: Moment = UNSET
    started_at: Annotated[datetime, Meta(tz=True, description="UTC, wall time of frame 0")] | UnsetType = UNSET
    ended_at: Moment = UNSET
    ending: Ending
    outcome: Outcome
    problem: Problem | UnsetType = UNSET
    absent_frames: Annotated[int, Meta(ge=0, description="the sum over gaps, so over all channels")]
    gaps: tuple[Gap, ...] = ()
    pauses: tuple[Pause, ...] = ()
    dtmf: tuple[Digit, ...] = ()
    noise: tuple[Noise, ...] = ()
    parts: tuple[File, ...] = ()
    software: Text = UNSET
    host: Text = UNSET
    channels: tuple[Channel, ...] = ()


class Draft(Struct, frozen=True, kw_only=True):
    """What is known when a recording is asked for: made durable by rule C1, read again only after a power cut.

    ``name`` is the pattern of ``[storage].name``, ``pause_as`` is ``[taps].pause_as``; ``channels`` tell party, tap,
    codec and the announced source.
    """

    recording_id: str
    tap_id: Text = UNSET
    call_id: Text = UNSET
    node_id: Text = UNSET
    labels: dict[str, str] = {}
    direction: Text = UNSET
    layout: Text = UNSET
    requested_at: Moment = UNSET
    name: str
    encoding: str = PCM16
    pause_as: str = "silence"
    sample_rate: Annotated[int, Meta(ge=1)] = 8000
    software: Text = UNSET
    host: Text = UNSET
    channels: tuple[Channel, ...] = ()


def moment(unix_ns: int) -> datetime:
    """Return the UTC time, to the microsecond; whole numbers all the way."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)


def encode(document: Struct) -> bytes:
    """Return the JSON that lies on the disk, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode(octets: bytes) -> Sidecar:
    """Read a sidecar. ``msgspec.MsgspecError`` (with the path of the field) when it does not obey the schema."""
    return msgspec.json.decode(octets, type=Sidecar)


def decode_draft(octets: bytes) -> Draft:
    """Read a draft. ``msgspec.MsgspecError`` when it is none."""
    return msgspec.json.decode(octets, type=Draft)


def schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a sidecar."""
    made = msgspec.json.schema(Sidecar)
    for described in made["$defs"].values():
        described["description"] = " ".join(described["description"].replace("``", "").split())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The sidecar of a tapdeck recording",
        **made,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n")
