"""Once a second: what control and the API are told, as columns of all taps that changed."""

import time
from collections.abc import Iterator

import numpy as np

from receiver import link
from receiver.archive.commit import Commit
from receiver.archive.writer import Writer
from receiver.media.columns import Role, TapState
from receiver.media.state import State
from receiver.net.tick import Tick
from receiver.wire.rtp import Verdict
from receiver.worker.intake import clocks
from receiver.worker.story import MALFORMED

TAPS_A_MESSAGE = 250


class Reports:
    """Reads the committed columns; keeps only what it said last."""

    def __init__(self, state: State, tick: Tick, writer: Writer, commit: Commit) -> None:
        self._state, self._tick, self._writer, self._commit = state, tick, writer, commit
        self._said = np.zeros(state.shape.taps, np.int64)
        self._packets, self._at_ns = 0, time.monotonic_ns()

    def make(self) -> Iterator[link.Report]:
        """Messages, at least one: taps whose datagrams changed since the last time, and the gauges."""
        now_ns, offset_ns = clocks()
        taps = self._state.live.taps
        total = taps["verdicts"].sum(axis=1) + taps["epochs"]
        changed = np.flatnonzero((taps["state"] == TapState.OPEN) & (total != self._said))
        self._said[changed] = total[changed]
        gauges, tallies = self._gauges(now_ns), self._tallies()
        for start in range(0, max(changed.size, 1), TAPS_A_MESSAGE):
            yield self._columns(changed[start : start + TAPS_A_MESSAGE], offset_ns, now_ns, gauges, tallies)

    def _columns(
        self, slots: np.ndarray, offset_ns: int, now_ns: int, gauges: dict[str, float], tallies: dict[str, int]
    ) -> link.Report:
        live = self._state.live
        taps = live.taps[slots]
        sums = self._sums(slots)
        row = taps["row"].astype(np.int64)
        count = live.rows["splices"][row]
        shift = np.where(count > 0, live.rows["splice_shift"][row, np.maximum(count - 1, 0)], live.rows["shift"][row])
        edge = np.where(taps["first_ns"] > 0, live.rows["edge"][row] + shift, 0)
        wall = {
            name: np.where(taps[name] > 0, taps[name] + offset_ns, 0).tolist() for name in ("heard_ns", "first_ns")
        }
        return link.Report(
            at_ns=now_ns + offset_ns, slots=slots.tolist(), recording_ids=[text.decode() for text in taps["recording"]],
            **{name: column.tolist() for name, column in sums.items()},
            invalid=taps["verdicts"][:, MALFORMED].sum(axis=1).tolist(),
            foreign=taps["verdicts"][:, Verdict.FOREIGN].tolist(),
            heard_ns=wall["heard_ns"], first_ns=wall["first_ns"], edge_frames=edge.tolist(),
            tallies=tallies, gauges=gauges,
        )  # fmt: skip

    def _sums(self, slots: np.ndarray) -> dict[str, np.ndarray]:
        """Counters of each tap over all its streams, those that were buried included."""
        live = self._state.live
        mine = np.flatnonzero(live.streams["role"] >= Role.LIVE)
        statistics, owner = live.streams["statistics"][mine], live.streams["tap"][mine]
        expected = statistics["highest_sequence"] - statistics["base_sequence"] + 1
        buried = live.taps["buried"]
        sums = {}
        for name in ("packets", "duplicate", "reordered", "late_lost"):
            whole = buried[name].copy()
            np.add.at(whole, owner, statistics[name])
            sums[name] = whole[slots]
        whole = buried["highest_sequence"].copy()
        np.add.at(whole, owner, expected)
        sums["lost"] = whole[slots] - sums["packets"]  # RFC 3550 A.3
        return sums

    def _tallies(self) -> dict[str, int]:
        counts = self._state.live.world["verdicts"][0]
        return {verdict.name.lower(): int(counts[verdict]) for verdict in Verdict}

    def _gauges(self, now_ns: int) -> dict[str, float]:
        world = self._state.live.world[0]
        packets = int(world["verdicts"][: Verdict.EVENT + 1].sum())
        rate = (packets - self._packets) * 1e9 / max(now_ns - self._at_ns, 1)
        self._packets, self._at_ns = packets, now_ns
        return {
            "late_ticks": self._tick.late,
            "tick_ms": self._tick.period_ns / 1e6,
            "commit_ms": self._commit.duration_ns / 1e6,
            "unsafe_s": max(now_ns - self._commit.safe_ns, 0) / 1e9,
            "backlog": self._writer.backlog,
            "slabs_set_aside": int(world["set_aside"]),
            "rooms_given_back": int(world["given_back"]),
            "patch_log_full": int(world["patch_full"]),
            "clock_changes": int(world["clock_changes"]),
            "packets_per_s": round(rate, 1),
        }
