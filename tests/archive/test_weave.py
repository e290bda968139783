"""Weaving: every sample at its place, every absence listed, silence where nothing came; durable and read back."""

import errno
import hashlib
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive.axes import Lane, reach
from receiver.archive.files import Files, Piece
from receiver.archive.gaps import Stretch, explain, in_order
from receiver.archive.names import PartKey
from receiver.archive.sidecar import Reason
from receiver.archive.weave import Track, Woven, opened, weave
from receiver.media.block import ABSENT
from tests.archive.disk import Watched
from tests.archive.world import ID, Sound, as_tuples, gaps_by_hand, lay, read_wav, sound, with_absence

TARGET = f"spool/{ID}.0.wav"


def woven(files: Files, samples: Sequence[Sound], cut_lead: bool = True, chunk_frames: int = 1 << 20) -> Woven | None:
    keys = lay(files, samples)
    lengths = [len(mine) for mine in samples]
    with opened(files, keys, lengths) as tracks:
        return weave(files, TARGET, tracks, (0, max(lengths)), 8000, cut_lead, chunk_frames)


def expected_frames(samples: Sequence[Sound]) -> Sound:
    """Frames by channels, by hand."""
    length = max(len(mine) for mine in samples)
    frames = np.full((length, len(samples)), ABSENT, np.int16)
    for channel, mine in enumerate(samples):
        frames[: len(mine), channel] = mine
    lead = int((frames != ABSENT).any(axis=1).argmax())
    return np.where(frames == ABSENT, 0, frames)[lead:]


patterns = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=8), min_size=1, max_size=3
)  # channels of runs: present?, frames


def laid_out(channels: list[list[tuple[bool, int]]]) -> list[Sound]:
    noise = itertools.count(1)
    return [
        np.array([next(noise) if present else ABSENT for present, frames in runs for _ in range(frames)], np.int16)
        for runs in channels
    ]


@given(
    channels=patterns,
    chunk=st.integers(1, 40),
    told=st.lists(
        st.builds(
            Stretch, st.integers(0, 90), st.integers(1, 30), st.integers(0, 2), st.sampled_from(list(Reason)).map(str)
        ),
        max_size=4,
    ),
)
def test_p1_any_absence_in_any_chunks_of_any_channels_gives_exact_sound_and_exact_gaps(
    channels: list[list[tuple[bool, int]]], chunk: int, told: list[Stretch]
) -> None:
    samples = laid_out(channels)
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        made = woven(files, samples, chunk_frames=chunk)
        if not any((mine != ABSENT).any() for mine in samples):
            assert made is None
            assert files.stat(TARGET) is None
        else:
            assert made is not None
            expected = expected_frames(samples)
            assert np.array_equal(read_wav(Path(directory) / TARGET), expected)
            assert (made.frames, made.octets) == (len(expected), 44 + expected.nbytes)
            rows = [explain(absent, channel, told, made.begins) for channel, absent in enumerate(made.absent)]
            assert as_tuples(in_order(rows)) == gaps_by_hand(samples, told, quiet=False)
        files.close()


@given(
    channels=patterns,
    chunk=st.integers(1, 40),
    put=st.lists(st.dictionaries(st.integers(0, 90), st.integers(1, 9), max_size=4), min_size=3, max_size=3),
    offsets=st.lists(st.integers(0, 30), min_size=3, max_size=3),
)
def test_a15_p1_with_silence_put_in_at_any_places_every_sample_lies_behind_what_is_before_it(
    channels: list[list[tuple[bool, int]]], chunk: int, put: list[dict[int, int]], offsets: list[int]
) -> None:
    samples = laid_out(channels)
    lanes = tuple(
        Lane(0, offset, tuple(sorted(mine.items()))) for _, offset, mine in zip(samples, offsets, put, strict=False)
    )
    expected = []
    for mine, lane in zip(samples, lanes, strict=True):
        laid = [int(ABSENT)] * lane.offset
        for frame, sample in enumerate(mine.tolist()):
            laid += [int(ABSENT)] * dict(lane.insertions).get(frame, 0) + [sample]
        expected.append(np.array(laid, np.int16))
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        keys, lengths = lay(files, samples), [len(mine) for mine in samples]
        upto = reach(lengths, lanes)
        assert upto == max(map(len, expected))
        with opened(files, keys, lengths, lanes) as tracks:
            made = weave(files, TARGET, tracks, (0, upto), 8000, False, chunk)
        assert made is not None
        frames = read_wav(Path(directory) / TARGET) if upto else np.empty((0, len(samples)), np.int16)
        for channel, row in enumerate(expected):
            whole = np.concatenate((row, np.full(upto - len(row), ABSENT, np.int16)))
            assert np.array_equal(frames[:, channel], np.where(whole == ABSENT, 0, whole))
            absent = [frame for first, last in made.absent[channel].tolist() for frame in range(first, last)]
            assert absent == np.flatnonzero(whole == ABSENT).tolist()
        files.close()


def test_a2_the_recording_begins_with_the_earliest_sample_of_all_channels(files: Files, tmp_path: Path) -> None:
    one, two = with_absence(sound(50), (0, 20)), with_absence(sound(50, 2), (0, 13))
    made = woven(files, [one, two])
    assert made
    assert made.begins == 13
    assert made.frames == 37
    assert [runs.tolist() for runs in made.absent] == [[[13, 20]], []]


def test_silence_that_was_heard_is_no_gap(files: Files) -> None:
    made = woven(files, [np.zeros(100, np.int16)])
    assert made
    assert made.frames == 100
    assert made.absent[0].tolist() == []


def test_absence_at_the_end_is_kept(files: Files, tmp_path: Path) -> None:
    made = woven(files, [with_absence(sound(50), (40, 50))])
    assert made
    assert made.frames == 50
    assert made.absent[0].tolist() == [[40, 50]]


def test_c7_a_later_file_keeps_what_is_absent_in_front(files: Files, tmp_path: Path) -> None:
    made = woven(files, [np.full(30, ABSENT)], cut_lead=False)
    assert made
    assert (made.begins, made.frames) == (0, 30)
    assert not read_wav(tmp_path / TARGET).any()


def test_only_what_is_believed_of_a_part_is_read(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [sound(100)])
    with opened(files, keys, [60]) as tracks:
        made = weave(files, TARGET, tracks, (0, 60), 8000, True)
    assert made
    assert np.array_equal(read_wav(tmp_path / TARGET)[:, 0], sound(100)[:60])


def test_c5_half_a_frame_at_the_end_is_not_read(files: Files) -> None:
    (key,) = lay(files, [sound(10)])
    descriptor = files.open(key.name, write=True)
    files.pwrite(descriptor, (b"x",), 20)
    files.close_file(descriptor)
    with opened(files, [key], [99]) as tracks:
        assert tracks[0].stop == 10


def test_a_part_that_is_missing_is_absent_and_not_an_error(files: Files, tmp_path: Path) -> None:
    (key,) = lay(files, [sound(10)])
    with opened(files, [key, PartKey(ID, 1, 0, 0)], [10, 10]) as tracks:
        assert tracks[1] == Track(None, 0, 0)
        made = weave(files, TARGET, tracks, (0, 10), 8000, True)
    assert made
    assert [runs.tolist() for runs in made.absent] == [[], [[0, 10]]]


def test_c4_durable_before_it_is_hashed_and_hashed_as_it_lies_there(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    made = woven(files, [sound(1_000)])
    assert made
    calls = [verb for verb, name in files.calls if name == TARGET]
    assert calls == ["create", "unlink", "write_some", "write_some", "fsync", "drop_pages", "pread"]
    octets = (tmp_path / TARGET).read_bytes()
    assert made.sha256 == hashlib.sha256(octets).hexdigest()
    assert (tmp_path / TARGET).stat().st_mode & 0o777 == 0o640
    files.close()


@pytest.mark.parametrize("lie", ["flip", "short"])
def test_p4_a_disk_that_gives_back_something_else_is_found_out(lie: str, tmp_path: Path) -> None:
    class Liar(Files):
        def pread(self, descriptor: int, into: Piece, octet: int) -> int:
            count = super().pread(descriptor, into, octet)
            if isinstance(into, bytearray):  # what is read back
                into[count // 2] ^= 1
                return count - (lie == "short")
            return count

    files = Liar(tmp_path)
    with pytest.raises(OSError, match="gave back something else") as raised:
        woven(files, [sound(1_000)])
    assert raised.value.errno == errno.EIO
    files.close()


def test_a_leftover_of_a_dead_process_is_another_file_afterwards(files: Files, tmp_path: Path) -> None:
    files.write_durably(TARGET, b"half a recording")
    old = files.open(TARGET)
    assert woven(files, [sound(10)])
    octets = bytearray(99)
    assert octets[: files.pread(old, octets, 0)] == b"half a recording"
    files.close_file(old)
    assert np.array_equal(read_wav(tmp_path / TARGET)[:, 0], sound(10))


def test_the_parts_are_not_touched(files: Files) -> None:
    samples = with_absence(sound(100), (10, 20))
    (key,) = lay(files, [samples])
    woven_again = [woven_part(files, key) for _ in range(2)]
    assert woven_again[0] == woven_again[1]
    assert files.read(key.name) == samples.tobytes()


def woven_part(files: Files, key: PartKey) -> str:
    with opened(files, [key], [100]) as tracks:
        made = weave(files, TARGET, tracks, (0, 100), 8000, True)
    assert made
    return made.sha256
