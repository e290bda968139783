"""Every file call goes through one class; no name leads out of the folder; what is written is written whole."""

import ast
import errno
import itertools
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import receiver.archive
from receiver.archive import files as files_module
from receiver.archive.files import Files, Piece, StorageError
from tests.archive.disk import Watched

ROOM = Path(receiver.archive.__file__).parent
LIBSNDFILE = {"flac.py": {"soundfile"}}  # on descriptors that files.py opened
OUTSIDE = {"os", "io", "shutil", "tempfile", "mmap", "fcntl", "glob", "soundfile", "ctypes", "builtins"}


@pytest.mark.parametrize("module", sorted(path for path in ROOM.glob("*.py") if path.name != "files.py"), ids=str)
def test_no_other_file_of_the_room_calls_the_operating_system(module: Path) -> None:
    tree = ast.parse(module.read_text())
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        outside = OUTSIDE - LIBSNDFILE.get(module.name, set())
        assert not outside & {name.partition(".")[0] for name in names}, f"{module.name} imports {names}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open", f"{module.name} line {node.lineno}: open belongs into files.py"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in PATH_VERBS, f"{module.name} line {node.lineno}: {node.func.attr}"


PATH_VERBS = {
    "exists", "is_dir", "is_file", "iterdir", "glob", "rglob", "read_text", "read_bytes", "write_text", "write_bytes",
    "mkdir", "touch", "rmdir", "resolve", "tofile", "fromfile", "memmap",
}  # fmt: skip


def test_the_rooms_are_made_with_their_modes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Files(tmp_path).close()
    finally:
        os.umask(before)
    modes = {room: stat.S_IMODE((tmp_path / room).stat().st_mode) for room in ("spool", "ready", "quarantine")}
    assert modes == {"spool": 0o700, "ready": 0o2770, "quarantine": 0o700}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_mode_that_the_operator_chose_stays(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready").chmod(0o750)
    Files(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "ready").stat().st_mode) == 0o750


def test_a_missing_folder_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist") as raised:
        Files(tmp_path / "away")
    assert "mounted" in raised.value.hint
    assert not (tmp_path / "away").exists()


def test_a_file_instead_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="not a folder"):
        Files(tmp_path / "file")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "not ours to use"), (errno.EROFS, "not ours to use"), (errno.EIO, "cannot be used")],
)
def test_what_the_system_refuses_is_said(
    number: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StorageError, match=said):
        Files(tmp_path)


def test_a_room_that_is_a_link_is_said(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tmp_path / "ready").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(StorageError, match="ready is not a folder"):
        Files(tmp_path)


def test_rooms_on_different_file_systems_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lambda _: os.stat_result([0, 0, next(numbers), *[0] * 7]))
        with pytest.raises(StorageError, match="different file systems"):
            Files(tmp_path)


def test_two_workers_that_start_at_once_do_not_stumble_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raced(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "the other one was quicker")

    monkeypatch.setattr(os, "link", raced)
    Files(tmp_path).close()
    assert not list((tmp_path / "spool").iterdir())


def test_a_file_system_without_hard_links_is_said_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageError, match="hard links"):
        Files(tmp_path)
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize(
    "name", ["../x", "spool/../x", "/etc/passwd", "spool", "spool/", "spool//x", "elsewhere/x", "spool/.", "ready/a\0b"]
)
def test_d10_a_name_that_is_a_path_is_refused(name: str, files: Files) -> None:
    with pytest.raises(ValueError, match="not a name in the storage folder"):
        files.create(name)


def test_d10_no_symbolic_link_leads_out(files: Files, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_bytes(b"secret")
    (tmp_path / "ready" / "folder").symlink_to(outside)
    (tmp_path / "spool" / "file").symlink_to(outside / "file")
    for act in (
        lambda: files.create("ready/folder/new"),
        lambda: files.open("ready/folder/file"),
        lambda: files.open("spool/file"),
        lambda: files.read("spool/file"),
        lambda: files.make_folders("ready/folder/deeper/x"),
    ):
        with pytest.raises(OSError, match=r".") as raised:
            act()
        assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert files.listing("ready") == ["ready/folder"]


def test_create_is_exclusive_and_afresh_is_another_file(files: Files) -> None:
    first = files.create("spool/x")
    with pytest.raises(FileExistsError):
        files.create("spool/x")
    before = files.stat("spool/x")
    again = files.create("spool/x", afresh=True)
    after = files.stat("spool/x")
    assert before
    assert after
    assert before.inode != after.inode
    files.close_file(first)
    files.close_file(again)


class Miser(Files):
    """A kernel that takes at most three octets a call."""

    def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
        return os.pwrite(descriptor, views[0][:3], octet)


def test_a_short_write_is_gone_on_with(tmp_path: Path) -> None:
    files = Miser(tmp_path)
    descriptor = files.create("spool/x")
    pieces: list[Piece] = [np.arange(5, dtype=np.int16), b"", b"abcdefg", np.arange(6, dtype=np.int16).reshape(2, 3)]
    end = files.pwrite(descriptor, pieces, 7)
    expected = np.arange(5, dtype=np.int16).tobytes() + b"abcdefg" + np.arange(6, dtype=np.int16).tobytes()
    assert files.read("spool/x") == bytes(7) + expected
    assert end == 7 + len(expected)
    files.close_file(descriptor)
    files.close()


def test_more_pieces_than_the_kernel_takes_at_once(files: Files) -> None:
    descriptor = files.create("spool/x")
    pieces = [bytes([number % 251]) for number in range(3_000)]
    assert files.pwrite(descriptor, pieces, 0) == 3_000
    assert files.read("spool/x") == b"".join(pieces)
    files.close_file(descriptor)


def test_a_disk_that_takes_nothing_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    class Full(Files):
        def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
            return 0

    files = Full(tmp_path)
    descriptor = files.create("spool/x")
    with pytest.raises(OSError, match="took nothing"):
        files.pwrite(descriptor, (b"a",), 0)
    files.close_file(descriptor)
    files.close()


def test_written_durably_is_whole_and_synced_before_it_has_its_name(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    files.write_durably("spool/x", b"content", 0o640)
    assert files.calls == [
        ("create", "spool/x.tmp"), ("unlink", "spool/x.tmp"), ("write_some", "spool/x.tmp"), ("fsync", "spool/x.tmp"),
        ("rename", "spool/x.tmp"), ("sync_folder", "spool/x"),
    ]  # fmt: skip
    assert stat.S_IMODE((tmp_path / "spool" / "x").stat().st_mode) == 0o640
    files.close()


def test_folders_on_the_way_are_made_once_and_group_writable(files: Files, tmp_path: Path) -> None:
    files.make_folders("ready/2024/05/x.wav")
    files.make_folders("ready/2024/05/y.wav")
    assert stat.S_IMODE((tmp_path / "ready" / "2024" / "05").stat().st_mode) == 0o2770
    files.sync_folder("ready/2024/05/x.wav")


def test_listing_names_files_in_folders(files: Files, tmp_path: Path) -> None:
    (tmp_path / "ready" / "b").mkdir()
    (tmp_path / "ready" / "b" / "c").write_bytes(b"")
    (tmp_path / "ready" / "a").write_bytes(b"")
    assert files.listing("ready") == ["ready/a", "ready/b/c"]


def test_syncing_and_space(files: Files) -> None:
    files.sync_all()
    assert files.free_octets() > 0


def test_without_syncfs_everything_is_synced(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(files_module, "_syncfs", None)
    monkeypatch.setattr(os, "sync", lambda: called.append("sync"))
    files.sync_all()
    assert called == ["sync"]


def test_an_error_of_syncfs_is_raised(files: Files) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        files_module._sync_file_system(999_999)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    files = Files(tmp_path, make=False)
    assert files.plain
    assert files.listing("ready") == files.listing("spool") == []
    assert files.stat("spool/x") is None
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_two_threads_that_list_a_room_both_see_all_of_it(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for number in range(300):
        files.close_file(files.create(f"spool/{number:03}.tmp"))
    wanted = [f"spool/{number:03}.tmp" for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: files.listing("spool"), range(400)))
    assert all(names == wanted for names in seen)
