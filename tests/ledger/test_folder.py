"""The storage folder: there, writable, nobody else's; otherwise exit 73 with a sentence."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from receiver.ledger import folder
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


def test_the_workers_of_a_dead_daemon_are_waited_for(tmp_path: Path) -> None:
    """They hold the lock, too, and still write to the folder."""
    imports = "import os, subprocess, sys; from pathlib import Path; from receiver.ledger.folder import Folder"
    worker = "import sys; sys.stdin.read()"
    code = f"""{imports}
folder = Folder(Path(sys.argv[1]))
subprocess.Popen([sys.executable, "-c", {worker!r}], pass_fds=[folder.lock])
os._exit(9)"""
    paused: list[float] = []
    daemon = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE)
    assert daemon.wait(30) == 9
    assert daemon.stdin is not None
    leave = daemon.stdin.close

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 3:
            leave()
        time.sleep(seconds)

    Folder(tmp_path, pause).release()
    assert len(paused) >= 3


def test_what_a_dead_daemon_left_running_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from receiver.ledger.folder import Folder; "
    code += "folder = Folder(Path(sys.argv[1])); os.set_inheritable(folder.lock, True); pid = os.fork(); "
    code += "pid or sys.stdin.read(); os._exit(0)"
    daemon = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE)
    daemon.wait(30)
    waited: list[float] = []
    with pytest.raises(FolderError, match="or by what it left running"):
        Folder(tmp_path, waited.append)
    assert round(sum(waited)) == folder.LEFTOVERS_S
    assert daemon.stdin is not None
    daemon.stdin.close()


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
