"""The whole of the room: any weather in, exact samples, gaps and counters out."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, Rig, Sent, codes, linear, talk, truth


@dataclass
class Weather:
    """A call as it arrives, in order of arrival, and where to cut."""

    packets: list[Sent]
    cuts: list[int]
    drains: list[int]


@st.composite
def weathers(draw: st.DrawFn, most_delay_ms: int = 900) -> Weather:
    """Loss, duplicates, reordering, sizes of 10 to 120 ms and odd ones, wraps; batches and drains anywhere."""
    count = draw(st.integers(1, 60))
    usual = draw(st.sampled_from([80, 160, 240, 960]))
    sizes = [draw(st.one_of(st.just(usual), st.integers(80, 960))) for _ in range(count)]
    sequence = draw(st.sampled_from([0, 5, 0xFFF0, 30_000]))
    timestamp = draw(st.sampled_from([0, 1 << 20, (1 << 32) - 1_000, (1 << 31) - 500]))
    delays = st.one_of(st.just(0), st.integers(0, 60), st.integers(0, most_delay_ms))
    packets, at = [], 0
    for k, size in enumerate(sizes):
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2, 3]))):
            arrival_ns = START + at * 125_000 + draw(delays) * MS
            packets.append(Sent(arrival_ns, sequence + k, timestamp + at, codes(3, timestamp + at, size)))
        at += size
    packets.sort(key=lambda packet: packet.arrival_ns)
    bounds = st.lists(st.integers(0, len(packets)), max_size=12)
    return Weather(packets, sorted(draw(bounds)), sorted(draw(bounds)))


class Reference:
    """The slow truth: one packet after the other, one sample after the other."""

    def __init__(self) -> None:
        self.samples: dict[int, int] = {}
        self.seen: set[int] = set()
        self.highest: int | None = None
        self.first_timestamp = 0
        self.packets = self.duplicate = self.reordered = self.late = self.late_lost = 0

    def hear(self, packet: Sent, playout: int) -> None:
        """RFC 3550 A.1 and A.3 by the book, rules A2, A4, K6."""
        if self.highest is None:
            self.highest, self.first_timestamp = packet.sequence - 1, packet.timestamp
        self.packets += 1
        if packet.sequence in self.seen:
            self.duplicate += 1
            return
        self.seen.add(packet.sequence)
        self.reordered += packet.sequence < self.highest
        self.highest = max(self.highest, packet.sequence)
        frame = HORIZON + packet.timestamp - self.first_timestamp
        if frame < 0:
            self.late_lost += 1
            return
        self.late += frame < playout
        for k, sample in enumerate(linear(packet.payload).tolist()):
            self.samples[frame + k] = sample

    @property
    def counters(self) -> dict[str, int]:
        return {
            "packets": self.packets, "duplicate": self.duplicate, "reordered": self.reordered, "late": self.late,
            "late_lost": self.late_lost, "base_sequence": min(self.seen), "highest_sequence": self.highest or 0,
        }  # fmt: skip


def play(weather: Weather, rig: Rig, reference: Reference) -> None:
    """Batches end at every cut and drain, and where the ring's room ends."""
    k, now_ns = 0, START
    bounds = sorted({*weather.cuts, *weather.drains, len(weather.packets)})
    for bound in bounds:
        while k < bound:
            most = rig.room()
            batch = weather.packets[k : min(bound, k + most)]
            if not batch:  # the kernel queues meanwhile
                rig.drain(now_ns)
                continue
            playout = int(rig.state.live.rows["playout"][0])
            now_ns = batch[-1].arrival_ns
            for packet in batch:
                reference.hear(packet, playout)
            rig.step(batch)
            k += len(batch)
        if bound in weather.drains:
            rig.drain(now_ns + weather.drains.count(bound) * 150 * MS)
    rig.finish(now_ns)


@given(weathers())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_p1_any_weather_gives_exact_samples_gaps_and_counters(weather: Weather) -> None:
    rig, reference = Rig(), Reference()
    rig.open()
    if not weather.packets:
        return
    play(weather, rig, reference)
    assert rig.parts[0].present() == reference.samples
    counted = rig.statistics()
    assert {name: counted[name] for name in reference.counters} == reference.counters
    assert rig.count(Verdict.ACCEPTED) + rig.count(Verdict.LATE_LOST) == len(weather.packets)
    assert rig.count(Verdict.LATE_LOST) == reference.late_lost
    assert bool(rig.tap()["flaws"]) == bool(reference.late_lost)
