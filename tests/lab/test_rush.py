"""The lean path sends the same kind of thing as the other one, and its short log tells every packet."""

from pathlib import Path

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from receiver.lab import senderlog, sound
from receiver.lab.plan import Caller, Plan, PlanError
from receiver.lab.rush import Rush
from receiver.wire.g711 import PCMA
from tests.lab.conftest import Listen


@pytest.mark.parametrize(("burst", "taps"), [(1, 1), (1, 50), (3, 30), (2, 7)])
def test_what_arrives_is_what_the_log_tells(listen: Listen, tmp_path: Path, burst: int, taps: int) -> None:
    ears = listen(taps)
    callers = tuple(
        Caller(number, ear.address, codec="PCMA", seconds=0.24, ssrc=0xCAFE if number == 3 else None)
        for number, ear in enumerate(ears, 1)
    )
    with Rush(Plan(callers, lean=True, burst=burst, log=str(tmp_path))) as rush:
        summary = rush.run()
        source = rush.sources[0]
    crowd = senderlog.read_crowd(tmp_path)
    assert crowd.counts.tolist() == [12] * taps
    for caller, ear in zip(callers, ears, strict=True):
        log, heard = crowd.sent(caller.id), ear.heard()
        assert {where for _, where in heard} == {source} == {log.about.source}
        assert log.about.to == ear.address
        for (datagram, _), packet in zip(heard, log.packets, strict=True):
            told = RtpPacket.parse(datagram)
            assert (told.payload_type, told.ssrc) == (PCMA, int(packet["ssrc"]))
            assert (told.sequence_number, told.timestamp) == (int(packet["sequence"]), int(packet["timestamp"]))
            assert told.payload == sound.identity(log.about.voice, int(packet["sample"]), 160, PCMA).tobytes()
        if caller.id == 3:
            assert int(log.packets["ssrc"][0]) == 0xCAFE
    assert (summary.packets, summary.refused) == (12 * taps, 0)
    assert summary.octets == 12 * taps * 172


def test_numbers_wrap(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = listen(1)[0]

    class Loaded:
        def integers(self, top: int, size: int, dtype: type) -> np.ndarray:
            return np.full(size, top - 2 if top == 1 << 16 else top - 320, dtype)

    monkeypatch.setattr(np.random, "default_rng", lambda _: Loaded())
    with Rush(Plan((Caller(1, ear.address, seconds=0.1),), lean=True)) as rush:
        rush.run()
    told = [RtpPacket.parse(datagram) for datagram, _ in ear.heard()]
    assert [each.sequence_number for each in told] == [65_534, 65_535, 0, 1, 2]
    assert [each.timestamp for each in told] == [2**32 - 320, 2**32 - 160, 0, 160, 320]


def test_what_the_kernel_refuses_was_not_sent(listen: Listen, tmp_path: Path) -> None:
    ear = listen(1)[0]
    callers = (Caller(1, "255.255.255.255:9", seconds=0.1), Caller(2, ear.address, seconds=0.1))
    with Rush(Plan(callers, lean=True, log=str(tmp_path))) as rush:
        summary = rush.run()
    assert (summary.packets, summary.refused) == (5, 5)
    crowd = senderlog.read_crowd(tmp_path)
    assert crowd.counts.tolist() == [0, 5]
    assert len(crowd.sent(1).packets) == 0
    assert len(ear.heard()) == 5


def test_a_stop_before_the_first_slot_sends_nothing(listen: Listen, tmp_path: Path) -> None:
    ear = listen(1)[0]
    with Rush(Plan((Caller(1, seconds=600),), lean=True, log=str(tmp_path))) as rush:
        rush.aim([ear.address])
        rush.stop()
        summary = rush.run()
    assert (summary.packets, summary.stopped) == (0, True)
    assert rush.stopped
    assert senderlog.read_crowd(tmp_path).counts.tolist() == [0]
    assert ear.heard() == []


def test_only_a_lean_plan_is_rushed() -> None:
    with pytest.raises(PlanError):
        Rush(Plan((Caller(1),)))
