"""A storage folder for each test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.archive.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """An empty storage folder, ``tmp_path`` itself."""
    files = Files(tmp_path)
    yield files
    files.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB, ``tmp_path`` itself. For tests of ``--all``, where nothing is skipped."""
    if os.geteuid() != 0:
        pytest.fail("only root can mount a small disk; run as root: sudo ./run test --all", pytrace=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)
