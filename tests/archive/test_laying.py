"""Rule A15 in the file: channels lie beside each other to their end, nothing is dropped, all that is put in is told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.archive.axes import Lane
from receiver.archive.files import Files
from receiver.archive.finish import finish
from receiver.archive.laying import lay
from receiver.archive.names import PartKey
from receiver.archive.pace import Pace
from receiver.archive.part import Part
from receiver.archive.roll import roll
from receiver.archive.sidecar import Gap, Reason
from receiver.media.block import ABSENT
from tests.archive import clocks
from tests.archive.clocks import Talk
from tests.archive.world import ID, NAME, NOON_NS, Sound, as_tuples, draft, facts, read_json
from tests.archive.world import lay as put_parts
from tests.tools import count

HOURS_4 = 4 * 3_600


def scaled(seconds: int, ppm: float, rate: int, seed: int, start_ns: float = 0) -> Talk:
    """A talk at another sample rate, packets of 20 ms, in the worst weather."""
    made = clocks.talk(seconds, ppm, "266 ms", np.random.default_rng(seed), start_ns)
    frames = made.frames * rate // clocks.RATE
    points = made.pace.points.copy()
    points[:, 0] = points[:, 0] * rate // clocks.RATE
    return Talk(made.sent, frames, Pace(7, int(frames[0]), points))


def sound_of(made: Talk, rate: int, seed: int, holes: list[tuple[int, int]] | None = None) -> Sound:
    """What lies in its part: noise without a zero, absent before it began."""
    stop = int(made.frames[-1]) + rate // 50
    sound = np.random.default_rng(seed).integers(1, 20_000, stop, np.int16)
    sound[: made.frames[0]] = ABSENT
    for first, last in holes or []:
        sound[first:last] = ABSENT
    return sound


def frames_of(path: Path) -> Sound:
    """Both channels of a PCM16 WAV of any rate, without a copy."""
    return np.memmap(path, "<i2", "r", 44).reshape(-1, 2)


def silent(gaps: tuple[Gap, ...], channel: int, frames: int) -> NDArray[np.bool_]:
    """What the list of gaps says of a channel."""
    mask = np.zeros(frames, np.bool_)
    for gap in gaps:
        if gap.channel == channel:
            mask[gap.frame : gap.frame + gap.frames] = True
    return mask


def test_a15_stereo_of_4_hours_is_within_20_ms_and_every_sample_is_there(files: Files, tmp_path: Path) -> None:
    """Issue D's number, out of the file: +150 and -150 ppm. (8 kHz are 230 MB a channel; the clocks are the same.)"""
    rate = count(200, all=1_000, full=8_000)
    talks = scaled(HOURS_4, -150, rate, 1), scaled(HOURS_4, 150, rate, 2, start_ns=7.3e9)
    holes = [(k, k + rate) for k in range(40 * rate, HOURS_4 * rate, 61 * rate)]
    parts = [sound_of(talks[0], rate, 1, holes), sound_of(talks[1], rate, 2)]
    wanted = draft(sample_rate=rate)
    keys = put_parts(files, parts, of=wanted)
    done = finish(
        files, facts(keys, [len(part) for part in parts], draft=wanted, paces=tuple((it.pace,) for it in talks))
    )
    frames = frames_of(tmp_path / "ready" / f"{NAME}.wav")
    assert len(frames) == done.frames
    places = []
    for channel, (part, made) in enumerate(zip(parts, talks, strict=True)):
        heard = np.flatnonzero(frames[:, channel])
        assert np.array_equal(frames[heard, channel], part[part != ABSENT]), "every sample, in order"
        assert np.array_equal(frames[:, channel] == 0, silent(done.gaps, channel, done.frames)), "and all else is told"
        of_part = np.flatnonzero(part != ABSENT)
        spoken = np.isin(made.frames, of_part)
        places.append((made.sent[spoken], heard[np.searchsorted(of_part, made.frames[spoken])]))
    times = np.arange(8e9, HOURS_4 * 0.9998e9, 1e9)
    apart = np.interp(times, *places[0]) - np.interp(times, *places[1])
    assert np.abs(apart).max() * 1_000 / rate < 20
    put = [gap for gap in done.gaps if gap.reason == Reason.DRIFT]
    assert {gap.channel for gap in put} == {0}
    assert sum(gap.frames for gap in put) == pytest.approx(HOURS_4 * 300e-6 * rate, abs=0.03 * rate)
    assert read_json(tmp_path / "ready" / f"{NAME}.json")["absent_frames"] == sum(gap.frames for gap in done.gaps)


def test_a15_silence_is_put_into_absence_where_there_is_some(files: Files) -> None:
    """The one sees holes at every ninth second: no sound of it is torn."""
    rate = 8_000
    slow, fast = scaled(400, -150, rate, 1), scaled(400, 150, rate, 2)
    holes = [(k, k + 160) for k in range(4 * rate, 400 * rate, 9 * rate)]
    parts = [sound_of(slow, rate, 1, holes), sound_of(fast, rate, 2)]
    keys, ends = put_parts(files, parts), [len(part) for part in parts]
    slower, faster = lay(files, keys, ends, ends, ((slow.pace,), (fast.pace,)), (), rate, None)
    assert len(slower.insertions) > 8
    assert all(any(low <= at <= high for low, high in holes) for at, _ in slower.insertions)
    assert faster.insertions == ()


@pytest.mark.parametrize("known", [0, 1])
def test_a15_where_clocks_are_not_known_channels_lie_as_they_came(files: Files, known: int) -> None:
    made = scaled(60, 150, 8_000, 1)
    parts = [sound_of(made, 8_000, 1), sound_of(made, 8_000, 2)]
    keys, ends = put_parts(files, parts), [len(part) for part in parts]
    paces = [((made.pace,), ()), ()][known]
    anchors = NOON_NS, NOON_NS + 500_000_000
    assert lay(files, keys, ends, ends, paces, anchors, 8_000, None) == (Lane(0, 0), Lane(0, 4_000))


def test_a15_by_clocks_and_not_by_what_came_first(files: Files) -> None:
    """The first packet of one side was 240 ms late: by it the channels would lie 240 ms apart."""
    one, other = scaled(60, 0, 8_000, 1), scaled(60, 0, 8_000, 2)
    parts = [sound_of(one, 8_000, 1), sound_of(other, 8_000, 2)]
    keys, ends = put_parts(files, parts), [len(part) for part in parts]
    anchors = NOON_NS, NOON_NS + 240_000_000
    laid = lay(files, keys, ends, ends, ((one.pace,), (other.pace,)), anchors, 8_000, None)
    assert abs(laid[0].offset - laid[1].offset) < 24


def test_a15_a_dead_side_leaves_silence_and_no_drift(files: Files, tmp_path: Path) -> None:
    made = scaled(20, 150, 8_000, 1)
    parts = [sound_of(made, 8_000, 1), np.full(0, ABSENT, np.int16)]
    keys = put_parts(files, parts)
    done = finish(files, facts(keys, [len(parts[0]), 0], paces=((made.pace,), ())))
    assert as_tuples(done.gaps) == [(0, done.frames, 1, "not_sent")]
    assert not frames_of(tmp_path / "ready" / f"{NAME}.wav")[:, 1].any()


def test_c7_a15_files_of_a_long_recording_keep_together_without_a_missing_sample(files: Files, tmp_path: Path) -> None:
    rate = 200
    talks = scaled(3_600, -150, rate, 1), scaled(3_600, 150, rate, 2, start_ns=7.3e9)
    parts = [sound_of(made, rate, seed) for seed, made in enumerate(talks)]
    cuts = [int(np.interp(1_800e9, made.sent, made.frames)) for made in talks]
    wanted = draft(sample_rate=rate)
    first = put_parts(files, [part[:cut] for part, cut in zip(parts, cuts, strict=True)], of=wanted)
    paces = tuple((it.pace,) for it in talks)
    early = tuple((made.pace._replace(points=made.pace.points[:180]),) for made in talks)
    roll(files, wanted, first, cuts, 0, NOON_NS, paces=early)
    keys = [PartKey(ID, channel, 1, cut) for channel, cut in enumerate(cuts)]
    for key, part in zip(keys, parts, strict=True):
        grown = Part.create(files, key)
        grown.write(0, (part[key.first_frame :],))
        grown.close()
    done = finish(files, facts(keys, [len(part) for part in parts], draft=wanted, paces=paces))
    assert done.parts[1].frame == done.parts[0].frames
    frames = np.concatenate([frames_of(tmp_path / "ready" / file.file) for file in done.parts])
    assert len(done.parts) == 2
    assert len(frames) == done.frames
    places = []
    for channel, (part, made) in enumerate(zip(parts, talks, strict=True)):
        heard = np.flatnonzero(frames[:, channel])
        assert np.array_equal(frames[heard, channel], part[part != ABSENT])
        assert np.array_equal(frames[:, channel] == 0, silent(done.gaps, channel, done.frames))
        places.append((made.sent, heard[made.frames - int(made.frames[0])]))
    times = np.arange(8e9, 3_599e9, 1e9)
    assert np.abs(np.interp(times, *places[0]) - np.interp(times, *places[1])).max() * 1_000 / rate < 20
    assert {gap.reason for gap in done.gaps} <= {Reason.DRIFT, Reason.NOT_SENT}
