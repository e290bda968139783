"""Who sent what to whom, and which of it is RTP."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from receiver.importing import flows as module
from receiver.importing.flows import Flows
from receiver.importing.letters import Letterbox
from receiver.wire import rtp
from tests.importing.captures import SECOND, Datagram, packet, pcap


def one(sequence: int, *, ssrc: int = 7, kind: int = 0, port: int = 4_000, to: int = 20_000) -> Datagram:
    """A packet of RTP."""
    header = struct.pack("!BBHLL", 0x80, kind, sequence & 0xFFFF, sequence * 160, ssrc)
    return Datagram(sequence * 20_000_000, header + b"\x55" * 160, port=port, to=to)


def surveyed(folder: Path, sent: Sequence[Datagram], piece: int = 1 << 20) -> Flows:
    (folder / "capture").write_bytes(pcap([(datagram.stamp_ns, packet(datagram)) for datagram in sent]))
    flows = Flows(rtp.payload_kinds())
    for letters in Letterbox(folder / "capture", 600 * SECOND, piece).read():
        flows.survey(letters)
    return flows


@pytest.mark.parametrize("piece", [100, 1 << 20])
def test_a_flow_is_one_source_and_one_destination(tmp_path: Path, piece: int) -> None:
    sent = [one(k, port=port, to=to) for k in range(1, 4) for port in (4_000, 4_002) for to in (20_000, 20_002)]
    flows = surveyed(tmp_path, sent, piece)
    assert [(flow.source.port, flow.target.port) for flow in flows.flows] == [
        (4_000, 20_000), (4_000, 20_002), (4_002, 20_000), (4_002, 20_002),
    ]  # fmt: skip
    assert [(flow.number, flow.packets, flow.speech, flow.recorded) for flow in flows.flows] == [
        (number, 3, 3, True) for number in range(4)
    ]
    assert [flow.last for flow in flows.flows] == [8, 9, 10, 11]
    assert str(flows.flows[1]) == "192.0.2.7:4000 → 198.51.100.1:20002"


@pytest.mark.parametrize("piece", [100, 1 << 20])
@pytest.mark.parametrize(
    ("numbers", "is_rtp"),
    [((5, 6), True), ((6, 5), True), ((5, 36), True), ((5, 37), False), ((5,), False), ((5, 5), False),
     ((0xFFFF, 0x10000), True), ((5, 2_000, 4_000), False)],
)  # fmt: skip
def test_two_that_are_one_after_the_other_are_rtp(
    tmp_path: Path, numbers: tuple[int, ...], is_rtp: bool, piece: int
) -> None:
    (flow,) = surveyed(tmp_path, [one(number) for number in numbers], piece).flows
    assert flow.rtp is is_rtp


def test_two_of_different_ssrcs_are_not(tmp_path: Path) -> None:
    (flow,) = surveyed(tmp_path, [one(5), one(6, ssrc=8)]).flows
    assert not flow.rtp


def test_a_flow_of_another_payload_type_is_rtp_that_is_not_recorded(tmp_path: Path) -> None:
    (flow,) = surveyed(tmp_path, [one(5, kind=111), one(6, kind=111), one(7, kind=96)]).flows
    assert (flow.rtp, flow.recorded, dict(flow.unknown)) == (True, False, {111: 2, 96: 1})


def test_flows_beyond_the_limit_are_counted_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FLOWS", 2)
    flows = surveyed(tmp_path, [one(k, port=4_000 + k % 5) for k in range(20)])
    assert (len(flows.flows), flows.crowded, flows.datagrams) == (2, 12, 20)


def test_ipv6_in_words(tmp_path: Path) -> None:
    sent = [one(k)._replace(source="2001:db8::7", target="::1") for k in (1, 2)]
    assert str(surveyed(tmp_path, sent).flows[0]) == "[2001:db8::7]:4000 → [::1]:20000"
