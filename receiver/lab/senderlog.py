"""The sender's log: what was really handed to the kernel, in order. With the audio and the sidecar, all that a proof
reads.

A caller's log is one file, ``caller-<id>.npz``. The lean path keeps one for all, ``crowd.npz``, which holds counts
and the wall times of its slots: each caller's packets follow from them.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

SENT: Final = np.dtype(
    [
        ("sent_ns", "i8"),  # wall time (UNIX), taken just before the kernel was called
        ("sample", "i8"),  # index of the first sample in the voice's sound
        ("timestamp", "u4"),
        ("ssrc", "u4"),
        ("sequence", "u2"),
        ("size", "u2"),  # samples = octets of payload
        ("payload_type", "u1"),
        ("copy", "u1"),  # 1: a duplicate made by the weather
    ]
)

_CROWD: Final = "crowd.npz"


class About(msgspec.Struct, frozen=True):
    """Who sent. ``source`` and ``to`` are "host:port"."""

    caller: int
    voice: int
    source: str
    to: str
    codec: str
    seed: int


@dataclass(frozen=True)
class Sent:
    """One caller's log: SENT records, in the order in which the kernel took them."""

    about: About
    packets: NDArray[np.void]


@dataclass(frozen=True)
class Crowd:
    """The log of a lean plan: every caller sent the same number of equal packets, but for the refused ones.

    Caller *i* belongs to group ``group[i]``. In slot *s* a group sent ``burst`` packets to each of its taps, at wall
    time ``slot_ns[s, group]``, or nothing any more where that is 0. ``refused`` are pairs (slot, caller's row).
    """

    about: tuple[About, ...]
    size: int
    payload_type: int
    burst: int
    ssrc: NDArray[np.uint32]
    sequence: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    sample: NDArray[np.int64]
    group: NDArray[np.int64]
    slot_ns: NDArray[np.int64]
    refused: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Packets that the kernel took, i8[n], by caller's row."""
        slots = np.count_nonzero(self.slot_ns, axis=0)[self.group]
        counts: NDArray[np.int64] = (slots - np.bincount(self.refused[:, 1], minlength=len(self.about))) * self.burst
        return counts

    def sent(self, caller: int) -> Sent:
        """Return one caller's log, packet by packet; raises KeyError."""
        row = next((row for row, about in enumerate(self.about) if about.caller == caller), None)
        if row is None:
            raise KeyError(caller)
        times = self.slot_ns[:, self.group[row]]
        slots = np.setdiff1d(np.flatnonzero(times), self.refused[self.refused[:, 1] == row, 0])
        number = (slots[:, None] * self.burst + np.arange(self.burst)).reshape(-1)
        packets = np.zeros(len(number), SENT)
        packets["sent_ns"] = times[slots].repeat(self.burst)
        packets["sample"] = self.sample[row] + number * self.size
        packets["timestamp"] = (int(self.timestamp[row]) + number * self.size) & 0xFFFFFFFF
        packets["sequence"] = (int(self.sequence[row]) + number) & 0xFFFF
        packets["ssrc"], packets["size"], packets["payload_type"] = self.ssrc[row], self.size, self.payload_type
        return Sent(self.about[row], packets)


def file_of(folder: Path, caller: int) -> Path:
    """Where a caller's log lies."""
    return folder / f"caller-{caller:06d}.npz"


def write(folder: Path, sent: Sent) -> Path:
    """Write one caller's log; the folder is made if it is missing. Raises OSError."""
    return _save(file_of(folder, sent.about.caller), sent.about, packets=sent.packets)


def write_crowd(folder: Path, crowd: Crowd) -> Path:
    """Write the log of a lean plan. Raises OSError."""
    scalars = np.array([crowd.size, crowd.payload_type, crowd.burst])
    columns = {name: getattr(crowd, name) for name in _COLUMNS}
    return _save(folder / _CROWD, crowd.about, scalars=scalars, **columns)


_COLUMNS: Final = ("ssrc", "sequence", "timestamp", "sample", "group", "slot_ns", "refused")


def read(path: Path) -> Sent:
    """Read one caller's log. Raises OSError, or ValueError where the file is something else."""
    with np.load(path, allow_pickle=False) as file:
        if "packets" not in file:
            raise ValueError(f"{path} is not one caller's log")
        return Sent(msgspec.json.decode(file["about"].tobytes(), type=About), file["packets"])


def read_crowd(folder: Path) -> Crowd:
    """Read the log of a lean plan from its folder. Raises OSError or ValueError."""
    with np.load(folder / _CROWD, allow_pickle=False) as file:
        about = msgspec.json.decode(file["about"].tobytes(), type=tuple[About, ...])
        size, payload_type, burst = (int(number) for number in file["scalars"])
        return Crowd(about, size, payload_type, burst, **{name: file[name] for name in _COLUMNS})


def _save(path: Path, about: object, **columns: NDArray[Any]) -> Path:
    """The whole file under its name, or none: a reader never finds half a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half.npz")
    columns["about"] = np.frombuffer(msgspec.json.encode(about), np.uint8)
    np.savez(half, **columns)  # type: ignore[arg-type]  # its stub takes a bool for any keyword
    os.replace(half, path)
    return path
