"""The UDP datagram is found in frames of every link layer that we read, and what is none is told apart."""

import ipaddress
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.wire import ip
from receiver.wire.capture import Frames, Reader
from receiver.wire.ip import LINKS, Fate, Found
from tests.importing.captures import Datagram, framed, packet, pcap
from tests.tools import needs

FOUR = Datagram(0, b"a payload of some octets")
SIX = FOUR._replace(source="2001:db8::7", target="2001:db8:1::ffff", payload=b"another")
EXTENSIONS = [
    (0, b"\x00" + bytes(6)), (43, b"\x01" + bytes(14)), (60, b"\x00" + bytes(6)), (51, b"\x04" + bytes(22)),
]  # fmt: skip


def look(frames: Sequence[bytes], link: int = 101, snap: int = 65_535) -> tuple[Frames, Found]:
    """What is found in these frames."""
    read = Reader().feed(pcap([(0, frame) for frame in frames], link, snap=snap))
    return read, ip.read(read)


def fates(frames: Sequence[bytes], link: int = 101, snap: int = 65_535) -> list[Fate]:
    return [Fate(fate) for fate in look(frames, link, snap)[1].fate.tolist()]


def told(read: Frames, found: Found, k: int) -> tuple[str, int, str, int, bytes]:
    """One datagram in words."""
    def words(address: list[int]) -> str:
        whole = ipaddress.IPv6Address(address[0] << 64 | address[1])
        return str(whole.ipv4_mapped or whole)

    at, size = int(found.payload_at[k]), int(found.payload_size[k])
    return (
        words(found.source[k].tolist()), int(found.source_port[k]), words(found.target[k].tolist()),
        int(found.target_port[k]), read.octets[at : at + size].tobytes(),
    )  # fmt: skip


def expect(one: Datagram) -> tuple[str, int, str, int, bytes]:
    return one.source, one.port, one.target, one.to, one.payload


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("order", "<>")
def test_every_link_layer_with_both_versions_of_ip(link: int, order: str) -> None:
    both = [FOUR] if link == 228 else [SIX] if link == 229 else [FOUR, SIX]
    read, found = look([framed(link, packet(one), order) for one in both], link)
    assert [told(read, found, k) for k in range(len(both))] == [expect(one) for one in both]
    assert found.fate.tolist() == [Fate.UDP] * len(both)


@pytest.mark.parametrize("tags", [(0x8100,), (0x88A8, 0x8100), (0x9100, 0x8100, 0x8100)])
@pytest.mark.parametrize("link", [1, 113])
def test_vlan_tags_one_or_several(tags: tuple[int, ...], link: int) -> None:
    read, found = look([framed(link, packet(one), tags=tags) for one in (FOUR, SIX)], link)
    assert [told(read, found, k) for k in (0, 1)] == [expect(FOUR), expect(SIX)]


@given(chosen=st.lists(st.sampled_from(EXTENSIONS), max_size=6), payload=st.binary(max_size=50))
def test_extension_headers_in_any_order(chosen: list[tuple[int, bytes]], payload: bytes) -> None:
    one = SIX._replace(payload=payload)
    read, found = look([packet(one, chosen)])
    assert told(read, found, 0) == expect(one)


def test_padding_of_short_frames_is_no_payload() -> None:
    short = FOUR._replace(payload=b"x")
    read, found = look([framed(1, packet(one)) + bytes(20) for one in (short, SIX)], 1)
    assert [told(read, found, k) for k in (0, 1)] == [expect(short), expect(SIX)]


def test_ipv4_options_are_passed_over() -> None:
    octets = packet(FOUR)
    head = b"\x46" + octets[1:2] + struct.pack("!H", len(octets) + 4) + octets[4:20]
    read, found = look([head + b"\x01\x01\x01\x00" + octets[20:]])
    assert told(read, found, 0) == expect(FOUR)


def test_a_length_that_the_card_was_to_fill_in() -> None:
    octets = packet(FOUR)
    read, found = look([octets[:2] + bytes(2) + octets[4:]])
    assert told(read, found, 0) == expect(FOUR)


def test_fragments_are_told_and_not_put_together() -> None:
    first, later = packet(FOUR, fragment=0x2000), packet(FOUR, fragment=0x0001)
    six = [packet(SIX, [(44, b"\x00" + struct.pack("!HI", offset, 9))]) for offset in (1, 8, 9)]
    assert fates([first, later, *six]) == [Fate.FRAGMENT] * 5


def test_a_fragment_that_is_the_whole_is_whole() -> None:
    """Rule: RFC 6946. IPv4's "do not fragment" is none either."""
    read, found = look([packet(SIX, [(44, b"\x00" + struct.pack("!HI", 0, 9))]), packet(FOUR, fragment=0x4000)])
    assert [told(read, found, k) for k in (0, 1)] == [expect(SIX), expect(FOUR)]


def test_what_is_not_udp_is_something_else() -> None:
    four, six = packet(FOUR), packet(SIX)
    tcp = [four[:9] + b"\x06" + four[10:], six[:6] + b"\x06" + six[7:], four[:6] + b"\x20\x00\x40\x06" + four[10:]]
    assert fates(tcp) == [Fate.OTHER] * 3
    assert fates([bytes(12) + b"\x08\x06" + bytes(28), bytes(12) + b"\x81\x00" * 6 + bytes(30)], 1) == [Fate.OTHER] * 2
    assert fates([b"\x00" * 40, struct.pack("<I", 7) + bytes(30)], 0) == [Fate.OTHER] * 2
    assert fates([b"\x15" + bytes(30)]) == [Fate.OTHER]


def test_a_link_layer_that_is_not_read() -> None:
    assert fates([bytes(60)] * 2, link=127) == [Fate.LINK] * 2


@pytest.mark.parametrize("link", [0, 1, 101, 113, 276])
@pytest.mark.parametrize("one", [FOUR, SIX])
def test_what_the_capture_does_not_keep_whole_is_truncated_at_every_octet(link: int, one: Datagram) -> None:
    frame = framed(link, packet(one))
    for snap in range(1, len(frame)):
        assert fates([frame], link, snap) == [Fate.TRUNCATED], snap


@pytest.mark.parametrize("link", [1, 101])
@pytest.mark.parametrize("one", [FOUR, SIX])
def test_what_is_too_short_although_it_is_whole_is_malformed(link: int, one: Datagram) -> None:
    frame = framed(link, packet(one))
    for size in range(1, len(frame)):
        assert fates([frame[:size]], link) == [Fate.MALFORMED], size


def test_headers_that_contradict_each_other_are_malformed() -> None:
    four, six = packet(FOUR), packet(SIX)
    assert fates([
        b"\x44" + four[1:],  # a header of 16 octets
        four[:2] + b"\x00\x10" + four[4:],  # shorter than its own header
        four[:24] + b"\x00\x07" + four[26:],  # UDP shorter than its header
        four[:24] + b"\x00\xff" + four[26:],  # UDP longer than the packet
        six[:44] + b"\x00\xff" + six[46:],
    ]) == [Fate.MALFORMED] * 5  # fmt: skip
    padded = framed(1, four[:24] + struct.pack("!H", 8 + len(FOUR.payload) + 5) + four[26:]) + bytes(40)
    assert fates([padded], 1) == [Fate.MALFORMED]
    wrong_version = framed(1, four)[:14] + b"\x65" + four[1:]
    assert fates([wrong_version], 1) == [Fate.MALFORMED]


def test_no_frames_at_all() -> None:
    assert look([])[1].fate.size == 0


@pytest.mark.all
@needs("tshark")
@pytest.mark.parametrize("link", LINKS)
def test_tshark_sees_the_same(tmp_path: Path, link: int) -> None:
    both = [FOUR] if link == 228 else [SIX] if link == 229 else [FOUR, SIX]
    sent = [one._replace(payload=bytes(range(k)), port=5_000 + k) for k in range(1, 40) for one in both]
    extended = [(51, EXTENSIONS[3][1]), (0, EXTENSIONS[0][1])][::-1]
    frames = [framed(link, packet(one, extended), tags=(0x8100,) if link == 1 else ()) for one in sent]
    (tmp_path / "in").write_bytes(pcap([(0, frame) for frame in frames], link))
    fields = "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.payload"
    lines = subprocess.run(
        ["tshark", "-r", tmp_path / "in", "-T", "fields", *(word for field in fields for word in ("-e", field))],
        check=True, capture_output=True, text=True,
    ).stdout.split("\n")[:-1]  # fmt: skip
    read, found = look(frames, link)
    for k, line in enumerate(lines):
        four, six, to_four, to_six, port, to, payload = line.split("\t")
        assert told(read, found, k) == (four or six, int(port), to_four or to_six, int(to), bytes.fromhex(payload))
    assert len(lines) == len(sent)
