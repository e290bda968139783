"""The outside of the daemon."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.made import Outside


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """Three slots, five ports, no token."""
    made = Outside(tmp_path)
    yield made
    await made.over()
