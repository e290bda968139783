"""Names: which recording a file in spool belongs to, and what a recording is called in ``ready/``.

A name from outside never becomes a path (rule D10): ids are UUIDs in canonical form, the pattern knows four fields, and
the finished name is looked at once more before it is used.
"""

import re
import string
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

DEFAULT_PATTERN = "{started:%Y%m%dT%H%M%SZ}_{recording_id}"
FIELDS = frozenset({"started", "recording_id", "tap_id", "call_id"})
LONGEST_FOLDER = 200  # octets of one component; ".001-99.json.tmp" must still fit into the usual 255
SOUND_SUFFIXES = (".wav", ".flac")
LONGEST_FIELD = 64  # letters that a call's id may bring along

_ID = r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_SPOOLED = re.compile(
    rf"spool/{_ID}\.(?:"
    r"(?P<channel>\d{1,5})\.(?P<segment>\d{1,5})\.(?P<first>\d{1,15})\.(?P<part>part)"
    r"|(?P<index>\d{1,5})\.(?P<indexed>segment|wav)"
    r"|(?P<noting>\d{1,5})\.(?P<noted>notes)"
    r"|(?P<plain>draft|notes|json|done)"
    r"|(?P<tmp>[0-9a-z.]+\.tmp))"
)
RESERVE = "spool/reserve"
NOTES = "spool/notes.msgpack"
_POSITIONS = re.compile(r"spool/positions-(\d{1,5})\.msgpack")
_LOG = re.compile(r"spool/commits-(\d{1,5})\.log")
_READY_ID = re.compile(rf"{_ID}(?:\.\d{{3,5}})?(?:-\d{{1,2}})?\.(?:wav|flac|json)$")


MOST_TAPS = 2  # that one recording has (layout ``stereo``)


class PartKey(NamedTuple):
    """Which part this is: one channel's sound from ``first_frame`` on, until the next segment begins.

    ``first_frame`` counts in the recording (not in the segment), in frames since the part axis' beginning. ``channel``
    is which tap of the recording it is of, and `MOST_TAPS` more for each that the tap has beside its own (rule A12).
    """

    recording_id: str
    channel: int
    segment: int
    first_frame: int

    @property
    def name(self) -> str:
        """Where it lies. The first frame is part of the name, so that repair needs nothing but a listing."""
        return f"spool/{self.recording_id}.{self.channel}.{self.segment}.{self.first_frame}.part"


def in_the_file(channels: Iterable[int]) -> list[int]:
    """Channels of parts as they lie in the file: the taps' own, then those beside them."""
    return sorted(channels, key=lambda channel: divmod(channel, MOST_TAPS))


class Spooled(NamedTuple):
    """What a name in spool says. ``kind`` is the last word of the name; numbers are -1 where the kind has none."""

    kind: str
    recording_id: str
    channel: int = -1
    segment: int = -1
    first_frame: int = -1


def draft(recording_id: str) -> str:
    """The draft that rule C1 makes durable."""
    return f"spool/{recording_id}.draft"


def notes(recording_id: str, channel: int = 0) -> str:
    """The worker's notes of one channel of a recording."""
    return f"spool/{recording_id}.{channel}.notes" if channel else f"spool/{recording_id}.notes"


def segment(recording_id: str, index: int) -> str:
    """The description of a woven segment."""
    return f"spool/{recording_id}.{index}.segment"


def woven(recording_id: str, index: int) -> str:
    """A segment's sound before it is linked: under this name whatever it is encoded in."""
    return f"spool/{recording_id}.{index}.wav"


def final(recording_id: str) -> str:
    """The final sidecar, before and while it is linked."""
    return f"spool/{recording_id}.json"


def done(recording_id: str) -> str:
    """The final sidecar once all is published."""
    return f"spool/{recording_id}.done"


def log(worker: int) -> str:
    """The commit log of one worker."""
    return f"spool/commits-{worker}.log"


def positions(worker: int) -> str:
    """Where the taps of a worker that left stand."""
    return f"spool/positions-{worker}.msgpack"


def is_of_a_worker(name: str) -> bool:
    """Whether a name in spool belongs to a worker as a whole, and to no recording."""
    return name in (RESERVE, NOTES) or log_owner(name) is not None or _POSITIONS.fullmatch(name) is not None


def log_owner(name: str) -> int | None:
    """Return the worker whose commit log this is."""
    found = _LOG.fullmatch(name)
    return int(found[1]) if found else None


def parse(name: str) -> Spooled | None:
    """Read a name in spool; None when it belongs to no recording."""
    found = _SPOOLED.fullmatch(name)
    if found is None:
        return None
    if found["part"]:
        return Spooled("part", found["id"], int(found["channel"]), int(found["segment"]), int(found["first"]))
    if found["indexed"]:
        return Spooled(found["indexed"], found["id"], segment=int(found["index"]))
    if found["noted"]:
        return Spooled("notes", found["id"], int(found["noting"]))
    return Spooled(found["plain"] or "tmp", found["id"])


def without_suffix(name: str) -> str:
    """Return the name of a recording's sound without that of its kind: what it shares with its sidecar."""
    return next((name.removesuffix(suffix) for suffix in SOUND_SUFFIXES if name.endswith(suffix)), name)


def recording_of(name: str) -> str | None:
    """Return the id of the recording that a name in ``ready/`` ends with (rule of ``[storage].name``)."""
    found = _READY_ID.search(name)
    return found["id"] if found else None


def require_id(recording_id: str) -> None:
    """Raise ``ValueError`` unless this is a UUID in its canonical form (36 letters, lower case)."""
    if str(UUID(recording_id)) != recording_id:
        raise ValueError(f"a recording's id is a UUID in canonical form, not {recording_id!r}")


def check_pattern(pattern: str) -> None:
    """Raise ``ValueError`` with a sentence for the operator unless ``[storage].name`` can name recordings."""
    pieces = list(string.Formatter().parse(pattern))
    for _, field, form, conversion in pieces:
        if field is None:
            continue
        if field not in FIELDS:
            raise ValueError(f"{{{field}}} is not known here; fields are {', '.join(sorted(FIELDS))}")
        if conversion or (form and (field != "started" or "{" in form)):
            raise ValueError(f"only {{started:...}} takes a format, and no field a conversion: {{{field}}}")
    if not pieces or pieces[-1][1] != "recording_id":
        raise ValueError("it must end with {recording_id}, or two recordings could want the same name")
    example = "00000000-0000-0000-0000-000000000000"
    _require_stem(_fill(pattern, datetime(2000, 1, 1), example, example, example))


def render(pattern: str, started: datetime, recording_id: str, tap_id: str = "", call_id: str = "") -> str:
    """Return the recording's name under ``ready/``, without suffix; it may have folders.

    A pattern that cannot be used (the daemon has checked it at start; a draft may come from elsewhere) gives way to the
    default one: a name is no reason to lose sound.
    """
    require_id(recording_id)
    try:
        check_pattern(pattern)
        return _require_stem(_fill(pattern, started, recording_id, tap_id, call_id))
    except ValueError:
        return _fill(DEFAULT_PATTERN, started, recording_id, tap_id, call_id)


def _fill(pattern: str, started: datetime, recording_id: str, tap_id: str, call_id: str) -> str:
    return pattern.format(started=started, recording_id=recording_id, tap_id=_tame(tap_id), call_id=_tame(call_id))


def _tame(text: str) -> str:
    """What the network said, as letters that mean nothing to a file system."""
    return re.sub(r"[^0-9A-Za-z_-]", "_", text[:LONGEST_FIELD]) or "unknown"


def _require_stem(stem: str) -> str:
    for part in stem.split("/"):
        if not part or part.startswith(".") or len(part.encode()) > LONGEST_FOLDER or not part.isprintable():
            raise ValueError(
                f"it gives {stem!r}: folders and the name must be printable, neither empty nor longer than "
                f"{LONGEST_FOLDER} octets, and must not begin with a full stop"
            )
    return stem
