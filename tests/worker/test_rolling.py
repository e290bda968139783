"""Rule C7: segments follow each other without a missing sample, whatever dies in between."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.archive.commitlog import read_log
from receiver.archive.files import Files
from receiver.worker import rolling
from tests.worker.office import HORIZON, Line, Office, office, until

Call = Callable[..., Line]
SEGMENT = 4_000  # frames


async def roll_once(one: Office, line: Line, first: int, count: int = 40) -> None:
    """Send, drain, so that a segment is full."""
    segment = int(one.tap(line)["segment"])
    line.talk(count, first=first)
    one.hear()
    one.drain()
    assert one.tap(line)["segment"] == segment + 1


async def rolled(one: Office, line: Line) -> None:
    """Until the part before is a WAV."""
    await until(lambda: one.worker.shelf.taps[line.slot].before is None)


async def test_c7_the_tap_goes_on_while_its_segments_become_files(tmp_path: Path, memory: int, call: Call) -> None:
    class Unlisted(Files):
        """Nobody looks through the spool of 4,000 taps for what the columns tell."""

        listings = 0

        def listing(self, room: str) -> list[str]:
            self.listings += 1
            return super().listing(room)

    line, files = call(), Unlisted(tmp_path)
    async with office(tmp_path, memory, files, segment_frames=SEGMENT) as one:
        await one.open(line)
        files.listings = 0
        for k in range(3):
            await roll_once(one, line, 40 * k)
            await rolled(one, line)
            assert len(list((tmp_path / "ready").glob("*.wav"))) == k + 1
            await one.commit()
            one.hear()
        line.talk(7, first=120)
        told = await one.close(line)
        assert (told.outcome, len(told.parts), told.gaps, told.file) == ("complete", 4, (), None)
        assert files.listings == 0
        assert np.array_equal(one.sound(line), line.truth)
        assert one.spooled() == [f"{line.id}.done"]


async def test_c7_a_packet_that_is_late_over_a_roll_is_counted_and_one_before_it_is_patched(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory, segment_frames=HORIZON + 18 * 160) as one:
        await one.open(line)
        line.talk(5)
        line.talk(8, first=6)  # number 5 is under way
        one.hear()
        one.drain()
        line.talk(1, first=5)  # late, into the part that is open
        one.hear()
        line.talk(20, first=15)  # number 14 is under way
        one.hear()
        one.drain()
        assert one.tap(line)["segment"] == 1
        line.talk(1, first=14)  # late beyond a roll
        one.hear()
        told = await one.close(line)
        [stream] = told.channels[0].streams
        assert (stream.late, stream.late_lost, told.outcome) == (1, 1, "degraded")
        assert [(gap.frame, gap.frames) for gap in told.gaps] == [(14 * 160, 160)]
        truth = line.truth
        truth[14 * 160 : 15 * 160] = 0
        assert np.array_equal(one.sound(line), truth)


async def test_c7_a_patch_logged_before_the_roll_goes_to_the_part_before(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory, segment_frames=HORIZON + 18 * 160) as one:
        await one.open(line)
        line.talk(5)
        line.talk(8, first=6)
        one.hear()
        one.drain()
        line.talk(1, first=5)
        line.talk(10, first=14)
        one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)  # its patch is not queued yet
        one.drain()
        assert one.tap(line)["segment"] == 1
        told = await one.close(line)
        assert (told.outcome, told.gaps) == ("complete", ())
        assert np.array_equal(one.sound(line), line.truth)


async def test_c7_a_death_between_the_roll_and_its_wav_loses_nothing(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as one:
        await one.open(line)
        monkeypatch.setattr(rolling.Rolling, "resume", lambda *_: None)
        await roll_once(one, line, 0)
        monkeypatch.undo()
    assert not list((tmp_path / "ready").glob("*.wav"))
    async with office(tmp_path, memory, segment_frames=SEGMENT) as two:
        await two.open(line)
        await rolled(two, line)
        assert len(list((tmp_path / "ready").glob("*.001.wav"))) == 1
        await roll_once(two, line, 40)
        line.talk(5, first=80)
        told = await two.close(line)
        assert (told.outcome, len(told.parts)) == ("complete", 3)
        assert np.array_equal(two.sound(line), line.truth)


async def test_k5_what_was_handed_on_over_a_roll_and_never_written_goes_to_both_parts(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block reaches from the end of a segment into the next one."""
    line = call()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as one:
        await one.open(line)
        monkeypatch.setattr(rolling.Rolling, "resume", lambda *_: None)
        monkeypatch.setattr(one.worker.shelf, "write", lambda cut: None)  # the writer never comes to it
        await roll_once(one, line, 0)
        line.talk(10, first=40)
        one.hear()
        one.drain()
        monkeypatch.undo()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as two:
        assert two.worker.recovery.found["rows_written_again"] == 1
        await two.open(line)
        told = await two.close(line)
        assert (told.outcome, told.gaps, len(told.parts)) == ("complete", (), 2)
        assert np.array_equal(two.sound(line), line.truth)


async def test_k5_what_was_written_before_a_roll_and_never_committed_is_named_by_the_next_commit(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut takes it away (rule C5), though its ring was given back."""
    line = call()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as one:
        await one.open(line)
        monkeypatch.setattr(rolling.Rolling, "resume", lambda *_: None)
        await roll_once(one, line, 0)
        await one.worker.shelf.behind()
        one.worker.shelf.writer.take_marks()  # nobody lives to commit it
    async with office(tmp_path, memory, segment_frames=SEGMENT) as two:
        await two.open(line)
        before = two.worker.shelf.taps[0].before
        assert before is not None
        await two.sync()
        assert read_log(two.files, 0)[before.log_key] == before.octets == 2 * (HORIZON + 40 * 160)
        assert two.state.committed[0] == two.state.written[0] > 0


async def test_c7_no_segment_is_begun_while_the_one_before_is_no_wav_yet(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """At any death at most two parts are unfinished, and the columns know where both begin."""

    class Slow(Files):
        refuse = False

        def link(self, source: str, target: str) -> None:
            if self.refuse:
                raise OSError(28, "No space left on device")
            super().link(source, target)

    line, files = call(), Slow(tmp_path)
    async with office(tmp_path, memory, files, segment_frames=SEGMENT) as one:
        await one.open(line)
        files.refuse = True
        await roll_once(one, line, 0)
        line.talk(40, first=40)
        one.hear()
        one.drain()
        assert one.tap(line)["segment"] == 1
        files.refuse = False
        await rolled(one, line)
        await one.commit()
        one.hear()
        await roll_once(one, line, 80, count=5)
        line.talk(5, first=85)
        told: Any = await one.close(line)
        assert (told.outcome, len(told.parts)) == ("complete", 3)
        assert [part.frame for part in told.parts] == [0, 40 * 160, 85 * 160]
        assert np.array_equal(one.sound(line), line.truth)


async def test_c7_the_close_waits_for_the_roll_under_way(tmp_path: Path, memory: int, call: Call) -> None:
    class Slow(Files):
        def link(self, source: str, target: str) -> None:
            assert gate.wait(20)
            super().link(source, target)

    gate = threading.Event()
    gate.set()
    line, files = call(), Slow(tmp_path)
    async with office(tmp_path, memory, files, segment_frames=SEGMENT) as one:
        await one.open(line)
        gate.clear()
        await roll_once(one, line, 0)
        rest = asyncio.ensure_future(one.worker.rolling.rest(line.slot))
        await one.worker.shelf.behind()
        assert not rest.done()
        gate.set()
        await rest
        assert one.worker.shelf.may_roll(line.slot)
        await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)


async def test_c7_a_segment_does_not_end_where_what_was_overtaken_may_still_come(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """A short silence hands everything on, but the worker may have been dead meanwhile, and the kernel full."""
    line = call()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as one:
        await one.open(line)
        line.talk(39)
        one.hear()
        heard_ns, row = int(one.tap(line)["heard_ns"]), int(one.tap(line)["row"])
        one.drain(heard_ns + 1_000_000_000)
        assert one.state.live.rows["playout"][row] == one.state.live.rows["edge"][row]
        assert one.tap(line)["segment"] == 0
        line.talk(40, first=40)
        line.talk(1, first=39)
        one.hear()
        one.drain(heard_ns + 1)
        assert one.tap(line)["segment"] == 1
        assert one.tap(line)["segment_frame"] == one.state.live.rows["edge"][row] - HORIZON
        told = await one.close(line)
        assert (told.outcome, told.gaps) == ("complete", ())
        assert np.array_equal(one.sound(line), line.truth)


async def test_c7_an_open_that_is_said_twice_rolls_once(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory, segment_frames=SEGMENT) as one:
        await one.open(line)
        await roll_once(one, line, 0)
        first = one.worker.rolling._rolls[line.slot]
        one.take(line.order, line.door.fileno())
        assert one.worker.rolling._rolls[line.slot] is first
        await rolled(one, line)
        await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)
