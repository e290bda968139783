"""Over real sockets: what arrives is what the plan says and what the log tells."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from receiver.lab import plan as plans
from receiver.lab import senderlog, sound
from receiver.lab.forecast import Weather
from receiver.lab.plan import Caller, Plan, PlanError
from receiver.lab.rush import Rush
from receiver.lab.sender import Sender, datagrams, open_sender
from receiver.wire.g711 import PCMA, PCMU
from tests.lab.conftest import Listen

ODD = Weather(sizes=(1, 97, 160, 333, 1460), sizes_run=1)


def test_datagrams_are_rtp_as_somebody_elses_program_reads_it() -> None:
    packets = plans.schedule(
        Plan((Caller(3, weather=ODD, seconds=2), Caller(4, codec="PCMA", seconds=2, weather="wrap")))
    )
    for packet, octets in zip(packets, datagrams(packets), strict=True):
        size = int(packet["size"])
        assert not octets[12 + size :].any()
        told = RtpPacket.parse(octets[: 12 + size].tobytes())
        assert (told.version, told.csrc, told.padding_size) == (2, [], 0)
        for name in ("sequence_number", "timestamp", "ssrc", "payload_type", "marker"):
            assert getattr(told, name) == int(packet[name.removesuffix("_number")])
        said = sound.identity(int(packet["caller"]), int(packet["sample"]), size, int(packet["payload_type"]))
        assert told.payload == said.tobytes()


@pytest.mark.parametrize("own_ports", [False, True])
def test_what_arrives_is_what_the_log_tells_in_order_and_from_the_told_address(
    listen: Listen, tmp_path: Path, own_ports: bool
) -> None:
    ears = listen(3)
    callers = (
        Caller(1, ears[0].address, seconds=0.4, weather="everything"),
        Caller(2, ears[1].address, codec="PCMA", seconds=0.4, weather=ODD),
        Caller(3, ears[2].address, seconds=0.4, speech=True, size=240),
    )
    with Sender(Plan(callers, own_ports=own_ports, log=str(tmp_path))) as sender:
        sources = sender.sources
        summary = sender.run()
    total = octets = 0
    for caller, ear, source in zip(callers, ears, sources, strict=True):
        log = senderlog.read(senderlog.file_of(tmp_path, caller.id))
        heard = ear.heard()
        assert {where for _, where in heard} == {source} == {log.about.source}
        told = [RtpPacket.parse(datagram) for datagram, _ in heard]
        assert [each.sequence_number for each in told] == log.packets["sequence"].tolist()
        assert [each.timestamp for each in told] == log.packets["timestamp"].tolist()
        assert [each.ssrc for each in told] == log.packets["ssrc"].tolist()
        for each, packet in zip(told, log.packets, strict=True):
            law = PCMA if caller.codec == "PCMA" else PCMU
            assert (
                each.payload == sound.identity(caller.voice, int(packet["sample"]), int(packet["size"]), law).tobytes()
            )
        assert np.all(np.diff(log.packets["sent_ns"]) >= 0)
        total, octets = total + len(heard), octets + sum(len(datagram) for datagram, _ in heard)
    assert (summary.packets, summary.octets, summary.refused, summary.stopped) == (total, octets, 0, False)


def test_destinations_may_be_told_after_the_address_is_known(listen: Listen) -> None:
    ear = listen(1)[0]
    with Sender(Plan((Caller(1, seconds=0.1),))) as sender:
        with pytest.raises(PlanError, match="nowhere"):
            sender.run()
        sender.aim([ear.address])
        sender.run()
    assert len(ear.heard()) == 5


def test_ipv6_is_sent_too(listen: Listen) -> None:
    ear = listen(1, socket.AF_INET6)[0]
    with Sender(Plan((Caller(1, ear.address, seconds=0.1),), source="[::1]")) as sender:
        sender.run()
        assert {where for _, where in ear.heard()} == {sender.sources[0]}


def test_what_the_kernel_refuses_was_not_sent(listen: Listen, tmp_path: Path) -> None:
    ear = listen(1)[0]
    callers = (
        Caller(1, "255.255.255.255:9", seconds=0.1),
        Caller(2, ear.address, seconds=0.1),
    )  # no broadcast is allowed
    with Sender(Plan(callers, log=str(tmp_path))) as sender:
        summary = sender.run()
    assert (summary.packets, summary.refused) == (5, 5)
    assert len(senderlog.read(senderlog.file_of(tmp_path, 1)).packets) == 0
    assert len(senderlog.read(senderlog.file_of(tmp_path, 2)).packets) == len(ear.heard()) == 5


def test_a_stop_ends_it_early_and_the_log_tells_what_went(listen: Listen, tmp_path: Path) -> None:
    ear = listen(1)[0]
    with Sender(Plan((Caller(1, ear.address, seconds=600),), log=str(tmp_path))) as sender:
        summaries: list[int] = []
        thread = threading.Thread(target=lambda: summaries.append(sender.run().packets))
        thread.start()
        ear.socket.setblocking(True)
        first = ear.socket.recv(2048)
        ear.socket.setblocking(False)
        sender.stop()
        thread.join(60)
    assert sender.stopped
    assert summaries == [len(senderlog.read(senderlog.file_of(tmp_path, 1)).packets)] == [1 + len(ear.heard())]
    assert len(first) == 172


def test_a_plan_is_sent_the_way_it_says() -> None:
    caller = Caller(1, "127.0.0.1:9")
    with open_sender(Plan((caller,))) as plain, open_sender(Plan((caller,), lean=True)) as lean:
        assert (type(plain), type(lean)) == (Sender, Rush)
    with pytest.raises(PlanError):
        Sender(Plan((caller,), lean=True))
