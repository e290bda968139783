"""Opus on the ring: every packet at its place and whole, in timestamp order, whatever the network does (P1)."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.media.carry import Carried
from receiver.media.columns import Flaw, Policy
from receiver.media.packets import DENSITY, PREROLL
from receiver.media.sources import NOWHERE
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, Part, Rig, Sent, datagrams, succeed, talk, truth
from tests.media.test_carry import carry
from tests.tools import count

OPUS = 111
SAMPLE_NS = 125_000
CONFIGS = {20: 16, 40: 17, 80: 18, 160: 19, 320: 2, 480: 3}  # RFC 6716, table 2: positions → a configuration


def packet(duration: int, seed: int, octets: int, stereo: bool = False) -> bytes:
    """One frame of so many positions, that tells which one it is."""
    toc = CONFIGS[duration] << 3 | stereo << 2
    return bytes([toc]) + np.random.default_rng(seed).bytes(octets - 1)


def speech(
    durations: Sequence[int], timestamp: int = 5_000, sequence: int = 100, start_ns: int = START, **more: int
) -> list[Sent]:
    """Packets in time and in order; the clock runs at 48 kHz."""
    sent, at = [], 0
    for k, duration in enumerate(durations):
        octets = 1 + (k * 7_919 + 13) % min(1_275, DENSITY * duration)
        body = packet(duration, k + sequence, octets)
        arrival_ns = start_ns + at * SAMPLE_NS
        sent.append(Sent(arrival_ns, sequence + k, timestamp + 6 * at, body, payload_type=OPUS, **more))  # type: ignore[arg-type]
        at += duration
    return sent


def places(sent: Sequence[Sent], first: int, at: int = HORIZON) -> dict[int, bytes]:
    """Where each belongs if timestamp ``first`` lies at frame ``at``."""
    return {at + (each.timestamp - first) // 6: each.payload for each in sent}


def rig_of(**more: int) -> Rig:
    rig = Rig(**more)  # type: ignore[arg-type]
    rig.open(opus=OPUS)
    return rig


def test_packets_of_all_lengths_lie_at_their_timestamps() -> None:
    rig, sent = rig_of(), speech([160] * 50 + [20, 40, 80, 320, 480, 20] * 20 + [160] * 50)
    rig.run(sent)
    assert rig.parcels[0] == places(sent, 5_000)
    assert rig.count(Verdict.ACCEPTED) == len(sent)
    assert list(rig.parcels[0]) == sorted(rig.parcels[0]), "not in timestamp order"


@pytest.mark.parametrize("timestamp", [2**32 - 6 * 8_000, 2**32 - 1, 2**32 - 6 * 4_123 + 3])
def test_a5_the_clock_of_48_khz_wraps(timestamp: int) -> None:
    rig, sent = rig_of(), speech([160] * 300, timestamp, sequence=65_500)
    rig.run(sent)
    assert rig.parcels[0] == places(sent, timestamp)
    assert rig.tap()["epochs"] == 0
    assert rig.statistics()["jitter"] == pytest.approx(0, abs=1e-6)


@st.composite
def weathers(draw: st.DrawFn) -> tuple[list[Sent], int]:
    """A call and what a network makes of it: late by up to 300 ms, lost, doubled; and after how many packets to cut."""
    kinds = draw(st.lists(st.sampled_from(list(CONFIGS)), min_size=1, max_size=6))
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    durations = [kinds[k] for k in dice.integers(0, len(kinds), 120)]
    sent = speech(durations, draw(st.sampled_from([0, 5_003, 2**32 - 30_000])), draw(st.sampled_from([7, 65_480])))
    lose, again = draw(st.sampled_from([0.0, 0.2])), draw(st.sampled_from([0.0, 0.2]))
    kept = [sent[0]] + [each for each in sent[1:] if dice.random() >= lose]
    kept += [each._replace(arrival_ns=each.arrival_ns + 40 * MS) for each in kept if dice.random() < again]
    spread = draw(st.sampled_from([0, 50, 300])) * MS
    kept = [kept[0]] + [e._replace(arrival_ns=e.arrival_ns + int(dice.random() * spread)) for e in kept[1:]]
    return sorted(kept, key=lambda each: each.arrival_ns), draw(st.integers(1, 40))


@settings(max_examples=count(10, all=80, full=20_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(weathers())
def test_p1_every_received_packet_is_whole_and_at_its_place(weather: tuple[list[Sent], int]) -> None:
    """However it is cut into slabs, and though every slab is run a second time by a successor (rule K3)."""
    sent, step = weather
    rig = rig_of()
    bounds = [*range(0, len(sent), step), len(sent)]
    for begin, end in pairwise(bounds):
        part = sent[begin:end]
        rig.pipeline.step(datagrams(part), part[-1].arrival_ns, 0)
        succeed(rig)
        rig.step(part)
        rig.drain(part[-1].arrival_ns)
    rig.finish(sent[-1].arrival_ns)
    assert rig.parcels[0] == places(sent, sent[0].timestamp)
    assert rig.statistics()["late_lost"] == 0


def test_a6_what_did_not_come_is_absent_and_its_end_is_told() -> None:
    rig, sent = rig_of(), speech([160] * 100)
    lost = [each for k, each in enumerate(sent) if k not in (40, 41, 97, 98, 99)]
    rig.run(lost, finish=False)
    rig.state.now.rows["edge"][0] += 480  # as if more had been expected: it never comes
    rig.state.touch("rows", 0)
    rig.commit()
    spans = rig.drains.hand_on(np.array([0]), sent[-1].arrival_ns, ending=True)
    rig.commit()
    (cut,) = [rig.drains.cut(*span) for span in spans]
    assert cut.parcel is not None
    assert cut.blocks == []
    assert cut.parcel.upto == HORIZON + 97 * 160 + 480
    assert cut.parcel.silent == 480


def test_a1_what_is_no_opus_is_counted_and_moves_nothing() -> None:
    rig, sent = rig_of(), speech([160] * 100)
    garbage = [
        Sent(each.arrival_ns + 1, each.sequence + 7, each.timestamp + 999, body, payload_type=OPUS)
        for each, body in zip(sent, [b"\xff\xff", b"\x03", b"\x01\x00", b"\xfb\x3f\0"] * 25, strict=True)
    ]
    rig.run(sent + garbage)
    assert rig.parcels[0] == places(sent, 5_000)
    assert rig.count(Verdict.NOT_OPUS) == 100
    assert rig.count(Verdict.ACCEPTED) == 100


def test_a_packet_that_is_larger_than_any_encoder_makes_it_finds_no_place() -> None:
    rig, sent = rig_of(), speech([20] * 50)
    sent[20] = sent[20]._replace(payload=packet(20, 1, 20 * DENSITY + 1))
    rig.run(sent)
    assert rig.count(Verdict.OVERSIZED) == 1
    assert len(rig.parcels[0]) == 49


def test_a14_a_dynamic_type_means_what_was_announced_for_its_tap() -> None:
    rig = Rig(taps=2)
    rig.open(0, opus=OPUS)
    rig.open(1)
    sound = talk(50, tap=1)
    mine, elsewhere = speech([160] * 50), speech([160] * 50, tap=1, ssrc=9)
    wrong = [each._replace(payload_type=112) for each in speech([160] * 50, ssrc=8)]
    g711 = talk(50, ssrc=11)
    rig.run(sound + mine + elsewhere + wrong + g711)
    assert rig.parcels == {0: places(mine, 5_000), 1: {}}
    assert rig.parts[1].present() == truth(sound, 5_000)
    assert rig.count(Verdict.PAYLOAD_TYPE, 0) == 100
    assert rig.count(Verdict.PAYLOAD_TYPE, 1) == 50


def test_k6_later_than_the_patience_is_lost_and_said_so() -> None:
    """A decoder has gone past it: it cannot be put in as sound can."""
    rig, sent = rig_of(), speech([160] * 400)
    late_ms = {100: 1_100, 101: 1_150, 102: 3_900}
    sent = [e._replace(arrival_ns=e.arrival_ns + late_ms.get(k, 0) * MS) for k, e in enumerate(sent)]
    rig.run(sent)
    assert rig.parcels[0] == places(sent[:102] + sent[103:], 5_000)
    assert rig.statistics()["late_lost"] == 1
    assert rig.tap()["flaws"] & Flaw.LATE_LOST


def test_a11_another_ssrc_takes_over_with_all_its_packets() -> None:
    rig = rig_of()
    first = speech([160] * 150)
    second = speech([160] * 150, 2**31 + 17, 9_000, START + 3 * SECOND + 20 * MS, ssrc=99)
    rig.run(first + second)
    assert list(rig.parcels[0].values()) == [each.payload for each in first + second]
    assert rig.tap()["epochs"] == 1


def test_a10_a_jump_of_the_clock_between_packets_that_overtake_each_other() -> None:
    """Twice, together by more than half a circle of 2³² ticks: each is still read against its own line."""
    rig = rig_of()
    before = speech([160] * 150)
    between = speech([160] * 20, 1_500_000_000, 250, START + 3 * SECOND)
    after = speech([160] * 150, 3_000_000_000, 270, START + 3 * SECOND + 400 * MS)
    overtaken = [before[-1]._replace(arrival_ns=after[4].arrival_ns + 1), *before[:-1]]
    rig.run(overtaken + between + after)
    assert list(rig.parcels[0].values()) == [each.payload for each in before + between + after]
    assert rig.statistics()["late_lost"] == 0


def test_p5_nothing_of_an_earlier_call_is_left_in_a_row() -> None:
    rig, sent = rig_of(), speech([160] * 100)
    rig.run(sent)
    rig.open(opus=OPUS, now_ns=START + 9 * SECOND)
    other = speech([160] * 3, start_ns=START + 10 * SECOND, ssrc=12)
    rig.run(other)
    assert rig.parcels[0] == places(other, 5_000)


def test_b1_a_candidate_writes_into_a_row_that_has_room_for_packets() -> None:
    rig = Rig(taps=1)
    rig.state.allocated[1:] = 1
    rig.state.allocated[-1] = 2
    rig.open(policy=Policy.ANY, announced=NOWHERE, opus=OPUS)
    first = speech([160] * 100, ssrc=5)
    second = speech([160] * 100, 777, start_ns=START + 2 * SECOND, ssrc=6)
    rig.run(first + second)
    assert list(rig.parcels[0].values()) == [each.payload for each in first + second]


def test_what_a_new_decoder_needs_stays_behind_what_is_committed() -> None:
    rig, sent = rig_of(), speech([160] * 250)
    rig.run(sent, finish=False)
    written, cleared = int(rig.state.written[0]), int(rig.state.cleared[0])
    assert written - cleared == PREROLL
    before = rig.pipeline.timeline.parcel(0, cleared, written)
    assert before.packets == [each.payload for each in sent if cleared <= HORIZON + each_at(each) < written]


def each_at(sent: Sent) -> int:
    return (sent.timestamp - 5_000) // 6


def test_a_ring_that_is_full_is_no_silence() -> None:
    """Its socket is not read, so nobody knows whether something came: what overtook each other may be in there."""
    rig, sent = rig_of(), speech([160] * 250)
    rig.run(sent[:180], finish=False)
    rig.state.committed[:] = rig.state.written[:] = 0  # nothing has come back from the decoder, for long
    rig.state.cleared[:] = 0
    rig.state.now.rows["edge"][0] = 48_000 - 16_000
    rig.state.touch("rows", 0)
    rig.commit()
    later_ns = sent[180].arrival_ns + 20 * SECOND
    assert rig.room() == 0
    assert rig.drains.ripe(np.array([0]), later_ns)[2].tolist() == [48_000 - 16_000 - 9_600]
    rig.state.cleared[:] = 8_000
    rig.commit()
    rig.commit()
    assert rig.drains.ripe(np.array([0]), later_ns)[2].tolist() == [48_000 - 16_000]


def test_what_is_erased_is_nowhere_any_more() -> None:
    """A pause that is told late takes back what was read: no octet of it stays in memory (rule of pauses)."""
    rig, sent = rig_of(), speech([160] * 60)
    rig.run(sent, finish=False)
    gone = HORIZON + 20 * 160
    rig.pipeline.timeline.erase(0, gone + 80, HORIZON + 30 * 160)
    left = rig.pipeline.timeline.parcel(0, 0, HORIZON + 60 * 160)
    assert left.packets == [each.payload for k, each in enumerate(sent) if not 20 < k < 30]
    memory = rig.memory.tobytes()
    assert all(memory.find(each.payload[1:9]) < 0 for each in sent[21:30] if len(each.payload) > 9)
    assert all(memory.find(each.payload[1:9]) >= 0 for each in sent[31:] if len(each.payload) > 9)


def test_packets_of_two_channels_are_counted() -> None:
    rig, sent = rig_of(), speech([160] * 100)
    sent = [e._replace(payload=packet(160, k, 80, stereo=k % 4 == 0)) for k, e in enumerate(sent)]
    rig.run(sent)
    assert rig.state.live.taps_aside["stereo"][0] == 25


def test_of_packets_that_overlap_the_later_to_come_holds() -> None:
    """No encoder does it; what was cut into is not handed on as if it were whole."""
    rig, sent = rig_of(), speech([160] * 20)
    long = Sent(sent[5].arrival_ns, 1_000, sent[5].timestamp, packet(160, 3, 1_275), payload_type=OPUS)
    over = Sent(sent[5].arrival_ns + 1, 1_001, sent[5].timestamp + 6 * 20, packet(20, 4, 100), payload_type=OPUS)
    rig.run([*sent[:5], long._replace(sequence=105), over._replace(sequence=106)])
    assert rig.parcels[0] == places([*sent[:5], over], 5_000)


def test_d7_a_tap_goes_on_in_another_memory_with_what_its_decoder_needs() -> None:
    rig, sent = rig_of(), speech([160] * 250)
    rig.run(sent[:180], finish=False)
    rig.drain(sent[179].arrival_ns, write=False)  # handed on, and not decoded when the worker left
    rig.queue.clear()
    told: Carried = msgspec.msgpack.decode(msgspec.msgpack.encode(carry(rig).pack(0)))
    other = Rig(taps=3)
    carry(other).unpack(1, told, [2])
    other.commit()
    other.parcels[1], other.parts[1] = {}, Part()
    written, cleared = int(other.state.written[2]), int(other.state.cleared[2])
    assert written == other.state.committed[2] == other.state.live.rows["playout"][2] == cleared + PREROLL
    other.run([each._replace(tap=1) for each in sent[180:]])
    assert rig.parcels[0] | other.parcels[1] == places(sent, 5_000)
    assert rig.parcels[0].keys().isdisjoint(other.parcels[1].keys())
