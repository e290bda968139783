"""Rule A7: of what is absent, what nobody sent and what was lost, whatever overtakes what."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.block import ABSENT
from receiver.media.columns import NoteKind
from receiver.worker.story import stretches
from tests.media.rig import HORIZON, MS, SECOND, START, Rig, Sent, codes, succeed, talk
from tests.tools import count

NOISE, EVENT = 13, 101
Frames = set[int]


def told(rig: Rig) -> Frames:
    """Absent frames of the part that a note calls silence."""
    absent = set(np.flatnonzero(rig.parts[0].samples == ABSENT).tolist())
    notes = np.array([slot["note"] for slot in rig.notes()])
    return {frame for it in stretches(notes) for frame in range(it.frame, it.frame + it.frames)} & absent


def silence(sent: list[Sent], arrived: list[Sent]) -> Frames:
    """The same by the rule's words: between speech packets that came, with every number between them come as well."""
    here = {packet.sequence for packet in arrived}
    speech = sorted((p for p in sent if p.payload_type == 0 and p.sequence in here), key=lambda p: p.sequence)
    first = speech[0].timestamp - HORIZON
    frames: Frames = set()
    for a, b in pairwise(speech):
        if all(number in here for number in range(a.sequence, b.sequence)):
            frames |= set(range(a.timestamp + len(a.payload) - first, b.timestamp - first))
    return frames


def spurts(dice: Random, count_: int = 8) -> list[Sent]:
    """Talk with pauses, comfort noise and events between; the clock goes on."""
    sent: list[Sent] = []
    timestamp, sequence = (1 << 32) - 90_000, 65_400
    for _ in range(count_):
        for _ in range(dice.randrange(2, 12)):
            sent.append(Sent(START, sequence, timestamp, codes(1, timestamp, 160)))
            sequence, timestamp = sequence + 1, timestamp + 160
        for _ in range(dice.choice([0, 0, 1, 3])):
            kind = dice.choice([NOISE, EVENT])
            payload = b"\x20" if kind == NOISE else b"\x05\x0a\x00\xa0"
            sent.append(Sent(START, sequence, timestamp, payload, payload_type=kind))
            sequence, timestamp = sequence + 1, timestamp + dice.choice([0, 160, 1_600])
        timestamp += dice.choice([0, 80, 4_000, 15_000, 24_000])
    begin = sent[0].timestamp
    return [p._replace(arrival_ns=START + (p.timestamp - begin) * 125_000) for p in sent]


@pytest.mark.parametrize("pause", [1, 160, 8_000, 16_001, 80_000])
def test_a7_silence_between_consecutive_numbers_is_not_sent(pause: int) -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(50, START + (8_000 + pause) * 125_000, sequence=150, timestamp=13_000 + pause)
    rig.run(before + after)
    assert told(rig) == set(range(HORIZON + 8_000, HORIZON + 8_000 + pause))
    assert len([slot for slot in rig.notes() if slot["note"]["kind"] == NoteKind.STRETCH]) == 1


def test_a7_a_pause_in_which_a_packet_is_missing_is_loss() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(50, START + SECOND + 24_000 * 125_000, sequence=151, timestamp=13_000 + 24_000)
    rig.run(before + after)
    assert told(rig) == set()


def test_a7_plain_loss_is_no_silence_and_stays_in_the_closed_form() -> None:
    rig = Rig()
    rig.open()
    rig.run([packet for packet in talk(200) if packet.sequence % 7])
    assert told(rig) == set()
    assert not rig.stream()["watch"]


@pytest.mark.all
@pytest.mark.parametrize("missing", [False, True])
def test_a7_comfort_noise_keeps_time_over_more_numbers_than_are_remembered(missing: bool) -> None:
    before, noise = talk(50), []
    for k in range(1_500):
        at = 13_000 + k * 800
        noise.append(Sent(START + (at - 5_000) * 125_000, 150 + k, at, b"\x28", payload_type=NOISE))
    at = 13_000 + 1_500 * 800
    after = talk(50, START + (at - 5_000) * 125_000, sequence=1_650, timestamp=at)
    rig = Rig()
    rig.open()
    rig.run([packet for packet in before + noise + after if not (missing and packet.sequence == 900)])
    assert len(rig.parts[0].present()) == 100 * 160
    assert rig.parts[0].size == HORIZON + 100 * 160 + 1_500 * 800
    assert told(rig) == (set() if missing else set(range(HORIZON + 8_000, HORIZON + 8_000 + 1_500 * 800)))
    statistics = rig.statistics()
    lost = statistics["highest_sequence"] - statistics["base_sequence"] + 1 - statistics["packets"]
    assert lost == missing, "comfort noise counts in its stream and is no loss"


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(30, all=150, full=10_000), deadline=None)
def test_a7_what_was_not_sent_is_told_from_loss_in_any_order_and_at_any_batch_border(seed: int) -> None:
    dice = Random(seed)
    sent = spurts(dice)
    lose, spread_ms = dice.choice([0, 0, 0.05, 0.3]), dice.choice([1, 30, 390])
    arrived = [sent[0], *(p for p in sent[1:] if dice.random() >= lose)]
    arrived = [p._replace(arrival_ns=p.arrival_ns + (k > 0) * dice.randrange(spread_ms * MS))
               for k, p in enumerate(arrived)]  # fmt: skip
    arrived += [dice.choice(arrived[1:]) for _ in range(dice.choice([0, 5]))]
    rig = Rig()
    rig.open()
    rig.run(arrived, tick_ns=dice.choice([20, 100, 700]) * MS)
    assert told(rig) == silence(sent, arrived)


def test_a7_a_packet_that_comes_seconds_late_parts_the_hole_that_it_was_missing_from() -> None:
    rig = Rig()
    rig.open()
    before, late = talk(50), talk(1, START + 4 * SECOND, sequence=150, timestamp=20_000)
    after = talk(100, START + SECOND + 24_000 * 125_000, sequence=151, timestamp=13_000 + 24_000)
    rig.run([*before, *after, late[0]._replace(arrival_ns=START + 5 * SECOND)])
    first = HORIZON - 5_000
    assert told(rig) == {*range(first + 13_000, first + 20_000), *range(first + 20_160, first + 37_000)}


def test_a7_what_was_noted_and_what_is_still_open_survive_a_worker() -> None:
    sent = spurts(Random(4))
    arrived = sorted(sent, key=lambda packet: packet.arrival_ns + (packet.sequence % 5 == 0) * 150 * MS)
    whole, killed = Rig(), Rig(strict=False)
    for rig in (whole, killed):
        rig.open()
        for packet in arrived:
            rig.step([packet])
            if rig is killed:
                succeed(rig)
    assert [slot["note"].tobytes() for slot in killed.notes()] == [slot["note"].tobytes() for slot in whole.notes()]
    assert any(slot["note"]["kind"] == NoteKind.STRETCH for slot in whole.notes())


def test_a7_a_candidates_silence_is_told_once_it_is_admitted() -> None:
    rig = Rig()
    rig.open()
    rig.step(talk(50))
    other = [*talk(1, START + 2 * SECOND, ssrc=9), *talk(3, START + 3 * SECOND, sequence=101, timestamp=13_000, ssrc=9)]
    rig.step([other[0]])
    rig.run(other[1:], finish=False)
    rig.review(START + 5 * SECOND)
    rig.finish(START + 5 * SECOND)
    [hole] = [slot["note"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.STRETCH]
    assert hole["frames"] == 8_000 - 160
    assert (rig.parts[0].samples[hole["frame"] : hole["frame"] + hole["frames"]] == ABSENT).all()


def test_a7_trembling_timestamps_do_not_fill_the_log_of_all_taps() -> None:
    rig = Rig()
    rig.open()
    rig.run([p._replace(timestamp=p.timestamp + 3 * k) for k, p in enumerate(talk(2_000))])
    stretched = [slot for slot in rig.notes() if slot["note"]["kind"] == NoteKind.STRETCH]
    assert 400 < len(stretched) < 500, "40 s: 64 at once and 10 a second"
    assert not rig.tap()["flaws"]
