"""Rule C1: durable before the tap is asked for. And parts: holes are absence, closed is closed."""

import errno
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.names import PartKey
from receiver.archive.part import Notes, Part, begin
from receiver.archive.sidecar import decode_draft, encode
from receiver.media.block import ABSENT
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import ID, OTHER, draft, lay, lying, sound

KEY = PartKey(ID, 0, 0, 0)


def content(files: Files, part: Part | Notes) -> bytes:
    return files.read(part.name)


def test_c1_one_sync_for_all_and_only_then_an_answer(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    begun = begin(files, [(draft(ID), 1), (draft(OTHER), 2)])
    assert [len(parts) for parts in begun if isinstance(parts, tuple)] == [1, 2]
    assert files.calls.count(("sync_all", "")) == 1
    assert files.calls[-1] == ("sync_all", "")  # nothing is written behind it
    assert lying(tmp_path, "spool") == [
        f"{ID}.0.0.0.part", f"{ID}.draft", f"{OTHER}.0.0.0.part", f"{OTHER}.1.0.0.part", f"{OTHER}.draft",
    ]  # fmt: skip
    assert decode_draft(files.read(names.draft(ID))) == draft(ID)
    assert stat.S_IMODE((tmp_path / names.draft(ID)).stat().st_mode) == 0o600
    files.close()


def test_c1_a_planted_link_is_not_followed(files: Files, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "spool" / f"{ID}.0.0.0.part").symlink_to(tmp_path / "victim")
    (begun,) = begin(files, [(draft(), 1)])
    assert isinstance(begun, OSError)
    assert begun.errno == errno.ELOOP
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_c1_a_start_that_fails_leaves_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    class NoRoom(Files):
        def create(self, name: str, mode: int = 0o600, afresh: bool = False) -> int:
            if name == PartKey(ID, 1, 0, 0).name:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().create(name, mode, afresh)

    files = NoRoom(tmp_path)
    failed, sound_ = begin(files, [(draft(ID), 2), (draft(OTHER), 1)])
    assert isinstance(failed, OSError)
    assert isinstance(sound_, tuple)
    assert lying(tmp_path, "spool") == [f"{OTHER}.0.0.0.part", f"{OTHER}.draft"]
    files.close()


def test_c1_a_sync_that_fails_fails_all_of_them_and_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Files):
        def sync_all(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    files = Broken(tmp_path)
    begun = begin(files, [(draft(ID), 1), (draft(OTHER), 1)])
    assert [getattr(start, "errno", None) for start in begun] == [errno.EIO] * 2
    assert lying(tmp_path, "spool") == []
    files.close()


def test_c1_a_start_that_fails_again_takes_nothing_from_a_living_one(tmp_path: Path) -> None:
    """Control sends its Open again after a worker's restart; what is there holds sound."""

    class Broken(Files):
        broken = False

        def open(self, name: str, write: bool = False) -> int:
            if self.broken and name.endswith(".part"):
                raise OSError(errno.EMFILE, "Too many open files")
            return super().open(name, write)

    files = Broken(tmp_path)
    lay(files, [sound(100)])
    files.broken = True
    (begun,) = begin(files, [(draft(), 1)])
    assert isinstance(begun, OSError)
    assert lying(tmp_path, "spool") == [f"{ID}.0.0.0.part", f"{ID}.draft"]
    files.close()


def test_c1_begun_twice_is_begun_once_and_keeps_the_sound(files: Files) -> None:
    lay(files, [sound(100)])
    (begun,) = begin(files, [(draft(), 1)])
    assert isinstance(begun, tuple)
    assert begun[0].octets == 200
    assert content(files, begun[0]) == sound(100).tobytes()
    begun[0].close()


def test_c1_killed_anywhere_it_begins_again(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    Files(template).close()

    def start(files: Files) -> None:
        begin(files, [(draft(ID), 2), (draft(OTHER), 1)])

    kills = 0
    for _, directory in kill_everywhere(tmp_path, template, start):
        kills += 1
        files = Watched(directory, sync=False)
        begun = begin(files, [(draft(ID), 2), (draft(OTHER), 1)])
        assert all(isinstance(parts, tuple) for parts in begun)
        assert decode_draft(files.read(names.draft(ID))) == draft(ID)
        assert decode_draft(files.read(names.draft(OTHER))) == draft(OTHER)
        assert [name for name in files.listing("spool") if name.endswith(".tmp")] == []
        for parts in begun:
            for part in parts if isinstance(parts, tuple) else ():
                part.close()
        files.close()
    assert kills >= 8


def test_c1_a_draft_torn_by_a_power_cut_is_made_again(files: Files) -> None:
    files.write_durably(names.draft(ID), encode(draft())[:20])
    begin(files, [(draft(), 1)])
    assert decode_draft(files.read(names.draft(ID))) == draft()


def test_a_part_does_not_begin_where_one_lies(files: Files) -> None:
    Part.create(files, KEY).close()
    with pytest.raises(FileExistsError):
        Part.create(files, KEY)
    Part.reopen(files, KEY).close()


def test_a_part_knows_where_a_frame_lies(files: Files) -> None:
    part = Part.create(files, PartKey(ID, 0, 1, 1_000))
    assert part.octet_of(1_000) == 0
    assert part.octet_of(1_003) == 6
    with pytest.raises(ValueError, match="lies before"):
        part.octet_of(999)
    part.close()


@pytest.mark.parametrize("hole", [1, 160, 1 << 19, (1 << 19) + 1, 3 << 19])
def test_a_hole_in_a_part_is_absence_and_not_silence(hole: int, files: Files) -> None:
    part = Part.create(files, KEY)
    part.write(0, (sound(10),))
    part.write(part.octet_of(10 + hole), (sound(5),))
    lies = np.frombuffer(content(files, part), "<i2")
    assert np.array_equal(lies, np.concatenate((sound(10), np.full(hole, ABSENT), sound(5))))
    assert part.octets == 2 * (15 + hole)
    part.close()


def test_a_patch_does_not_shorten_a_part(files: Files) -> None:
    part = Part.create(files, KEY)
    part.write(0, (np.full(100, ABSENT),))
    part.write(20, (sound(10),))
    assert part.octets == 200
    lies = np.frombuffer(content(files, part), "<i2")
    assert np.array_equal(lies[10:20], sound(10))
    assert (np.delete(lies, range(10, 20)) == ABSENT).all()
    part.close()


def test_reopened_it_goes_on_where_it_ended(files: Files) -> None:
    part = Part.create(files, KEY)
    part.write(0, (sound(10),))
    part.close()
    again = Part.reopen(files, KEY)
    assert again.octets == 20
    again.write(20, (sound(10, 2),))
    assert content(files, again) == sound(10).tobytes() + sound(10, 2).tobytes()
    again.close()


def test_notes_are_made_at_the_first_record_and_lie_at_their_index(files: Files) -> None:
    notes = Notes(files, ID, 16)
    assert files.stat(notes.name) is None
    notes.write(notes.octet_of(2), (b"c" * 16,))
    notes.write(notes.octet_of(0), (b"a" * 16,))
    assert content(files, notes) == b"a" * 16 + bytes(16) + b"c" * 16
    notes.close()
    again = Notes(files, ID, 16)
    again.write(again.octet_of(1), (b"b" * 16,))
    assert content(files, again) == b"a" * 16 + b"b" * 16 + b"c" * 16
    assert again.octets == 48
    again.close()


@pytest.mark.parametrize("kind", ["part", "notes"])
def test_closed_is_closed(kind: str, files: Files) -> None:
    file = Part.create(files, KEY) if kind == "part" else Notes(files, ID, 16)
    file.write(0, (b"ab",))
    file.close()
    file.close()
    file.sync()  # its recording is published: nothing to do, nothing to complain
    with pytest.raises(ValueError, match="closed"):
        file.write(0, (b"ab",))


def test_notes_closed_before_their_first_record_are_not_made_later(files: Files) -> None:
    notes = Notes(files, ID, 16)
    notes.close()
    with pytest.raises(ValueError, match="closed"):
        notes.write(0, (b"a" * 16,))
    assert files.stat(notes.name) is None


def test_pieces_none_writes_nothing(files: Files) -> None:
    part = Part.create(files, KEY)
    part.write(1_000, ())
    assert part.octets == 0
    part.close()


def test_short_writes_of_the_kernel_are_gone_on_with(tmp_path: Path) -> None:
    class Miser(Files):
        def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
            return super().write_some(descriptor, [views[0][:7]], octet)

    files = Miser(tmp_path)
    part = Part.create(files, KEY)
    part.write(40, (sound(30), sound(20, 2)))
    expected = np.concatenate((np.full(20, ABSENT), sound(30), sound(20, 2)))
    assert content(files, part) == expected.tobytes()
    part.close()
    files.close()
