"""npm's ``@signalwire/realtime-api`` takes the switch in the box for real."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.lab.switch.process import SwitchProcess
from tests.journeys.exchange import until
from tests.sdk.peers import SDK, TOKEN, Ear, Peer
from tests.tools import needs

pytestmark = [pytest.mark.all, needs("node")]
HERE = Path(__file__).parent / "node"
Start = Callable[..., Peer]


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[SwitchProcess]:
    with SwitchProcess(TOKEN, tmp_path / "log") as one:
        yield one


@pytest.fixture
def start(tmp_path: Path, switch: SwitchProcess) -> Iterator[Start]:
    """Starts a scene; the script stands beside the SDK, because that is where ESM looks."""
    (tmp_path / "node_modules").symlink_to(SDK / "node" / "node_modules")
    (tmp_path / "peer.mjs").write_text((HERE / "peer.mjs").read_text())
    peers = []

    def make(scene: str, device: object = None, token: str = TOKEN) -> Peer:
        environ = {
            "SIGNALWIRE_SPACE": switch.url, "SIGNALWIRE_PROJECT_ID": switch.project, "SIGNALWIRE_API_TOKEN": token,
            "TAP_DEVICE": json.dumps(device),
        }  # fmt: skip
        peers.append(Peer(["node", "peer.mjs", scene], environ, tmp_path))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def rtp(ear: Ear) -> dict[str, object]:
    """As the SDK's ``tapAudio`` takes a device: its types say that the port is a text."""
    return {"type": "rtp", "addr": "127.0.0.1", "port": str(ear.port), "codec": "PCMU", "ptime": 20}


def test_dial_tap_stop_ended_speak_hang_up(start: Start, switch: SwitchProcess, ear: Ear) -> None:
    peer = start("whole", rtp(ear))
    assert peer.says("answered")["state"] == "answered"
    started = peer.says("onStarted")
    tapping = peer.says("tapping")
    assert (tapping["id"], tapping["state"], tapping["ended"]) == (started["id"], "tapping", False)
    (call,) = switch.calls()
    (tap,) = call["taps"]
    assert tap["control_id"] == tapping["id"]
    assert ear.hear(20) == {(tap["source"]["addr"], tap["source"]["port"])}
    peer.go()
    assert peer.says("onEnded") == {"what": "onEnded", "id": tapping["id"], "state": "finished"}
    assert peer.says("ended") == {"what": "ended", "state": "finished", "ended": True}
    assert peer.says("playing")["state"] == "playing"
    assert peer.says("played")["state"] == "finished"
    peer.says("hung up")
    assert peer.ended() == 0
    assert switch.calls() == []


@pytest.mark.parametrize("finished", ["before", "after"])
def test_a_call_that_is_hung_up_there_ends_its_tap(
    start: Start, switch: SwitchProcess, ear: Ear, finished: str
) -> None:
    """``finished`` must come before ``ended``: both SDKs hang where it comes after (relay-protocol, section 6.3)."""
    switch.faults(finished=finished)
    peer = start("hung", rtp(ear))
    call = peer.says("tapping")["call"]
    switch.ask("DELETE", f"/lab/calls/{call}")
    if finished == "before":
        assert peer.says("ended")["state"] == "finished"
        assert peer.ended() == 0
    else:
        until(lambda: switch.calls() == [])


def test_a_busy_number_and_a_refused_tap_are_rejected_with_the_reason(start: Start) -> None:
    assert start("busy").says("failed")["reason"] == "busy"
    failed = start("refused").says("failed")
    assert str(failed["code"]) == "-32602"
    assert "CallTapParams" in failed["message"]


def test_an_inbound_call_is_received_answered_and_ended(start: Start, switch: SwitchProcess) -> None:
    peer = start("inbound")
    peer.says("listening")
    call_id = switch.ring("office", **{"from": "+15550111"})
    received = peer.says("received")
    assert (received["id"], received["direction"]) == (call_id, "inbound")
    assert peer.says("answered")["state"] == "answered"
    peer.says("hung up")
    peer.go()
    assert peer.ended() == 0


def test_a_session_is_resumed_on_a_new_socket(start: Start, switch: SwitchProcess, ear: Ear) -> None:
    peer = start("dropped", rtp(ear))
    call = peer.says("tapping")["call"]
    switch.ask("POST", "/lab/drop")
    until(lambda: switch.ask("GET", "/lab/sessions"), lambda sessions: [each["up"] for each in sessions] == [True])
    peer.go()
    assert peer.says("ended")["state"] == "finished"
    peer.says("hung up")
    assert peer.ended() == 0
    assert call not in [each["call_id"] for each in switch.calls()]
