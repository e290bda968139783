"""Taps of Opus from end to end: workers and decoders that are killed while calls go on, and other people's senders.

What came is held against libopus itself, fed the received packets in timestamp order (P1).
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver import lab
from receiver.archive import sidecar
from receiver.wire.serial import widen
from tests import opus
from tests.journeys.host import host
from tests.journeys.recorder import Recorder, recorder
from tests.media.rig import Sent
from tests.tools import count, needs

SPEECH = Path(lab.__file__).parent / "speech.wav"
STEP_S = 0.02


def assert_libopus(told: sidecar.Sidecar, ready: Path, sent: Sequence[Sent]) -> int:
    """Equal but where the sidecar says that it may not be; how many frames are not."""
    assert told.file is not None
    sound, wanted = opus.read(ready / told.file), opus.heard(sent)
    assert (told.outcome, told.gaps, sound.size) == ("complete", (), wanted.size)
    redecoded = told.channels[0].redecoded
    assert isinstance(redecoded, tuple)
    wrong = np.flatnonzero(sound != wanted)
    told_of = np.zeros(sound.size, np.bool_)
    for each in redecoded:
        told_of[each.frame : each.frame + each.frames] = True
    assert told_of[wrong].all(), f"{np.count_nonzero(~told_of[wrong])} frames differ and nobody says so"
    return int(wrong.size)


def decoder_of(worker: int) -> int | None:
    """The child of a worker, if there is one."""
    with suppress(OSError):
        children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        return int(children[0]) if children else None
    return None


async def talk(senders: Sequence[socket.socket], calls: Sequence[Sequence[Sent]], doors: Sequence[int]) -> None:
    """All calls at once, 20 ms a packet, by the loop's own clock."""
    loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    for k, packets in enumerate(zip(*calls, strict=True)):
        await asyncio.sleep(max(0.0, begun + k * STEP_S - loop.time()))
        for sender, packet, door in zip(senders, packets, doors, strict=True):
            sender.sendto(packet.octets, ("127.0.0.1", door))


async def die(one: Recorder, kills: int, dice: random.Random, whom: str) -> None:
    """Kill the worker or its decoder at random instants, each time when the one before has been made good: parts and
    commits grow again. (Over what several decoders in a row died is given up; what is never committed fills the ring.)
    """

    def sizes(pattern: str) -> int:
        return sum(file.stat().st_size for file in (one.directory / "spool").glob(pattern))

    for _ in range(kills):
        parts, log = sizes("*.part"), sizes("commits-*.log")
        while sizes("*.part") == parts or sizes("commits-*.log") == log:  # noqa: ASYNC110  # a size tells no event
            await asyncio.sleep(STEP_S)
        await asyncio.sleep(dice.uniform(0, 0.9))
        await one.alive()
        victim = one.pid() if whom == "worker" else decoder_of(one.pid())
        assert victim is not None
        if whom == "worker":
            one.recording.clear()
        os.kill(victim, signal.SIGKILL)


@pytest.mark.all
@pytest.mark.parametrize("whom", ["worker", "decoder"])
async def test_p3_one_that_is_killed_costs_no_packet_and_says_where_it_may_differ(
    whom: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    taps, kills = 4, count(2, all=3, full=60)
    made = [opus.packets(int(kills * 200 + 100), seed, bits=16_000 + 8_000 * seed) for seed in range(taps)]
    calls = [opus.call(each, timestamp=2**32 - 48_000 * (seed + 1), ssrc=seed) for seed, each in enumerate(made)]
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in made]
    for each in senders:
        each.bind(("127.0.0.1", 0))
        request.addfinalizer(each.close)
    async with recorder(tmp_path / "recordings") as one:
        opened = await one.open([f"127.0.0.1:{each.getsockname()[1]}" for each in senders], law=opus.TYPE)
        talking = asyncio.ensure_future(talk(senders, calls, [tap.port.number for tap in opened]))
        await die(one, kills, random.Random(5), whom)
        assert not talking.done(), "the calls were over before the last death"
        await talking
        await one.alive()
        await one.close(opened)
    differ = 0
    for tap, sent in zip(opened, calls, strict=True):
        assert tap.told is not None
        [stream] = tap.told.channels[0].streams
        assert (stream.packets, stream.lost) == (len(sent), 0)
        assert tap.told.channels[0].redecoded
        differ += assert_libopus(tap.told, tmp_path / "recordings" / "ready", sent)
    print(f"{kills} kills of the {whom}: {differ} frames of {sum(map(len, calls)) * 960} differ")


@contextmanager
def overheard(door: int) -> Iterator[tuple[int, list[bytes]]]:
    """Somebody between a sender and a tap, who hands on every datagram and remembers it."""
    heard: list[bytes] = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outer,
    ):
        inner.bind(("127.0.0.1", 0))
        inner.settimeout(60)

        def hand_on() -> None:
            while datagram := inner.recv(2_000):
                heard.append(datagram)
                outer.sendto(datagram, ("127.0.0.1", door))

        thread = threading.Thread(target=hand_on)
        thread.start()
        try:
            yield inner.getsockname()[1], heard
        finally:
            outer.sendto(b"", inner.getsockname())
            thread.join()


def as_sent(heard: Sequence[bytes]) -> list[Sent]:
    """The RTP packets among datagrams, widened; RTCP is left out (RFC 5761, section 4)."""
    sent: list[Sent] = []
    for each in heard:
        if not 192 <= each[1] <= 223:
            assert each[0] == 0x80, "a header that this reading does not know"
            stamp = int.from_bytes(each[4:8], "big")
            last = sent[-1].timestamp if sent else stamp
            sent.append(Sent(0, int.from_bytes(each[2:4], "big"), widen(last, stamp, 32), each[12:]))
    return sent


def ffmpeg(port: int) -> list[str]:
    return [
        "ffmpeg", "-v", "error", "-re", "-t", "3", "-i", str(SPEECH), "-ac", "1", "-c:a", "libopus", "-b:a", "32k",
        "-payload_type", "111", "-f", "rtp", f"rtp://127.0.0.1:{port}",
    ]  # fmt: skip


def gstreamer(port: int) -> list[str]:
    return (
        f"gst-launch-1.0 -q filesrc location={SPEECH} ! wavparse ! audioconvert ! audioresample"
        " ! audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=24000 frame-size=20 ! rtpopuspay pt=111"
        f" ! udpsink host=127.0.0.1 port={port} sync=true"
    ).split()


@pytest.mark.all
@pytest.mark.parametrize(
    "sender",
    [pytest.param(ffmpeg, marks=needs("ffmpeg")), pytest.param(gstreamer, marks=needs("gst-launch-1.0"))],
)
def test_p1_other_peoples_senders(sender: Any, tmp_path: Path) -> None:
    with host(tmp_path) as one:
        tap = one.ask("tap", "open", "--source", "any", "--codec", "OPUS")
        assert tap["payload_type"] == 111
        with overheard(tap["tap_audio"]["port"]) as (port, heard):
            done = subprocess.run(sender(port), capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr.decode()[-2_000:]
        one.ask("tap", "stop", tap["id"], "--wait")
        told = sidecar.decode(next(one.recordings.rglob(f"ready/*{tap['recording_id']}.json")).read_bytes())
    sent = as_sent(heard)
    assert len(sent) > 100
    assert told.channels[0].codec == "OPUS"
    assert assert_libopus(told, one.recordings / "ready", sent) == 0
    assert json.loads(sidecar.encode(told))["channels"][0]["redecoded"] == []
