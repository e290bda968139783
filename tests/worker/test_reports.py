"""What is said once a second: columns that are true, in pieces, of what changed; cheap with many taps."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from receiver import link
from receiver.media.columns import Role, TapState
from receiver.media.state import Shape, State
from receiver.worker.reports import TAPS_A_MESSAGE, Reports
from tests.worker.office import HORIZON, Line, Office, office

Call = Callable[..., Line]


def report(one: Office) -> link.Report:
    """The one message of this second."""
    [only] = one.worker.reports.make()
    return only


async def test_the_columns_are_true(tmp_path: Path, memory: int, call: Call) -> None:
    line, silent = call(3), call(4)
    async with office(tmp_path, memory) as one:
        await one.open(line, silent)
        before_ns = time.time_ns()
        line.talk(10)
        line.talk(5, first=12)
        line.talk(1, first=13)
        line.send([line.sent[3]._replace(raw=b"no RTP")])
        line.send([line.sent[3]], by=silent.sender)
        one.hear()
        said = report(one)
        after_ns = time.time_ns()
        assert said.slots == [3, 4]  # an open tap is told of once, even if nothing came
        assert said.recording_ids == [line.id, silent.id]
        columns = {name: getattr(said, name)[0] for name in link.COLUMNS[2:]}
        first_ns, heard_ns = columns.pop("first_ns"), columns.pop("heard_ns")
        assert columns == {
            "packets": 16, "lost": 1, "duplicate": 1, "reordered": 0, "late_lost": 0, "invalid": 1, "foreign": 1,
            "unauthentic": 0, "edge_frames": HORIZON + 17 * 160,
        }  # fmt: skip
        assert before_ns - 1_000_000 <= first_ns <= heard_ns <= after_ns
        assert before_ns <= said.at_ns <= after_ns
        assert (said.first_ns[1], said.heard_ns[1], said.edge_frames[1]) == (0, 0, 0)
        assert (said.tallies["accepted"], said.tallies["foreign"]) == (16, 1)
        assert {"late_ticks", "commit_ms", "unsafe_s", "backlog", "kernel_drops", "packets_per_s"} <= set(said.gauges)


async def test_only_what_changed_is_said_and_something_always(tmp_path: Path, memory: int, call: Call) -> None:
    lines = [call(slot) for slot in range(3)]
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        assert report(one).slots == [0, 1, 2]
        lines[1].talk(1)
        one.hear()
        assert report(one).slots == [1]
        assert report(one).slots == []


async def test_a_slot_that_went_to_another_tap_with_the_same_count_has_changed(
    tmp_path: Path, memory: int, call: Call
) -> None:
    early, late = call(), call()
    async with office(tmp_path, memory) as one:
        for line in (early, late):
            await one.open(line)
            line.talk(5)
            one.hear()
            assert report(one).recording_ids == [line.id]
            await one.close(line)
            await one.forget(line)


class Still:
    """Tick, writer and commit, as far as a report looks at them."""

    late = backlog = duration_ns = safe_ns = period_ns = moved_ns = at_disk = 0


def crowd(taps: int) -> tuple[State, Reports]:
    """Columns of so many taps that all speak; no ring behind them."""
    shape = Shape.of(taps, 1, 4_096)
    state = State(np.zeros(State.needed(shape)[0], np.uint8), shape)
    now = state.now
    now.taps["state"], now.taps["recording"] = TapState.OPEN, b"018f3a5e-7c11-7d22-8e33-9f4455667788"
    now.taps["row"] = np.arange(taps)
    now.streams["role"][:taps], now.streams["tap"][:taps] = Role.LIVE, np.arange(taps)
    now.streams["statistics"]["packets"][:taps] = np.arange(taps)
    for table in ("taps", "streams"):
        state.touch(table, np.arange(taps))
    state.commit()
    still = cast(Any, Still())
    return state, Reports(state, still, still, still, drops=lambda: 0)


def test_many_taps_are_said_in_pieces() -> None:
    _, reports = crowd(600)
    pieces = list(reports.make())
    assert [len(piece.slots) for piece in pieces] == [TAPS_A_MESSAGE, TAPS_A_MESSAGE, 100]
    assert [slot for piece in pieces for slot in piece.slots] == list(range(600))
    assert [count for piece in pieces for count in piece.packets] == list(range(600))
