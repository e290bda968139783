"""PyPI's ``signalwire-sdk`` takes the switch in the box for real, over TLS with a certificate made here."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.lab.switch.process import SwitchProcess
from tests.sdk.peers import SDK, TOKEN, Ear, Peer
from tests.tools import needs

pytestmark = [pytest.mark.all, needs("openssl")]
PEER = Path(__file__).parent / "python" / "peer.py"
Start = Callable[..., Peer]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    made = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-out", made[0], "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture
def switch(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[SwitchProcess]:
    arguments = ["--certificate", str(certificate[0]), "--key", str(certificate[1])]
    with SwitchProcess(TOKEN, tmp_path / "log", *arguments, trust=str(certificate[0])) as one:
        yield one


@pytest.fixture
def start(tmp_path: Path, switch: SwitchProcess, certificate: tuple[Path, Path]) -> Iterator[Start]:
    peers = []

    def make(scene: str, ear: Ear | None = None, token: str = TOKEN) -> Peer:
        environ = {
            "SIGNALWIRE_SPACE": f"localhost:{switch.url.rpartition(':')[2]}", "PEER_PROJECT": switch.project,
            "PEER_TOKEN": token, "SIGNALWIRE_RELAY_CA_FILE": str(certificate[0]),
            "TAP_PORT": str(ear.port if ear else 0), "SIGNALWIRE_LOG_MODE": "off",
        }  # fmt: skip
        peers.append(Peer([SDK / "python" / "bin" / "python", PEER, scene], environ, tmp_path))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def test_dial_tap_stop_ended_speak_hang_up(start: Start, switch: SwitchProcess, ear: Ear) -> None:
    peer = start("whole", ear)
    peer.says("connected")
    assert peer.says("answered")["state"] == "answered"
    tapping = peer.says("tapping")
    (call,) = switch.calls()
    (tap,) = call["taps"]
    assert tap["control_id"] == tapping["id"]
    assert ear.hear(20) == {(tap["source"]["addr"], tap["source"]["port"])}
    peer.go()
    assert peer.says("ended")["state"] == "finished"
    assert peer.says("played")["state"] == "finished"
    assert peer.says("hung up")["state"] == "ended"
    assert peer.ended() == 0
    assert switch.calls() == []


def test_a_busy_number_is_an_error(start: Start) -> None:
    peer = start("busy")
    peer.says("connected")
    assert "Dial failed" in peer.says("failed")["message"]  # it keeps the reason to itself


def test_a_bad_token_is_refused(start: Start) -> None:
    assert "401" in start("busy", token="PTwrong").says("refused")["message"]


def test_an_inbound_call_is_received_answered_and_ended(start: Start, switch: SwitchProcess) -> None:
    peer = start("inbound")
    peer.says("connected")
    peer.says("listening")
    call_id = switch.ring("office")
    received = peer.says("received")
    assert (received["id"], received["direction"]) == (call_id, "inbound")
    peer.says("answered")
    peer.says("hung up")
