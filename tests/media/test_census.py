"""Who is where in the present turn, read from the columns."""

from receiver.media.census import NOBODY, Census
from receiver.media.columns import Policy, Role
from tests.media.rig import START, STRANGER, Rig, talk


def crowd() -> Rig:
    """Two taps with candidates."""
    rig = Rig(taps=2)
    for tap in (0, 1):
        rig.open(tap, Policy.ANY)
    for k in range(3):
        rig.step([p for tap in (0, 1) for p in talk(2, START, ssrc=k, tap=tap, source=STRANGER)])
    return rig


def test_it_says_what_the_columns_say() -> None:
    rig = crowd()
    census, streams = Census(rig.state), rig.state.live.streams
    for tap in (0, 1):
        mine = [s for s in range(streams.size) if streams["tap"][s] == tap and streams["role"][s] != Role.FREE]
        assert census.of(tap) == mine
        assert len(mine) == 3
    used = {int(row) for row in streams["row"][streams["role"] != Role.FREE]}
    assert used == {row for row in range(rig.shape.rows) if not census.untouched(row)}


def test_streams_come_and_go_within_a_turn_and_are_not_taken_again_in_it() -> None:
    rig = crowd()
    census = rig.pipeline.joining.census
    gone = census.of(0)[0]
    rig.pipeline.joining.discard(gone)
    assert gone not in census.of(0)
    new = census.enrol(1)
    assert new not in (gone, NOBODY)
    assert new in census.of(1)


def test_a_new_turn_reads_anew() -> None:
    rig = crowd()
    census = rig.pipeline.joining.census
    before = census.of(0)
    census.enrol(0)
    rig.state.abandon()
    assert census.of(0) == before
    rig.pipeline.joining.discard(before[0])
    rig.commit()
    assert census.of(0) == before[1:]
    assert census.enrol(0) == before[0]


def test_nobody_is_left_when_all_streams_are_taken() -> None:
    rig = Rig()
    census = rig.pipeline.joining.census
    taken = [census.enrol(0) for _ in range(rig.shape.streams)]
    assert sorted(taken) == list(range(rig.shape.streams))
    assert census.enrol(0) == NOBODY
