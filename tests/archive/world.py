"""What the tests of the archive share: drafts, parts with known sound, and a look at what came out."""

import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.archive.files import Files
from receiver.archive.finish import Facts
from receiver.archive.gaps import Stretch
from receiver.archive.names import DEFAULT_PATTERN, PartKey
from receiver.archive.part import Part
from receiver.archive.sidecar import Channel, Draft, Problem, encode, moment
from receiver.media.block import ABSENT

ID = "018f3a5e-7c11-7d22-8e33-9f4455667788"
OTHER = "018f3a5e-7c11-7d22-8e33-9f4455667799"
NOON_NS = 1_700_000_000_123_456_789
NAME = "20231114T221320Z_" + ID  # what NOON_NS gives

Sound = NDArray[np.int16]


def draft(recording_id: str = ID, **more: Any) -> Draft:
    """One recording that was asked for."""
    given: dict[str, Any] = {
        "recording_id": recording_id, "tap_id": "tap-1", "labels": {"team": "blue"}, "direction": "both",
        "layout": "mono", "requested_at": moment(NOON_NS - 2_000_000_000), "name": DEFAULT_PATTERN,
        "software": "tapdeck 0", "host": "here", "channels": (Channel(party="both", codec="PCMU"),),
    }  # fmt: skip
    return Draft(**{**given, **more})


def sound(frames: int, seed: int = 1) -> Sound:
    """Noise without silence and without absence."""
    return np.random.default_rng(seed).integers(1, 20_000, frames, np.int16)


def with_absence(samples: Sound, *spans: tuple[int, int]) -> Sound:
    """The same with absent frames [first, stop)."""
    samples = samples.copy()
    for first, stop in spans:
        samples[first:stop] = ABSENT
    return samples


def lay(
    files: Files, samples: Sequence[Sound], segment: int = 0, first: int = 0, of: Draft | None = None
) -> list[PartKey]:
    """Put a draft and one part for each channel into spool, as a worker would have left them."""
    of = of or draft()
    descriptor = files.create(f"spool/{of.recording_id}.draft", afresh=True)
    files.pwrite(descriptor, (encode(of),), 0)
    files.close_file(descriptor)
    keys = [PartKey(of.recording_id, channel, segment, first) for channel in range(len(samples))]
    for key, mine in zip(keys, samples, strict=True):
        part = Part.create(files, key)
        part.write(0, (mine,))
        part.close()
    return keys


def facts(keys: Sequence[PartKey], frames: Sequence[int], **more: Any) -> Facts:
    """An ordinary end."""
    given: dict[str, Any] = {
        "draft": draft(keys[0].recording_id), "parts": tuple(keys), "frames": tuple(frames), "anchor_frame": 0,
        "anchor_ns": NOON_NS, "first_packet_ns": NOON_NS, "ended_ns": NOON_NS + 10**9, "ending": "stopped",
    }  # fmt: skip
    return Facts(**{**given, **more})


def lying(directory: Path, room: str = "ready") -> list[str]:
    """The names in a room."""
    return sorted(str(path.relative_to(directory / room)) for path in (directory / room).rglob("*") if path.is_file())


def read_wav(path: Path) -> Sound:
    """Frames by channels, as somebody else's reader sees them."""
    with wave.open(str(path)) as file:
        assert (file.getsampwidth(), file.getframerate()) == (2, 8000)
        octets = file.readframes(file.getnframes())
        return np.frombuffer(octets, "<i2").reshape(-1, file.getnchannels())


def read_json(path: Path) -> dict[str, Any]:
    """A sidecar as a job reads it."""
    loaded = json.loads(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def gaps_by_hand(
    samples: Sequence[Sound], stretches: Sequence[Stretch] = (), quiet: bool = True
) -> list[tuple[int, int, int, str]]:
    """The list of gaps, frame by frame and without numpy's help: what the clever one must equal."""
    length = max((len(mine) for mine in samples), default=0)
    labels: list[list[str | None]] = []
    for channel, mine in enumerate(samples):
        padded = [*mine.tolist(), *[int(ABSENT)] * (length - len(mine))]
        row: list[str | None] = ["lost" if value == ABSENT else None for value in padded]
        if quiet and len(samples) > 1:  # beside another channel: before the first sample, and behind the end
            came = [frame for frame, label in enumerate(row) if label is None]
            for frame in (*range(min(came, default=length)), *range(len(mine), length)):
                row[frame] = "not_sent"
        for stretch in stretches:
            for frame in range(max(0, stretch.frame), min(length, stretch.frame + stretch.frames)):
                if stretch.channel == channel and row[frame] is not None:
                    row[frame] = str(stretch.reason)
        labels.append(row)
    came = [frame for row in labels for frame, label in enumerate(row) if label is None]
    if not came:
        return []
    lead, rows = min(came), []
    for channel, row in enumerate(labels):
        frame = lead
        while frame < length:
            stop = frame
            while stop < length and row[stop] == row[frame]:
                stop += 1
            if row[frame] is not None:
                rows.append((frame - lead, stop - frame, channel, str(row[frame])))
            frame = stop
    return sorted(rows, key=lambda gap: (gap[0], gap[2]))


def problem(code: str = "source_conflict") -> Problem:
    """Something to complain about."""
    return Problem(code, "Two sources sent.", "Name the right one.")


def as_tuples(gaps: Sequence[Any]) -> list[tuple[int, int, int, str]]:
    """Gaps as plain rows."""
    return [(gap.frame, gap.frames, gap.channel, str(gap.reason)) for gap in gaps]


def replaced(struct: Any, **fields: Any) -> Any:
    """A struct with other fields."""
    return msgspec.structs.replace(struct, **fields)
