"""Rule C1: durable, then open; what cannot be is refused, and the worker lives."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver import link
from receiver.archive.files import Files
from receiver.media.columns import TapState
from tests.worker.office import Line, office, until

Call = Callable[..., Line]


class Watched(Files):
    """Counts syncs, and refuses what it is told to."""

    def __init__(self, directory: Path) -> None:
        self.syncs: list[int] = []
        self.refuse: set[str] = set()
        self.look: Callable[[], int] = lambda: 0
        super().__init__(directory)

    def sync_all(self) -> None:
        self.syncs.append(self.look())
        if "sync_all" in self.refuse:
            raise OSError(errno.EIO, "Input/output error")
        super().sync_all()

    def create(self, name: str, mode: int = 0o600, afresh: bool = False) -> int:
        if any(part in name for part in self.refuse):
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(name, mode, afresh)


async def test_c1_starts_that_come_together_share_one_sync_and_none_is_open_before_it(
    tmp_path: Path, memory: int, call: Call
) -> None:
    lines, files = [call(slot) for slot in range(5)], Watched(tmp_path)
    async with office(tmp_path, memory, files) as one:
        files.look = lambda: len(one.heard(link.Opened)) + int((one.state.live.taps["state"] != TapState.FREE).sum())
        await one.open(*lines)
        assert files.syncs == [0]


async def test_c1_an_error_of_the_disk_refuses_that_tap_alone(tmp_path: Path, memory: int, call: Call) -> None:
    good, bad, files = call(0), call(1), Watched(tmp_path)
    files.refuse = {bad.id}
    async with office(tmp_path, memory, files) as one:
        one.take(bad.order, bad.door.fileno())
        await one.open(good)
        await until(lambda: one.heard(link.Refused))
        [refused] = one.heard(link.Refused)
        assert (refused.recording_id, refused.code, refused.slot) == (bad.id, "storage", 1)
        assert one.tap(1)["state"] == TapState.FREE
        assert one.spooled() == [f"{good.id}.0.0.0.part", f"{good.id}.draft"]
        one.take(link.Forget(1, bad.id))


async def test_c1_a_sync_that_fails_refuses_all_that_shared_it(tmp_path: Path, memory: int, call: Call) -> None:
    lines, files = [call(slot) for slot in range(2)], Watched(tmp_path)
    async with office(tmp_path, memory, files) as one:
        files.refuse = {"sync_all"}
        for line in lines:
            one.take(line.order, line.door.fileno())
        await until(lambda: len(one.heard(link.Refused)) == 2)
        files.refuse = set()
        assert one.spooled() == []
        await one.open(call(0))


async def test_k1_a_lack_of_memory_refuses_a_tap_and_the_worker_records_on(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = call(0), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(good)

        def none_left(*arguments: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", none_left)
        one.take(bad.order, bad.door.fileno())
        await until(lambda: one.heard(link.Refused))
        [refused] = one.heard(link.Refused)
        assert (refused.code, refused.recording_id) == ("memory", bad.id)
        told = one.told(bad)  # promise P6: its outcome can be read
        assert (told["outcome"], told["problem"]["code"]) == ("failed", "memory")
        await one.forget(bad)
        assert one.spooled() == [f"{good.id}.0.0.0.part", f"{good.id}.draft"]
        good.talk(10)
        assert (await one.close(good)).outcome == "complete"


async def test_more_taps_than_rows_are_refused_not_given_a_row_of_somebody_else(
    tmp_path: Path, memory: int, call: Call
) -> None:
    async with office(tmp_path, memory, taps=2) as one:
        one.worker.desk._starting._taps.free_row = lambda but=(), sparing=True, packed=False: -1  # type: ignore[method-assign]
        line = call(0)
        one.take(line.order, line.door.fileno())
        await until(lambda: one.heard(link.Refused))
        assert one.heard(link.Refused)[0].code == "memory"


async def test_a3_with_the_taps_the_rows_for_candidates_grow(tmp_path: Path, memory: int, call: Call) -> None:
    lines = [call(slot) for slot in range(6)]
    async with office(tmp_path, memory, taps=80) as one:
        spare = np.count_nonzero((one.state.live.rows["tap"] < 0) & (one.state.allocated != 0))
        await one.open(*lines)
        now = np.count_nonzero((one.state.live.rows["tap"] < 0) & (one.state.allocated != 0))
        assert now == spare + len(lines) // 2
