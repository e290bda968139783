"""Rule C6: space is kept back, given up to the first write that finds none, and kept back again when there is room."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from receiver.archive.names import RESERVE
from receiver.archive.reserve import ReservedFiles

MB = 1_000_000


class Full(ReservedFiles):
    """A disk without room, until the reserve is gone."""

    def free_octets(self) -> int:
        return 0 if self.full else super().free_octets()

    full = False


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path, told: list[str]) -> Iterator[Full]:
    made = Full(tmp_path, MB, lambda: told.append("given up"))
    yield made
    made.close()


def test_c6_the_reserve_has_blocks_of_its_own(files: Full, tmp_path: Path) -> None:
    assert files.keep_reserve()
    assert files.keep_reserve(), "twice is once"
    assert (tmp_path / RESERVE).stat().st_blocks * 512 >= MB


def test_c6_where_there_is_too_little_room_it_is_not_made(files: Full, tmp_path: Path) -> None:
    files.full = True
    assert not files.keep_reserve()
    assert not (tmp_path / RESERVE).exists()


def test_without_a_reserve_there_is_none(tmp_path: Path) -> None:
    files = ReservedFiles(tmp_path, 0)
    assert not files.keep_reserve()
    files.close()


def test_a_write_that_fails_for_another_reason_gives_nothing_up(
    files: Full, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, octets: object, octet: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    files.keep_reserve()
    number = files.create("spool/x")
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match="Input/output"):
        files.pwrite(number, (b"x",), 0)
    assert not told
    files.close_file(number)


@pytest.mark.all
def test_c6_on_a_disk_that_is_full_what_is_open_goes_on_and_the_reserve_comes_back(small_disk: Path) -> None:
    told: list[str] = []
    files = ReservedFiles(small_disk, 2 * MB, lambda: told.append("given up"))
    assert files.keep_reserve()
    number, filler, piece = files.create("spool/part"), files.create("spool/filler"), bytes(256 * 1024)
    octet = 0
    while not told:
        octet = files.pwrite(filler, (piece,), octet)
    assert not (small_disk / RESERVE).exists()
    assert files.pwrite(number, (piece,), 0) == len(piece), "there is room to finish"
    with pytest.raises(OSError, match="No space left"):
        files.pwrite(number, (piece,) * 40, 0)
    assert told == ["given up"], "it can be given up once"
    assert not files.keep_reserve()
    files.unlink("spool/filler")
    files.close_file(filler)
    assert files.keep_reserve()
    files.close_file(number)
    files.close()


def test_a_write_is_tried_again_with_what_was_given_up(
    files: Full, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os.pwrite

    def full_while_the_reserve_is_there(descriptor: int, octets: Sequence[int], octet: int) -> int:
        if (tmp_path / RESERVE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(octets), octet)

    files.keep_reserve()
    number = files.create("spool/x")
    monkeypatch.setattr(os, "pwrite", full_while_the_reserve_is_there)
    assert files.pwrite(number, (b"sound",), 0) == 5
    assert told == ["given up"]
    files.close_file(number)
