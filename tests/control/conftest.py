"""The world of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control.made import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """One worker with four slots, nine ports, an empty ledger."""
    made = World(tmp_path)
    yield made
    await made.over()
