"""Rule C2: written, then synced, then logged, then told. Nothing is called durable that was written behind the mark."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from receiver.archive import names
from receiver.archive.commit import SLOW_NS, Commit
from receiver.archive.commitlog import read_log
from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.part import Part
from receiver.archive.writer import Mark, Write, Writer
from tests.archive.disk import Watched
from tests.archive.world import ID, OTHER, sound

PATIENCE_S = 20
SECOND_NS = 1_000_000_000


class Disk(Watched):
    """A disk whose syncs wait for the test, take as long as it says, and fail when it says."""

    def __init__(self, directory: Path) -> None:
        self.takes_ns = 0
        self.now_ns = 0
        self.broken: set[str] = set()
        self.syncing, self.may_sync = threading.Event(), threading.Event()
        self.may_sync.set()
        super().__init__(directory)

    def clock(self) -> int:
        return self.now_ns

    def sync_all(self) -> None:
        super().sync_all()
        self.syncing.set()
        assert self.may_sync.wait(PATIENCE_S)
        self.now_ns += self.takes_ns
        if "all" in self.broken:
            raise OSError(errno.EIO, "Input/output error")

    def fdatasync(self, descriptor: int) -> None:
        super().fdatasync(descriptor)
        if self.name_of.get(descriptor) in self.broken:
            raise OSError(errno.EIO, "Input/output error")


class World:
    """A writer and a commit, and what they said."""

    def __init__(self, directory: Path) -> None:
        self.files = Disk(directory)
        self.done: list[tuple[list[Mark], int]] = []
        self.failed: list[tuple[list[Mark], OSError]] = []
        self.slow: list[int] = []
        self.write_errors: list[object] = []
        self.answered = threading.Semaphore(0)
        self.cursor = np.zeros(8, np.int64)
        self.parts = [Part.create(self.files, PartKey(recording, 0, 0, 0)) for recording in (ID, OTHER)]
        self.writer = Writer(lambda item, error: self.write_errors.append(error))
        self.commit = Commit(
            self.files, self.writer, 0, SECOND_NS, self._done, self._failed, self.slow.append, self.files.clock
        )
        self.files.calls.clear()

    def _done(self, marks: list[Mark], took_ns: int) -> None:
        self.files.calls.append(("done", ""))
        self.done.append((marks, took_ns))
        self.answered.release()

    def _failed(self, marks: list[Mark], error: OSError) -> None:
        self.failed.append((marks, error))
        self.answered.release()

    def write(self, which: int, second: int) -> None:
        part = self.parts[which]
        self.writer.put(Write(part, 16_000 * second, (sound(8_000),), self.cursor, which, 8_000 * (second + 1)))

    def behind_writer(self) -> None:
        reached = threading.Event()
        self.writer.call(reached.set)
        assert reached.wait(PATIENCE_S)

    def committed(self) -> None:
        assert self.commit.request()
        assert self.answered.acquire(timeout=PATIENCE_S)

    def close(self) -> None:
        self.files.may_sync.set()
        self.commit.close()
        self.writer.close()
        for part in self.parts:
            part.close()
        self.files.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def uptos(marks: list[Mark]) -> dict[int, int]:
    return {mark.index: mark.upto for mark in marks}


def test_c2_written_then_synced_then_logged_then_told(world: World) -> None:
    world.write(0, 0)
    world.committed()
    log = names.log(0)
    assert world.files.calls == [
        ("write_some", world.parts[0].name), ("sync_all", ""), ("write_some", log), ("fdatasync", log), ("done", ""),
    ]  # fmt: skip
    ((marks, _),) = world.done
    assert uptos(marks) == {0: 8_000}
    assert marks[0].file is world.parts[0]
    assert marks[0].cursor is world.cursor
    assert read_log(world.files, 0) == {world.parts[0].log_key: 16_000}


def test_c2_what_is_written_behind_the_mark_is_not_called_durable(world: World) -> None:
    world.write(0, 0)
    world.files.may_sync.clear()
    assert world.commit.request()
    assert world.files.syncing.wait(PATIENCE_S)
    world.write(0, 1)  # it may or may not be in this sync: nobody knows
    world.write(1, 0)
    world.behind_writer()
    assert world.cursor[:2].tolist() == [16_000, 8_000]
    world.files.may_sync.set()
    assert world.answered.acquire(timeout=PATIENCE_S)
    assert uptos(world.done[0][0]) == {0: 8_000}
    assert read_log(world.files, 0) == {world.parts[0].log_key: 16_000}
    world.committed()
    assert uptos(world.done[1][0]) == {0: 16_000, 1: 8_000}
    assert read_log(world.files, 0) == {world.parts[0].log_key: 32_000, world.parts[1].log_key: 16_000}


def test_c2_while_one_is_under_way_no_second_one_begins(world: World) -> None:
    world.write(0, 0)
    world.files.may_sync.clear()
    assert world.commit.request()
    assert (world.commit.underway, world.commit.request()) == (True, False)
    world.files.may_sync.set()
    assert world.answered.acquire(timeout=PATIENCE_S)
    assert (world.commit.underway, len(world.done)) == (False, 1)
    world.committed()


def test_c2_the_interval_is_at_least_four_times_the_last_duration(world: World) -> None:
    assert world.commit.interval_ns == SECOND_NS
    world.files.takes_ns = 400_000_000
    world.write(0, 0)
    world.committed()
    assert world.commit.duration_ns == 400_000_000
    assert world.commit.interval_ns == 1_600_000_000
    assert world.done[0][1] == 400_000_000
    world.files.takes_ns = 1_000
    world.write(0, 1)
    world.committed()
    assert world.commit.interval_ns == SECOND_NS


def test_a_commit_of_nothing_wakes_no_disk(world: World) -> None:
    world.files.now_ns = 77
    world.committed()
    assert world.files.calls == [("done", "")]
    assert world.done == [([], 0)]
    assert world.commit.safe_ns == 77


def test_p3_the_gauge_tells_from_when_on_sound_is_unsafe(world: World) -> None:
    world.files.now_ns, world.files.takes_ns = 1_000, 50
    world.write(0, 0)
    world.committed()
    assert world.commit.safe_ns == 1_000  # when the marks were taken, not when the sync returned


def test_c2_a_sync_that_failed_makes_nothing_durable_and_its_marks_do_not_come_back(world: World) -> None:
    world.files.now_ns = 5
    world.write(0, 0)
    world.files.broken = {"all"}
    world.committed()
    ((marks, error),) = world.failed
    assert uptos(marks) == {0: 8_000}
    assert error.errno == errno.EIO
    assert not world.done
    assert read_log(world.files, 0) == {}
    assert world.commit.safe_ns == 0
    world.files.broken = set()
    world.write(1, 0)
    world.committed()
    assert uptos(world.done[0][0]) == {1: 8_000}


def test_c2_a_log_that_failed_makes_nothing_durable(world: World) -> None:
    world.write(0, 0)
    world.files.broken = {names.log(0)}
    world.committed()
    assert [uptos(marks) for marks, _ in world.failed] == [{0: 8_000}]
    assert not world.done
    world.files.broken = set()
    world.write(0, 1)
    world.committed()
    assert uptos(world.done[0][0]) == {0: 16_000}
    assert read_log(world.files, 0) == {world.parts[0].log_key: 32_000}


def slow_down(world: World, times: int) -> None:
    world.files.takes_ns = SLOW_NS + 1
    for second in range(times):
        world.write(0, second)
        world.committed()
    world.files.takes_ns = 0


def test_c2_syncfs_over_500_ms_twice_and_each_file_is_synced_by_itself_said_once(world: World) -> None:
    slow_down(world, 1)
    world.write(0, 1)
    world.committed()  # a quick one between: not twice in a row
    slow_down(world, 1)
    assert (world.commit.file_by_file, world.slow) == (False, [])
    slow_down(world, 2)
    assert (world.commit.file_by_file, world.slow) == (True, [SLOW_NS + 1])
    world.files.calls.clear()
    world.write(0, 5)
    world.write(1, 0)
    world.behind_writer()
    world.committed()
    verbs = [call for call in world.files.calls if call[0] != "write_some" or call[1] == names.log(0)]
    parts = [part.name for part in world.parts]
    assert sorted(verbs[:2]) == sorted(("fdatasync", name) for name in parts)
    assert verbs[2:] == [
        ("sync_folder", parts[0]), ("write_some", names.log(0)), ("fdatasync", names.log(0)), ("done", ""),
    ]  # fmt: skip
    assert len(world.slow) == 1


def test_c2_file_by_file_an_error_speaks_of_its_file_alone(world: World) -> None:
    slow_down(world, 2)
    world.files.broken = {world.parts[0].name}
    world.done.clear()
    world.write(0, 2)
    world.write(1, 0)
    world.committed()
    assert world.answered.acquire(timeout=PATIENCE_S)
    assert [uptos(marks) for marks, _ in world.failed] == [{0: 24_000}]
    assert [uptos(marks) for marks, _ in world.done] == [{1: 8_000}]
    logged = read_log(world.files, 0)
    assert logged[world.parts[0].log_key] == 32_000  # of the commit before
    assert logged[world.parts[1].log_key] == 16_000


def test_a_part_that_was_finished_meanwhile_does_not_stop_a_commit(world: World) -> None:
    slow_down(world, 2)
    world.write(0, 2)
    world.behind_writer()
    world.parts[0].close()
    world.committed()
    assert not world.failed


def test_close_commits_what_was_put(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(0, 0)
    world.write(1, 0)
    world.close()
    assert uptos(world.done[-1][0]) == {0: 8_000, 1: 8_000}
    files = Files(tmp_path)
    assert set(read_log(files, 0).values()) == {16_000}
    files.close()


def test_k4_after_a_restart_a_log_goes_on_from_what_was_known(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(0, 0)
    world.write(0, 1)
    world.close()
    files = Files(tmp_path)
    part = Part.reopen(files, PartKey(ID, 0, 0, 0))
    cursor, told = np.zeros(1, np.int64), list[list[Mark]]()
    writer = Writer(lambda item, error: None)
    commit = Commit(files, writer, 0, SECOND_NS, lambda marks, _: told.append(marks), _never, _never)
    writer.put(Write(part, 100, (sound(4),), cursor, 0, 1))  # nothing but a patch
    commit.close()
    writer.close()
    assert [mark.octets for mark in told[-1]] == [32_000]
    assert read_log(files, 0) == {part.log_key: 32_000}
    part.close()
    files.close()


def _never(*arguments: object) -> None:
    raise AssertionError(arguments)
