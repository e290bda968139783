"""What the sidecar tells of senders' clocks: drift (rule A15), RTCP (rule A13)."""

from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from numpy.typing import NDArray

from receiver.archive.align import Voice, align
from receiver.archive.pace import Pace
from receiver.archive.sidecar import Channel, SenderMoment, SenderReports, moment
from receiver.media.columns import NOTE, STREAM, NoteKind
from receiver.media.taps import Picture
from receiver.worker import clocks, story
from tests.archive.clocks import Talk, apart_ms
from tests.archive.world import draft as made_draft
from tests.media.rig import HORIZON, SECOND, START, Part, Rig, Sent, talk
from tests.media.test_reporting import NOON, NOON_NS, said
from tests.tools import count
from tests.wire.test_rtcp import bye, sdes, sr
from tests.worker.test_story import note


def test_a15_paces_go_by_epoch_and_the_window_under_way_is_of_the_last() -> None:
    notes = np.concatenate([
        note(NoteKind.EPOCH, ssrc=7, frame=3_200, arrival_ns=50),
        note(NoteKind.PACE, ssrc=7, frame=3_360, arrival_ns=60),
        note(NoteKind.EPOCH, ssrc=7, frame=90_000),  # of a line that turned on probation: its arrival is not known
        note(NoteKind.PACE, ssrc=7, frame=90_160, arrival_ns=900),
        note(NoteKind.EPOCH, ssrc=8, frame=200_000, arrival_ns=2_000),
        note(NoteKind.PACE, ssrc=7, frame=90_320, arrival_ns=950),
        note(NoteKind.EPOCH, ssrc=9, frame=400_000),
        note(NoteKind.PACE, ssrc=10, frame=7, arrival_ns=1),  # the disk did not take its epoch
    ])  # fmt: skip
    stream = np.zeros((), STREAM)
    stream["ssrc"], stream["pace_frame"], stream["pace_arrival_ns"] = 8, 200_480, 1_990
    told = [(it.ssrc, it.begin, it.points.tolist()) for it in clocks.paces(notes, [stream, np.zeros((), STREAM)])]
    assert told == [
        (7, 3_200, [[3_200, 50], [3_360, 60]]),
        (7, 90_000, [[90_160, 900], [90_320, 950]]),
        (8, 200_000, [[200_480, 1_990], [200_000, 2_000]]),
        (10, 7, [[7, 1]]),
    ]


@pytest.mark.parametrize("ppm", [150, -150])
def test_a15_the_drift_of_a_call_comes_out_of_its_packets(ppm: int) -> None:
    """From datagrams to the sidecar's number; an hour of jitter: tests/archive/test_pace.py."""
    rig, dice = Rig(), np.random.default_rng(1)
    rig.open()
    packets = 330 * 25
    sent_ns = START + np.arange(packets) * 40e6 / (1 + ppm * 1e-6)
    late = np.maximum.accumulate((sent_ns + dice.exponential(2e6, packets)).astype(np.int64))
    payload = bytes(320)
    rig.run((Sent(at, k, 320 * k, payload) for k, at in enumerate(late.tolist())), tick_ns=SECOND)
    notes = np.array([slot["note"] for slot in rig.notes()], NOTE)
    told = Picture(rig.tap().copy(), None, [rig.stream().copy()])
    [stream] = story.channel(told, notes, Channel()).streams
    assert stream.drift_ppm == pytest.approx(ppm, abs=5)
    [again] = story.described(made_draft(), [notes.tobytes()], [0]).channels[0].streams
    assert again.drift_ppm == pytest.approx(ppm, abs=5)


class Nowhere(Part):
    """Four hours are 230 MB."""

    def write(self, frame: int, samples: NDArray[np.int16]) -> None:
        self.size = max(self.size, frame + samples.size)


def test_a15_what_two_senders_datagrams_say_of_their_clocks_keeps_them_within_20_ms() -> None:
    """Issue D's number from datagrams on, in virtual time: 4 hours at +150 and -150 ppm, in jitter."""
    rig, dice, size = Rig(taps=2, strict=False), np.random.default_rng(1), 480
    seconds = count(900, all=14_400, full=14_400)
    sound, talks = bytes(size), list[Talk]()
    sent: list[Sent] = []
    for tap, ppm in enumerate((150, -150)):
        rig.open(tap)
        rig.parts[tap] = Nowhere()
        number = np.arange(seconds * 8_000 // size)
        due = START + 7.3e9 * tap + number * (size * 125_000) / (1 + ppm * 1e-6)
        came = np.maximum.accumulate((due + dice.exponential(5e6, number.size)).astype(np.int64))
        sent += [Sent(at, k & 0xFFFF, size * k, sound, tap=tap) for k, at in enumerate(came.tolist())]
        talks.append(Talk(due, HORIZON + size * number, Pace(7, 0, np.empty((0, 2), np.int64))))
    sent.sort(key=lambda packet: packet.arrival_ns)
    slots: list[Any] = []
    for first in range(0, len(sent), 10_000):
        rig.run(sent[first : first + 10_000], tick_ns=SECOND, finish=False)
        slots += [slot.copy() for slot in rig.pipeline.journal.notes_since(len(slots))]
    assert [rig.statistics(tap)["packets"] for tap in (0, 1)] == [len(sent) // 2] * 2
    voices = []
    for tap, each in enumerate(talks):
        notes = np.array([slot["note"] for slot in slots if slot["tap"] == tap], NOTE)
        paced = clocks.paces(notes, [rig.stream(tap)])
        voices.append(Voice(paced, HORIZON, int(each.frames[-1]) + size, lambda *_: np.empty((0, 2), np.int64)))
    courses = align(voices, 8_000)
    times = START + np.arange(8e9, seconds * 0.999e9, 1e9)
    assert apart_ms((courses[0], talks[:1]), (courses[1], talks[1:]), times).max() < 20
    put = sum(frames for _, frames in courses[1].insertions)
    assert put == pytest.approx(seconds * 300e-6 * 8_000, abs=3 * 80)
    assert courses[0].insertions == ()


def test_a15_a_short_call_says_nothing_of_drift() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(100))
    notes = np.array([slot["note"] for slot in rig.notes()], NOTE)
    [stream] = story.channel(Picture(rig.tap().copy(), None, [rig.stream().copy()]), notes, Channel()).streams
    assert stream.drift_ppm is UNSET


def of(rig: Rig, ssrc: int = 7) -> dict[str, object]:
    notes = np.array([slot["note"] for slot in rig.notes()], NOTE)
    return clocks.of_stream(ssrc, (), notes, [rig.stream()])


def test_a13_what_rtcp_said_is_told_of_its_stream() -> None:
    rig = Rig()
    rig.open()
    rig.run(talk(50), finish=False)
    assert of(rig) == {"drift_ppm": UNSET, "cname": UNSET, "sender_reports": UNSET, "bye_at": UNSET}
    rig.step([said(sr(7, NOON, 8_000) + sdes((7, [(1, "m\u00fc@home".encode())])))])
    rig.step([said(sr(7, NOON + (400 << 32), 8_000 + 400 * 8_000 + 320) + bye(7), START + 2 * SECOND)])
    told = of(rig)
    reports = told["sender_reports"]
    assert isinstance(reports, SenderReports)
    assert reports.count == 2
    assert reports.first == SenderMoment(timestamp=8_000, at=moment(NOON_NS))
    assert reports.last == SenderMoment(timestamp=3_208_320, at=moment(NOON_NS + 400 * SECOND))
    assert reports.clock_ppm == 100.0
    assert told["cname"] == "m\u00fc@home"
    assert told["bye_at"] == moment(1_700_000_002 * SECOND)
    assert of(rig, 8)["sender_reports"] is UNSET


def test_a13_reports_of_streams_that_are_over_are_added_up() -> None:
    notes = np.concatenate([
        note(NoteKind.REPORT, ssrc=7, timestamp=5, wall_ns=NOON_NS),
        note(NoteKind.REPORT, ssrc=7, timestamp=9, wall_ns=NOON_NS + SECOND, frames=12),
        note(NoteKind.REPORT, ssrc=7, timestamp=50, wall_ns=0),
    ])  # fmt: skip
    stream = np.zeros((), STREAM)
    stream["ssrc"], stream["reports"], stream["report_timestamp"] = 7, 3, 90
    reports = clocks.of_stream(7, (), notes, [stream])["sender_reports"]
    assert reports.count == 15
    assert reports.last == SenderMoment(timestamp=90)  # the sender has no wall clock
    assert reports.clock_ppm is UNSET
    alone = clocks.of_stream(7, (), notes[:1])["sender_reports"]
    assert alone.count == 1
    assert alone.first == alone.last


@pytest.mark.parametrize(("seconds", "timestamp"), [(299, 299 * 8_000), (400, 7), (-400, 0)])
def test_a13_no_clock_is_told_from_reports_that_do_not_fit_together(seconds: int, timestamp: int) -> None:
    """Too near to each other, a jump of the timestamps between them, a wall clock that was set back."""
    notes = np.concatenate([
        note(NoteKind.REPORT, ssrc=7, timestamp=0, wall_ns=NOON_NS),
        note(NoteKind.REPORT, ssrc=7, timestamp=timestamp, wall_ns=NOON_NS + seconds * SECOND, frames=2),
    ])  # fmt: skip
    assert clocks.of_stream(7, (), notes)["sender_reports"].clock_ppm is UNSET


def test_a13_a_timestamp_that_wraps_between_two_reports_is_no_jump() -> None:
    begin = (1 << 32) - 8_000
    notes = np.concatenate([
        note(NoteKind.REPORT, ssrc=7, timestamp=begin, wall_ns=NOON_NS),
        note(NoteKind.REPORT, ssrc=7, timestamp=(begin + 400 * 8_000) % (1 << 32), wall_ns=NOON_NS + 400 * SECOND),
    ])  # fmt: skip
    assert clocks.of_stream(7, (), notes)["sender_reports"].clock_ppm == 0


def test_a15_a12_channels_of_one_tap_have_clocks_of_their_own() -> None:
    """Notes go by tap and tell the channel; parts beside a tap's own have numbers from `MOST_TAPS` on."""
    notes = np.concatenate([
        note(NoteKind.EPOCH, ssrc=7, frame=3_200, arrival_ns=50),
        note(NoteKind.EPOCH, ssrc=8, frame=3_200, arrival_ns=60, channel=1),
        note(NoteKind.PACE, ssrc=8, frame=3_360, arrival_ns=70, channel=1),
    ])  # fmt: skip
    other = note(NoteKind.EPOCH, ssrc=9, frame=3_200, arrival_ns=80)
    stream = np.zeros((), STREAM)
    stream["ssrc"], stream["pace_frame"], stream["pace_arrival_ns"] = 8, 3_520, 90
    found = clocks.by_channel([0, 1, 2], [notes, other], [[], [], [stream]])
    assert [[(it.ssrc, len(it.points)) for it in mine] for mine in found] == [[(7, 1)], [(9, 1)], [(8, 3)]]
    again = story.described(
        made_draft(channels=(Channel(),) * 2), [notes.tobytes() + b"torn", other.tobytes()], [0, 1, 2]
    )
    assert [[(it.ssrc, len(it.points)) for it in mine] for mine in again.paces] == [[(7, 1)], [(9, 1)], [(8, 2)]]


def test_a15_a_clock_of_48_khz_is_read_as_one() -> None:
    """Opus: rows count in 1/8000 s, parts and timestamps in 1/48000 s."""
    paced = [note(NoteKind.PACE, ssrc=7, frame=80_008 * k, arrival_ns=10 * SECOND * k + 1) for k in range(40)]
    reports = [
        note(NoteKind.REPORT, ssrc=7, timestamp=0, wall_ns=NOON_NS),
        note(NoteKind.REPORT, ssrc=7, timestamp=400 * 48_000, wall_ns=NOON_NS + 400 * SECOND, frames=2),
    ]
    notes = story.in_the_part(np.concatenate([note(NoteKind.EPOCH, ssrc=7, arrival_ns=1), *paced, *reports]), 6)
    stream = np.zeros((), STREAM)
    stream["ssrc"], stream["pace_frame"], stream["pace_arrival_ns"] = 7, 80_008 * 40, 400 * SECOND + 1
    [pace] = clocks.by_channel([0], [notes], [[stream]], 6)[0]
    assert pace.points[-1].tolist() == [480_048 * 40, 400 * SECOND + 1]
    told = clocks.of_stream(7, [pace], notes, (), 6)
    assert told["drift_ppm"] == 100.0
    assert (told["sender_reports"].count, told["sender_reports"].clock_ppm) == (2, 0)
