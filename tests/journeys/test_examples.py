"""The examples, as they stand: SignalWire's CallTap page in Python and in JavaScript, against a switch and a port of
ours; and each time the recording is exact."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from receiver.lab.switch.process import SwitchProcess
from tests.journeys.exchange import TOKEN, connected, sidecar_of
from tests.journeys.host import Host, environment
from tests.sdk.peers import INSTALL, SDK
from tests.tools import level, needs

EXAMPLES = Path(__file__).parents[2] / "examples"
WS_PORT = 20_000 + os.getpid() % 9_000


def run(command: list[str], switch: SwitchProcess, cwd: Path, **more: str) -> list[str]:
    """An example's lines."""
    given = environment() | {
        "SIGNALWIRE_PROJECT_ID": switch.project, "SIGNALWIRE_API_TOKEN": TOKEN, "SIGNALWIRE_SPACE": switch.url,
        "TO_NUMBER": "+15550199", "FROM_NUMBER": "+15550100", "TAP_SECONDS": "1.5", **more,
    }  # fmt: skip
    done = subprocess.run(command, env=given, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def stopped(one: Host, tap: dict[str, Any]) -> dict[str, Any]:
    """The sidecar of a tap that is over."""
    one.ask("tap", "stop", tap["id"], "--wait")
    _, told = sidecar_of(one, tap)
    return told


def with_ws() -> dict[str, str]:
    return {"ws.listen": f'"127.0.0.1:{WS_PORT}"', "ws.uri": f'"ws://127.0.0.1:{WS_PORT}"'}


@pytest.mark.all
def test_the_first_example_dials_taps_waits_stops_speaks_and_hangs_up(tmp_path: Path) -> None:
    with connected(tmp_path, **with_ws()) as (one, switch):
        tap = one.ask("tap", "open", "--device", "ws")
        said = run([sys.executable, "-W", "error", str(EXAMPLES / "call_tap.py")], switch, tmp_path, TAP_URI=tap["uri"])
        assert said == ["Stopping tap", "Tap ended"]
        told = stopped(one, tap)
        assert told["outcome"] == "complete"
        assert told["frames"] >= 8_000
        assert told["absent_frames"] == 0
        assert switch.calls() == []


@pytest.mark.all
def test_the_second_example_tells_its_listeners_and_ends_with_the_call(tmp_path: Path) -> None:
    with connected(tmp_path, **with_ws()) as (one, switch):
        tap = one.ask("tap", "open", "--device", "ws")
        command = [sys.executable, "-W", "error", str(EXAMPLES / "call_tap_ended.py")]
        said = {line.split()[0]: line for line in run(command, switch, tmp_path, TAP_URI=tap["uri"])}
        started, ended, over = said["Started"], said["Ended"], said["Has"]  # an async listener runs beside
        assert started.split()[0::2] == ["Started", "tapping"]
        assert ended.split()[0::2] == ["Ended", "finished"]
        assert started.split()[1] == ended.split()[1]
        assert over == "Has ended True"


@pytest.mark.all
def test_the_third_example_stops_a_tap_to_an_rtp_port_and_every_sample_is_there(tmp_path: Path) -> None:
    with connected(tmp_path) as (one, switch):
        tap = one.ask("tap", "open", "--source", "any")
        to = {"TAP_ADDR": tap["tap_audio"]["addr"], "TAP_PORT": str(tap["tap_audio"]["port"])}
        source, state = run([sys.executable, "-W", "error", str(EXAMPLES / "call_tap_stop.py")], switch, tmp_path, **to)
        assert source.startswith("Sound comes from RtpDevice(addr='127.0.0.1', port=")
        assert state == "Stopped finished"
        stopped(one, tap)
        path, _ = sidecar_of(one, tap)
        proof = prove(path, file_of(tmp_path / "senders", 1), Expected(ending="stopped"))
        assert proof.exact, str(proof)
        assert proof.received >= 8_000


@pytest.mark.all
@needs("node")
def test_the_pages_javascript_taps_to_a_port_of_ours_and_every_sample_is_there(tmp_path: Path) -> None:
    if not (SDK / "stamp").exists():
        assert level() == "quick", f"the vendor's SDK is not there; {INSTALL}"
        pytest.skip(f"the vendor's SDK is not there; {INSTALL}")
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "node_modules").symlink_to(SDK / "node" / "node_modules")
    (tmp_path / "js" / "call_tap.mjs").write_text((EXAMPLES / "call_tap.mjs").read_text())
    with connected(tmp_path) as (one, switch):
        tap = one.ask("tap", "open", "--source", "any")
        said = run(["node", "call_tap.mjs"], switch, tmp_path / "js", TAP_DEVICE=json.dumps(tap["tap_audio"]))
        assert said == ["Stopping tap", "Tap ended"]
        stopped(one, tap)
        path, _ = sidecar_of(one, tap)
        proof = prove(path, file_of(tmp_path / "senders", 1), Expected(ending="stopped"))
        assert proof.exact, str(proof)
        assert switch.calls() == []
