"""How long an Opus packet is, and whether it is one: held against libopus itself."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.wire import opus
from tests.tools import count
from tests.wire.libopus import Decoder

AT = 17  # of the payload in its row
FRAME_MS = {
    0: 10, 1: 20, 2: 40, 3: 60, 4: 10, 7: 60, 8: 10, 11: 60, 12: 10, 13: 20, 14: 10, 15: 20, 16: 2.5, 17: 5, 18: 10,
    19: 20, 20: 2.5, 28: 2.5, 31: 20,
}  # fmt: skip


def survey(packets: list[bytes]) -> opus.Survey:
    octets = np.full((len(packets), 1_536), 0xA5, np.uint8)
    for row, packet in zip(octets, packets, strict=True):
        row[AT : AT + len(packet)] = np.frombuffer(packet, np.uint8)
    at, size = np.full(len(packets), AT), np.array([len(packet) for packet in packets])
    return opus.survey(octets, np.arange(len(packets)), at, size)


def duration_of(packet: bytes) -> int:
    """By libopus, in 1/8000 s; 0 if it refuses."""
    try:
        return Decoder().decode(packet).size // opus.TICKS
    except ValueError:
        return 0


@pytest.mark.parametrize(("config", "ms"), FRAME_MS.items())
def test_the_configurations_of_rfc_6716_table_2(config: int, ms: float) -> None:
    assert survey([bytes([config << 3]) + bytes(20)]).duration.tolist() == [ms * 8]


@pytest.mark.parametrize(
    ("packet", "ms"),
    [
        (b"\x08", 20),  # discontinuous transmission: no octet of sound
        (b"\x0b", 0),  # code 3 without a count
        (b"\x0b\x00", 0),  # R5: of no frame
        (b"\x0b\x06" + bytes(6), 120),
        (b"\x0b\x07" + bytes(7), 0),  # R5: 140 ms
        (b"\x0b\x06" + bytes(7), 0),  # R6: does not divide
        (b"\x09" + bytes(3), 0),  # R3: odd
        (b"\x0a\xfc", 0),  # R4: the length sticks out
        (b"\x0a\x05" + bytes(4), 0),
        (b"\x0a\x05" + bytes(5), 40),
        (b"\x0b\x43\x02" + bytes(3) + bytes(2), 60),  # padding
        (b"\x0b\x43\xff\x01" + bytes(3) + bytes(255), 60),  # of 255 octets
        (b"\x0b\x43\x09" + bytes(3), 0),  # R6, R7: more padding than there is
        (b"\x08" + bytes(1_275), 20),
        (b"\x08" + bytes(1_276), 0),  # R2
    ],
)
def test_the_requirements_of_rfc_6716_section_3_4(packet: bytes, ms: int) -> None:
    assert survey([packet]).duration.tolist() == [ms * 8]
    assert duration_of(packet) == ms * 8


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    """Octets that begin as packets do."""
    code, count_ = draw(st.integers(0, 3)), draw(st.integers(0, 63))
    head = [draw(st.integers(0, 31)) << 3 | draw(st.sampled_from([0, 4])) | code]
    head += [draw(st.sampled_from([0, 0x40, 0x80, 0xC0])) | count_] * (code == 3)
    lengths = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 251, 252, 253, 254, 255]), max_size=8))
    return bytes(head + lengths) + bytes(draw(st.one_of(st.integers(0, 60), st.integers(0, 1_400))))


@settings(max_examples=count(50, all=2_000, full=200_000), deadline=None)
@given(st.lists(st.one_of(almost(), st.binary(min_size=1, max_size=1_460)), min_size=1, max_size=12))
@example([b"\xfb\xb0" + bytes(60), b"\x03\xff\xff\xff\xff"])
def test_what_is_taken_for_whole_is_what_libopus_takes(packets: list[bytes]) -> None:
    found = survey(packets)
    assert found.duration.tolist() == [duration_of(packet) for packet in packets]
    assert found.stereo.tolist() == [bool(packet[0] & 4) for packet in packets]


def test_random_octets_by_the_thousand() -> None:
    dice = np.random.default_rng(5)
    packets = [dice.bytes(int(size)) for size in dice.integers(1, 60, count(3_000, all=8_000, full=1_000_000))]
    assert survey(packets).duration.tolist() == [duration_of(packet) for packet in packets]


def test_what_lies_behind_a_packet_in_its_row_has_no_influence() -> None:
    octets = np.zeros((2, 64), np.uint8)
    octets[:, 60:] = [0x0B, 0x82, 9, 9]
    octets[1, 64 - 1] = 0
    size = np.array([2, 2])
    assert opus.survey(octets, np.arange(2), np.full(2, 60), size).duration.tolist() == [0, 0]
