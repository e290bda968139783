"""What a tap really sends: RTP and bare octets, bit for bit what the voice says, and the sender's log."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from receiver.lab import senderlog, sound
from receiver.lab.switch.parties import Voice
from receiver.lab.switch.sounds import Order, RealSounds

HEADER = 12


def order(port: int, voice: Voice, codec: str = "PCMU", ptime: int = 20, caller: int = 7) -> Order:
    device = {"type": "rtp", "params": {"addr": "127.0.0.1", "port": port, "codec": codec, "ptime": ptime}}
    return Order("tap-1", device, voice, caller)


def never(control_id: str) -> None:
    raise AssertionError("it did not end by itself")


class Ended:
    """Waits for a sound's own end."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.told: list[str] = []

    def __call__(self, control_id: str) -> None:
        self.told.append(control_id)
        self.event.set()


@pytest.fixture
def ear() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(20)
        yield made


@pytest.mark.parametrize(("codec", "ptime"), [("PCMU", 20), ("PCMA", 30)])
async def test_rtp_is_the_voice_bit_for_bit_from_the_source_that_is_told(ear: Any, codec: str, ptime: int) -> None:
    sounds = RealSounds()
    source = await sounds.start(order(ear.getsockname()[1], Voice(), codec, ptime), never)
    heard = [await asyncio.to_thread(ear.recvfrom, 2048) for _ in range(10)]
    await sounds.stop("tap-1")
    await sounds.stop("tap-1")
    await sounds.close()
    assert source == {"addr": "127.0.0.1", "port": heard[0][1][1], "codec": codec, "rate": 8000, "ptime": ptime}
    law, size = sound.LAWS[codec], ptime * 8
    said = b"".join(octets[HEADER:] for octets, _ in heard)
    assert said == sound.identity(7, 0, 10 * size, law).tobytes()
    assert {octets[1] & 0x7F for octets, _ in heard} == {law}


async def test_the_log_is_there_when_a_stop_returns_and_when_a_sound_is_over(ear: Any, tmp_path: Path) -> None:
    sounds, ended = RealSounds(str(tmp_path)), Ended()
    await sounds.start(order(ear.getsockname()[1], Voice(seconds=0.2)), ended)
    async with asyncio.timeout(20):
        await ended.event.wait()
    assert ended.told == ["tap-1"]
    assert len(senderlog.read(senderlog.file_of(tmp_path, 7)).packets) == 10
    await sounds.start(order(ear.getsockname()[1], Voice(), caller=8), never)
    await asyncio.to_thread(ear.recvfrom, 2048)
    await sounds.stop("tap-1")
    assert senderlog.file_of(tmp_path, 8).exists()
    await sounds.close()


@pytest.mark.all
async def test_the_weather_is_the_voices(ear: Any, tmp_path: Path) -> None:
    sounds, ended = RealSounds(str(tmp_path)), Ended()
    await sounds.start(order(ear.getsockname()[1], Voice(seconds=1, weather="duplicated")), ended)
    async with asyncio.timeout(20):
        await ended.event.wait()
    await sounds.close()
    assert senderlog.read(senderlog.file_of(tmp_path, 7)).packets["copy"].any()


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_over_a_websocket_come_bare_octets_in_binary_frames(codec: str) -> None:
    heard: list[bytes] = []
    enough = asyncio.Event()

    async def listen(request: web.Request) -> web.WebSocketResponse:
        ear = web.WebSocketResponse()
        await ear.prepare(request)
        async for message in ear:
            heard.append(message.data)
            if len(heard) == 5:
                enough.set()
        return ear

    app = web.Application()
    app.router.add_get("/tap", listen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sounds = RealSounds()
    uri = f"ws://127.0.0.1:{runner.addresses[0][1]}/tap"
    source = await sounds.start(Order("t", {"type": "ws", "params": {"uri": uri, "codec": codec}}, Voice(), 9), never)
    async with asyncio.timeout(20):
        await enough.wait()
    await sounds.stop("t")
    await sounds.close()
    await runner.cleanup()
    assert source is None
    assert {len(frame) for frame in heard} == {160}
    said = np.frombuffer(b"".join(heard[:5]), np.uint8)
    assert np.array_equal(said, sound.identity(9, 0, 800, sound.LAWS[codec]))


async def test_a_uri_where_nobody_listens_is_an_os_error() -> None:
    sounds = RealSounds()
    device = {"type": "ws", "params": {"uri": "ws://127.0.0.1:9/secret", "codec": "PCMU"}}
    with pytest.raises(OSError, match="no WebSocket at the tap's uri") as refused:
        await sounds.start(Order("t", device, Voice(), 1), never)
    assert "secret" not in str(refused.value)
    await sounds.close()
