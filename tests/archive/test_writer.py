"""The writer: in order, cursor behind the octets, an error ends one write and not the thread."""

import errno
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from receiver.archive.files import Files, Piece
from receiver.archive.names import PartKey
from receiver.archive.part import Growing, Notes, Part
from receiver.archive.writer import Mark, Write, Writer
from tests.archive.world import ID, OTHER, sound

PATIENCE_S = 20


class Told:
    """What the writer complained of."""

    def __init__(self) -> None:
        self.errors: list[tuple[object, Exception]] = []

    def __call__(self, item: object, error: Exception) -> None:
        self.errors.append((item, error))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def writer(told: Told) -> Iterator[Writer]:
    writer = Writer(told)
    yield writer
    writer.close()


@pytest.fixture
def part(files: Files) -> Iterator[Part]:
    part = Part.create(files, PartKey(ID, 0, 0, 0))
    yield part
    part.close()


def behind(writer: Writer) -> list[Mark]:
    """Wait until all is done that was put; return the marks."""
    marks: list[Mark] = []
    reached = threading.Event()
    writer.call(lambda: marks.extend(writer.take_marks()))
    writer.call(reached.set)
    assert reached.wait(PATIENCE_S)
    return marks


def test_k4_the_cursor_rises_behind_the_octets(writer: Writer, part: Part, files: Files) -> None:
    cursor = np.zeros(3, np.int64)
    seen: list[tuple[int, bytes]] = []

    class Looking(Growing):
        def write(self, octet: int, pieces: Sequence[Piece]) -> None:
            seen.append((int(cursor[1]), b""))
            part.write(octet, pieces)
            seen.append((int(cursor[1]), files.read(part.name)))

    looking = Looking(files, part.name, part.log_key, None)
    writer.put(Write(looking, 0, (sound(10),), cursor, 1, 10))
    behind(writer)
    assert seen == [(0, b""), (0, sound(10).tobytes())]
    assert cursor.tolist() == [0, 10, 0]


def test_k6_first_in_first_out_a_patch_behind_its_block(writer: Writer, part: Part, files: Files) -> None:
    written, patched = np.zeros(1, np.int64), np.zeros(1, np.int64)
    ring = np.arange(1, 401, dtype=np.int16)
    writer.put(Write(part, 0, (ring[300:], ring[:100]), written, 0, 200))  # a block over the ring's end
    writer.put(Write(part, 20, (sound(5),), patched, 0, 1))
    writer.put(Write(part, 400, (ring[100:200],), written, 0, 300))
    behind(writer)
    expected = np.concatenate((ring[300:], ring[:100], ring[100:200]))
    expected[10:15] = sound(5)
    assert files.read(part.name) == expected.tobytes()
    assert (written[0], patched[0]) == (300, 1)


def test_marks_tell_each_cursor_once_and_its_latest(writer: Writer, part: Part, files: Files) -> None:
    written, noted = np.zeros(2, np.int64), np.zeros(2, np.int64)
    notes = Notes(files, ID, 4)
    other = Part.create(files, PartKey(OTHER, 0, 0, 0))
    for number in range(3):
        writer.put(Write(part, 20 * number, (sound(10),), written, 1, 10 * number + 10))
        writer.put(Write(notes, 4 * number, (b"note",), noted, 1, number + 1))
    writer.put(Write(other, 0, (sound(10),), written, 1, 7))  # the same row, given to another tap
    marks = behind(writer)
    assert {(mark.file.name, mark.cursor is written, mark.index, mark.upto, mark.octets) for mark in marks} == {
        (part.name, True, 1, 30, 60), (notes.name, False, 1, 3, 12), (other.name, True, 1, 7, 20),
    }  # fmt: skip
    assert behind(writer) == []  # taken is taken
    notes.close()
    other.close()


def test_a_write_without_pieces_only_raises_its_cursor(writer: Writer, part: Part) -> None:
    """After a restart: what the process before has written becomes durable with the next commit, and is marked."""
    part.write(0, (sound(10),))
    cursor = np.zeros(1, np.int64)
    writer.put(Write(part, 0, (), cursor, 0, 10))
    (mark,) = behind(writer)
    assert (mark.upto, mark.octets, int(cursor[0])) == (10, 20, 10)


def test_an_error_ends_one_write_and_not_the_thread(tmp_path: Path) -> None:
    class Failing(Files):
        def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
            if octet == 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write_some(descriptor, views, octet)

    files, told = Failing(tmp_path), Told()
    writer = Writer(told)
    part = Part.create(files, PartKey(ID, 0, 0, 0))
    cursors = np.zeros(3, np.int64)
    writes = [Write(part, 20 * n, (sound(10),), cursors, n, 10) for n in range(2)]
    for write in writes:
        writer.put(write)
    marks = behind(writer)
    assert [(item, getattr(error, "errno", 0)) for item, error in told.errors] == [(writes[1], errno.ENOSPC)]
    assert cursors.tolist() == [10, 0, 0]
    assert [mark.index for mark in marks] == [0]
    assert part.octets == 20
    writer.close()
    part.close()
    files.close()


def test_a_call_that_fails_is_told_and_the_thread_lives_on(writer: Writer, told: Told) -> None:
    def fail() -> None:
        raise KeyError("x")

    writer.call(fail)
    behind(writer)
    assert [(item, type(error)) for item, error in told.errors] == [(fail, KeyError)]


def test_a_write_into_a_closed_part_is_told(writer: Writer, told: Told, part: Part) -> None:
    part.close()
    writer.put(Write(part, 0, (sound(1),), np.zeros(1, np.int64), 0, 1))
    behind(writer)
    assert [type(error) for _, error in told.errors] == [ValueError]


def test_backlog_and_the_time_of_the_last_move_tell_a_disk_that_hangs(part: Part, told: Told) -> None:
    clock = iter(range(100, 1_000))
    hangs, go = threading.Event(), threading.Event()
    writer = Writer(told, clock=lambda: next(clock))

    def hang() -> None:
        hangs.set()
        assert go.wait(PATIENCE_S)

    assert (writer.backlog, writer.moved_ns) == (0, 100)
    writer.call(hang)
    assert hangs.wait(PATIENCE_S)
    writer.put(Write(part, 0, (sound(1),), np.zeros(1, np.int64), 0, 1))
    assert (writer.backlog, writer.moved_ns) == (2, 100)
    go.set()
    behind(writer)
    writer.close()
    assert (writer.backlog, writer.moved_ns) == (0, 104)


def test_a_writer_says_when_it_waits_for_the_disk(writer: Writer, files: Files) -> None:
    class Slow(Growing):
        def write(self, octet: int, pieces: Sequence[Piece]) -> None:
            inside.set()
            assert go_on.wait(PATIENCE_S)

    inside, go_on = threading.Event(), threading.Event()
    writer.put(Write(Slow(files, "spool/x", (b"", 0, 0), None), 0, (), np.zeros(1, np.int64), 0, 1))
    assert inside.wait(PATIENCE_S)
    assert writer.at_disk
    go_on.set()
    behind(writer)
    assert not writer.at_disk


def test_close_does_what_was_put(part: Part, told: Told, files: Files) -> None:
    writer, cursor = Writer(told), np.zeros(1, np.int64)
    for number in range(100):
        writer.put(Write(part, 2 * number, (sound(1),), cursor, 0, number + 1))
    writer.close()
    assert cursor[0] == 100
    assert len(files.read(part.name)) == 200
