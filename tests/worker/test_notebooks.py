"""Notes of a version with other columns: read by their names, whatever dies meanwhile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.archive import names
from receiver.archive.files import Files
from receiver.media.columns import NOTE, NoteKind
from receiver.worker.notebooks import bring_up
from tests.archive.disk import Watched, kill_everywhere

ONE, OTHER = (f"00000000-0000-4000-8000-00000000000{k}" for k in (1, 2))
INNER = np.dtype([("port", "<u2"), ("gone", "<i8"), ("high", "<u8")], align=True)
EARLIER: "np.dtype[Any]" = np.dtype([("frame", "<i8"), ("kind", "u1"), ("ssrc", "<u4"), ("source", INNER)], align=True)
"""Fewer fields, in another order, one that we do not have any more."""


def earlier(count: int) -> np.ndarray[Any, Any]:
    notes = np.zeros(count, EARLIER)
    notes["kind"], notes["frame"], notes["ssrc"] = NoteKind.EPOCH, np.arange(count) * 160, 7
    notes["source"]["port"], notes["source"]["high"], notes["source"]["gone"] = 5_004, 9, -1
    return notes


def put(files: Files, name: str, octets: bytes) -> None:
    descriptor = files.create(name)
    files.pwrite(descriptor, (octets,), 0)
    files.close_file(descriptor)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Two recordings with notes of an earlier version, the last of one written by half."""
    folder = tmp_path / "template"
    folder.mkdir()
    files = Files(folder)
    assert bring_up(files, EARLIER) == 0
    put(files, names.notes(ONE), earlier(3).tobytes() + b"\1" * 10)
    put(files, names.notes(OTHER, 1), earlier(40).tobytes())
    files.close()
    return folder


def assert_read(files: Files) -> None:
    for name, count in ((names.notes(ONE), 3), (names.notes(OTHER, 1), 40)):
        told, wanted = np.frombuffer(files.read(name), NOTE), earlier(count)
        assert told.size == count
        for field in ("kind", "frame", "ssrc"):
            assert np.array_equal(told[field], wanted[field])
        assert told["source"].tolist() == [(9, 0, 5_004)] * count
        assert not told["frames"].any()
    assert files.listing("spool") == sorted([names.notes(ONE), names.notes(OTHER, 1), names.NOTES])


def test_d7_notes_of_another_version_are_read_by_the_names_of_their_columns(template: Path) -> None:
    files = Files(template)
    assert bring_up(files) == 2
    assert_read(files)
    assert bring_up(files) == 0
    assert_read(files)
    files.close()


def test_d7_killed_at_any_call_and_begun_again_every_note_is_there_once(tmp_path: Path, template: Path) -> None:
    for _, directory in kill_everywhere(tmp_path, template, bring_up):
        files = Watched(directory, sync=False)
        bring_up(files)
        assert_read(files)
        files.close()


def test_d7_our_own_notes_are_left_as_they_are(tmp_path: Path) -> None:
    files = Watched(tmp_path, sync=False)
    bring_up(files)
    notes = np.zeros(2, NOTE)
    notes["text"] = b"m\xc3\xbc@home"
    put(files, names.notes(ONE), notes.tobytes())
    files.calls.clear()
    assert bring_up(files) == 0
    assert files.read(names.notes(ONE)) == notes.tobytes()
    assert not [verb for verb, _ in files.calls if verb in ("create", "rename", "unlink", "write_some")]
    files.close()
