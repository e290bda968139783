"""The proof can succeed, and it can fail: each thing that may be wrong is made wrong once, and named."""

import hashlib
import wave
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.archive import sidecar
from receiver.archive.sidecar import Channel, Ending, Outcome, Sidecar
from receiver.lab.forecast import PRESETS, Weather
from receiver.lab.plan import Caller
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import Sent
from tests.lab.reference import Recording, gaps_of, log_file, record, sent_by
from tests.lab.verdict import Change, judge, named

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


def test_a10_a_file_longer_than_the_call_is_named(tmp_path: Path) -> None:
    made = record(sent_by(Caller(7, seconds=3)))
    made.samples = np.r_[made.samples, np.zeros(3 * 8_000, np.int16)]
    assert named(judge(made, tmp_path), r"times: 48000 frames are longer than the 4\.\d+ s .* \(rule A10\)")


# -- what the caller of the proof knows


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
