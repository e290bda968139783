"""The storage folder: there, writable, nobody else's; otherwise exit 73 with a sentence."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.ledger.folder import Folder, FolderError


def test_a_folder_has_one_daemon(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    with pytest.raises(FolderError, match=rf"in use by another daemon \(process {os.getpid()}\)"):
        Folder(tmp_path)
    first.release()
    Folder(tmp_path).release()


def test_a_dead_daemon_holds_nothing(tmp_path: Path) -> None:
    imports = "import os, sys; from pathlib import Path; from receiver.ledger.folder import Folder"
    code = f"{imports}; Folder(Path(sys.argv[1])); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    Folder(tmp_path).release()


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="does not exist; is the volume mounted"):
        Folder(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="not a folder"):
        Folder(tmp_path / "file")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*arguments: object) -> int:  # no mode keeps root out, and tests may run as root
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FolderError, match=f"cannot be written to: {os.strerror(number)}"):
        Folder(tmp_path)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderError, match="cannot be written to"):
        Folder(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
