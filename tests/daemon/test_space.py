"""Rule C6: no new tap where what lives may not fit any more, and a word when it becomes so."""

import asyncio
import json

import pytest

from receiver.control.events import Events
from receiver.control.means import NotNow
from receiver.daemon.space import TAP_OCTETS, Space
from receiver.watch.health import Health

MB = 1_000_000


class Disk:
    """A disk and the taps on it."""

    def __init__(self, free: int, taps: int = 0) -> None:
        self.free, self.taps, self.looks = free, taps, 0
        self.health, self.events = Health(), Events()
        self.space = Space(self.look, 64 * MB, lambda: self.taps, self.health, self.events)

    def look(self) -> int:
        self.looks += 1
        if self.free < 0:
            raise OSError("gone")
        return self.free

    async def seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it be looked at."""
        monkeypatch.setattr("receiver.daemon.space.LOOK_S", 0)
        before = self.looks
        watching = asyncio.ensure_future(self.space.watch())
        async with asyncio.timeout(10):
            while self.looks < before + 2:  # noqa: ASYNC110  # of a look there is no event
                await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize(("free", "taps", "refused"), [
    (64 * MB, 0, False), (64 * MB - 1, 0, True), (64 * MB + 10 * TAP_OCTETS, 10, False),
    (64 * MB + 10 * TAP_OCTETS - 1, 10, True), (-1, 10, False),
])  # fmt: skip
async def test_c6_a_tap_is_refused_below_what_those_that_live_need(
    free: int, taps: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(free, taps)
    disk.space.require()  # nobody has looked yet
    await disk.seen(monkeypatch)
    if not refused:
        return disk.space.require()
    with pytest.raises(NotNow, match="MB are free") as error:
        disk.space.require()
    assert error.value.code == "no_space"
    assert not disk.health.ready


async def test_c6_it_is_said_once_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(MB)
    with disk.events.reader() as reader:
        await disk.seen(monkeypatch)
        (told,) = await reader.read(0)
        assert told.event == "storage.low"
        assert json.loads(told.document)["storage"] == {"free_bytes": MB, "needed_bytes": 64 * MB}
        disk.free = 100 * MB
        await disk.seen(monkeypatch)
        assert disk.health.ready
        disk.free = MB
        await disk.seen(monkeypatch)
        assert [each.event for each in await reader.read(0)] == ["storage.low"]
