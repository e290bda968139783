"""P3, C3: what the disk refuses becomes a gap that is explained; the recording goes on and the ring does not fill."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog

from receiver.archive.files import Files
from receiver.media.taps import Damage
from tests.archive.world import as_tuples
from tests.worker.office import Line, office

Call = Callable[..., Line]


class Refusing(Files):
    """A disk that is full, or fails to sync, while somebody says so."""

    full = False
    failing = False

    def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write_some(descriptor, views, octet)

    def sync_all(self) -> None:
        if self.failing:
            raise OSError(errno.EIO, "Input/output error")
        super().sync_all()


async def test_p3_a_disk_that_is_full_for_a_while_costs_a_gap_and_no_more(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, files = call(), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        line.talk(40)
        one.hear()
        await one.commit()
        files.full = True
        line.talk(40, first=40)
        one.hear()
        await one.commit()
        files.full = False
        line.talk(40, first=80)
        told = await one.close(line)
        assert (told.outcome, told.problem.code) == ("degraded", "write_failed")
        assert as_tuples(told.gaps) == [(40 * 160, 40 * 160, 0, "write_failed")]
        truth = line.truth
        truth[40 * 160 : 80 * 160] = 0
        assert np.array_equal(one.sound(line), truth)


async def test_p3_the_ring_does_not_fill_while_the_disk_is(tmp_path: Path, memory: int, call: Call) -> None:
    line, files = call(), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        files.full = True
        for k in range(6):  # 7.2 s; the ring holds 6
            line.talk(60, first=60 * k)
            one.hear()
            assert not one.worker.intake.starved.size
            await one.commit()
        files.full = False
        assert one.tap(line)["verdicts"][0] == 360
        assert one.state.live.world["given_back"][0] > 0
        line.talk(10, first=360)
        told = await one.close(line)
        assert told.channels[0].streams[0].packets == 370
        assert np.array_equal(one.sound(line)[-1_600:], line.truth[-1_600:])


async def test_k8_that_something_was_not_written_survives_the_worker(tmp_path: Path, memory: int, call: Call) -> None:
    line, files = call(), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        files.full = True
        line.talk(40)
        one.hear()
        await one.commit()
        files.full = False
        assert one.tap(line)["flaws"] & Damage.WRITE_FAILED
    async with office(tmp_path, memory) as two:
        await two.open(line)
        line.talk(40, first=40)
        told = await two.close(line)
        assert (told.outcome, told.problem.code) == ("degraded", "write_failed")


async def test_c3_a_commit_that_fails_makes_its_recordings_suspect_and_blocks_nobody(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, later, files = call(), call(1), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        line.talk(40)
        line.talk(20, first=41)
        one.hear()
        one.drain()
        line.talk(1, first=40)  # late: it takes a place in the patch log
        one.hear()
        files.failing = True
        await one.sync()
        files.failing = False
        assert one.state.cleared[one.tap(line)["row"]] == one.state.written[one.tap(line)["row"]]
        assert one.state.patches_freed[0] == one.state.patched[0] == 1
        await one.open(later)
        later.talk(10)
        told, unharmed = await one.close(line), await one.close(later)
        assert (told.outcome, told.problem.code) == ("degraded", "sync_failed")
        assert np.array_equal(one.sound(line), line.truth)
        assert unharmed.outcome == "complete"


async def test_a_failing_disk_is_said_seldom(tmp_path: Path, memory: int, call: Call) -> None:
    line, files = call(), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        with structlog.testing.capture_logs() as logs:
            files.full = True
            for k in range(3):
                line.talk(20, first=20 * k)
                one.hear()
                await one.commit()
            files.full = False
        said = [entry for entry in logs if entry["event"] == "write failed"]
        assert len(said) == 1
        assert said[0]["hint"]


async def test_a_note_that_was_not_written_is_missing_and_said(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, files = call(), Refusing(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        files.full = True
        line.talk(10)  # its first packet makes two notes
        one.hear()
        await one.worker.shelf.behind()
        files.full = False
        told = await one.close(line)
        assert (told.outcome, told.problem.code) == ("degraded", "notes_lost")
        assert np.array_equal(one.sound(line), line.truth)
