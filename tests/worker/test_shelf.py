"""What is cut off, patched or noted reaches its file in order; what is published is passed over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from receiver.media.block import ABSENT, Block
from receiver.media.columns import NOTE, NoteKind
from receiver.media.drain import Cut
from receiver.worker.shelf import Strand, read_notes
from tests.worker.office import HORIZON, Line, Office, office, until

Call = Callable[..., Line]


def part(one: Office, line: Line) -> Any:
    """What lies in the open part."""
    [path] = (one.directory / "spool").glob(f"{line.id}.0.*.part")
    return np.fromfile(path, "<i2")


async def test_k4_written_rises_when_the_octets_are_in_the_file(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(20)
        one.hear()
        one.drain()
        await one.worker.shelf.behind()
        row = int(one.tap(line)["row"])
        assert one.state.written[row] == one.state.live.rows["playout"][row] == HORIZON + 3_200
        assert np.array_equal(part(one, line)[HORIZON:], line.truth)
        assert (part(one, line)[:HORIZON] == ABSENT).all()


async def test_k6_a_patch_follows_its_block_and_is_freed_by_the_commit(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(5)
        line.talk(5, first=6)
        one.hear()
        one.drain()
        line.talk(1, first=5)
        one.hear()
        await one.worker.shelf.behind()
        assert np.array_equal(part(one, line)[HORIZON:], line.truth)
        assert (one.state.patched[0], one.state.patches_freed[0]) == (1, 0)
        await one.commit()
        assert one.state.patches_freed[0] == 1
        assert one.state.notes_freed[0] == one.state.noted[0] > 0


async def test_k6_patches_of_a_finished_tap_are_passed_over_and_do_not_block_the_log(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(5)
        one.hear()
        await one.close(line)
        journal, state = one.worker.shelf._journal, one.state
        journal.patch(0, HORIZON, np.ones(160, np.int16))
        journal.note(0, NoteKind.STREAM)
        state.commit()
        await one.sync()
        assert state.patched[0] == state.patches_freed[0] == 1
        assert state.noted[0] == state.notes_freed[0] == state.live.world["notes"][0]
        assert one.spooled() == [f"{line.id}.done"]


async def test_a_cut_of_a_published_recording_only_moves_its_cursor(tmp_path: Path, memory: int, call: Call) -> None:
    async with office(tmp_path, memory) as one:
        one.worker.shelf.write(Cut(3, 2, [Block(2, 0, np.ones(10, np.int16))], 10))
        await one.worker.shelf.behind()
        assert one.state.written[2] == 10


async def test_k6_a_full_patch_log_is_counted_and_the_next_commit_makes_room(
    tmp_path: Path, memory: int, call: Call
) -> None:
    async with office(tmp_path, memory) as one:
        journal, sound = one.worker.shelf._journal, np.ones(160, np.int16)
        taken = [journal.patch(0, 0, sound) for _ in range(one.state.patch_log.size + 1)]
        assert taken == [True] * one.state.patch_log.size + [False]
        one.state.commit()
        assert one.state.live.world["patch_full"][0] == 1
        await one.sync()
        assert journal.patch(0, 0, sound)


def test_a_block_is_cut_where_a_segment_begins() -> None:
    class Key:
        first_frame = 100

    class Here:
        key = Key()

    strand = Strand(Here())  # type: ignore[arg-type]
    pieces = list(strand.pieces(Block(0, 90, np.arange(20, dtype=np.int16))))
    assert [(piece.frame, piece.samples.tolist()) for piece in pieces] == [
        (90, list(range(10))), (100, list(range(10, 20))),
    ]  # fmt: skip
    for frame in (50, 80, 100, 130):
        assert len(list(strand.pieces(Block(0, frame, np.zeros(20, np.int16))))) == 1
    assert strand.part_of(99) is None


async def test_the_files_of_a_slot_are_those_of_the_present_recording(
    tmp_path: Path, memory: int, call: Call
) -> None:
    early, late = call(), call()
    async with office(tmp_path, memory) as one:
        await one.open(early)
        old = one.worker.shelf.taps[0].part
        assert one.worker.shelf.slot_of(old) == 0
        one.worker.shelf.remove(0).close()
        assert one.worker.shelf.slot_of(old) is None
        await one.open(late)
        assert one.worker.shelf.slot_of(old) is None
        assert one.worker.shelf.slot_of(one.worker.shelf.taps[0].part) == 0


async def test_what_fails_in_the_writers_thread_beside_a_write_ends_the_worker(tmp_path: Path, memory: int) -> None:
    async with office(tmp_path, memory) as one:

        def broken() -> None:
            raise ZeroDivisionError

        one.worker.shelf.writer.call(broken)
        await until(lambda: one.fatal)
        assert isinstance(one.fatal.pop(), ZeroDivisionError)
        await one.worker.shelf.behind()  # and the thread lives on


async def test_notes_that_are_not_there_are_not_waited_for(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        assert read_notes(one.files, line.id, 3).size == 0
        await one.open(line)
        line.talk(5)
        one.hear()
        await one.worker.shelf.behind()
        count = int(one.tap(line)["notes"])
        notes = read_notes(one.files, line.id, count + 5)
        assert notes.dtype == NOTE
        assert notes["kind"].tolist() == [NoteKind.EPOCH, NoteKind.SOURCE][:count]
