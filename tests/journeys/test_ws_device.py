"""A tap over a WebSocket needs no second path: the daemon, a real worker, and every octet at its place in the WAV."""

import asyncio
import os
import random
import signal
import socket
import wave
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.lab import sound
from tests.journeys.exchange import sidecar_of, until
from tests.journeys.host import Host, host

VOICE = 11


def with_ws(codec: str) -> dict[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {"ws.listen": f'"127.0.0.1:{port}"', "ws.uri": f'"ws://127.0.0.1:{port}/t"', "taps.codec": f'"{codec}"'}


class Sender:
    """Sends a voice's octets, from where it left off, in frames of odd sizes, as fast as the other side takes them."""

    def __init__(self, uri: str, law: int) -> None:
        self.uri, self.law, self.sample, self.dice = uri, law, 0, random.Random(1)

    def octets(self, count: int) -> bytes:
        said = sound.identity(VOICE, self.sample, count, self.law).tobytes()
        self.sample += count
        return said

    async def connection(self, *steps: "float | int") -> None:
        """One connection: an int is so many samples in odd frames, in real time; a float so many seconds of nothing."""
        async with aiohttp.ClientSession() as session, session.ws_connect(self.uri, compress=0) as client:
            await client.send_str("hello")
            for step in steps:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                loop = asyncio.get_running_loop()
                first, upto, began_s = self.sample, self.sample + step, loop.time()
                while self.sample < upto:
                    size = min(self.dice.choice([1, 37, 160, 333, 1_461]), upto - self.sample)
                    await client.send_bytes(self.octets(size))
                    await asyncio.sleep(began_s + (self.sample - first) / 8_000 - loop.time())


def heard(one: Host, tap: dict[str, str]) -> "tuple[NDArray[np.int16], dict[str, object]]":
    """The samples of a tap that is stopped now, and its sidecar."""
    one.ask("tap", "stop", tap["id"], "--wait")
    path, told = sidecar_of(one, tap)
    assert told["outcome"] == "complete", told
    with wave.open(str(path.with_suffix(".wav"))) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16), told


def said(first: int, count: int, law: int) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = sound.heard(np.array([VOICE], np.uint64), np.array([first], np.int64), count, law)[0]
    return samples


@pytest.mark.all
@pytest.mark.parametrize("codec", ["PCMU", pytest.param("PCMA", marks=pytest.mark.all)])
def test_every_octet_lies_in_the_wav_in_order_without_a_hole(tmp_path: Path, codec: str) -> None:
    law = sound.LAWS[codec]
    with host(tmp_path, **with_ws(codec)) as one:
        tap = one.ask("tap", "open", "--device", "ws")
        asyncio.run(Sender(tap["uri"], law).connection(20_001))
        samples, told = heard(one, tap)
    assert np.array_equal(samples, said(0, 20_001, law))
    assert told["gaps"] == []


@pytest.mark.all
def test_p3_pause_reconnect_and_a_killed_worker_cost_no_octet(tmp_path: Path) -> None:
    with host(tmp_path, **with_ws("PCMU")) as one:
        tap = one.ask("tap", "open", "--device", "ws")
        sender = Sender(tap["uri"], 0)
        asyncio.run(sender.connection(8_000, 1.5, 8_000))
        os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
        asyncio.run(sender.connection(16_000))  # while nobody reads; a connection of its own
        until(lambda: one.state().get("ready"))
        samples, told = heard(one, tap)
    runs = np.flatnonzero(np.diff(np.r_[0, samples != 0, 0]))
    stretches = [(int(a), int(b)) for a, b in runs.reshape(-1, 2)]
    assert [b - a for a, b in stretches] == [8_000, 8_000, 16_000]
    for (a, b), first in zip(stretches, (0, 8_000, 16_000), strict=True):
        assert np.array_equal(samples[a:b], said(first, b - a, 0))
    pause = stretches[1][0] - stretches[0][1]
    assert 1.3 * 8_000 <= pause <= 3 * 8_000  # its length in time, not on this machine's clock to the sample
    assert len({stream["ssrc"] for stream in told["channels"][0]["streams"]}) == 2  # type: ignore[index]
