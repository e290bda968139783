"""The only policy about waiting: what is ripe, what is free again, and which sockets may be read (rules K4, K5)."""

import numpy as np
import pytest

from receiver.media.columns import CLOCK_RATE
from receiver.media.drain import MOST_PACKETS, Drain
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, WINDOW, Rig, Sent, codes, talk, truth
from tests.media.test_packets import OPUS, speech

TAP_0 = np.array([0])


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.open()
    return rig


def playout(rig: Rig) -> int:
    return int(rig.state.live.rows["playout"][0])


def test_ripe_is_what_waited_for_the_horizon(rig: Rig) -> None:
    sent = talk(100)
    rig.step(sent)
    rig.drain(sent[-1].arrival_ns)
    assert playout(rig) == HORIZON + 100 * 160 - HORIZON
    rig.drain(sent[-1].arrival_ns + 400 * MS)
    assert playout(rig) == 100 * 160
    rig.drain(sent[-1].arrival_ns + 400 * MS + 1)
    assert playout(rig) == HORIZON + 100 * 160, "nothing came for a horizon: up to the edge"


def test_a_tap_whose_socket_nobody_read_was_not_silent() -> None:
    rig = Rig(2)
    for tap in (0, 1):
        rig.open(tap)
        rig.step(talk(100, tap=tap))
    last_ns = START + 99 * 20 * MS
    taps, _, upto = rig.drains.ripe(np.array([0, 1]), np.array([last_ns, last_ns + SECOND]))
    assert dict(zip(taps.tolist(), upto.tolist(), strict=True)) == {0: 16_000, 1: HORIZON + 16_000}


@pytest.mark.parametrize("opus", [False, True])
@pytest.mark.parametrize("window", [24_160, WINDOW])
def test_a17_what_would_decide_it_waits_for_the_room_that_waits_for_it(window: int, opus: bool) -> None:
    """Loss, and behind it packets that come too late: the ring is full, and nobody knows how long it is silent."""
    rig = Rig(window=window)
    rig.open(opus=OPUS if opus else 0)
    before, late = talk(50), talk(30, START + 4_200 * MS, sequence=245, timestamp=5_000 + 145 * 160)
    if opus:
        begins = 5_000 + 6 * 145 * 160
        before, late = speech([160] * 50), speech([160] * 30, begins, 245, START + 4_200 * MS)
    rig.step(before)
    rig.drain(START + 4 * SECOND)
    known_ns = late[0].arrival_ns
    for _ in range(30):
        if room := min(rig.room(), 4):
            batch, late = late[:room], late[room:]
            known_ns = batch[-1].arrival_ns if batch else known_ns + 100 * MS
            rig.step(batch)
        rig.drain(known_ns)
        rig.review(known_ns)
    assert not late
    assert rig.count(Verdict.NO_ROOM) == 0


def test_at_the_end_everything_is_ripe(rig: Rig) -> None:
    rig.step(talk(3))
    rig.drain(START, ending=True)
    assert rig.parts[0].present() == truth(talk(3), 5_000)


@pytest.mark.parametrize("noisy", [False, True])
def test_what_may_lie_behind_a_pause_of_the_clock_waits_until_that_is_decided(rig: Rig, noisy: bool) -> None:
    rig.step(talk(100))
    rig.drain(START + 3 * SECOND)
    flat = talk(9, START + 9 * SECOND, sequence=200, timestamp=5_000 + 16_000)
    rig.step(flat)
    rig.drain(START + 9 * SECOND + 600 * MS)
    assert playout(rig) == HORIZON + 16_000
    if noisy:  # the speaker is as silent as if nothing came
        last = Sent(START + 10_900 * MS, 209, 5_000 + 16_000 + 9 * 160, b"\x28", payload_type=13)
        rig.step([last])
    rig.review(START + 11 * SECOND)
    rig.drain(START + 11 * SECOND + 600 * MS)
    assert playout(rig) == HORIZON + 16_000 + 9 * 160, "silence for a second: it was no run"


def test_nothing_is_ripe_before_the_latch(rig: Rig) -> None:
    rig.step(talk(5, source=talk(1)[0].source._replace(port=1)))
    assert rig.drains.hand_on(TAP_0, START + 9 * SECOND) == []


def test_k4_samples_stay_in_the_ring_until_their_commit(rig: Rig) -> None:
    sent = talk(250)
    rig.step(sent[:200])
    ring = rig.state.ring.copy()
    rig.drain(START + 5 * SECOND, commit=False)
    assert rig.parts[0].present() == truth(sent[:200], 5_000)
    assert (rig.state.ring == ring).all()
    rig.drains.give_back(0)
    assert (rig.state.ring == ring).all()
    assert rig.state.cleared[0] == 0
    rig.make_durable()
    assert rig.state.cleared[0] == rig.state.committed[0] == rig.state.written[0] == playout(rig)


def test_k5_a_late_commit_gives_room_back_at_written_and_is_counted(rig: Rig) -> None:
    rig.step(talk(200))
    rig.drain(START + 5 * SECOND, commit=False)
    rig.drains.give_back(0, late=True)
    rig.commit()
    assert rig.state.cleared[0] == rig.state.written[0] > rig.state.committed[0]
    assert rig.state.live.world["given_back"][0] == 1
    rig.drains.give_back(0, late=True)
    rig.make_durable()
    assert rig.state.live.world["given_back"][0] == 1


def test_k5_unwritten_is_what_was_handed_on_and_never_reached_its_part(rig: Rig) -> None:
    sent = talk(100) + talk(100, START + 12 * SECOND, sequence=200, timestamp=5_000 + 12 * CLOCK_RATE)
    rig.step(sent[:100])
    rig.drain(START + 2 * SECOND)
    rig.step(sent[100:])
    rig.drain(START + 20 * SECOND, write=False)
    rig.queue.clear()  # the writer thread died with the worker
    rig.queue += rig.drains.unwritten()
    rig.write()
    assert rig.parts[0].present() == truth(sent, 5_000)
    [cut] = rig.drains.unwritten()
    assert (cut.blocks, cut.upto) == ([], rig.state.written[0]), "it lies there, and no commit has said so"
    rig.make_durable()
    assert rig.drains.unwritten() == []


def test_a_full_ring_leaves_the_socket_to_the_kernel_and_loses_nothing(rig: Rig) -> None:
    queue = talk(1_000)
    k = 0
    while (most := rig.room()) > 0:
        rig.step(queue[k : k + most])
        k += most
    assert 0 < k < 1_000
    rig.drain(queue[k].arrival_ns, write=False)
    assert rig.room() == 0
    rig.write()
    assert rig.room() == 0, "written is not yet durable"
    rig.make_durable()
    assert rig.room() > 0
    rig.run(queue[k:])
    assert rig.parts[0].present() == truth(queue, 5_000)
    assert rig.count(Verdict.NO_ROOM) == 0


@pytest.mark.parametrize("size", [80, 160, 959, 1_460])
def test_room_obeyed_is_room_enough_even_if_each_tick_brings_a_pause(rig: Rig, size: int) -> None:
    timestamp, sent = 5_000, []
    for k in range(300):
        timestamp += size + (k % 25 == 24) * int(2.4 * CLOCK_RATE)
        arrival_ns = START + (timestamp - 5_000) * 125_000
        sent.append(Sent(arrival_ns, 100 + k, timestamp, codes(1, timestamp, size)))
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, sent[0].timestamp)


def test_packets_that_suddenly_grow_longest_fit_where_room_was_promised(rig: Rig) -> None:
    short = talk(300)
    long = talk(40, START + 6 * SECOND, size=1_460, sequence=400, timestamp=5_000 + 48_000)
    rig.run(short + [p._replace(arrival_ns=START + 6 * SECOND) for p in long])
    assert rig.count(Verdict.NO_ROOM) == 0


def test_without_room_a_packet_is_counted_and_the_tap_says_so(rig: Rig) -> None:
    sent = talk(400)
    rig.step(sent)
    assert rig.count(Verdict.NO_ROOM) > 0
    assert rig.tap()["flaws"] != 0
    placed = WINDOW - HORIZON
    assert rig.count(Verdict.ACCEPTED) == placed // 160


def test_room_before_the_latch_is_a_whole_tick(rig: Rig) -> None:
    assert rig.room() == MOST_PACKETS


def test_drain_says_which_horizon(rig: Rig) -> None:
    assert Drain(rig.state, rig.pipeline.timeline, 800).horizon == 800


def test_room_obeyed_is_room_enough_for_a_pause_that_meets_a_full_ring(rig: Rig) -> None:
    sent, timestamp = [], 5_000
    for k in range(600):
        timestamp += 160 + (k % 40 == 39) * 19_000
        sent.append(Sent(START + (timestamp - 5_000) * 125_000, 100 + k, timestamp, codes(1, timestamp, 160)))
    k = 0
    while k < len(sent):
        most = min(rig.room(), 3)
        if most == 0:  # the commit is late, nothing was given back until now
            rig.drain(sent[k].arrival_ns)
            assert rig.room() > 0
            continue
        rig.step(sent[k : k + most])
        k += most
    rig.finish(sent[-1].arrival_ns)
    assert rig.count(Verdict.NO_ROOM) == 0
    assert rig.parts[0].present() == truth(sent, sent[0].timestamp)


def test_k3_room_that_was_given_back_since_the_turn_began_decides_nothing_in_it() -> None:
    images = []
    for given_back in (0, 20_000):
        rig = Rig()
        rig.open()
        sent = talk(300)
        rig.step(sent[:275])
        rig.drain(sent[274].arrival_ns, commit=False)
        rig.state.cleared[0] = given_back  # as recovery does before it runs the slab in hand
        rig.step(sent[275:])
        rig.state.cleared[0] = 20_000
        rig.commit()
        images.append(rig.image())
    assert images[0] == images[1]
