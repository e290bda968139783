"""What a recording says of itself: its audio and its sidecar, read from the disk, and whether the two agree.

Everything here is judged without a sender's log; what is wrong becomes a sentence.
"""

import hashlib
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.archive import sidecar
from receiver.archive.sidecar import Gap, Sidecar

MOST_FINDINGS = 8
"""Sentences about one kind of finding; the rest is a number."""


class Findings:
    """Sentences about what is wrong, by kind, so that ten thousand bad samples do not make ten thousand lines."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Note one."""
        self._kinds.setdefault(kind, []).append(sentence)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All, with "kind: " in front; of each kind the first few."""
        told: list[str] = []
        for kind, sentences in self._kinds.items():
            told += [f"{kind}: {sentence}" for sentence in sentences[:MOST_FINDINGS]]
            if len(sentences) > MOST_FINDINGS:
                told.append(f"{kind}: and {len(sentences) - MOST_FINDINGS} more")
        return tuple(told)


@dataclass
class Evidence:
    """A recording as it lies in a folder. ``samples`` is int16[frames, channels], all files in order; empty without
    sound."""

    sidecar: Sidecar | None
    samples: NDArray[np.int16]
    findings: Findings = field(default_factory=Findings)


class _Piece(NamedTuple):
    """One WAV that the sidecar speaks of."""

    file: str
    frame: int
    frames: int
    bytes: object
    sha256: object


def gather(path: Path) -> Evidence:
    """Read a sidecar and its audio, and compare them: header, sizes, checksum, gaps. Never raises for what it finds."""
    evidence = Evidence(None, np.zeros((0, 1), np.int16))
    add = evidence.findings.add
    try:
        told = sidecar.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        add("sidecar", f"{path.name} cannot be read: {error}")
        return evidence
    evidence.sidecar = told
    pieces = _pieces(told)
    if told.file is not None and Path(told.file).stem != path.stem:
        add("sidecar", f"{path.name} speaks of {told.file!r}")
    sound = [_read(path.parent, piece, told, evidence.findings) for piece in pieces]
    if sound:
        evidence.samples = np.concatenate(sound)
    if len(evidence.samples) != told.frames:
        add("frames", f"the sidecar says {told.frames}, the audio has {len(evidence.samples)}")
    if abs(told.duration_s - told.frames / told.sample_rate) > 0.5e-3:
        add("frames", f"duration_s is {told.duration_s}, {told.frames} frames last {told.frames / told.sample_rate}")
    _compare_silence(evidence)
    return evidence


def _pieces(told: Sidecar) -> list[_Piece]:
    if told.file is not None:
        return [_Piece(told.file, 0, told.frames, told.bytes, told.sha256)]
    return [_Piece(part.file, part.frame, part.frames, part.bytes, part.sha256) for part in told.parts]


def _read(folder: Path, piece: _Piece, told: Sidecar, findings: Findings) -> NDArray[np.int16]:
    """The samples of one WAV, int16[frames, channels]; what its header, size or checksum belie is noted."""
    channels = max(len(told.channels), 1)
    path = folder / piece.file
    try:
        octets = path.read_bytes()
        with wave.open(str(path), "rb") as file:
            params, data = file.getparams(), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        findings.add("audio", f"{piece.file} cannot be read: {error}")
        return np.zeros((0, channels), np.int16)
    if (params.nchannels, params.sampwidth, params.framerate) != (channels, 2, told.sample_rate):
        findings.add(
            "audio", f"{piece.file}: {params.nchannels} channels, {params.framerate} Hz, {params.sampwidth * 8} bits"
        )
        return np.zeros((0, channels), np.int16)
    samples = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2").astype(np.int16)
    samples = samples.reshape(-1, channels)
    if not len(samples) == params.nframes == piece.frames:
        findings.add(
            "frames",
            f"{piece.file}: {piece.frames} by the sidecar, {params.nframes} by its header, {len(samples)} there",
        )
    if piece.bytes != len(octets):
        findings.add("bytes", f"{piece.file}: {piece.bytes} by the sidecar, {len(octets)} on the disk")
    if piece.sha256 != hashlib.sha256(octets).hexdigest():
        findings.add("sha256", f"{piece.file} is not what the sidecar signed")
    return samples


def _compare_silence(evidence: Evidence) -> None:
    """Zero runs are the rows of the gap list and the other way round, frame by frame (rule A6); frame 0 came (rule
    A2)."""
    told, add = evidence.sidecar, evidence.findings.add
    assert told is not None
    at = 0
    for part in told.parts:
        if part.frame != at:
            add("parts", f"{part.file} begins at frame {part.frame} and should at {at}")
        at += part.frames
    listed = sum(gap.frames for gap in told.gaps)
    if told.absent_frames != listed:
        add("gaps", f"absent_frames is {told.absent_frames}, the rows add up to {listed}")
    for channel in range(evidence.samples.shape[1]):
        rows = [gap for gap in told.gaps if gap.channel == channel]
        silent = {(int(first), int(upto)) for first, upto in zero_runs(evidence.samples[:, channel])}
        gaps = set(_joined(rows, evidence.findings))
        for first, upto in sorted(silent - gaps):
            add("gaps", f"channel {channel}: {upto - first} zero frames at {first} are no row of the list")
        for first, upto in sorted(gaps - silent):
            add("gaps", f"channel {channel}: the row of {upto - first} frames at {first} is no run of zeros")
    if any(gap.channel >= evidence.samples.shape[1] for gap in told.gaps):
        add("gaps", "a row speaks of a channel that is not there")
    if len(evidence.samples) and not evidence.samples[0].any():
        add("frames", "frame 0 is silence: it should be the earliest sample that came")


def _joined(rows: list[Gap], findings: Findings) -> list[tuple[int, int]]:
    """Rows as (first, one past last); neighbours of different reasons are one run of zeros."""
    joined: list[tuple[int, int]] = []
    for row in rows:
        first, upto = row.frame, row.frame + row.frames
        if joined and first < joined[-1][1]:
            findings.add("gaps", f"the row at frame {first} overlaps the one before or is out of order")
        elif joined and first == joined[-1][1]:
            joined[-1] = joined[-1][0], upto
            continue
        joined.append((first, upto))
    return joined


def zero_runs(samples: NDArray[np.int16]) -> NDArray[np.int64]:
    """Edges of each run of zeros, i8[n, 2], as (first, one past last)."""
    edges = np.flatnonzero(np.diff(np.r_[False, samples == 0, False].astype(np.int8)))
    return edges.astype(np.int64).reshape(-1, 2)
