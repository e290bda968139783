"""The proof can succeed, and it can fail: each thing that may be wrong is made wrong once, and named."""

import hashlib
import json
import re
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.archive import sidecar
from receiver.archive.sidecar import Channel, Ending, Outcome, Sidecar
from receiver.lab import sound
from receiver.lab.forecast import PRESETS, Weather
from receiver.lab.plan import Caller
from receiver.lab.proof import Expected, Proof, prove
from receiver.lab.senderlog import Sent
from tests.lab.reference import Recording, gaps_of, log_file, record, sent_by

Change = Callable[[dict[str, Any]], object]


def judge(made: Recording, folder: Path, change: Change | None = None, **more: Any) -> Proof:
    """Write a recording, spoil its sidecar if asked to, and prove it."""
    path = made.write(folder)
    if change is not None:
        told = json.loads(path.read_bytes())
        change(told)
        path.write_text(json.dumps(told))
    return prove(path, made.sent, **more)


def named(proof: Proof, finding: str) -> bool:
    """Whether the proof failed and says so in these words (a regular expression)."""
    assert not proof.exact
    return any(re.search(finding, sentence) for sentence in proof.findings)


@pytest.fixture
def made() -> Recording:
    """Everything happened to this caller."""
    return record(sent_by(Caller(7, weather="everything", seconds=9)))


# -- what is right


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
@pytest.mark.parametrize("name", PRESETS)
def test_p1_a_true_recording_of_every_weather_is_exact(tmp_path: Path, name: str, codec: Any) -> None:
    sent = sent_by(Caller(7, weather=name, codec=codec, seconds=9))
    proof = judge(record(sent), tmp_path, expected=Expected(ending="stopped"))
    assert proof.exact, str(proof)
    distinct = sent.packets[sent.packets["copy"] == 0]
    assert (proof.received, proof.right, proof.missing, proof.wrong) == (*[int(distinct["size"].sum())] * 2, 0, 0)
    assert proof.absent == proof.frames - proof.right
    assert proof.packets == len(sent.packets)


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 32), speech=st.booleans(), sizes=st.lists(st.integers(1, 400), max_size=4))
def test_p1_any_seed_and_any_sizes_are_exact(tmp_path_factory: Any, seed: int, speech: bool, sizes: list[int]) -> None:
    told = msgspec.structs.replace(PRESETS["everything"], sizes=tuple(sizes))
    weather = Weather(loss=0.1, reorder=0.2, duplicate=0.1, sizes=tuple(sizes)) if speech else told
    sent = sent_by(Caller(7, weather=weather, seconds=4, speech=speech), seed)
    proof = judge(record(sent), tmp_path_factory.mktemp("recording"))
    assert proof.exact, str(proof)


def test_logs_are_read_from_the_disk_too_and_several_files_are_one_recording(tmp_path: Path, made: Recording) -> None:
    made.parts = (10_000, len(made.samples) - 10_000)
    path = made.write(tmp_path)
    assert prove(path, log_file(tmp_path, made.sent)).exact


def test_two_channels_are_judged_by_two_logs(tmp_path: Path) -> None:
    speak, listen = (record(sent_by(Caller(caller, weather="lossy", seconds=3))) for caller in (1, 2))
    frames = max(len(speak.samples), len(listen.samples))
    both = np.stack([np.pad(each.samples, (0, frames - len(each.samples))) for each in (speak, listen)], axis=1)
    gaps = [msgspec.structs.replace(gap, channel=k) for k in (0, 1) for gap in gaps_of(both[:, k])]
    path = tmp_path / "recording.json"
    with wave.open(str(path.with_suffix(".wav")), "wb") as file:
        file.setparams((2, 2, 8000, frames, "NONE", ""))
        file.writeframes(both.tobytes())
    octets = path.with_suffix(".wav").read_bytes()
    told = msgspec.structs.replace(
        speak.document, frames=frames, duration_s=frames / 8000, bytes=len(octets), gaps=tuple(gaps),
        sha256=hashlib.sha256(octets).hexdigest(), absent_frames=sum(gap.frames for gap in gaps),
        channels=(speak.document.channels[0], listen.document.channels[0]),
    )  # fmt: skip
    path.write_bytes(sidecar.encode(told))
    proof = prove(path, [speak.sent, listen.sent])
    assert proof.exact, str(proof)
    assert named(prove(path, [listen.sent, speak.sent]), "of voice 1 .*: foreign")


def test_an_empty_recording_is_a_sidecar_alone(tmp_path: Path) -> None:
    told = Sidecar(
        recording_id="r", file=None, sample_rate=8000, frames=0, duration_s=0.0, absent_frames=0,
        ending=Ending.NO_PACKETS, outcome=Outcome.EMPTY, channels=(Channel(),),
    )  # fmt: skip
    path = tmp_path / "r.json"
    path.write_bytes(sidecar.encode(told))
    nobody = sent_by(Caller(1))
    nobody = Sent(nobody.about, nobody.packets[:0])
    assert prove(path, nobody, Expected("empty", "no_packets")).exact
    assert named(prove(path, sent_by(Caller(1, seconds=1)), Expected("empty")), r"missing: packet .* is not at frame")
    path.write_bytes(sidecar.encode(msgspec.structs.replace(told, frames=5)))
    assert named(prove(path, nobody, Expected("empty")), "empty, and yet there is audio")


# -- what is wrong in the audio


def test_one_flipped_sample_is_named_with_its_frame(tmp_path: Path, made: Recording) -> None:
    at = int(np.flatnonzero(made.samples)[1_000])
    made.samples[at] ^= 8
    proof = judge(made, tmp_path)
    assert named(proof, rf"wrong: 1 samples at frame {at} that nobody said")
    assert named(proof, r"missing: packet \d+ .* is not at frame")
    assert 0 < proof.missing <= 320
    assert proof.wrong >= 1


def test_one_sample_lost_is_named(tmp_path: Path, made: Recording) -> None:
    made.samples[np.flatnonzero(made.samples)[1_000]] = 0
    proof = judge(made, tmp_path)
    assert named(proof, r"missing: packet")
    assert not any(
        each.startswith("gaps") for each in proof.findings
    )  # audio and list agree; only the log knows better


def test_a_packet_shifted_by_one_is_named_with_both_places(tmp_path: Path) -> None:
    made = record(sent_by(Caller(7, weather="lossy", seconds=3)))
    packet = next(each for each in made.sent.packets if not made.samples[each["sample"] + 160 :][:160].any())
    at = int(packet["sample"])
    made.samples[at + 1 : at + 161] = made.samples[at : at + 160].copy()
    made.samples[at] = 0
    proof = judge(made, tmp_path)
    assert named(
        proof, rf"wrong: 160 samples at frame {at + 1} of packet {packet['sequence']} .*its place is frame {at}$"
    )
    assert (proof.missing, proof.wrong) == (160, 160)


def test_a_packet_that_lies_there_twice_is_named(tmp_path: Path) -> None:
    made = record(sent_by(Caller(7, weather="lossy", seconds=3)))
    hole = next(gap for gap in np.flatnonzero(made.samples == 0).tolist())
    made.samples[hole : hole + 160] = made.samples[:160]
    proof = judge(made, tmp_path)
    assert named(
        proof, rf"wrong: 160 samples at frame {hole} of packet \d+ .* once more \(from sample 0\): its place is frame 0"
    )
    assert (proof.missing, proof.wrong) == (0, 160)


def test_invented_sound_in_a_gap_is_named(tmp_path: Path, made: Recording) -> None:
    hole = int(np.flatnonzero(made.samples == 0)[0])
    made.samples[hole] = 4
    assert named(judge(made, tmp_path), rf"wrong: 1 samples at frame {hole} that nobody said")


def test_p5_a_foreign_callers_samples_are_named_with_whose_they_are(tmp_path: Path, made: Recording) -> None:
    stranger = sent_by(Caller(8, seconds=2))
    hole = int(np.flatnonzero(made.samples == 0)[0])
    samples = sound.heard(np.array([8], np.uint64), np.array([800]), 50, 0)[0]
    made.samples[hole : hole + 50] = samples
    assert named(
        judge(made, tmp_path, strangers=[stranger]),
        rf"50 samples at frame {hole} of voice 8 \(from sample 800\): foreign",
    )


def test_a_recording_of_somebody_else_altogether_is_not_exact(tmp_path: Path, made: Recording) -> None:
    path = made.write(tmp_path)
    other = sent_by(Caller(8, weather="everything", seconds=9))
    proof = prove(path, other, strangers=[made.sent])
    assert proof.right == 0
    assert named(proof, "of voice 7 .*: foreign")
    assert named(proof, "is in the sidecar and never sent anything")


def test_everything_a_frame_too_late_is_not_exact(tmp_path: Path, made: Recording) -> None:
    made.samples = np.r_[np.zeros(1, np.int16), made.samples]
    proof = judge(made, tmp_path)
    assert proof.right == 0
    assert named(proof, "frame 0 is silence")


def test_a_cut_end_is_not_exact(tmp_path: Path, made: Recording) -> None:
    made.samples = made.samples[:-1]
    assert named(judge(made, tmp_path), "missing: packet")


# -- what is wrong in the sidecar


def epoch(told: dict[str, Any], stream: int, number: int) -> dict[str, Any]:
    epochs: list[dict[str, Any]] = told["channels"][0]["streams"][stream]["epochs"]
    return epochs[number]


def stream(told: dict[str, Any], number: int) -> dict[str, Any]:
    streams: list[dict[str, Any]] = told["channels"][0]["streams"]
    return streams[number]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda told: told["gaps"].pop(2), "gaps: .* no row of the list"),
        (lambda told: told["gaps"].append({"frame": 3, "frames": 2, "channel": 0, "reason": "lost"}), "gaps: "),
        (lambda told: stream(told, 0).update(packets=1), "counters: .* packets is 1 and should be"),
        (lambda told: stream(told, 1).update(lost=-9), "counters: .* lost is -9 and should be"),
        (lambda told: stream(told, 0).update(late_lost=1), "counters: .* late_lost is 1 and should be 0"),
        (lambda told: told["channels"][0]["streams"].pop(1), "streams: SSRC .* is not in the sidecar"),
        (lambda told: epoch(told, 1, 1).update(frame=epoch(told, 1, 1)["frame"] + 1), "missing: .* is not at frame"),
        (lambda told: epoch(told, 1, 1).update(timestamp=5), "epochs: .*: no packet lies in it"),
        (lambda told: stream(told, 1)["epochs"].pop(1), "missing: "),
        (
            lambda told: stream(told, 1)["epochs"].insert(1, {"frame": 9, "timestamp": 9}),
            "epochs: .* no packet lies in it",
        ),
        (lambda told: stream(told, 1)["epochs"].reverse(), "epochs: .* lies in an epoch that was over before it"),
        (lambda told: epoch(told, 1, 1).update(at="2025-06-15T15:06:40Z"), r"epochs: .* wall time is -\d+\.\d ms"),
        (lambda told: told.update(started_at="2025-06-15T15:06:30Z"), r"times: started_at is -\d+"),
        (lambda told: told.update(first_packet_at="2025-06-15T15:16:30Z"), r"times: first_packet_at is \+"),
        (lambda told: told.pop("started_at"), "times: started_at is not told"),
        (lambda told: told.update(ended_at="2025-06-15T15:06:41Z"), "times: ended_at is before the last packet"),
        (lambda told: told.update(outcome="degraded"), "outcome: degraded, expected complete"),
        (lambda told: told.update(ending="silence"), "ending: silence, expected stopped"),
        (lambda told: told["channels"][0]["source"].update(seen="127.0.0.1:9"), "source: 127.0.0.1:9 was heard"),
        (lambda told: told["channels"][0].update(codec="PCMA"), "codec: the sidecar says PCMA, PCMU came"),
        (lambda told: told.update(sha256="0" * 64), "sha256: "),
    ],
)
def test_each_untrue_word_is_named(tmp_path: Path, made: Recording, change: Change, finding: str) -> None:
    assert len(made.epochs) == 2
    assert len(list(made.epochs.values())[1]) == 3
    proof = judge(made, tmp_path, change, expected=Expected(ending="stopped"))
    assert named(proof, finding), str(proof)


def test_a_problem_is_told_with_the_outcome(tmp_path: Path, made: Recording) -> None:
    problem = {"code": "late_lost", "message": "3 samples came too late"}
    proof = judge(made, tmp_path, lambda told: told.update(outcome="degraded", problem=problem))
    assert named(proof, r"outcome: degraded \(late_lost: 3 samples came too late\), expected complete")


def test_a_missing_sidecar_or_audio_is_a_finding_not_an_exception(tmp_path: Path, made: Recording) -> None:
    assert named(prove(tmp_path / "none.json", made.sent), "sidecar: none.json cannot be read")
    path = made.write(tmp_path)
    path.with_suffix(".wav").unlink()
    proof = prove(path, made.sent)
    assert named(proof, "audio: recording.wav cannot be read")
    assert proof.missing == proof.received > 0


def test_a10_an_epoch_in_the_wrong_second_is_named_although_all_samples_are_there(tmp_path: Path) -> None:
    made = record(sent_by(Caller(7, weather="jump_forward", seconds=9)))
    (first, second), ssrc = made.epochs[int(made.sent.packets["ssrc"][0])], int(made.sent.packets["ssrc"][0])
    moved = msgspec.structs.replace(second, frame=second.frame + 8_000)
    made.samples = np.insert(made.samples, second.frame, np.zeros(8_000, np.int16))
    streams = tuple(msgspec.structs.replace(each, epochs=(first, moved)) for each in made.document.channels[0].streams)
    channel = msgspec.structs.replace(made.document.channels[0], streams=streams)
    made.document = msgspec.structs.replace(made.document, channels=(channel,))
    proof = judge(made, tmp_path)
    assert proof.missing == 0
    assert proof.findings == (
        f"epochs: SSRC {ssrc:08x}, epoch at frame {moved.frame}: +1000.0 ms from where the log's wall time puts it",
    )
    assert judge(made, tmp_path, expected=Expected(tolerance_ms=1_100)).exact


def test_two_packets_at_one_place_are_named(tmp_path: Path) -> None:
    sent = sent_by(Caller(7, seconds=1))
    path = record(sent).write(tmp_path)
    sent.packets["sample"][20], sent.packets["timestamp"][20] = (
        sent.packets["sample"][19],
        sent.packets["timestamp"][19],
    )
    assert named(prove(path, sent), "wrong: two packets claim frame 3040")


# -- what the caller of the proof knows


def test_b6_what_the_kernel_dropped_may_be_missing_and_no_more(tmp_path: Path) -> None:
    sent = sent_by(Caller(7, seconds=3))
    heard = replace(sent, packets=np.delete(sent.packets, [40, 90]))
    path = record(heard).write(tmp_path)
    assert prove(path, sent, Expected(kernel_drops=2)).exact
    assert named(prove(path, sent, Expected(kernel_drops=1)), "missing: packet")
    assert prove(path, sent, Expected(kernel_drops=2)).missing == 320


def test_a_log_too_many_or_too_few_is_named(tmp_path: Path, made: Recording) -> None:
    path = made.write(tmp_path)
    assert named(prove(path, [made.sent, made.sent]), "channels: the sidecar has 1, the logs are of 2")


def test_a_verdict_reads_in_one_line(tmp_path: Path, made: Recording) -> None:
    proof = judge(made, tmp_path)
    assert str(proof) == (
        f"recording: exact: {proof.right} of {proof.received} samples right, 0 wrong, {proof.absent} frames absent"
    )
    made.samples[0] ^= 1
    assert "NOT EXACT" in str(judge(made, tmp_path))
