"""Rule C7: several files in a row, no missing sample between them, one sidecar at the end."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.finish import finish, finished, forget
from receiver.archive.gaps import Stretch
from receiver.archive.names import PartKey
from receiver.archive.part import Part
from receiver.archive.pauses import Paused, stretches
from receiver.archive.roll import Segment, read_segment, roll
from receiver.archive.sidecar import Outcome, Problem, Sidecar, decode
from receiver.media.block import ABSENT
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import (
    ID,
    NAME,
    NOON_NS,
    Sound,
    as_tuples,
    draft,
    facts,
    gaps_by_hand,
    lay,
    lying,
    read_json,
    read_wav,
    sound,
    with_absence,
)

WHOLE = with_absence(sound(300), (0, 20), (90, 110), (150, 160), (290, 300))
CUTS = (0, 100, 200, 300)


def laid(files: Files, samples: Sequence[Sound], cuts: Sequence[int]) -> list[list[PartKey]]:
    """The parts of all segments of a recording."""
    return [
        lay(files, [mine[first:last] for mine in samples], segment, first)
        for segment, (first, last) in enumerate(itertools.pairwise(cuts))
    ]


def published(directory: Path, done: Sidecar) -> Sound:
    """All files of a recording, in the order of its sidecar."""
    sounds = [read_wav(directory / "ready" / part.file) for part in done.parts]
    assert [len(mine) for mine in sounds] == [part.frames for part in done.parts]
    return np.concatenate(sounds)


def rolled(files: Files, keys: Sequence[Sequence[PartKey]], cuts: Sequence[int]) -> None:
    for segment, parts in enumerate(keys[:-1]):
        roll(files, draft(), parts, cuts[segment + 1], 0, NOON_NS)


def test_c7_files_follow_without_a_missing_sample_and_one_sidecar_tells_of_all(files: Files, tmp_path: Path) -> None:
    keys = laid(files, [WHOLE], CUTS)
    rolled(files, keys, CUTS)
    name = f"20231114T221320Z_{ID}"
    assert lying(tmp_path) == [f"{name}.001.wav", f"{name}.002.wav"]  # while the tap goes on
    assert lying(tmp_path, "spool") == [f"{ID}.0.2.200.part", f"{ID}.0.segment", f"{ID}.1.segment", f"{ID}.draft"]
    done = finish(files, facts(keys[2], [300]))
    assert lying(tmp_path) == [f"{name}.{number:03}.wav" for number in (1, 2, 3)] + [f"{name}.json"]
    assert lying(tmp_path, "spool") == [f"{ID}.done"]
    assert np.array_equal(published(tmp_path, done)[:, 0], np.where(WHOLE == ABSENT, 0, WHOLE)[20:])
    assert as_tuples(done.gaps) == gaps_by_hand([WHOLE])  # also the one over a file's end
    assert (70, 20, 0, "lost") in as_tuples(done.gaps)
    assert [(part.file, part.frame, part.frames) for part in done.parts] == [
        (f"{name}.001.wav", 0, 80), (f"{name}.002.wav", 80, 100), (f"{name}.003.wav", 180, 100),
    ]  # fmt: skip
    assert (done.file, done.frames, done.outcome) == (None, 280, Outcome.COMPLETE)
    written = read_json(tmp_path / "ready" / f"{name}.json")
    assert "bytes" not in written
    assert "sha256" not in written
    assert [part["bytes"] for part in written["parts"]] == [44 + 160, 44 + 200, 44 + 200]


@settings(max_examples=25)
@given(
    channels=st.lists(
        st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=6), min_size=1, max_size=2
    ),
    marks=st.lists(st.integers(1, 60), max_size=3, unique=True),
    told=st.lists(
        st.builds(Stretch, st.integers(0, 60), st.integers(1, 30), st.just(0), st.just("not_sent")), max_size=2
    ),
)
def test_p1_wherever_it_is_cut_sound_and_gaps_are_those_of_one_file(
    channels: list[list[tuple[bool, int]]], marks: list[int], told: list[Stretch]
) -> None:
    noise = itertools.count(1)
    samples = [
        np.array([next(noise) if present else ABSENT for present, frames in runs for _ in range(frames)], np.int16)
        for runs in channels
    ]
    length = max(len(mine) for mine in samples)
    samples = [np.concatenate((mine, np.full(length - len(mine), ABSENT))) for mine in samples]
    cuts = [0, *sorted(mark for mark in marks if mark < length), length]
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        keys = laid(files, samples, cuts)
        for segment, parts in enumerate(keys[:-1]):
            roll(files, draft(), parts, cuts[segment + 1], 0, NOON_NS, told)
        done = finish(files, facts(keys[-1], [length] * len(samples), stretches=tuple(told)))
        assert as_tuples(done.gaps) == gaps_by_hand(samples, told)
        frames = np.stack(samples, axis=1)
        present = (frames != ABSENT).any(axis=1)
        if present.any():
            woven = np.where(frames == ABSENT, 0, frames)[int(present.argmax()) :]
            if len(cuts) > 2:
                assert np.array_equal(published(Path(directory), done), woven)
            else:
                assert np.array_equal(read_wav(Path(directory) / "ready" / str(done.file)), woven)
        else:
            assert done.outcome is Outcome.EMPTY
        forget(files, ID)
        assert lying(Path(directory), "spool") == []
        files.close()


def template_of(tmp_path: Path, whole: Sound = WHOLE) -> tuple[Path, list[list[PartKey]]]:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    keys = laid(files, [whole], CUTS)
    files.close()
    return template, keys


def test_p4_rolling_killed_at_any_call_ends_with_the_same_names_once(tmp_path: Path) -> None:
    template, keys = template_of(tmp_path)
    kills = 0
    for _, directory in kill_everywhere(tmp_path, template, lambda files: rolled(files, keys, CUTS)):
        kills += 1
        files = Watched(directory, sync=False)
        rolled(files, keys, CUTS)
        check_all(directory, finish(files, facts(keys[2], [300])))
        files.close()
    assert kills > 40


@pytest.mark.parametrize("whole", [WHOLE, np.full(300, ABSENT)], ids=["sound", "nothing ever came"])
def test_p4_a_finish_completes_the_rolls_that_a_dead_worker_left(whole: Sound, tmp_path: Path) -> None:
    template, keys = template_of(tmp_path, whole)
    for _, directory in kill_everywhere(tmp_path, template, lambda files: rolled(files, keys, CUTS)):
        files = Watched(directory, sync=False)
        done = finish(files, facts(keys[2], [300]))
        assert lying(directory, "spool") == [f"{ID}.done"]
        if done.outcome is not Outcome.EMPTY:
            check_all(directory, done)
        files.close()


@pytest.mark.all
def test_p4_finishing_several_killed_at_any_call(tmp_path: Path) -> None:
    template, keys = template_of(tmp_path)
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, facts(keys[2], [300]))):
        files = Watched(directory, sync=False)
        check_all(directory, finish(files, facts(keys[2], [300])))
        files.close()


def check_all(directory: Path, done: Sidecar) -> None:
    assert lying(directory) == [f"{NAME}.{number:03}.wav" for number in (1, 2, 3)] + [f"{NAME}.json"]
    assert lying(directory, "spool") == [f"{ID}.done"]
    assert decode((directory / "ready" / f"{NAME}.json").read_bytes()) == done
    assert np.array_equal(published(directory, done)[:, 0], np.where(WHOLE == ABSENT, 0, WHOLE)[20:])
    assert as_tuples(done.gaps) == gaps_by_hand([WHOLE])


@pytest.mark.parametrize("whole", [WHOLE, np.full(300, ABSENT)], ids=["sound", "nothing ever came"])
def test_p4_what_a_dead_worker_left_of_several_goes_when_it_is_forgotten(whole: Sound, tmp_path: Path) -> None:
    template, keys = template_of(tmp_path, whole)
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, facts(keys[2], [300]))):
        files = Watched(directory, sync=False)
        if finished(files, ID):
            Part.reopen(files, keys[2][0]).close()
        else:
            finish(files, facts(keys[2], [300]))
        forget(files, ID)
        assert lying(directory, "spool") == []
        files.close()


def test_a2_a_first_segment_in_which_nothing_came_makes_no_file(files: Files, tmp_path: Path) -> None:
    whole = with_absence(sound(300), (0, 130))
    keys = laid(files, [whole], CUTS)
    rolled(files, keys, CUTS)
    done = finish(files, facts(keys[2], [300]))
    assert [(part.file[-7:], part.frame, part.frames) for part in done.parts] == [
        ("002.wav", 0, 70), ("003.wav", 70, 100),
    ]  # fmt: skip
    assert np.array_equal(published(tmp_path, done)[:, 0], whole[130:])
    assert done.gaps == ()


def test_nothing_behind_the_last_roll_makes_no_file(files: Files, tmp_path: Path) -> None:
    keys = [*laid(files, [WHOLE[:200]], CUTS[:3]), lay(files, [np.empty(0, np.int16)], 2, 200)]
    rolled(files, keys, CUTS)
    done = finish(files, facts(keys[2], [200]))
    assert [part.frames for part in done.parts] == [80, 100]
    assert done.frames == 180
    assert lying(tmp_path, "spool") == [f"{ID}.done"]


def test_nothing_ever_in_several_segments_is_empty(files: Files, tmp_path: Path) -> None:
    keys = laid(files, [np.full(300, ABSENT)], CUTS)
    rolled(files, keys, CUTS)
    done = finish(files, facts(keys[2], [300]))
    assert (done.outcome, done.parts, done.file) == (Outcome.EMPTY, (), None)
    assert len(lying(tmp_path)) == 1


def test_segments_are_rolled_in_order(files: Files) -> None:
    keys = laid(files, [WHOLE], CUTS)
    with pytest.raises(FileNotFoundError, match="before is not rolled"):
        roll(files, draft(), keys[1], 200, 0, NOON_NS)


def test_a_segment_whose_parts_are_away_is_silence_in_its_place(files: Files, tmp_path: Path) -> None:
    keys = laid(files, [WHOLE], CUTS)
    roll(files, draft(), keys[0], 100, 0, NOON_NS)
    files.unlink(keys[1][0].name)
    done = finish(files, facts(keys[2], [300]))
    assert [part.frames for part in done.parts] == [80, 100, 100]
    assert (80, 100, 0, "write_failed") in as_tuples(done.gaps)
    assert done.outcome is Outcome.DEGRADED


def test_c4_a_strangers_file_of_a_segments_name(files: Files, tmp_path: Path) -> None:
    (tmp_path / "ready" / f"{NAME}.001.wav").write_bytes(b"of a stranger")
    keys = laid(files, [WHOLE], CUTS)
    rolled(files, keys, CUTS)
    done = finish(files, facts(keys[2], [300]))
    assert [part.file for part in done.parts] == [f"{NAME}.001-2.wav", f"{NAME}.002.wav", f"{NAME}.003.wav"]
    assert isinstance(done.problem, Problem)
    assert (done.problem.code, done.outcome) == ("name_taken", Outcome.COMPLETE)
    assert (tmp_path / "ready" / f"{NAME}.001.wav").read_bytes() == b"of a stranger"


def test_a_segment_in_spool_is_read_back(files: Files) -> None:
    keys = laid(files, [WHOLE], CUTS)
    made = roll(files, draft(), keys[0], 100, 0, NOON_NS)
    assert read_segment(files, ID, 0) == made
    assert isinstance(made, Segment)
    assert read_segment(files, ID, 1) is None
    assert files.stat(names.woven(ID, 0)) is None


def test_a_pause_over_the_end_of_a_file_is_cut_out_of_both(files: Files, tmp_path: Path) -> None:
    whole = with_absence(sound(8_000), (0, 160), (3_000, 5_000), (6_000, 6_500))
    asked = draft(pause_as="cut")
    told = (Paused(3_000, 5_000, NOON_NS, NOON_NS), Paused(6_000, 6_500, NOON_NS, NOON_NS))
    keys = lay(files, [whole[:4_000]], of=asked)
    roll(files, asked, keys, 4_000, 0, NOON_NS, stretches(told, 4_000))
    keys = lay(files, [whole[4_000:]], segment=1, first=4_000, of=asked)
    done = finish(files, facts(keys, [8_000], draft=asked, pauses=told))
    files_told = [(part.frame, part.frames) for part in done.parts]
    assert files_told == [(0, 2_840), (2_840, 2_500)]
    assert (done.frames, done.gaps) == (5_340, ())
    heard = [read_wav(tmp_path / "ready" / part.file).reshape(-1) for part in done.parts]
    assert np.array_equal(np.concatenate(heard), np.r_[whole[160:3_000], whole[5_000:6_000], whole[6_500:]])
    assert [(row.frame, row.frames) for row in done.pauses] == [(2_840, 0), (3_840, 0)]
