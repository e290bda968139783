"""Rule C4: a recording comes into ready/ once, whole and described, whatever is killed at whatever instant."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from msgspec import UNSET

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.finish import Facts, finish, finished, forget, refuse
from receiver.archive.gaps import Stretch
from receiver.archive.part import Notes, Part
from receiver.archive.pauses import Paused
from receiver.archive.sidecar import (
    Channel,
    Digit,
    Ending,
    Epoch,
    Noise,
    Outcome,
    Problem,
    Reason,
    Sidecar,
    Stream,
    decode,
    encode,
    moment,
)
from receiver.media.block import ABSENT
from receiver.wire import g711
from tests.archive.disk import SYNCS, Watched, copy_folder, kill_everywhere
from tests.archive.world import (
    ID,
    NAME,
    NOON_NS,
    as_tuples,
    draft,
    facts,
    lay,
    lying,
    problem,
    read_json,
    read_wav,
    sound,
    with_absence,
)
from tests.tools import count

SAMPLES = with_absence(sound(8_000), (0, 160), (1_000, 1_160), (7_900, 8_000))
# The anchor is frame 0 of the part axis; 160 frames later the recording begins, 20 ms.
STARTED_NS = NOON_NS + 20_000_000


def spooled(files: Files, **more: Any) -> Facts:
    """A recording that is ready to be finished."""
    keys = lay(files, [SAMPLES])
    notes = Notes(files, ID, 4)
    notes.write(0, (b"note",))
    notes.close()
    return facts(keys, [8_000], **more)


def test_c4_a_recording_comes_into_ready_whole_and_described(files: Files, tmp_path: Path) -> None:
    done = finish(files, spooled(files))
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]
    assert lying(tmp_path, "spool") == [f"{ID}.done"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "ready").iterdir()} == {0o640}
    frames = read_wav(tmp_path / "ready" / f"{NAME}.wav")
    assert np.array_equal(frames[:, 0], np.where(SAMPLES == ABSENT, 0, SAMPLES)[160:])
    assert decode((tmp_path / "ready" / f"{NAME}.json").read_bytes()) == done
    assert as_tuples(done.gaps) == [(840, 160, 0, "lost"), (7_740, 100, 0, "lost")]
    written = read_json(tmp_path / "ready" / f"{NAME}.json")
    assert written.items() >= {
        "schema": 1, "recording_id": ID, "tap_id": "tap-1", "labels": {"team": "blue"}, "direction": "both",
        "file": f"{NAME}.wav", "bytes": 44 + 2 * 7_840, "encoding": "pcm16", "sample_rate": 8000, "frames": 7_840,
        "duration_s": 0.98, "ending": "stopped", "outcome": "complete", "absent_frames": 260, "parts": [],
        "software": "tapdeck 0", "host": "here",
    }.items()  # fmt: skip
    assert done.started_at == moment(STARTED_NS)
    assert done.requested_at == moment(NOON_NS - 2 * 10**9)
    assert done.first_packet_at == moment(NOON_NS)
    assert done.ended_at == moment(NOON_NS + 10**9)
    forget(files, ID)
    assert lying(tmp_path, "spool") == []


def test_c4_each_sync_stands_before_what_relies_on_it(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    ended = spooled(files)
    files.calls.clear()
    finish(files, ended)
    calls = [call for call in files.calls if call[0] in SYNCS | {"link", "rename", "unlink", "write_some"}]
    wav, final, part = names.woven(ID, 0), names.final(ID), names.PartKey(ID, 0, 0, 0).name
    order = [calls.index(call) for call in (
        ("write_some", wav), ("fsync", wav),  # the sound is durable
        ("write_some", f"{final}.tmp"), ("fsync", f"{final}.tmp"), ("rename", f"{final}.tmp"), ("sync_folder", final),
        ("link", wav), ("link", final),  # only then names, the sidecar's last
        ("sync_folder", f"ready/{NAME}.json"), ("rename", final),
        ("unlink", part),  # and only then spool is swept
    )]  # fmt: skip
    assert order == sorted(order)
    last_write = max(number for number, call in enumerate(calls) if call == ("write_some", wav))
    assert last_write < calls.index(("fsync", wav))
    files.close()


def published_once(directory: Path, done: Sidecar, expected: Sidecar) -> None:
    assert lying(directory) == [f"{NAME}.json", f"{NAME}.wav"]
    assert lying(directory, "spool") == [f"{ID}.done"]
    assert lying(directory, "quarantine") == []
    assert done == expected == decode((directory / "ready" / f"{NAME}.json").read_bytes())
    frames = read_wav(directory / "ready" / f"{NAME}.wav")
    assert np.array_equal(frames[:, 0], np.where(SAMPLES == ABSENT, 0, SAMPLES)[160:])


def template_of(tmp_path: Path) -> tuple[Path, Facts, Sidecar]:
    """A folder to begin from, what is known, and what a finish without a kill gives."""
    template, whole = tmp_path / "template", tmp_path / "whole"
    template.mkdir()
    files = Files(template)
    ended = spooled(files)
    files.close()
    copy_folder(template, whole)
    files = Files(whole)
    expected = finish(files, ended)
    files.close()
    return template, ended, expected


def test_p4_killed_at_any_call_and_finished_again_it_is_there_once(tmp_path: Path) -> None:
    template, ended, expected = template_of(tmp_path)
    kills = 0
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, ended)):
        kills += 1
        files = Watched(directory, sync=False)
        published_once(directory, finish(files, ended), expected)
        published_once(directory, finish(files, ended), expected)  # and again
        forget(files, ID)
        assert lying(directory, "spool") == []
        files.close()
    assert kills > 30


def test_p4_killed_at_any_call_a_worker_that_only_asks_leaves_nothing_behind_either(tmp_path: Path) -> None:
    """It asks ``finished`` first, and has opened the parts again before it asked."""
    template, ended, expected = template_of(tmp_path)
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, ended)):
        files = Watched(directory, sync=False)
        if finished(files, ID):
            Part.reopen(files, ended.parts[0]).close()
        done = finished(files, ID) or finish(files, ended)
        assert done == expected
        forget(files, ID)
        assert lying(directory, "spool") == []
        assert lying(directory) == [f"{NAME}.json", f"{NAME}.wav"]
        files.close()


def test_p4_forgetting_killed_at_any_call_is_gone_on_with(tmp_path: Path) -> None:
    template, ended, _ = template_of(tmp_path)
    files = Files(template)
    finish(files, ended)
    Part.reopen(files, ended.parts[0]).close()
    files.close()
    for _, directory in kill_everywhere(tmp_path, template, lambda files: forget(files, ID)):
        files = Watched(directory, sync=False)
        forget(files, ID)
        assert lying(directory, "spool") == []
        files.close()


@pytest.mark.all
def test_p4_killed_twice_at_any_two_calls(tmp_path: Path) -> None:
    template, ended, expected = template_of(tmp_path)
    (tmp_path / "twice").mkdir()
    step = count(17, all=1, full=1)  # every pair is two thousand
    for n, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, ended)):
        for m, second in kill_everywhere(tmp_path / "twice", directory, lambda files: finish(files, ended)):
            if (3 * n + m) % step == 0:
                files = Watched(second, sync=False)
                published_once(second, finish(files, ended), expected)
                files.close()


def in_a_child(act: Any) -> int:
    """Run in a process of its own; return what ``waitpid`` says."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("verb", ["write_some", "fsync", "link", "sync_folder", "rename", "unlink"])
@pytest.mark.parametrize("which", [1, 2, 3])
def test_p4_a_real_sigkill(verb: str, which: int, tmp_path: Path) -> None:
    template, ended, expected = template_of(tmp_path)

    class Deadly(Watched):
        left = -1  # what ``Files`` does at its own start does not count

        def _step(self, called: str, subject: Any) -> None:
            super()._step(called, subject)
            if called == verb:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    def act() -> None:
        files = Deadly(template, sync=False)
        files.left = which
        finish(files, ended)

    status = in_a_child(act)
    assert os.WIFSIGNALED(status) or (verb, which) in (("fsync", 3), ("link", 3), ("rename", 3), ("sync_folder", 3))
    files = Files(template)
    published_once(template, finish(files, ended), expected)
    files.close()


def test_a_worker_that_died_before_it_could_say_finished_finds_what_to_say(files: Files, tmp_path: Path) -> None:
    ended = spooled(files)
    done = finish(files, ended)
    for name in lying(tmp_path):
        (tmp_path / "ready" / name).unlink()  # a job was quick
    lay(files, [np.empty(0, np.int16)])  # the next worker has opened the parts again
    assert finished(files, ID) == done
    assert finish(files, ended) == done
    assert lying(tmp_path) == []
    assert lying(tmp_path, "spool") == [f"{ID}.done"]
    forget(files, ID)
    forget(files, ID)
    assert finished(files, ID) is None


def test_folders_in_the_name(files: Files, tmp_path: Path) -> None:
    named = draft(name="{started:%Y/%m/%d}/{recording_id}", call_id="../../etc")
    keys = lay(files, [sound(10)], of=named)
    done = finish(files, facts(keys, [10], draft=named))
    assert lying(tmp_path) == [f"2023/11/14/{ID}.json", f"2023/11/14/{ID}.wav"]
    assert done.file == f"{ID}.wav"  # beside its sidecar, wherever both are moved


def test_two_channels_are_one_file_and_the_shorter_is_absent_at_its_end(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [sound(100), sound(60, 2)])
    done = finish(files, facts(keys, [100, 60]))
    frames = read_wav(tmp_path / "ready" / f"{NAME}.wav")
    assert frames.shape == (100, 2)
    assert np.array_equal(frames[:, 0], sound(100))
    assert np.array_equal(frames[:60, 1], sound(60, 2))
    assert as_tuples(done.gaps) == [(60, 40, 1, "not_sent")]
    assert done.outcome is Outcome.COMPLETE


def test_a7_stretches_tell_why(files: Files) -> None:
    ended = spooled(files, stretches=(Stretch(1_000, 100, 0, "not_sent"), Stretch(3_000, 99, 0, "paused")))
    assert as_tuples(finish(files, ended).gaps) == [
        (840, 100, 0, "not_sent"), (940, 60, 0, "lost"), (7_740, 100, 0, "lost"),
    ]  # fmt: skip


@pytest.mark.parametrize("samples", [np.empty(0, np.int16), np.full(500, ABSENT)], ids=["nothing", "all absent"])
def test_d_without_a_sample_the_sidecar_comes_alone(samples: Any, files: Files, tmp_path: Path) -> None:
    keys = lay(files, [samples])
    hint = Problem("no_packets", "Nothing came.", "Look at the firewall.")
    done = finish(files, facts(keys, [len(samples)], ending="no_packets", problem=hint))
    assert (done.outcome, done.file, done.frames, done.problem) == (Outcome.EMPTY, None, 0, hint)
    # Its name tells when it was asked for: there is no frame 0.
    assert lying(tmp_path) == [f"20231114T221318Z_{ID}.json"]
    assert lying(tmp_path, "spool") == [f"{ID}.done"]
    assert "started_at" not in read_json(tmp_path / "ready" / f"20231114T221318Z_{ID}.json")


def test_d_sound_that_should_be_there_and_is_not_is_degraded(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [sound(100)])
    done = finish(files, facts(keys, [150]))
    assert done.outcome is Outcome.DEGRADED
    assert as_tuples(done.gaps) == [(100, 50, 0, "write_failed")]
    assert isinstance(done.problem, Problem)
    assert done.problem.code == "write_failed"


def test_d_a_part_that_is_away_is_degraded_and_not_empty(files: Files) -> None:
    keys = lay(files, [sound(100)])
    files.unlink(keys[0].name)
    done = finish(files, facts(keys, [100]))
    assert (done.outcome, done.file) == (Outcome.DEGRADED, None)


def test_d_a_fault_is_told_and_degrades(files: Files) -> None:
    done = finish(files, spooled(files, faults=(problem(),)))
    assert (done.outcome, done.problem) == (Outcome.DEGRADED, problem())


def test_epochs_are_told_in_frames_of_the_recording(files: Files) -> None:
    at = moment(NOON_NS)
    epochs = (
        Epoch(frame=0, timestamp=2**32 - 60, at=at),  # the place that was kept for packets overtaken at the start
        Epoch(frame=4_000, timestamp=77, at=at),
        Epoch(frame=5_000, timestamp=2**32 + 5, at=at),  # widened, as media counts
    )
    channel = Channel(party="both", streams=(Stream(ssrc=1, packets=9, epochs=epochs),))
    done = finish(files, spooled(files, channels=(channel,)))
    told = done.channels[0].streams[0].epochs
    assert [(epoch.frame, epoch.timestamp) for epoch in told] == [(0, 100), (3_840, 77), (4_840, 5)]
    assert told[0].at == moment(NOON_NS + 20_000_000)
    assert decode(encode(done)) == done


def test_a_disk_that_fails_loses_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    class Failing(Files):
        failing = True

        def fsync(self, descriptor: int) -> None:
            if self.failing:
                raise OSError(5, "Input/output error")
            super().fsync(descriptor)

    files = Failing(tmp_path)
    ended = spooled(files)
    with pytest.raises(OSError, match="Input/output"):
        finish(files, ended)
    assert lying(tmp_path) == []
    files.failing = False
    assert finish(files, ended).outcome is Outcome.COMPLETE
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]
    files.close()


def test_d4_a_refused_tap_gets_its_sidecar_alone(files: Files, tmp_path: Path) -> None:
    lay(files, [np.empty(0, np.int16)])
    said = Problem("relay_480", "The call is gone.", "")
    done = refuse(files, draft(), Ending.REFUSED, Outcome.FAILED, said, NOON_NS)
    assert (done.ending, done.outcome, done.problem, done.file) == (Ending.REFUSED, Outcome.FAILED, said, None)
    assert done.ended_at == moment(NOON_NS)
    assert lying(tmp_path) == [f"20231114T221318Z_{ID}.json"]
    assert lying(tmp_path, "spool") == [f"{ID}.done"]


@pytest.mark.parametrize("begun", [True, False])
def test_p6_killed_at_any_call_and_refused_again_it_is_told_once(begun: bool, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    if begun:
        lay(files, [np.empty(0, np.int16)])
    files.close()

    def act(files: Files) -> Sidecar:
        return refuse(files, draft(), Ending.NO_PACKETS, Outcome.EMPTY, problem())

    for _, directory in kill_everywhere(tmp_path, template, act):
        files = Watched(directory, sync=False)
        assert act(files).outcome is Outcome.EMPTY
        assert lying(directory) == [f"20231114T221318Z_{ID}.json"]
        assert lying(directory, "spool") == [f"{ID}.done"]
        files.close()


def test_the_name_is_the_same_again_whatever_else_the_second_life_knows(files: Files, tmp_path: Path) -> None:
    ended = spooled(files)
    first = finish(files, ended)
    again = finish(files, replaced_facts(ended, ended_ns=NOON_NS + 9 * 10**9, faults=(problem(),)))
    assert again == first
    assert lying(tmp_path) == [f"{NAME}.json", f"{NAME}.wav"]


def replaced_facts(ended: Facts, **fields: Any) -> Facts:
    return Facts(**{**ended.__dict__, **fields})


def test_reasons_of_ours_degrade_even_if_nobody_said_fault(files: Files) -> None:
    done = finish(files, spooled(files, stretches=(Stretch(1_000, 160, 0, Reason.RESTART),)))
    assert done.outcome is Outcome.DEGRADED


def paused(pause_as: str, files: Files) -> Facts:
    """Sound of a part with two pauses, the second one to its end, and a packet lost in between."""
    samples = with_absence(sound(8_000), (0, 160), (1_000, 2_000), (3_000, 3_100), (7_000, 8_000))
    asked = draft(pause_as=pause_as)
    keys = lay(files, [samples], of=asked)
    pauses = (Paused(900, 2_000, NOON_NS, NOON_NS + 10**9), Paused(7_000, None, NOON_NS + 2 * 10**9, None))
    epochs = (Epoch(frame=160, timestamp=50, at=moment(STARTED_NS)),)
    channel = Channel(party="both", streams=(Stream(ssrc=1, packets=9, epochs=epochs),))
    return facts(keys, [8_000], draft=asked, pauses=pauses, channels=(channel,))


def test_a_pause_kept_as_silence_is_a_gap_of_its_own_reason(files: Files, tmp_path: Path) -> None:
    told = finish(files, paused("silence", files))
    assert as_tuples(told.gaps) == [(840, 1_000, 0, "paused"), (2_840, 100, 0, "lost"), (6_840, 1_000, 0, "paused")]
    assert told.frames == 7_840
    assert [(it.frame, it.frames, it.at) for it in told.pauses] == [
        (740, 1_100, moment(NOON_NS)), (6_840, 1_000, moment(NOON_NS + 2 * 10**9)),
    ]  # fmt: skip
    assert told.pauses[0].until == moment(NOON_NS + 10**9)
    assert told.pauses[1].until is UNSET
    assert told.outcome == "complete"


def test_a_pause_that_is_cut_is_not_in_the_file_and_the_gaps_agree_with_it(files: Files, tmp_path: Path) -> None:
    told = finish(files, paused("cut", files))
    whole = sound(8_000)
    stays = np.r_[whole[160:1_000], whole[2_000:3_000], np.zeros(100, np.int16), whole[3_100:7_000]]
    samples = read_wav(tmp_path / "ready" / f"{NAME}.wav")
    assert np.array_equal(samples.reshape(-1), stays)
    assert told.frames == stays.size
    assert as_tuples(told.gaps) == [(1_840, 100, 0, "lost")]
    assert [(it.frame, it.frames) for it in told.pauses] == [(840, 0), (5_840, 0)]
    epochs = told.channels[0].streams[0].epochs
    assert [(it.frame, it.timestamp) for it in epochs] == [(0, 50), (840, 50 + 1_840), (5_840, 50 + 7_840)]


@pytest.mark.parametrize("encoding", ["g711", "flac"])
def test_keys_and_noise_lie_where_their_sound_lies_in_a_file_without_its_pauses(
    encoding: str, files: Files, tmp_path: Path
) -> None:
    samples = with_absence(g711.ULAW[sound(8_000).astype(np.uint8)], (1_000, 2_000), (7_000, 8_000))
    asked = draft(pause_as="cut", encoding=encoding)
    keys = lay(files, [samples], of=asked)
    pauses = (Paused(1_000, 2_000, NOON_NS, NOON_NS + 1), Paused(7_000, None, NOON_NS + 2, None))
    digits = tuple(Digit(digit="5", frame=frame, frames=100, channel=0) for frame in (500, 990, 1_500, 2_000, 6_000))
    noise = (Noise(frame=2_500, channel=0, level_dbov=-40),)
    told = finish(files, facts(keys, [8_000], draft=asked, pauses=pauses, dtmf=digits, noise=noise))
    assert [digit.frame for digit in told.dtmf] == [500, 990, 1_000, 1_000, 5_000]
    assert [level.frame for level in told.noise] == [1_500]
    assert (told.encoding, told.frames, told.gaps) == (encoding, 6_000, ())
    audio, _ = soundfile.read(next((tmp_path / "ready").glob(f"{NAME}.[wf]*")), dtype="int16")
    assert np.array_equal(audio, np.r_[samples[:1_000], samples[2_000:7_000]])


def test_a_recording_that_was_paused_all_the_time_is_empty_and_says_so(files: Files, tmp_path: Path) -> None:
    keys = lay(files, [np.full(800, ABSENT, np.int16)])
    told = finish(files, facts(keys, [800], pauses=(Paused(0, None, NOON_NS, None),), problem=problem("paused")))
    assert (told.outcome, told.file, told.pauses[0].frames) == ("empty", None, 0)
    assert told.problem is not UNSET
    assert told.problem.code == "paused"
