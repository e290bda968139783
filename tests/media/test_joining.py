"""How a stream comes to a row and leaves it (rules A3, A11, P5)."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.block import ABSENT
from receiver.media.columns import Flaw, NoteKind, Policy
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, STRANGER, WINDOW, Rig, Sent, succeed, talk, truth
from tests.tools import count


def anchors(rig: Rig) -> dict[int, int]:
    """SSRC → frame less timestamp, of each epoch that was noted."""
    notes = [slot["note"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.EPOCH]
    return {int(note["ssrc"]): int(note["frame"]) - int(note["timestamp"]) for note in notes}


def test_a11_a_new_ssrc_goes_on_in_the_same_part_anchored_by_arrival() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(50, START + 50 * 20 * MS, ssrc=8, seed=2, sequence=60_000, timestamp=1 << 31)
    rig.run(before + after)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 8_000)
    assert rig.tap()["epochs"] == 1
    assert rig.tap()["moves"] == 0
    assert [news.event for news in rig.news] == ["receiving", "epoch"]
    assert rig.statistics()["packets"] == 50


def test_a11_one_packet_of_a_new_ssrc_is_not_enough() -> None:
    rig = Rig()
    rig.open()
    sent = [*talk(100), talk(1, START + SECOND, ssrc=8, seed=2)[0]]
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent[:-1], 5_000)
    assert rig.count(Verdict.PROBATION) == 1


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(15, all=150, full=5_000))
def test_a11_stragglers_of_the_old_ssrc_are_still_placed(seed: int) -> None:
    dice = Random(seed)
    sent: list[Sent] = []
    clock_ns = START
    for ssrc in range(4):
        length = dice.randrange(20, 40)
        sent += talk(length, clock_ns, ssrc=ssrc, seed=ssrc, sequence=dice.randrange(1 << 16), timestamp=ssrc << 29)
        clock_ns += length * 20 * MS
    spread = dice.choice([30, 200])
    sent = [p._replace(arrival_ns=p.arrival_ns + (k > 0) * dice.randrange(spread) * MS) for k, p in enumerate(sent)]
    rig = Rig()
    rig.open()
    rig.run(sent)
    offsets = anchors(rig)
    assert len(offsets) == rig.tap()["epochs"] + 1 == 4
    expected: dict[int, int] = {}
    for ssrc, offset in offsets.items():
        expected |= truth([p for p in sent if p.ssrc == ssrc], 0, offset)
    placed = rig.parts[0].present()
    assert placed == expected
    assert len(expected) == len(sent) * 160, "two streams lie over each other"


def test_a11_at_most_eight_changes_a_minute_the_rest_is_counted() -> None:
    rig = Rig()
    rig.open()
    sent = [p for k in range(16) for p in talk(40, START + k * 800 * MS, ssrc=k, seed=k, sequence=k * 900)]
    rig.run(sent)
    assert rig.tap()["epochs"] == 8
    assert rig.count(Verdict.EPOCH_LIMIT) > 0
    assert rig.tap()["flaws"] == Flaw.SSRCS  # sound of the source itself was given up
    assert sum(rig.state.live.world["verdicts"][0].tolist()) == len(sent)


def test_a11_an_ssrc_that_changed_just_before_the_end_is_heard_at_the_last_call() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(5, START + 50 * 20 * MS, ssrc=8, seed=2, sequence=60_000, timestamp=1 << 31)
    rig.run(before + after)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 8_000)


def test_a11_an_ssrc_that_fell_silent_at_once_is_heard_by_time_alone() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(50) + talk(5, START + SECOND, ssrc=8, seed=2), finish=False)
    assert rig.tap()["epochs"] == 0
    rig.review(START + 980 * MS + 399 * MS)
    assert rig.tap()["epochs"] == 0
    rig.review(START + 980 * MS + 400 * MS)
    assert rig.tap()["epochs"] == 1


def test_a11_how_long_an_ssrc_was_silent_is_judged_by_what_was_read() -> None:
    """The slab is run long after it came, and more of the first one waits in the socket behind it."""
    rig = Rig()
    rig.open()
    before, after = talk(52), talk(20, START + SECOND, ssrc=8, seed=2, sequence=60_000, timestamp=1 << 31)
    late = [packet._replace(arrival_ns=START + 1_300 * MS) for packet in before[50:]]
    rig.step(before[:50] + after[:15], START + 8 * SECOND)
    rig.step(late + after[15:], START + 8 * SECOND)
    rig.review(START + 9 * SECOND)
    rig.finish(START + 9 * SECOND)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 52 * 160)


def test_a11_a_sender_that_starts_anew_with_the_same_ssrc() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(50, START + 50 * 20 * MS, seed=2, sequence=20_000, timestamp=1 << 31)
    rig.run(before + after)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 8_000)


def test_an_outage_of_the_network_longer_than_a_thousand_packets_is_loss_and_no_epoch() -> None:
    rig = Rig()
    rig.open()
    sent = talk(4_000)
    sent = sent[:100] + sent[3_900:]
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)
    counted = rig.statistics()
    assert counted["highest_sequence"] - counted["base_sequence"] + 1 - counted["packets"] == 3_800
    assert rig.tap()["epochs"] == 0


def test_p5_hand_out_leaves_nothing_of_an_earlier_call() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(400))
    assert (rig.state.ring[0] != ABSENT).any() or rig.state.cleared[0] > 0
    rig.state.touch("taps", 0)
    rig.pipeline.joining.release(0)
    rig.commit()
    assert rig.tap()["row"] == rig.tap()["stream"] == -1
    rig.state.ring[0] = 77
    rig.pipeline.joining.give_row(0, 0)
    rig.commit()
    assert (rig.state.ring[0] == ABSENT).all()
    assert rig.state.cleared[0] == rig.state.committed[0] == rig.state.written[0] == 0
    row = rig.state.live.rows[0]
    assert row["playout"] == row["edge"] == row["shift"] == row["splices"] == row["freed"] == 0


def test_p5_a_second_call_on_the_same_tap_and_row_starts_with_nothing() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(400))
    rig.state.touch("taps", 0)
    rig.pipeline.joining.release(0)
    rig.commit()
    rig.open()
    second = talk(30, START + 60 * SECOND, seed=9, timestamp=123)
    rig.run(second)
    assert rig.parts[0].present() == truth(second, 123)
    assert rig.statistics()["packets"] == 30


def test_release_gives_back_every_row_and_stream_of_the_tap() -> None:
    rig = Rig(taps=2)
    rig.open(0, Policy.ANY)
    rig.open(1, Policy.ANY)
    for tap in (0, 1):
        for k in range(3):
            rig.step(talk(3, ssrc=k, seed=k, tap=tap, source=STRANGER._replace(port=k + 1)))
    rig.state.touch("taps", 0)
    rig.pipeline.joining.release(0)
    rig.commit()
    live = rig.state.live
    assert (live.streams["tap"] == 0).sum() == (live.rows["tap"] == 0).sum() == 0
    assert (live.streams["tap"] == 1).sum() == (live.rows["tap"] == 1).sum() == 3


def test_spare_rows_are_those_that_nobody_has_or_had_when_the_turn_began() -> None:
    rig = Rig(taps=1)
    joining = rig.pipeline.joining
    first = joining.spare_row()
    joining.give_row(0, first)
    second = joining.spare_row()
    assert second != first
    rig.commit()
    rig.state.touch("rows", first)
    rig.state.now.rows["tap"][first] = -1
    assert joining.spare_row() == second
    rig.commit()
    assert joining.spare_row() == first


def test_without_spare_rows_candidates_are_turned_away() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    rig.state.allocated[:] = 0
    rig.commit()
    rig.step(talk(3) + talk(3, ssrc=9))
    assert rig.count(Verdict.PROBATION) == 3
    assert rig.count(Verdict.CROWDED) == 3


@pytest.mark.parametrize("start", [0, WINDOW - 500, 3 * WINDOW - 1])
def test_samples_are_copied_across_the_rings_end_and_stay_where_they_were(start: int) -> None:
    rig = Rig()
    rig.state.ring[:2] = ABSENT
    timeline = rig.pipeline.timeline
    sound = np.arange(1, 1_001, dtype=np.int16)
    sound[300:400] = ABSENT
    timeline.place(np.array([0]), np.array([start]), sound[None])
    before = rig.state.ring[0].copy()
    for _ in range(2):
        timeline.move(0, start, start + 1_000, 1, 47_000)
    copied = np.concatenate(list(timeline.views(1, start + 47_000, start + 48_000)))
    assert (copied == sound).all()
    assert (rig.state.ring[0] == before).all()


def test_a11_what_is_far_too_late_of_the_new_ssrc_does_not_lie_over_the_old_one() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    after = talk(60, START + 50 * 20 * MS, ssrc=8, seed=2, sequence=500, timestamp=1 << 31)
    stale = talk(1, START + 2_100 * MS, ssrc=8, seed=5, sequence=490, timestamp=(1 << 31) - 1_600)
    rig.run(before + after + stale)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 8_000)
    assert rig.count(Verdict.LATE_LOST) == 1


def test_a11_a_join_waits_for_room_and_loses_nothing() -> None:
    rig = Rig()
    rig.open()
    before = talk(270)
    after = talk(40, START + 270 * 20 * MS, ssrc=8, seed=2, timestamp=1 << 31)
    rig.step(before)
    rig.step(after)
    late_ns = after[-1].arrival_ns + 500 * MS
    rig.review(late_ns)
    assert rig.tap()["epochs"] == 0
    rig.drain(late_ns)
    rig.review(late_ns)
    assert rig.tap()["epochs"] == 1
    rig.finish(late_ns)
    assert rig.parts[0].present() == truth(before, 5_000) | truth(after, 1 << 31, HORIZON + 270 * 160)


def test_k3_a_join_by_time_that_was_never_committed_leaves_no_ghost() -> None:
    rig = Rig()
    rig.open()
    before = talk(50)
    rig.step(before)
    rig.step(talk(5, START + SECOND, ssrc=8, seed=2, timestamp=1 << 31))
    rig.pipeline.sources.review(START + 1_500 * MS, START)
    assert rig.state.now.taps["epochs"][0] == 1
    succeed(rig)  # killed before the commit
    again = talk(2, START + 1_600 * MS, sequence=180, timestamp=5_000 + 80 * 160)
    rig.run(again, finish=False)
    rig.drain(START + 3 * SECOND, ending=True)
    assert rig.parts[0].present() == truth(before + again, 5_000)


def test_p5_a_candidate_whose_clock_jumps_uses_up_none_of_its_taps_epochs() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    jumping = talk(20, source=STRANGER)
    rig.step([p._replace(timestamp=k * 1_000_000) for k, p in enumerate(jumping)])
    assert rig.tap()["epochs"] == rig.tap()["epoch_count"] == 0
