"""The life of a tap: the table, and whose time is up. Time is an argument."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.control.taps import FINAL, NEXT, SECOND, Counts, Ending, Event, Limits, State, Tap, Word, due
from tests.control.made import LIMITS, WISH


def tap(state: State = State.REQUESTED, since_s: float = 0, **given: Any) -> Tap:
    fields: dict[str, Any] = {
        "id": "t", "recording_id": "r", "worker": 0, "slot": 0, "port": 20_000, "wish": WISH, "limits": LIMITS,
        "requested_unix_ns": 0, "since_ns": round(since_s * SECOND), "state": state,
    }  # fmt: skip
    return Tap(**fields | given)


def ending(made: Tap, now_s: float, reported_s: float | None = None) -> Ending | None:
    up = due(made, round(now_s * SECOND), round((now_s if reported_s is None else reported_s) * SECOND))
    return up.ending if up else None


def test_every_state_has_its_row_and_the_final_ones_have_no_way_out() -> None:
    assert set(NEXT) == set(State)
    assert {State.FINISHED, State.FAILED} == FINAL


def test_d4_only_a_refusal_leads_to_failed() -> None:
    assert {event for ways in NEXT.values() for event, state in ways.items() if state is State.FAILED} == {
        Event.REFUSED
    }


def test_every_state_that_is_not_final_can_be_left_by_an_outcome() -> None:
    for state in set(State) - FINAL:
        assert {Event.PUBLISHED, Event.REFUSED} <= set(NEXT[state])


@given(st.lists(st.sampled_from(Event)))
def test_p6_whatever_happens_in_whatever_order_a_final_state_is_reached_once(events: list[Event]) -> None:
    made = tap()
    finals = 0
    for event in events:
        before = made.state
        moved = made.meet(event, 7)
        assert moved == (made.state is not before)
        assert moved or event not in NEXT[before]
        finals += moved and made.state in FINAL
    assert finals <= 1
    assert (finals == 1) == (made.state in FINAL)


@given(st.lists(st.sampled_from(Event)), st.sampled_from(Event))
def test_d2_an_event_that_comes_twice_changes_nothing_the_second_time(events: list[Event], last: Event) -> None:
    made = tap()
    for event in [*events, last]:
        made.meet(event, 1)
    assert not made.meet(last, 2)


def test_a_tap_that_is_never_opened_is_refused() -> None:
    assert ending(tap(), 4.9) is None
    assert ending(tap(), 5) is Ending.REFUSED


def test_d5_a_tap_that_nothing_comes_for_ends_as_empty_after_the_start_timeout() -> None:
    assert ending(tap(State.LISTENING, since_s=10), 39.9) is None
    assert ending(tap(State.LISTENING, since_s=10), 40) is Ending.NO_PACKETS


@pytest.mark.parametrize(
    ("counts", "hint"),
    [
        (Counts(foreign=7, unauthentic=3), "3 datagrams had no right authentication tag: has the sender"),
        (Counts(foreign=7, invalid=9), "7 datagrams came from elsewhere than the source asked for"),
        (Counts(invalid=9), "9 datagrams came that are no RTP"),
        (Counts(), "firewall let UDP through to port 20000"),
    ],
)
def test_d5_the_hint_names_the_likeliest_reason(counts: Counts, hint: str) -> None:
    up = due(tap(State.LISTENING, counts=counts), 30 * SECOND, 30 * SECOND)
    assert up is not None
    assert up.problem is not None
    assert up.problem.message == "no packet of the source came within 30 s"
    assert hint in up.problem.hint


def test_d6_a_tap_that_falls_silent_ends_after_the_silence_timeout() -> None:
    made = tap(State.RECEIVING, heard_ns=100 * SECOND)
    assert ending(made, 159.9) is None
    assert ending(made, 160) is Ending.SILENCE


def test_d6_silence_is_what_a_worker_did_not_hear_not_what_a_dead_one_could_not() -> None:
    made = tap(State.RECEIVING, heard_ns=100 * SECOND)
    assert ending(made, now_s=500, reported_s=101) is None
    assert ending(tap(State.LISTENING, since_s=100), now_s=500, reported_s=101) is None
    assert ending(made, now_s=500, reported_s=0) is None


def test_d6_a_tap_that_the_relay_vouches_for_does_not_end_by_silence() -> None:
    limits = LIMITS._replace(silence_ns=None, start_ns=None)
    assert ending(tap(State.RECEIVING, heard_ns=0, limits=limits), 3599) is None
    assert ending(tap(State.LISTENING, limits=limits), 3599) is None
    assert ending(tap(State.RECEIVING, heard_ns=0, limits=limits), 3600) is Ending.MAX_DURATION


def test_a_tap_ends_after_the_longest_duration_however_much_comes() -> None:
    made = tap(State.RECEIVING, since_s=10, heard_ns=3610 * SECOND)
    assert ending(made, 3609.9) is None
    assert ending(made, 3610) is Ending.MAX_DURATION


@pytest.mark.parametrize("state", [State.FINISHING, State.FINISHED, State.FAILED])
def test_what_is_ending_is_not_ended_again(state: State) -> None:
    assert ending(tap(state, limits=Limits(0, 0, 0, 0), heard_ns=0), 9e6) is None


def test_the_first_packet_counts_as_heard_before_any_report_says_so() -> None:
    made = tap(State.LISTENING)
    made.meet(Event.FIRST_PACKET, 50 * SECOND)
    assert ending(made, 109.9) is None
    assert ending(made, 110) is Ending.SILENCE


def test_when_a_packet_was_heard_does_not_depend_on_what_the_wall_clock_is_set_to() -> None:
    made = tap(State.RECEIVING)
    made.hear(100 * SECOND, at_unix_ns=1_000_000 * SECOND, heard_unix_ns=999_998 * SECOND)
    assert made.heard_ns == 98 * SECOND
    made.hear(101 * SECOND, at_unix_ns=5 * SECOND, heard_unix_ns=4 * SECOND)  # set back by days meanwhile
    assert made.heard_ns == 100 * SECOND
    made.hear(102 * SECOND, at_unix_ns=9 * SECOND, heard_unix_ns=50 * SECOND)  # never in the future
    assert made.heard_ns == 102 * SECOND
    made.hear(103 * SECOND, at_unix_ns=9 * SECOND, heard_unix_ns=1 * SECOND)  # nor backwards
    assert made.heard_ns == 102 * SECOND


@pytest.mark.parametrize(
    ("word", "borne_s"), [(Word.NOBODYS, 60), (Word.TAPPING, None), (Word.AWAY, 600), (Word.DOUBTFUL, 60)]
)
def test_d6_how_much_silence_is_borne_is_a_matter_of_whose_word_there_is(word: Word, borne_s: int | None) -> None:
    made = tap(State.RECEIVING, word=word, heard_ns=0, limits=LIMITS._replace(longest_ns=None))
    assert ending(made, (borne_s or 100_000) - 0.1) is None
    assert ending(made, borne_s or 100_000) is (Ending.SILENCE if borne_s else None)


def test_d6_a_tap_that_the_relay_says_goes_on_ends_by_its_longest_duration_all_the_same() -> None:
    made = tap(State.RECEIVING, word=Word.TAPPING, heard_ns=0)
    assert ending(made, 3600) is Ending.MAX_DURATION


def test_a_tap_of_our_own_may_wait_for_the_relays_answer_longer_than_for_the_disk() -> None:
    own = WISH._replace(own=True)
    assert ending(tap(wish=own), 19.9) is None
    assert ending(tap(wish=own), 20) is Ending.REFUSED


def test_d5_the_hint_names_the_source_that_the_relay_announced_or_the_door() -> None:
    wish = WISH._replace(source=None, announced=("203.0.113.9", 7))
    up = due(tap(State.LISTENING, wish=wish, counts=Counts(foreign=1)), 30 * SECOND, 30 * SECOND)
    assert up is not None
    assert up.problem is not None
    assert "(203.0.113.9:7)" in up.problem.hint
    up = due(tap(State.LISTENING, wish=WISH._replace(device="ws")), 30 * SECOND, 30 * SECOND)
    assert up is not None
    assert up.problem is not None
    assert "[ws].uri" in up.problem.hint
