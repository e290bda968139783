"""The whole of the room: any weather in, exact samples, gaps and counters out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.media.pipeline import Datagrams
from receiver.media.timeline import Timeline
from receiver.wire.rtp import Verdict
from tests.media.rig import (
    HOME,
    HORIZON,
    MS,
    SECOND,
    START,
    STRANGER,
    Rig,
    Sent,
    codes,
    datagrams,
    linear,
    talk,
    truth,
)  # fmt: skip
from tests.tools import count


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
        while k < min(bound, len(weather.packets)):
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


@given(weathers(most_delay_ms=100), st.sampled_from([500, 47_000, 95_000]))
@settings(max_examples=count(10, all=100, full=3_000), suppress_health_check=[HealthCheck.too_slow])
def test_p1_the_same_across_the_rings_end(weather: Weather, lead: int) -> None:
    rig, reference = Rig(), Reference()
    rig.open()
    if not weather.packets:
        return
    first = weather.packets[0]
    packets = lead // 160
    start_ns, number = first.arrival_ns - packets * 20 * MS, first.sequence - packets
    before = talk(packets, start_ns, sequence=number, timestamp=first.timestamp - packets * 160)
    rig.run(before, finish=False)
    reference.highest, reference.first_timestamp = first.sequence - 1, before[0].timestamp
    reference.packets, reference.seen = packets, set(range(first.sequence - packets, first.sequence))
    earlier = [p for p in weather.packets if p.sequence < first.sequence]
    weather.packets = [p for p in weather.packets if p not in earlier]
    play(weather, rig, reference)
    placed = rig.parts[0].present()
    beginning = HORIZON + packets * 160
    assert {frame: sample for frame, sample in placed.items() if frame >= beginning} == reference.samples


def test_a_step_without_datagrams_is_a_turn_like_any_other() -> None:
    rig = Rig()
    rig.open()
    assert rig.pipeline.step(datagrams([]), START, 0) == []
    rig.commit()


def test_every_datagram_is_counted_once_whatever_it_is() -> None:
    rig = Rig(taps=3)
    for tap in range(3):
        rig.open(tap)
    good = talk(5)
    sent = [
        *good, *talk(4, tap=2), good[0], good[0]._replace(tap=1, source=STRANGER), good[1]._replace(raw=b""),
        good[1]._replace(raw=b"\x80\xc8" + bytes(30)), good[1]._replace(raw=bytes(1_600)),
        good[1]._replace(payload_type=77), good[1]._replace(payload_type=13),
        good[1]._replace(raw=b"\x81" + good[1].octets[1:14]), *talk(2, tap=2)[1:],
    ]  # fmt: skip
    rig.step(sent, START + SECOND)
    assert rig.state.live.world["verdicts"][0].sum() == len(sent)
    assert sum(rig.tap(tap)["verdicts"].sum() for tap in range(3)) == len(sent)
    assert rig.count(Verdict.ACCEPTED) == 5 + 4 + 1 + 1
    once = (Verdict.FOREIGN, Verdict.SHORT, Verdict.RTCP, Verdict.LONG, Verdict.PAYLOAD_TYPE, Verdict.CSRC)
    for verdict in (*once, Verdict.COMFORT_NOISE):
        assert rig.count(verdict) == 1, verdict


def test_a9_more_sizes_than_groups_are_placed_one_by_one() -> None:
    rig = Rig()
    rig.open()
    timestamp, sent = 0, []
    for k, size in enumerate([160, 160, 160, *range(80, 140), 1, 1_460]):
        sent.append(Sent(START + timestamp * 125_000, k, timestamp, codes(1, timestamp, size)))
        timestamp += size
    rig.step(sent)
    rig.finish(sent[-1].arrival_ns)
    assert rig.parts[0].present() == truth(sent, 0)


def test_a9_at_most_eight_lengths_of_a_batch_are_placed_as_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, timestamp, groups = Rig(), 0, list[int]()
    rig.open()
    sent = []
    for k in range(36):  # each of twelve lengths three times
        sent.append(Sent(START + timestamp * 125_000, k, timestamp, codes(1, timestamp, 80 + k % 12)))
        timestamp += 80 + k % 12
    real = rig.pipeline.timeline.place

    def place(row: NDArray[np.int64], *where: Any) -> None:
        groups.append(row.size)
        real(row, *where)

    monkeypatch.setattr(rig.pipeline.timeline, "place", place)
    rig.step(sent)
    rig.finish(sent[-1].arrival_ns)
    assert groups == [3] * 8 + [1] * 12
    assert rig.parts[0].present() == truth(sent, 0)


def test_two_packets_of_one_batch_that_overlap_end_as_the_later_one_says_every_time() -> None:
    images = set()
    for _ in range(2):
        rig = Rig()
        rig.open()
        sent = talk(6)
        sent[3] = sent[3]._replace(timestamp=sent[2].timestamp + 7)
        rig.step(sent)
        images.add(rig.state.ring.tobytes())
    assert len(images) == 1


def test_news_of_a_turn_that_did_not_happen_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.open()

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patcher:
        patcher.setattr(Timeline, "place", fail)
        with pytest.raises(MemoryError):
            rig.pipeline.step(datagrams(talk(3)), START, 0)
    rig.state.abandon()
    rig.step(talk(3))
    assert [news.event for news in rig.news] == ["receiving"]


def test_p5_random_octets_touch_nothing() -> None:
    dice = np.random.default_rng(3)
    rig = Rig(taps=4)
    for tap in range(4):
        rig.open(tap)
    rig.step([p for tap in range(4) for p in talk(5, tap=tap)])
    ring = rig.state.ring.copy()
    streams = [rig.stream(tap).tobytes() for tap in range(4)]
    count = 50_000
    for start in range(0, count, 4_000):
        rows = min(4_000, count - start)
        slab = Datagrams(
            dice.integers(0, 256, (rows, 1_536), np.uint8), dice.integers(0, 1_537, rows).astype(np.uint32),
            dice.integers(0, 4, rows).astype(np.int32), np.zeros(rows, np.uint64), np.full(rows, HOME.low, np.uint64),
            np.full(rows, 1, np.uint16), np.full(rows, START, np.int64),
        )  # fmt: skip
        rig.pipeline.step(slab, START, 0)
        rig.commit()
    assert rig.state.live.world["verdicts"][0].sum() == count + 20
    assert (rig.state.ring == ring).all()
    assert [rig.stream(tap).tobytes() for tap in range(4)] == streams
