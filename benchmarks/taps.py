"""Real sockets: a worker started as control starts it, a sender in a second process, and beside it the floor.

    python -m benchmarks.taps [--taps 200,1000,2000] [--seconds 15] [--json]

Prints a table, and keeps what it measured under benchmarks/results/. README.md says what the columns mean.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import floor
from benchmarks.machine import (
    Machine,
    Reading,
    allow_descriptors,
    load,
    machine,
    memory_mb,
    prefer,
    reading,
    receive_buffer_errors,
)
from benchmarks.recorder import Recorder, ports
from receiver import link
from receiver.lab import senderlog
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.senderlog import Crowd
from receiver.watch import log

RESULTS: Final = Path(__file__).parent / "results"
FLOOR_S: Final = 8.0
SAMPLED_S: Final = 0.5
BEST_NS: Final = 3_000_000_000  # the best window is so long
FILTERS_PER_S: Final = 400  # the worker attaches so many kernel filters a second, once: not a steady state


class Cost(msgspec.Struct, frozen=True):
    """CPU of a process over a window, in µs per packet that it took in."""

    mean_us: float
    best_us: float
    """Of the best three seconds: other work on the machine makes caches cold, and nothing makes them warmer."""
    user_us: float
    main_us: float
    """The share of its first thread."""
    cores: float
    """The same as a share of one core."""
    waited: float
    """Share of the time in which its first thread could have run and had no core: somebody else's load."""
    packets_per_s: float
    """Taken in."""


class Run(msgspec.Struct, frozen=True):
    """One number of taps."""

    taps: int
    seconds: float
    load: float
    worker: Cost
    floor: Cost | None
    sent: int
    sent_per_s: float
    """In the window. A worker that takes in fewer falls behind: the rest waits in the sockets."""
    lost: int
    """Packets in the sender's log and not in the sidecars' counters."""
    taps_with_loss: int
    kernel_drops: int
    """RcvbufErrors of the machine meanwhile."""
    late_ticks: int
    tick_ms: float
    """Median."""
    tick_ms_longest: float
    commit_ms: float
    commit_ms_longest: float
    unsafe_s_longest: float
    memory_mb: float
    shared_mb: float
    open_s: float
    close_s: float
    """From the order to close all taps to the last file in ready/."""
    outcomes: dict[str, int]
    sender_late: int
    sender_worst_ms: float

    @property
    def ratio(self) -> float | None:
        """Worker over floor, both in their best windows; None where the floor used less than the kernel counts."""
        return self.worker.best_us / self.floor.best_us if self.floor and self.floor.best_us else None


class Results(msgspec.Struct, frozen=True):
    """A file under results/."""

    machine: Machine
    runs: list[Run]


Counter = Callable[[int], float]
"""How many packets there had been at a wall time, ns."""


def sent_by(crowd: Crowd) -> Counter:
    """The sender's count: what was sent when is in its log."""
    times = np.sort(crowd.slot_ns, axis=0)
    packets = np.bincount(crowd.group) * crowd.burst
    return lambda wall_ns: int(((times > 0) & (times < wall_ns)).sum(axis=0) @ packets)


def taken_by(reports: Sequence[link.Report]) -> Counter:
    """The worker's count, by what it reported once a second; between two reports in proportion."""
    counts = {each.at_ns: sum(each.tallies.values()) for each in reports}
    times, packets = list(counts), list(counts.values())
    return lambda wall_ns: float(np.interp(wall_ns, times, packets))


def cost(readings: Sequence[Reading], packets: Counter, begin_ns: int, end_ns: int) -> Cost:
    """CPU per packet between two wall times. Raises ValueError where that cannot be said."""
    inside = [each for each in readings if begin_ns <= each.wall_ns <= end_ns]
    counts = [packets(each.wall_ns) for each in inside]
    if len(inside) < 2 or counts[-1] <= counts[0]:
        raise ValueError("the window is too short to be measured")
    first, last = inside[0], inside[-1]
    count, wall_ns = counts[-1] - counts[0], last.wall_ns - first.wall_ns
    windows = [
        (inside[j].cpu_ns - inside[i].cpu_ns) / (counts[j] - counts[i])
        for i in range(len(inside))
        for j in range(i + 1, len(inside))
        if inside[j].wall_ns - inside[i].wall_ns >= min(BEST_NS, wall_ns) and counts[j] > counts[i]
    ]
    return Cost(
        mean_us=(last.cpu_ns - first.cpu_ns) / count / 1e3, best_us=min(windows) / 1e3,
        user_us=(last.user_ns - first.user_ns) / count / 1e3, main_us=(last.main_ns - first.main_ns) / count / 1e3,
        cores=(last.cpu_ns - first.cpu_ns) / wall_ns, waited=(last.waited_ns - first.waited_ns) / wall_ns,
        packets_per_s=count * 1e9 / wall_ns,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def watched(pid: int) -> AsyncIterator[list[Reading]]:
    """Readings of a process, twice a second."""
    readings: list[Reading] = []

    async def watch() -> None:
        while True:
            readings.append(reading(pid))
            await asyncio.sleep(SAMPLED_S)

    task = asyncio.ensure_future(watch())
    try:
        yield readings
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


def plan(taps: int, seconds: float, logs: Path) -> Plan:
    """So many callers, all alike: PCMU, 20 ms, clean weather."""
    return Plan(tuple(Caller(k, seconds=seconds) for k in range(taps)), lean=True, log=str(logs))


async def measure_worker(taps: int, seconds: float, warm_s: float, folder: Path) -> dict[str, Any]:
    """Record so many taps; returns what `Run` needs."""
    (folder / "recordings").mkdir()
    recorder = Recorder(folder / "recordings", taps)
    with SenderProcess(plan(taps, warm_s + seconds + 1.0, folder / "log")) as sender:
        try:
            pid = await recorder.start()
            prefer(sender.pid)
            prefer(pid)
            began_s = time.monotonic()
            to = await recorder.open(sender.sources)
            open_s = time.monotonic() - began_s
            drops = receive_buffer_errors()
            async with watched(pid) as readings:
                sender.go(to)
                told = await asyncio.to_thread(sender.wait, warm_s + seconds + 60.0)
            resident_mb, shared_mb = memory_mb(pid)
            reports = recorder.reports[:]
            close_s = await recorder.close()
            drops = receive_buffer_errors() - drops
        finally:
            await recorder.stop()
    crowd = senderlog.read_crowd(folder / "log")
    sent = sent_by(crowd)
    begin_ns, end_ns = _window(crowd, warm_s, seconds)
    gauges = [each.gauges for each in reports if begin_ns <= each.at_ns <= end_ns] or [reports[-1].gauges]
    lost = _lost(crowd, recorder)
    return {
        "worker": cost(readings, taken_by(reports), begin_ns, end_ns), "sent": int(crowd.counts.sum()),
        "sent_per_s": (sent(end_ns) - sent(begin_ns)) * 1e9 / (end_ns - begin_ns), "lost": int(lost.sum()),
        "taps_with_loss": int(np.count_nonzero(lost)), "kernel_drops": drops,
        "late_ticks": int(gauges[-1]["late_ticks"] - gauges[0]["late_ticks"]),
        "tick_ms": median(each["tick_ms"] for each in gauges),
        "tick_ms_longest": max(each["tick_ms"] for each in gauges),
        "commit_ms": median(each["commit_ms"] for each in gauges),
        "commit_ms_longest": max(each["commit_ms"] for each in gauges),
        "unsafe_s_longest": max(each["unsafe_s"] for each in gauges),
        "memory_mb": resident_mb, "shared_mb": shared_mb, "open_s": open_s, "close_s": close_s,
        "outcomes": recorder.outcomes, "sender_late": told.late,
        "sender_worst_ms": told.worst_late_ms,
    }  # fmt: skip


def _lost(crowd: Crowd, recorder: Recorder) -> np.ndarray:
    """Packets of each tap that the sidecars do not tell of."""
    counted = np.zeros(len(crowd.about), np.int64)
    for slot, told in recorder.finished.items():
        counted[slot] = sum(stream.packets for channel in told.channels for stream in channel.streams)
    return crowd.counts - counted


def _window(crowd: Crowd, warm_s: float, seconds: float) -> tuple[int, int]:
    began_ns = int(crowd.slot_ns[0].min())
    return began_ns + int(warm_s * 1e9), began_ns + int((warm_s + seconds) * 1e9)


async def measure_floor(program: Path, taps: int, seconds: float, period_ms: int, folder: Path) -> Cost:
    """The same sender to sockets that nothing but `recvmmsg` is done with."""
    pool, warm_s = ports(), min(1.0, seconds / 4)
    longest_s = warm_s + seconds + 60.0
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(SenderProcess(plan(taps, warm_s + seconds + 0.5, folder / "floor-log")))
        prefer(sender.pid)
        taken = [stack.enter_context(pool.take().socket) for _ in range(taps)]
        below = stack.enter_context(floor.running(program, [each.fileno() for each in taken], period_ms, longest_s))
        prefer(below.pid)
        async with watched(below.pid) as readings:
            sender.go([f"127.0.0.1:{each.getsockname()[1]}" for each in taken])
            told = await asyncio.to_thread(sender.wait, longest_s)
            await asyncio.sleep(2 * period_ms / 1e3)
        below.end()
    if below.packets != told.packets:
        say(f"the floor itself received {below.packets} of {told.packets} packets")
    crowd = senderlog.read_crowd(folder / "floor-log")
    return cost(readings, sent_by(crowd), *_window(crowd, warm_s, seconds))


async def run(taps: int, seconds: float, directory: Path | None, program: Path | None) -> Run:
    """Measure one number of taps: the worker, then the floor at the tick that the worker had."""
    warm_s = min(2.0, seconds) + taps / FILTERS_PER_S
    before = load()
    with tempfile.TemporaryDirectory(prefix="tapdeck-taps-", dir=directory) as folder:
        found = await measure_worker(taps, seconds, warm_s, Path(folder))
        below = None
        if program is not None:
            below = await measure_floor(program, taps, min(seconds, FLOOR_S), round(found["tick_ms"]), Path(folder))
    return Run(taps=taps, seconds=seconds, load=before, floor=below, **found)


def table(results: Results) -> str:
    """Markdown."""
    titles = (
        "taps", "packets/s sent", "taken in", "lost", "kernel drops", "worker µs/packet, mean (best 3 s)",
        "floor µs/packet, mean (best 3 s)", "ratio", "cores", "no core for", "tick ms (longest)", "late ticks",
        "commit ms (longest)", "memory MB (of it shared)", "open s", "close s", "outcomes", "sender late by, ms",
        "load before",
    )  # fmt: skip
    lines = ["| " + " | ".join(titles) + " |", "|" + "---:|" * len(titles)]
    for each in results.runs:
        worker, below = each.worker, each.floor
        cells = (
            f"{each.taps:,}", f"{each.sent_per_s:,.0f}",
            f"{worker.packets_per_s / each.sent_per_s:.0%}", f"{each.lost:,}", f"{each.kernel_drops:,}",
            f"{worker.mean_us:.2f} ({worker.best_us:.2f})",
            f"{below.mean_us:.2f} ({below.best_us:.2f})" if below else "no cc",
            f"{each.ratio:.1f}" if each.ratio else "–", f"{worker.cores:.2f}", f"{worker.waited:.0%}",
            f"{each.tick_ms:.0f} ({each.tick_ms_longest:.0f})", f"{each.late_ticks}",
            f"{each.commit_ms:.0f} ({each.commit_ms_longest:.0f})", f"{each.memory_mb:.0f} ({each.shared_mb:.0f})",
            f"{each.open_s:.2f}", f"{each.close_s:.2f}",
            ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(each.outcomes.items())),
            f"{each.sender_worst_ms:.0f}", f"{each.load:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def say(line: str) -> None:
    """On stderr: stdout is the result's."""
    print(line, file=sys.stderr, flush=True)


def keep(name: str, document: bytes, folder: Path) -> Path:
    """Write a result under a name of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}.json"
    path.write_bytes(msgspec.json.format(document, indent=1))
    return path


def arguments(told: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.taps", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--taps", default="200,1000,2000", help="numbers of taps, with commas [%(default)s]")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the steady window [%(default)s]")
    parser.add_argument("--directory", type=Path, help="record below this folder [the system's for temporary files]")
    parser.add_argument("--results", type=Path, default=RESULTS, help="keep the JSON here [benchmarks/results]")
    parser.add_argument("--no-floor", action="store_true", help="the worker alone")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    return parser.parse_args(told)


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    asked = arguments(told)
    counts = [int(count) for count in asked.taps.split(",")]
    log.configure("error", stream=sys.stderr)
    allow_descriptors(4 * max(counts) + 200)
    with tempfile.TemporaryDirectory(prefix="tapdeck-floor-") as folder:
        program = None if asked.no_floor else floor.build(Path(folder))
        if program is None and not asked.no_floor:
            say("no floor and no ratio: there is no C compiler here (sudo apt-get install -y gcc libc6-dev)")
        runs = []
        for count in counts:
            say(f"{count} taps for {asked.seconds:g} s (load {load():.1f})")
            runs.append(asyncio.run(run(count, asked.seconds, asked.directory, program)))
            say(table(Results(machine(), runs[-1:])).splitlines()[-1])
    results = Results(machine(), runs)
    document = msgspec.json.encode(results)
    say(f"kept in {keep('taps', document, asked.results)}")
    print(json.dumps(json.loads(document), indent=1) if asked.json else table(results))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # leave no recordings behind
    main()
