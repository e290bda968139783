"""The comparison of recorders: its judge tells what is wrong with a recording and nothing else, and it runs."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import conditions, fidelity, others, positions
from benchmarks.conditions import CONDITIONS, GARBAGE, Stream
from benchmarks.fidelity import Score
from benchmarks.machine import machine
from receiver.lab import sound
from receiver.lab.senderlog import SENT
from receiver.wire import rtp
from receiver.wire.rtp import Verdict
from tests.tools import needs

CONDITION = {each.name: each for each in CONDITIONS}


def made(name: str, codec: str = "PCMU", seconds: float = 8.0) -> Stream:
    """A stream, with a voice of its own."""
    return conditions.stream(msgspec.structs.replace(CONDITION[name], seconds=seconds), codec, voice=3)


def log(stream: Stream) -> NDArray[np.void]:
    """The log of a sender that is never late."""
    mine = stream.row != GARBAGE
    told = np.zeros(int(mine.sum()), SENT)
    for column in SENT.names or ():
        told[column] = stream.when_ns[mine] if column == "sent_ns" else stream.packets[column][stream.row[mine]]
    return told


def perfect(stream: Stream) -> NDArray[np.int16]:
    """What the best of recorders writes."""
    true = positions.truth(log(stream))
    samples = np.zeros(true.frames, np.int16)
    for packet, at in zip(true.packets, true.position.tolist(), strict=True):
        samples[at : at + int(packet["size"])] = said(packet)
    return samples


def said(packet: np.void) -> NDArray[np.int16]:
    """The samples of one packet."""
    voice, sample = np.array([3], np.uint64), np.array([packet["sample"]], np.int64)
    samples: NDArray[np.int16] = sound.heard(voice, sample, int(packet["size"]), int(packet["payload_type"]))[0]
    return samples


def judged(recording: NDArray[np.int16], stream: Stream) -> positions.Found:
    """The verdict."""
    return positions.judge(recording, positions.truth(log(stream)), 3)


@pytest.mark.parametrize(("name", "codec"), list(zip(CONDITION, conditions.CODECS * 10, strict=True)))
def test_what_lies_at_its_place_is_all_there_is(name: str, codec: str) -> None:
    stream = made(name, codec, 40.0 if name == "hold 30 s, clock runs" else 8.0)
    found = judged(perfect(stream), stream)
    assert found.exact
    assert (found.right, found.near, found.length_error, found.offset) == (found.received, found.received, 0, 0)
    assert found.received == int(stream.packets["size"][stream.packets["copy"] == 0].sum())


def test_silence_that_was_cut_out_moves_all_that_comes_after_it() -> None:
    stream = made("clean")
    whole = perfect(stream)
    at = whole.size * 3 // 4
    found = judged(np.concatenate([whole[:at], whole[at + 320 :]]), stream)
    assert (found.right, found.length_error, found.exact) == (at, -320, False)
    assert found.near == at  # 40 ms are not near
    found = judged(np.concatenate([whole[:at], np.zeros(80, np.int16), whole[at:]]), stream)
    assert (found.right, found.near, found.length_error) == (at, found.received, 80)


def test_a_recording_is_laid_where_it_fits_best() -> None:
    stream = made("5 % loss")
    found = judged(np.append(np.zeros(777, np.int16), perfect(stream)), stream)
    assert (found.right, found.offset, found.length_error) == (found.received, 777, 777)
    assert not found.exact


def test_what_is_missing_or_of_somebody_else_is_not_right() -> None:
    stream = made("clean")
    whole = perfect(stream)
    whole[1_600:1_760] = 0
    found = judged(whole, stream)
    assert (found.received - found.right, found.length_error) == (160, 0)
    assert judged(np.zeros(0, np.int16), stream).right == 0
    assert judged(np.full(whole.size, 1_000, np.int16), stream).right == 0


def test_an_epoch_told_by_wall_time_may_lie_a_packet_elsewhere_and_not_more() -> None:
    stream = made("hold 30 s, clock stands")
    whole, true = perfect(stream), positions.truth(log(stream))
    assert true.frames > 38 * 8_000 - 4_000
    begin = int(np.flatnonzero(true.epoch == 1)[0])
    end, second = int(true.position[begin - 1]) + 160, int(true.position[begin])
    assert true.tolerance.tolist() == [0, 160]
    for more, exact in ((160, True), (161, False), (-160, True), (-161, False)):
        moved = np.zeros(whole.size + more, np.int16)
        moved[:end], moved[second + more :] = whole[:end], whole[second:]
        found = judged(moved, stream)
        assert (found.exact, found.right == found.received) == (exact, exact), more


def test_a_jump_is_an_epoch_and_a_late_packet_none() -> None:
    assert int(positions.truth(log(made("timestamp jump forward"))).epoch.max()) == 1
    assert int(positions.truth(log(made("SSRC change", seconds=20.0))).epoch.max()) == 3
    assert int(positions.truth(log(made("three packets 1.5 s late"))).epoch.max()) == 0
    assert int(positions.truth(log(made("jitter 300 ms"))).epoch.max()) == 0


def test_what_is_sent_is_what_the_condition_says() -> None:
    def gate(stream: Stream) -> dict[Verdict, int]:
        octets = np.zeros((len(stream.octets), 1_536), np.uint8)
        for row, datagram in zip(octets, stream.octets, strict=True):
            row[: len(datagram)] = np.frombuffer(datagram, np.uint8)
        size = np.array([len(datagram) for datagram in stream.octets], np.uint32)
        verdicts = rtp.parse(octets, size, rtp.payload_kinds()).verdict
        return {Verdict(kind): int(count) for kind, count in zip(*np.unique(verdicts, return_counts=True), strict=True)}

    assert gate(made("header extensions and padding")) == {Verdict.ACCEPTED: 400}
    told = gate(made("garbage between"))
    assert told.pop(Verdict.ACCEPTED) == 400
    assert set(told) >= {Verdict.SHORT, Verdict.VERSION, Verdict.PAYLOAD_TYPE, Verdict.RTCP}
    assert sum(told.values()) == 80
    again, same = made("everything at once"), made("everything at once")
    assert again.octets == same.octets


def test_a_table_has_both_codecs_together_and_never_rounds_up_to_all() -> None:
    def score(codec: str, right: int, error: int, tolerance: int = 0) -> Score:
        return Score("clean", codec, "tapdeck", 100_000, right, 99_999, error, 0, tolerance)

    assert fidelity.cell([score("PCMU", 100_000, 0), score("PCMA", 100_000, 0)]) == "100.000 %, 0"
    assert fidelity.cell([score("PCMU", 100_000, 0), score("PCMA", 99_999, -8)]) == "99.9 % (99.9 %), −1 ms"
    assert fidelity.cell([score("PCMU", 0, 80_000), score("PCMA", 100_000, 0)]) == "50.0 % (99.9 %), +10.0 s"
    assert fidelity.cell([score("PCMU", 100_000, 100, 160)]) == "100.000 %, 0"


def test_of_several_runs_tapdecks_worst_counts_and_the_others_best() -> None:
    def run(*rights: int) -> fidelity.Results:
        names = ("tapdeck", "ffmpeg")
        scores = [Score("clean", "PCMU", who, 9, right, 9, 0, 0, 0) for who, right in zip(names, rights, strict=True)]
        return fidelity.Results(machine(), 1, 1, 5, 1.0, 2.0, {"tapdeck": rights[0]}, {"complete": 1}, scores)

    told = fidelity.combined([run(9, 3), run(8, 5), run(9, 4)])
    assert [(each.recorder, each.right) for each in told.scores] == [("tapdeck", 8), ("ffmpeg", 5)]
    assert (told.runs, told.drops, told.outcomes) == (3, {"tapdeck": 9}, {"complete": 3})


def test_an_unknown_condition_ends_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"'rain'; there are: clean, 5 % loss"):
        fidelity.main(["--conditions", "clean,rain"])


def test_without_other_programs_tapdeck_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert others.available() == ()


@pytest.mark.all
@needs("ffmpeg", "gst-launch-1.0")
def test_p1_every_sample_lies_at_its_place_whatever_others_make_of_the_same_packets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--conditions", "5 % loss,everything at once", "--seconds", "8", "--directory", str(tmp_path)]
    fidelity.main([*told, "--results", str(tmp_path), "--json"])
    results = msgspec.json.decode(capsys.readouterr().out, type=fidelity.Results)
    assert results.outcomes == {"complete": 4}
    recorders = {"tapdeck", *(other.name for other in others.OTHERS)}
    assert {each.recorder for each in results.scores} == set(results.drops) == recorders
    for each in results.scores:
        if each.recorder == "tapdeck":
            assert (each.right, each.offset) == (each.received, 0), each
            assert abs(each.length_error) <= each.tolerance, each
        elif each.condition == "5 % loss":
            assert 0 < each.right < each.received, f"{each} recorded nothing, or all: was it told right?"
    assert len(fidelity.table(results).splitlines()) == 4
