"""Audio and sidecar are held against each other; each disagreement has its own sentence."""

import hashlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from receiver.lab.evidence import MOST_FINDINGS, Findings, gather, zero_runs
from receiver.lab.plan import Caller
from tests.lab.reference import gaps_of, record, sent_by

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return record(sent_by(Caller(1, weather="bursty", seconds=3))).write(tmp_path)


def edit(path: Path, change: Change) -> None:
    told = json.loads(path.read_bytes())
    change(told)
    path.write_text(json.dumps(told))


def test_a_true_recording_has_no_finding(recording: Path) -> None:
    evidence = gather(recording)
    assert evidence.findings.sentences == ()
    assert evidence.sidecar is not None
    assert evidence.samples.shape == (evidence.sidecar.frames, 1)
    assert len(evidence.sidecar.gaps) > 3


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda told: told.pop("ending"), "sidecar: .* cannot be read"),
        (lambda told: told.update(schema=2), "sidecar: .* cannot be read"),
        (lambda told: told.update(file="other.wav"), "sidecar: recording.json speaks of 'other.wav'"),
        (lambda told: told.update(file="missing/recording.wav"), "audio: missing/recording.wav cannot be read"),
        (lambda told: told.update(frames=told["frames"] + 1), "frames: recording.wav: "),
        (lambda told: told.update(duration_s=told["duration_s"] + 0.001), "frames: duration_s"),
        (lambda told: told.update(bytes=told["bytes"] - 1), "bytes: "),
        (lambda told: told.update(sha256="0" * 64), "sha256: recording.wav is not what the sidecar signed"),
        (lambda told: told.pop("sha256"), "sha256: "),
        (lambda told: told.update(sample_rate=16_000), "audio: recording.wav: 1 channels, 8000 Hz"),
        (lambda told: told.update(absent_frames=told["absent_frames"] + 1), "gaps: absent_frames is"),
        (lambda told: told["gaps"].pop(1), "gaps: channel 0: .* are no row of the list"),
        (lambda told: told["gaps"][1].update(frame=told["gaps"][1]["frame"] + 1), "gaps: channel 0: the row of"),
        (lambda told: told["gaps"][1].update(frames=told["gaps"][1]["frames"] - 1), "gaps: channel 0: the row of"),
        (lambda told: told["gaps"].append({"frame": 1, "frames": 2, "channel": 0, "reason": "lost"}), "out of order"),
        (lambda told: told["gaps"].reverse(), "out of order"),
        (lambda told: told["gaps"][0].update(channel=1), "gaps: a row speaks of a channel that is not there"),
        (lambda told: told["channels"].append({}), "audio: recording.wav: 1 channels"),
    ],
)
def test_each_untrue_word_of_the_sidecar_is_named(recording: Path, change: Change, finding: str) -> None:
    edit(recording, change)
    sentences = gather(recording).findings.sentences
    assert any(re.search(finding, sentence) for sentence in sentences), sentences


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 100], ids=["no length", "endless", "short"])
def test_a_header_that_lies_about_its_length_is_named(recording: Path, size: int) -> None:
    wav = recording.with_suffix(".wav")
    octets = bytearray(wav.read_bytes())
    octets[40:44] = struct.pack("<I", size)
    wav.write_bytes(octets)
    assert any(
        each.startswith(("frames: recording.wav", "audio: recording.wav"))
        for each in gather(recording).findings.sentences
    )


def test_a_missing_or_cut_file_is_named(recording: Path) -> None:
    wav = recording.with_suffix(".wav")
    wav.write_bytes(wav.read_bytes()[:-1_000])
    sentences = gather(recording).findings.sentences
    assert any(each.startswith("bytes: ") for each in sentences)
    assert any(each.startswith("frames: recording.wav: ") for each in sentences)
    wav.unlink()
    assert any(each.startswith("audio: ") for each in gather(recording).findings.sentences)


def test_a2_silence_at_the_beginning_is_named(tmp_path: Path) -> None:
    made = record(sent_by(Caller(1, seconds=1)))
    made.samples[:100] = 0
    assert gather(made.write(tmp_path)).findings.sentences == (
        "frames: frame 0 is silence: it should be the earliest sample that came",
    )


def test_a_run_of_zeros_may_have_several_reasons(recording: Path) -> None:
    def split(told: dict[str, Any]) -> None:
        first = told["gaps"][0]
        rest = dict(first, frame=first["frame"] + 10, frames=first["frames"] - 10, reason="not_sent")
        first["frames"] = 10
        told["gaps"].insert(1, rest)

    edit(recording, split)
    assert gather(recording).findings.sentences == ()


def test_c7_several_files_are_one_recording(tmp_path: Path) -> None:
    made = record(sent_by(Caller(1, weather="lossy", seconds=3)))
    made.parts = (8_000, 8_001, len(made.samples) - 16_001)
    path = made.write(tmp_path)
    assert gather(path).findings.sentences == ()
    assert np.array_equal(gather(path).samples[:, 0], made.samples)
    edit(path, lambda told: told["parts"][1].update(frame=8_001))
    assert "parts: recording.002.wav begins at frame 8001 and should at 8000" in gather(path).findings.sentences
    edit(path, lambda told: told["parts"].pop())
    assert any(each.startswith("frames: the sidecar says") for each in gather(path).findings.sentences)


def test_ten_thousand_findings_are_a_few_lines() -> None:
    findings = Findings()
    for number in range(10_000):
        findings.add("wrong", str(number))
    assert len(findings.sentences) == MOST_FINDINGS + 1
    assert findings.sentences[-1] == f"wrong: and {10_000 - MOST_FINDINGS} more"


@given(st.lists(st.integers(0, 1), max_size=60))
def test_zero_runs_are_told_by_their_edges(bits: list[int]) -> None:
    samples = np.array(bits, np.int16)
    assert zero_runs(samples).tolist() == [[gap.frame, gap.frame + gap.frames] for gap in gaps_of(samples)]


def rewrite_as(recording: Path, encoding: str, subtype: str) -> Path:
    """The same sound in another encoding, by libsndfile; returns the file."""
    wav = recording.with_suffix(".wav")
    samples, rate = soundfile.read(wav, dtype="int16")
    file = wav.with_suffix(".flac" if encoding == "flac" else ".wav")
    wav.unlink()
    soundfile.write(file, samples, rate, subtype)
    octets = file.read_bytes()
    digest = hashlib.sha256(octets).hexdigest()
    edit(recording, lambda told: told.update(file=file.name, encoding=encoding, bytes=len(octets), sha256=digest))
    return file


@pytest.mark.parametrize(
    ("codec", "encoding", "subtype"),
    [("PCMU", "g711", "ULAW"), ("PCMA", "g711", "ALAW"), ("PCMU", "flac", "PCM_16"), ("PCMA", "flac", "PCM_16")],
)
def test_each_encoding_is_read_and_held_against_what_the_sidecar_says(
    codec: Literal["PCMU", "PCMA"], encoding: str, subtype: str, tmp_path: Path
) -> None:
    recording = record(sent_by(Caller(1, codec=codec, weather="bursty", seconds=3))).write(tmp_path)
    true = gather(recording).samples
    file = rewrite_as(recording, encoding, subtype)
    assert gather(recording).findings.sentences == ()
    assert np.array_equal(gather(recording).samples, true)
    edit(recording, lambda told: told.update(encoding="pcm16"))
    what = f"{subtype} in {file.suffix[1:].upper()}"
    assert gather(recording).findings.sentences == (
        f"audio: {file.name}: pcm16 by the sidecar, {what} by its header",
    )
    file.write_bytes(file.read_bytes()[:-1_000])
    assert any(each.startswith(("frames: ", "audio: ")) for each in gather(recording).findings.sentences)


def test_a_gap_in_a_law_that_is_not_silent_is_named(tmp_path: Path) -> None:
    recording = record(sent_by(Caller(1, codec="PCMA", weather="bursty", seconds=3))).write(tmp_path)
    file = rewrite_as(recording, "g711", "ALAW")
    first = json.loads(recording.read_bytes())["gaps"][0]["frame"]
    octets = bytearray(file.read_bytes())
    at = len(octets) - len(gather(recording).samples) - len(gather(recording).samples) % 2
    octets[at + first] ^= 1
    file.write_bytes(octets)
    assert any(
        each == f"gaps: channel 0: the row at frame {first} is not A-law's silence"
        for each in gather(recording).findings.sentences
    )
