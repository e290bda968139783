"""The end of a recording: grace, last read, last drain, ready/; and the same again after a death at any point."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver import link
from receiver.archive import finish as finishing
from receiver.archive.files import Files
from receiver.media.columns import TapState
from receiver.worker.closing import GRACE_S
from tests.worker.office import Line, office, until

Call = Callable[..., Line]


async def test_what_was_sent_is_what_lies_in_ready(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(50)
        told = await one.close(line)
        assert (told.outcome, told.ending, told.gaps) == ("complete", "stopped", ())
        assert np.array_equal(one.sound(line), line.truth)
        assert one.spooled() == [f"{line.id}.done"]
        await one.forget(line)
        assert one.spooled() == []


async def test_a16_what_comes_within_the_grace_is_read_and_nothing_after_it(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        graces: list[float] = []

        async def grace(seconds: float) -> None:
            if seconds == 0.1:
                graces.append(seconds)
                line.talk(5, first=10)  # the sender has not heard of the end yet
            await real(seconds)

        real = asyncio.sleep
        assert GRACE_S == 0.1
        one.worker.closing._grace_s = GRACE_S
        await one.open(line)
        line.talk(10)
        one.slices()
        monkeypatch.setattr("receiver.worker.closing.asyncio.sleep", grace)
        one.take(link.Close(line.slot, line.id, "stopped", None))
        await until(lambda: one.tap(line)["state"] == TapState.CLOSING)
        monkeypatch.undo()
        during = line.truth
        line.talk(5, first=15)  # too late
        one.slices()
        await one.finished(line)
        assert graces == [0.1]
        assert np.array_equal(one.sound(line), during)


async def test_k8_a_close_that_a_worker_died_over_does_not_read_on_in_the_next(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.slices()
        one.worker.closing._taps.close(line.slot)
        one.state.commit()
    before = line.truth
    line.talk(5, first=10)
    async with office(tmp_path, memory) as two:
        two.worker.closing._grace_s = 3_600.0  # it has passed
        await two.open(line)
        two.slices()
        await two.close(line)
        assert np.array_equal(two.sound(line), before)


@pytest.mark.parametrize("point", ["publish", "sweep"])
async def test_finished_is_said_by_the_next_worker_when_the_first_died_before_it_could(
    point: str, tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(20)
        if point == "publish":  # dead between publishing and sweeping: nothing is swept, and nobody was told
            monkeypatch.setattr(finishing, "sweep", lambda *_: None)
        told = await one.close(line)
        monkeypatch.undo()
        ready = sorted((tmp_path / "ready").iterdir())
    async with office(tmp_path, memory) as two:
        assert two.worker.shelf.taps == {}
        await two.open(line)
        again = await two.close(line)
        assert again == told
        assert two.spooled() == [f"{line.id}.done"]
        await two.forget(line)
        assert two.spooled() == []
        assert sorted((tmp_path / "ready").iterdir()) == ready


async def test_c4_a_finish_that_the_disk_refuses_is_tried_until_it_works(
    tmp_path: Path, memory: int, call: Call
) -> None:
    class Full(Files):
        left = 3

        def fsync(self, descriptor: int) -> None:
            if self.left:
                self.left -= 1
                raise OSError(28, "No space left on device")
            super().fsync(descriptor)

    line, files = call(), Full(tmp_path)
    files.left = 0
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        line.talk(50)
        files.left = 3
        told = await one.close(line)
        assert files.left == 0
        assert told.outcome == "complete"
        assert np.array_equal(one.sound(line), line.truth)


async def test_d5_a_tap_that_nothing_came_to_ends_empty_and_says_what_the_port_saw(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.door.getsockname()
        line.sender.sendto(b"not RTP at all", line.door.getsockname())
        one.slices()
        told: Any = await one.close(line, "no_packets")
        assert (told.outcome, told.file) == ("empty", None)
        assert "1 version" in told.problem.message


async def test_a_full_ring_is_waited_for_at_the_close(tmp_path: Path, memory: int, call: Call) -> None:
    """What the kernel still holds is ours to keep: the tap's ring is emptied by commits, then the rest is read."""
    line = call()
    async with office(tmp_path, memory, window=28_000) as one:
        await one.open(line)
        line.talk(90)  # 14,400 samples; there is room for 12,000 at a time
        told = await one.close(line)
        assert (told.outcome, told.frames) == ("complete", 14_400)
        assert np.array_equal(one.sound(line), line.truth)
