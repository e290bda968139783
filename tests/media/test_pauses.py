"""A pause keeps out what arrives inside it, and nothing else, whatever the network and the worker do meanwhile."""

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.media.block import ABSENT
from receiver.media.columns import FAR, PAUSES, TURNS, NoteKind, Policy
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, WALL, Rig, Sent, linear, succeed, talk, truth


def turn(rig: Rig, at_ns: int, tap: int = 0) -> None:
    """The worker hears of it."""
    rig.pipeline.pauses.turn(tap, at_ns, at_ns + WALL - START)
    rig.commit()


def is_inside(arrival_ns: int, turns: list[int]) -> bool:
    """By what a pause means: an odd number of turns came before."""
    return sum(at_ns <= arrival_ns for at_ns in turns) % 2 == 1


def weather(sent: list[Sent], dice: Random, jitter_ms: int) -> list[Sent]:
    """Loss, repetition, packets that overtake each other; in order of arrival."""
    arrived = [
        packet._replace(arrival_ns=packet.arrival_ns + dice.randrange(jitter_ms * MS))
        for packet in sent for _ in range(dice.choice([0, 1, 1, 1, 1, 1, 2]))
    ]  # fmt: skip
    return sorted(arrived, key=lambda packet: packet.arrival_ns)


def recorded(rig: Rig, sent: list[Sent], turns: list[int], dice: Random, deaths: bool = False) -> None:
    """Slab by slab; what arrived before a turn may be read only after the worker has heard of it."""
    queue, due, now_ns = list(sent), list(turns), START
    while queue or due:
        now_ns += dice.choice([20, 100, 300]) * MS
        while due and due[0] <= now_ns:
            turn(rig, due.pop(0))
            if deaths:
                succeed(rig)
        batch = [packet for packet in queue if packet.arrival_ns <= now_ns][: rig.room()]
        queue = queue[len(batch) :]
        if batch:
            rig.step(batch, now_ns)
        if dice.random() < 0.2:
            rig.drain(now_ns)
            rig.review(now_ns)
        if deaths and dice.random() < 0.3:
            succeed(rig)
    rig.finish(now_ns + SECOND)


@pytest.mark.parametrize("deaths", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_arrived_inside_a_pause_is_kept_and_all_else_is_at_its_place(seed: int, deaths: bool) -> None:
    dice = Random(seed)
    rig = Rig()
    rig.open()
    sent = weather(talk(400), dice, jitter_ms=250)
    turns = sorted(START + dice.randrange(8_000) * MS for _ in range(dice.randrange(1, 12)))
    recorded(rig, sent, turns, dice, deaths)

    first: dict[int, Sent] = {}
    for packet in sent:
        first.setdefault(packet.sequence, packet)
    outside = [packet for packet in first.values() if not is_inside(packet.arrival_ns, turns)]
    assert rig.parts[0].present() == truth(outside, sent[0].timestamp)
    assert rig.state.live.taps["turns"][0] == len(turns)
    assert rig.statistics()["packets"] == len(sent)
    assert rig.count(Verdict.ACCEPTED, 0) == len(sent)
    assert rig.tap()["flaws"] == 0
    for packet in first.values():
        if is_inside(packet.arrival_ns, turns):
            frame = HORIZON + packet.timestamp - sent[0].timestamp
            labels = [(int(begin), int(end)) for begin, end in pauses_of(rig)]
            assert any(begin <= frame and frame + 160 <= end for begin, end in labels), (frame, labels)


def pauses_of(rig: Rig) -> list[tuple[int, int]]:
    """What the columns know, oldest first."""
    aside = rig.state.live.taps_aside[0]
    count = (int(rig.tap()["turns"]) + 1) // 2
    return [
        (int(aside["pause_frame"][k % PAUSES]), int(aside["pause_end"][k % PAUSES]))
        for k in range(max(0, count - PAUSES), count)
    ]


def holds(samples: NDArray[np.int16], packet: Sent) -> bool:
    """Whether the sound of a packet lies somewhere in there."""
    return linear(packet.payload).tobytes() in samples.tobytes()


def test_its_sound_is_nowhere_in_the_memory_that_reaches_a_disk() -> None:
    rig = Rig()
    rig.open()
    sent = talk(50)
    turn(rig, sent[20].arrival_ns)
    rig.step(sent[:40])
    late = sent[30]._replace(sequence=sent[40].sequence, timestamp=sent[40].timestamp)
    rig.step([*sent[41:], late._replace(arrival_ns=sent[49].arrival_ns)])
    assert holds(rig.state.ring, sent[19])
    for packet in sent[20:]:
        assert not holds(rig.state.ring, packet)
        assert not holds(rig.state.patch_log["samples"], packet)


def test_a_packet_that_was_late_and_arrived_inside_goes_to_no_patch_log() -> None:
    rig = Rig()
    rig.open()
    sent = talk(100)
    overtaken = sent[10]._replace(arrival_ns=sent[99].arrival_ns)
    rig.step([*sent[:10], *sent[11:60]])
    rig.drain(sent[59].arrival_ns)
    turn(rig, sent[60].arrival_ns)
    rig.step([*sent[60:], overtaken])
    assert rig.state.live.world["patches"][0] == 0
    rig.finish(sent[99].arrival_ns)
    assert rig.parts[0].present() == truth([*sent[:10], *sent[11:60]], 5_000)
    assert pauses_of(rig) == [(HORIZON + 10 * 160, int(FAR))]  # as far back as what was kept out reaches


def test_candidates_are_paused_too() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    sent = talk(60)
    turn(rig, sent[2].arrival_ns)
    turn(rig, sent[30].arrival_ns)
    rig.step(sent)
    rig.finish(sent[-1].arrival_ns)
    assert rig.parts[0].present() == truth([*sent[:2], *sent[30:]], 5_000)


def test_what_was_read_before_the_order_came_is_erased_from_ring_and_part() -> None:
    rig = Rig()
    rig.open()
    sent = talk(100)
    rig.step(sent[:80])
    rig.drain(sent[79].arrival_ns)  # all but a horizon is in the part
    turn(rig, sent[30].arrival_ns)
    rig.finish(sent[79].arrival_ns)
    assert rig.parts[0].present() == truth(sent[:30], 5_000)


def test_a_resumption_that_was_heard_of_late_begins_behind_what_was_kept_out_meanwhile() -> None:
    rig = Rig()
    rig.open()
    sent = talk(100)
    turn(rig, sent[20].arrival_ns)
    rig.step(sent[:50])
    turn(rig, sent[45].arrival_ns)
    rig.step(sent[50:])
    rig.finish(sent[99].arrival_ns)
    assert rig.parts[0].present() == truth([*sent[:20], *sent[50:]], 5_000)
    assert pauses_of(rig) == [(HORIZON + 20 * 160, HORIZON + 50 * 160)]
    assert rig.state.live.taps_aside["turned_ns"][0][1] == sent[49].arrival_ns + 1


def test_a_paused_tap_is_ripe_as_any_other_and_its_file_is_as_long() -> None:
    rig = Rig()
    rig.open()
    sent = talk(3_000)
    turn(rig, sent[50].arrival_ns)
    rig.run(sent)
    assert rig.parts[0].size == HORIZON + 3_000 * 160
    assert (rig.parts[0].samples[HORIZON + 50 * 160 :] == ABSENT).all()
    assert rig.statistics()["packets"] == 3_000


def test_what_is_older_than_all_turns_that_are_known_is_kept_out() -> None:
    rig = Rig()
    rig.open()
    sent = talk(10)
    rig.step(sent[:5])
    for k in range(TURNS + 2):
        turn(rig, sent[9].arrival_ns + k * MS)
    rig.step([sent[5]], now_ns=sent[9].arrival_ns + SECOND)
    rig.finish(sent[9].arrival_ns + SECOND)
    assert rig.parts[0].present() == truth(sent[:5], 5_000)


def test_every_pause_leaves_notes_also_one_whose_column_another_has_now() -> None:
    rig = Rig()
    rig.open()
    sent = talk(200)
    for k in range(2 * PAUSES + 2):
        turn(rig, sent[10 * k].arrival_ns)
        rig.step(sent[10 * k : 10 * k + 10])
    told = [(int(slot["note"]["kind"]), int(slot["note"]["timestamp"])) for slot in rig.notes()]
    for pause in range(PAUSES + 1):
        assert (NoteKind.PAUSE, pause) in told
        assert (NoteKind.RESUME, pause) in told


def test_a12_what_was_read_before_the_order_came_is_erased_from_every_part() -> None:
    rig = Rig()
    rig.open()
    one, two = talk(300), talk(300, ssrc=8, seed=2, timestamp=1 << 30)
    rig.run(one[:200] + two[:200], finish=False)
    rig.drain(two[199].arrival_ns)  # all but a horizon is in the parts
    turn(rig, one[100].arrival_ns)
    rig.run(one[200:] + two[200:])
    assert rig.parts[0].present() == truth(one[:100], 5_000)
    assert rig.further[0, 1].present() == truth(two[:100], 1 << 30)
