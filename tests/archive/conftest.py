"""A storage folder for each test."""

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
