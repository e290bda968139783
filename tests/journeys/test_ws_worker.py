"""Sound over a WebSocket needs no second path: the recording holds the octets that were sent, at their places.

Real clients, the real door and its pairs, a real worker that is killed while it records. Senders speak in real time;
what they say tells its identity, so that in a recording 0 means "nothing came" and nothing else.
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from receiver import link
from receiver.control.wsdevice import WsDoor
from receiver.lab.sound import heard, identity
from receiver.net.pair import Pair, open_pair
from tests.archive.world import read_json, read_wav
from tests.journeys.recorder import PATIENCE_S, Recorder, Tap, recorder

ODD = (1, 333, 7, 160, 1_461, 2_921, 80, 3)
KILLED_S = 2.5


class Sender:
    """Who speaks on one tap, over one connection after another."""

    def __init__(self, client: aiohttp.ClientSession, uri: str, voice: int, law: int) -> None:
        self._client, self._uri, self.voice, self.law = client, uri, voice, law
        self._connection: aiohttp.ClientWebSocketResponse | None = None
        self.said = 0  # octets

    async def connect(self) -> None:
        self._connection = await self._client.ws_connect(self._uri)

    async def frame(self, size: int) -> None:
        assert self._connection is not None
        await self._connection.send_bytes(identity(self.voice, self.said, size, self.law).tobytes())
        self.said += size

    async def live(self, seconds: float, sizes: Sequence[int] = (160,)) -> None:
        """Speak in real time."""
        begin_s, before, whole = time.monotonic(), self.said, round(seconds * 8_000)
        for size in cycle(sizes):
            size = min(size, before + whole - self.said)
            if not size:
                break
            await asyncio.sleep(begin_s + (self.said - before + size) / 8_000 - time.monotonic())
            await self.frame(size)


@dataclass(frozen=True)
class Recorded:
    """What became of it. ``silences`` in seconds."""

    exact: bool
    outcome: str
    silences: tuple[float, ...]


async def in_frames(sender: Sender) -> None:
    await sender.live(4, (160,))


async def in_odd_frames(sender: Sender) -> None:
    await sender.live(4, ODD)


async def in_small_frames(sender: Sender) -> None:
    await sender.live(4, (8,))


async def in_seconds(sender: Sender) -> None:
    await sender.live(5, (8_000,))


async def with_a_pause(sender: Sender) -> None:
    await sender.live(2)
    await asyncio.sleep(1)
    await sender.live(2)


async def with_a_new_connection(sender: Sender) -> None:
    await sender.live(2)
    await sender.connect()
    await sender.live(2)


async def with_one_frame_over_a_new_connection(sender: Sender) -> None:
    await sender.live(2)
    await sender.connect()
    await sender.frame(160)


async def with_a_stall(sender: Sender) -> None:
    await sender.live(2)
    await asyncio.sleep(5)
    for _ in range(250):
        await sender.frame(160)
    await sender.live(1)


CASES: dict[Callable[[Sender], Awaitable[None]], tuple[float, ...]] = {
    in_frames: (), in_odd_frames: (), in_small_frames: (), in_seconds: (), with_a_pause: (1.0,),
    with_a_new_connection: (0.0,), with_one_frame_over_a_new_connection: (0.0,), with_a_stall: (),
}  # fmt: skip


async def opened(one: Recorder, pair: Pair, law: int) -> Tap:
    """A tap that listens to the pair."""
    order = link.Open(
        slot=len(one.taps), tap_id=str(uuid.uuid4()), recording_id=str(uuid.uuid4()), port=pair.number, law=law,
        policy="exact", announced=pair.source, held=False, requested_at_ns=time.time_ns(), call_id=None, node_id=None,
        labels={}, direction="both", layout="mono",
    )  # fmt: skip
    tap = Tap(order, pair)  # type: ignore[arg-type]  # a pair is what a port is, as far as a tap looks at it
    one.taps.append(tap)
    one.crew.send(0, order, [pair.socket.fileno()])
    await asyncio.wait_for(tap.opened.wait(), PATIENCE_S)
    return tap


def recorded(one: Recorder, tap: Tap, sender: Sender) -> Recorded:
    """Compare the recording with what was said."""
    path = one.sidecar_of(tap)
    told = read_json(path)
    sound: NDArray[np.int16] = read_wav(path.parent / Path(told["file"]).name)[:, 0]
    said = heard(np.array([sender.voice], np.uint64), np.array([0]), sender.said, sender.law)[0]
    came = np.flatnonzero(sound)
    steps = np.diff(came) - 1
    silences = tuple(round(float(step) / 8_000, 1) for step in steps[steps > 0])
    return Recorded(np.array_equal(sound[came], said), told["outcome"], silences)


@pytest.mark.all
@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.full), True])
async def test_p1_p3_what_comes_over_a_websocket_is_recorded_octet_by_octet(tmp_path: Path, killed: bool) -> None:
    door = WsDoor("ws://127.0.0.1/taps")
    await door.start("127.0.0.1", 0)

    async def record(one: Recorder, client: aiohttp.ClientSession, number: int) -> Recorded:
        law, speak = 8 * (number % 2), list(CASES)[number // 2]
        pair = open_pair()
        uri = door.expect(law, pair.writer)
        tap = await opened(one, pair, law)
        sender = Sender(client, uri.replace("127.0.0.1", f"127.0.0.1:{door.port}"), number + 1, law)
        await sender.connect()
        await speak(sender)
        await asyncio.sleep(0.5)  # a tap lasts a moment longer than its sound; its end is not what is tried here
        await one.close([tap])
        door.forget(uri)
        pair.close()
        return recorded(one, tap, sender)

    async def kill(one: Recorder) -> None:
        await asyncio.sleep(KILLED_S)  # they speak
        os.kill(one.pid(), signal.SIGKILL)

    async with recorder(tmp_path / "recordings") as one, aiohttp.ClientSession() as client:
        cases = [record(one, client, number) for number in range(2 * len(CASES))]
        killer = asyncio.create_task(kill(one)) if killed else None
        found = await asyncio.gather(*cases)
        if killer is not None:
            await killer
        assert int(one.crew.states()[0]["deaths"] or 0) == killed
    await door.stop()
    for number, got in enumerate(found):
        speak, silences = list(CASES.items())[number // 2]
        assert (got.exact, got.outcome) == (True, "complete"), f"{speak.__name__}, law {8 * (number % 2)}: {got}"
        assert sum(got.silences) == pytest.approx(sum(silences), abs=0.15), f"{speak.__name__}: {got}"
