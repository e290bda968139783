"""A sender as a second process: it tells its addresses, waits, sends, tells what it sent, ends."""

import os
import signal
from pathlib import Path

import pytest

from receiver.lab import senderlog
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderFailed, SenderProcess
from tests.lab.conftest import Listen


def test_it_waits_until_it_is_told_and_from_where_it_sends_is_known(listen: Listen, tmp_path: Path) -> None:
    ears = listen(2)
    with SenderProcess(
        Plan((Caller(1, seconds=0.2), Caller(2, seconds=0.2)), own_ports=True, log=str(tmp_path))
    ) as sender:
        assert len(set(sender.sources)) == 2
        assert ears[0].heard() == []
        sender.go([ear.address for ear in ears])
        summary = sender.wait(30)
    assert (summary.packets, summary.refused, summary.log) == (20, 0, str(tmp_path))
    for caller, ear, source in zip((1, 2), ears, sender.sources, strict=True):
        heard = ear.heard()
        assert len(heard) == len(senderlog.read(senderlog.file_of(tmp_path, caller)).packets) == 10
        assert {where for _, where in heard} == {source}


@pytest.mark.parametrize("lean", [False, True])
def test_it_can_be_stopped_and_still_writes_its_log(listen: Listen, tmp_path: Path, lean: bool) -> None:
    ear = listen(1)[0]
    with SenderProcess(Plan((Caller(1, ear.address, seconds=600),), lean=lean, log=str(tmp_path))) as sender:
        sender.go()
        ear.socket.setblocking(True)
        ear.socket.recv(2048)
        ear.socket.setblocking(False)
        sender.stop()
        summary = sender.wait(30)
    log = senderlog.read_crowd(tmp_path).sent(1) if lean else senderlog.read(senderlog.file_of(tmp_path, 1))
    assert summary.stopped
    assert summary.packets == len(log.packets) == 1 + len(ear.heard())


def test_a_plan_that_cannot_be_sent_is_told_with_its_reason() -> None:
    with pytest.raises(SenderFailed, match=r"no-such-host"):
        SenderProcess(Plan((Caller(1),), source="no-such-host.invalid"))


def test_every_wait_is_bounded(listen: Listen) -> None:
    with SenderProcess(Plan((Caller(1, listen(1)[0].address, seconds=600),))) as sender:
        sender.go()
        with pytest.raises(SenderFailed, match="nothing from the sender"):
            sender.wait(0.01)


def test_a_sender_that_is_gone_is_told() -> None:
    with SenderProcess(Plan((Caller(1),))) as sender:
        os.kill(sender.pid, signal.SIGKILL)
        with pytest.raises(SenderFailed, match="ended"):
            sender.wait(60)
        with pytest.raises(SenderFailed, match="gone"):
            sender.go()


def test_it_never_outlives_a_broken_test(listen: Listen) -> None:
    with SenderProcess(Plan((Caller(1, listen(1)[0].address, seconds=600),))) as sender:
        sender.go()
    with pytest.raises(ProcessLookupError):
        os.kill(sender.pid, 0)
