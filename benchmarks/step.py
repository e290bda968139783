"""In process: what one packet costs in each step of the media path. No sockets, no disk.

    python -m benchmarks.step [--taps 200,1000,4000] [--ticks 40] [--json]

A tick is what the worker makes of it: five slices, in each the taps of one group with five packets (100 ms of 20 ms
packets). The yardstick is copying the datagrams once, in the same run: the ratios can be compared between machines, the
µs cannot.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import Machine, load, machine
from benchmarks.taps import RESULTS, keep, say
from receiver.media.columns import Policy, TapState
from receiver.media.drain import Drain
from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.sources import Source
from receiver.media.state import Shape, State
from receiver.net.tick import GROUPS
from receiver.wire import g711, rtp

PACKETS: Final = 5  # of each tap in a tick
SAMPLES: Final = 160
PACKET_NS: Final = 20_000_000
HORIZON, WINDOW = 3_200, 48_000
WARM: Final = 12  # ticks that are not counted
DRAINED_EVERY: Final = 10  # ticks: once a second
FIRST_NS: Final = 1_000_000_000_000
REST: Final = "order, tally, the rest"
STEPS: Final = ("parse", "match", "survey", "count", "gather", "decode", "place", REST, "commit", "drain", "clear")


class Costs(msgspec.Struct, frozen=True):
    """One number of taps."""

    taps: int
    batch: int
    """Datagrams of one slice."""
    load: float
    packets: int
    yardstick_us: float
    """Copying 172 octets out of the slab, per packet."""
    steps_us: dict[str, float]
    """Per packet."""
    start_ms: float
    """The tick in which all taps begin, all five slices."""
    start_longest_ms: float
    """Its longest slice."""

    @property
    def total_us(self) -> float:
        """Per packet."""
        return sum(self.steps_us.values())


class Results(msgspec.Struct, frozen=True):
    """A file under results/."""

    machine: Machine
    runs: list[Costs]


class Watch:
    """Adds up CPU time by the name of the step. Steps do not lie within each other."""

    def __init__(self) -> None:
        self.spent_ns = dict.fromkeys(STEPS, 0)

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        """Count what is done inside."""
        began_ns = time.thread_time_ns()
        yield
        self.spent_ns[step] += time.thread_time_ns() - began_ns

    def over(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted."""

        def counted(*arguments: Any) -> Any:
            with self.on(step):
                return function(*arguments)

        return counted

    def clear(self) -> None:
        """From the beginning."""
        self.spent_ns = dict.fromkeys(STEPS, 0)


class Bench:
    """A state with open taps, and the slabs of their callers."""

    def __init__(self, taps: int, watch: Watch) -> None:
        self.taps, self._watch = taps, watch
        shape = Shape.of(taps, WINDOW, 1 << 16)
        self.state = State(np.zeros(State.needed(shape)[0], np.uint8), shape)
        self.state.allocated[:] = 1
        self.state.ring[:] = 0  # have the pages
        self.pipeline = Pipeline(self.state, HORIZON, rtp.payload_kinds(), [])
        self.drain = Drain(self.state, self.pipeline.timeline, HORIZON)
        self.groups = [np.arange(group, taps, GROUPS) for group in range(GROUPS)]
        self.slab = np.zeros((self.groups[0].size * PACKETS, 1536), np.uint8)
        self.slab[:, 12:] = np.random.default_rng(1).integers(0, 255, self.slab[:, 12:].shape, np.uint8)
        self._open()

    def _open(self) -> None:
        for tap in range(self.taps):
            self.state.touch("taps", tap)
            record = self.state.now.taps[tap]
            record["state"], record["policy"], record["row"] = TapState.OPEN, Policy.ANY, tap
            self.pipeline.joining.give_row(tap, tap)
        self.state.commit()

    def datagrams(self, tick: int, group: int) -> Datagrams:
        """What one slice finds: every tap of the group has sent five packets since the last tick."""
        taps = self.groups[group]
        tap, number = np.repeat(taps, PACKETS), np.tile(np.arange(PACKETS), taps.size) + tick * PACKETS
        octets = self.slab[: tap.size]
        header = octets[:, : rtp.FIXED_HEADER.itemsize].view(rtp.FIXED_HEADER)[:, 0]
        header["v_p_x_cc"], header["ssrc"] = 2 << 6, tap + 7
        header["sequence"] = (number + 65_530) & 0xFFFF
        header["timestamp"] = (number * SAMPLES + 2**32 - 1_000) & 0xFFFFFFFF
        source = Source.of("127.0.0.1", 5_000)
        return Datagrams(
            octets, np.full(tap.size, 12 + SAMPLES), tap.astype(np.int32), np.full(tap.size, source.high, np.uint64),
            np.full(tap.size, source.low, np.uint64), np.full(tap.size, source.port, np.uint16),
            FIRST_NS + number * PACKET_NS,
        )  # fmt: skip

    def tick(self, tick: int) -> list[int]:
        """Run all five slices; returns what each took in the pipeline, CPU ns."""
        now_ns, took_ns = FIRST_NS + (tick + 1) * PACKETS * PACKET_NS, []
        for group in range(GROUPS):
            datagrams = self.datagrams(tick, group)
            before_ns, began_ns = sum(self._watch.spent_ns.values()), time.thread_time_ns()
            self.pipeline.step(datagrams, now_ns, 0)
            whole_ns = time.thread_time_ns() - began_ns
            self._watch.spent_ns[REST] += whole_ns - (sum(self._watch.spent_ns.values()) - before_ns)
            with self._watch.on("commit"):
                self.state.commit()
            took_ns.append(time.thread_time_ns() - began_ns)
            if tick % DRAINED_EVERY == DRAINED_EVERY - 1:
                self._hand_on(self.groups[group], now_ns)
        return took_ns

    def _hand_on(self, taps: NDArray[np.int64], now_ns: int) -> None:
        with self._watch.on("drain"):
            spans = self.drain.hand_on(taps, now_ns)
            self.state.commit()
            cuts = [self.drain.cut(*span) for span in spans]
        for cut in cuts:  # the writer and the commit do it, in their threads
            self.state.written[cut.row] = self.state.committed[cut.row] = cut.upto
        with self._watch.on("clear"):
            for cut in cuts:
                self.drain.give_back(cut.row)

    def yardstick_ns(self) -> int:
        """Copy the slab's datagrams."""
        into = np.empty((len(self.slab), 12 + SAMPLES), np.uint8)
        began_ns = time.thread_time_ns()
        np.copyto(into, self.slab[:, : into.shape[1]])
        return time.thread_time_ns() - began_ns


@contextmanager
def counted(bench: Bench, watch: Watch) -> Iterator[None]:
    """Put a watch over the steps, by their public names."""
    pipeline = bench.pipeline
    over: tuple[tuple[Any, str, str], ...] = (
        (rtp, "parse", "parse"), (rtp, "gather", "gather"), (g711, "decode", "decode"),
        (pipeline.sources, "match", "match"), (pipeline.streams, "survey", "survey"),
        (pipeline.streams, "count", "count"), (pipeline.timeline, "place", "place"),
    )  # fmt: skip
    before = [getattr(owner, name) for owner, name, _ in over]
    for (owner, name, step), function in zip(over, before, strict=True):
        setattr(owner, name, watch.over(step, function))
    try:
        yield
    finally:
        for (owner, name, _), function in zip(over, before, strict=True):
            setattr(owner, name, function)


def measure(taps: int, ticks: int) -> Costs:
    """Run so many ticks; the first, in which all taps begin, is told apart."""
    before, watch = load(), Watch()
    bench = Bench(taps, watch)
    with counted(bench, watch):
        start_ns = bench.tick(0)
        for tick in range(1, WARM):
            bench.tick(tick)
        watch.clear()
        for tick in range(WARM, WARM + ticks):
            bench.tick(tick)
    packets = ticks * taps * PACKETS
    accepted = int(bench.state.live.world["verdicts"][0][rtp.Verdict.ACCEPTED])
    if accepted != (WARM + ticks) * taps * PACKETS:
        raise RuntimeError(f"only {accepted} packets were accepted: this measured something else")
    yardstick_ns = min(bench.yardstick_ns() for _ in range(20)) / len(bench.slab)
    steps_us = {step: spent_ns / packets / 1e3 for step, spent_ns in watch.spent_ns.items()}
    return Costs(
        taps=taps, batch=len(bench.slab), load=before, packets=packets, yardstick_us=yardstick_ns / 1e3,
        steps_us=steps_us, start_ms=sum(start_ns) / 1e6, start_longest_ms=max(start_ns) / 1e6,
    )  # fmt: skip


def best_of(taps: int, ticks: int, times: int) -> Costs:
    """The cheapest of several runs: other work on the machine only adds."""
    return min((measure(taps, ticks) for _ in range(times)), key=lambda costs: costs.total_us)


def table(results: Results) -> str:
    """Markdown: a column for each number of taps."""
    runs = results.runs
    lines = ["| step | " + " | ".join(f"{each.taps:,} taps: µs | × copy | share" for each in runs) + " |"]
    lines.append("|---|" + "---:|---:|---:|" * len(runs))

    def line(name: str, values: Sequence[float]) -> str:
        cells = [
            f"{value:.3f} | {value / each.yardstick_us:.1f} | {value / each.total_us:.0%}"
            for value, each in zip(values, runs, strict=True)
        ]
        return f"| {name} | " + " | ".join(cells) + " |"

    lines += [line(step, [each.steps_us[step] for each in runs]) for step in STEPS]
    lines.append(line("**all**", [each.total_us for each in runs]))
    lines.append(line("yardstick: one copy of the datagram", [each.yardstick_us for each in runs]))
    lines += ["", "| all taps begin in one tick | whole tick | longest slice | per tap |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {each.taps:,} taps | {each.start_ms:.0f} ms | {each.start_longest_ms:.0f} ms "
        f"| {each.start_ms / each.taps * 1e3:.0f} µs |"
        for each in runs
    ]
    return "\n".join(lines)


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--taps", default="200,1000,4000", help="numbers of taps, with commas [%(default)s]")
    parser.add_argument("--ticks", type=int, default=40, help="of 100 ms, that are counted [%(default)s]")
    parser.add_argument("--times", type=int, default=3, help="the best of so many runs [%(default)s]")
    parser.add_argument("--results", type=Path, default=RESULTS, help="keep the JSON here [benchmarks/results]")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    asked = parser.parse_args(told)
    counts = [int(count) for count in asked.taps.split(",")]
    results = Results(machine(), [best_of(count, asked.ticks, asked.times) for count in counts])
    document = msgspec.json.encode(results)
    say(f"kept in {keep('step', document, asked.results)}")
    print(json.dumps(json.loads(document), indent=1) if asked.json else table(results))


if __name__ == "__main__":
    main()
