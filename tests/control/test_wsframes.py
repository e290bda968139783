"""Octets and arrivals become RTP: every octet once and in order, in its place in time, never far ahead of it."""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.control.wsframes import DRIFT, LEAD_NS, LONGEST_PAYLOAD, NS_PER_OCTET, PAUSE_NS, Packetizer
from receiver.wire.serial import widen

MS, SECOND = 1_000_000, 1_000_000_000
START = 1_000 * SECOND


class Packet(NamedTuple):
    sent_ns: int
    sequence: int
    timestamp: int
    payload: bytes

    @property
    def end(self) -> int:
        return self.timestamp + len(self.payload)


class Line:
    """A reader of the socket, in its own time: what waits makes all that follows wait."""

    def __init__(self, sequence: int = 0, timestamp: int = 0) -> None:
        self.packetizer = Packetizer(8, 0x01020304, sequence, timestamp)
        self.packets: list[Packet] = []
        self.now_ns = START

    def meet(self, octets: bytes, arrival_ns: int) -> None:
        self.now_ns = max(self.now_ns, arrival_ns)
        self.packetizer.meet(len(octets), self.now_ns)
        at = 0
        while at < len(octets):
            self.now_ns += self.packetizer.wait_ns(self.now_ns)
            payload = octets[at : at + self.packetizer.longest]
            self._note(self.packetizer.packet(payload, self.now_ns))
            at += len(payload)

    def _note(self, packet: bytes) -> None:
        assert packet[:2] == b"\x80\x08"
        assert packet[8:12] == b"\x01\x02\x03\x04"
        sequence, timestamp = int.from_bytes(packet[2:4]), int.from_bytes(packet[4:8])
        before = self.packets[-1].timestamp if self.packets else timestamp
        self.packets.append(Packet(self.now_ns, sequence, int(widen(before, timestamp, 32)), packet[12:]))

    def gaps(self) -> list[int]:
        return [b.timestamp - a.end for a, b in pairwise(self.packets) if b.timestamp != a.end]


arrivals = st.lists(st.tuples(st.integers(1, 40_000), st.integers(0, 3 * SECOND)), min_size=1, max_size=30)


@given(arrivals, st.integers(0, 65_535), st.sampled_from([0, (1 << 32) - 100, (1 << 31) - 100]))
def test_every_octet_once_and_in_order_and_no_time_twice(
    frames: list[tuple[int, int]], sequence: int, timestamp: int
) -> None:
    line, arrival_ns, said = Line(sequence, timestamp), START, b""
    for size, passed_ns in frames:
        arrival_ns += passed_ns
        frame = bytes(k % 251 for k in range(len(said), len(said) + size))
        line.meet(frame, arrival_ns)
        said += frame
    assert b"".join(packet.payload for packet in line.packets) == said
    assert all(0 < len(packet.payload) <= LONGEST_PAYLOAD for packet in line.packets)
    numbers = [packet.sequence for packet in line.packets]
    assert numbers == [(sequence + k) % 65_536 for k in range(len(numbers))]
    assert all(gap * NS_PER_OCTET > PAUSE_NS - NS_PER_OCTET for gap in line.gaps())


@given(arrivals)
def test_the_spread_of_transits_within_a_run_stays_below_the_second_of_rules_a10_and_a17(
    frames: list[tuple[int, int]],
) -> None:
    line, arrival_ns = Line(), START
    for size, passed_ns in frames:
        arrival_ns += passed_ns
        line.meet(bytes(size), arrival_ns)
        end = line.packets[-1].end
        assert line.packetizer.wait_ns(line.now_ns) <= SECOND, "one packet at most is ahead of the lead"
    first, last = line.packets[0], line.packets[-1]
    ahead_ns = (end - first.timestamp) * NS_PER_OCTET - (last.sent_ns - first.sent_ns)
    drift_ns = (end - first.timestamp) * NS_PER_OCTET // DRIFT
    assert ahead_ns <= 2 * LEAD_NS + LONGEST_PAYLOAD * NS_PER_OCTET + drift_ns < 2 * SECOND


def test_a_second_of_sound_once_a_second_is_not_torn_and_does_not_wait() -> None:
    line = Line()
    for second in range(20):
        line.meet(bytes(8_000), START + second * SECOND)
        assert line.now_ns == START + second * SECOND
    assert line.gaps() == []


@pytest.mark.parametrize("hold_s", [1, 5, 3_600])
def test_a_hold_is_silence_of_its_length(hold_s: int) -> None:
    line = Line()
    for k in range(50):
        line.meet(bytes(160), START + k * 20 * MS)
    for k in range(50):
        line.meet(bytes(160), START + SECOND + hold_s * SECOND + k * 20 * MS)
    assert line.gaps() == [pytest.approx(hold_s * 8_000, abs=8)]  # 500 ppm of a second


def test_a_burst_that_a_stall_held_back_leaves_no_gap_and_does_not_wait() -> None:
    line = Line()
    for k in range(50):
        line.meet(bytes(160), START + k * 20 * MS)
    line.meet(bytes(5 * 8_000), START + 6 * SECOND)
    assert line.gaps() == []
    assert line.now_ns == START + 6 * SECOND


def test_a_burst_shorter_than_the_stall_ends_at_its_arrival() -> None:
    line = Line()
    line.meet(bytes(160), START)
    line.meet(bytes(16_000), START + 5 * SECOND)
    assert line.gaps() == [pytest.approx(5 * 8_000 - 16_000, abs=1)]


def test_a_long_burst_goes_on_at_four_times_its_speed_behind_the_first_five_seconds() -> None:
    line = Line()
    line.meet(bytes(160), START)
    line.meet(bytes(45 * 8_000), START + 45 * SECOND)
    took_s = (line.now_ns - START - 45 * SECOND) / SECOND
    assert line.gaps() == []
    assert took_s == pytest.approx(10, abs=0.1)


def test_a_long_burst_at_the_beginning_is_handed_on_in_its_time() -> None:
    line = Line()
    line.meet(bytes(8 * 8_000), START)
    assert (line.now_ns - START) / SECOND == pytest.approx(8 - 1, abs=0.2)


@pytest.mark.all
@pytest.mark.parametrize(
    "ppm", [pytest.param(-200, marks=pytest.mark.all), pytest.param(0, marks=pytest.mark.all), 200]
)
def test_an_hour_of_a_clock_that_is_off_has_no_gap_and_builds_up_no_lead(ppm: int) -> None:
    line = Line()
    for k in range(180_000):
        jitter_ns = (k * 7_919) % 190 * MS
        arrival_ns = START + k * (20 * MS + 20 * ppm) + jitter_ns
        line.meet(bytes(160), max(arrival_ns, line.now_ns))
        assert line.now_ns <= max(arrival_ns, line.packets[-1].sent_ns)
        assert line.packetizer.wait_ns(line.now_ns) == 0
    assert line.gaps() == []


def test_a_sender_that_is_much_too_slow_stays_near_its_arrival() -> None:
    line = Line()
    for k in range(1_000):
        line.meet(bytes(160), START + k * 27 * MS)
        said_ns = (line.packets[-1].end - line.packets[0].timestamp) * NS_PER_OCTET
        assert abs(said_ns - k * 27 * MS) < PAUSE_NS + 40 * MS
    assert 200 * 8 < min(line.gaps()) <= max(line.gaps()) < 240 * 8


def test_sequence_and_timestamp_wrap() -> None:
    line = Line(sequence=65_534, timestamp=(1 << 32) - 320)
    for k in range(5):
        line.meet(bytes(320), START + k * 40 * MS)
    assert [packet.sequence for packet in line.packets] == [65_534, 65_535, 0, 1, 2, 3]
    assert [packet.timestamp % (1 << 32) for packet in line.packets][:4] == [(1 << 32) - 320, (1 << 32) - 160, 0, 320]


def test_the_first_frame_is_two_packets_and_one_octet_is_one() -> None:
    line = Line()
    line.meet(bytes(160), START)
    assert [len(packet.payload) for packet in line.packets] == [80, 80]
    line.meet(bytes(160), START)
    assert [len(packet.payload) for packet in line.packets] == [80, 80, 160]
    short = Line()
    short.meet(b"x", START)
    assert [packet.payload for packet in short.packets] == [b"x"]
