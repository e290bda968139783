"""Rule A13: what a latched source says by RTCP is kept; it latches, moves and ends nothing, whoever sends it."""

from collections.abc import Iterable

import numpy as np
import pytest

from receiver.media.columns import NoteKind, Policy
from receiver.media.pipeline import Pipeline
from receiver.media.reporting import MOST_A_TURN, MOST_NAMES
from receiver.media.sources import Source
from receiver.wire import rtp
from receiver.wire.rtp import Verdict
from tests.media.rig import HOME, HORIZON, MS, SECOND, START, STRANGER, WALL, Rig, Sent, datagrams, succeed, talk
from tests.wire.test_rtcp import bye, rr, sdes, sr

NOON = 0xE8F1_2345_0000_0000
NOON_NS = (0xE8F1_2345 - 2_208_988_800) * SECOND


def said(octets: bytes, at_ns: int = START + SECOND, source: Source = HOME, tap: int = 0) -> Sent:
    """One RTCP datagram."""
    return Sent(at_ns, 0, 0, b"", tap=tap, source=source, raw=octets)


def told(rig: Rig) -> list[tuple[str, int, int, int, bytes]]:
    """Notes of this rule: (kind, SSRC, timestamp, wall clock, text)."""
    kinds = (NoteKind.REPORT, NoteKind.NAME, NoteKind.GOODBYE)
    return [
        (NoteKind(int(it["kind"])).name, int(it["ssrc"]), int(it["timestamp"]), int(it["wall_ns"]), bytes(it["text"]))
        for it in (slot["note"] for slot in rig.notes())
        if it["kind"] in kinds
    ]


def talking(**more: object) -> Rig:
    """A rig with a tap that was heard for a second."""
    rig = Rig()
    rig.open()
    rig.run(talk(50), finish=False)
    return rig


def test_a13_reports_names_and_goodbyes_of_the_latched_source_are_kept() -> None:
    rig = talking()
    rig.step([said(sr(7, NOON, 8_000) + sdes((7, [(1, b"me@home")])))])
    rig.step([said(sr(7, NOON + (5 << 32), 48_000) + bye(7), START + 2 * SECOND)])
    assert told(rig) == [
        ("REPORT", 7, 8_000, NOON_NS, b""), ("NAME", 7, 0, 0, b"me@home"), ("GOODBYE", 7, 0, WALL + 2 * SECOND, b""),
    ]  # fmt: skip
    stream = rig.stream()
    assert (stream["reports"], stream["report_timestamp"]) == (2, 48_000)
    assert stream["report_wall_ns"] == NOON_NS + 5 * SECOND
    assert rig.count(Verdict.RTCP) == 2


def test_a13_a_goodbye_ends_no_tap_and_what_comes_after_it_is_recorded() -> None:
    rig = talking()
    before = rig.tap().copy()
    rig.step([said(rr() + bye(7), START + SECOND)])
    for name in set(before.dtype.names or ()) - {"verdicts", "notes"}:
        assert rig.tap()[name] == before[name], name
    more = talk(50, START + SECOND, sequence=150, timestamp=5_000 + 8_000)
    rig.run(more)
    assert len(rig.parts[0].present()) == 100 * 160


@pytest.mark.parametrize(
    ("source", "octets"),
    [
        (STRANGER, sr(7, NOON) + sdes((7, [(1, b"x")])) + bye(7)),  # somebody else
        (HOME._replace(port=HOME.port + 1), sr(7, NOON) + bye(7)),  # on this port, RTP and RTCP have one source
        (HOME, sr(8, NOON) + sdes((8, [(1, b"x")])) + bye(8)),  # of a stream that is not heard
        (HOME, bye(7)),  # no valid compound packet
        (HOME, sr(7, NOON)[:-4] + bye(7)),
    ],
)
def test_a13_nothing_else_is_listened_to(source: Source, octets: bytes) -> None:
    rig = talking()
    before = [table.tobytes() for table in rig.state.live[1:3]]
    rig.step([said(octets, source=source)])
    assert told(rig) == []
    assert [table.tobytes() for table in rig.state.live[1:3]] == before
    assert rig.news == [] or {it.event for it in rig.news} == {"receiving"}


@pytest.mark.parametrize("policy", list(Policy))
def test_a13_rtcp_latches_nobody(policy: Policy) -> None:
    rig = Rig(allow=["192.0.2.0/24"])
    rig.open(policy=policy)
    for k in range(20):
        rig.step([said(sr(7, NOON + (k << 32), 160 * k), START + k * 400 * MS)])
        rig.review(START + k * 400 * MS)
    assert rig.tap()["stream"] == -1
    assert rig.tap()["first_ns"] == 0
    assert told(rig) == []


def test_a13_a_source_that_is_meant_no_longer_is_not_listened_to() -> None:
    rig = talking()
    rig.pipeline.sources.retarget(0, Policy.EXACT, STRANGER)
    rig.commit()
    rig.step([said(sr(7, NOON) + bye(7))])
    assert told(rig) == []


def test_a13_of_a_stream_on_probation_nothing_is_kept() -> None:
    """It may never be heard."""
    rig = talking()
    rig.step(talk(1, START + SECOND, ssrc=8, sequence=7))
    rig.step([said(sr(8, NOON) + sdes((8, [(1, b"x")])) + bye(8))])
    assert told(rig) == []
    assert not rig.state.live.streams["reports"].any()


def test_a13_off_means_that_nothing_is_read_and_all_is_counted() -> None:
    rig = Rig()
    rig.pipeline = Pipeline(rig.state, HORIZON, rtp.payload_kinds(), [], rtcp=False)
    rig.open()
    rig.run(talk(50), finish=False)
    rig.step([said(sr(7, NOON) + bye(7))])
    assert told(rig) == []
    assert rig.count(Verdict.RTCP) == 1


def test_a13_the_last_report_of_a_stream_that_is_over_becomes_a_note() -> None:
    rig = talking()
    for k in range(3):
        rig.step([said(sr(7, NOON + (k << 32), 8_000 * k), START + SECOND + k * MS)])
    other = talk(100, START + 2 * SECOND, ssrc=9, sequence=7)
    rig.run(other, finish=False)
    rig.step([said(sr(9, NOON, 77), START + 4 * SECOND), said(rr() + bye(7), START + 4 * SECOND)])
    assert told(rig)[-1][0] == "GOODBYE"  # of the stream before, while it is remembered
    rig.review(START + 60 * SECOND)
    counts = [int(it["note"]["frames"]) for it in rig.notes() if it["note"]["kind"] == NoteKind.REPORT]
    assert counts == [0, 0, 3]
    assert told(rig)[-1] == ("REPORT", 7, 16_000, NOON_NS + 2 * SECOND, b"")


def test_a13_a_source_that_says_much_makes_few_notes_and_little_work() -> None:
    """Each datagram another name, hundreds in a turn: only a few are read, and all are counted."""
    rig = talking()
    flood = [said(sr(7, NOON, k) + sdes((7, [(1, b"%d" % k)])) + bye(7)) for k in range(200)]
    for start in range(0, 200, 20):
        rig.step(flood[start : start + 20])
    assert rig.stream()["reports"] == 10 * MOST_A_TURN
    assert len(told(rig)) == 1 + MOST_NAMES + 1
    assert rig.count(Verdict.RTCP) == 200


def test_a13_of_each_tap_the_first_few_of_a_turn_are_read() -> None:
    rig = Rig(taps=3)
    for tap in range(3):
        rig.open(tap)
    rig.run([p for tap in range(3) for p in talk(5, tap=tap)], finish=False)
    slab = datagrams(said(sr(7, NOON), tap=tap) for tap in (2, 0, 2, 2, 0, 1, 2))
    found = rig.pipeline.reporting
    assert found is not None
    assert found.heard(slab.tap, (slab.high, slab.low, slab.port)).tolist() == [0, 1, 2, 4, 5]
    other = np.full_like(slab.port, 9)
    assert found.heard(slab.tap, (slab.high, slab.low, other)).size == 0
    assert found.heard(slab.tap, (slab.high, slab.low, other), any_port=True).size == 5


def test_a13_k3_a_worker_that_dies_in_the_turn_leaves_each_word_once() -> None:
    rig = talking()
    words: Iterable[Sent] = [said(sr(7, NOON, 8_000) + sdes((7, [(1, b"me")])) + bye(7))]
    rig.pipeline.step(datagrams(words), START + SECOND, WALL - START)
    succeed(rig)  # before the commit
    assert told(rig) == []
    rig.step(words)
    succeed(rig)
    assert [kind for kind, *_ in told(rig)] == ["REPORT", "NAME", "GOODBYE"]
    assert rig.stream()["reports"] == 1


def test_a13_a_long_name_is_cut() -> None:
    rig = talking()
    rig.step([said(rr() + sdes((7, [(1, b"n" * 255)])))])
    assert told(rig) == [("NAME", 7, 0, 0, b"n" * 64)]
