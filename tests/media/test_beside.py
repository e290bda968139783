"""Rule A12: two SSRCs alive at once from one source are never interleaved; each has a part of its own, exact."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.census import MOST_LIVE
from receiver.media.columns import Flaw, NoteKind, Policy
from receiver.wire.rtp import Verdict
from tests.media.rig import HORIZON, MS, SECOND, START, STRANGER, Rig, Sent, succeed, talk, truth
from tests.tools import count


def opened() -> Rig:
    rig = Rig()
    rig.open()
    return rig


def jittered(sent: list[Sent], dice: random.Random, jitter_ms: int, lose: float) -> list[Sent]:
    """Late and lost, but for the first one: frame 0 is its."""
    kept = [each for k, each in enumerate(sent) if not k or dice.random() >= lose]
    return [kept[0], *(each._replace(arrival_ns=each.arrival_ns + dice.randrange(jitter_ms + 1) * MS)
                       for each in kept[1:])]  # fmt: skip


def channels(rig: Rig) -> list[dict[int, int]]:
    """What lies in the tap's own part, and in each one beside it."""
    return [rig.parts[0].present(), *(rig.further[key].present() for key in sorted(rig.further))]


def test_a12_two_ssrcs_alive_at_once_are_two_parts_each_exact() -> None:
    rig = opened()
    one, two = talk(300), talk(300, START + 5 * MS, ssrc=8, seed=2, timestamp=1 << 30)
    rig.run(one + two)
    assert channels(rig) == [truth(one, 5_000), truth(two, 1 << 30)]
    assert rig.tap()["flaws"] == 0
    assert [news.event for news in rig.news] == ["receiving", "second_ssrc"]
    notes = [each["note"] for each in rig.notes() if each["note"]["kind"] == NoteKind.EPOCH]
    assert [(int(note["ssrc"]), int(note["channel"])) for note in notes] == [(7, 0), (8, 1)]
    assert rig.tap()["epochs"] == 0


@settings(max_examples=count(5, all=60, full=1_000), deadline=None)
@given(
    st.integers(0, 1 << 32), st.integers(0, 120), st.sampled_from([0.0, 0.1]), st.integers(0, 3_000),
    st.booleans(),
)  # fmt: skip
def test_a12_in_any_order_and_jitter_both_are_exact(
    seed: int, jitter_ms: int, lose: float, later_ms: int, killed: bool
) -> None:
    dice, rig = random.Random(seed), opened()
    one = jittered(talk(350), dice, jitter_ms, lose)
    two = jittered(talk(200, START + later_ms * MS, ssrc=8, seed=2, timestamp=1 << 30), dice, jitter_ms, lose)
    both = sorted(one + two, key=lambda each: each.arrival_ns)
    if killed:
        half = dice.randrange(1, len(both))
        rig.run(both[:half], finish=False)
        succeed(rig)
        both = both[half:]
    rig.run(both)
    assert channels(rig) == [truth(one, 5_000), truth(two, 1 << 30)]
    assert rig.tap()["flaws"] == 0


def test_a11_a_change_whose_packets_overtake_each_other_is_a_change() -> None:
    """The old one's newest packets trickle in for 800 ms after the new one's first: it is not silent meanwhile."""
    rig = opened()
    before = talk(100)
    for k in range(8):
        at = 92 + k
        before[at] = before[at]._replace(arrival_ns=START + 2 * SECOND + (k + 1) * 100 * MS)
    after = talk(200, START + 100 * 20 * MS, ssrc=8, seed=2, sequence=9_000, timestamp=1 << 30)
    rig.run(before + after)
    assert rig.further == {}
    assert rig.tap()["epochs"] == 1
    assert len(rig.parts[0].present()) == 300 * 160


def test_a12_the_first_one_may_end_and_the_second_one_goes_on_in_its_own_part() -> None:
    rig = opened()
    one, two = talk(200), talk(400, START + SECOND, ssrc=8, seed=2, timestamp=1 << 30)
    rig.run(one + two)
    assert channels(rig) == [truth(one, 5_000), truth(two, 1 << 30)]


def test_a12_a_pair_that_takes_turns_is_found_when_there_are_too_many_changes() -> None:
    """Half a second each, the numbers going on: the ninth change of a minute is none."""
    rig = opened()
    turns = [
        each for k in range(24)
        for each in talk(25, START + k * 900 * MS, ssrc=7 + k % 2, seed=1 + k % 2, sequence=100 + 25 * k,
                         timestamp=(k % 2) * (1 << 30) + k * 7_200)
    ]  # fmt: skip
    rig.run(turns)
    heard = sum(len(part) for part in channels(rig))
    assert heard == 24 * 25 * 160
    assert rig.tap()["epochs"] == 8
    assert len(rig.further) in (1, 2)


def test_a12_at_most_four_live_at_once_and_the_fifth_is_counted() -> None:
    rig = opened()
    all_of_them = [talk(300, START + k * 5 * MS, ssrc=7 + k, seed=k + 1, timestamp=k << 28) for k in range(5)]
    rig.run([each for sent in all_of_them for each in sent])
    assert len(rig.further) == MOST_LIVE - 1 == 3
    expected = [truth(sent, k << 28) for k, sent in enumerate(all_of_them[:MOST_LIVE])]
    assert channels(rig) == expected
    assert rig.count(Verdict.CROWDED) > 0
    assert rig.tap()["flaws"] == Flaw.SSRCS, "its sound was given up"
    assert sum(rig.state.live.world["verdicts"][0].tolist()) == 1_500


def test_a12_a_row_whose_stream_is_over_goes_on_with_the_next_one() -> None:
    rig = opened()
    one = talk(800)
    two = talk(150, START + SECOND, ssrc=8, seed=2, timestamp=1 << 29)
    three = talk(200, START + 9 * SECOND, ssrc=9, seed=3, timestamp=1 << 30)
    rig.run(one + two + three)
    own, beside = channels(rig)
    assert own == truth(one, 5_000)
    at = 8 * 8_000
    assert beside == truth(two, 1 << 29) | truth(three, 1 << 30, HORIZON + at)


def test_a12_late_packets_of_either_go_to_their_own_part() -> None:
    rig = opened()
    one, two = talk(300), talk(300, START + 5 * MS, ssrc=8, seed=2, timestamp=1 << 30)
    late = two.pop(120)
    rig.run([*one, *two, late._replace(arrival_ns=late.arrival_ns + 2_500 * MS)])
    assert channels(rig) == [truth(one, 5_000), truth([*two, late], 1 << 30)]


def test_b5_a_source_that_is_no_longer_meant_is_heard_on_no_row() -> None:
    rig = opened()
    one, two = talk(300), talk(300, START + 5 * MS, ssrc=8, seed=2, timestamp=1 << 30)
    rig.run(one[:150] + two[:150], finish=False)
    rig.pipeline.sources.retarget(0, Policy.EXACT, STRANGER)
    rig.commit()
    rig.run(one[150:] + two[150:])
    assert rig.count(Verdict.FOREIGN) == 300
    assert channels(rig) == [truth(one[:150], 5_000), truth(two[:150], 1 << 30)]
