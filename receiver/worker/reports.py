"""Once a second: what control and the API are told, as columns of all taps that changed."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from receiver import link
from receiver.archive.commit import Commit
from receiver.archive.writer import Writer
from receiver.media.columns import Role, TapState
from receiver.media.state import State
from receiver.net.tick import Tick
from receiver.watch.kernel import kernel_drops
from receiver.wire.opus import TICKS
from receiver.wire.rtp import Verdict
from receiver.worker.intake import Slots, clocks
from receiver.worker.story import MALFORMED

TAPS_A_MESSAGE: Final = 250
Column = NDArray[Any]


class Reports:
    """Reads the committed columns; keeps only what it said last. ``drops``: see `receiver.watch.kernel`."""

    def __init__(
        self, state: State, tick: Tick, writer: Writer, commit: Commit, drops: Callable[[], int] | None = None
    ) -> None:
        self._state, self._tick, self._writer, self._commit = state, tick, writer, commit
        self._drops = drops or kernel_drops
        self._drops_before = self._drops()
        self._said = np.full((2, state.shape.taps), -1, np.int64)
        self._packets, self._at_ns = self._counted(), clocks()[0]

    def make(self) -> Iterator[link.Report]:
        """Messages, at least one: taps of which something changed since the last time, and the gauges."""
        now_ns, offset_ns = clocks()
        taps = self._state.live.taps
        # A slot may have gone to another tap with the same count meanwhile: when it was opened tells them apart.
        present = np.stack((taps["verdicts"].sum(axis=1) + taps["epochs"], taps["answered_ns"]))
        new = (present != self._said).any(axis=0) & np.isin(taps["state"], (TapState.OPEN, TapState.CLOSING))
        slots = np.flatnonzero(new)
        self._said[:, slots] = present[:, slots]
        columns = self._columns(slots, offset_ns)
        whole = link.Report(
            at_ns=now_ns + offset_ns, tallies=self._tallies(), gauges=self._gauges(now_ns),
            recording_ids=[text.decode() for text in taps["recording"][slots].tolist()],
            **{name: column.tolist() for name, column in columns.items()},
        )  # fmt: skip
        return whole.pieces(TAPS_A_MESSAGE)

    def _columns(self, slots: Slots, offset_ns: int) -> dict[str, Column]:
        live = self._state.live  # field by field: numpy takes its time over whole records
        row, verdicts = live.taps["row"][slots].astype(np.int64), live.taps["verdicts"][slots]
        ticks = np.where(live.taps["opus"][slots] > 0, TICKS, 1)
        ever = {name: live.taps[name][slots] for name in ("heard_ns", "first_ns")}
        count = live.rows["splices"][row]
        shift = np.where(count > 0, live.rows["splice_shift"][row, np.maximum(count - 1, 0)], live.rows["shift"][row])
        return {
            "slots": slots,
            **self._sums(slots),
            "invalid": verdicts[:, MALFORMED].sum(axis=1),
            "foreign": verdicts[:, Verdict.FOREIGN],
            "unauthentic": verdicts[:, Verdict.UNAUTHENTIC],
            **{name: np.where(at_ns > 0, at_ns + offset_ns, 0) for name, at_ns in ever.items()},
            "edge_frames": np.where(ever["first_ns"] > 0, (live.rows["edge"][row] + shift) * ticks, 0),
        }

    def _sums(self, slots: Slots) -> dict[str, Column]:
        """Counters of each tap over all its streams, those that were buried included."""
        live = self._state.live
        mine = np.flatnonzero(live.streams["role"] >= Role.LIVE)
        statistics, owner, buried = live.streams["statistics"], live.streams["tap"][mine], live.taps["buried"]
        expected = statistics["highest_sequence"][mine] - statistics["base_sequence"][mine] + 1

        def over_streams(name: str, present: Column) -> Column:
            whole = buried[name].copy()
            np.add.at(whole, owner, present)
            return np.asarray(whole[slots])

        plain = ("packets", "duplicate", "reordered", "late_lost")
        sums = {name: over_streams(name, statistics[name][mine]) for name in plain}
        sums["lost"] = over_streams("highest_sequence", expected) - sums["packets"]  # RFC 3550 A.3
        return sums

    def _tallies(self) -> dict[str, int]:
        counts = self._state.live.world["verdicts"][0]
        return {verdict.name.lower(): int(counts[verdict]) for verdict in Verdict}

    def _counted(self) -> int:
        return int(self._state.live.world["verdicts"][0, : Verdict.EVENT + 1].sum())

    def _gauges(self, now_ns: int) -> dict[str, float]:
        world, packets = self._state.live.world[0], self._counted()
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
            "kernel_drops": self._drops() - self._drops_before,
            "packets_per_s": round(rate, 1),
            "tick_age_s": max(now_ns - self._tick.moved_ns, 0) / 1e9,
            "writer_age_s": max(now_ns - self._writer.moved_ns, 0) / 1e9 if self._writer.backlog else 0.0,
            "writer_at_disk": float(self._writer.at_disk),
        }
