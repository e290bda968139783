"""A worker without a worker: feeds datagrams to the room, drains, and writes parts as the writer thread does."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media.block import ABSENT
from receiver.media.columns import STATISTICS, Policy, TapState
from receiver.media.drain import Cut, Drain
from receiver.media.packets import DENSITY
from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.sources import News, Source
from receiver.media.state import PACKED, Columns, Shape, State
from receiver.wire import g711, rtp
from receiver.wire.rtp import Verdict

MS = 1_000_000
SECOND = 1_000_000_000
START = 1_000 * SECOND
WALL = 1_700_000_000 * SECOND
HORIZON = 3_200
WINDOW = 48_000
HOME = Source.of("192.0.2.7", 4_000)
STRANGER = Source.of("198.51.100.9", 5_000)
UNTOUCHED = np.int16(12_345)  # in a part: never written, which no µ-law sample equals


class Sent(NamedTuple):
    """One datagram on its way. ``sequence`` and ``timestamp`` are extended; the wire takes their low bits."""

    arrival_ns: int
    sequence: int
    timestamp: int
    payload: bytes
    ssrc: int = 7
    tap: int = 0
    source: Source = HOME
    payload_type: int = 0
    raw: bytes | None = None

    @property
    def octets(self) -> bytes:
        """The datagram."""
        if self.raw is not None:
            return self.raw
        numbers = self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        return struct.pack("!BBHLL", 0x80, self.payload_type, *numbers) + self.payload


def datagrams(sent: Iterable[Sent]) -> Datagrams:
    """A slab."""
    packets = list(sent)
    octets = np.full((len(packets), 1536), 0xA5, np.uint8)
    for row, packet in zip(octets, packets, strict=True):
        whole = packet.octets[:1536]
        row[: len(whole)] = np.frombuffer(whole, np.uint8)
    return Datagrams(
        octets,
        np.array([min(len(p.octets), 1536) for p in packets], np.uint32),
        np.array([p.tap for p in packets], np.int32),
        np.array([p.source.high for p in packets], np.uint64),
        np.array([p.source.low for p in packets], np.uint64),
        np.array([p.source.port for p in packets], np.uint16),
        np.array([p.arrival_ns for p in packets], np.int64),
    )


def codes(seed: int, timestamp: int, count: int) -> bytes:
    """µ-law codes that tell where they are from, never one that decodes to 0."""
    where = np.arange(timestamp, timestamp + count).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (where + np.uint64(seed * 77_777)) >> np.uint64(33)
    return (mixed % np.uint64(127)).astype(np.uint8).tobytes()


def linear(payload: bytes) -> NDArray[np.int16]:
    """µ-law samples."""
    return g711.ULAW[np.frombuffer(payload, np.uint8)]


@dataclass
class Part:
    """What the writer thread has put into one file."""

    space: NDArray[np.int16] = field(default_factory=lambda: np.full(1 << 16, UNTOUCHED, np.int16))
    size: int = 0

    def write(self, frame: int, samples: NDArray[np.int16]) -> None:
        """As pwrite does; a hole shows."""
        assert frame >= 0
        self.size = max(self.size, frame + samples.size)
        if self.size > self.space.size:
            more = np.full(2 * self.size - self.space.size, UNTOUCHED, np.int16)
            self.space = np.concatenate((self.space, more))
        self.space[frame : frame + samples.size] = samples

    @property
    def samples(self) -> NDArray[np.int16]:
        """All of it."""
        return self.space[: self.size]

    def present(self) -> dict[int, int]:
        """Frame to sample of all that came."""
        assert not (self.samples == UNTOUCHED).any(), "the part has a hole that nobody wrote"
        which = np.flatnonzero(self.samples != ABSENT)
        return dict(zip(which.tolist(), self.samples[which].tolist(), strict=True))


def octets_of(columns: Columns) -> list[bytes]:
    """One copy, byte for byte."""
    return [table.tobytes() for table in columns]


class Rig:
    """One state, one pipeline, parts in memory."""

    def __init__(
        self,
        taps: int = 1,
        allow: Iterable[str] = (),
        window: int = WINDOW,
        patches: int | None = None,
        strict: bool = True,
    ) -> None:
        shape = Shape.of(taps, window, 4_096)._replace(density=DENSITY)
        self.shape = shape if patches is None else shape._replace(patches=patches)
        self.memory = np.zeros(State.needed(self.shape)[0], np.uint8)
        self.state = State(self.memory, self.shape)
        self.state.allocated[:] = PACKED
        self.pipeline = Pipeline(self.state, HORIZON, rtp.payload_kinds(), list(allow))
        self.drains = Drain(self.state, self.pipeline.timeline, HORIZON)
        self.parts: dict[int, Part] = {}
        self.parcels: dict[int, dict[int, bytes]] = {}
        self.further: dict[tuple[int, int], Part] = {}  # rule A12: by tap and number
        self.queue: list[Cut | tuple[int, int, NDArray[np.int16], int]] = []
        self.patched = 0
        self.news: list[News] = []
        self.strict = strict

    def open(
        self,
        tap: int = 0,
        policy: Policy = Policy.EXACT,
        announced: Source = HOME,
        now_ns: int = START,
        held: bool = False,
        opus: int = 0,
    ) -> None:
        """As `Taps.open` does it."""
        self.state.wipe("taps", tap)
        record = self.state.now.taps[tap]
        record["recording"], record["policy"], record["announced"] = f"recording-{tap}", policy, tuple(announced)
        record["stream"], record["row"] = -1, tap
        record["state"] = TapState.HELD if held else TapState.OPEN
        record["answered_ns"] = record["ticked_ns"] = now_ns
        record["opus"] = opus
        self.state.now.world["opus"] += opus > 0
        self.pipeline.joining.give_row(tap, tap)
        self.commit()
        self.parts[tap] = Part()
        self.parcels[tap] = {}

    def commit(self) -> None:
        """End the turn; a write to ``now`` without ``touch`` shows here."""
        self.state.commit()
        if self.strict:
            assert octets_of(self.state.now) == octets_of(self.state.live), "something was written without touch()"
        for record in self.pipeline.journal.patches_since(self.patched):
            count = int(record["count"])
            sound = record["samples"][:count].copy()
            self.queue.append((int(record["tap"]), int(record["frame"]), sound, int(record["further"])))
            self.patched += 1

    def part(self, tap: int, further: int = 0) -> Part:
        """Where a row of a tap is written to."""
        return self.further.setdefault((tap, further), Part()) if further else self.parts[tap]

    def step(self, sent: Iterable[Sent], now_ns: int | None = None) -> Datagrams:
        """One turn of the pipeline. Afterwards nothing may look at the slab again."""
        slab = datagrams(sent)
        latest = int(slab.arrival_ns.max()) if slab.arrival_ns.size else START
        self.news += self.pipeline.step(slab, latest if now_ns is None else now_ns, WALL - START)
        slab.octets[:] = 0xFF
        self.commit()
        return slab

    def drain(self, now_ns: int, ending: bool = False, write: bool = True, commit: bool = True) -> None:
        """Hand on, then (unless told otherwise) write, make durable and clear."""
        spans = self.drains.hand_on(np.arange(self.shape.taps), now_ns, ending)
        self.commit()
        self.queue += [self.drains.cut(*span) for span in spans]
        if write:
            self.write()
            if commit:
                self.make_durable()

    def write(self) -> None:
        """The writer thread, in order."""
        for item in self.queue:
            if isinstance(item, Cut):
                part = self.part(item.tap, int(self.state.live.rows["further"][item.row]))
                for block in item.blocks:
                    part.write(block.frame, block.samples)
                if item.parcel is not None:
                    self.parcels[item.tap] |= zip(item.parcel.frames, item.parcel.packets, strict=True)
                self.state.written[item.row] = item.upto
            else:
                tap, frame, samples, further = item
                self.part(tap, further).write(frame, samples)
        self.queue.clear()
        self.state.patched[0] = self.patched

    def make_durable(self) -> None:
        """The commit thread returned."""
        self.state.committed[:] = self.state.written
        self.state.patches_freed[:] = self.state.patched
        self.state.noted[0] = self.state.notes_freed[0] = self.state.live.world["notes"][0]
        taps = np.flatnonzero(self.state.live.taps["row"] >= 0)
        for row in self.drains.rows(taps).tolist():
            self.drains.give_back(row)
        self.commit()

    def review(self, now_ns: int) -> None:
        """What time alone decides."""
        self.pipeline.sources.review(now_ns, now_ns + WALL - START)
        self.news += self.pipeline.sources.news
        self.pipeline.sources.news = []
        self.commit()

    def run(self, sent: Iterable[Sent], tick_ns: int = 100 * MS, drain_ns: int = SECOND, finish: bool = True) -> None:
        """Everything in order of arrival: a step each tick, a drain and a review each second, then the end."""
        packets = sorted(sent, key=lambda packet: packet.arrival_ns)
        now_ns = drained_ns = packets[0].arrival_ns
        k = 0
        while k < len(packets):
            now_ns += tick_ns
            if packets[k].arrival_ns > now_ns + 10 * SECOND:
                now_ns = packets[k].arrival_ns  # nothing happens for long
            batch: list[Sent] = []
            while k < len(packets) and packets[k].arrival_ns <= now_ns and len(batch) < self.room(packets[k].tap):
                batch.append(packets[k])
                k += 1
            if batch:
                self.step(batch, now_ns)
            if now_ns - drained_ns >= drain_ns:
                self.drain(now_ns)
                self.review(now_ns)
                drained_ns = now_ns
        if finish:
            self.finish(now_ns)

    def room(self, tap: int = 0) -> int:
        """What the door may read now."""
        return int(self.drains.room(np.array([tap]))[0])

    def finish(self, now_ns: int) -> None:
        """The last drain."""
        for tap in range(self.shape.taps):
            self.pipeline.sources.conclude(tap, now_ns, now_ns + WALL - START)
        self.news += self.pipeline.sources.news
        self.pipeline.sources.news = []
        self.drain(now_ns, ending=True)

    # -- looking

    def tap(self, tap: int = 0) -> Any:
        """A tap's committed record."""
        return self.state.live.taps[tap]

    def stream(self, tap: int = 0) -> Any:
        """The committed record of its live stream."""
        return self.state.live.streams[int(self.tap(tap)["stream"])]

    def aside(self, tap: int = 0) -> Any:
        """More of it."""
        return self.state.live.streams_aside[int(self.tap(tap)["stream"])]

    def count(self, verdict: Verdict, tap: int | None = None) -> int:
        """How many datagrams had this verdict."""
        table = self.state.live.world[0] if tap is None else self.tap(tap)
        return int(table["verdicts"][verdict])

    def statistics(self, tap: int = 0) -> dict[str, float]:
        """Of the live stream."""
        record = self.stream(tap)["statistics"]
        return {name: record[name].item() for name in STATISTICS.names or ()}

    def notes(self) -> list[Any]:
        """All notes so far."""
        return self.pipeline.journal.notes_since(0)

    def image(self) -> dict[str, Any]:
        """Everything that a turn may leave behind, byte for byte."""
        state = self.state
        return {
            "columns": octets_of(state.live), "ring": state.ring.tobytes(), "patches": state.patch_log.tobytes(),
            "notes": state.note_log.tobytes(), "cleared": state.cleared.tobytes(),
        }  # fmt: skip


def succeed(rig: Rig) -> None:
    """The worker is gone; another one maps the same memory and has nothing else."""
    rig.state = State(rig.memory, rig.shape)
    rig.pipeline = Pipeline(rig.state, HORIZON, rtp.payload_kinds(), [])
    rig.drains = Drain(rig.state, rig.pipeline.timeline, HORIZON)


def talk(
    count: int,
    start_ns: int = START,
    size: int = 160,
    sequence: int = 100,
    timestamp: int = 5_000,
    seed: int = 1,
    **more: Any,
) -> list[Sent]:
    """Packets in time and in order."""
    times = range(timestamp, timestamp + count * size, size)
    return [
        Sent(start_ns + (at - timestamp) * 125_000, sequence + k, at, codes(seed, at, size), **more)
        for k, at in enumerate(times)
    ]


def truth(sent: Iterable[Sent], first_timestamp: int, at: int = HORIZON) -> dict[int, int]:
    """Where every sample belongs if ``first_timestamp`` lies at frame ``at`` and the clock is one."""
    expected: dict[int, int] = {}
    for packet in sent:
        for k, sample in enumerate(linear(packet.payload).tolist()):
            expected.setdefault(at + packet.timestamp - first_timestamp + k, sample)
    return expected
