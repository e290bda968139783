"""One channel of a recording against one sender's log: the heart of ``proof``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from receiver.archive.sidecar import Channel, Epoch
from receiver.lab import places, tally
from receiver.lab.evidence import Findings
from receiver.lab.locate import NOBODY, Ear, Utterance
from receiver.lab.places import NOWHERE, Places
from receiver.lab.senderlog import Sent
from receiver.lab.weather import NS_PER_SAMPLE

NONE = np.empty(0, np.int64)
FIRST_FRAMES = 16_000
"""Packets of the first two seconds tell when frame 0 was: one alone may have been held up by the network."""


@dataclass(frozen=True)
class Expected:
    """What the proof cannot know from the log.

    ``tolerance_ms`` bounds how far wall times and the frames of epochs may lie from the log's wall times (a network's
    delays are in it); ``kernel_drops`` datagrams may be missing (RcvbufErrors of /proc/net/snmp, rule B6).
    """

    outcome: str = "complete"
    ending: str | None = None
    tolerance_ms: float = 500.0
    kernel_drops: int = 0


class Judge:
    """Holds one channel, int16[frames], against one log; says what is wrong to ``findings``.

    ``known`` are all logs whose sound can be named: this one, the other channels', strangers'.
    """

    def __init__(
        self,
        samples: NDArray[np.int16],
        channel: Channel,
        sent: Sent,
        known: Sequence[Sent],
        expected: Expected,
        findings: Findings,
    ) -> None:
        self._samples, self._channel, self._sent, self._known = samples, channel, sent, known
        self._expected, self._findings = expected, findings
        self.arrivals = tally.by_ssrc(sent.packets)
        self.places = {ssrc: self._find(ssrc) for ssrc in self.arrivals}
        self.received = sum(int(found.packets["size"].sum()) for found in self.places.values())
        self.right = sum(int(found.packets["size"][found.epoch != NOWHERE].sum()) for found in self.places.values())
        self.packets = len(sent.packets)
        self._name_missing()
        self.wrong = self._name_wrong()
        self._compare_epochs()
        tally.compare(self.arrivals, channel.streams, expected.kernel_drops, findings)
        self._compare_source()

    def _epochs(self, ssrc: int) -> list[Epoch]:
        return [epoch for stream in self._channel.streams if stream.ssrc == ssrc for epoch in stream.epochs]

    def _find(self, ssrc: int) -> Places:
        return places.find(self.arrivals[ssrc].distinct, self._sent.about.voice, self._epochs(ssrc), self._samples)

    def _name_missing(self) -> None:
        """Packets that are not at their place, and packets in an epoch that was over."""
        missing = {ssrc: np.flatnonzero(found.epoch == NOWHERE) for ssrc, found in self.places.items()}
        if sum(len(rows) for rows in missing.values()) > self._expected.kernel_drops:
            for ssrc, rows in missing.items():
                for row in rows:
                    packet, frames = self.places[ssrc].packets[row], self.places[ssrc].frames[row].tolist()
                    self._findings.add("missing", f"{_name(packet)} is not at frame {' or '.join(map(str, frames))}")
        for found in self.places.values():
            for row in found.disorder:
                self._findings.add("epochs", f"{_name(found.packets[row])} lies in an epoch that was over before it")

    def _name_wrong(self) -> int:
        """What is in the audio beside the packets at their places; returns how many samples."""
        at = np.concatenate([found.frame[found.epoch != NOWHERE] for found in self.places.values()] or [NONE])
        sizes = [found.packets["size"][found.epoch != NOWHERE].astype(np.int64) for found in self.places.values()]
        covered = places.cover(at, np.concatenate(sizes or [NONE]), len(self._samples))
        for first in np.flatnonzero(np.diff(np.r_[0, covered > 1].astype(np.int8)) == 1):
            self._findings.add("wrong", f"two packets claim frame {first}")
        left = np.where(covered > 0, 0, self._samples)
        if not left.any():
            return 0
        runs = Ear(_utterances(self._known)).runs(left)
        for frame, frames, voice, sample in runs.tolist():
            self._findings.add("wrong", f"{frames} samples at frame {frame}{self._whose(voice, sample)}")
        return int(runs["frames"].sum())

    def _whose(self, voice: int, sample: int) -> str:
        if voice == NOBODY:
            return " that nobody said"
        if voice != self._sent.about.voice:
            return f" of voice {voice} (from sample {sample}): foreign"
        for found in self.places.values():
            start, size = found.packets["sample"], found.packets["size"].astype(np.int64)
            for row in np.flatnonzero((start <= sample) & (sample < start + size)):
                frames = found.frames[row] + sample - int(start[row])
                place = f"its place is frame {' or '.join(map(str, frames.tolist()))}"
                again = " once more" if found.epoch[row] != NOWHERE else ""
                return f" of {_name(found.packets[row])}{again} (from sample {sample}): {place}"
        return f" of this caller (from sample {sample}), which were not sent"

    def _compare_epochs(self) -> None:
        """Anchors against the wall times of the log, and epochs against each other: frames go as the time goes."""
        slack_ns, lines = self._expected.tolerance_ms * 1e6, []
        for ssrc, found in self.places.items():
            for number, epoch in enumerate(self._epochs(ssrc)):
                heard_ns = self._heard_ns(ssrc, number)
                name = f"SSRC {ssrc:08x}, epoch at frame {epoch.frame}"
                if heard_ns is None:
                    self._findings.add("epochs", f"{name}: no packet lies in it")
                    continue
                lines.append((heard_ns, epoch.frame, name))
                if not isinstance(epoch.at, UnsetType) and abs(unix_ns(epoch.at) - heard_ns) > slack_ns:
                    off_ms = (unix_ns(epoch.at) - heard_ns) / 1e6
                    self._findings.add("epochs", f"{name}: its wall time is {off_ms:+.1f} ms from the log's")
            assert found.frames.shape[1] == len(self._epochs(ssrc))
        for (before_ns, before, _), (heard_ns, frame, name) in zip(sorted(lines), sorted(lines)[1:], strict=False):
            off_ns = (frame - before) * NS_PER_SAMPLE - (heard_ns - before_ns)
            if abs(off_ns) > slack_ns:
                self._findings.add("epochs", f"{name}: {off_ns / 1e6:+.1f} ms from where the log's wall time puts it")

    def _heard_ns(self, ssrc: int, number: int) -> int | None:
        """When an epoch's anchor was sent, told from the nearest packet that lies in the epoch; None if none does."""
        found = self.places[ssrc]
        mine = np.flatnonzero(found.epoch == number)
        if not len(mine):
            return None
        ahead = found.frames[mine, number] - self._epochs(ssrc)[number].frame
        nearest = int(np.abs(ahead).argmin())
        return int(found.packets["sent_ns"][mine[nearest]]) - int(ahead[nearest]) * NS_PER_SAMPLE

    def first_frame_ns(self) -> int | None:
        """The wall time of frame 0, by those of its first packets that the network delayed least."""
        starts = []
        for found in self.places.values():
            early = (found.frame >= 0) & (found.frame < FIRST_FRAMES)
            if early.any():
                starts.append(int((found.packets["sent_ns"][early] - found.frame[early] * NS_PER_SAMPLE).min()))
        return min(starts, default=None)

    def _compare_source(self) -> None:
        """Who was heard is who sent (P5); the codec is the one that came (rule A14)."""
        source, about = self._channel.source, self._sent.about
        if not isinstance(source, UnsetType) and not isinstance(source.seen, UnsetType) and self.packets:
            sent_from = about.source
            if sent_from.startswith(("0.0.0.0:", "[::]:")):  # bound to any address: only the port is known
                sent_from = source.seen.rpartition(":")[0] + ":" + sent_from.rpartition(":")[2]
            if source.seen != sent_from:
                self._findings.add("source", f"{source.seen} was heard, {sent_from} sent")
        if not isinstance(self._channel.codec, UnsetType) and self._channel.codec != about.codec and self.packets:
            self._findings.add("codec", f"the sidecar says {self._channel.codec}, {about.codec} came")


def unix_ns(at: datetime) -> int:
    """A UTC time as UNIX nanoseconds, exactly."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _name(packet: np.void) -> str:
    return f"packet {packet['sequence']} (SSRC {packet['ssrc']:08x}, {packet['size']} samples from {packet['sample']})"


def _utterances(known: Sequence[Sent]) -> list[Utterance]:
    """All that was said by anybody, from each one's first sample to the last."""
    said: list[Utterance] = []
    for sent in known:
        for law in np.unique(sent.packets["payload_type"]):
            packets = sent.packets[sent.packets["payload_type"] == law]
            first, upto = int(packets["sample"].min()), int((packets["sample"] + packets["size"]).max())
            said.append(Utterance(sent.about.voice, int(law), first, upto - first))
    return said
