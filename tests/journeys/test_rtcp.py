"""Rule A13 in a real daemon: what a sender says on the port of RTP and on the next one, through kills and restarts."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.journeys.exchange import until
from tests.journeys.host import Host
from tests.journeys.test_handover import served
from tests.media.rig import talk
from tests.wire.test_rtcp import bye, rr, sdes, sr

NOON = 0xE8F1_2345_0000_0000


def counted(one: Host, verdict: str) -> float:
    """The sum over workers of ``tapdeck_packets_total``."""
    lines = one.get("/metrics")[1].decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("tapdeck_packets_total") and verdict in line
    )


@pytest.mark.all
def test_a13_rtcp_on_the_next_port_goes_on_through_a_kill_and_a_restart(tmp_path: Path) -> None:
    with served(tmp_path, **{"media.rtcp": '"both"'}) as (one, manager):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            mouth.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            tap = one.post("/v1/taps", {"source": "{}:{}".format(*mouth.getsockname())})
            port = int(tap["device"]["params"]["port"])
            assert port % 2 == 0
            spoken = 0

            def speak() -> None:
                nonlocal spoken
                for packet in talk(20, sequence=100 + spoken, timestamp=5_000 + 160 * spoken):
                    mouth.sendto(packet.octets, ("127.0.0.1", port))
                spoken += 20
                until(lambda: one.ask("tap", "show", tap["id"])["counts"]["packets"] >= spoken)

            def say(words: bytes, behind: int = 1) -> None:
                before = counted(one, '"rtcp"')
                (other if behind else mouth).sendto(words, ("127.0.0.1", port + behind))
                until(lambda: counted(one, '"rtcp"') > before)

            speak()
            say(sr(7, NOON, 5_000) + sdes((7, [(1, b"me")])))
            say(sr(7, NOON + (1 << 32), 13_000), behind=0)
            os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
            speak()
            say(sr(7, NOON + (5 << 32), 45_000))
            assert manager.restart() == 0
            until(one.ready)
            speak()
            say(sr(7, NOON + (9 << 32), 77_000))
            other.sendto(rr() + bye(7), ("127.0.0.1", port + 1))
            one.post(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
        (path,) = one.sidecars()
        told = json.loads(path.read_bytes())
        [stream] = told["channels"][0]["streams"]
        assert (told["outcome"], stream["packets"], stream["cname"]) == ("complete", spoken, "me")
        reports = stream["sender_reports"]
        assert (reports["count"], reports["first"]["timestamp"], reports["last"]["timestamp"]) == (4, 5_000, 77_000)
        assert "bye_at" in stream
