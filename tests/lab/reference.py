"""A recorder on paper: makes from a sender's log the WAV and the sidecar that an exact recorder would leave.

One packet after the other, in plain Python; it shares with the proof nothing but the sound, G.711's tables and the
sidecar's structs. Positions are told from the sound itself (``sample``), which no recorder can see.
"""

import hashlib
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.archive import sidecar
from receiver.archive.sidecar import Channel, Epoch, File, Gap, Reason, Sidecar, Source, Stream
from receiver.lab import plan as plans
from receiver.lab import senderlog, sound
from receiver.lab.plan import Caller, Plan
from receiver.lab.senderlog import SENT, About, Sent
from receiver.wire import g711

BEGIN_NS = 1_750_000_000_000_000_000
STOOD_STILL_NS = 1_000_000_000  # rule A17


def sent_by(caller: Caller, seed: int = 1) -> Sent:
    """The log of a caller whose packets all left when they were due, without a network or a clock."""
    schedule = plans.schedule(Plan((caller,), seed))
    packets = np.zeros(len(schedule), SENT)
    for name in SENT.names or ():
        if name != "sent_ns":
            packets[name] = schedule[name]
    packets["sent_ns"] = BEGIN_NS + schedule["when_ns"]
    return Sent(About(caller.id, caller.voice, "127.0.0.1:40000", caller.to, caller.codec, seed), packets)


@dataclass
class _Line:
    """A run of one stream with one clock: samples of the sound lie at frame = sample + shift."""

    ssrc: int
    timestamp: int
    sample: int
    shift: int
    at_ns: int


@dataclass
class Recording:
    """A recording that a test may spoil before it is written."""

    sent: Sent
    samples: NDArray[np.int16]
    document: Sidecar
    parts: Sequence[int] = ()
    """Frames of each file, if there are several."""
    epochs: dict[int, list[Epoch]] = field(default_factory=dict)

    def write(self, folder: Path, *, truly: bool = True) -> Path:
        """Write audio and sidecar; ``truly``: the sidecar is made to agree with the audio (gaps, checksum)."""
        document = self._agreeing(folder) if truly else self.document
        path = folder / "recording.json"
        path.write_bytes(sidecar.encode(document))
        return path

    def _agreeing(self, folder: Path) -> Sidecar:
        told = msgspec.structs.replace(
            self.document, frames=len(self.samples), duration_s=len(self.samples) / 8000, gaps=gaps_of(self.samples)
        )
        told = msgspec.structs.replace(told, absent_frames=sum(gap.frames for gap in told.gaps))
        if not self.parts:
            octets = _wav(folder / "recording.wav", self.samples)
            digest = hashlib.sha256(octets).hexdigest()
            return msgspec.structs.replace(told, file="recording.wav", bytes=len(octets), sha256=digest)
        files, frame = [], 0
        for number, frames in enumerate(self.parts, 1):
            name = f"recording.{number:03d}.wav"
            octets = _wav(folder / name, self.samples[frame : frame + frames])
            digest = hashlib.sha256(octets).hexdigest()
            files.append(File(file=name, frame=frame, frames=frames, bytes=len(octets), sha256=digest))
            frame += frames
        return msgspec.structs.replace(told, file=None, parts=tuple(files))


def record(sent: Sent) -> Recording:
    """Record one caller's log exactly."""
    lines = _lines(sent)
    voice, placed = sent.about.voice, []
    for packet, line in lines:
        frame = int(packet["sample"]) + line.shift
        law = int(packet["payload_type"])
        codes = sound.identity(voice, int(packet["sample"]), int(packet["size"]), law)
        placed.append((frame, g711.decode(np.array([law], np.uint8), codes[None])[0]))
    first = min(frame for frame, _ in placed)
    samples = np.zeros(max(frame + len(said) for frame, said in placed) - first, np.int16)
    for frame, said in placed:
        samples[frame - first : frame - first + len(said)] = said
    epochs: dict[int, list[Epoch]] = {}
    for line in {id(line): line for _, line in lines}.values():
        at = sidecar.moment(line.at_ns)
        epoch = Epoch(frame=line.sample + line.shift - first, timestamp=line.timestamp, at=at)
        epochs.setdefault(line.ssrc, []).append(epoch)
    return Recording(sent, samples, _document(sent, epochs), epochs=epochs)


def _lines(sent: Sent) -> list[tuple[np.void, _Line]]:
    """Each packet with its line: a new one where the SSRC, or the timestamp's distance to the sound, changes or the
    clock stood."""
    packets = sorted((each for each in sent.packets if not each["copy"]), key=lambda each: int(each["sample"]))
    transits = [int(each["sent_ns"]) - int(each["sample"]) * 125_000 for each in packets]
    found: list[tuple[np.void, _Line]] = []
    line: _Line | None = None
    for number, packet in enumerate(packets):
        ssrc, timestamp, sample = (int(packet[name]) for name in ("ssrc", "timestamp", "sample"))
        transit_ns = min(transits[number : number + 10])  # one may be late; ten in a row are a clock that stood
        if line is None:
            line, least_ns = _Line(ssrc, timestamp, sample, 0, int(packet["sent_ns"])), transit_ns
        same = (timestamp - line.timestamp - (sample - line.sample)) % (1 << 32) == 0
        stood = transit_ns - least_ns > STOOD_STILL_NS
        if ssrc != line.ssrc or not same or stood:
            passed = (transit_ns - least_ns) // 125_000 if stood else 0
            line = _Line(ssrc, timestamp, sample, line.shift + passed, int(packet["sent_ns"]))
            least_ns = max(transit_ns, least_ns)
        least_ns = min(least_ns, transit_ns)
        found.append((packet, line))
    return found


def _document(sent: Sent, epochs: dict[int, list[Epoch]]) -> Sidecar:
    streams = tuple(
        _count(sent.packets[sent.packets["ssrc"] == ssrc], ssrc, tuple(told)) for ssrc, told in epochs.items()
    )
    channel = Channel(party="speak", codec=sent.about.codec, source=Source(seen=sent.about.source), streams=streams)
    times = sorted(int(packet["sent_ns"]) for packet in sent.packets)
    earliest = min(epochs[next(iter(epochs))], key=lambda epoch: epoch.frame)
    return Sidecar(
        recording_id="recording", file="recording.wav", sample_rate=8000, frames=0, duration_s=0.0, absent_frames=0,
        first_packet_at=sidecar.moment(times[0]), started_at=earliest.at, ended_at=sidecar.moment(times[-1]),
        ending=sidecar.Ending.STOPPED, outcome=sidecar.Outcome.COMPLETE, channels=(channel,),
    )  # fmt: skip


def _count(packets: NDArray[np.void], ssrc: int, epochs: tuple[Epoch, ...]) -> Stream:
    """RFC 3550 A.1 and A.3, packet by packet."""
    highest = lowest = int(packets["sequence"][0])
    seen: set[int] = set()
    duplicate = reordered = 0
    for packet in packets:
        sequence = highest + (int(packet["sequence"]) - highest + 0x8000) % 0x10000 - 0x8000
        duplicate += sequence in seen
        reordered += sequence < highest and sequence not in seen
        seen.add(sequence)
        highest, lowest = max(highest, sequence), min(lowest, sequence)
    return Stream(
        ssrc=ssrc, packets=len(packets), lost=highest - lowest + 1 - len(packets), duplicate=duplicate,
        reordered=reordered, late=0, late_lost=0, invalid=0, epochs=epochs,
    )  # fmt: skip


def gaps_of(samples: NDArray[np.int16]) -> tuple[Gap, ...]:
    """Runs of zeros, frame by frame."""
    gaps: list[Gap] = []
    for frame in np.flatnonzero(samples == 0).tolist():
        if gaps and gaps[-1].frame + gaps[-1].frames == frame:
            gaps[-1] = msgspec.structs.replace(gaps[-1], frames=gaps[-1].frames + 1)
        else:
            gaps.append(Gap(frame, 1, 0, Reason.LOST))
    return tuple(gaps)


def _wav(path: Path, samples: NDArray[np.int16]) -> bytes:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path.read_bytes()


def log_file(folder: Path, sent: Sent) -> Path:
    """The log, on the disk."""
    return senderlog.write(folder, sent)
