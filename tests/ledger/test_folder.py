"""The storage folder: there, writable, nobody else's; otherwise exit 73 with a sentence."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A state directory on another file system."""
    made = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert made.stat().st_dev != tmp_path.stat().st_dev
    yield made
    shutil.rmtree(made)


def test_a_volume_that_is_not_mounted_is_not_taken_for_the_folder(tmp_path: Path, elsewhere: Path) -> None:
    volume, empty = tmp_path / "volume", tmp_path / "mountpoint"
    volume.mkdir()
    empty.mkdir()
    for _ in range(2):
        Folder(volume, state=elsewhere).release()
    assert (elsewhere / "storage-id").read_text() == (volume / "id").read_text()
    with pytest.raises(FolderError, match=r"not the folder that was used before; is the volume mounted\?"):
        Folder(empty, state=elsewhere)
    assert not list(empty.iterdir()), "nothing is left in the mount point"
    (elsewhere / "storage-id").unlink()
    Folder(empty, state=elsewhere).release()
    assert (empty / "id").read_text() != (volume / "id").read_text()


def test_on_one_file_system_no_id_is_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    Folder(tmp_path, state=state).release()
    assert not (tmp_path / "id").exists()
    assert not list(state.iterdir())


def test_a_state_directory_that_is_not_there_is_none(tmp_path: Path) -> None:
    Folder(tmp_path, state=tmp_path / "missing").release()


def test_an_id_that_cannot_be_read_is_said(tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / "storage-id").mkdir()
    with pytest.raises(FolderError, match="cannot be read"):
        Folder(tmp_path, state=elsewhere)
