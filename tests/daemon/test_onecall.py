"""One call without a daemon: what is checked before anybody's phone rings. The whole is ``tests/cli/test_call.py``."""

import asyncio
from pathlib import Path

import pytest

from receiver.daemon.onecall import Asked, record
from receiver.settings import ConfigError
from tests.daemon.made import settings_for

ASKED = Asked("+1", "+2", "both", 1.0, None)


def silent(text: str) -> None:
    """Nobody watches."""


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, r"^relay\.project, relay\.token: expected"),
        ({"relay__project": "p", "relay__token": "t", "media__bind": "0.0.0.0"}, r"^media\.advertise: expected"),
        ({"relay__project": "p", "relay__token": "t", "media__bind": "::1"}, r"^media\.advertise: .*found ::1$"),
    ],
)
async def test_without_keys_or_an_address_nobody_is_called(tmp_path: Path, keys: dict[str, str], said: str) -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(ConfigError, match=said):
        await record(settings_for(tmp_path, **keys), ASKED, stop, silent)
