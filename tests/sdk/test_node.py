"""npm's ``@signalwire/realtime-api`` takes the switch in the box for real."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from receiver.lab.switch.process import SwitchProcess
from tests.journeys.exchange import until
from tests.sdk.peers import PATIENCE_S, SDK, TOKEN, Ear, Peer
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


@pytest.mark.parametrize(
    "faults",
    [
        {"events_first": True},
        {"repeat_events": 1},  # its listeners are called twice
        {"nested": True},
        {"integer_codes": True},
        {"source_device": "none"},
    ],
    ids=str,
)
def test_what_may_be_otherwise_there_is_no_matter_to_it(
    start: Start, switch: SwitchProcess, ear: Ear, faults: dict[str, object]
) -> None:
    switch.faults(**faults)
    peer = start("whole", rtp(ear))
    for what in ("answered", "onStarted", "tapping"):
        peer.comes_to(what)
    peer.go()
    for what in ("onEnded", "ended", "playing", "played", "hung up"):
        peer.comes_to(what)
    assert peer.ended() == 0


async def test_a_tap_comes_over_a_websocket(start: Start) -> None:
    frames: asyncio.Queue[object] = asyncio.Queue()

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            frames.put_nowait(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/tap", listen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    device = {"type": "ws", "uri": f"ws://127.0.0.1:{runner.addresses[0][1]}/tap", "codec": "PCMU"}
    peer = start("whole", device)
    for what in ("answered", "onStarted", "tapping"):
        await asyncio.to_thread(peer.says, what)
    async with asyncio.timeout(PATIENCE_S):
        heard = [await frames.get() for _ in range(10)]
    peer.go()
    for what in ("onEnded", "ended"):
        await asyncio.to_thread(peer.says, what)
    await runner.cleanup()
    assert [len(each) for each in heard if isinstance(each, bytes)] == [160] * 10


@pytest.mark.parametrize("finished", ["before", "after"])
def test_a_call_that_is_hung_up_there_ends_its_tap_only_where_finished_comes_before_ended(
    start: Start, switch: SwitchProcess, ear: Ear, finished: str
) -> None:
    """It hangs where ``finished`` comes after (relay-protocol, section 6.3): so by default it comes before."""
    switch.faults(finished=finished)
    peer = start("hung", rtp(ear))
    call = peer.says("tapping")["call"]
    switch.ask("DELETE", f"/lab/calls/{call}")
    peer.go()
    assert peer.says("afterwards") == {"what": "afterwards", "ended": finished == "before", "call": "ended"}


def test_a_call_of_which_no_state_was_told_is_never_answered_to_it(start: Start, switch: SwitchProcess) -> None:
    """So the switch tells a tagged ``outbound`` state before the answered dial event."""
    switch.faults(withhold_events=1, withhold_types=["calling.call.state"])
    peer = start("unheard")
    peer.says("dialling")
    until(lambda: [call["call_state"] for call in switch.calls()], lambda states: states == ["answered"])
    peer.go()
    assert peer.says("afterwards")["dialled"] != "answered"


def test_a_bad_token_is_refused_which_it_does_not_say(start: Start, switch: SwitchProcess) -> None:
    start("idle", token="PTwrong").says("idle")
    assert switch.ask("GET", "/lab/sessions") == []


def test_it_takes_a_switch_that_stopped_pinging_for_dead_and_resumes(start: Start, switch: SwitchProcess) -> None:
    """15 s after the last ping: so the switch's interval is shorter."""
    switch.faults(ping_interval_s=0.1)
    start("idle").says("idle")
    until(lambda: switch.ask("GET", "/lab/counts")["frames"] > 3)  # connect, and answers to the first ping
    switch.faults(ping_interval_s=0)
    sessions = until(lambda: switch.ask("GET", "/lab/sessions"), lambda all: all[0]["sockets"] == 2 and all[0]["up"])
    assert len(sessions) == 1


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
    (session,) = until(lambda: switch.ask("GET", "/lab/sessions"), lambda sessions: sessions[0]["up"])
    assert session["sockets"] == 2  # it offered the protocol of before
    peer.go()
    assert peer.says("ended")["state"] == "finished"
    peer.says("hung up")
    assert peer.ended() == 0
    assert call not in [each["call_id"] for each in switch.calls()]


def test_after_a_restart_the_session_is_another_and_its_calls_are_out_of_reach(
    start: Start, switch: SwitchProcess, ear: Ear
) -> None:
    peer = start("dropped", rtp(ear))
    call = peer.says("tapping")["call"]
    switch.ask("POST", "/lab/disconnect", {"restart": True})
    (session,) = until(lambda: switch.ask("GET", "/lab/sessions"), lambda sessions: sessions and sessions[0]["up"])
    assert session["sockets"] == 1
    peer.go()
    assert str(peer.says("failed")["code"]) == "404"
    assert [each["call_id"] for each in switch.calls()] == [call]  # and goes on
