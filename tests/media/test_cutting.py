"""Rule C7 for channels that lie beside each other: cut at the same moment, none before what was handed on."""

import numpy as np

from receiver.media.cutting import LEAST, STEP, Cutting
from tests.media.rig import HORIZON, MS, SECOND, START, WINDOW, Rig, Sent, talk

BOTH = [0, 1]


def spoken(tap: int, seconds: float, late_ns: int = 0, ppm: float = 0.0) -> list[Sent]:
    """Packets of a clock that is slow by so much, the network's delay on top."""
    sent = talk(round(seconds * 50), START + late_ns, ssrc=7 + tap, tap=tap, seed=tap + 1)
    stretched = (START + round((each.arrival_ns - START) * (1 + ppm / 1e6)) for each in sent)
    return [each._replace(arrival_ns=at) for each, at in zip(sent, stretched, strict=True)]


def rig_of(*channels: list[Sent]) -> Rig:
    rig = Rig(taps=2, window=WINDOW)
    for tap in BOTH:
        rig.open(tap)
    rig.run(sorted((each for sent in channels for each in sent), key=lambda each: each.arrival_ns), finish=False)
    return rig


def cut(rig: Rig, now_ns: int = START + 60 * SECOND) -> list[int] | None:
    rows = [int(rig.tap(tap)["row"]) for tap in BOTH]
    return Cutting(rig.state, rig.pipeline.timeline, HORIZON).together(rows, np.full(rig.shape.taps, now_ns))


def handed_on(rig: Rig, tap: int) -> int:
    row = int(rig.tap(tap)["row"])
    return rig.pipeline.timeline.frame(row, int(rig.state.live.rows["playout"][row]))


def test_channels_that_began_at_different_moments_are_cut_at_one() -> None:
    """The second one's frame 0 is 250 ms later."""
    rig = rig_of(spoken(0, 12), spoken(1, 12, late_ns=250 * MS))
    frames = cut(rig)
    assert frames is not None
    assert frames[0] - frames[1] == 2_000
    assert all(frame >= handed_on(rig, tap) for tap, frame in zip(BOTH, frames, strict=True))


def test_a15_a_channel_that_lags_is_cut_as_much_earlier_in_steps_of_10_ms() -> None:
    """2,000 ppm over 20 s are 40 ms, of which the envelope of the last 10 s has seen 20."""
    rig = rig_of(spoken(0, 20), spoken(1, 20, ppm=2_000))
    frames = cut(rig)
    assert frames is not None
    lag = frames[0] - frames[1]
    assert lag % STEP == 0
    assert 160 <= lag <= 320
    assert frames[1] >= handed_on(rig, 1)


def test_a_segment_that_is_short_is_cut_by_what_came_first_alone() -> None:
    rig = rig_of(spoken(0, 4), spoken(1, 4, ppm=20_000))
    frames = cut(rig)
    assert frames is not None
    assert frames[0] == frames[1] < LEAST


def test_the_next_cut_counts_from_the_one_before() -> None:
    first, second = spoken(0, 24), spoken(1, 24, late_ns=100 * MS)
    rig = rig_of(first[:600], second[:600])
    frames = cut(rig)
    assert frames is not None
    for tap, frame in zip(BOTH, frames, strict=True):
        rig.state.touch("taps", tap)
        rig.state.now.taps["segment_frame"][tap] = frame
    rig.commit()
    rig.run(sorted(first[600:] + second[600:], key=lambda each: each.arrival_ns), finish=False)
    again = cut(rig)
    assert again is not None
    assert again[0] - frames[0] == again[1] - frames[1] > 0


def test_a_tap_that_nothing_came_for_has_no_frame_yet_and_lies_as_it_comes_later() -> None:
    first = spoken(0, 24)
    rig = rig_of(first[:600])
    frames = cut(rig)
    assert frames is not None
    assert frames[1] == 0
    rig.state.touch("taps", 0)
    rig.state.now.taps["segment_frame"][0] = frames[0]
    rig.commit()
    late = [each._replace(arrival_ns=each.arrival_ns + 15 * SECOND) for each in spoken(1, 9)]
    rig.run(sorted(first[600:] + late, key=lambda each: each.arrival_ns), finish=False)
    again = cut(rig)
    assert again is not None
    assert again[0] - again[1] == 15 * 8_000


def test_it_waits_until_what_overtook_each_other_has_come() -> None:
    rig = rig_of(spoken(0, 12), spoken(1, 12))
    rig.drain(START + 12 * SECOND + 500 * MS)  # up to the edge: nothing came for a horizon
    assert cut(rig, START + 12 * SECOND + 600 * MS) is None
    assert cut(rig, START + 15 * SECOND) is not None
