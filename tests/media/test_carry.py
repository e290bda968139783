"""A tap in another memory goes on as if it were the same: every sample, counter, epoch and candidate."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from receiver.media.carry import Carried, Carry
from receiver.media.columns import ROW, STREAM, STREAM_ASIDE, TAP, TAP_ASIDE, Policy, Role
from receiver.media.sources import NOWHERE
from tests.media.rig import HOME, MS, SECOND, START, STRANGER, WALL, WINDOW, Rig, Sent, talk, truth
from tests.media.test_pipeline import Weather, weathers
from tests.tools import count

LATER = START + 60 * SECOND


def carry(rig: Rig) -> Carry:
    return Carry(rig.state, rig.pipeline.timeline, rig.pipeline.joining)


def moved(rig: Rig, slot: int = 0, to: int = 0, **shape: Any) -> Rig:
    """The tap in a memory of another shape; what crossed over could have been a file."""
    told: Carried = msgspec.msgpack.decode(msgspec.msgpack.encode(carry(rig).pack(slot)))
    other = Rig(**{"taps": 3, "window": WINDOW, **shape})
    carry(other).unpack(to, told, list(range(to, to + len(told["rows"]))))
    other.commit()
    other.parts[to] = rig.parts[slot]
    for row in np.flatnonzero(other.state.live.rows["tap"] == to).tolist():
        playout = other.state.live.rows["playout"][row]
        cursors = other.state.cleared, other.state.committed, other.state.written, other.state.live.rows["freed"]
        assert [each[row] for each in cursors] == [playout] * 4, "rule K4: what lies below is in the part"
    return other


def columns(rig: Rig, slot: int) -> list[object]:
    """All that is known of a tap, but for numbers of rows and streams."""
    told = carry(rig).pack(slot)
    for row in told["rows"]:
        del row["tap"], row["freed"]
    for stream in told["streams"]:
        del stream["tap"]
    return [told["tap"], told["rows"], told["streams"]]


def run(weather: Weather, rig: Rig, packets: slice) -> None:
    bounds = [packets.start, *(cut for cut in weather.cuts if packets.start < cut < packets.stop), packets.stop]
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        rig.step(weather.packets[begin:end])
        if end in weather.drains:
            rig.drain(weather.packets[end - 1].arrival_ns)


@settings(max_examples=count(15, all=200, full=20_000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weathers(), st.floats(0, 1), st.integers(0, 2), st.sampled_from([WINDOW, 2 * WINDOW]))
@example(Weather([], [], [0]), 0.0, 0, WINDOW)
def test_d7_a_tap_that_moved_ends_with_the_same_part_and_columns(
    weather: Weather, share: float, slot: int, window: int
) -> None:
    half = round(share * len(weather.packets))
    stayed, rig = Rig(), Rig()
    for each in (stayed, rig):
        each.open()
        run(weather, each, slice(0, half))
        each.write()
        each.make_durable()
    other = moved(rig, to=slot, window=window)
    rest = Weather([packet._replace(tap=slot) for packet in weather.packets], weather.cuts, weather.drains)
    run(weather, stayed, slice(half, len(weather.packets)))
    run(rest, other, slice(half, len(weather.packets)))
    for each in (stayed, other):
        each.finish(LATER)
    assert np.array_equal(stayed.parts[0].samples, other.parts[slot].samples)
    assert columns(stayed, 0) == columns(other, slot)


def test_a3_a_candidate_moves_with_its_sound() -> None:
    rig = Rig(allow=["192.0.2.0/24"])
    rig.open(policy=Policy.ALLOW_LIST, announced=NOWHERE)
    sent = talk(40)
    rig.step(sent[:2])
    assert (rig.state.live.streams["role"] == Role.PROBATION).sum() == 1
    other = moved(rig, to=1, allow=["192.0.2.0/24"])
    other.step([packet._replace(tap=1) for packet in sent[2:]])
    other.finish(LATER)
    assert other.parts[1].present() == truth(sent, sent[0].timestamp)


def test_a_tap_that_moved_inside_a_pause_is_paused_and_its_keys_stay_out() -> None:
    rig = Rig()
    rig.open()
    key = [
        Sent(START + k * 20 * MS, 100 + k, 8_200, bytes((5, 0x8A, 0, 100)), payload_type=101)
        for k in range(20, 24)
    ]  # of which the last arrive behind the pause
    sent = [*talk(20), *key, *talk(40, START + 480 * MS, sequence=124, timestamp=8_840)]
    rig.pipeline.pauses.turn(0, sent[10].arrival_ns, WALL)
    rig.step(sent[:21])
    other = moved(rig, to=1)
    assert other.state.live.taps["turns"][1] == 1
    sent = [packet._replace(tap=1) for packet in sent]
    other.step(sent[21:22])
    other.pipeline.pauses.turn(1, sent[22].arrival_ns, WALL)
    other.commit()
    other.step(sent[22:])
    other.finish(LATER)
    assert other.parts[1].present() == truth([*sent[:10], *sent[24:]], 5_000)
    assert other.pipeline.sources.news == []
    assert not [news for news in other.news if news.pressed]


def test_two_taps_in_one_memory_do_not_mix() -> None:
    rig = Rig(taps=2)
    for tap in (0, 1):
        rig.open(tap)
        rig.step(talk(10, seed=tap, tap=tap))
    other = moved(rig, slot=1, to=2)
    told = carry(rig).pack(0)
    carry(other).unpack(0, told, [0])
    other.parts[0] = rig.parts[0]
    other.commit()
    more = [talk(10, start_ns=START + 200 * MS, sequence=110, timestamp=6_600, seed=tap) for tap in (0, 1)]
    other.step([packet._replace(tap=slot) for packets, slot in zip(more, (0, 2), strict=True) for packet in packets])
    other.finish(LATER)
    for slot, seed in ((0, 0), (2, 1)):
        assert other.parts[slot].present() == truth(talk(20, seed=seed), 5_000)


def test_what_does_not_fit_changes_nothing() -> None:
    rig = Rig(window=2 * WINDOW)
    rig.open()
    rig.step(talk(400)[:64], START + 10 * SECOND)
    told = carry(rig).pack(0)
    told["rows"][0]["samples"] = bytes(2 * WINDOW + 2)
    other = Rig()
    before = other.image()
    with pytest.raises(ValueError, match="window_ms"):
        carry(other).unpack(0, told, [0])
    told["rows"][0]["samples"] = b""
    told["streams"] *= 1_000
    with pytest.raises(ValueError, match="no stream"):
        carry(other).unpack(0, told, [0])
    assert other.image() == before


def test_columns_of_another_version_are_left_alone_and_missing_ones_are_zero() -> None:
    rig = Rig()
    rig.open()
    rig.step(talk(10))
    told = carry(rig).pack(0)
    told["tap"]["of a later version"] = 9
    told["streams"][0]["earlier"].append({"sequence": 1})
    told["streams"][0]["seen"] = told["streams"][0]["seen"] * 2
    del told["tap"]["moves"]
    other = Rig()
    carry(other).unpack(0, told, [0])
    other.commit()
    assert other.tap()["moves"] == 0
    assert int(other.tap()["first_ns"]) == int(rig.tap()["first_ns"])


def test_every_column_is_told_by_its_name() -> None:
    rig = Rig()
    rig.open()
    rig.step([*talk(10), *talk(3, ssrc=9, source=STRANGER)])
    told = carry(rig).pack(0)
    assert set(told["tap"]) == {*(TAP.names or ()), *(TAP_ASIDE.names or ())}
    assert set(told["rows"][0]) == {*(ROW.names or ()), "samples"}
    assert set(told["streams"][0]) == {*(STREAM.names or ()), *(STREAM_ASIDE.names or ())}
    assert told["tap"]["source"] == {"high": HOME.high, "low": HOME.low, "port": HOME.port}
    assert isinstance(told["tap"]["recording"], str)
