"""Rules A7, A10, A17 packet by packet: where in time a packet belongs when the sender's clock does something odd."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.columns import Flaw, NoteKind
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, WALL, Rig, Sent, codes, linear, talk, truth
from tests.tools import count

MINUTE = 60 * SECOND


def epochs(rig: Rig) -> list[tuple[int, int]]:
    """Frame and timestamp of every anchor that was noted."""
    notes = [slot["note"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.EPOCH]
    return [(int(note["frame"]), int(note["timestamp"])) for note in notes]


def assert_placed_by_anchors(rig: Rig, runs: list[list[Sent]]) -> None:
    """Each run of one clock lies where its own anchor says, and nothing else is there."""
    anchors = epochs(rig)
    assert len(anchors) == len(runs)
    expected: dict[int, int] = {}
    for (frame, timestamp), run in zip(anchors, runs, strict=True):
        expected |= truth(run, timestamp, frame)
    assert rig.parts[0].present() == expected


# -- A10


@pytest.mark.parametrize("jump", [8_001 + 2_400, 50_000, 1 << 31, -161, -40_000, -(1 << 31) + 5])
def test_a10_a_jump_of_the_timestamp_is_an_epoch_anchored_by_arrival(jump: int) -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    gap_ns = 300 * MS
    after = talk(50, START + 50 * 20 * MS + gap_ns, sequence=150, timestamp=5_000 + 50 * 160 + jump)
    rig.run(before + after)
    assert epochs(rig)[0] == (HORIZON, 5_000)
    assert epochs(rig)[1] == (HORIZON + 50 * 160 + 2_400, (5_000 + 50 * 160 + jump) % (1 << 32))
    assert_placed_by_anchors(rig, [before, [p._replace(timestamp=p.timestamp % (1 << 32)) for p in after]])
    assert rig.tap()["epochs"] == 1
    assert rig.statistics()["packets"] == 100


@given(st.lists(st.sampled_from([-90_000, -3_000, 20_000, 1 << 30]), min_size=1, max_size=6), st.integers(0, 1 << 32))
@settings(max_examples=count(15, all=150, full=5_000))
def test_a10_packets_that_overtake_each_other_around_jumps_lie_on_their_own_line(jumps: list[int], seed: int) -> None:
    dice = Random(seed)
    runs: list[list[Sent]] = []
    sequence, timestamp, clock_ns = 100, 1 << 20, START
    for jump in [0, *jumps]:
        timestamp += jump
        length = dice.randrange(8, 30)
        run = talk(length, clock_ns, sequence=sequence, timestamp=timestamp)
        runs.append(run)
        sequence, timestamp, clock_ns = sequence + length, timestamp + length * 160, clock_ns + length * 20 * MS
    delayed = [p._replace(arrival_ns=p.arrival_ns + dice.randrange(55) * MS) for run in runs for p in run]
    rig = Rig()
    rig.open()
    rig.run(delayed)
    anchors = epochs(rig)
    assert len(anchors) == len(runs)
    offsets = [frame - ts for frame, ts in anchors]
    expected: dict[int, int] = {}
    for run, offset in zip(runs, offsets, strict=True):
        expected |= truth([p._replace(timestamp=p.timestamp % (1 << 32)) for p in run], 0, offset)
    assert rig.parts[0].present() == expected
    assert sum(len(run) for run in runs) * 160 == len(expected), "two runs lie over each other"


def test_a10_a_single_packet_with_a_foreign_timestamp_loses_nothing_of_the_others() -> None:
    rig = Rig()
    rig.open()
    sent = talk(100)
    sent[40] = sent[40]._replace(timestamp=sent[40].timestamp + 1_000_000)
    rig.run(sent)
    assert len(rig.parts[0].present()) == 100 * 160
    assert rig.tap()["epochs"] == 2


def test_a11_at_most_eight_epochs_a_minute_the_rest_is_counted() -> None:
    rig = Rig()
    rig.open()
    sent = [
        Sent(START + k * 500 * MS, 100 + k, (k * 100_000) % (1 << 32), codes(1, k * 100_000, 160)) for k in range(240)
    ]
    rig.run(sent)
    assert rig.tap()["epochs"] <= 8 * 3
    assert rig.count(Verdict.EPOCH_LIMIT) == 240 - rig.count(Verdict.ACCEPTED)
    assert rig.count(Verdict.EPOCH_LIMIT) > 200
    assert rig.statistics()["invalid"] == rig.count(Verdict.EPOCH_LIMIT)
    assert rig.tap()["flaws"] == Flaw.CLOCK


def test_a10_sound_that_is_refused_because_it_is_ahead_of_time_is_a_flaw_of_the_tap() -> None:
    rig = Rig()
    rig.open()
    burst = [packet._replace(arrival_ns=START + k * MS // 2) for k, packet in enumerate(talk(138))]
    rig.run(burst)
    assert rig.count(Verdict.AHEAD) == 138 - rig.count(Verdict.ACCEPTED) > 30
    assert rig.tap()["flaws"] == Flaw.CLOCK


def test_a10_a_burst_within_the_two_seconds_is_whole_and_no_flaw() -> None:
    rig = Rig()
    rig.open()
    sent = [packet._replace(arrival_ns=START + k * MS // 2) for k, packet in enumerate(talk(100))]
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)
    assert rig.tap()["flaws"] == 0


def test_a10_what_a_pause_keeps_out_anyhow_is_no_flaw() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(10))
    rig.pipeline.pauses.turn(0, START + SECOND, WALL + SECOND)
    rig.state.commit()
    late = START + SECOND
    more = talk(200, late, sequence=110, timestamp=6_600)
    rig.run([packet._replace(arrival_ns=late + k * MS // 2) for k, packet in enumerate(more, 1)])
    assert rig.count(Verdict.AHEAD) > 0
    assert rig.tap()["flaws"] == 0


def test_a10_a_candidate_that_is_admitted_brings_its_flaw_with_it() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(10))
    late = START + SECOND
    more = talk(200, late, ssrc=8, seed=2, sequence=9_000, timestamp=1 << 30)
    rig.run([packet._replace(arrival_ns=late + k * MS // 2) for k, packet in enumerate(more)])
    assert rig.count(Verdict.AHEAD) > 0
    assert rig.tap()["epochs"] == 1, "it was not admitted"
    assert rig.tap()["flaws"] == Flaw.CLOCK


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(12, all=120, full=5_000))
def test_a10_the_file_is_never_longer_than_time_that_passed_and_two_seconds(seed: int) -> None:
    dice = Random(seed)
    rig = Rig()
    rig.open()
    timestamp, sequence, now_ns = dice.randrange(1 << 32), dice.randrange(1 << 16), START
    batch: list[Sent] = []
    for _ in range(150):
        now_ns += dice.choice([0, 0, 1, 20, 20, 100, 1_500, 9_000]) * MS
        timestamp += dice.choice([160, 160, 800, 8_000, 15_990, 16_010, 80_000, 1 << 31, -160, -8_000, -100_000])
        sequence += dice.choice([1, 1, 1, 1, 2, 5, -3, 0, 900, 40_000])
        batch.append(Sent(now_ns, sequence, timestamp, codes(1, 0, dice.choice([160, 1_460]))))
        if dice.random() < 0.3:
            rig.step(batch, now_ns)
            batch = []
            bound = (now_ns - START) * 1.001 / 125_000 + 16_000 + 1e-6
            row = int(rig.tap()["row"])
            ring = rig.state.live.rows[row]
            end = rig.pipeline.timeline.frame(row, int(ring["edge"]))
            assert end - int(ring["low"]) <= bound
            if dice.random() < 0.5:
                rig.drain(now_ns)
    rig.drain(now_ns, ending=True)
    frames = sorted(rig.parts[0].present())
    assert frames[-1] + 1 - frames[0] <= bound + 2 * 8_000


# -- A7


@pytest.mark.parametrize("pause_s", [1, 2, 2.02, 3, 5.99, 6, 10, 3_600])
def test_a7_a_pause_with_a_running_clock_is_silence_of_exactly_its_length(pause_s: float) -> None:
    rig = Rig()
    rig.open()
    before = talk(100)
    pause = int(pause_s * 8_000)
    after = talk(100, START + 100 * 20 * MS + pause * 125_000, sequence=200, timestamp=5_000 + 16_000 + pause)
    rig.run(before + after)
    assert rig.parts[0].present() == truth(before + after, 5_000)
    assert rig.tap()["epochs"] == 0
    assert len(epochs(rig)) == 1
    assert rig.statistics()["highest_sequence"] - rig.statistics()["base_sequence"] == 199
    assert rig.statistics()["jitter_max"] < 1e-3


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(12, all=150, full=3_000))
def test_a7_many_pauses_and_packets_that_overtake_each_other_around_them(seed: int) -> None:
    dice = Random(seed)
    sent: list[Sent] = []
    clock_ns, timestamp = START, (1 << 32) - 90_000
    for _ in range(8):
        length = dice.randrange(3, 25)
        sent += talk(length, clock_ns, sequence=65_500 + len(sent), timestamp=timestamp)
        pause = int(dice.choice([0.5, 1.9, 2.5, 3, 7, 30]) * 8_000)
        clock_ns, timestamp = clock_ns + (length * 160 + pause) * 125_000, timestamp + length * 160 + pause
    sent = [p._replace(arrival_ns=p.arrival_ns + (k > 0) * dice.randrange(390) * MS) for k, p in enumerate(sent)]
    rig = Rig()
    rig.open()
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, (1 << 32) - 90_000)
    assert rig.statistics()["packets"] == len(sent)
    assert rig.tap()["epochs"] == 0


# -- A17


@pytest.mark.parametrize("stood_s", [1.5, 5, 30, 600])
def test_a17_a_clock_that_stood_still_is_an_epoch_anchored_by_the_first_arrival(stood_s: float) -> None:
    rig = Rig()
    rig.open()
    stood = int(stood_s * 8_000)
    before = talk(100)
    after = talk(100, START + 100 * 20 * MS + stood * 125_000, sequence=200, timestamp=5_000 + 16_000)
    rig.run(before + after)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 5_000 + 16_000, HORIZON + 16_000 + stood)
    assert epochs(rig) == [(HORIZON, 5_000), (HORIZON + 16_000 + stood, 5_000 + 16_000)]
    assert rig.tap()["epochs"] == 1


@pytest.mark.parametrize("stall_s", [1.2, 5, 20])
def test_a17_a_burst_after_a_stall_of_the_network_is_no_epoch_and_loses_nothing(stall_s: float) -> None:
    rig = Rig()
    rig.open()
    sent = talk(1_500)
    stall_ns = START + 4 * SECOND
    end_ns = stall_ns + int(stall_s * SECOND)
    sent = [p._replace(arrival_ns=end_ns) if stall_ns < p.arrival_ns < end_ns else p for p in sent]
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)
    assert rig.tap()["epochs"] == 0
    assert rig.count(Verdict.ACCEPTED) == len(sent)


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(10, all=100, full=3_000))
def test_a17_jitter_around_the_pause_puts_every_packet_on_its_side(seed: int) -> None:
    dice = Random(seed)
    stood = 5 * 8_000
    before, after = talk(100), talk(100, START + 100 * 20 * MS + 5 * SECOND, sequence=200, timestamp=5_000 + 16_000)
    delays = [0, *(dice.randrange(300) for _ in range(199))]
    late = [p._replace(arrival_ns=p.arrival_ns + delay * MS) for p, delay in zip(before + after, delays, strict=True)]
    rig = Rig()
    rig.open()
    rig.run(late)
    placed = rig.parts[0].present()
    assert rig.tap()["epochs"] == 1
    frame = epochs(rig)[1][0] + 5_000 + 16_000 - epochs(rig)[1][1]
    assert HORIZON + 16_000 + stood <= frame < HORIZON + 16_000 + stood + 300 * 8
    assert placed == truth(before, 5_000) | truth(after, 5_000 + 16_000, frame)


def test_a17_three_packets_a_second_and_a_half_late_are_no_epoch() -> None:
    rig = Rig()
    rig.open()
    sent = talk(300)
    for k in (50, 51, 52):
        sent[k] = sent[k]._replace(arrival_ns=sent[k].arrival_ns + 1_500 * MS)
    rig.run(sent)
    assert rig.tap()["epochs"] == 0
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_a17_a_pause_of_the_clock_after_a_long_silence_with_a_running_clock() -> None:
    rig = Rig()
    rig.open()
    before = talk(100)
    after = talk(60, START + 2 * SECOND + 15 * SECOND, sequence=200, timestamp=5_000 + 16_000 + 10 * 8_000)
    rig.run(before + after)
    assert rig.tap()["epochs"] == 1
    at = HORIZON + 16_000 + 15 * 8_000
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, after[0].timestamp, at)


def test_a17_timestamps_that_stand_still_while_numbers_go_on_stay_bounded() -> None:
    rig = Rig()
    rig.open()
    sent = [p._replace(timestamp=5_000) for p in talk(1_000)]
    rig.run(sent)
    assert rig.tap()["epochs"] <= 8
    assert rig.statistics()["packets"] == 1_000
    rig.parts[0].present()


def test_a17_an_epoch_does_not_push_the_file_over_its_bound() -> None:
    rig = Rig()
    rig.open()
    burst = [p._replace(arrival_ns=START) for p in talk(98)]
    fast = [p._replace(arrival_ns=START + 4 * SECOND + k * 10 * MS) for k, p in enumerate(talk(148)[98:])]
    rig.step(burst)
    for packet in fast:
        rig.step([packet])
        edge = int(rig.state.live.rows["edge"][0])
        elapsed = (packet.arrival_ns - START) // 125_000
        assert rig.pipeline.timeline.frame(0, edge) - HORIZON <= elapsed * 1.001 + 16_000
    assert rig.tap()["epochs"] > 0


# -- the beginning


def test_a2_what_was_overtaken_at_the_start_comes_before_the_first() -> None:
    sent = talk(40)
    first = sent.pop(20)
    rig = Rig()
    rig.open()
    rig.run([first._replace(arrival_ns=START), *(p._replace(arrival_ns=p.arrival_ns + 401 * MS) for p in sent)])
    assert rig.parts[0].present() == truth([first, *sent], first.timestamp)


@pytest.mark.parametrize("kind", [13, 101])
def test_a2_comfort_noise_or_events_first_do_not_say_where_speech_lies(kind: int) -> None:
    rig = Rig()
    rig.open()
    quiet = [p._replace(payload_type=kind, timestamp=77, payload=b"\x40") for p in talk(10)]
    speech = talk(100, START + 9 * SECOND, sequence=110, timestamp=900_000)
    rig.run(quiet + speech)
    assert rig.parts[0].present() == truth(speech, 900_000)
    assert epochs(rig) == [(HORIZON, 900_000)]
    assert rig.statistics()["packets"] == 110
    assert rig.tap()["first_ns"] == START
    assert rig.stream()["law"] == 0


@pytest.mark.parametrize("kind", [13, 101])
def test_a8_a_stream_of_events_alone_is_heard_and_makes_no_sound(kind: int) -> None:
    rig = Rig()
    rig.open()
    rig.run([p._replace(payload_type=kind, timestamp=77) for p in talk(100)])
    assert rig.parts[0].present() == {}
    assert rig.tap()["heard_ns"] > START
    assert rig.count(Verdict(1 if kind == 13 else 2)) == 100


def test_a8_events_between_speech_are_neither_placed_nor_lost() -> None:
    rig = Rig()
    rig.open()
    sent: list[Any] = talk(200)
    for k in range(50, 60):
        sent[k] = sent[k]._replace(payload_type=101, timestamp=sent[50].timestamp)
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent[:50] + sent[60:], 5_000)
    counted = rig.statistics()
    assert counted["highest_sequence"] - counted["base_sequence"] + 1 == counted["packets"] == 200
    assert rig.stream()["law"] == 0


def test_a14_the_law_is_that_of_each_packet() -> None:
    from receiver.wire import g711

    rig = Rig()
    rig.open()
    sent = [p._replace(payload_type=8 if k % 3 else 0) for k, p in enumerate(talk(30))]
    rig.run(sent)
    expected: dict[int, int] = {}
    for p in sent:
        table = g711.ALAW if p.payload_type else g711.ULAW
        for k, sample in enumerate(table[np.frombuffer(p.payload, np.uint8)].tolist()):
            expected[HORIZON + p.timestamp - 5_000 + k] = sample
    assert rig.parts[0].present() == expected


def test_linear_is_never_absence() -> None:
    assert not (linear(bytes(range(256))) == -32_768).any()
