"""How fast captures are imported: seconds of sound in a second, a stream by itself and many together.

    python -m benchmarks.importing [--minutes 10] [--streams 50] [--json]
"""

import argparse
import ipaddress
import json
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import Machine, load, machine
from benchmarks.taps import RESULTS, keep, say
from receiver.archive.files import Files
from receiver.archive.names import DEFAULT_PATTERN
from receiver.importing import course
from receiver.lab.plan import Caller, Plan, schedule
from receiver.lab.sender import datagrams

RAW_IP: Final = 101
BEGIN_S: Final = 1_700_000_000
HORIZON: Final = 3_200
WEATHERS: Final = ("clean", "lossy", "jittery", "everything")


class Run(msgspec.Struct, frozen=True):
    """One capture."""

    weather: str
    streams: int
    seconds_of_sound: float
    seconds: float
    cpu_s: float
    """Of this process, all threads: what it takes without other work on the machine."""
    load: float

    @property
    def times_real(self) -> float:
        """Sound of all streams over the time that it took."""
        return self.seconds_of_sound / self.seconds


class Results(msgspec.Struct, frozen=True):
    """A file under results/."""

    machine: Machine
    runs: list[Run]


def write(path: Path, weather: str, streams: int, seconds: float) -> None:
    """A pcap file of callers from 192.0.2.7, each from a port of its own."""
    packets = schedule(Plan(tuple(Caller(k, seconds=seconds, weather=weather) for k in range(streams))))
    source, target = (ipaddress.ip_address(text).packed for text in ("192.0.2.7", "198.51.100.1"))
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, RAW_IP))
        for start in range(0, len(packets), 4_096):
            some = packets[start : start + 4_096]
            for row, size, caller, when_ns in zip(
                datagrams(some), (some["size"] + 12).tolist(), some["caller"].tolist(), some["when_ns"].tolist(),
                strict=True,
            ):  # fmt: skip
                udp = struct.pack("!HHHH", 40_000 + caller, 20_000, 8 + size, 0) + row[:size].tobytes()
                ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0) + source + target
                stamp = BEGIN_S + when_ns // 1_000_000_000, when_ns % 1_000_000_000
                file.write(struct.pack("<IIII", *stamp, 20 + len(udp), 20 + len(udp)) + ip + udp)


def measure(weather: str, streams: int, seconds: float, folder: Path) -> Run:
    """Write a capture and import it. Raises RuntimeError where a stream did not come out whole."""
    path, into = folder / "capture", folder / "recordings"
    write(path, weather, streams, seconds)
    into.mkdir()
    files = Files(into)
    before = load()
    began_s, cpu_s = time.monotonic(), time.process_time()
    told = course.run(path, files, course.Options(DEFAULT_PATTERN, HORIZON, 600_000_000_000))
    run = Run(weather, streams, told.seconds, time.monotonic() - began_s, time.process_time() - cpu_s, before)
    files.close()
    if [str(each.told.outcome) for each in told.recorded] != ["complete"] * streams:
        raise RuntimeError(f"{weather}: {[each.told.problem for each in told.recorded]}")
    return run


def table(results: Results) -> str:
    """Markdown."""
    lines = ["| weather | streams | sound, s | took, s | CPU, s | × real time | load before |", "|---|" + "---:|" * 6]
    for each in results.runs:
        lines.append(
            f"| {each.weather} | {each.streams} | {each.seconds_of_sound:,.0f} | {each.seconds:.1f} | {each.cpu_s:.1f} "
            f"| {each.times_real:,.0f} | {each.load:.1f} |"
        )
    return "\n".join(lines)


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each stream [%(default)s]")
    parser.add_argument("--streams", type=int, default=50, help="of the last capture, clean [%(default)s]")
    parser.add_argument("--results", type=Path, default=RESULTS, help="keep the JSON here [benchmarks/results]")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of the table")
    asked = parser.parse_args(told)
    runs = []
    for weather, streams in [*((weather, 1) for weather in WEATHERS), ("clean", asked.streams)]:
        with tempfile.TemporaryDirectory(prefix="tapdeck-importing-") as folder:
            runs.append(measure(weather, streams, asked.minutes * 60, Path(folder)))
        say(table(Results(machine(), runs[-1:])).splitlines()[-1])
    results = Results(machine(), runs)
    document = msgspec.json.encode(results)
    say(f"kept in {keep('importing', document, asked.results)}")
    sys.stdout.write((json.dumps(json.loads(document), indent=1) if asked.json else table(results)) + "\n")


if __name__ == "__main__":
    main()
