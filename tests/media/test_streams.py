"""Counters in closed form: those of the RFC's own loops (RFC 3550 A.1, A.3, A.8), and those of the literal reading."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media import streams
from receiver.media.columns import STATISTICS, STREAM
from receiver.media.streams import Heard, Streams, Survey, runs
from receiver.wire.rtp import Verdict
from tests.media.rig import MS, SECOND, Rig, Sent, talk, truth
from tests.tools import count

RTP_SEQ_MOD = 1 << 16
MAX_DROPOUT, MAX_MISORDER = 3_000, 100


class Rfc3550:
    """Appendix A.1, A.3 and A.8, with the names and in the order of the RFC. Validity by probation is left out."""

    def __init__(self, seq: int) -> None:
        self.base_seq, self.max_seq, self.bad_seq = seq, seq, RTP_SEQ_MOD + 1
        self.cycles = self.received = 0
        self.transit: float | None = None
        self.jitter = 0.0

    def update_seq(self, seq: int) -> bool:
        udelta = (seq - self.max_seq) % RTP_SEQ_MOD
        if udelta < MAX_DROPOUT:
            if seq < self.max_seq:
                self.cycles += RTP_SEQ_MOD
            self.max_seq = seq
        elif udelta <= RTP_SEQ_MOD - MAX_MISORDER:
            return False
        self.received += 1
        return True

    @property
    def lost(self) -> int:
        extended_max = self.cycles + self.max_seq
        expected = extended_max - self.base_seq + 1
        return expected - self.received

    def update_jitter(self, arrival: float, ts: int) -> None:
        transit = arrival - ts
        if self.transit is not None:
            d = abs(transit - self.transit)
            self.jitter += (1.0 / 16.0) * (d - self.jitter)
        self.transit = transit


def rough(seed: int, packets: int = 400, spread_ms: int = 90) -> list[Sent]:
    """Loss, duplicates, jitter that overtakes, both wraps."""
    dice = Random(seed)
    sent = talk(packets, sequence=65_400, timestamp=(1 << 32) - 9_000)
    sent = [sent[0], *(p for p in sent[1:] for _ in range(dice.choice([0, 1, 1, 1, 1, 1, 2])))]
    late = [p._replace(arrival_ns=p.arrival_ns + (k > 0) * dice.randrange(spread_ms * MS)) for k, p in enumerate(sent)]
    return sorted(late, key=lambda p: p.arrival_ns)


@pytest.mark.parametrize("tick_ms", [1, 100, 700])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=count(3, all=12, full=1_000))
def test_a5_counters_and_jitter_are_those_of_the_rfcs_loops(tick_ms: int, seed: int) -> None:
    sent = rough(seed)
    rig = Rig()
    rig.open()
    rig.run(sent, tick_ns=tick_ms * MS)
    rfc = Rfc3550(sent[0].sequence & 0xFFFF)
    for packet in sent:
        assert rfc.update_seq(packet.sequence & 0xFFFF)
        rfc.update_jitter(packet.arrival_ns / 125_000, packet.timestamp)
    counted = rig.statistics()
    assert counted["packets"] == rfc.received
    assert counted["highest_sequence"] == rfc.cycles + rfc.max_seq
    base = min(p.sequence for p in sent)
    assert counted["base_sequence"] == base
    assert counted["highest_sequence"] - base + 1 - counted["packets"] == rfc.lost + rfc.base_seq - base
    assert counted["jitter"] == pytest.approx(rfc.jitter, rel=1e-9)


def test_a5_jitter_is_deaf_to_timestamp_wrap() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(200, timestamp=(1 << 32) - 16_000))
    assert rig.statistics()["jitter_max"] == 0.0
    assert rig.tap()["epochs"] == 0


def all_odd(self: Streams, heard: Heard) -> Survey:
    """A survey after which everything is followed literally."""
    return real_survey(self, heard)._replace(plain=np.zeros(heard.at.size, np.bool_))


real_survey = Streams.survey


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(4, all=60, full=2_000))
def test_the_closed_form_equals_the_literal_reading(seed: int) -> None:
    dice = Random(seed)
    sent = rough(seed, packets=700, spread_ms=dice.choice([1, 20, 300]))
    ticks = dice.choice([50, 200, 3_000]) * MS
    with pytest.MonkeyPatch.context() as patcher:
        closed, literal = Rig(), Rig()
        closed.open()
        closed.run(sent, tick_ns=ticks)
        patcher.setattr(Streams, "survey", all_odd)
        literal.open()
        literal.run(sent, tick_ns=ticks)
    for name in set(STREAM.names or ()) - {"statistics", "transit"}:
        assert (closed.stream()[name] == literal.stream()[name]).all(), name
    mine, theirs = closed.statistics(), literal.statistics()
    for name in STATISTICS.names or ():
        assert mine[name] == pytest.approx(theirs[name], rel=1e-9, abs=1e-9), name
    assert closed.parts[0].present() == literal.parts[0].present() == truth(sent, sent[0].timestamp)


def test_plain_packets_do_take_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def watched(self: Streams, heard: Heard) -> Survey:
        survey = real_survey(self, heard)
        seen.extend(survey.plain.tolist())
        return survey

    monkeypatch.setattr(Streams, "survey", watched)
    rig = Rig()
    rig.open()
    rig.run(talk(500))
    assert len(seen) == 500
    assert all(seen)


def test_one_stream_with_4096_packets_in_one_batch() -> None:
    rig = Rig(window=48_000)
    rig.open()
    sent = talk(4_096, size=10, sequence=0xFF00, timestamp=(1 << 32) - 4_000)
    rig.step(sent)
    rig.finish(sent[-1].arrival_ns)
    assert rig.parts[0].present() == truth(sent, sent[0].timestamp)
    counted = rig.statistics()
    assert counted["packets"] == 4_096
    assert counted["highest_sequence"] - counted["base_sequence"] == 4_095
    assert counted["duplicate"] == counted["reordered"] == 0
    assert counted["jitter_max"] == 0.0


def test_4096_duplicates_of_one_packet() -> None:
    rig = Rig()
    rig.open()
    rig.step(talk(1) * 4_096)
    counted = rig.statistics()
    assert (counted["packets"], counted["duplicate"]) == (4_096, 4_095)


def test_a_duplicate_is_told_over_a_thousand_numbers_in_any_order() -> None:
    rig = Rig()
    rig.open()
    sent = talk(1_500, size=10)
    rig.run([*sent, *(p._replace(arrival_ns=sent[-1].arrival_ns + MS) for p in sent[600:])])
    assert rig.statistics()["duplicate"] == 900
    assert rig.statistics()["reordered"] == 0


def test_one_streams_wild_jitter_does_not_touch_its_neighbours() -> None:
    rig = Rig(taps=2)
    for tap in (0, 1):
        rig.open(tap)
    dice = Random(1)
    wild = [p._replace(arrival_ns=p.arrival_ns + dice.randrange(900) * MS) for p in talk(600, tap=0)]
    calm = [p._replace(arrival_ns=p.arrival_ns + (k % 2) * 125_000) for k, p in enumerate(talk(600, tap=1))]
    rfc = Rfc3550(100)
    for packet in calm:
        rfc.update_jitter(packet.arrival_ns / 125_000, packet.timestamp)
    rig.run(wild + calm)
    assert rig.statistics(1)["jitter"] == pytest.approx(rfc.jitter, rel=1e-9)


def test_the_envelope_keeps_ten_seconds_that_had_packets() -> None:
    rig = Rig()
    rig.open()
    early = talk(1)
    sent = [p._replace(arrival_ns=p.arrival_ns + 100 * MS) for p in talk(700)[1:]]
    rig.run(early + sent[:400], finish=False)
    least = rig.stream()["envelope"].min()
    rig.run(sent[400:])
    assert rig.stream()["envelope"].min() == least + 800


def test_runs_of_equal_neighbours() -> None:
    first, group = runs(np.array([5, 5, 2, 2, 2, 9]))
    assert first.tolist() == [0, 2, 5]
    assert group.tolist() == [0, 0, 1, 1, 1, 2]


def test_comfort_noise_counts_and_its_numbers_are_not_lost() -> None:
    rig = Rig()
    rig.open()
    sent = talk(300)
    sent[100:110] = [p._replace(payload_type=13, payload=b"\x30") for p in sent[100:110]]
    rig.run(sent)
    assert rig.statistics()["packets"] == 300
    assert rig.count(Verdict.COMFORT_NOISE) == 10
    assert rig.parts[0].present() == truth(sent[:100] + sent[110:], 5_000)


def test_the_closed_form_holds_for_as_many_packets_as_it_takes_at_once() -> None:
    assert (16 / 15) ** streams.LONGEST_RUN < 1e4
    assert SECOND == 1_000 * MS
