"""Rule C5: what a power cut left is brought to its end, cut to the last commit; twice is once."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive import names
from receiver.archive.commitlog import pack
from receiver.archive.files import Files
from receiver.archive.finish import finish
from receiver.archive.names import PartKey
from receiver.archive.part import LogKey, Notes, Part
from receiver.archive.pauses import Paused
from receiver.archive.repair import Described, repair
from receiver.archive.roll import roll
from receiver.archive.sidecar import Channel, Draft, Ending, Epoch, Outcome, Problem, Sidecar, Stream, decode, moment
from receiver.media.block import ABSENT
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import (
    ID,
    NAME,
    NOON_NS,
    OTHER,
    Sound,
    as_tuples,
    draft,
    facts,
    lay,
    lying,
    read_wav,
    sound,
    with_absence,
)

SAMPLES = with_absence(sound(8_000), (0, 160), (1_000, 1_160))
ASKED = "20231114T221318Z_" + ID  # when it was asked for: no anchor is known


def logged(files: Files, keys: Sequence[PartKey], octets: Sequence[int], worker: int = 0) -> None:
    told: Mapping[LogKey, int] = dict(zip([log_key(key) for key in keys], octets, strict=True))
    files.write_durably(names.log(worker), pack(told, 1))


def log_key(key: PartKey) -> LogKey:
    return bytes.fromhex(key.recording_id.replace("-", "")), key.channel, key.segment


def knows_nothing(draft: Draft, notes: Sequence[bytes], channels: Sequence[int]) -> Described:
    return Described(draft.channels)


def knows_an_epoch(draft: Draft, notes: Sequence[bytes], channels: Sequence[int]) -> Described:
    epochs = (Epoch(frame=160, timestamp=5, at=moment(NOON_NS)),)
    return Described((Channel(party="both", streams=(Stream(ssrc=1, packets=9, epochs=epochs),)),))


def expected(samples: Sound, lead: int = 160) -> Sound:
    return np.where(samples == ABSENT, 0, samples)[lead:]


def test_c5_a_recording_is_cut_to_its_last_commit(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [SAMPLES])
    logged(files, keys, [12_000])
    (done,) = repair(files, set(), knows_an_epoch)
    assert (done.ending, done.outcome) == (Ending.RECOVERED, Outcome.DEGRADED)
    assert isinstance(done.problem, Problem)
    assert done.problem.code == "recovered"
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]
    assert lying(tmp_path, "spool") == ["commits-0.log"]
    assert np.array_equal(read_wav(tmp_path / "ready" / f"{NAME}.wav")[:, 0], expected(SAMPLES[:6_000]))
    assert as_tuples(done.gaps) == [(840, 160, 0, "lost")]
    assert done.started_at == moment(NOON_NS)
    assert done.ended_at == moment(NOON_NS + 5_840 * 125_000)
    assert done.tap_id == "tap-1"
    assert repair(files, set(), knows_an_epoch) == []
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]


@given(octets=st.integers(0, 64), logged_octets=st.integers(0, 80))
def test_c5_never_to_more_than_whole_frames_and_never_beyond_the_log(octets: int, logged_octets: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        (key,) = lay(files, [np.empty(0, np.int16)])
        descriptor = files.open(key.name, write=True)
        content = sound(40).tobytes()[:octets]
        files.pwrite(descriptor, (content,), 0)
        files.close_file(descriptor)
        logged(files, [key], [logged_octets])
        (done,) = repair(files, set(), knows_nothing)
        frames = min(octets, logged_octets) // 2
        assert done.frames == frames
        if frames:
            lies = read_wav(Path(directory) / "ready" / str(done.file))
            assert lies.tobytes() == content[: 2 * frames]
        files.close()


def test_c5_several_workers_logs_and_torn_tails(files: Files, tmp_path: Path) -> None:
    """A recording may have had another worker in its last life but one; the larger count holds."""
    keys = lay(files, [SAMPLES])
    logged(files, keys, [400], worker=0)
    whole, torn = pack({log_key(keys[0]): 2_000}, 1), pack({log_key(keys[0]): 9_000}, 1)[:-1]
    files.write_durably(names.log(3), whole + torn)
    (done,) = repair(files, set(), knows_nothing)
    assert done.frames == 1_000 - 160


def test_c5_the_living_are_left_alone(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [SAMPLES])
    logged(files, keys, [12_000])
    assert repair(files, {ID}, knows_nothing) == []
    assert lying(tmp_path, "spool") == [f"{ID}.0.0.0.part", f"{ID}.draft", "commits-0.log"]
    assert lying(tmp_path) == []


def test_d_nothing_committed_and_nothing_written_is_empty(files: Files, tmp_path: Path) -> None:
    lay(files, [np.empty(0, np.int16)])
    (done,) = repair(files, set(), knows_nothing)
    assert (done.outcome, done.ending, done.file) == (Outcome.EMPTY, Ending.RECOVERED, None)
    assert lying(tmp_path) == [f"{ASKED}.json"]
    assert lying(tmp_path, "spool") == []


def test_d_nothing_committed_of_what_was_written_is_degraded_for_empty_would_be_a_lie(files: Files) -> None:
    lay(files, [SAMPLES])
    (done,) = repair(files, set(), knows_nothing)
    assert (done.outcome, done.ending, done.file) == (Outcome.DEGRADED, Ending.RECOVERED, None)
    assert isinstance(done.problem, Problem)
    assert done.problem.code == "lost_before_commit"


def test_d_notes_that_speak_of_packets_are_evidence_too(files: Files) -> None:
    lay(files, [np.empty(0, np.int16)])
    (done,) = repair(files, set(), knows_an_epoch)
    assert done.outcome is Outcome.DEGRADED


@pytest.mark.parametrize("content", [b"", b"{", b'{"recording_id": 5}', None])
def test_a_draft_that_cannot_be_read_costs_no_sound(content: bytes | None, files: Files, tmp_path: Path) -> None:
    keys = lay(files, [SAMPLES])
    logged(files, keys, [16_000])
    if content is None:
        files.unlink(names.draft(ID))
    else:
        files.write_durably(names.draft(ID), content)
    told: list[tuple[str, Problem]] = []
    (done,) = repair(files, set(), knows_nothing, lambda name, problem: told.append((name, problem)))
    assert done.frames == 7_840
    assert done.recording_id == ID
    assert [problem.code for _, problem in told] == ["no_draft"]
    assert (tmp_path / "quarantine" / f"{ID}.draft").exists() is (content is not None)
    assert [name.partition("_")[2] for name in lying(tmp_path)] == [f"{ID}.json", f"{ID}.wav"]
    assert "tap_id" not in (tmp_path / "ready" / lying(tmp_path)[0]).read_text()


def test_channels_that_were_committed_unequally_are_padded_and_say_restart(files: Files) -> None:
    keys = lay(files, [sound(1_000), with_absence(sound(1_000, 2), (100, 200))])
    logged(files, keys, [2_000, 1_200])
    (done,) = repair(files, set(), knows_nothing)
    assert done.frames == 1_000
    assert as_tuples(done.gaps) == [(100, 100, 1, "lost"), (600, 400, 1, "restart")]


def test_a_leftover_wav_in_spool_is_made_anew(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [SAMPLES])
    logged(files, keys, [16_000])
    files.write_durably(names.woven(ID, 0), b"half a recording")
    files.write_durably(f"{names.final(ID)}.tmp", b"half a sidecar")
    (done,) = repair(files, set(), knows_nothing)
    assert done.frames == 7_840
    assert lying(tmp_path, "spool") == ["commits-0.log"]


def test_c5_a_recording_whose_twin_is_in_ready_is_only_unlinked(files: Files, tmp_path: Path) -> None:
    """Somebody has put back a copy of spool, for example: the recording is published already."""
    keys = lay(files, [SAMPLES])
    done = finish(files, facts(keys, [8_000]))
    files.unlink(names.done(ID))
    before = {name: (tmp_path / "ready" / name).read_bytes() for name in lying(tmp_path)}
    lay(files, [SAMPLES])
    logged(files, keys, [12_000])
    assert repair(files, set(), knows_nothing) == [done]
    assert {name: (tmp_path / "ready" / name).read_bytes() for name in lying(tmp_path)} == before
    assert lying(tmp_path, "spool") == ["commits-0.log"]


def test_c5_a_twin_that_a_job_took_away_meanwhile_is_not_published_again(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    finish(files, facts(lay(files, [SAMPLES]), [8_000]))
    files.unlink(names.done(ID))
    logged(files, lay(files, [SAMPLES]), [12_000])
    files.close()
    for _, directory in kill_everywhere(tmp_path, template, lambda files: repair(files, set(), knows_nothing)):
        expected = lying(directory)
        left = lying(directory, "spool")
        if f"{ID}.done" in left or not {f"{ID}.0.0.0.part", f"{ID}.draft"} <= set(left):  # it has seen the twin
            for name in expected:
                (directory / "ready" / name).unlink()
            expected = []
        files = Watched(directory, sync=False)
        repair(files, set(), knows_nothing)
        assert lying(directory) == expected
        assert lying(directory, "spool") == ["commits-0.log"]
        files.close()


def test_c5_a_finish_that_was_killed_is_gone_on_with_and_not_recovered(tmp_path: Path) -> None:
    """Once the final sidecar is in spool it holds: what was complete stays complete."""
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    keys = lay(files, [SAMPLES])
    logged(files, keys, [16_000])
    files.close()
    endings = set()
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, facts(keys, [8_000]))):
        files = Watched(directory, sync=False)
        (done,) = repair(files, set(), knows_an_epoch)
        endings.add(done.ending)
        assert lying(directory) == [f"{NAME}.json", f"{NAME}.wav"]
        assert lying(directory, "spool") == ["commits-0.log"]
        assert decode((directory / "ready" / f"{NAME}.json").read_bytes()) == done
        assert np.array_equal(read_wav(directory / "ready" / f"{NAME}.wav")[:, 0], expected(SAMPLES))
        assert repair(files, set(), knows_an_epoch) == []
        files.close()
    assert endings == {Ending.RECOVERED, Ending.STOPPED}


def test_c5_killed_at_any_call_and_repaired_again_it_is_there_once(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    keys = lay(files, [SAMPLES]) + lay(files, [sound(500)], of=draft(OTHER))
    logged(files, keys, [12_000, 1_000])
    notes = Notes(files, ID, 4)
    notes.write(0, (b"note",))
    notes.close()
    files.write_durably(names.draft(OTHER), b"torn")
    files.close()
    kills = 0
    for _, directory in kill_everywhere(tmp_path, template, lambda files: repair(files, set(), knows_an_epoch)):
        kills += 1
        files = Watched(directory, sync=False)
        repair(files, set(), knows_an_epoch)
        ready = lying(directory)
        assert ready == sorted(f"{NAME.replace(ID, each)}.{kind}" for each in (ID, OTHER) for kind in ("json", "wav"))
        assert lying(directory, "spool") == ["commits-0.log"]
        first, other = (decode((directory / "ready" / name).read_bytes()) for name in ready if name.endswith("json"))
        assert (first.frames, other.frames) == (5_840, 500)
        assert np.array_equal(read_wav(directory / "ready" / str(first.file))[:, 0], expected(SAMPLES[:6_000]))
        files.close()
    assert kills > 60


def segments(files: Files) -> tuple[Sound, list[PartKey]]:
    whole = with_absence(sound(300), (0, 20), (90, 110))
    keys = [key for index in range(3) for key in lay(files, [whole[100 * index :][:100]], index, 100 * index)]
    logged(files, keys, [200, 200, 120])
    return whole, keys


def check_segments(directory: Path, done: Sidecar, whole: Sound) -> None:
    assert lying(directory) == [f"{NAME}.001.wav", f"{NAME}.002.wav", f"{NAME}.003.wav", f"{NAME}.json"]
    assert lying(directory, "spool") == ["commits-0.log"]
    frames = np.concatenate([read_wav(directory / "ready" / part.file) for part in done.parts])[:, 0]
    assert np.array_equal(frames, expected(whole[:260], 20))
    assert as_tuples(done.gaps) == [(70, 20, 0, "lost")]


def test_c7_several_segments_rolled_or_not(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    whole, keys = segments(files)
    files.close()

    def act(files: Files) -> None:
        for index in range(2):
            roll(files, draft(), [keys[index]], 100 * index + 100, 160, NOON_NS)

    for _, directory in kill_everywhere(tmp_path, template, act):
        files = Watched(directory, sync=False)
        (done,) = repair(files, set(), knows_an_epoch)
        check_segments(directory, done, whole)
        files.close()


@pytest.mark.all
def test_c7_a_repair_of_several_segments_killed_at_any_call(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    whole, _ = segments(files)
    files.close()
    for _, directory in kill_everywhere(tmp_path, template, lambda files: repair(files, set(), knows_an_epoch)):
        files = Watched(directory, sync=False)
        repair(files, set(), knows_an_epoch)
        (sidecar,) = (name for name in lying(directory) if name.endswith("json"))
        check_segments(directory, decode((directory / "ready" / sidecar).read_bytes()), whole)
        files.close()


def test_c7_an_earlier_segment_that_was_not_committed_whole_keeps_its_place(files: Files, tmp_path: Path) -> None:
    whole = sound(300)
    keys = [key for index in range(3) for key in lay(files, [whole[100 * index :][:100]], index, 100 * index)]
    logged(files, keys, [200, 160, 200])
    (done,) = repair(files, set(), knows_nothing)
    assert [part.frames for part in done.parts] == [100, 100, 100]
    assert as_tuples(done.gaps) == [(180, 20, 0, "restart")]
    last = read_wav(tmp_path / "ready" / done.parts[2].file)[:, 0]
    assert np.array_equal(last, whole[200:])


def test_notes_are_believed_as_far_as_they_were_committed(files: Files) -> None:
    keys = lay(files, [SAMPLES])
    notes = Notes(files, ID, 4)
    notes.write(0, (b"sure", b"not.sure"))
    notes.close()
    files.write_durably(names.log(0), pack({log_key(keys[0]): 2_000, notes.log_key: 4}, 1))
    seen: list[bytes] = []

    def describe(draft: Draft, notes: Sequence[bytes], channels: Sequence[int]) -> Described:
        seen.extend(notes)
        return Described(())

    repair(files, set(), describe)
    assert seen == [b"sure"]


def test_what_is_not_ours_is_left_alone_and_told(files: Files, tmp_path: Path) -> None:
    for name in ("README", f"{ID}.backup", f"{OTHER}.0.wav"):
        (tmp_path / "spool" / name).write_bytes(b"x")
    files.write_durably(names.log(0), b"")
    told: list[tuple[str, str]] = []
    assert repair(files, set(), knows_nothing, lambda name, problem: told.append((name, problem.code))) == []
    assert sorted(told) == [(OTHER, "stray"), (f"spool/{ID}.backup", "foreign"), ("spool/README", "foreign")]
    assert lying(tmp_path, "spool") == [f"{ID}.backup", f"{OTHER}.0.wav", "README", "commits-0.log"]


def test_one_recording_that_the_disk_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    class Failing(Files):
        def open(self, name: str, write: bool = False) -> int:
            if name == PartKey(ID, 0, 0, 0).name:
                raise OSError(5, "Input/output error")
            return super().open(name, write)

    files = Files(tmp_path)
    keys = lay(files, [SAMPLES]) + lay(files, [sound(500)], of=draft(OTHER))
    logged(files, keys, [12_000, 1_000])
    files.close()
    failing, told = Failing(tmp_path), list[tuple[str, str]]()
    (done,) = repair(failing, set(), knows_nothing, lambda name, problem: told.append((name, problem.code)))
    assert done.recording_id == OTHER
    assert told == [(ID, "not_repaired")]
    failing.close()
    files = Files(tmp_path)
    (done,) = repair(files, set(), knows_nothing)  # the next start, on a better day
    assert (done.recording_id, done.frames) == (ID, 5_840)
    files.close()


def test_a_recording_that_was_published_is_told_again_and_swept(files: Files, tmp_path: Path) -> None:
    """Control died before it could book it."""
    done = finish(files, facts(lay(files, [SAMPLES]), [8_000]))
    Part.create(files, PartKey(ID, 0, 0, 0)).close()
    assert repair(files, set(), knows_nothing) == [done]
    assert lying(tmp_path, "spool") == []
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]


def test_p3_a_power_cut_of_a_whole_spool_leaves_no_broken_file(files: Files, tmp_path: Path) -> None:
    recordings = [f"018f3a5e-7c11-7d22-8e33-{number:012x}" for number in range(20)]
    keys = [lay(files, [sound(500, number)], of=draft(each))[0] for number, each in enumerate(recordings)]
    logged(files, keys, [50 * number for number in range(20)])
    done = repair(files, set(), knows_nothing)
    assert [sidecar.frames for sidecar in done] == [25 * number for number in range(20)]
    assert [sidecar.outcome for sidecar in done] == [Outcome.DEGRADED] * 20
    for number, sidecar in enumerate(done[1:], 1):
        frames = read_wav(tmp_path / "ready" / str(sidecar.file))
        assert np.array_equal(frames[:, 0], sound(500, number)[: 25 * number])
    assert lying(tmp_path, "spool") == ["commits-0.log"]


def test_c5_a_pause_that_the_notes_tell_of_is_labelled_after_a_power_cut(files: Files) -> None:
    keys = lay(files, [with_absence(sound(4_000), (0, 160), (1_000, 2_000), (3_000, 3_100))])
    files.write_durably(names.log(0), pack({log_key(keys[0]): 8_000}, 1))
    told = (Paused(900, 2_000, NOON_NS, NOON_NS + 1_000_000),)
    (done,) = repair(files, set(), lambda draft, notes, channels: Described(draft.channels, told))
    assert as_tuples(done.gaps) == [(840, 1_000, 0, "paused"), (2_840, 100, 0, "lost")]
    assert [(row.frame, row.frames, row.at) for row in done.pauses] == [(740, 1_100, moment(NOON_NS))]
