"""A file is read in pieces, and the UDP datagrams of each come as columns."""

from pathlib import Path

import numpy as np
import pytest

from receiver.importing.letters import Letterbox
from receiver.importing.stamps import BEGIN_NS
from receiver.wire.ip import Fate
from tests.importing.captures import SECOND, Datagram, framed, packet, pcap

SENT = [Datagram(7 * SECOND + k * 1_000, bytes([k]) * (k + 1), port=1_000 + k % 3) for k in range(40)]
ARP = bytes(12) + b"\x08\x06" + bytes(46)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture"
    path.write_bytes(pcap([(one.stamp_ns, frame) for one in SENT for frame in (framed(1, packet(one)), ARP)], link=1))
    return path


@pytest.mark.parametrize("piece", [64, 1_000, 1 << 20])
def test_every_datagram_comes_once_with_who_and_when_and_what(capture: Path, piece: int) -> None:
    box = Letterbox(capture, SECOND, piece)
    came = []
    for letters in box.read():
        assert np.unique(letters.key).size == np.unique(letters.source_port).size
        rows = letters.rows(np.arange(letters.at.size))
        assert rows.shape[1:] == (1_536,)
        came += [
            (int(at), int(port), row[:size].tobytes())
            for at, port, row, size in zip(letters.arrival_ns, letters.source_port, rows, letters.size, strict=True)
        ]
    assert came == [(BEGIN_NS + one.stamp_ns - SENT[0].stamp_ns, one.port, one.payload) for one in SENT]
    assert box.fates[[Fate.UDP, Fate.OTHER]].tolist() == [40, 40]
    assert box.fault is None


def test_a_fault_ends_the_reading(capture: Path) -> None:
    octets = capture.read_bytes()
    capture.write_bytes(octets[: len(octets) // 2])
    box = Letterbox(capture, SECOND)
    assert sum(letters.at.size for letters in box.read()) > 10
    assert box.fault is not None


def test_link_layers_that_are_not_read_are_named(capture: Path) -> None:
    capture.write_bytes(pcap([(0, bytes(60))] * 3, link=127))
    box = Letterbox(capture, SECOND)
    assert [letters.at.size for letters in box.read()] == [0]
    assert box.links == {127}


def test_a_file_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(Letterbox(tmp_path / "away", SECOND).read())
