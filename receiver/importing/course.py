"""The second reading: every flow that is RTP becomes a recording."""

import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace
from numpy.typing import NDArray

from receiver import __version__
from receiver.archive import finish as finishing
from receiver.archive import sidecar
from receiver.archive.files import Files
from receiver.archive.repair import repair
from receiver.archive.sidecar import Channel, Draft, Ending, Problem, Sidecar
from receiver.importing.engine import Engine
from receiver.importing.flows import Flow, Flows, in_words
from receiver.importing.letters import PIECE, Letterbox, Letters
from receiver.media.pipeline import Datagrams
from receiver.wire import rtp
from receiver.wire.capture import LONGEST_ROW, CaptureError
from receiver.wire.ip import Fate
from receiver.worker import story

Ints = NDArray[np.int64]
SECOND_NS: Final = 1_000_000_000
SLAB_NS: Final = SECOND_NS
SLAB_ROWS: Final = 4_096
OCTETS_A_SAMPLE: Final = 2
MOST_AT_ONCE: Final = 4_000
MOST_FINISHING: Final = 256
SPARE_DESCRIPTORS: Final = 64
RTCP_OCTETS: Final = 8  # at least
LONGEST_NS: Final = 24 * 3_600 * SECOND_NS  # of one recording
BROKEN_OFF_NS: Final = 2 * SECOND_NS
"""A stream that was heard so shortly before a damaged capture ends was going on."""
UNVERIFIED: Final = "unverified"


@dataclass(frozen=True)
class Options:
    """How to import. ``silence_ns``: a stream that nothing comes of for so long is over. ``name``, ``encoding``: as
    in ``[storage]``; ``horizon`` in samples; ``mask_dtmf``: as ``[taps].mask_dtmf``."""

    name: str
    horizon: int
    silence_ns: int
    kinds: NDArray[np.uint8] = field(default_factory=rtp.payload_kinds)
    piece: int = PIECE
    mask_dtmf: bool = False
    encoding: str = sidecar.PCM16


@dataclass(frozen=True)
class Recorded:
    """A flow and the sidecar of what was recorded of it."""

    flow: Flow
    told: Sidecar


class NoRoom(Exception):
    """The recordings do not fit on the disk, even without the silence in them; nothing was recorded."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"the recordings take at least {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free")


@dataclass
class Imported:
    """What came out. ``work_ns``: how long it took; ``fates``: frames by what they were."""

    recorded: list[Recorded] = field(default_factory=list)
    left: list[Flow] = field(default_factory=list)
    """Flows of RTP of which nothing could be recorded."""
    unknown: Counter[int] = field(default_factory=Counter)
    """Packets by payload type, of the types that are not recorded; RTP flows only."""
    fates: dict[str, int] = field(default_factory=dict)
    links: tuple[int, ...] = ()
    crowded: int = 0
    untimed: int = 0
    clock_steps: int = 0
    refused: int = 0
    """Flows that found no place: more than 4,000 at once, or than the limit of descriptors allows."""
    fault: CaptureError | None = None
    work_ns: int = 0

    @property
    def seconds(self) -> float:
        """Of sound, over all recordings."""
        return sum(each.told.duration_s for each in self.recorded)


def run(path: Path, files: Files, options: Options, progress: Callable[[int], None] = lambda count: None) -> Imported:
    """Import a capture into a storage folder. OSError where a file cannot be read or written, NoRoom.

    ``progress(datagrams)`` is called now and then.
    """
    begun_ns = time.monotonic_ns()
    flows, first = Flows(options.kinds), _box(path, options)
    for letters in first.read():
        flows.survey(letters)
    rtps = [flow for flow in flows.flows if flow.rtp]
    told = Imported(
        left=[flow for flow in rtps if not flow.recorded], unknown=sum((flow.unknown for flow in rtps), Counter()),
        fates={fate.name.lower(): int(first.fates[fate]) for fate in Fate}, links=tuple(sorted(first.links)),
        crowded=flows.crowded, untimed=first.untimed, clock_steps=first.stamps.steps, fault=first.fault,
    )  # fmt: skip
    wanted = [flow for flow in rtps if flow.recorded]
    needed, free = OCTETS_A_SAMPLE * sum(flow.samples for flow in wanted), files.free_octets()
    if needed > free:
        raise NoRoom(needed, free)
    if wanted:
        _Course(files, options, flows, wanted, first.stamps.now_ns, told).run(_box(path, options), progress)
    told.recorded.sort(key=lambda each: (each.flow.number, each.told.started_at or each.told.ended_at))
    told.work_ns = time.monotonic_ns() - begun_ns
    return told


def finish_what_is_left(files: Files) -> None:
    """Rule C5 for an import that was killed: what it had recorded is finished, as ``recovered``."""
    for document in repair(files, (), story.described):
        finishing.forget(files, document.recording_id)


def _box(path: Path, options: Options) -> Letterbox:
    return Letterbox(path, 2 * options.silence_ns, options.piece)


@dataclass
class _Going:
    """A flow that is being recorded: where, since when, and when it was last heard."""

    slot: int
    since_ns: int
    heard_ns: int


class _Course:
    def __init__(
        self, files: Files, options: Options, flows: Flows, wanted: list[Flow], end_ns: int, told: Imported
    ) -> None:
        self._options, self._flows, self._end_ns, self._told = options, flows, end_ns, told
        slots = _places(min(len(wanted), MOST_AT_ONCE))
        self._engine = Engine(files, slots, options.horizon, options.kinds, options.mask_dtmf)
        self._free = list(range(slots))[::-1]
        self._going: dict[int, _Going] = {}
        self._wanted = np.zeros(len(flows.flows) + 1, np.bool_)  # the last one: no flow
        self._wanted[[flow.number for flow in wanted]] = True
        self._slot_of = np.full(self._wanted.size, -1, np.int64)
        self._speaks_of = np.full(self._wanted.size, -1, np.int64)  # of which flow this one may be the RTCP
        for number, flow in flows.beside(wanted):
            self._speaks_of[number], flow.last = flow.number, max(flow.last, flows.flows[number].last)
        self._refused: set[int] = set()
        self._finishing: list[tuple[Flow, Future[Sidecar]]] = []
        self._done = 0

    def run(self, box: Letterbox, progress: Callable[[int], None]) -> None:
        """From the first datagram to the last."""
        try:
            for letters in box.read():
                self._take(letters, box.stamps.offset_ns)
                progress(self._done)
            for number in list(self._going):
                self._close(number, box.stamps.offset_ns)
            self._collect()
        finally:
            self._engine.shut()
            self._told.refused = len(self._refused)

    def _take(self, letters: Letters, offset_ns: int) -> None:
        if not letters.at.size:
            return
        letters, flow = self._with_rtcp(letters, self._flows.number(letters))
        start = 0
        while start < flow.size:
            upto = int(np.searchsorted(letters.arrival_ns, letters.arrival_ns[start] + SLAB_NS, side="right"))
            upto = min(upto, start + SLAB_ROWS)
            self._slab(letters, flow, np.arange(start, upto), offset_ns)
            start = upto
        self._done += flow.size

    def _with_rtcp(self, letters: Letters, flow: Ints) -> tuple[Letters, Ints]:
        """Rule A13: what goes from port + 1 to port + 1 and is RTCP is the stream's, as if it had come with it."""
        if not (self._speaks_of[flow] >= 0).any():
            return letters, flow
        second = letters.octets[letters.at + 1]
        rtcp = (self._speaks_of[flow] >= 0) & (letters.size >= RTCP_OCTETS) & (second >> 5 == 0b110)  # 192..223
        return letters._replace(source_port=letters.source_port - rtcp), np.where(rtcp, self._speaks_of[flow], flow)

    def _slab(self, letters: Letters, flow: Ints, which: Ints, offset_ns: int) -> None:
        which = which[self._wanted[flow[which]]]
        if which.size:
            numbers, heads = np.unique(flow[which], return_index=True)
            for number, head in sorted(zip(numbers.tolist(), heads.tolist(), strict=True), key=lambda pair: pair[1]):
                self._see_to(number, int(letters.arrival_ns[which[head]]), offset_ns)
            which = which[self._slot_of[flow[which]] >= 0]
        if not which.size:
            return
        now_ns = int(letters.arrival_ns[which[-1]])
        self._engine.step(
            Datagrams(
                letters.rows(which), np.minimum(letters.size[which], LONGEST_ROW),
                self._slot_of[flow[which]].astype(np.int32), letters.source[which, 0], letters.source[which, 1],
                letters.source_port[which].astype(np.uint16), letters.arrival_ns[which],
            ),
            now_ns, offset_ns,
        )  # fmt: skip
        self._heard(letters, flow, which, offset_ns)

    def _see_to(self, number: int, now_ns: int, offset_ns: int) -> None:
        """Before a flow's datagrams are run: it goes on, it begins, or it was over and begins anew."""
        going = self._going.get(number)
        if going is not None and now_ns - going.heard_ns > self._options.silence_ns:
            self._close(number, offset_ns, Ending.SILENCE)
        elif going is not None and now_ns - going.since_ns > LONGEST_NS:
            self._close(number, offset_ns, Ending.MAX_DURATION)
        if number in self._going or number in self._refused:
            return
        flow = self._flows.flows[number]
        draft = self._draft(flow, now_ns + offset_ns)
        if not self._free or not self._engine.open(self._free[-1], draft, flow.source, flow.target.port, now_ns):
            self._refused.add(number)
            return
        slot = self._free.pop()
        self._going[number] = _Going(slot, now_ns, now_ns)
        self._slot_of[number] = slot

    def _heard(self, letters: Letters, flow: Ints, which: Ints, offset_ns: int) -> None:
        """Note when, and end what has no datagram any more: its place is free for another."""
        reached = self._done + int(which[-1])
        for number in np.unique(flow[which]).tolist():
            mine = which[flow[which] == number]
            self._going[number].heard_ns = int(letters.arrival_ns[mine[-1]])
            if self._flows.flows[number].last <= reached:
                self._close(number, offset_ns)

    def _close(self, number: int, offset_ns: int, ending: Ending | None = None) -> None:
        going, flow = self._going.pop(number), self._flows.flows[number]
        last = ending is None
        if ending is None:
            silent = self._end_ns - going.heard_ns > self._options.silence_ns
            ending = Ending.SILENCE if silent else Ending.STOPPED
        faults: tuple[Problem, ...] = ()
        if last and self._told.fault is not None and self._end_ns - going.heard_ns <= BROKEN_OFF_NS:
            faults = (_broken_off(self._told.fault),)
        done = self._engine.close(
            going.slot, ending, going.heard_ns, going.heard_ns + offset_ns, faults, _unannounced
        )  # fmt: skip
        self._slot_of[number] = -1
        self._free.append(going.slot)
        self._finishing.append((flow, done))
        if len(self._finishing) >= MOST_FINISHING:
            self._collect()

    def _collect(self) -> None:
        """Wait until what is over lies in ready/. Raises what went wrong there."""
        self._told.recorded += [Recorded(flow, done.result()) for flow, done in self._finishing]
        self._finishing.clear()

    def _draft(self, flow: Flow, wall_ns: int) -> Draft:
        recording = str(uuid4())
        labels = {"source": in_words(flow.source), "destination": in_words(flow.target)}
        return Draft(
            recording_id=recording, tap_id=recording, labels=labels, layout="mono",
            requested_at=sidecar.moment(wall_ns), name=self._options.name,
            encoding=self._options.encoding, software=f"tapdeck {__version__}", host=socket.gethostname(),
            channels=(Channel(tap_id=recording),),
        )  # fmt: skip


def _places(wanted: int) -> int:
    """How many recordings there can be at a time: each has a file open. The limit of descriptors is raised for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_DESCRIPTORS))


def _unannounced(channel: Channel) -> Channel:
    """Nobody announced the source: the capture alone says that it sent."""
    if channel.source is UNSET:
        return channel
    trust = UNVERIFIED if channel.source.seen is not UNSET else UNSET
    return replace(channel, source=replace(channel.source, announced=UNSET, trust=trust))


def _broken_off(fault: CaptureError) -> Problem:
    message = f"The capture ends before this stream did: {fault}."
    return Problem("capture_broken_off", message, "Import a whole copy of the capture.")
