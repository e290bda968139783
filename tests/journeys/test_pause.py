"""A tap is paused and resumed while a caller speaks: what arrived meanwhile is in no file, all else is at its place."""

import http.client
import json
import os
import select
import signal
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.archive import sidecar
from receiver.archive.sidecar import Sidecar
from receiver.lab import senderlog, sound
from receiver.lab.judge import unix_ns
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from tests.journeys.host import PATIENCE_S, Host, host

CLOSE_NS = 5_000_000
"""A packet of 20 ms that was sent so near to an instant may have arrived on its other side."""


def post(one: Host, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*one.listens, timeout=10)
    try:
        connection.request("POST", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def heard(one: Host, tap: dict[str, str], packets: int) -> None:
    """Wait until so many packets are reported."""
    deadline_s = time.monotonic() + PATIENCE_S
    while json.loads(one.get(f"/v1/taps/{tap['id']}")[1])["counts"]["packets"] < packets:
        assert time.monotonic() < deadline_s, one.log()
        select.select([], [], [], 0.02)


def turn(one: Host, tap: dict[str, str], verb: str) -> tuple[int, int]:
    """Pause or resume, twice; between which UNIX times the first of them was."""
    before_ns = time.time_ns()
    status, told = post(one, f"/v1/taps/{tap['id']}/{verb}")
    after_ns = time.time_ns()
    assert (status, told.get("paused", False)) == (202, verb == "pause")
    assert post(one, f"/v1/taps/{tap['id']}/{verb}")[0] == 202
    return before_ns, after_ns


def kill_worker(one: Host) -> None:
    """The next one is there when the daemon is ready again."""
    [worker] = one.state()["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    deadline_s = time.monotonic() + PATIENCE_S
    while not (one.ready() and one.state()["workers"][0]["pid"] != worker["pid"]):
        assert time.monotonic() < deadline_s, one.log()
        select.select([], [], [], 0.02)


def samples_of(told: Path, document: Sidecar) -> NDArray[np.int16]:
    with wave.open(str(told.parent / str(document.file))) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def check_pauses(document: Sidecar, asked: list[tuple[tuple[int, int], tuple[int, int]]]) -> list[tuple[int, int]]:
    """The sidecar's instants are those of the requests; returns them."""
    instants = [(unix_ns(row.at), unix_ns(row.until)) for row in document.pauses]  # type: ignore[arg-type]
    assert len(instants) == len(asked)
    for (at_ns, until_ns), (paused, resumed) in zip(instants, asked, strict=True):
        assert paused[0] - CLOSE_NS <= at_ns <= paused[1] + CLOSE_NS
        assert resumed[0] - CLOSE_NS <= until_ns
    return instants


@pytest.mark.all
@pytest.mark.parametrize(("pause_as", "kill"), [pytest.param("silence", False, marks=pytest.mark.full), ("cut", True)])
def test_what_arrives_inside_a_pause_is_in_no_file_and_all_else_is(tmp_path: Path, pause_as: str, kill: bool) -> None:
    with host(tmp_path, **{"taps.pause_as": f'"{pause_as}"'}) as one:
        plan = Plan(callers=(Caller(id=1, seconds=9.0),), seed=3, log=str(tmp_path / "logs"))
        asked = []
        with SenderProcess(plan) as sender:
            tap = one.ask("tap", "open", "--source", sender.sources[0])
            sender.go([tap["uri"].removeprefix("rtp://")])
            for packets in (60, 230):
                heard(one, tap, packets)
                paused = turn(one, tap, "pause")
                if kill:
                    kill_worker(one)
                heard(one, tap, packets + 60)
                assert one.ask("tap", "show", tap["id"])["paused"]
                asked.append((paused, turn(one, tap, "resume")))
            assert not sender.wait(60.0).refused
        stopped = one.ask("tap", "stop", tap["id"], "--wait")
        assert stopped["outcome"] == "complete", stopped
        (told,) = one.sidecars()
        document = sidecar.decode(told.read_bytes())
        audio, instants = samples_of(told, document), check_pauses(document, asked)
        log = senderlog.read(senderlog.file_of(tmp_path / "logs", 1))
        [stream] = document.channels[0].streams
        assert (stream.packets, stream.lost) == (len(log.packets), 0)
        inside = outside = 0
        for packet in log.packets:
            at_ns, timestamp, size = int(packet["sent_ns"]), int(packet["timestamp"]), int(packet["size"])
            said = sound.heard(np.array([log.about.voice], np.uint64), packet["sample"][None], size, 0)[0]
            frames = [epoch.frame + ((timestamp - epoch.timestamp + (1 << 31)) % (1 << 32) - (1 << 31))
                      for epoch in stream.epochs if epoch.frame <= epoch.frame + timestamp - epoch.timestamp]
            found = any(np.array_equal(audio[frame : frame + size], said) for frame in frames if frame >= 0)
            if any(at + CLOSE_NS < at_ns < until - CLOSE_NS for at, until in instants):
                inside += 1
                assert said.tobytes() not in audio.tobytes()
            elif not any(abs(at_ns - instant) <= CLOSE_NS for pair in instants for instant in pair):
                outside += 1
                assert found, (at_ns, instants, document)
        assert inside >= 100
        assert outside >= 60
        gone = sum(row.frames for row in document.gaps if row.reason == "paused")
        if pause_as == "cut":
            assert gone == 0
            assert document.frames == audio.size <= outside * 160 + 8 * 160
            assert [row.frames for row in document.pauses] == [0, 0]
        else:
            assert document.frames == audio.size == len(log.packets) * 160
            assert inside * 160 <= gone <= inside * 160 + 8 * 160
        assert not [row for row in document.gaps if row.reason != "paused"]
        assert one.run("check", str(one.recordings)).returncode == 0
        assert one.end() == 0
