"""One channel against one log: each thing that may be wrong in the audio is made wrong once, and named."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from receiver.lab import sound
from receiver.lab.plan import Caller
from receiver.lab.proof import Expected, prove
from tests.lab.reference import Recording, record, sent_by
from tests.lab.verdict import judge, named


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


def test_b6_what_the_kernel_dropped_may_be_missing_and_no_more(tmp_path: Path) -> None:
    sent = sent_by(Caller(7, seconds=3))
    heard = replace(sent, packets=np.delete(sent.packets, [40, 90]))
    path = record(heard).write(tmp_path)
    assert prove(path, sent, Expected(kernel_drops=2)).exact
    assert named(prove(path, sent, Expected(kernel_drops=1)), "missing: packet")
    assert prove(path, sent, Expected(kernel_drops=2)).missing == 320
