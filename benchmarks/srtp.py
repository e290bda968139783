"""SRTP: what a sealed packet costs in process, and whether one worker records a thousand sealed calls without loss.

    python -m benchmarks.srtp [--taps 1000] [--seconds 15] [--no-wire] [--json]

In process, in one run: plain taps alone, plain taps beside a single one with a key, and taps with a key in each suite.
Then over real sockets: a worker as control starts it, and a sender in a second process that seals with pylibsrtp.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import Machine, allow_descriptors, load, machine, prefer, receive_buffer_errors
from benchmarks.recorder import Recorder
from benchmarks.step import FIRST_NS, PACKET_NS, PACKETS, WARM, Bench, Watch
from benchmarks.taps import RESULTS, Cost, cost, keep, say, taken_by, watched
from receiver import keys
from receiver.archive.sidecar import Problem, Sidecar
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.media.datagrams import Datagrams
from receiver.media.secured import Key
from receiver.watch import log
from receiver.wire import rtp
from receiver.wire.srtp import LONGEST_TRAILER, Sealer, Suite

PLAIN, BESIDE = "plain", "plain, one tap of all sealed"
WARM_S: Final = 3.0


class Step(msgspec.Struct, frozen=True):
    """One kind of taps in process."""

    kind: str
    taps: int
    us: float
    """CPU per packet of the whole turn: opened, parsed, counted, placed, committed."""
    load: float


class Wire(msgspec.Struct, frozen=True):
    """One suite over real sockets."""

    suite: str
    taps: int
    seconds: float
    sent: int
    lost: int
    unauthentic: int
    kernel_drops: int
    worker: Cost
    late_ticks: int
    outcomes: dict[str, int]
    """How the recordings ended, and of what they complain."""
    sender_late_ms: float
    load: float


class Results(msgspec.Struct, frozen=True):
    """A file under results/."""

    machine: Machine
    steps: list[Step]
    wire: list[Wire]


class Sealed(Bench):
    """Taps of which the first ``sealed`` have a key. Sealing is not counted."""

    def __init__(self, taps: int, watch: Watch, suite: Suite, sealed: int) -> None:
        super().__init__(taps, watch)
        self._sealed = sealed
        if not sealed:
            return
        key = Key(suite, os.urandom(keys.SUITES[suite.name]))
        self._sealer = Sealer(*key)
        self.state.now.taps["suite"][:sealed] = suite
        self.state.touch("taps", list(range(sealed)))
        self.state.commit()
        for tap in range(sealed):
            self.pipeline.secured.trust(tap, key)

    def datagrams(self, tick: int, group: int) -> Datagrams:
        """As they come."""
        plain = super().datagrams(tick, group)
        size = plain.size.copy()
        for row in (plain.tap < self._sealed).nonzero()[0].tolist() if self._sealed else ():
            octets = plain.octets[row]
            octets[size[row] : size[row] + LONGEST_TRAILER] = 0
            ssrc, number = int(plain.tap[row]) + 7, int(plain.arrival_ns[row] - FIRST_NS) // PACKET_NS
            whole = self._sealer.seal(octets[: size[row]].tobytes(), ssrc, number + 65_530)
            octets[: len(whole)] = memoryview(whole)
            size[row] = len(whole)
        return plain._replace(size=size)


def measure_step(kind: str, taps: int, ticks: int, suite: Suite, sealed: int) -> Step:
    """The first ticks, in which taps begin and contexts are walked, are not counted."""
    before = load()
    bench = Sealed(taps, Watch(), suite, sealed)
    for tick in range(WARM):
        bench.tick(tick)
    spent_ns = sum(sum(bench.tick(tick)) for tick in range(WARM, WARM + ticks))
    accepted = int(bench.state.live.world["verdicts"][0][rtp.Verdict.ACCEPTED])
    if accepted != (WARM + ticks) * taps * PACKETS:
        raise RuntimeError(f"only {accepted} packets were accepted: this measured something else")
    return Step(kind, taps, spent_ns / (ticks * taps * PACKETS) / 1e3, before)


def steps(taps: int, ticks: int, times: int) -> list[Step]:
    """Each kind, the cheapest of several runs, in turns: other work on the machine only adds."""
    kinds = [(PLAIN, Suite(1), 0), (BESIDE, Suite(1), 1), *((suite.name, suite, taps) for suite in Suite)]
    found = [[measure_step(kind, taps, ticks, suite, sealed) for kind, suite, sealed in kinds] for _ in range(times)]
    return [min(column, key=lambda step: step.us) for column in zip(*found, strict=True)]


async def measure_wire(suite: str, taps: int, seconds: float, folder: Path) -> Wire:
    """Record so many sealed calls."""
    key = keys.Key(suite, os.urandom(keys.SUITES[suite]))
    file = folder / "key"
    file.write_text(f"{suite} {keys.written(key)}\n")
    (folder / "recordings").mkdir()
    callers = tuple(Caller(k, seconds=WARM_S + seconds + 1.0) for k in range(taps))
    recorder, before = Recorder(folder / "recordings", taps), load()
    with SenderProcess(Plan(callers, srtp_file=str(file))) as sender:
        try:
            pid = await recorder.start()
            prefer(sender.pid)
            prefer(pid)
            to = await recorder.open(sender.sources, key)
            drops = receive_buffer_errors()
            async with watched(pid) as readings:
                sender.go(to)
                began_ns = time.time_ns()
                told = await asyncio.to_thread(sender.wait, 4 * (WARM_S + seconds) + 120.0)
            reports = recorder.reports[:]
            await recorder.close()
            drops = receive_buffer_errors() - drops
        finally:
            await recorder.stop()
    begin_ns = began_ns + int((WARM_S + 1.0) * 1e9)
    counted = [stream.packets for each in recorder.finished.values() for c in each.channels for stream in c.streams]
    return Wire(
        suite=suite, taps=taps, seconds=seconds, sent=told.packets, lost=told.packets - sum(counted),
        unauthentic=reports[-1].tallies["unauthentic"], kernel_drops=drops,
        worker=cost(readings, taken_by(reports), begin_ns, begin_ns + int(seconds * 1e9)),
        late_ticks=int(reports[-1].gauges["late_ticks"]),
        outcomes=dict(Counter(outcome(each) for each in recorder.finished.values())),
        sender_late_ms=told.worst_late_ms, load=before,
    )  # fmt: skip


def outcome(told: Sidecar) -> str:
    """With the reason, if there is one."""
    return str(told.outcome) + (f" ({told.problem.code})" if isinstance(told.problem, Problem) else "")


def table(results: Results) -> str:
    """Markdown."""
    lines = ["| in process | taps | µs per packet | load before |", "|---|---:|---:|---:|"]
    lines += [f"| {each.kind} | {each.taps:,} | {each.us:.2f} | {each.load:.1f} |" for each in results.steps]
    heads = ("over sockets", "taps", "packets sent", "lost", "unauthentic", "kernel drops", "µs per packet (best 3 s)",
             "cores", "taken in per s", "late ticks", "outcomes", "sender late by, ms", "load before")  # fmt: skip
    lines += ["", "| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for each in results.wire:
        cells = (
            each.suite, f"{each.taps:,}", f"{each.sent:,}", f"{each.lost:,}", f"{each.unauthentic:,}",
            f"{each.kernel_drops:,}", f"{each.worker.mean_us:.2f} ({each.worker.best_us:.2f})",
            f"{each.worker.cores:.2f}", f"{each.worker.packets_per_s:,.0f}", f"{each.late_ticks}",
            ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(each.outcomes.items())),
            f"{each.sender_late_ms:.0f}", f"{each.load:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.srtp", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--taps", type=int, default=1_000, help="[%(default)s]")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the steady window on the wire [%(default)s]")
    parser.add_argument("--ticks", type=int, default=10, help="of 100 ms, in process [%(default)s]")
    parser.add_argument("--times", type=int, default=3, help="in process: the best of so many runs [%(default)s]")
    parser.add_argument("--suites", default="AES_CM_128_HMAC_SHA1_80", help="on the wire, with commas [%(default)s]")
    parser.add_argument("--no-wire", action="store_true", help="in process only")
    parser.add_argument("--directory", type=Path, help="record below this folder [the system's for temporary files]")
    parser.add_argument("--results", type=Path, default=RESULTS, help="keep the JSON here [benchmarks/results]")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    asked = parser.parse_args(told)
    log.configure("error", stream=sys.stderr)
    allow_descriptors(4 * asked.taps + 200)
    found, wire = steps(asked.taps, asked.ticks, asked.times), []
    for suite in () if asked.no_wire else asked.suites.split(","):
        say(f"{asked.taps} taps of {suite} for {asked.seconds:g} s (load {load():.1f})")
        with tempfile.TemporaryDirectory(prefix="tapdeck-srtp-", dir=asked.directory) as folder:
            wire.append(asyncio.run(measure_wire(suite, asked.taps, asked.seconds, Path(folder))))
        say(table(Results(machine(), [], wire[-1:])).splitlines()[-1])
    results = Results(machine(), found, wire)
    document = msgspec.json.encode(results)
    say(f"kept in {keep('srtp', document, asked.results)}")
    print(json.dumps(json.loads(document), indent=1) if asked.json else table(results))


if __name__ == "__main__":
    main()
