"""A door for WebSocket taps, closed in the end."""

from collections.abc import AsyncIterator

import pytest

from receiver.control.wsdevice import WsDoor


@pytest.fixture
async def door() -> AsyncIterator[WsDoor]:
    """One that does not listen."""
    made = WsDoor("wss://media.example/taps")
    yield made
    await made.stop()
