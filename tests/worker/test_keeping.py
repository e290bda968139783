"""When things become durable and their room is free again: rules C2, K4, K5."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from receiver.archive.files import Files
from receiver.archive.writer import Mark
from receiver.worker.keeping import LATE_NS, LONGEST_SEGMENT
from tests.worker.office import Line, Office, office, until

Call = Callable[..., Line]
MS = 1_000_000


class Held(Files):
    """A disk whose syncs return when they are let."""

    def __init__(self, directory: Path) -> None:
        self.free = threading.Event()
        self.free.set()
        self.syncs = 0
        super().__init__(directory)

    def sync_all(self) -> None:
        self.syncs += 1
        assert self.free.wait(20)
        super().sync_all()


def rounds(one: Office, now_ns: int, groups: int = 5) -> None:
    """Slices of keeping alone, at a time of our choice."""
    for group in range(groups):
        one.worker.keeping.slice(group, one.worker.intake.members(group), now_ns, now_ns)


async def test_c2_one_commit_an_interval_behind_a_drain_of_every_group(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, files = call(3), Held(tmp_path)
    async with office(tmp_path, memory, files, commit_interval_ns=1_000 * MS) as one:
        await one.open(line)
        line.talk(20)
        one.hear()
        before, now_ns = files.syncs, 1 << 50
        row = int(one.tap(line)["row"])
        rounds(one, now_ns, groups=4)
        assert one.state.live.rows["playout"][row] > 0
        assert not one.worker.commit.underway
        rounds(one, now_ns)
        await until(lambda: one.durable == 1)
        assert one.state.committed[row] == one.state.written[row] == one.state.live.rows["playout"][row]
        line.talk(20, first=20)
        one.hear()
        rounds(one, now_ns + 900 * MS)
        await one.worker.shelf.behind()
        assert (files.syncs - before, one.durable) == (1, 1)
        rounds(one, now_ns + 1_000 * MS)
        rounds(one, now_ns + 1_000 * MS)
        await until(lambda: one.durable == 2)
        assert files.syncs - before == 2


async def test_c2_a_slow_disk_is_asked_four_times_its_own_duration_apart(
    tmp_path: Path, memory: int, call: Call
) -> None:
    async with office(tmp_path, memory, commit_interval_ns=1_000 * MS) as one:
        now_ns = 1 << 50
        rounds(one, now_ns)
        rounds(one, now_ns)
        await until(lambda: one.durable == 1)
        one.worker.commit.duration_ns = 600 * MS
        rounds(one, now_ns + 2_300 * MS)
        assert not one.worker.keeping._waiting
        rounds(one, now_ns + 2_400 * MS, groups=1)
        assert one.worker.keeping._waiting == {1, 2, 3, 4}


async def test_k4_room_is_cleared_only_after_the_commit_has_returned(tmp_path: Path, memory: int, call: Call) -> None:
    line, files = call(), Held(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        line.talk(20)
        one.hear()
        one.drain()
        await one.worker.shelf.behind()
        row = int(one.tap(line)["row"])
        files.free.clear()
        one.worker.keeping._request()
        rounds(one, 1)
        assert (one.state.committed[row], one.state.cleared[row]) == (0, 0)
        files.free.set()
        await until(lambda: one.durable == 1)
        assert one.state.cleared[row] == 0
        rounds(one, 1)
        assert one.state.cleared[row] == one.state.committed[row] == one.state.written[row] > 0


async def test_k5_a_late_commit_gives_room_back_at_written_and_nothing_is_lost(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """The ring is full, the disk hangs: sockets wait; after two seconds what is written makes room, counted."""
    line, files = call(), Held(tmp_path)
    async with office(tmp_path, memory, files, window=28_000) as one:
        await one.open(line)
        line.talk(70)
        one.hear()
        files.free.clear()
        now_ns = 1 << 50
        one.worker.keeping.hurry(np.array([0]), now_ns, now_ns)
        await one.worker.shelf.behind()
        one.worker.keeping.hurry(np.array([0]), now_ns, now_ns)  # now that it is written, a commit is asked for
        assert one.worker.commit.underway
        line.talk(30, first=70)
        one.hear()
        assert one.worker.intake.starved.tolist() == [0]
        one.worker.keeping.hurry(np.array([0]), now_ns + LATE_NS, now_ns + LATE_NS)
        assert one.state.live.world["given_back"][0] == 0
        await one.worker.shelf.behind()
        one.worker.keeping.hurry(np.array([0]), now_ns + LATE_NS + 1, now_ns + LATE_NS + 1)
        assert one.state.live.world["given_back"][0] == 1
        one.hear()
        assert not one.worker.intake.starved.size
        files.free.set()
        told = await one.close(line)
        assert (told.outcome, told.channels[0].streams[0].packets) == ("complete", 100)
        assert np.array_equal(one.sound(line), line.truth)


async def test_hurry_asks_for_no_commit_that_would_free_nothing(tmp_path: Path, memory: int, call: Call) -> None:
    line, files = call(), Held(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        before = files.syncs
        for _ in range(5):
            one.worker.keeping.hurry(np.array([0]), 1 << 50, 1 << 50)
        assert not one.worker.commit.underway
        assert files.syncs == before


async def test_k4_marks_of_a_row_that_moved_on_say_nothing(tmp_path: Path, memory: int, call: Call) -> None:
    """The commit of an earlier tap's part returns when its row has gone to the next one."""
    early, late = call(), call()
    async with office(tmp_path, memory) as one:
        await one.open(early)
        part = one.worker.shelf.taps[0].part
        await one.close(early)
        await one.forget(early)
        await one.open(late)
        row = int(one.tap(late)["row"])
        one.worker.keeping.durable([Mark(part, one.state.written, row, 9_999, 0)])
        assert one.state.committed[row] == 0
        present = one.worker.shelf.taps[0].part
        one.worker.keeping.durable([Mark(present, one.state.written, row, 160, 0)])
        assert one.state.committed[row] == 160


async def test_c7_a_segment_never_grows_beyond_two_gibibytes(tmp_path: Path, memory: int) -> None:
    async with office(tmp_path, memory) as one:
        assert one.worker.keeping._segment_frames == LONGEST_SEGMENT
        assert LONGEST_SEGMENT * 2 + 44 < 1 << 31
