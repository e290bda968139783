"""A tap's way through the columns: each verb is part of a turn, and nothing of an earlier tap is left (P5)."""

import numpy as np
import pytest

from receiver.media.columns import Flaw, Policy, Role, TapState
from receiver.media.sources import NOWHERE, Source
from receiver.media.taps import Damage, Taps, Wanted
from tests.media.rig import HOME, SECOND, START, Part, Rig, talk

FIRST, NEXT = "018f3a5e-7c11-7d22-8e33-9f4455667788", "018f3a5e-7c11-7d22-8e33-9f4455667799"


def wanted(recording: str = FIRST, held: bool = False, announced: Source = HOME) -> Wanted:
    """What a tap is opened with."""
    return Wanted(recording, 20_000, Policy.EXACT, announced, held)


def opened(rig: Rig, held: bool = False) -> Taps:
    """Tap 0 is open."""
    taps = Taps(rig.state, rig.pipeline.joining)
    taps.open(0, wanted(held=held), taps.free_row(), START)
    rig.commit()
    return taps


def test_a_tap_is_what_it_was_opened_with() -> None:
    rig = Rig()
    taps = opened(rig)
    assert (rig.tap()["recording"], rig.tap()["port"]) == (FIRST.encode(), 20_000)
    assert (rig.tap()["policy"], rig.tap()["stream"], rig.tap()["first_ns"]) == (Policy.EXACT, -1, 0)
    assert Source.read(rig.tap()["announced"]) == HOME
    assert rig.tap()["answered_ns"] == rig.tap()["ticked_ns"] == START
    assert taps.holds(0, FIRST) == TapState.OPEN
    assert rig.state.live.rows["tap"][rig.tap()["row"]] == 0


def test_who_holds_a_slot_is_asked_by_the_recording() -> None:
    rig = Rig(taps=2)
    taps = opened(rig)
    assert (taps.holds(0, NEXT), taps.holds(1, FIRST)) == (TapState.FREE, TapState.FREE)
    taps.forget(0)
    rig.commit()
    assert taps.holds(0, FIRST) == TapState.FREE


@pytest.mark.parametrize("answer", [None, Source.of("198.51.100.1", 7)])
def test_b1_an_answer_opens_a_held_tap_and_may_tell_the_source(answer: Source | None) -> None:
    rig = Rig()
    taps = opened(rig, held=True)
    assert taps.holds(0, FIRST) == TapState.HELD
    taps.answer(0, answer, START + SECOND)
    rig.commit()
    assert taps.holds(0, FIRST) == TapState.OPEN
    assert rig.tap()["answered_ns"] == START + SECOND
    assert Source.read(rig.tap()["announced"]) == (answer or HOME)


def test_p5_a_slot_that_is_taken_over_keeps_nothing_of_the_tap_before() -> None:
    rig = Rig(taps=2)
    taps = opened(rig)
    rig.step(talk(10))
    assert rig.stream()["role"] == Role.LIVE
    taps.open(0, wanted(NEXT, announced=NOWHERE), taps.free_row(), START + SECOND)
    rig.commit()
    assert (rig.tap()["stream"], rig.tap()["first_ns"], rig.tap()["verdicts"].sum()) == (-1, 0, 0)
    assert (rig.state.live.streams["role"] == Role.FREE).all()
    assert (rig.state.live.rows["tap"] == 0).sum() == 1


def test_a16_a_closed_tap_still_has_its_place_and_late_slabs_of_it_count() -> None:
    rig = Rig()
    taps = opened(rig)
    rig.step(talk(5))
    taps.close(0)
    rig.commit()
    assert taps.holds(0, FIRST) == TapState.CLOSING
    rig.step(talk(5, start_ns=START + SECOND // 10, sequence=105, timestamp=5_800))
    assert taps.picture(0).streams[0]["statistics"]["packets"] == 10


def test_c7_a_roll_remembers_where_both_segments_begin() -> None:
    rig = Rig()
    taps = opened(rig)
    for frame in (8_000, 16_500):
        taps.roll(0, frame)
        rig.commit()
    assert (rig.tap()["segment"], rig.tap()["segment_before"], rig.tap()["segment_frame"]) == (2, 8_000, 16_500)


def test_k8_what_a_tap_is_blamed_for_adds_up_in_its_column() -> None:
    rig = Rig()
    taps = opened(rig)
    for flaw in (Flaw.SET_ASIDE, Damage.WRITE_FAILED, Damage.WRITE_FAILED):
        taps.blame(0, flaw)
    rig.commit()
    assert rig.tap()["flaws"] == Flaw.SET_ASIDE | Damage.WRITE_FAILED


def test_rows_come_from_what_is_allocated_as_long_as_spares_remain() -> None:
    rig = Rig(taps=2)
    taps, state = Taps(rig.state, rig.pipeline.joining), rig.state
    spare = state.shape.rows - state.shape.taps
    state.allocated[: state.shape.taps] = 0
    assert taps.free_row() == 0  # a new one, its memory still to be had; the spare ones stay
    state.allocated[0] = 1
    assert state.allocated[taps.free_row()] == 1
    state.now.rows["tap"][-1] = 1  # a spare one is on probation
    state.touch("rows", state.shape.rows - 1)
    rig.commit()
    assert taps.free_row() == 1
    assert np.count_nonzero(state.allocated) == spare + 1


def test_where_only_spare_rows_are_idle_a_tap_gets_one_if_it_is_said_so() -> None:
    rig = Rig(taps=2)
    taps = Taps(rig.state, rig.pipeline.joining)
    rig.state.now.rows["tap"][:2] = [0, 1]
    rig.state.touch("rows", [0, 1])
    rig.commit()
    assert taps.free_row() == -1
    last = taps.free_row(sparing=False)
    assert last >= 2
    assert taps.free_row([last], sparing=False) not in (-1, 0, 1, last)


def test_without_an_idle_row_there_is_none() -> None:
    rig = Rig(taps=2)
    taps = Taps(rig.state, rig.pipeline.joining)
    rig.state.now.rows["tap"] = 0
    rig.state.touch("rows", list(range(rig.state.shape.rows)))
    rig.commit()
    assert taps.free_row() == -1


def test_a_picture_is_a_copy_with_its_streams_oldest_first() -> None:
    rig = Rig()
    taps = opened(rig)
    rig.parts[0] = Part()
    later = talk(60, start_ns=START + 2 * SECOND, ssrc=8, sequence=9_000, timestamp=70_000)
    rig.run([*talk(30), *later], finish=False)
    picture = taps.picture(0)
    assert [int(stream["ssrc"]) for stream in picture.streams] == [7, 8]
    packets = int(picture.tap["verdicts"][0])
    rig.step(talk(5, start_ns=START + 4 * SECOND, ssrc=8, sequence=9_060, timestamp=79_600))
    assert picture.tap["verdicts"][0] == packets
    assert rig.tap()["verdicts"][0] > packets
