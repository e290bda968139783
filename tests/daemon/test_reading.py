"""Only plain files of ready/ are opened, whatever a job has put there."""

import os
from pathlib import Path

import pytest

from receiver.daemon.reading import open_below


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """One recording in a folder, and a secret beside ready/."""
    (tmp_path / "ready" / "2026" / "09").mkdir(parents=True)
    (tmp_path / "ready" / "2026" / "09" / "a.wav").write_bytes(b"sound")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a.wav").write_bytes(b"secret")
    return tmp_path / "ready"


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_opened_in_folders_and_without(ready: Path) -> None:
    (ready / "b.wav").write_bytes(b"more")
    before = descriptors()
    with open_below(ready, "2026/09/a.wav") as one, open_below(ready, "b.wav") as other:
        assert (one.read(), other.read()) == (b"sound", b"more")
    assert descriptors() == before


@pytest.mark.parametrize(
    "path",
    [
        "gone.wav", "2027/a.wav", "2026", "2026/09", "", "/", "../secret", "2026/../../secret", "./2026/09/a.wav",
        "/etc/hostname", "2026//09/a.wav", "2026/09/a.wav/", "2026/09/a.wav/b", "a\0.wav",
    ],
)  # fmt: skip
def test_what_is_no_file_of_ready_is_not_found(ready: Path, path: str) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        open_below(ready, path)
    assert descriptors() == before


def test_d10_a_link_is_never_followed(ready: Path) -> None:
    (ready / "link.wav").symlink_to("../secret")
    (ready / "inside.wav").symlink_to("2026/09/a.wav")
    (ready / "folder").symlink_to("../secrets")
    for path in ("link.wav", "inside.wav", "folder/a.wav"):
        with pytest.raises(FileNotFoundError):
            open_below(ready, path)


def test_a_pipe_is_not_waited_for(ready: Path) -> None:
    os.mkfifo(ready / "pipe.wav")
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        open_below(ready, "pipe.wav")
    assert descriptors() == before


def test_a_disk_that_refuses_is_not_a_file_that_moved(ready: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        open_below(ready, "a" * 300)
    assert not isinstance(caught.value, FileNotFoundError)
