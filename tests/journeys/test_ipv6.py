"""Sound over IPv6, and over both at one port: admitted, filtered by the kernel, recorded sample by sample."""

import json
import socket
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.journeys.exchange import until
from tests.journeys.host import Host, host
from tests.journeys.test_standing import free_port
from tests.media.rig import Sent, linear, talk


def recorded(one: Host, tap: dict[str, str]) -> NDArray[np.int16]:
    told = one.ask("tap", "stop", tap["id"], "--wait")
    assert told["outcome"] == "complete"
    sidecar = next(path for path in one.sidecars() if tap["recording_id"] in path.name)
    with wave.open(str(one.recordings / "ready" / json.loads(sidecar.read_bytes())["file"])) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def speak(end: socket.socket, port: int, to: str, packets: Sequence[Sent]) -> None:
    """In time: what comes faster than sound can is taken for what it is (rule A10)."""
    began_s = time.monotonic()
    for number, packet in enumerate(packets):
        time.sleep(max(0.0, began_s + number * 0.02 - time.monotonic()))
        end.sendto(packet.octets, (to, port))


@pytest.mark.all
def test_a_port_that_is_always_open_hears_both(tmp_path: Path) -> None:
    one, fixed = Host(tmp_path, **{"media.bind": '"::"', "media.advertise": '"::1"'}), free_port()
    with one.config.open("a") as config:
        config.write(f'[[listen]]\nport = {fixed}\nsource = "any"\n')
    one.start()
    for to in ("::1", "127.0.0.1"):
        with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            [tap] = until(lambda: one.ask("tap", "list", "--state", "listening"))
            packets = talk(50)
            speak(sender, fixed, to, packets)
            until(lambda: one.ask("tap", "list", "--state", "receiving"))
            assert np.array_equal(recorded(one, tap), np.concatenate([linear(packet.payload) for packet in packets]))
    assert one.end() == 0


@pytest.mark.all
@pytest.mark.parametrize(
    ("bind", "to", "source"),
    [("::1", "::1", "[{address}]:{port}"), ("::", "::1", "{address}"), ("::", "127.0.0.1", "{address}:{port}")],
)
def test_sound_comes_over_ipv6_and_over_both(tmp_path: Path, bind: str, to: str, source: str) -> None:
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with (
        host(tmp_path, **{"media.bind": f'"{bind}"', "media.advertise": f'"{to}"'}) as one,
        socket.socket(family, socket.SOCK_DGRAM) as sender, socket.socket(family, socket.SOCK_DGRAM) as stranger,
    ):  # fmt: skip
        for end in (sender, stranger):
            end.bind((to, 0))
        port = sender.getsockname()[1]
        exact = "{port}" in source
        tap = one.ask("tap", "open", "--source", source.format(address=to, port=port))
        number = tap["device"]["params"]["port"]
        packets = talk(100)
        speak(sender, number, to, packets[:50])
        until(lambda: one.ask("tap", "show", tap["id"])["state"], lambda state: state == "receiving")
        if exact:
            for packet in talk(50, ssrc=9, seed=9):
                stranger.sendto(packet.octets, (to, number))
        speak(sender, number, to, packets[50:])
        sound = recorded(one, tap)
        heard = np.concatenate([linear(packet.payload) for packet in packets])
        assert sound.size >= heard.size
        assert np.array_equal(sound[sound != 0], heard)
