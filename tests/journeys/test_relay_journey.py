"""The whole way of a call: a real switch, a real daemon, a real worker, the command line; and what may happen on it."""

import json
import os
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from receiver.archive import check
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.exchange import TOKEN, connected, sidecar_of, tap_of, until
from tests.journeys.host import Host

RECORD = '[[record]]\ntopic = "office"\nlabels = { team = "sales" }\n'


def recording(folder: Path) -> dict[str, str]:
    """Keys of a daemon that records calls of a topic by itself."""
    return {"relay.topics": '["office"]'}


def proved(one: Host, folder: Path, tap: dict[str, object], caller: int, ending: str | None = None) -> None:
    """Every sample that the switch sent lies where it should."""
    path, _ = sidecar_of(one, tap)
    proof = prove(path, file_of(folder / "senders", caller), Expected(ending=ending))
    assert proof.exact, str(proof)
    assert proof.received > 0


def test_a_call_that_comes_in_on_a_topic_is_recorded_by_itself_to_the_last_sample(tmp_path: Path) -> None:
    with connected(tmp_path, **{"record": '[{topic = "office", labels = {team = "sales"}}]'}) as (one, switch):
        voice = {"id": 7, "weather": "everything", "seconds": 3, "hang_up": True}
        call_id = switch.ring("office", voice=voice)
        assert [call["call_id"] for call in one.ask("calls")] == [call_id]
        tap = tap_of(one, call_id, "finished")
        assert (tap["outcome"], tap["labels"], tap["call_id"]) == ("complete", {"team": "sales"}, call_id)
        proved(one, tmp_path, tap, 7)
        _, told = sidecar_of(one, tap)
        channel = told["channels"][0]
        assert channel["control_id"] == tap["id"]
        assert channel["source"]["announced"] == channel["source"]["seen"]
        assert channel["source"]["trust"] == "announced"
        assert one.ask("calls") == []
        assert not check.check(one.recordings)


@pytest.mark.all
def test_p3_d1_worker_killed_and_socket_dropped_in_the_middle_of_a_call_cost_no_sample(tmp_path: Path) -> None:
    with connected(tmp_path, **{"record": '[{topic = "office"}]'}) as (one, switch):
        call_id = switch.ring("office", voice={"id": 3, "weather": "lossy", "seconds": 5, "hang_up": True})
        tap = tap_of(one, call_id, "receiving")
        os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
        switch.ask("POST", "/lab/drop")
        until(lambda: one.state().get("workers", [{}])[0].get("deaths") == 1)
        tap = tap_of(one, call_id, "finished")
        assert tap["outcome"] == "complete"
        proved(one, tmp_path, tap, 3)


def test_a_tap_is_started_and_stopped_by_the_command_line_and_the_call_goes_on(tmp_path: Path) -> None:
    with connected(tmp_path, "--speech", **recording(tmp_path)) as (one, switch):
        call_id = switch.ring("office")
        call = until(lambda: one.ask("calls"))[0]
        assert call["state"] == "ringing"
        refused = one.run("tap", "start", "--call-id", call_id, "--label", "a=b")
        assert refused.returncode == 0  # the port is bound; what the relay says follows
        tap = tap_of(one, call_id, "failed")
        assert (tap["outcome"], tap["problem"]["code"]) == ("failed", "relay_400")
        assert "the call is not answered" in tap["problem"]["message"]
        _, told = sidecar_of(one, tap)
        assert (told["outcome"], told["file"], told["problem"]["code"]) == ("failed", None, "relay_400")
        unknown = one.run("tap", "start", "--call-id", "nobody")
        assert unknown.returncode == 1
        assert "node_id: expected the call's node" in unknown.stderr


@pytest.mark.all
def test_d9_no_secret_is_in_the_log_the_sidecar_or_an_error(tmp_path: Path) -> None:
    with connected(tmp_path, **{"record": '[{topic = "office"}]', "log.level": '"debug"'}) as (one, switch):
        call_id = switch.ring("office", voice={"seconds": 1, "hang_up": True})
        tap = tap_of(one, call_id, "finished")
        switch.ask("POST", "/lab/disconnect", {"restart": True})
        until(lambda: not one.state().get("ready"))
        until(lambda: one.state().get("ready"))
        path, _ = sidecar_of(one, tap)
        said = (tmp_path / "daemon.log").read_text() + path.read_text() + one.run("config", "show").stdout
        assert TOKEN not in said
        assert "signalwire_" not in said


@pytest.mark.all
def test_d3_a_bad_token_is_said_once_and_readyz_says_it(tmp_path: Path) -> None:
    with connected(tmp_path, **recording(tmp_path)) as (one, switch):
        switch.faults(connect_error="-32002")
        switch.ask("POST", "/lab/drop")
        reasons = until(lambda: one.state().get("reasons", {}).get("relay", ""), lambda why: "code -32002" in why)
        assert "the switch was told to refuse" in reasons
        assert (tmp_path / "daemon.log").read_text().count("the relay refused project and token") == 1
        started = one.run("tap", "start", "--call-id", "c", "--node-id", "n")
        assert started.returncode == 1
        assert "the relay is away" in started.stderr
        opened = one.ask("tap", "open", "--source", "any")  # what needs no relay goes on
        assert opened["state"] == "listening"


@pytest.mark.all
def test_what_the_platform_calls_back_ends_an_open_tap(tmp_path: Path) -> None:
    with connected(tmp_path, **recording(tmp_path)) as (one, _):
        tap = one.ask("tap", "open", "--source", "127.0.0.1:9")
        host, port = one.listens
        told = {"event_type": "calling.call.tap", "params": {"control_id": "x", "call_id": "c-9", "state": "finished"}}
        request = urllib.request.Request(f"http://{host}:{port}{tap['status_url']}", json.dumps(told).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 204
        ended = tap_of(one, "c-9", "finished")
        assert (ended["id"], ended["ending"], ended["outcome"]) == (tap["id"], "relay_finished", "empty")


@pytest.mark.parametrize("codec", ["PCMU", pytest.param("PCMA", marks=pytest.mark.all)])
def test_a_tap_over_a_websocket_is_recorded_like_any(tmp_path: Path, codec: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    keys = {"ws.listen": f'"127.0.0.1:{port}"', "ws.uri": f'"ws://127.0.0.1:{port}/taps"', "taps.codec": f'"{codec}"'}
    with connected(tmp_path, "--seconds", "2", **keys, **{"record": '[{topic = "office"}]'}) as (one, switch):
        switch.ring("office", voice={"id": 5, "seconds": 30})
        call = until(lambda: [each for each in one.ask("calls") if each["state"] == "answered"])[0]
        tap = one.ask("tap", "start", "--call-id", call["call_id"], "--device", "ws", "--wait")
        assert tap["state"] == "receiving"
        stopped = one.ask("tap", "stop", tap["id"], "--wait")
        assert stopped["outcome"] == "complete"
        _, told = sidecar_of(one, tap)
        assert told["channels"][0]["codec"] == codec
        assert told["absent_frames"] == 0
        assert tap["uri"].rpartition("/")[2] not in (tmp_path / "daemon.log").read_text()
