"""Layout ``stereo`` with real daemons, workers, a switch and senders: every sample of both sides at its place."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.archive.check import check
from receiver.lab import senderlog
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, Proof, prove
from receiver.lab.senderlog import file_of
from tests.archive.world import read_wav
from tests.journeys.exchange import connected, until
from tests.journeys.host import Host, host
from tests.journeys.servicemanager import ServiceManager
from tests.tools import needs

PARTIES = ("speak", "listen")


def taps_of(one: Host, call_id: str, *states: str) -> list[dict[str, Any]]:
    """Both taps of a call, speak first, once they are in one of these states."""
    found = until(
        lambda: one.ask("tap", "list", "--call-id", call_id),
        lambda taps: len(taps) == 2 and all(tap["state"] in states for tap in taps),
    )
    return sorted(found, key=lambda tap: PARTIES.index(tap["direction"]))


def logs_of(folder: Path, taps: list[dict[str, Any]]) -> list[Path]:
    """What the switch sent to each of them."""
    to = {senderlog.read(path).about.to: path for path in folder.glob("caller-*.npz")}
    return [to[tap["uri"].removeprefix("rtp://")] for tap in taps]


def proved(one: Host, recording_id: str, logs: list[Path], ending: str | None = None) -> tuple[Proof, dict[str, Any]]:
    """Every sample that was sent lies in its channel at its place."""
    [path] = (one.recordings / "ready").rglob(f"*{recording_id}.json")
    proof = prove(path, logs, Expected(ending=ending))
    assert proof.exact, str(proof)
    assert proof.received > 0
    assert not check(one.recordings)
    told: dict[str, Any] = json.loads(path.read_bytes())
    assert [channel["party"] for channel in told["channels"]] == list(PARTIES)
    assert (told["layout"], told["direction"]) == ("stereo", "both")
    return proof, told


@pytest.mark.all
@pytest.mark.parametrize(
    "weather", ["lossy", "everything"]
)
def test_p3_a_call_over_the_relay_is_two_exact_channels_though_the_worker_is_killed(
    tmp_path: Path, weather: str
) -> None:
    rule = '[{topic = "office", layout = "stereo"}]'
    with connected(tmp_path, **{"record": rule}) as (one, switch):
        call_id = switch.ring("office", voice={"id": 3, "weather": weather, "seconds": 3, "hang_up": True})
        taps = taps_of(one, call_id, "receiving")
        assert taps[0]["recording_id"] == taps[1]["recording_id"]
        os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
        taps = taps_of(one, call_id, "finished")
        assert [(tap["outcome"], tap["ending"]) for tap in taps] == [("complete", taps[0]["ending"])] * 2
        _, told = proved(one, taps[0]["recording_id"], logs_of(tmp_path / "senders", taps))
        assert [channel["control_id"] for channel in told["channels"]] == [tap["id"] for tap in taps]
        assert len(one.ask("recordings")) == 1


@pytest.mark.all
def test_a_stop_on_one_stops_both_on_the_relay_too(tmp_path: Path) -> None:
    rule = '[{topic = "office", layout = "stereo"}]'
    with connected(tmp_path, **{"record": rule}) as (one, switch):
        call_id = switch.ring("office", voice={"id": 3, "seconds": 60})
        taps = taps_of(one, call_id, "receiving")
        one.ask("tap", "stop", taps[1]["id"], "--wait")
        taps = taps_of(one, call_id, "finished")
        assert {(tap["outcome"], tap["ending"]) for tap in taps} == {("complete", "stopped")}
        logs = until(lambda: list((tmp_path / "senders").glob("caller-*.npz")), lambda found: len(found) == 2)
        assert len(logs) == 2, "the relay sends no more to either"
        proved(one, taps[0]["recording_id"], logs_of(tmp_path / "senders", taps), "stopped")
        assert [call["state"] for call in one.ask("calls")] == ["answered"]


@pytest.mark.all
def test_d4_two_taps_that_the_relay_refuses_are_one_failed_recording(tmp_path: Path) -> None:
    with connected(tmp_path, "--speech", **{"relay.topics": '["office"]'}) as (one, switch):
        call_id = switch.ring("office")
        until(lambda: one.ask("calls"))
        started = one.run("tap", "start", "--call-id", call_id, "--layout", "stereo")
        assert started.returncode == 0
        assert [line.rpartition("(")[2] for line in started.stdout.splitlines() if line.startswith("tap ")] == [
            "speak)", "listen)",
        ]  # fmt: skip
        assert started.stdout.count("send to") == 2
        taps = taps_of(one, call_id, "failed")  # nobody answered the call
        assert {tap["outcome"] for tap in taps} == {"failed"}
        [path] = one.sidecars()
        told = json.loads(path.read_bytes())
        assert (told["outcome"], told["file"], len(told["channels"])) == ("failed", None, 2)
        assert all(party in told["problem"]["message"] for party in PARTIES)


@contextmanager
def speaking(one: Host, logs: Path, *callers: Caller, **wish: Any) -> Iterator[tuple[dict[str, Any], SenderProcess]]:
    """An open tap of two ports, and one sender for each."""
    logs.mkdir()
    sender = SenderProcess(Plan(callers=callers, seed=5, log=str(logs)))
    try:
        tap = one.post("/v1/taps", {"source": sender.sources[0], "layout": "stereo", **wish})
        sender.go([tap["uris"][party].removeprefix("rtp://") for party in PARTIES])
        yield tap, sender
    finally:
        sender.close()


@pytest.mark.all
def test_a_side_that_dies_leaves_silence_on_its_channel(tmp_path: Path) -> None:
    callers = Caller(id=0, seconds=3.0, weather="lossy"), Caller(id=1, seconds=1.0, start_s=0.5)
    with host(tmp_path, **{"taps.silence_timeout_s": "1"}) as one:
        with speaking(one, tmp_path / "logs", *callers) as (tap, sender):
            dead = until(
                lambda: json.loads(one.get(f"/v1/taps/{tap['taps']['listen']}")[1]),
                lambda told: told["state"] == "finishing",
            )
            assert (dead["ending"], dead["direction"]) == ("silence", "listen")
            assert json.loads(one.get(f"/v1/taps/{tap['id']}")[1])["state"] == "receiving"
            assert not sender.wait(60.0).refused
        one.post(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
        _, told = proved(one, tap["recording_id"], [file_of(tmp_path / "logs", number) for number in (0, 1)], "stopped")
        ends = {gap["channel"]: gap for gap in told["gaps"] if gap["frame"] + gap["frames"] == told["frames"]}
        assert ends[1]["reason"] == "not_sent"
        assert ends[1]["frames"] > 8_000


@pytest.mark.all
def test_c7_both_channels_roll_over_together(tmp_path: Path) -> None:
    callers = Caller(id=0, seconds=5.0, weather="reordered"), Caller(id=1, seconds=5.0, weather="lossy")
    with host(tmp_path, **{"storage.segment_s": "1", "storage.encoding": '"flac"'}) as one:
        with speaking(one, tmp_path / "logs", *callers) as (tap, sender):
            assert not sender.wait(60.0).refused
        one.post(f"/v1/taps/{tap['taps']['listen']}/stop?wait=ready", {})
        _, told = proved(one, tap["recording_id"], [file_of(tmp_path / "logs", number) for number in (0, 1)], "stopped")
        assert len(told["parts"]) > 2


@pytest.mark.all
def test_d7_both_sides_go_on_under_the_next_daemon(tmp_path: Path) -> None:
    callers = Caller(id=0, seconds=4.0, weather="lossy"), Caller(id=1, seconds=4.0, weather="jittery")
    one = Host(tmp_path)
    with ServiceManager(tmp_path, one.command) as manager:
        manager.start()
        until(one.ready)
        with speaking(one, tmp_path / "logs", *callers) as (tap, sender):
            until(lambda: json.loads(one.get(f"/v1/taps/{tap['id']}")[1])["state"] == "receiving")
            assert manager.restart() == 0
            until(one.ready)
            again = json.loads(one.get(f"/v1/taps/{tap['taps']['listen']}")[1])
            assert again["taps"] == tap["taps"]
            assert not sender.wait(60.0).refused
        one.post(f"/v1/taps/{tap['taps']['listen']}/stop?wait=ready", {})
        proved(one, tap["recording_id"], [file_of(tmp_path / "logs", number) for number in (0, 1)], "stopped")


@pytest.mark.all
def test_somebody_elses_programs_find_the_two_channels(tmp_path: Path) -> None:
    needs("sox")
    needs("ffmpeg")
    callers = Caller(id=0, seconds=1.0), Caller(id=1, seconds=1.0)
    with host(tmp_path) as one:
        with speaking(one, tmp_path / "logs", *callers) as (tap, sender):
            assert not sender.wait(60.0).refused
        one.post(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
        _, told = proved(one, tap["recording_id"], [file_of(tmp_path / "logs", number) for number in (0, 1)])
    path = one.recordings / "ready" / told["file"]
    for number in (0, 1):
        for command in (
            ["sox", str(path), "-t", "raw", "-", "remix", str(number + 1)],
            ["ffmpeg", "-v", "error", "-i", str(path), "-af", f"pan=mono|c0=c{number}", "-f", "s16le", "-"],
        ):
            done = subprocess.run(command, capture_output=True, timeout=60, check=True)
            assert np.array_equal(np.frombuffer(done.stdout, "<i2"), read_wav(path)[:, number])
