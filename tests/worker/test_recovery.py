"""Rule K5, in its order; rule K7; what was found is taken up exactly once."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver import link
from receiver.archive.commitlog import read_log
from receiver.archive.files import Files
from receiver.media.drain import Drain
from receiver.media.pipeline import Pipeline
from receiver.media.taps import Damage
from receiver.net.slab import PlainSlab, Slab
from receiver.worker import intake, process
from receiver.worker.intake import Intake
from receiver.worker.shelf import Shelf
from tests.archive.world import as_tuples
from tests.journeys.recorder import recorder
from tests.worker.office import Dead, Line, die, office

Call = Callable[..., Line]
POISONED = (sys.executable, "-W", "error", "-m", "tests.worker.poisoned_worker", "worker")


async def test_k5_the_order_is_pointers_clear_write_logs_slab(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(5)
        line.talk(8, first=6)
        one.hear()
        await one.commit()  # durable, and its room not cleared yet
        line.talk(20, first=14)
        one.hear()
        monkeypatch.setattr(one.worker.shelf, "write", lambda cut: None)
        monkeypatch.setattr(one.worker.shelf, "write_logs", lambda: (0, 0))
        one.drain()
        line.talk(1, first=5)  # late
        one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.setattr(one.state, "commit", die)
        line.talk(3, first=34)
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()

    steps: list[str] = []
    for owner, name in (
        (Slab, "point"), (PlainSlab, "point"), (Drain, "give_back"), (Shelf, "reopen"), (Drain, "unwritten"),
        (Shelf, "write"), (Shelf, "write_logs"), (Pipeline, "step"), (Slab, "fill"), (Intake, "attach"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, recorded(getattr(owner, name), name, steps))
    async with office(tmp_path, memory) as two:
        await two.open(line)
        two.slices()
        steps[:] = list(dict.fromkeys(steps))
        assert steps == [
            "point", "give_back", "reopen", "unwritten", "write", "write_logs", "step", "attach", "fill",
        ]  # fmt: skip
        assert two.worker.recovery.found == {"taps": 1, "rows_written_again": 1, "datagrams_run_again": 3}
        monkeypatch.undo()
        told = await two.close(line)
        assert (told.outcome, told.gaps) == ("complete", ())
        assert np.array_equal(two.sound(line), line.truth)
        [stream] = told.channels[0].streams
        assert (stream.packets, stream.late, stream.duplicate) == (37, 1, 0)


def recorded(real: Callable[..., Any], name: str, steps: list[str]) -> Callable[..., Any]:
    """The same, and its name is noted."""

    def call(*arguments: Any, **named: Any) -> Any:
        steps.append(name)
        return real(*arguments, **named)

    return call


@pytest.mark.parametrize("point", ["before the generation", "after the generation"])
async def test_k3_the_slab_in_hand_is_run_exactly_once(
    point: str, tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        monkeypatch.setattr(one.state, "commit" if point.startswith("before") else "_echo", die)
        line.talk(10)
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    async with office(tmp_path, memory) as two:
        assert two.worker.recovery.found["datagrams_run_again"] == (10 if point.startswith("before") else 0)
        await two.open(line)
        told = await two.close(line)
        [stream] = told.channels[0].streams
        assert (stream.packets, stream.duplicate, stream.lost) == (10, 0, 0)
        assert np.array_equal(two.sound(line), line.truth)




async def test_k5_a_full_ring_that_was_written_and_never_committed_goes_on(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """Its worker died between write and commit: nothing is left to write, and the ring must empty all the same."""
    line, packets = call(), 0
    async with office(tmp_path, memory, window=28_000) as one:
        await one.open(line)
        while not one.worker.intake.starved.size:
            line.talk(25, first=packets)
            packets += 25
            one.hear()
        one.drain()
        await one.worker.shelf.behind()
        one.worker.keeping.durable = lambda marks: None  # type: ignore[method-assign]  # nobody lives to hear of it
    async with office(tmp_path, memory, window=28_000) as two:
        assert two.worker.recovery.found["rows_written_again"] == 1
        await two.open(line)
        await two.sync()
        assert two.state.committed[0] == two.state.written[0] > 0
        two.hear()
        told = await two.close(line)
        assert (told.outcome, told.gaps) == ("complete", ())
        assert np.array_equal(two.sound(line), line.truth)


async def test_k5_notes_that_were_written_and_never_committed_are_named_by_the_next_commit(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """Else a power cut takes them away (rule C5), and nobody says again what they say."""
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(50)
        one.hear()
        await one.worker.shelf.behind()
        one.worker.shelf.writer.take_marks()  # nobody lives to commit it
    async with office(tmp_path, memory) as two:
        await two.open(line)
        await two.sync()
        notes = two.worker.shelf.taps[0].notes
        assert read_log(two.files, 0)[notes.log_key] == two.tap(0)["notes"] * notes.record_octets > 0


async def test_a3_what_came_while_no_worker_lived_belongs_to_the_candidate_that_waited_for_it(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies behind the first packet of an SSRC; the next one begins five seconds later, before the tap is told
    to it. By its clock the candidate's time is over, and its second packet waits in the socket."""
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(50)
        line.talk(1, first=50, ssrc=8)
        one.hear()
    line.talk(49, first=51, ssrc=8)
    real = intake.clocks
    monkeypatch.setattr(process, "clocks", lambda: (real()[0] + 5_000_000_000, real()[1] - 5_000_000_000))
    async with office(tmp_path, memory) as two:
        two.slices()
        await two.open(line)
        two.hear()
        told = await two.close(line)
        assert np.array_equal(two.sound(line), line.truth)
        assert [stream.packets for stream in told.channels[0].streams] == [50, 50]


async def test_k7_a_slab_that_cannot_be_kept_as_evidence_is_left_all_the_same(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Files):
        def write_durably(self, name: str, octets: bytes, mode: int = 0o600) -> None:
            if name.startswith("quarantine/"):
                raise OSError(28, "No space left on device")
            super().write_durably(name, octets, mode)

    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        one.worker.intake._slab.begin(one.state.generation)
        one.worker.intake._slab.attempts = 1
        monkeypatch.setattr(one.state, "commit", die)
        line.talk(3)
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    async with office(tmp_path, memory, Full(tmp_path)) as two:
        assert two.worker.recovery.found["datagrams_set_aside"] == 3
        await two.open(line)
        line.talk(10, first=3)
        told = await two.close(line)
        assert (told.outcome, told.problem.code) == ("degraded", "slab_set_aside")
        assert not int(two.tap(line)["flaws"]) & Damage.WRITE_FAILED


async def test_k7_nothing_that_came_inside_a_pause_is_in_the_evidence(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, other = call(0), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(paused)
        await one.open(other)
        one.worker.desk.take(link.Pause(paused.slot, paused.id, 1, [time.monotonic_ns()]), ())
        one.worker.intake._slab.begin(one.state.generation)
        one.worker.intake._slab.attempts = 1
        monkeypatch.setattr(one.state, "commit", die)
        paused.talk(3)
        other.talk(3, first=1_000)  # other sound
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0, 1]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    async with office(tmp_path, memory) as two:
        assert two.worker.recovery.found["datagrams_set_aside"] == 6
    [capture] = (tmp_path / "quarantine").iterdir()
    kept = capture.read_bytes()
    assert [sent.payload in kept for sent in (*paused.sent, *other.sent)] == [False] * 3 + [True] * 3


async def test_k7_masked_keys_are_not_in_the_evidence(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call(0)
    async with office(tmp_path, memory, mask_dtmf=True) as one:
        await one.open(line)
        one.worker.intake._slab.begin(one.state.generation)
        one.worker.intake._slab.attempts = 1
        monkeypatch.setattr(one.state, "commit", die)
        line.talk(2)
        line.send([line.sent[0]._replace(sequence=102, payload_type=101, payload=b"\x07\x8a\x01\xe0")])
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    async with office(tmp_path, memory, mask_dtmf=True) as two:
        assert two.worker.recovery.found["datagrams_set_aside"] == 3
    [capture] = (tmp_path / "quarantine").iterdir()
    kept = capture.read_bytes()
    assert [sent.payload in kept for sent in line.sent] == [True, True, False]


async def test_k7_a_poison_slab_is_set_aside_by_the_third_worker_and_only_its_taps_are_degraded(
    tmp_path: Path, call: Call
) -> None:
    """Real processes: the pipeline raises on one marked packet, so a worker dies on it, and the next one again."""
    good, bad = call(0), call(1)
    async with recorder(tmp_path / "recordings", POISONED) as one:
        taps = await one.open([f"127.0.0.1:{line.sender.getsockname()[1]}" for line in (good, bad)])
        for line, tap in zip((good, bad), taps, strict=True):
            line.door.close()
            line.door = tap.port.socket
            line.talk(10)
        bad.talk(1, first=10, ssrc=0xDEADBEEF)
        good.talk(10, first=10)
        bad.talk(5, first=10)
        await one.close(taps)
        told: list[Any] = [tap.told for tap in taps]
        assert one.crew.states()[0]["deaths"] == 2
    assert (told[0].outcome, told[0].gaps) == ("complete", ())
    assert (told[1].outcome, told[1].problem.code) == ("degraded", "slab_set_aside")
    [capture] = (tmp_path / "recordings" / "quarantine").iterdir()
    assert bytes.fromhex("DEADBEEF") in capture.read_bytes()
    assert as_tuples(told[0].gaps) == []
