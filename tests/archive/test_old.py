"""What has lain in ready/ for too long is removed, sidecar first; what is young, open or not ours stays."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.archive.files import Files
from receiver.archive.old import remove_old
from tests.archive.world import ID, OTHER

THIRD = "00000000-0000-4000-8000-000000000003"
OLD, NOW = 1_000, 2_000


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    made = Files(tmp_path)
    yield made
    made.close()


def put(directory: Path, name: str, at_s: int = OLD) -> None:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (at_s, at_s))


def left(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in (directory / "ready").rglob("*") if path.is_file())


def test_the_old_go_sidecar_first_and_the_young_stay(files: Files, tmp_path: Path) -> None:
    for name in (f"ready/a/x_{ID}.wav", f"ready/a/x_{ID}.json"):
        put(tmp_path, name)
    put(tmp_path, f"ready/x_{OTHER}.wav")
    put(tmp_path, f"ready/x_{OTHER}.json", NOW)
    assert remove_old(files, 1_500 * 10**9) == [f"ready/a/x_{ID}.json", f"ready/a/x_{ID}.wav"]
    assert left(tmp_path) == [f"ready/x_{OTHER}.json", f"ready/x_{OTHER}.wav"], "its sidecar is young"
    assert remove_old(files, 1_500 * 10**9) == []


def test_sound_whose_sidecar_went_before_goes_too_but_not_that_of_a_recording_that_is_open(
    files: Files, tmp_path: Path
) -> None:
    put(tmp_path, f"ready/x_{ID}.001.wav")
    put(tmp_path, f"ready/x_{THIRD}.001.wav")
    put(tmp_path, f"spool/{THIRD}.draft")
    assert remove_old(files, 1_500 * 10**9) == [f"ready/x_{ID}.001.wav"]
    assert left(tmp_path) == [f"ready/x_{THIRD}.001.wav"]


def test_what_is_not_ours_stays(files: Files, tmp_path: Path) -> None:
    put(tmp_path, "ready/notes.json")
    put(tmp_path, "ready/backup.wav")
    assert remove_old(files, NOW * 10**9) == []
