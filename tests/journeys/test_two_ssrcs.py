"""Rule A12 with a real daemon and a real sender: two SSRCs at once from one socket are two exact channels."""

import json
import os
import signal
from pathlib import Path

import pytest

from receiver.archive.check import check
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.exchange import until
from tests.journeys.host import host


@pytest.mark.all
def test_a12_p3_two_ssrcs_from_one_source_are_two_channels_though_the_worker_is_killed(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    callers = Caller(id=0, seconds=5.0, weather="jittery"), Caller(id=1, seconds=4.0, start_s=0.5, weather="lossy")
    with host(tmp_path) as one:
        sender = SenderProcess(Plan(callers=callers, seed=7, log=str(logs)))
        try:
            assert len(set(sender.sources)) == 1
            tap = one.post("/v1/taps", {"source": sender.sources[0]})
            sender.go([tap["uri"].removeprefix("rtp://")] * 2)
            until(lambda: "second_ssrc" in one.log())
            os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
            assert not sender.wait(60.0).refused
        finally:
            sender.close()
        one.post(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
    [path] = one.sidecars()
    proof = prove(path, [file_of(logs, number) for number in (0, 1)], Expected(ending="stopped"))
    assert proof.exact, str(proof)
    told = json.loads(path.read_bytes())
    assert [channel["party"] for channel in told["channels"]] == ["unknown", "unknown"]
    assert not check(one.recordings)
