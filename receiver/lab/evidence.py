"""What a recording says of itself: its audio and its sidecar, read from the disk, and whether the two agree.

Everything here is judged without a sender's log; what is wrong becomes a sentence.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from receiver.archive import sidecar, wav
from receiver.archive.sidecar import Gap, Sidecar

_FORMATS = {"pcm16": ("PCM_16",), "g711": ("ULAW", "ALAW"), "flac": ("PCM_16",)}
"""Encoding of a sidecar → what libsndfile may call it."""
_ALAW_SILENCE = 8
"""A-law knows no zero: what is absent is the code 0xD5 there (``archive/encoding.py``)."""
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
    """One file that the sidecar speaks of."""

    file: str
    frame: int
    frames: int
    bytes: object
    sha256: object
    encoding: str


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
        return [_Piece(told.file, 0, told.frames, told.bytes, told.sha256, told.encoding)]
    return [
        _Piece(part.file, part.frame, part.frames, part.bytes, part.sha256, part.encoding or told.encoding)
        for part in told.parts
    ]


def _read(folder: Path, piece: _Piece, told: Sidecar, findings: Findings) -> NDArray[np.int16]:
    """The samples of one file, int16[frames, channels]; what its header, size or checksum belie is noted."""
    channels = max(len(told.channels), 1)
    path = folder / piece.file
    try:
        octets = path.read_bytes()
        with soundfile.SoundFile(path) as file:
            shape = file.channels, file.samplerate, file.subtype, file.format
            said, samples = file.frames, np.asarray(file.read(dtype="int16", always_2d=True), np.int16)
    except (OSError, soundfile.SoundFileError) as error:
        findings.add("audio", f"{piece.file} cannot be read: {error}")
        return np.zeros((0, channels), np.int16)
    container = "FLAC" if piece.encoding == "flac" else "WAV"
    if shape[:2] != (channels, told.sample_rate):
        findings.add("audio", f"{piece.file}: {shape[0]} channels, {shape[1]} Hz")
        return np.zeros((0, channels), np.int16)
    if shape[2] not in _FORMATS.get(piece.encoding, ()) or shape[3] != container:
        findings.add("audio", f"{piece.file}: {piece.encoding} by the sidecar, {shape[2]} in {shape[3]} by its header")
    if not len(samples) == said == piece.frames:
        findings.add(
            "frames", f"{piece.file}: {piece.frames} by the sidecar, {said} by its header, {len(samples)} there"
        )
    try:
        if shape[3] == "WAV":  # libsndfile makes do with a length that is not true
            wav.inspect(lambda at, count: octets[at : at + count], len(octets))
    except wav.NotWav as error:
        findings.add("frames", f"{piece.file}: {error}")
    if piece.bytes != len(octets):
        findings.add("bytes", f"{piece.file}: {piece.bytes} by the sidecar, {len(octets)} on the disk")
    if piece.sha256 != hashlib.sha256(octets).hexdigest():
        findings.add("sha256", f"{piece.file} is not what the sidecar signed")
    if shape[2] == "ALAW":
        _silence(samples, piece, told.gaps, findings)
    return samples


def _silence(samples: NDArray[np.int16], piece: _Piece, gaps: Sequence[Gap], findings: Findings) -> None:
    """Make of the silence of a listed gap the 0 that it is in every other encoding."""
    for gap in gaps:
        rows = slice(max(gap.frame - piece.frame, 0), max(gap.frame + gap.frames - piece.frame, 0))
        if gap.channel >= samples.shape[1] or not len(samples[rows]):
            continue
        if (samples[rows, gap.channel] != _ALAW_SILENCE).any():
            findings.add("gaps", f"channel {gap.channel}: the row at frame {gap.frame} is not A-law's silence")
        samples[rows, gap.channel] = 0


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
