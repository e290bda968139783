"""A port that is always open: who comes is recorded, and the next one after him."""

import json
import socket
from functools import partial
from pathlib import Path

import pytest

from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.exchange import until
from tests.journeys.host import Host


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _are(count: int, found: list[Path]) -> bool:
    return len(found) == count


@pytest.mark.all
def test_what_comes_to_a_port_that_is_always_open_is_recorded_one_after_the_other(tmp_path: Path) -> None:
    one, port = Host(tmp_path, **{"taps.silence_timeout_s": "1"}), free_port()
    with one.config.open("a") as config:
        config.write(f'[[listen]]\nport = {port}\nlabel = "gate=3"\nsource = "any"\n')
    one.start()
    for number in range(2):
        until(lambda: [tap["state"] for tap in one.ask("tap", "list", "--state", "listening")], lambda it: len(it) == 1)
        logs = tmp_path / f"logs-{number}"
        logs.mkdir()
        plan = Plan(callers=(Caller(id=1, seconds=1.5, weather="lossy"),), seed=number, log=str(logs))
        with SenderProcess(plan) as sender:
            sender.go([f"127.0.0.1:{port}"])
            assert not sender.wait(60.0).refused
        sidecars = until(one.sidecars, partial(_are, number + 1))
        newest = max(sidecars, key=lambda path: path.stat().st_mtime_ns)
        found = prove(newest, file_of(logs, 1), Expected(ending="silence"))
        assert found.exact, str(found)
        assert json.loads(newest.read_bytes())["labels"] == {"gate": "3"}
    assert one.end() == 0
