"""How true recordings are: the same impaired streams, at the same time, into tapdeck and into what others record with.

    python -m benchmarks.fidelity [--conditions "clean,5 % loss"] [--seconds 20] [--runs 3] [--json]

Every condition of `conditions` in PCMU and PCMA, over real sockets of loopback: each datagram goes to a tapdeck worker,
to GStreamer and to ffmpeg within microseconds. What a recorder did is read from the sound that it wrote and from the
sender's log (`positions`); nothing else is asked. Prints a table, and keeps what it measured under benchmarks/results/.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks import conditions, others, positions
from benchmarks.conditions import CODECS, CONDITIONS, GARBAGE, Condition, Stream
from benchmarks.machine import Machine, load, machine, prefer
from benchmarks.others import OTHERS, Recording
from benchmarks.recorder import Recorder
from benchmarks.taps import RESULTS, keep, say
from receiver.lab.pace import Pace
from receiver.lab.senderlog import SENT
from receiver.watch import log
from receiver.wire.g711 import CLOCK_RATE

TAPDECK: Final = "tapdeck"
TAIL_S: Final = 2.0
"""How long recorders may go on after the last packet."""


class Score(msgspec.Struct, frozen=True):
    """One recorder in one condition and codec, in samples (`positions.Found`)."""

    condition: str
    codec: str
    recorder: str
    received: int
    right: int
    near: int
    length_error: int
    offset: int
    tolerance: int


class Results(msgspec.Struct, frozen=True):
    """A file under results/."""

    machine: Machine
    seed: int
    runs: int
    datagrams: int
    seconds: float
    sender_worst_ms: float
    drops: dict[str, int]
    """Datagrams that the kernel dropped at each recorder's ports: it was too slow, or had no room."""
    outcomes: dict[str, int]
    """Of tapdeck's recordings."""
    scores: list[Score]


class Posted(msgspec.Struct, frozen=True):
    """What was really sent: a log, SENT records, for each stream."""

    logs: list[NDArray[np.void]]
    worst_ms: float
    seconds: float


def post(streams: Sequence[Stream], doors: Sequence[socket.socket], to: Sequence[Sequence[int]]) -> Posted:
    """Send all streams in real time: each datagram of stream *i* from ``doors[i]`` to all ports ``to[i]``."""
    which = np.concatenate([np.full(len(each.octets), k) for k, each in enumerate(streams)])
    index = np.concatenate([np.arange(len(each.octets)) for each in streams])
    when_ns = np.concatenate([each.when_ns for each in streams])
    addresses = [[("127.0.0.1", port) for port in ports] for ports in to]
    sent_ns = [np.zeros(len(each.octets), np.int64) for each in streams]
    order, pace = np.argsort(when_ns, kind="stable"), Pace()
    for at in order.tolist():
        while pace.now_ns() < when_ns[at]:
            pace.sleep_until(int(when_ns[at]))
        pace.note(int(when_ns[at]))
        k, i = int(which[at]), int(index[at])
        sent_ns[k][i] = pace.now_ns()
        for address in addresses[k]:
            doors[k].sendto(streams[k].octets[i], address)
    logs = [_log(each, times) for each, times in zip(streams, sent_ns, strict=True)]
    return Posted(logs, pace.worst_ns / 1e6, pace.now_ns() / 1e9)


def _log(stream: Stream, sent_ns: NDArray[np.int64]) -> NDArray[np.void]:
    """SENT records of what is sound, in the order in which it left."""
    mine = stream.row != GARBAGE
    told = np.zeros(int(mine.sum()), SENT)
    for name in SENT.names or ():
        told[name] = sent_ns[mine] if name == "sent_ns" else stream.packets[name][stream.row[mine]]
    return told


async def compare(streams: Sequence[Stream], folder: Path, seed: int) -> Results:
    """Record all streams with everything there is, at once."""
    (folder / "recordings").mkdir()
    say(f"starting recorders for {len(streams)} streams (load {load():.1f})")
    recorder = Recorder(folder / "recordings", len(streams))
    with ExitStack() as stack:
        doors = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in streams]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        try:
            prefer(await recorder.start())
            opened = await recorder.open([f"127.0.0.1:{door.getsockname()[1]}" for door in doors])
            taps = [int(where.rpartition(":")[2]) for where in opened]
            beside = [
                [Recording(other, each.codec, port, folder / f"{k}-{n}.wav") for n, (other, port) in enumerate(row)]
                for k, (each, row) in enumerate(zip(streams, _rows(len(streams)), strict=True))
            ]
            with others.running([each for row in beside for each in row]):
                for pid in [os.getpid(), *(each.pid for row in beside for each in row)]:
                    prefer(pid)  # all alike: other work on this machine is not what is compared
                say(f"sending for {max(int(each.when_ns[-1]) for each in streams) / 1e9:.0f} s")
                to = [[tap, *(each.port for each in row)] for tap, row in zip(taps, beside, strict=True)]
                posted = await asyncio.to_thread(post, streams, doors, to)
                await asyncio.sleep(TAIL_S)
                say(f"ending (the sender was late by {posted.worst_ms:.0f} ms at most)")
                dropped = _dropped(taps, beside)
            await recorder.close()
        finally:
            await recorder.stop()
    say("judging")
    scores = []
    for k, each in enumerate(streams):
        told = recorder.finished[k].file
        sounds = {TAPDECK: _read(folder / "recordings" / "ready" / told) if told else np.zeros(0, np.int16)}
        sounds |= {other.name: one.sound() for other, one in zip(others.available(), beside[k], strict=True)}
        true = positions.truth(posted.logs[k])
        scores += [_score(each, name, positions.judge(sound, true, each.voice)) for name, sound in sounds.items()]
    return Results(
        machine(), seed, 1, sum(len(each.octets) for each in streams), posted.seconds, posted.worst_ms, dropped,
        recorder.outcomes, scores,
    )  # fmt: skip


def _dropped(taps: Sequence[int], beside: Sequence[Sequence[Recording]]) -> dict[str, int]:
    """By recorder; of ports that are still open."""
    counts, told = others.drops(), dict.fromkeys([TAPDECK, *(other.name for other in others.available())], 0)
    ports = [(port, TAPDECK) for port in taps] + [(one.port, one.other.name) for row in beside for one in row]
    for port, recorder in ports:
        told[recorder] += counts.get(port, 0)
    return told


def _rows(count: int) -> list[list[tuple[others.Other, int]]]:
    """A free even port for each recorder of each stream (ffmpeg takes the next one too, for RTCP)."""
    found = iter(_free())
    return [[(other, next(found)) for other in others.available()] for _ in range(count)]


def _free() -> "Sequence[int]":
    """Ports that nobody has, below those that the kernel gives out."""
    free = []
    for port in range(30_000, 32_767, 2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as next_one:
            try:
                one.bind(("127.0.0.1", port))
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            free.append(port)
    return free


def _read(path: Path) -> NDArray[np.int16]:
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples, np.int16)


def _score(stream: Stream, recorder: str, found: positions.Found) -> Score:
    return Score(
        stream.condition.name, stream.codec, recorder, found.received, found.right, found.near, found.length_error,
        found.offset, found.tolerance,
    )  # fmt: skip


def combined(runs: Sequence[Results]) -> Results:
    """Several runs as one: of tapdeck the worst of each condition and codec, of the others the best."""
    found: dict[tuple[str, str, str], Score] = {}
    for each in itertools.chain.from_iterable(run.scores for run in runs):
        key = each.condition, each.codec, each.recorder
        scores = [found[key], each] if key in found else [each]
        found[key] = min(scores, key=_worth) if each.recorder == TAPDECK else max(scores, key=_worth)
    return msgspec.structs.replace(
        runs[-1], runs=len(runs), scores=list(found.values()),
        sender_worst_ms=max(run.sender_worst_ms for run in runs),
        drops={name: max(run.drops[name] for run in runs) for name in runs[-1].drops},
        outcomes=dict(sum((Counter(run.outcomes) for run in runs), Counter())),
    )  # fmt: skip


def _worth(score: Score) -> tuple[int, int, int]:
    return score.right, score.near, -abs(score.length_error)


def cell(scores: Sequence[Score]) -> str:
    """Both codecs together: the share at their place, of those that are not the share near it, the worse length."""
    received, right, near = (sum(getattr(each, name) for each in scores) for name in ("received", "right", "near"))
    worst = max(scores, key=lambda each: abs(each.length_error))
    error = 0 if abs(worst.length_error) <= worst.tolerance else worst.length_error
    length = "0"
    if error:
        whole = abs(error) >= CLOCK_RATE
        length = f"{error / CLOCK_RATE:+,.1f} s" if whole else f"{error * 1_000 / CLOCK_RATE:+.0f} ms"
    length = length.replace("-", "−")
    if right == received:
        return f"100.000 %, {length}"
    return f"{_percent(right, received)} ({_percent(near, received)}), {length}"


def _percent(part: int, whole: int) -> str:
    """Never rounded up to all."""
    return "100 %" if part == whole else f"{min(part / whole, 0.999):.1%}".replace("%", " %")


def table(results: Results) -> str:
    """Markdown."""
    names = list(dict.fromkeys(each.recorder for each in results.scores))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for condition in dict.fromkeys(each.condition for each in results.scores):
        rows = [each for each in results.scores if each.condition == condition]
        cells = [cell([each for each in rows if each.recorder == name]) for name in names]
        told = max(each.tolerance for each in rows)
        lines.append(f"| {condition}{f' (± {told / 8:.0f} ms)' if told else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def chosen(names: str | None, seconds: float | None) -> list[Condition]:
    """Conditions by their names, with commas; all without. Raises SystemExit for one that is not there."""
    wanted = [name.strip() for name in names.split(",")] if names else [each.name for each in CONDITIONS]
    known = {each.name: each for each in CONDITIONS}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"no condition is called {unknown[0]!r}; there are: {', '.join(known)}")
    return [msgspec.structs.replace(known[name], seconds=seconds or known[name].seconds) for name in wanted]


def arguments(told: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fidelity", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--conditions", help="names with commas [all]")
    parser.add_argument("--seconds", type=float, help="of sound [what each condition needs: 15 to 45]")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same datagrams [%(default)s]")
    parser.add_argument("--runs", type=int, default=1, help="of so many, tapdeck worst, others best [%(default)s]")
    parser.add_argument("--directory", type=Path, help="record below this folder [the system's for temporary files]")
    parser.add_argument("--results", type=Path, default=RESULTS, help="keep the JSON here [benchmarks/results]")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    return parser.parse_args(told)


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    asked = arguments(told)
    log.configure("error", stream=sys.stderr)
    if missing := [other.name for other in OTHERS if other not in others.available()]:
        say(f"not here: {', '.join(missing)}. To install: sudo apt-get install -y {others.PACKAGES}")
    wanted = [(condition, codec) for condition in chosen(asked.conditions, asked.seconds) for codec in CODECS]
    streams = [conditions.stream(condition, codec, k, asked.seed) for k, (condition, codec) in enumerate(wanted)]
    runs = []
    for _ in range(asked.runs):
        with tempfile.TemporaryDirectory(prefix="tapdeck-fidelity-", dir=asked.directory) as folder:
            runs.append(asyncio.run(compare(streams, Path(folder), asked.seed)))
    results = combined(runs)
    document = msgspec.json.encode(results)
    say(f"kept in {keep('fidelity', document, asked.results)}")
    print(json.dumps(json.loads(document), indent=1) if asked.json else table(results))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # leave no recordings behind
    main()
