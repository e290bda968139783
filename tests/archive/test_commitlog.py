"""The commit log: a batch counts whole or not at all, and nothing behind a broken one."""

import errno
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive import names
from receiver.archive.commitlog import CommitLog, key_of, pack, read_log, unpack
from receiver.archive.files import Files
from receiver.archive.names import PartKey, Spooled
from receiver.archive.part import NOTES_CHANNEL, LogKey, Notes, Part
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import ID, OTHER

A: LogKey = (UUID(ID).bytes, 0, 0)
B: LogKey = (UUID(OTHER).bytes, 1, 2)

keys = st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 65535), st.integers(0, 65535))
batches = st.lists(st.dictionaries(keys, st.integers(0, 2**63), max_size=4), max_size=5)


def together(told: Sequence[dict[LogKey, int]]) -> dict[LogKey, int]:
    highest: dict[LogKey, int] = {}
    for batch in told:
        for key, octets in batch.items():
            highest[key] = max(octets, highest.get(key, 0))
    return highest


@given(told=batches)
def test_c2_what_is_logged_is_read(told: list[dict[LogKey, int]]) -> None:
    log = b"".join(pack(batch, 1) for batch in told)
    assert unpack(log) == (together(told), len(log))


@given(told=batches, data=st.data())
def test_c5_of_a_torn_log_every_whole_batch_counts_and_no_part_of_one(
    told: list[dict[LogKey, int]], data: st.DataObject
) -> None:
    packed = [pack(batch, 1) for batch in told]
    log = b"".join(packed)
    cut = data.draw(st.integers(0, len(log)))
    whole = 0
    while whole < len(packed) and len(b"".join(packed[: whole + 1])) <= cut:
        whole += 1
    assert unpack(log[:cut]) == (together(told[:whole]), len(b"".join(packed[:whole])))


@given(told=batches.filter(any), flip=st.integers(1, 255), data=st.data())
def test_c5_from_a_wrong_octet_on_nothing_is_believed(
    told: list[dict[LogKey, int]], flip: int, data: st.DataObject
) -> None:
    packed = [pack(batch, 1) for batch in told]
    which = data.draw(st.integers(0, len(packed) - 1))
    at = data.draw(st.integers(0, len(packed[which]) - 1))
    broken = bytearray(packed[which])
    broken[at] ^= flip
    log = b"".join([*packed[:which], bytes(broken), *packed[which + 1 :]])
    assert unpack(log)[0] == together(told[:which])


@given(st.binary(max_size=200))
def test_rubbish_is_no_log(rubbish: bytes) -> None:
    unpack(rubbish)


def test_no_log_tells_nothing(files: Files) -> None:
    assert read_log(files, 0) == {}


def test_the_log_is_durable_with_each_append(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    log = CommitLog(files, 0)
    files.calls.clear()
    log.append({A: 10})
    assert files.calls == [("write_some", names.log(0)), ("fdatasync", names.log(0))]
    log.append({A: 30})
    assert read_log(files, 0) == {A: 30}
    assert read_log(files, 1) == {}
    log.close()
    files.close()


def test_a_file_never_becomes_shorter_in_the_log(files: Files) -> None:
    """After a restart a mark may come from a patch alone; the commit before had more."""
    log = CommitLog(files, 0)
    log.append({A: 30})
    log.append({A: 20, B: 1})
    assert read_log(files, 0) == {A: 30, B: 1}
    log.close()


def test_a_file_never_becomes_shorter_in_a_log_that_is_begun_anew(files: Files) -> None:
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    log = CommitLog(files, 0, rotate_octets=60)
    for octets in (30, 20, 10, 5):
        log.append({A: octets})
    assert read_log(files, 0) == {A: 30}
    log.close()


def test_behind_a_torn_tail_the_next_process_is_read_all_the_same(files: Files) -> None:
    for recording in (ID, OTHER):
        Part.create(files, PartKey(recording, 0, 0, 0)).close()
    torn = pack({A: 10}, 1) + pack({A: 20}, 1)[:-1]
    files.write_durably(names.log(0), torn)
    log = CommitLog(files, 0)
    log.append({(UUID(OTHER).bytes, 0, 0): 5})
    assert read_log(files, 0) == {A: 10, (UUID(OTHER).bytes, 0, 0): 5}
    log.close()


def test_a_long_log_is_begun_anew_with_what_still_lies_in_spool(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    part, notes = Part.create(files, PartKey(ID, 0, 0, 0)), Notes(files, ID, 4)
    notes.write(0, (b"note",))
    log = CommitLog(files, 0, rotate_octets=200)
    for octets in range(50):
        log.append({part.log_key: 2 * octets, notes.log_key: 4, B: octets})
    assert read_log(files, 0).items() >= {part.log_key: 98, notes.log_key: 4}.items()
    assert len(files.read(names.log(0))) < 500
    log.close()
    again = CommitLog(files, 0)
    assert read_log(files, 0) == {part.log_key: 98, notes.log_key: 4}  # B is gone: no such file
    again.close()
    part.close()
    notes.close()
    files.close()


def test_a_log_that_is_begun_anew_is_whole_at_every_instant(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    files.write_durably(names.log(0), pack({A: 10}, 1))
    files.close()

    def act(files: Files) -> None:
        log = CommitLog(files, 0, rotate_octets=40)
        log.append({A: 20})
        log.append({A: 30})
        log.close()

    for _, directory in kill_everywhere(tmp_path, template, act):
        files = Watched(directory, sync=False)
        assert read_log(files, 0)[A] in (10, 20, 30)
        files.close()


def test_behind_an_append_that_failed_the_log_is_begun_anew(tmp_path: Path) -> None:
    class Failing(Files):
        failing = False

        def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
            if self.failing:
                super().write_some(descriptor, [views[0][:7]], octet)
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write_some(descriptor, views, octet)

    files = Failing(tmp_path)
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    log = CommitLog(files, 0)
    log.append({A: 10})
    files.failing = True
    with pytest.raises(OSError, match="No space"):
        log.append({A: 20})
    assert read_log(files, 0) == {A: 10}
    files.failing = False
    log.append({A: 30})
    assert read_log(files, 0) == {A: 30}
    log.close()
    files.close()


def test_c3_a_log_whose_sync_failed_is_never_synced_again(tmp_path: Path) -> None:
    """After a failed fsync Linux drops the pages and says yes the second time."""

    class Failing(Watched):
        failing = False

        def fdatasync(self, descriptor: int) -> None:
            super().fdatasync(descriptor)
            if self.failing:
                raise OSError(errno.EIO, "Input/output error")

    files = Failing(tmp_path)
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    log = CommitLog(files, 0)
    files.failing = True
    with pytest.raises(OSError, match="Input/output"):
        log.append({A: 20})
    files.failing = False
    files.calls.clear()
    log.append({A: 30})
    assert ("fdatasync", names.log(0)) not in files.calls
    assert ("fsync", f"{names.log(0)}.tmp") in files.calls
    assert read_log(files, 0) == {A: 30}
    log.close()
    files.close()


def test_how_the_log_calls_parts_and_notes(files: Files) -> None:
    part = Part.create(files, PartKey(OTHER, 1, 2, 99))
    assert key_of(Spooled("part", OTHER, 1, 2, 99)) == part.log_key == B
    assert key_of(Spooled("notes", ID)) == Notes(files, ID, 4).log_key == (UUID(ID).bytes, NOTES_CHANNEL, 0)
    part.close()
