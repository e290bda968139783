"""A memory file, and lines that are closed in the end."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.worker.office import Line, line


@pytest.fixture
def memory() -> Iterator[int]:
    """An empty one, as control makes it."""
    descriptor = os.memfd_create("worker")
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def call() -> Iterator[Callable[..., Line]]:
    """Make lines: ``call(slot, **order)``."""
    lines: list[Line] = []

    def make(slot: int = 0, **more: Any) -> Line:
        lines.append(line(slot, **more))
        return lines[-1]

    yield make
    for each in lines:
        each.door.close()
        each.sender.close()
