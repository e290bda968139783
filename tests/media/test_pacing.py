"""Rule A15: of every ten seconds the least delayed packet is written down, whatever kills or jumps lie between."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.columns import NoteKind, Role
from receiver.media.pacing import WINDOW_NS, under_way
from receiver.media.streams import Streams
from tests.media.rig import HORIZON, MS, SECOND, START, Rig, Sent, datagrams, succeed, talk
from tests.media.test_streams import all_odd
from tests.tools import count


def paces(rig: Rig) -> list[tuple[int, int, int]]:
    """What the notes say: (SSRC, frame, arrival)."""
    return [
        (int(note["ssrc"]), int(note["frame"]), int(note["arrival_ns"]))
        for note in (slot["note"] for slot in rig.notes())
        if note["kind"] == NoteKind.PACE
    ]


def jittered(sent: list[Sent], seed: int, most_ms: int = 60) -> list[Sent]:
    """The first in time, the others late by chance."""
    dice = Random(seed)
    late = [p._replace(arrival_ns=p.arrival_ns + (k > 0) * dice.randrange(most_ms * MS)) for k, p in enumerate(sent)]
    return sorted(late, key=lambda p: p.arrival_ns)


def by_definition(sent: list[Sent], first_timestamp: int) -> list[tuple[int, int]]:
    """The least delayed packet of each ten seconds since the first."""
    windows: dict[int, tuple[int, int]] = {}
    for p in sent:
        frame = HORIZON + p.timestamp - first_timestamp
        number = (p.arrival_ns - sent[0].arrival_ns) // WINDOW_NS
        if number not in windows or p.arrival_ns - frame * 125_000 < windows[number][1] - windows[number][0] * 125_000:
            windows[number] = frame, p.arrival_ns
    return [windows[number] for number in sorted(windows)]


@pytest.mark.all
@given(seed=st.integers(0, 1 << 32), tick_ms=st.sampled_from([100, 1_000, 12_000]))
@settings(max_examples=count(2, all=20, full=500))
def test_a15_each_window_s_note_is_its_least_delayed_packet(seed: int, tick_ms: int) -> None:
    sent = jittered(talk(2_600, sequence=65_000, timestamp=(1 << 32) - 9_000), seed)
    rig = Rig(window=200_000)
    rig.open()
    rig.run(sent, tick_ns=tick_ms * MS)
    told = [(frame, at) for _, frame, at in paces(rig)]
    last = under_way(rig.stream())
    assert last is not None
    assert [*told, last] == by_definition(sent, (1 << 32) - 9_000)
    assert len(told) == 5


@given(seed=st.integers(0, 1 << 32), tick_ms=st.sampled_from([100, 1_000, 12_000]))
@settings(max_examples=count(2, all=20, full=500))
def test_a15_the_closed_form_writes_the_notes_of_the_literal_reading(seed: int, tick_ms: int) -> None:
    """With losses, silence, a jump and a clock that stood still between."""
    dice = Random(seed)
    sent: list[Sent] = []
    at_ns, sequence, timestamp = START, 100, 5_000
    for _ in range(dice.randrange(2, 5)):
        packets = dice.randrange(20, 900)
        sent += talk(packets, at_ns, sequence=sequence, timestamp=timestamp)
        pause_ms = dice.choice([0, 40, 7_000, 15_000])
        at_ns += packets * 20 * MS + pause_ms * MS
        sequence += packets + dice.choice([0, 0, 3])
        timestamp += packets * 160 + dice.choice([pause_ms * 8, pause_ms * 8, 0, 90_000])
    sent = [p for p in jittered(sent, seed, dice.choice([1, 60, 400])) if dice.random() > 0.03]
    with pytest.MonkeyPatch.context() as patcher:
        closed, literal = Rig(window=200_000), Rig(window=200_000)
        closed.open()
        closed.run(sent, tick_ns=tick_ms * MS)
        patcher.setattr(Streams, "survey", all_odd)
        literal.open()
        literal.run(sent, tick_ns=tick_ms * MS)
    assert paces(closed) == paces(literal)
    assert len(closed.notes()) == len(literal.notes())


def test_a15_k3_a_worker_that_dies_in_any_turn_leaves_the_same_notes() -> None:
    sent = jittered(talk(1_300), 3)
    steady, mortal = Rig(), Rig()
    for rig in (steady, mortal):
        rig.open()
        for k in range(0, len(sent), 50):
            batch = sent[k : k + 50]
            if rig is mortal:
                rig.pipeline.step(datagrams(batch), START, 0)
                succeed(rig)  # before the commit
            rig.step(batch, batch[-1].arrival_ns)
            rig.drain(batch[-1].arrival_ns)
            if rig is mortal:
                succeed(rig)
    assert paces(steady) == paces(mortal)
    assert under_way(steady.stream()) == under_way(mortal.stream())
    assert len(paces(mortal)) == 2


def test_a15_an_epoch_s_last_window_is_told_before_the_next_one_begins() -> None:
    rig = Rig()
    rig.open()
    first = talk(200)
    jumped = talk(200, START + 4 * SECOND, sequence=300, timestamp=9_000_000)
    other = talk(200, START + 9 * SECOND, ssrc=8, sequence=7)
    rig.run(first + jumped + other)
    epoch, pace = int(NoteKind.EPOCH), int(NoteKind.PACE)
    kinds = [(int(s["note"]["kind"]), int(s["note"]["ssrc"])) for s in rig.notes()]
    kinds = [it for it in kinds if it[0] in (epoch, pace)]
    assert kinds == [(epoch, 7), (pace, 7), (epoch, 7), (pace, 7), (epoch, 8)]
    assert [s["note"]["arrival_ns"] > 0 for s in rig.notes() if s["note"]["kind"] == epoch] == [False, True, False]
    assert paces(rig)[0] == (7, HORIZON, START)


def test_a15_a_candidate_paces_nothing() -> None:
    """Its frames are none of the tap's yet."""
    rig = Rig(strict=False)
    rig.open()
    rig.run(talk(100), finish=False)
    rig.step(talk(3, START + 2 * SECOND, ssrc=8, sequence=7))
    streams = rig.state.live.streams
    candidate = streams[streams["role"] == Role.PROBATION]
    assert candidate.size == 1
    assert under_way(candidate[0]) is None


def test_a15_frames_behind_a_splice_are_those_of_the_part() -> None:
    """A hold of a minute with a running clock takes no room on the ring; the pace goes on in frames."""
    rig = Rig()
    rig.open()
    before = talk(300)
    after = talk(900, START + 66 * SECOND, sequence=400, timestamp=5_000 + 66 * 8_000)
    rig.run(before + after)
    told = [*((frame, at) for _, frame, at in paces(rig)), under_way(rig.stream())]
    assert all(p is not None and p[1] - p[0] * 125_000 == START - HORIZON * 125_000 for p in told)
    assert len(told) == 4  # the silence has none


def test_a15_of_many_taps_each_has_its_own() -> None:
    rig = Rig(taps=3)
    for tap in range(3):
        rig.open(tap)
    rig.run([p for tap in range(3) for p in jittered(talk(1_100, START + tap * 3 * SECOND, tap=tap), tap)])
    taps = [int(slot["tap"]) for slot in rig.notes() if slot["note"]["kind"] == NoteKind.PACE]
    assert sorted(taps) == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(
        rig.state.live.taps["notes"], [len([s for s in rig.notes() if s["tap"] == t]) for t in range(3)]
    )


@pytest.mark.parametrize("closed", [True, False])
def test_a15_what_lies_before_a_splice_is_not_taken_for_less_delayed(closed: bool) -> None:
    """A clock stood still (rule A17): a packet from before it, late, would seem to have come before it was sent."""
    rig = Rig(strict=False)
    rig.open()
    rig.run(talk(50), finish=False)
    now, stream = rig.state.now, int(rig.tap()["stream"])
    row = int(now.streams["row"][stream])
    rig.pipeline.timeline.splice(row, 10_000, 8_000)
    now.streams["pace_arrival_ns"][stream] = 0
    position = np.array([9_840, 10_160, 9_860])
    arrival_ns = START + np.array([1_000_000_000, 2_000_000_000, 1_000_100_000])
    expected = [None, (18_160, START + 2_000_000_000), (18_160, START + 2_000_000_000)]
    zero = np.zeros(1, np.int64)
    for k in range(3):
        if closed:
            rig.pipeline.clock.pacing.hear_all(
                np.array([stream]), zero, zero, position[k : k + 1], arrival_ns[k : k + 1]
            )
        else:
            rig.pipeline.clock.pacing.hear(stream, int(position[k]), int(arrival_ns[k]))
        assert under_way(now.streams[stream]) == expected[k]
